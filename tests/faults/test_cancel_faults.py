"""Whoever takes part in a cancellation is killed, or broken off, at each moment of it."""

from __future__ import annotations

import concurrent.futures
import random
from pathlib import Path
from types import SimpleNamespace

import pytest

from procactors.runner.unwanted import Unwanted
from procactors.wire import taking_back
from procactors.wire.mailbox.black_box import CANCELS
from procactors.wire.mailbox.cancels import (
    AGAIN,
    BEGUN,
    MARK,
    TAKEN,
    CancelLog,
    CancelReader,
    first_said,
)
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.writer import MailboxWriter
from tests.support.actors import recorded
from tests.support.alarms import Alarm, alarms, broken_off
from tests.support.cancellable import Patient
from tests.support.steps import deaths
from tests.support.waiting import LONG_S, eventually

PORT = 7 << 32
READING = (
    CancelReader.__init__,
    CancelReader.skips,
    CancelReader.read,
    CancelReader._take,
    CancelReader._follow,
    CancelReader._decide,
    CancelLog.append,
    Unwanted.skips,
)


@pytest.fixture
def box(tmp_path):
    """The words of a mailbox's box, and its folder."""
    files = MailboxFiles(str(tmp_path / "mailbox"))
    writer = MailboxWriter(files.path, lambda _: None)
    yield SimpleNamespace(path=files.path, words=writer.words, box=writer.box)
    writer.close()
    files.close()


def say(box, call, *whats):
    log = CancelLog(box.path)
    try:
        for what in whats:
            at = log.append(PORT, call, what)
            if what == MARK:
                box.words[CANCELS] = at
        return at
    finally:
        log.close()


def skips(box, call, is_again):
    """Come to a call in a new life; return whether it is not begun."""
    unwanted = Unwanted(box.path, box.path, box.words)
    try:
        return unwanted.skips(PORT, call, is_again)
    finally:
        unwanted.close()


@pytest.mark.parametrize("said", [(MARK, TAKEN), (MARK, BEGUN), (MARK,)], ids=str)
def test_an_actor_killed_anywhere_before_a_cancelled_call_never_runs_it(box, said):
    def mark() -> int:
        # Anew for each copy: what it has to read stays as short.
        Path(box.path, "cancels").unlink(missing_ok=True)
        behind = say(box, 1, MARK)
        for what in said[1:]:
            say(box, 1, what)
        return behind

    behind, met = mark(), 0
    for _ in deaths(lambda _: skips(box, 1, is_again=False), READING):
        is_skipped = skips(box, 1, is_again=True)
        # A caller that is still to say what it has found reads what has come of it.
        end = say(box, 1, BEGUN if BEGUN in said else TAKEN)
        log = CancelLog(box.path)
        try:
            heard = first_said(log.read(behind, end), PORT, 1)
        finally:
            log.close()
        assert (heard not in (BEGUN, AGAIN)) is is_skipped
        if TAKEN in said:
            assert is_skipped
        behind = mark()
        met += 1
    assert met > 10


def test_a_caller_killed_anywhere_was_told_the_truth(box, tmp_path):
    replies = SimpleNamespace(
        port=SimpleNamespace(number=PORT),
        pending=dict.fromkeys(range(1000)),
        marked={},
        catch_up=lambda _: True,
    )

    def cancel(call: int) -> None:
        if taking_back.take_back(box.path, lambda: box.box, replies, call, lambda: False):
            (tmp_path / f"told-{call}").touch()

    steps = (
        cancel,
        taking_back.take_back,
        taking_back._take_back,
        taking_back._is_in_hand,
        taking_back._has_told,
        CancelLog.append,
        CancelLog.read,
    )
    call = 0
    for call in deaths(cancel, steps):
        is_skipped = skips(box, call, is_again=False)
        assert is_skipped or not (tmp_path / f"told-{call}").exists()
    assert call > 10
    assert skips(box, call + 1, is_again=False), "the last one was not killed"


def test_a_cancellation_that_an_alarm_ends_anywhere_can_be_repeated(system, tmp_path, gate, seed):
    draw, log = random.Random(seed), tmp_path / "log"
    patient = system.spawn(Patient, log)
    rung = 0
    taken, begun = set(), set()
    with alarms(Alarm) as alarm:
        for number in range(150):
            held = None
            if not number % 3:  # the others may have run before they are cancelled
                held = patient.submit(Patient.hold, -1, gate)
                gate.arrival()
            reply = patient.submit(Patient.note, number)
            # Soon enough for some: a cancel may take 0.05 ms.
            rung += broken_off(alarm, Alarm, 10 ** draw.uniform(-6, -3), reply.cancel)[0]
            is_taken = reply.cancel()
            (taken if is_taken else begun).add(number)
            if held is not None:
                gate.let_pass()
                assert held.result(LONG_S) == -1
            if is_taken:
                assert reply.cancelled()
            else:
                assert reply.result(LONG_S) == number
    assert patient.ask(Patient.pid)
    assert rung
    assert set(recorded(log)) - {-1} == begun
    assert taken


def test_a_cancellation_that_an_alarm_ends_and_nobody_repeats_leaves_a_reply_that_ends(
    system, tmp_path, gate, seed
):
    draw, log = random.Random(seed), tmp_path / "log"
    patient = system.spawn(Patient, log)
    replies = {}
    with alarms(Alarm) as alarm:
        for number in range(100):
            replies[number] = patient.submit(Patient.note, number)
            broken_off(alarm, Alarm, 10 ** draw.uniform(-6, -3), replies[number].cancel)
    assert not concurrent.futures.wait(replies.values(), LONG_S).not_done
    assert patient.ask(Patient.pid)
    ended_well = {number for number, reply in replies.items() if not reply.cancelled()}
    assert {replies[number].result() for number in ended_well} == ended_well
    assert set(recorded(log)) == ended_well


def test_a_disk_that_is_full_in_the_actor_keeps_what_was_promised(box, monkeypatch):
    say(box, 1, MARK)

    def full(*_: object) -> int:
        raise OSError(28, "no space left")

    monkeypatch.setattr(CancelLog, "append", full)
    assert skips(box, 1, is_again=False)


def test_without_a_descriptor_nothing_is_cancelled(system, tmp_path, gate, monkeypatch):
    patient = system.spawn(Patient, tmp_path / "log")
    held = patient.submit(Patient.hold, 0, gate)
    gate.arrival()
    reply = patient.submit(Patient.note, 1)

    def none_left(*_: object) -> None:
        raise OSError(24, "too many open files")

    monkeypatch.setattr(CancelLog, "__init__", none_left)
    assert reply.cancel() is False
    monkeypatch.undo()
    gate.open()
    assert (held.result(), reply.result()) == (0, 1)
    eventually(lambda: patient.status().handled >= 2, "both calls")
