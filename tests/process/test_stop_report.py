"""What a system's stop reports: each actor's end, and what was not handled."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

from procactors import Actor, ActorSystem, ExitKind, ExitReason, StopOutcome
from procactors.errors import ActorDied, ActorStopped, SpawnError
from procactors.wire.procstat import stat_of
from tests.support.actors import Counter, Echo, Recorder, recorded
from tests.support.gates import new_gate
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually, within

STOPPED = ExitReason(ExitKind.STOPPED)


class Stubborn(Actor):
    def hold(self, gate):
        gate.wait()

    def hold_against_sigterm(self, gate):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gate.wait()

    def work(self, number):
        return number

    def leave(self):
        self.context.stop()

    def hire(self):
        return self.context.spawn(Echo)


class FailsToStop(Actor):
    def on_stop(self, reason):
        raise ValueError("in on_stop")


def ends(report):
    return [(actor.name, actor.how) for actor in report.actors]


def test_a_stop_that_handled_everything_is_clean(start_method, tmp_path):
    with ActorSystem(start_method=start_method) as system:
        system.options(name="echo").spawn(Echo)
        recorder = system.options(name="recorder").spawn(Recorder, tmp_path / "numbers")
        for number in range(100):
            recorder.tell(Recorder.record, number)
        report = system.stop()
    assert report.clean
    assert ends(report) == [("recorder", StopOutcome.FINISHED), ("echo", StopOutcome.FINISHED)]
    assert [actor.reason for actor in report.actors] == [STOPPED, STOPPED]
    assert str(report).endswith(": everything was handled")
    assert recorded(tmp_path / "numbers") == list(range(100))


def test_what_was_not_handled_is_counted_by_actor(start_method, gate, caplog):
    """The message in hand, those behind it, and the callers of both kinds."""
    system = ActorSystem(start_method=start_method)
    slow = system.options(name="slow").spawn(Stubborn)
    asked = system.options(name="asked").spawn(Stubborn)
    good = system.options(name="good").spawn(Stubborn)
    slow.tell(Stubborn.hold_against_sigterm, gate)
    in_hand = asked.submit(Stubborn.hold_against_sigterm, gate)
    gate.arrival()
    gate.arrival()
    for number in range(5):
        slow.tell(Stubborn.work, number)
        good.tell(Stubborn.work, number)
    behind = [asked.submit(Stubborn.work, number) for number in range(3)]
    with caplog.at_level(logging.WARNING, "procactors"):
        report = system.stop(timeout=1.0)
    assert not report
    assert dict(ends(report)) == {
        "good": StopOutcome.FINISHED,
        "asked": StopOutcome.KILLED,
        "slow": StopOutcome.KILLED,
    }
    assert report.unhandled == {"slow": 6}  # the one in hand is one of them
    assert report.refused == {"asked": 3}
    assert report.broken == {"asked": 1}
    assert report.left == 10
    assert isinstance(in_hand.exception(), ActorDied)
    assert all(isinstance(reply.exception(), ActorStopped) for reply in behind)
    assert len(system.dead_letters) == 6
    lines = [record.message for record in caplog.records if record.message.startswith("stopped ")]
    assert lines == [report.headline]


def test_the_report_says_where_an_actor_was_terminated_or_killed(start_method, gate):
    system = ActorSystem(start_method=start_method)
    for name, method in (
        ("unwound", Stubborn.hold),
        ("killed", Stubborn.hold_against_sigterm),
        ("suspended", Stubborn.hold),
    ):
        ref = system.options(name=name).spawn(Stubborn)
        ref.tell(method, gate)
        pid = gate.arrival()
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: stat_of(pid)[0] == b"T", "the stop of the process")
    report = system.stop(timeout=1.0)
    found = {actor.name: (actor.how, actor.handler, actor.suspended) for actor in report.actors}
    assert found == {
        "unwound": (StopOutcome.TERMINATED, "Stubborn.hold", False),
        "killed": (StopOutcome.KILLED, "Stubborn.hold_against_sigterm", False),
        "suspended": (StopOutcome.KILLED, "Stubborn.hold", True),
    }
    assert "suspended in Stubborn.hold, stopped by SIGSTOP or a debugger" in report.headline


def test_a_clean_stop_logs_nothing(start_method, caplog):
    with caplog.at_level(logging.WARNING, "procactors"):
        system = ActorSystem(start_method=start_method)
        system.spawn(Echo)
        system.stop()
    assert caplog.records == []


def test_an_actor_that_heeds_sigterm_is_reported_as_terminated(start_method, gate):
    system = ActorSystem(start_method=start_method)
    ref = system.options(name="held").spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    report = system.stop(timeout=2.0)
    assert ends(report) == [("held", StopOutcome.TERMINATED)]
    assert report.actors[0].reason == ExitReason(ExitKind.KILLED, signal.SIGTERM)
    assert report.unhandled == {"held": 1}


def test_an_actor_that_leaves_and_one_that_fails_are_told_apart(start_method, gate):
    system = ActorSystem(start_method=start_method)
    system.options(name="fails").spawn(FailsToStop)
    leaver = system.options(name="leaves").spawn(Stubborn)
    leaver.tell(Stubborn.hold, gate)
    leaver.tell(Stubborn.leave)
    leaver.tell(Stubborn.work, 1)
    gate.arrival()
    stopping = threading.Thread(target=system.stop)
    stopping.start()
    eventually(lambda: leaver.status().state == "stopping", "the stop to begin")
    gate.open()
    stopping.join()
    report = system.stop()
    assert ends(report) == [("leaves", StopOutcome.LEFT), ("fails", StopOutcome.CRASHED)]
    assert report.unhandled == {"leaves": 1}
    assert "fails: crashed (raised ValueError: in on_stop)" in str(report)


def test_actors_that_ended_before_the_stop_are_not_in_its_report(start_method):
    system = ActorSystem(start_method=start_method)
    early = system.spawn(Echo)
    late = system.options(name="late").spawn(Echo)
    early.stop()
    assert late.ask(Echo.incarnation) == 1
    assert ends(system.stop()) == [("late", StopOutcome.FINISHED)]


def test_what_an_inbox_did_not_receive_is_counted(start_method):
    system = ActorSystem(start_method=start_method)
    inbox = system.inbox("results")
    inbox.ref.tell("one")
    inbox.ref.tell("two")
    assert inbox.receive(timeout=30.0) == "one"
    report = system.stop()
    assert report.actors == ()
    assert report.unhandled == {"results": 1}


def test_a_second_stop_returns_the_same_report(start_method):
    system = ActorSystem(start_method=start_method)
    system.spawn(Echo)
    report = system.stop()
    assert system.stop() is report
    assert system.stop(timeout=0.0) is report
    assert system.kill() is report


def test_leaving_the_with_block_keeps_the_report(start_method):
    with ActorSystem(start_method=start_method) as system:
        system.options(name="echo").spawn(Echo)
    assert ends(system.stop()) == [("echo", StopOutcome.FINISHED)]


def test_a_kill_reports_everybody_as_killed(start_method):
    system = ActorSystem(start_method=start_method)
    for name in ("a", "b"):
        system.options(name=name).spawn(Counter)
    report = system.kill()
    assert sorted(ends(report)) == [("a", StopOutcome.KILLED), ("b", StopOutcome.KILLED)]
    assert not report.clean
    assert report.left == 0


def test_threads_that_stop_at_once_get_one_report(start_method, gate):
    system = ActorSystem(start_method=start_method)
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(system.stop())) for _ in range(4)]
    for thread in threads:
        thread.start()
    eventually(lambda: ref.status().state == "stopping", "the stop to begin")
    gate.open()
    for thread in threads:
        thread.join()
    assert len(reports) == 4
    assert {id(report) for report in reports} == {id(reports[0])}
    assert reports[0].clean


def test_a_kill_from_another_thread_cuts_a_patient_stop_short(start_method, gate):
    """Nobody waits an hour for a stop because somebody else was patient."""
    system = ActorSystem(start_method=start_method)
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold_against_sigterm, gate)
    gate.arrival()
    reports = []
    patient = threading.Thread(target=lambda: reports.append(system.stop(3600.0)))
    patient.start()
    eventually(lambda: ref.status().state == "stopping", "the first stop")
    assert system.kill().actors[0].how is StopOutcome.KILLED
    patient.join()
    assert reports == [system.stop()]


def test_no_actor_is_started_from_the_stops_first_moment_on(start_method, gate, tmp_path):
    """Not even while the main program's own messages are still being written."""
    system = ActorSystem(start_method=start_method)
    ref = system.spawn(Recorder, tmp_path / "numbers")
    ref.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    for number in range(1, 5000):
        ref.tell(Recorder.record, number)  # more than the pipe holds: the rest is to be flushed
    stopping = threading.Thread(target=system.stop, args=(60.0,))
    stopping.start()
    eventually(lambda: system._supervisor.core.intake_closed, "the stop's first moment")
    assert ref.status().state == "busy"  # no stop was ordered yet
    with pytest.raises(SpawnError, match="Echo was not started: the system is stopping"):
        system.spawn(Echo)
    gate.open()
    stopping.join()
    assert system.stop().clean
    assert recorded(tmp_path / "numbers") == list(range(5000))


