"""What is logged of crashes: few lines of each, and those that are alike are counted."""

from __future__ import annotations

import logging

import pytest

from procactors import CrashReport, ExitKind, ExitReason
from procactors.supervision.crash_log import CrashLog

TRACE = "".join(f'  File "/a/{n}.py", line {n}, in f{n}\n    call()\n' for n in range(20))


def crash(number, text="ValueError: no"):
    reason = ExitReason(ExitKind.ERROR, None, f"{text} {number}")
    return CrashReport(f"w-{number}", number, 1, reason, "W.run", traceback=TRACE)


@pytest.fixture
def log(caplog):
    """A log, its lines from ERROR on, and a clock that is moved on by hand."""
    now = [0.0]
    timers = []
    caplog.set_level(logging.DEBUG, "procactors")

    def wait(seconds):
        now[0] += seconds
        for timer in [timer for timer in timers if timer[0] <= now[0]]:
            timers.remove(timer)
            timer[1]()

    def shown():
        found = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]
        return [text.splitlines() for text in found]

    return CrashLog(lambda wait, action: timers.append((now[0] + wait, action))), shown, wait


def test_a_crash_is_shown_in_few_lines(log):
    crashes, shown, _ = log
    crashes.note(crash(1))
    (lines,) = shown()
    assert len(lines) <= 7
    assert lines[0].startswith("actor w-1 (incarnation 1, pid 1) raised ValueError: no 1")
    assert lines[-2:] == ['  File "/a/19.py", line 19, in f19', "    call()"]


def test_those_alike_are_counted_and_told_of_a_little_later(log):
    crashes, shown, wait = log
    for number in range(1, 6):
        crashes.note(crash(number))
    assert len(shown()) == 1
    wait(5.0)
    assert len(shown()) == 2
    assert shown()[1][0].startswith("… 4 more like this; the last: actor w-5 ")
    wait(5.0)
    assert len(shown()) == 2  # each wait is twice the one before
    crashes.note(crash(6))
    wait(5.0)
    assert shown()[2][0].startswith("… 1 more like this")


def test_another_crash_is_shown_meanwhile(log):
    crashes, shown, _ = log
    crashes.note(crash(1))
    crashes.note(crash(2, "KeyError:"))
    assert len(shown()) == 2


def test_a_crash_after_a_quiet_time_is_shown_again(log):
    crashes, shown, wait = log
    crashes.note(crash(1))
    wait(5.0)
    crashes.note(crash(2))
    assert len(shown()) == 2


def test_nothing_is_lost(log, caplog):
    crashes, shown, _ = log
    for number in range(1, 6):
        crashes.note(crash(number))
    whole = [r.getMessage() for r in caplog.records if r.levelno == logging.DEBUG]
    assert whole == [str(crash(number)) for number in range(1, 6)]
    crashes.close()
    assert shown()[-1][0].startswith("… 4 more like this")


def test_of_endless_kinds_of_crashes_each_is_shown(log):
    crashes, shown, _ = log
    for number in range(200):
        crashes.note(crash(number, f"Fault{number}:"))
    assert len(shown()) == 200
