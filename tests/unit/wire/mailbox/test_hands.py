"""The hands table: a message that leaves the batch is in one place, wherever its reader ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from procactors.errors import StorageFull
from procactors.wire.mailbox import hands as table
from procactors.wire.mailbox.black_box import (
    DELIVERIES,
    HANDLED,
    HANDLED_OWN,
    HANDS,
    IN_HAND,
    STATE,
    BlackBox,
    unpack_state,
)
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.hands import (
    COPIED,
    FREE,
    LATER,
    OWED,
    RUNNING,
    STASHED,
    WAITING,
    Hands,
)
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import IN_SEGMENT, KIND_AT, Kind, frame, parse
from tests.support.steps import INSTRUCTIONS, LINES, deaths


@contextmanager
def mailbox_at(path: Path, messages: int) -> Iterator[MailboxFiles]:
    """A mailbox with numbered messages in its pipe."""
    files = MailboxFiles(str(path))
    fd = os.open(path / "pipe", os.O_WRONLY)
    for number in range(messages):
        os.write(fd, numbered(number))
    os.close(fd)
    try:
        yield files
    finally:
        files.close()


def numbered(number: int) -> bytes:
    return frame(Kind.ITEM, 0, bytes([number]) * (8 + 300 * (number % 3)))


def number_of(record) -> int:
    return record.body[0]


@pytest.fixture
def held(tmp_path):
    """A reader with its table, and forty messages to take."""
    with mailbox_at(tmp_path / "box", 40) as files:
        reader = MailboxReader(files.path)
        hands = Hands(files.path, reader.box.words, is_reader=True)
        yield reader, hands
        hands.close()
        reader.close()


def test_a_held_message_is_out_of_the_batch_and_the_next_one_can_be_begun(held):
    reader, hands = held
    words = reader.box.words
    slots = []
    for number in range(40):
        reader.advance()
        words[DELIVERIES] = number % 2
        slot = hands.hold(reader)
        assert (slot.state, number_of(slot.record), slot.raw) == (RUNNING, number, numbered(number))
        assert (slot.deliveries, slot.turn) == (number % 2, number)
        assert not words[STATE] & IN_HAND
        assert words[DELIVERIES] == 0, "the next one's count begins anew"
        slots.append(slot)
    assert words[HANDLED] == 0
    seen = Hands(reader.path, words)
    assert [slot.raw for slot in seen.in_use()] == [numbered(number) for number in range(40)]
    for slot in slots[::2]:
        slot.release()
        slot.release()
    assert words[HANDLED] == 20
    assert [slot.turn for slot in seen.in_use()] == list(range(1, 40, 2))
    seen.close()


def test_slots_are_used_again_and_turns_never(held):
    reader, hands = held
    for turn in range(40):
        reader.advance()
        slot = hands.hold(reader)
        assert slot.turn == turn
        slot.release()
    assert reader.box.words[HANDS] == 1


def test_the_runtimes_own_is_not_counted_as_a_message(held):
    reader, hands = held
    reader.advance()
    hands.hold(reader, place=False).release()
    assert (reader.box.words[HANDLED], reader.box.words[HANDLED_OWN]) == (1, 1)


def test_a_slot_given_free_is_another_messages_next(held):
    reader, hands = held
    reader.advance()
    first = hands.hold(reader)
    glance = Hands(reader.path, reader.box.words)
    (seen,) = glance.in_use()
    assert seen.is_same
    first.release()
    assert not seen.is_same
    reader.advance()
    hands.hold(reader)
    assert not seen.is_same
    glance.close()


def test_the_next_reader_finds_what_waits_in_order(held):
    reader, hands = held
    for state in (WAITING, RUNNING, STASHED, LATER, WAITING):
        reader.advance()
        hands.hold(reader).state = state
    again = Hands(reader.path, reader.box.words, is_reader=True)
    assert again.count(STASHED) == again.unstash() == 1
    assert [number_of(slot.record) for slot in again.waiting()] == [0, 2, 4]
    reader.advance()
    assert again.hold(reader).turn == 5
    assert len(again.in_use()) == 6, "none of them was taken for free"
    again.close()


def test_without_room_the_message_stays_in_hand_in_the_batch(held, monkeypatch):
    reader, hands = held

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(table.os, "posix_fallocate", full)
    at = reader.advance()
    with pytest.raises(StorageFull, match="no room for one more message in hand"):
        hands.hold(reader)
    assert reader.box.words[HANDS] == 0
    assert reader.advance() == at
    monkeypatch.undo()
    assert number_of(hands.hold(reader).record) == 0


@pytest.mark.parametrize(("state", "is_handled"), [(LATER, 1), (STASHED, 0)])
def test_a_lifted_message_is_the_slots_and_stays_in_hand_in_the_batch(held, state, is_handled):
    reader, hands = held
    at = reader.advance()
    slot = hands.lift(reader, state)
    assert (slot.state, slot.raw) == (state, numbered(0))
    assert reader.advance() == at
    assert parse(reader.box.batch, at).kind == Kind.MOVED
    reader.done(place=True)
    assert handled(reader) == is_handled, "what is put aside is not"
    slot.release()
    assert handled(reader) == 1


def test_what_is_held_with_a_payload_leaves_no_record_that_names_it(held):
    reader, hands = held
    reader.advance()
    at = (reader.box.words[STATE] >> 16) & 0xFFFFFF
    reader.box.batch[at + KIND_AT] = Kind.CALL
    reader.box.batch[at + KIND_AT + 1] = IN_SEGMENT
    slot = hands.hold(reader)
    assert (slot.record.kind, slot.record.flags, slot.state) == (Kind.CALL, IN_SEGMENT, RUNNING)
    assert parse(reader.box.batch, at).kind == Kind.MOVED
    assert number_of(parse(reader.box.batch, reader.advance())) == 1


def handled(reader):
    """Return how many messages count as handled, as the supervisor reckons."""
    return reader.box.words[HANDLED] - reader.box.words[HANDLED_OWN]


def test_what_is_owed_was_in_no_batch(held):
    _, hands = held
    slot = hands.put(numbered(1), OWED)
    assert (slot.state, slot.raw) == (OWED, numbered(1))
    assert hands.slot_of(slot.number, slot.turn).raw == numbered(1)
    assert hands.slot_of(slot.number, slot.turn + 1) is None
    assert hands.slot_of(1000, 0) is None
    slot.release()
    assert hands.slot_of(slot.number, slot.turn) is None


@pytest.mark.parametrize("state", [LATER, STASHED])
def test_killed_before_each_instruction_of_a_lifting_one_has_it(tmp_path, state):
    """Two have it for as long as the note in the batch says so: then it is the slot's."""
    boxes = [mailbox_at(tmp_path / "0", 2)]
    boxes[0].__enter__()

    def scene(step: int) -> None:
        reader = MailboxReader(str(tmp_path / str(step)))
        hands = Hands(reader.path, reader.box.words, is_reader=True)
        reader.advance()
        hands.lift(reader, state)

    steps = [Hands.lift, Hands._copied, Hands._grow, MailboxReader.give_away]
    count = 0
    for step in deaths(scene, steps, INSTRUCTIONS):
        path = str(tmp_path / str(step))
        box = BlackBox(f"{path}/box")
        hands = Hands(path, box.words)
        _, offset, in_hand = box.recover()
        kind = parse(box.batch, offset).kind
        hands.settle(is_moved=kind == Kind.MOVED)
        slots = hands.in_use()
        assert in_hand
        assert len(slots) == (kind == Kind.MOVED)
        assert all(slot.state in (RUNNING, state) and slot.raw == numbered(0) for slot in slots)
        del slots
        hands.close()
        box.close()
        boxes[0].__exit__(None, None, None)
        boxes[0] = mailbox_at(tmp_path / str(step + 1), 2)
        boxes[0].__enter__()
        count += 1
    boxes[0].__exit__(None, None, None)
    assert count > 100


