"""The report of a stop: what is counted, when it is clean, and how it reads."""

from __future__ import annotations

import pickle
import signal

import pytest

from procactors import ExitKind, ExitReason, StopOutcome, StoppedActor, StopReport
from procactors.supervision.stop_report import Tally

STOPPED = ExitReason(ExitKind.STOPPED)
KILLED = ExitReason(ExitKind.KILLED, signal.SIGKILL)


@pytest.fixture
def tally():
    tally = Tally()
    tally.begin()
    return tally


@pytest.mark.parametrize(
    ("reason", "how"),
    [
        (STOPPED, StopOutcome.FINISHED),
        (ExitReason(ExitKind.NORMAL), StopOutcome.LEFT),
        (ExitReason(ExitKind.KILLED, signal.SIGTERM), StopOutcome.TERMINATED),
        (KILLED, StopOutcome.KILLED),
        (ExitReason(ExitKind.KILLED), StopOutcome.KILLED),
        (ExitReason(ExitKind.ERROR, None, "ValueError"), StopOutcome.CRASHED),
        (ExitReason(ExitKind.SIGNAL, signal.SIGSEGV), StopOutcome.CRASHED),
        (ExitReason(ExitKind.EXIT, 3), StopOutcome.CRASHED),
        (ExitReason(ExitKind.START, None, "no"), StopOutcome.CRASHED),
        (ExitReason(ExitKind.UNKNOWN), StopOutcome.CRASHED),
    ],
    ids=str,
)
def test_an_exit_reason_says_in_which_phase_the_actor_ended(tally, reason, how):
    tally.ended("actor", reason)
    assert tally.report().actors == (StoppedActor("actor", reason, how),)


def test_each_kind_of_exit_has_a_phase(tally):
    for kind in ExitKind:
        tally.ended(kind.name, ExitReason(kind))
    assert len(tally.report().actors) == len(ExitKind)


def test_what_comes_before_the_stop_is_not_counted():
    tally = Tally()
    tally.ended("early", STOPPED)
    tally.unhandled("early")
    tally.refused("early")
    tally.broken("early")
    before = tally.report()
    assert before == StopReport(before.seconds)
    tally.begin()
    tally.begin()
    tally.unhandled("late")
    report = tally.report()
    assert (report.actors, report.unhandled) == ((), {"late": 1})
    assert report.seconds >= 0.0


def test_a_stop_without_leftovers_is_clean_and_true(tally):
    tally.ended("a", STOPPED)
    tally.ended("b", ExitReason(ExitKind.NORMAL))
    report = tally.report()
    assert report
    assert report.clean
    assert report.left == 0


@pytest.mark.parametrize("count", [Tally.unhandled, Tally.refused, Tally.broken])
def test_one_message_that_was_not_handled_makes_it_unclean(tally, count):
    tally.ended("a", STOPPED)
    count(tally, "a")
    report = tally.report()
    assert not report
    assert report.left == 1


def test_an_actor_that_had_to_be_killed_makes_it_unclean(tally):
    tally.ended("a", KILLED)
    assert not tally.report().clean
    assert tally.report().left == 0


def test_a_report_reads_as_one_line_and_a_line_for_each_bad_end():
    report = StopReport(
        1.5,
        (
            StoppedActor("good", STOPPED, StopOutcome.FINISHED),
            StoppedActor("slow", KILLED, StopOutcome.KILLED, "Slow.work"),
            StoppedActor("held", KILLED, StopOutcome.KILLED, None, suspended=True),
        ),
        unhandled={"slow": 5, "good": 1},
        refused={"slow": 1},
        broken={"slow": 2},
    )
    headline, *ends = str(report).splitlines()
    assert (
        headline
        == report.headline
        == (
            "stopped 3 actors in 1.50 s: "
            "2 killed (slow in Slow.work; held, stopped by SIGSTOP or a debugger), "
            "6 messages not handled (5 of slow, 1 of good), "
            "1 call answered with ActorStopped (1 of slow), "
            "2 calls cut off with ActorDied (2 of slow)"
        )
    )
    held = "held: killed, its process being stopped by SIGSTOP or a debugger"
    assert ends == [
        "  slow: killed in Slow.work (was killed by the runtime with SIGKILL)",
        f"  {held} (was killed by the runtime with SIGKILL)",
    ]


def test_a_clean_report_says_that_everything_was_handled():
    report = StopReport(0.25, (StoppedActor("a", STOPPED, StopOutcome.FINISHED),))
    assert str(report) == "stopped 1 actor in 0.25 s: everything was handled"


def test_a_headline_names_few_of_very_many():
    report = StopReport(1.0, unhandled={f"actor-{number:03}": 2 for number in range(100)})
    assert "2 of actor-007, and 184 of others)" in report.headline
    assert len(report.headline) < 250


def test_a_headline_names_few_of_very_many_ends():
    ends = [StoppedActor(f"a-{n}", KILLED, StopOutcome.KILLED, "A.work") for n in range(100)]
    expected = "100 killed (a-0 in A.work; a-1 in A.work; a-2 in A.work; a-3 in A.work; and others)"
    assert StopReport(1.0, tuple(ends)).headline == f"stopped 100 actors in 1.00 s: {expected}"


def test_a_report_is_a_value():
    report = StopReport(1.0, (StoppedActor("a", STOPPED, StopOutcome.FINISHED),), {"a": 1})
    assert pickle.loads(pickle.dumps(report)) == report
    assert hash(report) == hash(pickle.loads(pickle.dumps(report)))
