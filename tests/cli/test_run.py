"""`procactors run` and `procactors tree`: what may be named, how it ends, what a mistake says."""

from __future__ import annotations

import signal
import sys

import pytest

from procactors.cli import main, run as run_command
from tests.support.programs import ran, running_python
from tests.support.source import ROOT

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

MODULE = """
import os
import signal
import sys
from procactors import Actor, run
from procactors.model.tree import Strategy, Supervisor, spec

class Worker(Actor):
    def on_start(self):
        print(self.context.ref.name, "up", flush=True)
    def on_stop(self, reason):
        print(self.context.ref.name, reason, flush=True)
    def hold(self):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("held", flush=True)
        while True:
            signal.pause()

class Origin(Actor):
    def find(self, program):
        if os.getppid() != program:
            return "forkserver"
        return "fork" if hasattr(sys, "is_a_copy") else "spawn"

tree = Supervisor(spec(Worker).options(name="a"), spec(Worker).options(name="b"))

def make():
    return Supervisor(spec(Worker).options(name="made"), strategy=Strategy.ONE_FOR_ALL)

def makes_nothing():
    pass

def breaks():
    raise KeyError("on purpose")

def three(system):
    system.options(name="three").spawn(Worker)
    return 3

def origin(system):
    sys.is_a_copy = True
    print(system.spawn(Origin).ask(Origin.find, os.getpid()), flush=True)

def waits(system):
    system.options(name="waits").spawn(Worker)
    while True:
        signal.pause()

def stuck(system):
    system.options(name="stuck").spawn(Worker).ask(Worker.hold)

number = 7
"""

TREE = """
strategy = "rest_for_one"
[[children]]
class = "my_program:Worker"
name = "one"
[[children]]
[[children.children]]
class = "my_program:Worker"
name = "two"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_program.py").write_text(MODULE)
    (tmp_path / "tree.toml").write_text(TREE)
    return tmp_path


def command(folder, *arguments):
    """Run the command in a folder to its end; return (exit code, output, errors)."""
    ended = ran(folder, "-m", "procactors", *arguments)
    return ended.returncode, ended.stdout, ended.stderr


def test_a_tree_of_a_file_is_printed(folder):
    assert command(folder, "tree", "tree.toml") == (
        0,
        (
            "supervisor (rest_for_one, at most 3 restarts within 5 s)\n"
            "├─ one: my_program:Worker (transient)\n"
            "└─ supervisor (one_for_one, at most 3 restarts within 5 s, permanent)\n"
            "   └─ two: my_program:Worker (transient)\n"
        ),
        "",
    )


@pytest.mark.parametrize(
    ("target", "first"),
    [
        ("my_program:tree", "supervisor (one_for_one, at most 3 restarts within 5 s)"),
        ("my_program:make", "supervisor (one_for_all, at most 3 restarts within 5 s)"),
    ],
)
def test_a_tree_of_a_module_is_printed(folder, target, first):
    code, out, errors = command(folder, "tree", target)
    assert (code, out.splitlines()[0], errors) == (0, first, "")


def test_the_installed_command_finds_the_current_directory_too(folder):
    """As `python -m` does: its own first path is another."""
    text = "import sys; sys.path[0] = '/nowhere'; from procactors.cli import main; sys.exit(main())"
    ended = ran(folder, "-c", text, "tree", "my_program:tree")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.count("my_program:Worker") == 2


def test_a_function_runs_and_its_number_is_the_exit_code(folder):
    assert command(folder, "run", "my_program:three") == (3, "three up\nthree stopped\n", "")


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_the_start_method_is_the_systems(folder, method):
    """And its actors find the module in the current directory."""
    code, out, _ = command(folder, "run", "my_program:origin", "--start-method", method)
    assert (code, out) == (0, f"{method}\n")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_a_function_in_order(folder, signum, code):
    with running_python("-m", "procactors", "run", "my_program:waits", cwd=folder) as program:
        assert program.line() == "waits up"
        program.process.send_signal(signum)
        assert program.end() == (code, "waits stopped\n", "")
        program.await_nothing_left()


def test_the_grace_time_is_the_one_that_was_given(monkeypatch):
    """What a program does with it, is the next test's."""
    given = []
    monkeypatch.setattr(
        run_command, "run_program", lambda target, **options: given.append(options["grace"]) or 0
    )
    for words in ((), ("--grace", "7")):
        assert main(["run", "tests.support.waiting:eventually", *words]) == 0
    assert given == [None, 7.0]


