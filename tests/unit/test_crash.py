"""Exit reasons and crash reports in words."""

from __future__ import annotations

import pickle
import signal

import pytest

from procactors import CrashReport, ExitKind, ExitReason

K = ExitKind


@pytest.mark.parametrize(
    ("reason", "text", "abnormal"),
    [
        (ExitReason(K.NORMAL), "ended normally", False),
        (ExitReason(K.STOPPED), "stopped", False),
        (ExitReason(K.KILLED, signal.SIGTERM), "killed by the runtime with SIGTERM", True),
        (ExitReason(K.KILLED), "killed by the runtime with SIGKILL", True),
        (ExitReason(K.ERROR, None, "ValueError: no"), "raised ValueError: no", True),
        (ExitReason(K.EXIT, 3), "exited with code 3", True),
        (ExitReason(K.SIGNAL, signal.SIGSEGV), "ended by signal SIGSEGV", True),
        (
            ExitReason(K.SIGNAL, signal.SIGKILL),
            "ended by signal SIGKILL",
            True,
        ),
        (ExitReason(K.START, None, "OSError: no"), "did not start: OSError: no", True),
        (ExitReason(K.RECYCLED), "made way for its next incarnation", False),
        (
            ExitReason(K.LINKED, None, "a, which stopped"),
            "stopped, being linked to a, which stopped",
            False,
        ),
        (
            ExitReason(K.UNKNOWN, None, "it ended long ago"),
            "ended in an unknown way (it ended long ago)",
            True,
        ),
        (
            ExitReason(K.UNKNOWN),
            "ended in an unknown way (its exit code was lost with the process that kept it)",
            True,
        ),
    ],
    ids=str,
)
def test_a_reason_says_how_it_ended(reason, text, abnormal):
    assert str(reason) == text
    assert reason.is_abnormal is abnormal
    assert pickle.loads(pickle.dumps(reason)) == reason


def test_a_signal_has_a_name_even_if_it_is_a_nameless_one():
    assert ExitReason(K.SIGNAL, signal.SIGHUP).signal_name == "SIGHUP"
    assert ExitReason(K.SIGNAL, 63).signal_name == "signal 63"
    assert ExitReason(K.EXIT, 9).signal_name is None


def test_a_report_names_actor_life_process_end_and_handler():
    report = CrashReport("worker", 2, 4711, ExitReason(K.EXIT, 3), "Worker.work", 1.5, 1, 10)
    assert str(report) == (
        "actor worker (incarnation 2, pid 4711) exited with code 3 in handler Worker.work"
    )


def test_a_report_of_an_idle_actor_says_so_and_shows_the_stacks():
    report = CrashReport(
        "w", 1, 1, ExitReason(K.SIGNAL, signal.SIGSEGV), native_stack="Fatal Python error\n"
    )
    assert str(report).splitlines() == [
        "actor w (incarnation 1, pid 1) ended by signal SIGSEGV while idle",
        "Fatal Python error",
    ]
