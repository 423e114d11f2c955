"""Limits: memory that ends an actor; threads, CPUs and niceness that are set before its code."""

from __future__ import annotations

import os
import resource
import signal
import threading

import pytest

from procactors import Actor, ActorSystem, ExitKind, Limits, Restart
from procactors.errors import ActorDied, SpawnError
from procactors.process.oom import OomKills
from tests.support.actors import Crasher, Echo
from tests.support.programs import running
from tests.support.waiting import eventually

MIB = 2**20

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def own_peak():
    """Most resident bytes of this process so far: what an actor by `fork` begins with, or less."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Hog(Actor):
    """Takes memory, and holds it."""

    def __init__(self, at_once=0):
        self.held = [b"\1" * at_once]

    def take(self, size):
        self.held.append(b"\1" * size)
        return self.context.incarnation

    def take_and_hold(self, size):
        self.held.append(b"\1" * size)
        threading.Event().wait()

    def get(self):
        return self.context.incarnation


class Placed(Actor):
    """Tells where it found itself; the first look is in its constructor."""

    def __init__(self, names=()):
        self.seen = self.look(names)

    def look(self, names=THREAD_VARIABLES):
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        return {name: os.environ.get(name) for name in names}, os.sched_getaffinity(0), nice

    def first_look(self):
        return self.seen


@pytest.fixture
def clean(monkeypatch):
    """This process's environment without the variables."""
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def again(ref):
    """Kill the actor, and wait for its next life."""
    life = ref.status().incarnation
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation == life + 1, "the next life")


def test_an_actor_over_its_memory_limit_is_ended_and_restarted(system):
    allowed = own_peak() + 64 * MIB
    ref = system.options(limits=Limits(memory=allowed)).spawn(Hog)
    in_hand = ref.submit(Hog.take_and_hold, allowed)
    behind = ref.submit(Hog.get)
    with pytest.raises(ActorDied, match=rf"\d+ bytes resident, allowed are {allowed}") as died:
        in_hand.result()
    report = died.value.report
    assert report.reason.kind is ExitKind.MEMORY
    used = int(report.reason.text.partition(" ")[0])
    assert report.peak_memory >= used > allowed
    assert report.handler == "Hog.take_and_hold"
    assert behind.result() == 2


def test_memory_is_looked_at_while_the_actor_is_idle(system):
    allowed = own_peak() + 64 * MIB
    options = system.options(limits=Limits(memory=allowed), restart=Restart.TEMPORARY)
    ref = options.spawn(Hog)
    ref.tell(Hog.take, allowed)
    assert ref.wait().kind is ExitKind.MEMORY


def test_memory_is_looked_at_during_the_start(system):
    allowed = own_peak() + 64 * MIB
    with pytest.raises(SpawnError, match="killed at its memory limit"):
        system.options(limits=Limits(memory=allowed)).spawn(HogAtStart, allowed)


class HogAtStart(Hog):
    def on_start(self):
        threading.Event().wait()


def test_an_actor_within_its_memory_limit_lives(system):
    limits = Limits(memory=own_peak() + 256 * MIB)
    ref, other = system.options(limits=limits).spawn(Hog), None
    assert ref.ask(Hog.take, 8 * MIB) == 1
    allowed = own_peak() + 64 * MIB
    other = system.options(limits=Limits(memory=allowed), restart=Restart.TEMPORARY).spawn(Hog)
    other.tell(Hog.take, allowed)
    assert other.wait().kind is ExitKind.MEMORY  # by then the watchdog has looked
    assert ref.ask(Hog.get) == 1


def test_threads_are_capped_in_each_life_before_the_actors_code(system, clean):
    ref = system.options(limits=Limits(threads=3)).spawn(Placed, THREAD_VARIABLES)
    for _ in range(2):
        assert ref.ask(Placed.first_look)[0] == dict.fromkeys(THREAD_VARIABLES, "3")
        again(ref)


def test_limits_without_a_word_on_threads_mean_one(system, clean):
    ref = system.options(limits=Limits(nice=None)).spawn(Placed)
    assert set(ref.ask(Placed.look)[0].values()) == {"1"}


@pytest.mark.parametrize("limits", [None, Limits(threads=None)], ids=["no limits", "threads=None"])
def test_without_a_cap_no_variable_is_set(system, clean, limits):
    ref = system.options(limits=limits).spawn(Placed)
    assert set(ref.ask(Placed.look)[0].values()) == {None}


def test_an_explicit_variable_wins(system, clean):
    clean.setenv("OMP_NUM_THREADS", "7")
    options = system.options(limits=Limits(threads=2), env={"MKL_NUM_THREADS": "5"})
    seen = options.spawn(Placed).ask(Placed.look)[0]
    assert seen["OMP_NUM_THREADS"] == "7"
    assert seen["MKL_NUM_THREADS"] == "5"
    assert seen["OPENBLAS_NUM_THREADS"] == "2"


