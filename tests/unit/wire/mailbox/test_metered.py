"""The metered reader: each message is counted once, for its method, with its time."""

from __future__ import annotations

import errno

import pytest

from procactors.wire import meter_table
from procactors.wire.mailbox import metered
from procactors.wire.mailbox.black_box import HANDLED
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.writer import MailboxWriter
from procactors.wire.meter_table import SUM, read_table
from procactors.wire.record import stamped
from tests.support.metered import A, B, begun, counts, reader_of, record_of, serve


class Clock:
    """Nanoseconds that a test sets."""

    def __init__(self):
        self.now = 1_000_000_000

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(metered, "monotonic_ns", clock)
    monkeypatch.setattr("procactors.wire.mailbox.reader.monotonic_ns", clock)
    return clock


@pytest.fixture
def mailbox(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"))
    yield files.path
    files.close()


@pytest.fixture
def writer(mailbox):
    writer = MailboxWriter(mailbox, lambda _: None)
    yield writer
    writer.close()


@pytest.fixture
def reader(mailbox):
    reader = reader_of(mailbox)
    yield reader
    reader.close()


def column_of(took):
    return meter_table.index_of(took) - SUM


def test_quick_messages_of_a_batch_are_counted_at_their_mean(mailbox, writer, reader, clock):
    for method in (A, A, A, B):
        writer.send(record_of(method))
    steps = iter((1_000, 3_000, 8_000, 2_000))
    serve(reader, lambda: setattr(clock, "now", clock.now + next(steps)))
    first, second = read_table(f"{mailbox}/metrics").rows
    assert first.first[0] == 12_000
    assert first.first[column_of(4_000)] == 3
    assert second.first[0] == 2_000
    assert second.first[column_of(2_000)] == 1


def test_a_message_that_takes_long_has_its_own_column(mailbox, writer, reader, clock):
    for _ in range(4):
        writer.send(record_of(A))
    steps = iter((2_000, 4_000, 50_000_000, 1_500))
    serve(reader, lambda: setattr(clock, "now", clock.now + next(steps)))
    (row,) = read_table(f"{mailbox}/metrics").rows
    assert row.first[0] == 50_007_500
    assert row.first[column_of(3_000)] == 2
    assert row.first[column_of(50_000_000)] == 1
    assert row.first[column_of(1_500)] == 1


def test_the_time_of_what_is_no_message_is_no_methods(mailbox, writer, reader, clock):
    for method in (A, None, A):
        writer.send(record_of(method))
    at = reader.advance(0.0)
    while at >= 0:
        if begun(reader, at):
            clock.now += 2_000
            at = reader.step(0.0)
        else:
            clock.now += 9_000_000
            reader.done(place=False)
            at = reader.advance(0.0)
    (row,) = read_table(f"{mailbox}/metrics").rows
    assert row.first[0] == 4_000
    assert sum(row.first[1:]) == 2


def test_a_stamped_message_says_how_long_it_has_waited_and_for_how_many(
    mailbox, writer, reader, clock
):
    writer.send(stamped(record_of(A), clock.now, 3))
    clock.now += 7_000_000
    at = reader.advance(0.0)
    begun(reader, at)
    reader.waited(at)
    reader.step(0.0)
    (row,) = read_table(f"{mailbox}/metrics").rows
    assert row.second[0] == 21_000_000
    assert row.second[column_of(7_000_000)] == 3


def test_a_bounded_mailbox_counts_the_same(tmp_path):
    files = MailboxFiles(str(tmp_path / "bounded"), 8)
    writer, reader = MailboxWriter(files.path, lambda _: None), reader_of(files.path)
    for method in (A, A, B):
        writer.send(record_of(method))
    serve(reader)
    reader.close()
    writer.close()
    assert counts(files.path) == {A: 2, B: 1}
    files.close()


def test_without_room_a_message_is_handled_all_the_same(mailbox, writer, reader, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(meter_table.os, "posix_fallocate", refuse)
    for _ in range(5):
        writer.send(record_of(A))
    serve(reader)
    assert reader.box.words[HANDLED] == 5
    assert counts(mailbox) == {}
    monkeypatch.undo()
    reader.meter._try_again = 0
    writer.send(record_of(B))
    serve(reader)
    assert counts(mailbox) == {B: 1}
    assert read_table(f"{mailbox}/metrics").base == 5