def test_the_grace_time_bounds_the_stop(folder):
    arguments = ("-m", "procactors", "run", "my_program:stuck", "--grace", "0.3")
    with running_python(*arguments, cwd=folder) as program:
        assert [program.line(), program.line()] == ["stuck up", "held"]
        program.process.terminate()
        code, out, errors = program.end()
        assert (code, out) == (143, "")
        assert "Traceback" not in errors
        program.await_nothing_left()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_tree_of_a_file_runs_until_a_signal(folder, signum, code):
    with running_python("-m", "procactors", "run", "tree.toml", cwd=folder) as program:
        assert [program.line(), program.line()] == ["one up", "two up"]
        program.process.send_signal(signum)
        assert program.end() == (code, "two stopped\none stopped\n", "")
        program.await_nothing_left()


def test_a_tree_of_a_module_runs_until_a_signal(folder):
    with running_python("-m", "procactors", "run", "my_program:tree", cwd=folder) as program:
        assert [program.line(), program.line()] == ["a up", "b up"]
        program.process.terminate()
        assert program.end() == (143, "b stopped\na stopped\n", "")
        program.await_nothing_left()


@pytest.mark.parametrize("verb", ["run", "tree"])
@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("no.toml", "procactors: no.toml: cannot be read: No such file or directory\n"),
        ("bad.toml", "procactors: bad.toml: children[0]: an actor has no key 'nam'; did you mean "),
        ("my_program", "procactors: expected TREE.toml or MODULE:ATTRIBUTE, found 'my_program'\n"),
        ("my_program:", 'procactors: expected "module:attribute", as in "mypackage.tree:tree", '),
        ("my_program:tre", "procactors: my_program has no 'tre'; did you mean 'tree'?\n"),
        ("no_program:tree", "procactors: the module no_program cannot be imported: No module "),
        ("my_program:number", "procactors: my_program:number: expected a Supervisor or a function"),
        ("my_program:Worker", "procactors: my_program:Worker: expected a Supervisor or a function"),
        ("my_program:makes_nothing", "procactors: my_program:makes_nothing takes nothing, so it "),
    ],
    ids=lambda value: value.split()[0],
)
def test_a_mistake_ends_with_2_and_one_line(folder, verb, target, complaint):
    (folder / "bad.toml").write_text('[[children]]\nclass = "my_program:Worker"\nnam = "x"\n')
    code, out, errors = command(folder, verb, target)
    assert (code, out) == (2, "")
    assert errors.startswith(complaint)
    assert errors.count("\n") == 1


def test_an_error_in_the_users_own_code_has_its_traceback(folder):
    (folder / "broken.py").write_text("1 / 0\n")
    code, out, errors = command(folder, "tree", "broken:tree")
    assert (code, out) == (2, "")
    assert "ZeroDivisionError: division by zero\n" in errors
    assert errors.endswith("procactors: the module broken cannot be imported: division by zero\n")
    code, _, errors = command(folder, "run", "my_program:breaks")
    assert code == 2
    assert "in breaks\n" in errors
    assert errors.endswith("procactors: my_program:breaks() raised KeyError: 'on purpose'\n")


def test_a_program_has_no_tree_to_print(folder):
    code, out, errors = command(folder, "tree", "my_program:three")
    assert (code, out) == (2, "")
    assert errors.startswith("procactors: my_program:three takes the system: it is a program")


@pytest.mark.parametrize("seconds", ["-1", "soon", "nan", "inf"])
def test_a_grace_time_that_is_none_is_a_usage_error(seconds, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["run", f"--grace={seconds}", "tree.toml"])
    assert ended.value.code == 2
    assert f"'{seconds}' is not a number of seconds from 0 on" in capsys.readouterr().err


def test_the_tree_of_the_examples_is_the_one_that_its_lesson_describes():
    code, out, errors = command(ROOT / "examples", "tree", "tree.toml")
    assert (code, errors) == (0, "")
    assert [line.split(":")[0].lstrip("├─└│ ") for line in out.splitlines()[1:]] == [
        "workers",
        "sink",
        "doubler",
        "source",
    ]