def test_an_actor_that_hires_while_the_system_stops_is_refused(start_method, gate):
    system = ActorSystem(start_method=start_method)
    ref = system.options(name="hires").spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    hired = ref.submit(Stubborn.hire)
    gate.arrival()
    stopping = threading.Thread(target=system.stop)
    stopping.start()
    eventually(lambda: ref.status().state == "stopping", "the stop to begin")
    gate.open()
    stopping.join()
    assert isinstance(hired.exception(), SpawnError)
    assert ends(system.stop()) == [("hires", StopOutcome.FINISHED)]


def test_an_actors_own_stop_timeout_counts_inside_the_systems(start_method, tmp_path):
    """One that may take a fifth of a second does not take half of the system's time."""
    with new_gate(tmp_path / "gate-of-its-own") as gate:
        system = ActorSystem(start_method=start_method)
        system.options(name="first").spawn(Echo)
        hasty = system.options(name="hasty", stop_timeout=0.2).spawn(Stubborn)
        hasty.tell(Stubborn.hold_against_sigterm, gate)
        gate.arrival()
        report = within(system.stop, 600.0)
        assert report.seconds >= 0.2 - CLOCK_TOLERANCE_S
        assert ends(report) == [("hasty", StopOutcome.KILLED), ("first", StopOutcome.FINISHED)]
