"""The tokens of a bounded mailbox: none is lost with its sender, and none is there twice."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from queue import Full

import pytest

from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.tokens import Tokens
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.record import Kind, frame
from tests.support.copies import ended, forked
from tests.support.waiting import SHORT_S, eventually

CAPACITY = 4
RECORD = frame(Kind.ITEM, 0, bytes(8))


@pytest.fixture
def files(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"), CAPACITY)
    yield files
    files.close()


@pytest.fixture
def tokens(files):
    """Make the access of one more process to the tokens of the mailbox."""
    made = []

    def make():
        made.append(Tokens(files.path, CAPACITY))
        return made[-1]

    yield make
    for access in made:
        access.close()


def take(tokens, timeout=0.0):
    tokens.take(timeout, lambda: None, lambda: None)


def is_empty():
    return True


def test_healing_waits_for_a_sender_between_its_place_and_its_record(tokens):
    sender, reader = tokens(), tokens()
    take(sender)
    assert not reader.heal(is_empty)
    assert reader.free() == CAPACITY - 1
    sender.give_up()
    assert reader.heal(is_empty)
    assert reader.free() == CAPACITY


def test_healing_waits_for_the_last_of_a_senders_threads(tokens):
    """They share one lock: the first that is through does not open it."""
    sender, reader = tokens(), tokens()
    take(sender)
    take(sender)
    sender.give_up()
    assert not reader.heal(is_empty)
    sender.give_up()
    assert reader.heal(is_empty)
    assert reader.free() == CAPACITY


def test_healing_waits_for_each_of_several_senders(tokens):
    first, second, reader = tokens(), tokens(), tokens()
    take(first)
    take(second)
    first.give_up()
    assert not reader.heal(is_empty)
    assert reader.free() == CAPACITY - 2
    second.give_up()
    assert reader.heal(is_empty)


def test_a_record_that_came_since_the_reader_looked_keeps_its_place(tokens):
    sender, reader = tokens(), tokens()
    take(sender)
    sender.give_up()
    assert reader.heal(lambda: False)
    assert reader.free() == CAPACITY - 1


def test_a_try_in_vain_leaves_no_claim_behind(tokens):
    """Else the tokens of the dead would never come back."""
    sender, reader = tokens(), tokens()
    for _ in range(CAPACITY):
        take(sender)
        sender.give_up()
    for timeout in (0.0, 0.01):
        with pytest.raises(Full):
            take(sender, timeout)
    assert reader.heal(is_empty)
    assert reader.free() == CAPACITY


def test_a_wait_that_is_ended_leaves_no_claim_behind(tokens):
    """By the mailbox's closing, or by a signal handler."""
    sender, reader = tokens(), tokens()
    for _ in range(CAPACITY):
        take(sender)
        sender.give_up()

    def close():
        raise MailboxClosed

    with pytest.raises(MailboxClosed):
        sender.take(None, close, lambda: None)
    assert reader.heal(is_empty)


def take_and_wait(path, told):
    take(Tokens(path, CAPACITY))
    os.write(told, b"1")
    signal.pause()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_sender_s_place_comes_back_and_a_stopped_one_keeps_it(files, tokens, how):
    reader = tokens()
    seen, told = os.pipe()
    pid = forked(take_and_wait, files.path, told)
    assert os.read(seen, 1) == b"1"
    os.kill(pid, how)
    if how == signal.SIGSTOP:
        os.waitpid(pid, os.WUNTRACED)
        assert not reader.heal(is_empty)
        assert reader.free() == CAPACITY - 1
        os.kill(pid, signal.SIGKILL)
    assert ended(pid) == -signal.SIGKILL
    assert reader.heal(is_empty)
    assert reader.free() == CAPACITY
    os.close(seen)
    os.close(told)


def test_a_forked_copy_of_a_sender_neither_keeps_its_claim_nor_gives_it_up(files, tokens):
    writer, reader = MailboxWriter(files.path, lambda _: None), tokens()
    take(writer._tokens)
    seen, told = os.pipe()
    pid = forked(lambda: (os.write(told, b"1"), signal.pause()))
    assert os.read(seen, 1) == b"1"
    assert not reader.heal(is_empty), "the copy has given up what is its parent's"
    writer._tokens.give_up()
    assert reader.heal(is_empty), "the copy holds what was its parent's"
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    writer.close()
    os.close(seen)
    os.close(told)


