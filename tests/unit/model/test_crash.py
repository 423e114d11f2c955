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


def test_lack_of_memory_is_spoken_of_only_where_memory_was_short():
    text = "possibly for lack of memory"
    killed = CrashReport("w", 1, 1, ExitReason(K.SIGNAL, signal.SIGKILL))
    assert text not in str(killed)
    assert text in str(dataclasses.replace(killed, memory_was_short=True))


TRACE = """Traceback (most recent call last):
  File "/a/first.py", line 1, in first
    second()
OSError: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/a/one.py", line 1, in one
    two(1)
    ^^^^^^
  File "/a/two.py", line 2, in two
    three()
  File "/a/three.py", line 3, in three
    raise ValueError("bad\\nworse")
ValueError: bad
worse
"""


def crashed(text="ValueError: bad\nworse", trace=TRACE, handler="A.run", actor="w"):
    return CrashReport(actor, 1, 1, ExitReason(K.ERROR, None, text), handler, traceback=trace)


def test_a_brief_report_has_the_innermost_frames_of_the_last_exception():
    assert crashed().brief().splitlines() == [
        "actor w (incarnation 1, pid 1) raised ValueError: bad ...",
        '  File "/a/three.py", line 3, in three',
        '    raise ValueError("bad\\nworse")',
    ]
    assert crashed().brief(7).splitlines()[1:3] == [
        '  File "/a/one.py", line 1, in one',
        "    two(1)",
    ]
    assert len(crashed().brief(7).splitlines()) == 7
    assert len(crashed().brief(1).splitlines()) == 1


@pytest.mark.parametrize("lines", range(1, 9))
def test_a_brief_report_is_never_longer(lines):
    native = "Fatal Python error\n\n" + "\n".join(f"  File {n}" for n in range(100))
    dead = CrashReport("w", 1, 1, ExitReason(K.SIGNAL, signal.SIGSEGV), native_stack=native)
    long = crashed(text="x" * 100_000 + "\n" * 50)
    for report in (dead, long, crashed()):
        assert len(report.brief(lines).splitlines()) <= lines
        assert len(report.brief(lines)) < 700 * lines
    assert "Fatal Python error" in dead.brief(2)


def test_crashes_are_alike_by_cause_handler_and_place():
    alike = crashed().likeness
    assert crashed(actor="other").likeness == alike
    assert crashed(text="ValueError: another number").likeness == alike
    for other in (
        crashed(text="KeyError: bad"),
        crashed(handler="A.walk"),
        crashed(trace=TRACE.replace("line 3", "line 4")),
        CrashReport("w", 1, 1, ExitReason(K.EXIT, 3), "A.run"),
    ):
        assert other.likeness != alike
    ends = [CrashReport("w", 1, 1, ExitReason(K.START, None, text)) for text in ("a: b", "a: c")]
    assert ends[0].likeness != ends[1].likeness


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
