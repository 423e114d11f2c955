"""What the watchdog reads from a black box, at each step of its reader."""

from __future__ import annotations

import os
from time import monotonic
from types import SimpleNamespace

import pytest

from procactors.supervision.watchdog import _look
from procactors.wire.blackbox import ENDING, PHASE, RUNNING, STARTING, STATE, STOPPING, BlackBox
from procactors.wire.mailbox import MailboxFiles
from procactors.wire.reader import MailboxReader
from procactors.wire.record import Kind, frame


@pytest.fixture
def mailbox(tmp_path):
    """A mailbox with one record in its pipe, its reader, and what the watchdog sees of it."""
    files = MailboxFiles(str(tmp_path / "mailbox"))
    reader = MailboxReader(files.path)
    box = BlackBox(os.path.join(files.path, "box"))
    box.words[PHASE] = RUNNING
    yield reader, SimpleNamespace(words=box.words, box=box, files=files)
    reader.close()
    box.close()
    files.close()


def seen(cell):
    look = _look(cell, 100.0)
    return look.handled, look.busy_since is not None, look.waits


def test_each_step_of_a_message_is_seen(mailbox):
    reader, cell = mailbox
    assert seen(cell) == (0, False, False)
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b"") + frame(Kind.NUDGE, 0, b""))
    assert seen(cell) == (0, False, True)  # in the pipe
    before = monotonic()
    reader.advance()
    assert seen(cell) == (0, True, True)  # in hand
    assert before - 0.001 <= _look(cell, 100.0).busy_since <= monotonic()
    reader.done(place=False)
    assert seen(cell) == (1, False, True)  # the second, in the box
    reader.advance()
    reader.done(place=False)
    assert seen(cell) == (2, False, False)


def test_a_reader_stopped_between_its_read_and_its_note_has_messages_waiting(mailbox):
    """The pipe is empty then, and the state word is 0."""
    reader, cell = mailbox
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b""))
    os.readv(reader._ready, [cell.box.batch])
    assert cell.words[STATE] == 0
    assert seen(cell) == (0, False, True)


@pytest.mark.parametrize(
    ("phase", "counts"), [(STARTING, False), (STOPPING, True), (ENDING, False)]
)
def test_before_its_start_and_behind_its_last_message_nothing_waits(mailbox, phase, counts):
    reader, cell = mailbox
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b""))
    cell.words[PHASE] = phase
    assert seen(cell) == (0, False, counts)
