"""What the watchdog reads from a black box, at each step of its reader."""

from __future__ import annotations

import os
from time import monotonic

import pytest

from procactors.model.options import Options
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.wire.mailbox.black_box import ENDING, PHASE, RUNNING, STARTING, STATE, STOPPING
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import Kind, frame


@pytest.fixture
def mailbox(tmp_path):
    """A mailbox with one record in its pipe, its reader, and what the watchdog sees of it."""
    (tmp_path / "actors").mkdir()
    mailbox = ActorMailbox(str(tmp_path), 1, "a", "Actor", Options())
    reader = MailboxReader(mailbox.files.path)
    mailbox.words[PHASE] = RUNNING
    yield reader, mailbox
    reader.close()
    mailbox.box.close()
    mailbox.files.close()


def seen(mailbox):
    look = mailbox.look(100.0)
    return look.handled, look.busy_since is not None, look.waits


def test_each_step_of_a_message_is_seen(mailbox):
    reader, actor = mailbox
    assert seen(actor) == (0, False, False)
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b"") + frame(Kind.NUDGE, 0, b""))
    assert seen(actor) == (0, False, True)  # in the pipe
    before = monotonic()
    reader.advance()
    assert seen(actor) == (0, True, True)  # in hand
    assert before - 0.001 <= actor.look(100.0).busy_since <= monotonic()
    reader.done(place=False)
    assert seen(actor) == (1, False, True)  # the second, in the box
    reader.advance()
    reader.done(place=False)
    assert seen(actor) == (2, False, False)


def test_a_reader_stopped_between_its_read_and_its_note_has_messages_waiting(mailbox):
    """The pipe is empty then, and the state word is 0."""
    reader, actor = mailbox
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b""))
    os.readv(reader._ready, [actor.box.batch])
    assert actor.words[STATE] == 0
    assert seen(actor) == (0, False, True)


@pytest.mark.parametrize(
    ("phase", "counts"), [(STARTING, False), (STOPPING, True), (ENDING, False)]
)
def test_before_its_start_and_behind_its_last_message_nothing_waits(mailbox, phase, counts):
    reader, actor = mailbox
    os.write(reader._own_end, frame(Kind.NUDGE, 0, b""))
    actor.words[PHASE] = phase
    assert seen(actor) == (0, False, counts)