def test_a_place_comes_back_though_a_copy_of_its_killed_sender_lives(files, tokens):
    reader = tokens()
    seen, told = os.pipe()

    def send_by_halves():
        writer = MailboxWriter(files.path, lambda _: None)
        take(writer._tokens)
        os.write(told, b"%d\n" % forked(signal.pause))
        signal.pause()

    sender = forked(send_by_halves)
    copy = int(os.read(seen, 100))
    assert not reader.heal(is_empty)
    os.kill(sender, signal.SIGKILL)
    ended(sender)
    try:
        # The copy gives up its part of the claim as its first act, whenever that is.
        eventually(lambda: reader.heal(is_empty), "the place of the killed sender")
        assert reader.free() == CAPACITY
    finally:
        os.kill(copy, signal.SIGKILL)
        os.close(seen)
        os.close(told)


def test_what_a_copy_sends_gives_up_no_claim_of_its_parents(files, tokens):
    writer, reader = MailboxWriter(files.path, lambda _: None), tokens()
    take(writer._tokens)
    assert ended(forked(writer.send, RECORD)) == 0
    assert not reader.heal(is_empty)
    writer._tokens.give_up()
    writer.close()


def test_a_copy_of_a_sender_outlives_its_mailbox_and_is_closed_in_order(files):
    writer = MailboxWriter(files.path, lambda _: None)
    writer.send(RECORD)
    before = len(os.listdir("/proc/self/fd"))

    def close_a_copy():
        assert writer.close() == []
        assert len(os.listdir("/proc/self/fd")) < before

    for path in Path(files.path).iterdir():
        path.unlink()
    assert ended(forked(close_a_copy)) == 0
    writer.close()


def test_what_waits_in_its_sender_keeps_its_place_until_it_is_written(tmp_path):
    """The pipe is full: a token was taken, and its record is not there yet."""
    size = 4000
    record = frame(Kind.ITEM, 0, bytes(size))
    files = MailboxFiles(str(tmp_path / "roomy"), 100)
    writer, reader = MailboxWriter(files.path, lambda _: None), MailboxReader(files.path)
    idle = Tokens(files.path, 100)
    sent = 0
    while not writer.waiting():
        writer.send(record, 0.0)
        sent += 1
    assert not idle.heal(is_empty)
    assert idle.free() == 100 - sent
    got = 0
    while got < sent:
        taken = reader.take(SHORT_S)
        taken.body.release()
        reader.done(place=True)
        got += 1
    reader.give_back()
    assert writer.flush(SHORT_S) == 0
    eventually(lambda: idle.heal(is_empty), "no claim on any token")
    assert idle.free() == 100
    for access in (writer, reader, idle, files):
        access.close()


def test_what_waited_in_its_sender_and_is_lost_gives_its_place_up(tmp_path):
    record = frame(Kind.ITEM, 0, bytes(4000))
    files = MailboxFiles(str(tmp_path / "roomy"), 100)
    lost = []
    writer = MailboxWriter(files.path, lost.append)
    idle = Tokens(files.path, 100)
    while not writer.waiting():
        writer.send(record, 0.0)
    os.close(files.read_end)
    files.read_end = -1
    assert eventually(lambda: lost, "the loss of what waited") == [record]
    assert idle.heal(is_empty)
    for access in (writer, idle, files):
        access.close()


def test_an_idle_reader_brings_back_what_killed_senders_took(files):
    """Whether it waits for a time, or for ever: what wakes it then is a sender's nudge."""
    reader = MailboxReader(files.path)
    for _ in range(CAPACITY):
        seen, told = os.pipe()
        pid = forked(take_and_wait, files.path, told)
        os.read(seen, 1)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        os.close(seen)
        os.close(told)
    writer = MailboxWriter(files.path, lambda _: None)
    assert writer.free() == 0
    assert reader.take(0.001) is None
    assert writer.free() == CAPACITY
    writer.close()
    reader.close()
