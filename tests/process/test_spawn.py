"""Spawning: what starts, with what, in which surroundings, and what is said if it does not."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import traceback

import psutil
import pytest

from procactors import Actor, ActorSystem
from procactors.errors import EncodeError, InvalidSpec, NameTaken, RemoteTraceback, SpawnError
from tests.support.actors import Counter, Crasher, Echo, Sleeper
from tests.support.faults import Fault
from tests.support.waiting import eventually


class Hooked(Actor):
    """Remembers its hooks."""

    def __init__(self, log):
        self.log = log
        self.write("init")

    def on_start(self):
        self.write("start")

    def on_restart(self, report):
        self.write(f"restart {report.incarnation}")

    def on_stop(self, reason):
        self.write(f"stop {reason}")

    def work(self):
        self.write("work")

    def write(self, text):
        with self.log.open("a") as file:
            file.write(f"{self.context.incarnation} {text}\n")


class Plain:
    """No base class: any class will do."""

    def __init__(self, value, *, factor=1):
        self.value = value * factor

    def get(self):
        return self.value


class Surroundings(Actor):
    def seen(self):
        return os.getcwd(), list(sys.path), list(sys.argv), dict(os.environ)


class EnvAtImport(Actor):
    def __init__(self, name):
        self.value = os.environ.get(name)

    def get(self):
        return self.value


class StuckAtStart(Actor):
    def __init__(self, gate):
        gate.wait()


class SelfAware(Actor):
    """Uses its context in the constructor."""

    def __init__(self):
        self.seen = (self.context.ref.name, self.context.incarnation, self.context.parent)

    def get(self):
        return self.seen


@pytest.mark.methods
def test_the_hooks_run_in_order_in_each_life(system, tmp_path):
    log = tmp_path / "log"
    ref = system.spawn(Hooked, log)
    ref.ask(Hooked.work)
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation == 2, "the second life")
    ref.ask(Hooked.work)
    ref.stop()
    assert log.read_text().splitlines() == [
        "1 init",
        "1 start",
        "1 work",
        "2 init",
        "2 start",
        "2 restart 1",
        "2 work",
        "2 stop stopped",
    ]


def test_spawn_returns_when_on_start_is_done(system, tmp_path):
    log = tmp_path / "log"
    system.spawn(Hooked, log)
    assert log.read_text().splitlines() == ["1 init", "1 start"]


def test_any_class_is_an_actor(system):
    ref = system.spawn(Plain, 2, factor=3)
    assert ref.ask(Plain.get) == 6


def test_the_context_is_there_in_the_constructor(system):
    ref = system.options(name="aware").spawn(SelfAware)
    assert ref.ask(SelfAware.get) == ("aware", 1, None)


def test_an_instance_made_by_hand_has_no_context():
    with pytest.raises(RuntimeError, match=r"system\.spawn\(SelfAware, \.\.\.\) makes an actor"):
        SelfAware()


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), ((1, 2), {}), ((1,), {"wrong": 2})], ids=["none", "many", "name"]
)
def test_wrong_constructor_arguments_are_refused_before_anything_starts(system, args, kwargs):
    with pytest.raises(TypeError, match=r"Plain\(value, \*, factor=1\)"):
        system.spawn(Plain, *args, **kwargs)
    assert system.actors() == []


def test_an_argument_that_cannot_be_pickled_is_named(system):
    with pytest.raises(EncodeError, match="lock"):
        system.spawn(Plain, {"a": [threading.Lock()]})
    assert system.actors() == []


def test_what_is_no_class_is_refused(system):
    with pytest.raises(InvalidSpec, match="takes a class"):
        system.spawn(lambda: None)


def test_an_unknown_option_is_named_with_the_known_ones(system):
    with pytest.raises(InvalidSpec, match=r"no option is called .mailboxx.; there are .*mailbox"):
        system.options(mailboxx=3)


@pytest.mark.parametrize("where", ["__init__", "on_start"])
def test_an_error_at_the_start_is_raised_with_its_remote_traceback(system, where):
    """Acceptance case 24: constructor raises at first start."""
    with pytest.raises(SpawnError, match=r"Crasher \(c\) did not start: .*Fault: on purpose") as it:
        system.options(name="c").spawn(Crasher, where)
    assert isinstance(it.value.__cause__, RemoteTraceback)
    assert f"in {where}" in str(it.value.__cause__)
    assert "in the actor's process" in "".join(traceback.format_exception(it.value))
    assert system.actors() == []
    assert isinstance(Fault("on purpose"), Exception)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("os._exit(7)", "exited with code 7"),
        ("sys.exit(3)", "exited with code 3"),
        ("SIGKILL", "ended by signal SIGKILL"),
        ("segfault", "ended by signal SIGSEGV"),
    ],
)
def test_an_end_at_the_start_is_told(system, how, said):
    with pytest.raises(SpawnError, match=said):
        system.spawn(Crasher, "__init__", how)
    assert system.actors() == []


def test_a_failed_start_leaves_the_name_free(system, tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    spawner = system.options(name="c")
    with pytest.raises(SpawnError):
        spawner.spawn(Crasher, "__init__", "exception", marker)
    marker.unlink()
    assert spawner.spawn(Crasher, "__init__", "exception", marker).is_alive()


def test_a_start_that_takes_too_long_is_ended(system, gate):
    with pytest.raises(SpawnError, match=r"longer than start_timeout=0\.3 s"):
        system.options(start_timeout=0.3).spawn(StuckAtStart, gate)
    assert system.actors() == []


def test_a_name_is_given_once(system):
    ref = system.options(name="one").spawn(Counter)
    with pytest.raises(NameTaken, match="'one' is running"):
        system.options(name="one").spawn(Counter)
    ref.stop()
    assert system.options(name="one").spawn(Counter) != ref


def test_a_name_made_up_gives_way_to_one_that_was_chosen(system):
    first = system.spawn(Counter)
    stem, _, number = first.name.rpartition("-")
    for more in (1, 2, 3):
        system.options(name=f"{stem}-{int(number) + more}").spawn(Echo)
    assert system.spawn(Counter).ask(Counter.get_value) == 0


def test_actors_are_found_by_name(system):
    ref = system.options(name="one").spawn(Counter, 7)
    found = system.find("one")
    assert found == ref
    assert found.ask(Counter.get_value) == 7
    assert system["one"] == ref
    assert system.find("two") is None
    with pytest.raises(KeyError, match="no live actor is named 'two'"):
        system["two"]
    ref.stop()
    assert system.find("one") is None


def test_the_live_actors_are_listed_in_start_order(system):
    refs = [system.spawn(Echo) for _ in range(4)]
    assert system.actors() == refs
    refs.pop(1).stop()
    assert system.actors() == refs


def test_env_is_set_before_the_class_is_loaded(system):
    ref = system.options(env={"PA_TEST_WORD": "blue"}).spawn(EnvAtImport, "PA_TEST_WORD")
    assert ref.ask(EnvAtImport.get) == "blue"
    assert "PA_TEST_WORD" not in os.environ
    assert system.spawn(EnvAtImport, "PA_TEST_WORD").ask(EnvAtImport.get) is None


def test_each_start_takes_the_surroundings_of_its_moment(system, tmp_path, monkeypatch):
    """Directory, import path, arguments and environment, changed after the system's start."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["program", "--flag"])
    monkeypatch.setenv("PA_TEST_LATE", "yes")
    monkeypatch.delenv("HOME", raising=False)
    cwd, path, argv, environ = system.spawn(Surroundings).ask(Surroundings.seen)
    assert cwd == str(tmp_path)
    assert path == sys.path
    assert argv == ["program", "--flag"]
    assert environ["PA_TEST_LATE"] == "yes"
    assert "HOME" not in environ


