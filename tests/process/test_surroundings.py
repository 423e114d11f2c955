"""What an actor finds around it is what its program has: plain values, zone, keys, streams."""

from __future__ import annotations

import enum
import logging
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from multiprocessing import spawn

import numpy as np
import pytest

from procactors import Actor, ActorSystem, Limits, Restart, Supervisor, spec
from procactors.errors import InvalidSpec, RemoteTraceback, SpawnError
from procactors.futures import ActorPoolExecutor
from procactors.process.launcher import Launcher
from tests.support.actors import Echo
from tests.support.scripts import run_source
from tests.support.source import ROOT

#: A name in Latin-1, as a disk of long ago may have it.
NO_UTF8 = os.fsdecode(b"caf\xe9")


class Word(str):
    __slots__ = ()

    def __str__(self):
        return "something else"


class Kind(str, enum.Enum):
    PARSER = "parser"


class Looker(Actor):
    def argv(self):
        return [(type(item).__name__, item) for item in sys.argv]

    def path(self):
        return list(sys.path)

    def variable(self, name):
        return os.environ.get(name)

    def zone(self):
        return time.strftime("%H:%M %Z", time.localtime(0))

    def cwd(self):
        return os.getcwd()

    def temporary(self):
        return tempfile.gettempdir()

    def main_file(self):
        return sys.modules["__main__"].__file__

    def is_alone(self):
        parent = multiprocessing.parent_process()
        return parent is None or not parent.is_alive()

    def known(self):
        """What `multiprocessing` and `threading` say of this process."""
        process, parent = multiprocessing.current_process(), multiprocessing.parent_process()
        assert threading.main_thread().native_id == os.getpid() == process.pid
        assert (parent.pid, multiprocessing.active_children()) == (os.getppid(), [])
        return process.name, multiprocessing.get_start_method()

    def forked_places(self):
        from tests.support.asks_after_fork import PLACE

        return PLACE.processes, os.getpid()

    def has_children(self):
        process = multiprocessing.get_context("fork").Process(target=int)
        process.start()
        process.join()
        return process.exitcode

    def put(self, queue, value):
        queue.put(value)


class BadCause(Actor):
    def __init__(self):
        try:
            int("x")
        except ValueError as error:
            raise KeyError("no such number") from error


def restarted(ref):
    os.kill(ref.ask(Echo.pid), signal.SIGKILL)
    return ref.ask(Echo.incarnation)


def test_paths_in_argv_travel_as_strings(system, monkeypatch):
    word = Word("arg")
    monkeypatch.setattr(sys, "argv", ["prog", pathlib.Path("/nowhere"), word, b"caf\xe9", 3])
    expected = ["prog", "/nowhere", "arg", NO_UTF8, "3"]
    assert system.spawn(Looker).ask(Looker.argv) == [("str", text) for text in expected]


def test_what_imports_pass_over_in_the_path_is_left_out(system, monkeypatch):
    """A path object is no place to look for modules, and none in the actor either."""
    path = [*sys.path, pathlib.Path("/nowhere"), None, Word("/word"), f"/{NO_UTF8}"]
    monkeypatch.setattr(sys, "path", path)
    assert system.spawn(Looker).ask(Looker.path)[-2:] == ["/word", f"/{NO_UTF8}"]


def test_a_system_starts_with_any_path(start_method, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, pathlib.Path("/nowhere"), f"/{NO_UTF8}"])
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(restart=Restart.PERMANENT).spawn(Echo)
        assert restarted(ref) == 2


def test_a_program_without_argv_has_actors(system, monkeypatch):
    """As where Python is embedded in another program."""
    monkeypatch.delattr(sys, "argv")
    assert system.spawn(Looker).ask(Looker.argv) == [("str", "")]


def test_the_main_files_name_may_be_any_string(system, monkeypatch):
    """The debugger's is of a class of its own."""
    monkeypatch.setattr(sys.modules["__main__"], "__file__", Word("/main.py"), raising=False)
    assert system.spawn(Looker).ask(Looker.main_file) == "/main.py"


def test_what_cannot_travel_at_all_is_a_failed_start(system, monkeypatch):
    class Environment(dict):
        pass

    monkeypatch.setattr(os, "environ", Environment(os.environ, THING=object()))
    with pytest.raises(SpawnError, match="expected strings alone in the environment, found <obj"):
        system.spawn(Echo)


def test_numbers_and_names_of_other_libraries_become_plain_options(system):
    options = system.options(
        name=Kind.PARSER,
        max_restarts=np.int64(5),
        within=np.float32(2.0),
        stop_timeout=np.float64(9.0),
        env={Word("PLACE"): pathlib.Path("/nowhere"), "B": np.str_("b")},
        limits=Limits(nice=np.int8(1), threads=np.int64(2)),
        seed=np.uint32(7),
    )
    ref = options.spawn(Looker)
    found = system._supervisor.core.actors[ref._actor].options
    assert [type(value) for value in (found.name, found.max_restarts, found.within)] == [
        *(str, int, float),
    ]
    assert (type(found.stop_timeout), type(found.limits.nice)) == (float, int)
    assert found.env == {"PLACE": "/nowhere", "B": "b"}
    assert ref.name == "parser"
    assert ref.ask(Looker.variable, "PLACE") == "/nowhere"


