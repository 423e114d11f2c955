"""What a look from outside counts in a mailbox, at each step of its reader."""

from __future__ import annotations

import contextlib
import os

import pytest

from procactors.model.options import Options
from procactors.outside.box import ActorBox
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.wire.envelope import tell_builder
from procactors.wire.mailbox.black_box import STATE
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import Kind, frame


@pytest.fixture
def mailbox(tmp_path):
    """A mailbox, its reader, and what is seen of it from outside."""
    (tmp_path / "actors").mkdir()
    mailbox = ActorMailbox(str(tmp_path), 1, "a", "Actor", Options())
    reader = MailboxReader(mailbox.files.path)
    with contextlib.closing(ActorBox(str(tmp_path), 1)) as box:
        yield reader, mailbox, box
    reader.close()
    mailbox.box.close()
    mailbox.files.close()


def put(reader, count):
    message = tell_builder(b"m:Actor.work", 0)(b"x")
    os.write(reader._own_end, message * count + frame(Kind.NUDGE, 0, b""))


def test_messages_are_counted_in_the_pipe_in_the_box_and_not_in_hand(mailbox):
    reader, _, box = mailbox
    put(reader, 3)
    assert box.waiting() == 3
    reader.advance()
    assert (box.waiting(), [one.handler for one in box.now_in_hand()]) == (2, ["Actor.work"])
    put(reader, 2)
    assert box.waiting() == 4
    reader.done(place=False)
    assert (box.waiting(), box.now_in_hand()) == (4, ())


def test_a_reader_stopped_right_behind_its_read_has_its_messages_counted(mailbox):
    reader, actor, box = mailbox
    put(reader, 2)
    os.readv(reader._ready, [actor.box.batch])
    assert actor.words[STATE] == 0
    assert box.waiting() == 2


def test_a_map_from_outside_cannot_be_written(mailbox):
    _, _, box = mailbox
    with pytest.raises(TypeError, match="read-only"):
        box.words[STATE] = 1