def test_a_module_that_came_after_the_systems_start_is_importable(system, tmp_path, monkeypatch):
    (tmp_path / "latecomer.py").write_text("class Late:\n    def word(self): return 'late'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from latecomer import Late  # ty: ignore

    try:
        assert system.spawn(Late).ask(Late.word) == "late"
    finally:
        del sys.modules["latecomer"]


def test_a_class_of_a_function_travels_by_value(system):
    word = "captured"

    class Local(Actor):
        def get(self):
            return word

        def same(self, other):
            return type(self) is other

    ref = system.spawn(Local)
    assert ref.ask(Local.get) == "captured"
    assert ref.ask(Local.same, Local) is True


def test_eight_threads_spawn_at_once(system):
    refs, errors = [], []

    def spawn():
        try:
            refs.extend(system.spawn(Echo) for _ in range(3))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=spawn) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({ref.ask(Echo.pid) for ref in refs}) == 24
    assert {ref.name for ref in system.actors()} == {ref.name for ref in refs}


def test_an_actor_is_killed_while_it_starts(system, gate):
    """The spawner hears of it; nothing is left."""
    errors = []

    def spawn():
        try:
            system.options(name="stuck").spawn(StuckAtStart, gate)
        except SpawnError as error:
            errors.append(str(error))

    thread = threading.Thread(target=spawn)
    thread.start()
    os.kill(gate.arrival(), signal.SIGKILL)
    thread.join()
    assert "ended by signal SIGKILL" in errors[0]
    assert system.find("stuck") is None


def test_a_starting_actor_can_be_found_and_killed(system, gate):
    errors = []

    def spawn():
        try:
            system.options(name="stuck").spawn(StuckAtStart, gate)
        except SpawnError as error:
            errors.append(str(error))

    thread = threading.Thread(target=spawn)
    thread.start()
    gate.arrival()
    ref = system["stuck"]
    assert ref.status().state == "starting"
    assert ref.kill().signal_name == "SIGKILL"
    thread.join()
    assert "killed by the runtime with SIGKILL" in errors[0]


def test_an_actor_ignores_a_sigterm_that_nobody_ordered(system, gate):
    """Schedulers send it to every process of a job; the parent is who drains."""
    ref = system.spawn(Sleeper)
    reply = ref.submit(Sleeper.sleep, gate)
    pid = gate.arrival()
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    gate.open()
    assert reply.result() == pid


def test_a_preload_that_ends_the_zygote_is_a_clear_error(tmp_path, monkeypatch):
    (tmp_path / "ends_at_import.py").write_text("import os\nos._exit(3)\n")
    monkeypatch.syspath_prepend(tmp_path)
    with (
        ActorSystem(preload=["ends_at_import"]) as system,
        pytest.raises(SpawnError, match="preload"),
    ):
        system.spawn(Echo)


def test_a_preload_that_cannot_be_imported_is_left_out():
    with ActorSystem(preload=["no_such_module_anywhere"]) as system:
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1


def test_a_spawn_that_is_refused_leaves_no_process_behind():
    """One may have been forked for it by then."""
    with ActorSystem() as system:
        system.spawn(Echo).stop()
        zygote = psutil.Process(system._supervisor._launcher._zygote.pid)
        eventually(lambda: _forked_by(zygote) == 0, "the stopped one to be gone")
        for _ in range(3):
            with pytest.raises(TypeError):
                system.spawn(Echo, "too", "many", "arguments")
        eventually(lambda: _forked_by(zygote) == 0, "what was forked in vain to be gone")
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1


def _forked_by(zygote):
    """Count what it has forked and what lives; the tracker of multiprocessing's runs a program."""
    count = 0
    for one in zygote.children():
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie, too
            count += "resource_tracker" not in " ".join(one.cmdline())
    return count