def test_a_trees_numbers_are_plain(system):
    tree = Supervisor(spec(Echo), max_restarts=np.int64(3), within=np.float64(5.0))
    assert (type(tree.max_restarts), type(tree.within)) == (int, float)
    system.supervise(tree).stop()


@pytest.mark.parametrize(
    "env",
    [{"A": "a\0b"}, {"A\0": "a"}, {"A": "\ud800"}, {"A": np.int64(1)}],
    ids=["NUL in a value", "NUL in a name", "surrogate", "number"],
)
def test_a_variable_that_the_kernel_would_not_take_is_an_error_at_once(env):
    with pytest.raises(InvalidSpec, match="env maps names to strings"):
        ActorSystem.options(None, env=env)


def test_any_text_names_an_actor(system):
    ref = system.options(name="é", restart=Restart.PERMANENT).spawn(Echo)
    assert restarted(ref) == 2
    assert system["é"].name == "é"
    with pytest.raises(InvalidSpec, match="a string without NUL"):
        system.options(name="a\0b")


def test_a_name_that_is_no_utf_8_is_a_name(start_method):
    """In a program of its own: what its crash is logged with could not leave a parallel run."""
    source = """
import os, sys
from procactors import Actor, ActorSystem, Restart
class Echo(Actor):
    def life(self): return self.context.incarnation
    def die(self): os._exit(3)
name = os.fsdecode(b"caf\\xe9")
with ActorSystem(start_method=sys.argv[1]) as system:
    ref = system.options(name=name, restart=Restart.PERMANENT).spawn(Echo)
    ref.submit(Echo.die).exception()
    print(ref.ask(Echo.life), system[name].name == name)
"""
    assert run_source(source, start_method) == "2 True\n"


def test_the_time_zone_is_the_environments(system, monkeypatch):
    assert system.options(env={"TZ": "Asia/Tokyo"}).spawn(Looker).ask(Looker.zone) == "09:00 JST"
    monkeypatch.setenv("TZ", "America/New_York")
    assert system.spawn(Looker).ask(Looker.zone) == "19:00 EST"


def test_the_environment_is_the_programs_of_the_moment(system, monkeypatch):
    """Whatever changed since the zygote, or the actor before, came up."""
    look = Looker.variable
    assert system.spawn(Looker).ask(look, "PLACE") is None
    monkeypatch.setenv("PLACE", "here")
    assert system.spawn(Looker).ask(look, "PLACE") == "here"
    monkeypatch.setenv("PLACE", "there")
    assert system.options(env={"OTHER": "1"}).spawn(Looker).ask(look, "PLACE") == "there"
    monkeypatch.delenv("PLACE")
    ref = system.spawn(Looker)
    assert (ref.ask(look, "PLACE"), ref.ask(look, "OTHER")) == (None, None)


class Nesting(Actor):
    """Changes its environment, and has an actor of its own by a copy of itself."""

    def nested(self, name, value):
        as_it_was = os.environ[name]
        os.environ[name] = value
        with ActorSystem(start_method="fork") as system:
            return system.options(env={name: as_it_was}).spawn(Looker).ask(Looker.variable, name)


def test_a_copy_of_an_actor_compares_with_its_own_environment(system, monkeypatch):
    """Not with the zygote's, which has what is wanted: the copy has not."""
    monkeypatch.setenv("PLACE", "zygote")
    with ActorSystem() as later:
        assert later.spawn(Nesting).ask(Nesting.nested, "PLACE", "actor") == "zygote"


def test_an_actor_knows_that_what_started_it_lives(start_method):
    """`multiprocessing` says so, to libraries that ask it."""
    with ActorSystem(start_method=start_method) as system:
        assert system.spawn(Looker).ask(Looker.is_alone) is (start_method == "spawn")


@pytest.mark.parametrize("spares", [0, 1])
def test_multiprocessing_knows_an_actors_process_as_it_knows_its_own(spares):
    """And runs in it what a preloaded module has asked for, but not the zygote's finalizers."""
    with ActorSystem(spares=spares, preload=["tests.support.asks_after_fork"]) as system:
        for _ in range(3):
            ref = system.spawn(Looker)
            assert ref.ask(Looker.known) == ("actor", "fork")
            processes, pid = ref.ask(Looker.forked_places)
            assert processes == [pid]
            assert ref.ask(Looker.has_children) == 0
            assert str(ref.stop()) == "stopped"


