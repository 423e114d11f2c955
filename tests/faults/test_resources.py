"""Scarcity: no descriptors, no disk, no privileges; errors are clear and nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cloudpickle
import psutil
import pytest

import procactors
from tests.support.programs import running

#: Takes descriptors until only some are left, and tries everything.
POOR = """
    import os, resource, sys
    from procactors import Actor, ActorSystem
    from procactors.errors import ProcActorsError

    class Worker(Actor):
        def get(self):
            return 1

    def attempt(what):
        try:
            return what()
        except (ProcActorsError, OSError) as error:
            said.append(f"{type(error).__name__}: {error}")
            return None

    said = []
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with ActorSystem(start_method=sys.argv[1]) as system:
        old = system.spawn(Worker)
        assert old.ask(Worker.get) == 1
        for room in range(12):
            held = []
            resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
            try:
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                pass
            for _ in range(room):
                os.close(held.pop())
            new = attempt(lambda: system.spawn(Worker))
            attempt(lambda: new and new.ask(Worker.get))
            attempt(lambda: system.inbox())
            attempt(lambda: ActorSystem(start_method=sys.argv[1]).stop())
            assert old.ask(Worker.get) == 1  # what was there goes on
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
            for fd in held:
                os.close(fd)
            if new is not None:
                assert new.ask(Worker.get) == 1
                new.stop()
        more = system.spawn(Worker)
        assert more.ask(Worker.get) == 1
        names = [ref.name for ref in system.actors() if not ref.name.startswith("inbox")]
        assert names == [old.name, more.name], names
    assert said
    for text in said:
        assert "escriptor" in text or "open files" in text, text
    print("fine")
"""

#: Leaks of systems that failed to start at every possible step.
STILLBORN = """
    import gc, os, resource, sys
    from procactors import ActorSystem

    # The hard limit too: a system raises the soft one at its start.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    ActorSystem(start_method=sys.argv[1]).stop()
    before = sorted(os.listdir("/proc/self/fd"))
    failed = 0
    for room in range(3, 40):
        held = []
        try:
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for _ in range(room):
            os.close(held.pop())
        try:
            ActorSystem(start_method=sys.argv[1]).stop()
        except Exception as error:
            assert "Too many open files" in str(error) or "descriptor" in str(error), error
            failed += 1
        for fd in held:
            os.close(fd)
        gc.collect()
        after = sorted(os.listdir("/proc/self/fd"))
        assert len(after) == len(before), (room, [os.readlink(f"/proc/self/fd/{fd}")
            for fd in set(after) - set(before) if os.path.exists(f"/proc/self/fd/{fd}")])
    assert failed > 3
    print("fine")
"""

FULL = """
    import os, sys
    from procactors import Actor, ActorSystem
    from procactors.errors import ProcActorsError

    class Worker(Actor):
        def size(self, value):
            return len(value)

    with ActorSystem(start_method=sys.argv[1], runtime_dir=sys.argv[2]) as system:
        ref = system.spawn(Worker)
        filler = os.path.join(sys.argv[2], "filler")
        fd = os.open(filler, os.O_CREAT | os.O_WRONLY)
        try:
            while os.write(fd, bytes(4096)):
                pass
        except OSError:
            pass
        assert ref.ask(Worker.size, b"small") == 5
        for what in (lambda: system.spawn(Worker), lambda: system.inbox()):
            try:
                what()
            except (ProcActorsError, OSError) as error:
                text = str(error)
                print("No space left" in text or "no room" in text)
        # A large payload goes to the temporary directory.
        assert ref.ask(Worker.size, b"x" * 3_000_000) == 3_000_000
        os.close(fd)
        os.unlink(filler)
        assert system.spawn(Worker).ask(Worker.size, b"xy") == 2
        assert len(system.actors()) == 2
    print(os.listdir(sys.argv[2]))
"""

ORDINARY = """
    import os, sys
    from procactors import Actor, ActorSystem

    class Worker(Actor):
        def get(self):
            return os.getuid()
        def die(self):
            os._exit(1)

    assert os.getuid() != 0
    with ActorSystem(start_method=sys.argv[1]) as system:
        refs = [system.spawn(Worker) for _ in range(3)]
        refs[0].submit(Worker.die).exception()
        print({ref.ask(Worker.get) for ref in refs} == {os.getuid()})
        for number in range(2000):
            refs[1].tell(Worker.get)
        print(refs[1].ask(Worker.get) == os.getuid())
"""


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "tmpfs", place],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a file system is not allowed here")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_out_of_descriptors_is_a_clear_error_and_nothing_is_lost(start_method):
    with running(POOR, start_method) as program:
        code, out, errors = program.end()
        assert (code, out) == (0, "fine\n"), errors
        program.await_nothing_left()


def test_a_system_that_could_not_start_leaves_nothing(start_method):
    with running(STILLBORN, start_method) as program:
        code, out, errors = program.end()
        assert (code, out) == (0, "fine\n"), errors
        program.await_nothing_left()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a file system")
def test_a_full_disk_is_a_clear_error_and_actors_go_on(start_method, small_disk):
    with running(FULL, start_method, small_disk) as program:
        code, out, errors = program.end()
        assert code == 0, errors
        assert out.splitlines()[-1] == "[]"
        assert "False" not in out
        program.await_nothing_left()


@pytest.fixture
def for_everybody():
    """An interpreter and an import path that any user may use."""
    for executable in (sys.executable, "/usr/bin/python3"):
        tried = subprocess.run(
            ["/usr/bin/env", executable, "-c", "import sys; print(*sys.version_info[:2])"],
            user="nobody",
            group=65534,
            cwd="/",
            env={},
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.stdout.split() == [str(number) for number in sys.version_info[:2]]:
            break
    else:
        pytest.skip("no interpreter of this version that another user may run")
    with tempfile.TemporaryDirectory(prefix="for-everybody-") as folder:
        os.chmod(folder, 0o755)
        for package in (procactors, cloudpickle, psutil):
            source = Path(package.__file__).parent
            shutil.copytree(source, Path(folder, source.name))
        yield executable, folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_an_ordinary_user_needs_no_privileges(start_method, for_everybody):
    executable, path = for_everybody
    with running(
        ORDINARY,
        start_method,
        python=executable,
        user="nobody",
        group=65534,
        extra_groups=[],
        cwd="/",
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
    ) as program:
        code, out, errors = program.end()
        program.await_nothing_left()
    assert (code, out) == (0, "True\nTrue\n"), errors
