"""Supervision: which exits bring an actor back, how often, how soon, and what follows if not."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import time

import pytest

from procactors import Actor, Backoff, ExitKind, ExitReason, Restart
from procactors.errors import ActorDied, ActorStopped
from tests.support.actors import Crasher, Echo
from tests.support.faults import Fault
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually


class Mortal(Actor):
    """Ends in each of the ways of the matrix."""

    def __init__(self):
        self.report = None
        self.began = time.monotonic()

    def age(self):
        return time.monotonic() - self.began

    def on_restart(self, report):
        self.report = report

    def leave(self):
        self.context.stop()

    def crash(self, how):
        Crasher().crash(how)

    def life(self):
        return self.context.incarnation, os.getpid(), self.report


class Mourner(Actor):
    """Cannot start again once the marker is there."""

    def __init__(self, marker):
        if marker.exists():
            raise Fault("the marker is there")

    def die_at(self, gate, marker):
        gate.wait()
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def echo(self, value):
        return value


def killed(ref):
    """SIGKILL the actor from outside; return its pid."""
    pid = eventually(lambda: ref.status().pid, "a process")
    os.kill(pid, signal.SIGKILL)
    return pid


def next_life(ref, incarnation=2):
    return eventually(
        lambda: ref.status().incarnation == incarnation and ref.ask(Mortal.life), "the next life"
    )


def ends(ref):
    """How the actor ended for good."""
    assert ref.is_alive() is False or ref.wait() is not None
    return ref.wait()


def lived_on(ref, kind, text=""):
    """The next incarnation is up, elsewhere, and knows how the last one ended."""
    incarnation, pid, report = next_life(ref)
    assert incarnation == 2
    status = ref.status()
    assert (status.pid, status.restarts, status.reason) == (pid, 1, None)
    if kind is ExitKind.NORMAL:
        assert report is None
    else:
        assert report.reason.kind is kind
        assert text in str(report)
        assert report.incarnation == 1
        # The next life does not wait for the one figure that comes later.
        peak = status.last_crash.peak_memory
        assert status.last_crash == dataclasses.replace(report, peak_memory=peak)


@pytest.fixture
def spawn(system):
    return lambda restart: system.options(restart=restart, name="mortal").spawn(Mortal)


# Acceptance case 23, with sys.exit beside the three exits that it names.


def test_permanent_context_stop(spawn):
    """A permanent actor that leaves is respawned."""
    ref = spawn(Restart.PERMANENT)
    ref.tell(Mortal.leave)
    lived_on(ref, ExitKind.NORMAL)


def test_permanent_exception_in_a_tell(spawn):
    """A permanent actor whose tell raised is respawned and told the traceback."""
    ref = spawn(Restart.PERMANENT)
    ref.tell(Mortal.crash, "exception")
    lived_on(ref, ExitKind.ERROR, "Fault: on purpose")


def test_permanent_sys_exit(spawn):
    """A permanent actor that exits is respawned, even after exit code 0."""
    ref = spawn(Restart.PERMANENT)
    ref.tell(Mortal.crash, "sys.exit(0)")
    lived_on(ref, ExitKind.EXIT, "exited with code 0")


def test_permanent_sigkill(spawn):
    """A permanent actor that is SIGKILLed is respawned."""
    ref = spawn(Restart.PERMANENT)
    killed(ref)
    lived_on(ref, ExitKind.SIGNAL, "SIGKILL")


def test_transient_context_stop(spawn):
    """A transient actor that leaves stays down: its end is normal."""
    ref = spawn(Restart.TRANSIENT)
    ref.tell(Mortal.leave)
    assert ends(ref) == ExitReason(ExitKind.NORMAL)


def test_transient_exception_in_a_tell(spawn):
    """A transient actor whose tell raised is respawned."""
    ref = spawn(Restart.TRANSIENT)
    ref.tell(Mortal.crash, "exception")
    lived_on(ref, ExitKind.ERROR, "in handler Mortal.crash")


def test_transient_sys_exit(spawn):
    """A transient actor that exits without a goodbye is respawned, even after exit code 0."""
    ref = spawn(Restart.TRANSIENT)
    ref.tell(Mortal.crash, "sys.exit(0)")
    lived_on(ref, ExitKind.EXIT, "exited with code 0")


def test_transient_sigkill(spawn):
    """A transient actor that is SIGKILLed is respawned."""
    ref = spawn(Restart.TRANSIENT)
    killed(ref)
    lived_on(ref, ExitKind.SIGNAL, "while idle")


def test_temporary_context_stop(spawn):
    """A temporary actor that leaves stays down."""
    ref = spawn(Restart.TEMPORARY)
    ref.tell(Mortal.leave)
    assert ends(ref) == ExitReason(ExitKind.NORMAL)


def test_temporary_exception_in_a_tell(spawn):
    """A temporary actor whose tell raised stays down, for that reason."""
    ref = spawn(Restart.TEMPORARY)
    ref.tell(Mortal.crash, "exception")
    reason = ends(ref)
    assert (reason.kind, reason.code) == (ExitKind.ERROR, None)
    assert reason.text.endswith("Fault: on purpose")


def test_temporary_sys_exit(spawn):
    """A temporary actor that exits stays down, with its exit code kept."""
    ref = spawn(Restart.TEMPORARY)
    ref.tell(Mortal.crash, "sys.exit(3)")
    assert ends(ref) == ExitReason(ExitKind.EXIT, 3)


def test_temporary_sigkill(spawn):
    """A temporary actor that is SIGKILLed stays down, with the signal kept."""
    ref = spawn(Restart.TEMPORARY)
    killed(ref)
    reason = ends(ref)
    assert reason == ExitReason(ExitKind.SIGNAL, signal.SIGKILL)
    assert reason.signal_name == "SIGKILL"


def test_an_exception_in_an_ask_is_the_callers_and_the_actor_lives_on(spawn):
    ref = spawn(Restart.TRANSIENT)
    with pytest.raises(Fault):
        ref.ask(Mortal.crash, "exception")
    assert ref.ask(Mortal.life)[0] == 1


@pytest.mark.methods
def test_the_mailbox_is_kept_for_the_next_life(system, gate):
    ref = system.spawn(Crasher)
    pid = ref.ask(Crasher.pid)
    in_hand = ref.submit(Crasher.crash_at, "SIGKILL", gate)
    gate.arrival()
    behind = [ref.submit(Crasher.pid) for _ in range(5)]
    gate.open()
    with pytest.raises(ActorDied, match="SIGKILL") as died:
        in_hand.result()
    assert died.value.report.handler == "Crasher.crash_at"
    assert died.value.report.reason == ExitReason(ExitKind.SIGNAL, signal.SIGKILL)
    assert len({reply.result() for reply in behind} - {pid}) == 1


@pytest.mark.methods
def test_one_restart_more_than_allowed_in_the_window_is_the_end(system, caplog):
    """Three restarts are granted; the fourth death is final and says so."""
    ref = system.options(max_restarts=3, within=60.0).spawn(Mortal)
    for incarnation in (1, 2, 3, 4):
        assert next_life(ref, incarnation)[0] == incarnation
        killed(ref)
    assert ref.wait() == ExitReason(ExitKind.SIGNAL, signal.SIGKILL)
    assert ref.status().incarnation == 4
    text = "restart number 4 within 60.0 s, allowed are 3"
    assert text in caplog.text
    with pytest.raises(ActorStopped):
        ref.ask(Mortal.life)


def test_the_window_slides(system):
    """Deaths that lie further apart than the window never add up."""
    ref = system.options(max_restarts=1, within=0.2).spawn(Mortal)
    for incarnation in (1, 2, 3, 4):
        assert next_life(ref, incarnation)[0] == incarnation
        eventually(lambda: ref.ask(Mortal.age) > 0.2, "the last restart to leave the window")
        killed(ref)
    assert next_life(ref, 5)[0] == 5


def test_the_second_restart_in_a_row_waits_for_its_backoff(system):
    backoff = Backoff(initial=0.5, maximum=10.0)
    ref = system.options(backoff=backoff, max_restarts=5, within=60.0).spawn(Mortal)
    killed(ref)
    next_life(ref, 2)
    began = time.monotonic()
    killed(ref)
    eventually(lambda: ref.status().state == "restarting", "the wait")
    assert ref.status().pid is None
    assert ref.ask(Mortal.life)[0] == 3
    assert time.monotonic() - began >= 0.5 - CLOCK_TOLERANCE_S


def test_giving_up_answers_every_ask_and_buries_every_tell(system, gate, tmp_path, caplog):
    """Case 25, for what waits: the one in hand died, the others were not handled."""
    caplog.set_level(logging.CRITICAL)
    marker = tmp_path / "marker"
    ref = system.options(max_restarts=2, within=60.0, name="mourner").spawn(Mourner, marker)
    in_hand = ref.submit(Mourner.die_at, gate, marker)
    gate.arrival()
    asks = [ref.submit(Mourner.echo, number) for number in range(3)]
    for number in range(3):
        ref.tell(Mourner.echo, number)
    gate.open()
    with pytest.raises(ActorDied):
        in_hand.result()
    for ask in asks:
        with pytest.raises(ActorStopped, match="mourner is gone for good: it did not start"):
            ask.result()
    reason = ref.wait()
    assert reason.kind is ExitKind.START
    assert "the marker is there" in reason.text
    assert ref.status().incarnation == 3
    letters = list(system.dead_letters)
    assert [letter.message for letter in letters] == [((number,), {}) for number in range(3)]
    assert {letter.handler for letter in letters} == {"Mourner.echo"}
    assert system.find("mourner") is None


def test_thirty_actors_killed_at_once_all_come_back(system):
    refs = [system.spawn(Echo) for _ in range(30)]
    before = [ref.ask(Echo.pid) for ref in refs]
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    for ref in refs:
        eventually(lambda ref=ref: ref.status().incarnation == 2, "the second life")
    after = [reply.result() for reply in [ref.submit(Echo.pid) for ref in refs]]
    assert len(set(after)) == 30
    assert not set(before) & set(after)


def test_a_refs_meaning_does_not_change_at_a_restart(system):
    """The ref that a message carried before the crash reaches the next life."""
    ref = system.spawn(Echo)
    same = ref.ask(Echo.ref)
    killed(ref)
    eventually(lambda: ref.status().incarnation == 2, "the second life")
    assert same == ref
    assert same.ask(Echo.incarnation) == 2