def left(path: str) -> tuple[list[int], list[int], int]:
    """Return the messages of the batch and of the slots, and how many counted as handled."""
    box = BlackBox(f"{path}/box")
    hands = Hands(path, box.words)
    hands.settle()
    fill, offset, _ = box.recover()
    of_batch = [number_of(parse(box.batch, at)) for at, _ in box.walk(offset, fill)]
    slots = hands.in_use()
    assert all(slot.state in (RUNNING, WAITING) for slot in slots)
    of_slots = [number_of(slot.record) for slot in slots]
    handled = box.words[HANDLED]
    del slots
    hands.close()
    box.close()
    return of_batch, of_slots, handled


def walk_of_all_steps(tmp_path: Path, steps: str, messages: int) -> int:
    """Have a reader hold and release messages, and die before each step in turn."""
    boxes = [mailbox_at(tmp_path / "0", messages)]
    boxes[0].__enter__()
    log = os.memfd_create("log")

    def scene(step: int) -> None:
        reader = MailboxReader(str(tmp_path / str(step)))
        hands = Hands(reader.path, reader.box.words, is_reader=True)
        slots = []
        for _ in range(messages):
            reader.advance()
            slots.append(hands.hold(reader))
        for slot in slots:
            os.write(log, bytes([number_of(slot.record)]))
            slot.release()

    functions = [Hands.hold, Hands._copied, Hands._grow, MailboxReader.done, Hands._released]
    functions.append(table.Slot.release)
    count = 0
    for step in deaths(scene, functions, steps):
        finished = set(os.pread(log, 1000, 0))
        of_batch, of_slots, handled = left(str(tmp_path / str(step)))
        assert of_slots + of_batch == sorted({*of_slots, *of_batch}), "in order, and none twice"
        gone = set(range(messages)) - set(of_slots) - set(of_batch)
        assert gone <= finished, "none is lost that was not handled"
        assert len(finished - gone) <= 1, "what is handled is let go of, but for the last one"
        assert len(gone) - 1 <= handled <= len(gone)
        boxes[0].__exit__(None, None, None)
        boxes[0] = mailbox_at(tmp_path / str(step + 1), messages)
        boxes[0].__enter__()
        os.ftruncate(log, 0)
        os.lseek(log, 0, os.SEEK_SET)
        count += 1
    boxes[0].__exit__(None, None, None)
    os.close(log)
    return count


def test_killed_before_each_instruction_each_message_is_in_one_place(tmp_path):
    assert walk_of_all_steps(tmp_path, INSTRUCTIONS, messages=1) > 100


@pytest.mark.stress
def test_killed_before_each_instruction_with_another_in_hand_each_is_in_one_place(tmp_path):
    assert walk_of_all_steps(tmp_path, INSTRUCTIONS, messages=2) > 200


@pytest.mark.stress
def test_killed_before_each_line_of_many_messages_each_is_in_one_place(tmp_path):
    """Many: so that the table grows with messages in it."""
    assert walk_of_all_steps(tmp_path, LINES, messages=40) > 500


def test_what_is_being_moved_is_the_batchs_until_the_box_is_behind_it(held):
    reader, hands = held
    reader.advance()
    slot = hands.hold(reader)
    slot.state = COPIED  # as if killed before the last store
    seen = Hands(reader.path, reader.box.words)
    reader.advance()  # no reader does this; here it stands for a message in hand in the batch
    seen.settle()
    assert slot.state == FREE
    slot.state = COPIED
    reader.box.words[STATE] &= ~IN_HAND
    seen.settle()
    assert slot.state == RUNNING
    assert unpack_state(reader.box.words[STATE])[2] is False
    seen.close()