def test_the_temporary_directory_is_the_environments(start_method, tmp_path, monkeypatch):
    """Also where the zygote has found another one before, as a preloaded module may have it do."""
    monkeypatch.setattr(tempfile, "tempdir", tempfile.gettempdir())
    with ActorSystem(start_method=start_method, preload=["tests.support.asks_tempdir"]) as system:
        before = system.spawn(Looker).ask(Looker.temporary)
        ref = system.options(env={"TMPDIR": str(tmp_path)}).spawn(Looker)
        assert ref.ask(Looker.temporary) == str(tmp_path)
        assert list(tmp_path.iterdir()) == []
        gone = system.options(env={"TMPDIR": "/nowhere"}).spawn(Looker)
        assert gone.ask(Looker.temporary) == before


def test_folders_may_have_any_name(start_method, tmp_path, monkeypatch):
    odd = tmp_path / NO_UTF8
    odd.mkdir()
    monkeypatch.chdir(odd)
    with ActorSystem(start_method=start_method, runtime_dir=os.fsencode(odd)) as system:
        ref = system.options(env={"PLACE": odd}, restart=Restart.PERMANENT).spawn(Looker)
        assert ref.ask(Looker.cwd) == str(odd)
        assert ref.ask(Looker.variable, "PLACE") == str(odd)


def test_a_runtime_directory_is_found_from_wherever_the_program_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rt").mkdir()
    with ActorSystem(runtime_dir="rt") as system:
        monkeypatch.chdir("/")
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1


def put(queue, value):
    queue.put(value)


def test_a_managers_proxies_work_in_actors_pools_and_executors(start_method):
    context = multiprocessing.get_context(start_method)
    with multiprocessing.Manager() as manager:
        queue = manager.Queue()
        with ActorSystem(start_method=start_method) as system:
            system.spawn(Looker).ask(Looker.put, queue, 1)
            with system.options(size=1).pool() as pool:
                pool.ask(put, queue, 2)
        executor = ActorPoolExecutor(1, mp_context=context, initializer=put, initargs=(queue, 3))
        with executor:
            executor.submit(put, queue, 4).result()
        assert [queue.get() for _ in range(4)] == [1, 2, 3, 4]


DAEMONIC = """
import multiprocessing, sys
from procactors import ActorSystem
from tests.process.test_surroundings import Looker

def run():
    with ActorSystem(start_method=sys.argv[1]) as system:
        print(system.spawn(Looker).ask(Looker.has_children), flush=True)

process = multiprocessing.get_context("fork").Process(target=run, daemon=True)
process.start()
process.join()
"""


def test_a_daemonic_process_may_have_a_system(start_method):
    assert run_source(DAEMONIC, start_method) == "0\n"


@pytest.mark.parametrize("known", [None, "", b""])
def test_without_a_known_interpreter_the_one_beside_the_library_is_taken(known, monkeypatch):
    monkeypatch.setattr(spawn, "get_executable", lambda: known)
    monkeypatch.setattr(sys, "executable", known)
    with ActorSystem(start_method="spawn") as system:
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1


def test_without_any_interpreter_the_error_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(spawn, "get_executable", lambda: None)
    monkeypatch.setattr(sys, "executable", None)
    monkeypatch.setattr(sys, "exec_prefix", str(tmp_path))
    monkeypatch.setattr(sys, "base_exec_prefix", str(tmp_path))
    with pytest.raises(SpawnError, match=r"name one by multiprocessing\.set_executable\(path\)"):
        ActorSystem()
    Launcher(str(tmp_path), "spawn").close()


def test_a_failed_start_shows_its_whole_cause_once_from_the_users_frames_on(system, caplog):
    with pytest.raises(SpawnError, match="did not start: KeyError: 'no such number'") as caught:
        system.spawn(BadCause)
    cause = caught.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert cause.text.count("ValueError: invalid literal") == 1
    assert cause.text.count("KeyError: 'no such number'") == 1
    files = [line for line in cause.text.splitlines() if line.startswith("  File ")]
    assert len(files) == 2
    assert all(__file__ in line for line in files)
    said = [it.getMessage() for it in caplog.records if it.levelno > logging.DEBUG]
    assert len(said) == 1
    assert "Traceback" not in said[0]


CLOSED = """
import os, sys
from procactors import ActorSystem
from tests.support.actors import Echo
with ActorSystem(start_method=sys.argv[1]) as system:
    ref = system.spawn(Echo)
    print("lost")
    pids = [os.getpid(), ref.ask(Echo.pid)]
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for pid in pids for fd in map(int, sys.argv[3:])]
    with open(sys.argv[2], "w") as file:
        file.write(" ".join(held))
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_are_nobodys(start_method, closed, tmp_path):
    out = tmp_path / "out"
    shut = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
    program = [sys.executable, "-c", CLOSED, start_method, str(out), *map(str, closed)]
    subprocess.run(
        ["/bin/sh", "-c", f'exec "$@" {shut}', "sh", *program],
        cwd=ROOT,
        check=True,
        timeout=60,
    )
    assert out.read_text().split() == ["/dev/null"] * 2 * len(closed)
