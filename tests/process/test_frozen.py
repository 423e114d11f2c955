"""Programs that are frozen: their executable is no interpreter, but runs the program."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import textwrap

import pytest

from tests.support.programs import running_python
from tests.support.source import ROOT

#: What the loader of a frozen program does: first what makes it frozen, then the program. The
#: second part is what PyInstaller does in `multiprocessing.freeze_support`, before anything else.
LOADER = """
import sys
sys.frozen, sys.executable = True, sys.argv.pop(1)
sys.argv[0] = sys.executable
import multiprocessing, multiprocessing.spawn, runpy
def freeze_support():
    if "-c" in sys.argv:
        exec(sys.argv[sys.argv.index("-c") + 1])
        sys.exit()
    multiprocessing.spawn.freeze_support()
multiprocessing.freeze_support = freeze_support
runpy.run_path("main.py", run_name="__main__")
"""

PROGRAM = """
    import multiprocessing
    SUPPORT
    with open("ran", "a") as file:
        file.write("x")
    from procactors import Actor, ActorSystem
    from procactors.errors import ProcActorsError
    class Model(Actor):
        def predict(self, x):
            return 2 * x
        def die(self):
            import os
            os._exit(3)
    try:
        with ActorSystem(start_method="METHOD", spares=1) as system:
            model = system.spawn(Model)
            print(model.ask(Model.predict, 4))
            print(type(model.submit(Model.die).exception()).__name__)
            print(model.ask(Model.predict, 5))
            with system.options(size=2).pool() as pool:
                print(list(pool.map(lambda x: x + 1, range(3))))
    except ProcActorsError as error:
        print(type(error).__name__, error)
"""


def freeze(folder, method, support="multiprocessing.freeze_support()"):
    """Write such a program; return its executable."""
    text = textwrap.dedent(PROGRAM).replace("SUPPORT", support).replace("METHOD", method)
    (folder / "main.py").write_text(text)
    app = folder / "app"
    loader = shlex.join([sys.executable, "-c", LOADER, str(app)])
    app.write_text(f'#!/bin/sh\nexec {loader} "$@"\n')
    app.chmod(0o755)
    return app


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_a_frozen_program_has_actors(method, tmp_path):
    with running_python(python=freeze(tmp_path, method), cwd=tmp_path) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert (code, out.splitlines()) == (0, ["8", "ActorDied", "10", "[1, 2, 3]"]), errors
    assert (tmp_path / "ran").read_text() == "x", "the program ran more than once"


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_one_that_forgets_freeze_support_is_told_and_does_not_multiply(method, tmp_path):
    with running_python(python=freeze(tmp_path, method, "pass"), cwd=tmp_path) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert code == 0, errors
    told = "its first line must be multiprocessing.freeze_support()"
    *inner, last = [line for line in out.splitlines() if line]
    assert inner, out
    assert all(told in line for line in inner)
    assert last.startswith("SpawnError")
    assert len((tmp_path / "ran").read_text()) <= 10


def test_an_interpreter_that_was_named_is_taken(tmp_path):
    python = f"multiprocessing.set_executable({sys.executable!r})"
    with running_python(python=freeze(tmp_path, "spawn", python), cwd=tmp_path) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert (code, out.splitlines()) == (0, ["8", "ActorDied", "10", "[1, 2, 3]"]), errors


@pytest.mark.stress
def test_pyinstaller_makes_such_a_program(tmp_path):
    """Takes a minute, and runs only where somebody has installed it on purpose."""
    if not shutil.which("pyinstaller", path=f"{sys.prefix}/bin"):
        pytest.skip("PyInstaller is not installed")
    freeze(tmp_path, "forkserver")
    command = [f"{sys.prefix}/bin/pyinstaller", "--onedir", "--paths", ROOT, "main.py"]
    command += ["--collect-submodules", "procactors"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    app = tmp_path / "dist" / "main" / "main"
    with running_python(python=app, cwd=tmp_path) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert (code, out.splitlines()) == (0, ["8", "ActorDied", "10", "[1, 2, 3]"]), errors
    assert (tmp_path / "ran").read_text() == "x", "the program ran more than once"