def test_an_actor_runs_on_its_cpus_in_each_life(system):
    cpu = max(os.sched_getaffinity(0))
    before = os.sched_getaffinity(0)
    ref = system.options(limits=Limits(cpu_affinity=[cpu])).spawn(Placed)
    for _ in range(2):
        assert ref.ask(Placed.first_look)[1] == {cpu}
        again(ref)
    assert system.spawn(Placed).ask(Placed.first_look)[1] == before


def test_a_cpu_that_is_not_there_is_named(system):
    here = min(os.sched_getaffinity(0))
    for cpus in ([here, 5000], [5000]):
        with pytest.raises(SpawnError, match=r"Limits\.cpu_affinity names CPU 5000, on which"):
            system.options(limits=Limits(cpu_affinity=cpus)).spawn(Placed)
    assert system.actors() == []


def test_an_actor_is_as_nice_as_told_in_each_life(system):
    now = os.getpriority(os.PRIO_PROCESS, 0)
    wanted = min(19, now + 5)
    ref = system.options(limits=Limits(nice=wanted)).spawn(Placed)
    for _ in range(2):
        assert ref.ask(Placed.first_look)[2] == wanted
        again(ref)
    assert system.spawn(Placed).ask(Placed.first_look)[2] == now


NOT_PERMITTED = """
import ctypes, os, resource, sys
if len(sys.argv) == 2:  # first: give up the privilege, which takes effect with the next exec
    resource.setrlimit(resource.RLIMIT_NICE, (0, 0))
    ctypes.CDLL(None).prctl(24, 23, 0, 0, 0)  # PR_CAPBSET_DROP, CAP_SYS_NICE; no harm if refused
    os.execv(sys.executable, [sys.executable, "-c", sys.orig_argv[2], sys.argv[1], "again"])

from procactors import ActorSystem, Limits
from procactors.errors import SpawnError

class Plain:
    pass

with ActorSystem(start_method=sys.argv[1]) as system:
    try:
        system.options(limits=Limits(nice=-20)).spawn(Plain)
    except SpawnError as error:
        print(error)
"""


def test_a_niceness_that_takes_privilege_is_named(start_method):
    with running(NOT_PERMITTED, start_method) as program:
        code, out, errors = program.end()
    assert code == 0, errors
    assert "Limits.nice=-20 is not permitted to user" in out


def test_limits_hold_for_a_spare(clean):
    """A spare was forked before anybody knew what it would become."""
    wanted = min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
    with ActorSystem(spares=1) as system:
        ref = system.options(limits=Limits(threads=2, nice=wanted)).spawn(Placed, THREAD_VARIABLES)
        variables, _, nice = ref.ask(Placed.first_look)
        assert (set(variables.values()), nice) == ({"2"}, wanted)


def test_a_kill_that_the_kernel_counted_as_for_lack_of_memory_is_called_so(system, tmp_path):
    """The counter is a file here: a test must not drive its machine out of memory."""
    counter = tmp_path / "memory.events"
    counter.write_text("oom 0\noom_kill 0\n")
    system._supervisor.processes.oom = OomKills(str(counter))
    ref = system.spawn(Crasher)
    counter.write_text("oom 1\noom_kill 1\n")
    with pytest.raises(ActorDied, match="killed by the kernel for lack of memory") as died:
        ref.ask(Crasher.crash, "SIGKILL")
    assert died.value.report.reason.kind is ExitKind.OOM
    with pytest.raises(ActorDied, match=r"ended by signal SIGKILL") as died:
        ref.ask(Crasher.crash, "SIGKILL")
    assert died.value.report.reason.kind is ExitKind.SIGNAL
    assert "lack of memory" not in str(died.value.report)


def test_a_kill_while_memory_was_short_is_possibly_for_that(system, start_method, monkeypatch):
    """Whoever sent it, and whether a counter can be read or not."""
    # Under spawn a process that had less memory than its parent has no peak of its own.
    known = start_method != "spawn"
    monkeypatch.setattr(
        "procactors.supervision.processes.was_short", lambda peak: peak > 0 or not known
    )
    ref = system.spawn(Crasher)
    with pytest.raises(ActorDied, match=r"SIGKILL.*\(possibly for lack of memory\)"):
        ref.ask(Crasher.crash, "SIGKILL")
    with pytest.raises(ActorDied) as died:
        ref.ask(Crasher.crash, "os._exit(7)")
    assert "lack of memory" not in str(died.value.report)


def test_a_kill_of_ours_is_never_called_lack_of_memory(system, tmp_path):
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 0\n")
    system._supervisor.processes.oom = OomKills(str(counter))
    ref = system.spawn(Echo)
    counter.write_text("oom_kill 1\n")
    assert ref.kill().kind is ExitKind.KILLED
