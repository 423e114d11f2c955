"""Exit reasons and crash reports in words."""

from __future__ import annotations

import dataclasses
import json
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
        (ExitReason(K.KILLED, signal.SIGTERM), "was killed by the runtime with SIGTERM", True),
        (ExitReason(K.KILLED), "was killed by the runtime with SIGKILL", True),
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
            ExitReason(K.HANG, signal.SIGKILL, "handle_timeout=2 s is over"),
            "was killed as hung (handle_timeout=2 s is over)",
            True,
        ),
        (
            ExitReason(K.MEMORY, signal.SIGKILL, "9 bytes resident, allowed are 8"),
            "was killed at its memory limit (9 bytes resident, allowed are 8)",
            True,
        ),
        (
            ExitReason(K.OOM, signal.SIGKILL),
            "was killed by the kernel for lack of memory",
            True,
        ),
        (ExitReason(K.PARENT_GONE), "was stopped because its parent ended", False),
        (
            ExitReason(K.UNKNOWN),
            "ended in an unknown way",
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
    assert ExitReason(K.OOM, signal.SIGKILL).signal_name == "SIGKILL"


@pytest.mark.parametrize("kind", ExitKind)
def test_each_kind_has_words_of_its_own(kind):
    assert str(ExitReason(kind)) not in {str(ExitReason(other)) for other in set(K) - {kind}}


def test_a_report_names_actor_life_process_end_and_handler():
    report = CrashReport("worker", 2, 4711, ExitReason(K.EXIT, 3), "Worker.work", 1.5, 1, 10)
    assert str(report) == (
        "actor worker (incarnation 2, pid 4711) exited with code 3 in handler Worker.work "
        "after 1.50 s"
    )


def test_a_report_says_how_long_it_ran_and_how_much_memory_it_had():
    report = CrashReport("w", 1, 1, ExitReason(K.EXIT, 3), ran_s=75.2, peak_memory=31_400_000)
    assert str(report) == (
        "actor w (incarnation 1, pid 1) exited with code 3 while idle "
        "[up for 75 s, peak memory 31.4 MB]"
    )


def test_a_report_of_an_idle_actor_says_so_and_shows_the_stacks():
    report = CrashReport(
        "w", 1, 1, ExitReason(K.SIGNAL, signal.SIGSEGV), native_stack="Fatal Python error\n"
    )
    assert str(report).splitlines() == [
        "actor w (incarnation 1, pid 1) ended by signal SIGSEGV while idle",
        "Fatal Python error",
    ]


def test_a_report_ends_with_what_was_logged_last():
    report = CrashReport("w", 1, 1, ExitReason(K.EXIT, 3), log="one\ntwo")
    assert str(report).splitlines()[1:] == ["last lines of its log:", "  one", "  two"]


def test_only_a_sigkill_of_unknown_origin_is_possibly_for_lack_of_memory():
    text = "possibly for lack of memory"
    assert text in str(CrashReport("w", 1, 1, ExitReason(K.SIGNAL, signal.SIGKILL)))
    for kind in (K.OOM, K.HANG, K.MEMORY, K.KILLED):
        assert text not in str(CrashReport("w", 1, 1, ExitReason(kind, signal.SIGKILL)))


def test_a_report_as_json_has_all_of_it():
    report = CrashReport(
        "w",
        3,
        None,
        ExitReason(K.HANG, signal.SIGKILL, "handle_timeout=1.0 s is over"),
        "W.work",
        1.25,
        native_stack="\udc80",
        at="2026-01-02T03:04:05.000006+00:00",
    )
    read = json.loads(report.to_json())
    assert read == report.to_dict()
    assert set(read) == {field.name for field in dataclasses.fields(report)} | {"summary"}
    assert read["summary"] == str(report).splitlines()[0]
    assert read["reason"] == {
        "kind": "hang",
        "code": 9,
        "signal": "SIGKILL",
        "text": "handle_timeout=1.0 s is over",
        "says": "was killed as hung (handle_timeout=1.0 s is over)",
    }


def test_a_report_made_the_old_way_has_defaults_and_travels():
    report = CrashReport("w", 1, 1, ExitReason(K.EXIT, 3))
    assert (report.peak_memory, report.at, report.ran_s, report.log) == (0, "", 0.0, "")
    assert pickle.loads(pickle.dumps(report)) == report
