"""When a life has handled enough: messages count, and the runtime's own records do not."""

from __future__ import annotations

import pytest

from procactors.runner.recycling import Recycler
from procactors.runner.source import ENDS, NOTHING
from procactors.wire.envelope import CALL_ID, build_message
from procactors.wire.mailbox.black_box import (
    HANDLED,
    HANDLED_OWN,
    PHASE,
    RUNNING,
    STOPPING,
)
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.writer import MailboxWriter
from procactors.wire.record import EVENT, TERMINATED, Kind, frame

#: Records of the runtime's own that an actor may find in its mailbox, but for a stop.
OWN = {
    "nudge": frame(Kind.NUDGE, 0, b""),
    "fence": frame(Kind.FENCE, 0, CALL_ID.pack(1)),
}
EVENT_RECORD = frame(Kind.EVENT, 0, EVENT.pack(TERMINATED, 1, 1))


@pytest.fixture(params=[0, 8], ids=["unbounded", "bounded"])
def ends(store, tmp_path, request):
    """Both ends of a mailbox, and a message."""
    files = MailboxFiles(str(tmp_path / "mailbox"), request.param)
    writer, reader = MailboxWriter(files.path, lambda _: None), MailboxReader(files.path)
    yield writer, reader, build_message(store, 1, b":method", store.encode(((), {})))
    for end in (reader, writer, files):
        end.close()


def handle_all(recycler, reader, writer):
    """Handle what is there, as an actor does; return the kinds of it, in order.

    A stop ends it at the latest: a life that is not over by then would wait for more.
    """
    writer.send_control(frame(Kind.STOP, 0, b""))
    kinds = []
    while (at := recycler.advance(None)) >= 0:
        kind = reader.box.raw[at + 4]
        reader.done(place=kind == Kind.CALL)
        if kind == Kind.STOP:
            break
        kinds.append(Kind(kind))
    return kinds


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_the_runtimes_own_records_count_for_no_life(ends, own):
    writer, reader, message = ends
    for record in (own, own, message, own, message, own):
        (writer.send if record is message else writer.send_control)(record)
    recycler = Recycler(reader, 2, None, None)
    kinds = handle_all(recycler, reader, writer)
    assert kinds.count(Kind.CALL) == 2
    assert recycler.due
    assert reader.box.words[HANDLED] - reader.box.words[HANDLED_OWN] == 2


def test_events_count_as_messages(ends):
    """A hook of the user's runs for them."""
    writer, reader, message = ends
    writer.send_control(EVENT_RECORD)
    writer.send(message)
    writer.send(message)
    recycler = Recycler(reader, 2, None, None)
    assert handle_all(recycler, reader, writer) == [Kind.EVENT, Kind.CALL]


@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_a_life_that_is_over_at_once_handles_a_message_and_not_only_our_own_records(ends, own):
    """Else lives would follow each other, and a message wait behind each."""
    writer, reader, message = ends
    writer.send_control(own)
    writer.send(message)
    writer.send(message)
    recycler = Recycler(reader, None, 1e-9, None)
    assert handle_all(recycler, reader, writer) == [Kind(own[4]), Kind.CALL]
    assert recycler.due


def test_the_items_of_a_batch_count_one_by_one(ends):
    writer, reader, message = ends
    writer.send(message)
    recycler = Recycler(reader, 5, None, None)
    assert recycler.advance(None) >= 0
    assert recycler.room() == 5
    recycler.spend(4)
    reader.done(place=True)
    writer.send(message)
    writer.send(message)
    assert handle_all(recycler, reader, writer) == [Kind.CALL]


def test_a_stop_does_not_count_and_what_is_behind_it_is_handled_by_the_same_life(ends):
    writer, reader, message = ends
    writer.send(message)
    writer.send_control(frame(Kind.STOP, 0, b""))
    writer.send(message)
    recycler = Recycler(reader, 2, None, None)
    for phase in (RUNNING, RUNNING, STOPPING):
        reader.box.words[PHASE] = phase
        assert recycler.advance(None if phase == RUNNING else 0.0) >= 0
        reader.done(place=False)
    assert recycler.advance(0.0) == -1
    assert not recycler.due


@pytest.mark.parametrize("seconds", [None, 3600.0], ids=["messages", "seconds"])
def test_a_wait_that_is_over_is_no_end_of_the_life(ends, seconds):
    """What stands before it may wait for less than the bound: for a timer, say."""
    writer, reader, message = ends
    recycler = Recycler(reader, 2, seconds, None)
    for _ in range(3):
        assert recycler.advance(0.001) == NOTHING
    assert not recycler.due
    for _ in range(2):
        writer.send(message)
        assert recycler.advance(0.001) >= 0
        recycler.done(place=True)
    for _ in range(3):
        assert recycler.advance(0.001) == ENDS
    assert recycler.due
