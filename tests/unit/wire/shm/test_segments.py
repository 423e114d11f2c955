"""Segments as their receiver sees them: copied out of maps that it keeps."""

from __future__ import annotations

import os

import pytest

from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded
from procactors.wire.record import IN_SEGMENT
from procactors.wire.runtime_dir import RuntimeDir
from procactors.wire.shm import segments
from tests.support.segments import all_segments

TARGET = 7
SIZE = 100_000


@pytest.fixture
def runtime_dir():
    directory = RuntimeDir(None)
    yield directory.path
    directory.remove()


@pytest.fixture
def sender(runtime_dir):
    store = PayloadStore(runtime_dir)
    yield store
    store.close()


@pytest.fixture
def receiver(runtime_dir):
    store = PayloadStore(runtime_dir)
    yield store
    store.close()


def sent(sender: PayloadStore, byte: bytes, size: int = SIZE) -> bytes:
    """Write a payload of one byte over and over; return its reference."""
    return sender.store(Encoded(b"head " + byte, [memoryview(byte * size)]), TARGET)


def come(receiver: PayloadStore, reference: bytes):
    """Open a payload as it comes in a record."""
    head, buffers, received = receiver.open(IN_SEGMENT, memoryview(reference))
    return bytes(head), buffers, received


def maps(receiver: PayloadStore):
    return receiver._received._maps


def test_a_segment_that_is_written_again_and_again_is_received_without_opening_it(
    sender, receiver, monkeypatch
):
    opened = []
    real = os.open

    def count(path, *args, **options):
        opened.append(path)
        return real(path, *args, **options)

    for number in range(20):
        byte = bytes([65 + number])
        reference = sent(sender, byte)
        if number == 2:
            monkeypatch.setattr(os, "open", count)
        head, (buffer,), received = come(receiver, reference)
        assert (head, bytes(buffer)) == (b"head " + byte, byte * SIZE)
        received.consume()
    assert opened == []
    assert len(maps(receiver)) == 1
    assert len(sender._segments._kept) == 1


def test_what_was_received_is_the_receivers_own_and_writable(sender, receiver):
    kept = []
    for number in range(10):
        _, (buffer,), received = come(receiver, sent(sender, bytes([number])))
        received.consume()
        kept.append(buffer)
    for number, buffer in enumerate(kept):
        assert bytes(buffer) == bytes([number]) * SIZE
        buffer[0] = 255
    _, (buffer,), received = come(receiver, sent(sender, b"z"))
    assert bytes(buffer) == b"z" * SIZE
    received.consume()


def test_what_was_not_consumed_is_not_written_again(sender, receiver):
    received = [come(receiver, sent(sender, bytes([number])))[2] for number in range(3)]
    assert len(sender._segments._kept) == 3
    for one in received:
        one.consume()
    _, _, left = come(receiver, sent(sender, b"a"))
    left.leave()
    reference = sent(sender, b"b")
    assert len({one._path for one in (*received, left)}) == 3
    assert come(receiver, reference)[2]._path != left._path


def test_a_receiver_keeps_few_maps_and_none_of_a_segment_that_is_gone(
    sender, receiver, monkeypatch
):
    monkeypatch.setattr(segments, "_KEPT_MAPS", 2)

    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    def receive_from(size: int) -> str:
        for _ in range(2):  # it is mapped when it is written again
            received = come(receiver, sent(sender, b"x", size))[2]
            received.consume()
        return received._path

    first, second = receive_from(5_000), receive_from(50_000)
    assert [kept.path for kept in maps(receiver).values()] == [first, second]
    before = descriptors()
    third = receive_from(400_000)
    assert [kept.path for kept in maps(receiver).values()] == [second, third]
    assert descriptors() == before + 2  # the sender's own: file and map
    os.unlink(third)
    fourth = receive_from(900_000)
    assert [kept.path for kept in maps(receiver).values()] == [second, fourth]
    receiver.sweep(sender.process, TARGET)
    assert not maps(receiver)


def test_a_large_segment_is_not_kept_mapped(sender, receiver):
    for byte in (b"a", b"b", b"c"):
        _, (buffer,), received = come(receiver, sent(sender, byte, 2_000_000))
        assert buffer[-1:] == byte
        received.consume()
        del buffer
    assert not maps(receiver)


def test_a_payload_that_was_written_again_is_no_payload(sender, receiver, monkeypatch):
    """Another process may handle it while this one looks: found before the copy, and behind it."""
    for _ in range(2):
        come(receiver, sent(sender, b"a"))[2].consume()
    old = sent(sender, b"b")
    sender.free(old)
    new = sent(sender, b"c")
    with pytest.raises(FileNotFoundError, match="written again"):
        come(receiver, old)
    real = segments.lay_out

    def meanwhile(*args):
        monkeypatch.undo()
        sender.free(new)
        sent(sender, b"d")
        return real(*args)

    monkeypatch.setattr(segments, "lay_out", meanwhile)
    with pytest.raises(FileNotFoundError, match="written again"):
        come(receiver, new)


def test_a_segment_of_a_dead_sender_goes_when_it_is_consumed(sender, receiver):
    for _ in range(2):
        come(receiver, sent(sender, b"a"))[2].consume()
    reference = sent(sender, b"b")
    receiver.keep(IN_SEGMENT, memoryview(reference))
    receiver.sweep(sender.process, TARGET)
    _, (buffer,), received = come(receiver, reference)
    assert os.path.exists(received._path)
    received.consume()
    assert not os.path.exists(received._path)
    assert bytes(buffer) == b"b" * SIZE


def test_what_was_passed_on_outlives_the_fence_of_its_first_receiver(sender, receiver, runtime_dir):
    """Its sender dies while it is on its way to the second one: no fence removes it."""
    passed, mine = sent(sender, b"p"), sent(sender, b"m")
    _, _, received = come(receiver, passed)
    receiver.pass_on(IN_SEGMENT, passed)
    received.leave()
    assert segments.sweep_segments(runtime_dir, sender.process, None) == {TARGET}
    for target in (TARGET, TARGET + 1):
        assert segments.sweep_segments(runtime_dir, sender.process, target) == set()
    with pytest.raises(FileNotFoundError):
        come(receiver, mine)
    head, buffers, received = come(receiver, passed)
    assert (head, bytes(buffers[0])) == (b"head p", b"p" * SIZE)
    del buffers
    received.consume()
    assert all_segments(runtime_dir) == []


def test_what_was_passed_on_is_not_written_again(sender, receiver, runtime_dir):
    passed = sent(sender, b"p")
    _, _, received = come(receiver, passed)
    receiver.pass_on(IN_SEGMENT, passed)
    received.leave()
    other = sent(sender, b"o")
    assert other[8:16] != passed[8:16]
    _, _, received = come(receiver, passed)
    received.consume()
    third = sent(sender, b"t")
    assert third[8:16] != passed[8:16]
    assert come(receiver, third)[0] == b"head t"


def test_what_is_gone_cannot_be_passed_on(sender, receiver):
    passed = sent(sender, b"p")
    come(receiver, passed)[2].consume()
    sent(sender, b"q")
    with pytest.raises(FileNotFoundError):
        receiver.pass_on(IN_SEGMENT, passed)
