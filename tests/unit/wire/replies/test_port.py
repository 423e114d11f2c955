"""Reply ports: no answer is taken for another, and none that is never read keeps its segment."""

from __future__ import annotations

import os
import select
from contextlib import suppress
from time import monotonic

import pytest

from procactors.errors import AskTimeout
from procactors.wire.envelope import CALL_ID
from procactors.wire.mailbox.tokens import bytes_in
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import Kind, frame
from procactors.wire.replies import failures as failure, sender as replysender
from procactors.wire.replies.failures import load_answer, open_answer
from procactors.wire.replies.port import Answer, ReplyPort
from procactors.wire.replies.reader import ReplyReader
from procactors.wire.replies.sender import ReplySender
from tests.support.segments import all_segments, in_use
from tests.support.waiting import SHORT_S, eventually

#: Beyond what a record holds: its value is in a segment.
LARGE = bytes(10_000)


@pytest.fixture
def port(store):
    port = ReplyPort(store)
    yield port
    port.retire()


@pytest.fixture
def sender(store):
    sender = ReplySender(store)
    yield sender
    sender.close()


def fill(port):
    """Fill the pipe of a port to its last byte, so that the next answer goes to a file.

    With answers to calls that are over: nothing among them says that there is a file.
    """
    for size in (4080, 0):
        answer = frame(Kind.RESULT, 0, CALL_ID.pack(0) + bytes(size))
        with suppress(BlockingIOError):
            while True:
                os.write(port._fd, answer)


def spilled(port):
    folder = f"{port._path}.spill"
    return os.listdir(folder) if os.path.isdir(folder) else []


def is_readable(port):
    poll = select.poll()
    poll.register(port._fd, select.POLLIN)
    return bool(poll.poll(0))


# -- answers that are never read -------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Kind.RESULT, Kind.FAILURE, Kind.VERDICT])
def test_a_retired_port_lets_go_what_was_not_read(port, sender, store, kind):
    for call in (1, 2):
        assert sender.answer(port.number, call, kind, LARGE)
    assert len(in_use(store.path)) == 2
    port.retire()
    assert in_use(store.path) == []


def test_a_retired_port_lets_go_what_went_to_a_file(port, sender, store):
    fill(port)
    for call in (1, 2):
        assert sender.answer(port.number, call, Kind.RESULT, LARGE, patient=False)
    assert len(spilled(port)) == 2
    port.retire()
    assert in_use(store.path) == []
    assert spilled(port) == []


def test_a_dropped_port_lets_go_what_was_not_read(sender, store):
    """A signal handler that raises may take it from its caller."""
    port = ReplyPort(store)
    sender.answer(port.number, 1, Kind.RESULT, LARGE)
    del port
    assert in_use(store.path) == []


@pytest.mark.parametrize("is_read", [False, True], ids=["in the pipe", "read"])
def test_a_call_that_is_given_up_lets_its_answer_go(port, sender, store, is_read):
    sender.answer(port.number, 5, Kind.RESULT, LARGE)
    if is_read:
        assert port.read(monotonic() + SHORT_S)
    port.give_up(5)
    assert in_use(store.path) == []


@pytest.mark.parametrize("has_sent_before", [False, True])
def test_an_answer_that_comes_behind_a_ports_end_goes_nowhere(port, sender, store, has_sent_before):
    if has_sent_before:  # its end of the pipe is open
        assert sender.answer(port.number, 1, Kind.RESULT, b"")
    port.retire()
    for value in (b"", LARGE):
        assert not sender.answer(port.number, 2, Kind.RESULT, value)
    assert in_use(store.path) == []


def test_an_answer_that_waits_for_room_when_its_port_ends_goes_nowhere(
    port, sender, store, monkeypatch
):
    fill(port)

    def end_first(*_):
        port.retire()
        return real(*_)

    real = replysender._write_within
    monkeypatch.setattr(replysender, "_write_within", end_first)
    assert not sender.answer(port.number, 2, Kind.RESULT, LARGE)
    assert in_use(store.path) == []


def test_the_answers_of_earlier_calls_are_dropped_on_the_way_to_ones_own(port, sender, store):
    for call in (1, 2, 3):
        sender.answer(port.number, call, Kind.RESULT, LARGE)
    answer = port.wait(2, monotonic() + SHORT_S, lambda: None)
    assert store.load(answer.flags, answer.value) == LARGE
    assert in_use(store.path) == []


def test_a_call_finds_its_answer_behind_a_full_pipe(port, sender, store):
    """In a file, with no room for a nudge in the pipe."""
    fill(port)
    assert sender.answer(port.number, 7, Kind.RESULT, LARGE, patient=False)
    answer = port.wait(7, monotonic() + SHORT_S, lambda: None)
    assert store.load(answer.flags, answer.value) == LARGE
    assert in_use(store.path) == []


def test_segments_of_answers_that_nobody_reads_are_written_again(store, sender):
    for _ in range(10):
        port = ReplyPort(store)
        sender.answer(port.number, 1, Kind.RESULT, LARGE)
        port.retire()
    assert len(all_segments(store.path)) <= 1


# -- the nudge -----------------------------------------------------------------------------------


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize("value", [b"", LARGE], ids=["small", "large"])
@pytest.mark.parametrize("kind", [Kind.RESULT, Kind.FAILURE, Kind.VERDICT])
def test_a_caller_whose_pipe_was_empty_before_its_answer_was_in_a_file_is_woken(
    port, sender, store, monkeypatch, kind, value, patient
):
    """It waits for nothing else: without a nudge its answer would lie there until the next one."""
    fill(port)

    def write_late(*args):
        assert port.read(0.0), "the caller empties its pipe"
        assert not is_readable(port)
        return real(*args)

    real = replysender.write_file
    monkeypatch.setattr(replysender, "write_file", write_late)
    assert sender.answer(port.number, 9, kind, value, patient)
    assert is_readable(port), "nothing wakes the caller"
    answer = port.wait(9, monotonic() + SHORT_S, lambda: None)
    plain = kind == Kind.RESULT
    found = load_answer(store, answer) if plain else store.load(answer.flags, answer.value)
    assert found == value
    assert not spilled(port)


def test_a_reader_thread_whose_pipe_was_empty_is_woken_too(store, sender, monkeypatch):
    reader = ReplyReader(store)
    got = Pending(store)
    reader.pending[3] = got
    fill(reader.port)  # before its thread runs

    def write_late(*args):
        reader.start()
        eventually(lambda: not bytes_in(reader.port._fd), "the thread to empty the pipe")
        return real(*args)

    real = replysender.write_file
    monkeypatch.setattr(replysender, "write_file", write_late)
    assert sender.answer(reader.port.number, 3, Kind.RESULT, b"late", patient=False)
    assert eventually(lambda: got.answers, "the answer") == [b"late"]
    reader.close()


@pytest.mark.parametrize("bits", [0, 30_000, 32_500, 32_600, 32_700, 32_768, 40_000, 400_000])
def test_a_number_of_any_length_is_read_as_it_was_written(port, store, sender, bits):
    """Around the length from which it does not fit into a record, and is pickled."""
    for value in (1 << bits, -(1 << bits)):
        assert sender.answer(port.number, 9, Kind.RESULT, value)
        answer = port.wait(9, monotonic() + SHORT_S, lambda: None)
        kept = Answer(answer.kind, answer.flags, bytes(answer.value))
        assert open_answer(store, kept) == (True, value)
        assert in_use(store.path) == []


# -- the shared port of submits --------------------------------------------------------------------


class Pending:
    """Keeps what is delivered."""

    is_awaited = True

    def __init__(self, store):
        self.store = store
        self.answers, self.errors = [], []

    def deliver(self, answer, error):
        if answer is None:
            self.errors.append(error)
        else:
            self.answers.append(load_answer(self.store, answer))


def test_an_answer_to_a_call_that_is_over_lets_its_segment_go(store, sender):
    reader = ReplyReader(store)
    reader.start()
    late = Pending(store)
    reader.pending[1] = late
    reader.expire(1, monotonic(), 0.0, 7, AskTimeout("late"))
    assert [type(error) for error in eventually(lambda: late.errors, "its end")] == [AskTimeout]
    for call in (1, 2):  # given up, and never made
        assert sender.answer(reader.port.number, call, Kind.RESULT, LARGE)
    eventually(lambda: not in_use(store.path), "the segments to be let go")
    reader.close()


def test_what_comes_while_the_reader_ends_lets_its_segment_go(store, sender):
    reader = ReplyReader(store)  # its threads are not there any more, or not yet
    reader.start()
    reader._closing = True
    reader.port.wake()
    reader._threads[0].join()
    awaited = Pending(store)
    reader.pending[2] = awaited
    sender.answer(reader.port.number, 1, Kind.RESULT, LARGE)
    sender.answer(reader.port.number, 2, Kind.RESULT, b"in time")
    assert len(in_use(store.path)) == 1
    reader.close()
    assert in_use(store.path) == []
    assert (awaited.answers, awaited.errors) == ([b"in time"], [])


# -- fences: a process that has answered is dead ---------------------------------------------------


@pytest.fixture
def dead(store):
    """The store of a process that is over, and had written for a port."""
    dead = PayloadStore(store.path)
    yield dead
    dead.close()


def fence(dead):
    return frame(Kind.FENCE, 0, CALL_ID.pack(dead.process))


@pytest.mark.parametrize("is_full", [False, True], ids=["pipe", "file"])
def test_a_fence_takes_what_was_never_sent_and_not_what_was(port, store, dead, is_full):
    """The answer and the fence behind it are found in one look."""
    if is_full:
        fill(port)
    theirs = ReplySender(dead)
    theirs.answer(port.number, 1, Kind.RESULT, LARGE, patient=False)
    dead.store(dead.encode(LARGE), port.number)
    dead.store(dead.encode(LARGE), port.number + 1)  # another's
    theirs.send(port.number, fence(dead), patient=False)
    answer = port.wait(1, monotonic() + SHORT_S, lambda: None)
    assert len(in_use(store.path)) == 2
    assert store.load(answer.flags, answer.value) == LARGE
    assert len(all_segments(store.path)) == 1, "what was read is removed: it has no owner"
    theirs.close()


@pytest.mark.parametrize("then", ["read", "discarded"])
def test_an_answer_is_there_behind_a_fence_until_somebody_looks(store, dead, then):
    reader, late = ReplyReader(store), Kept(store)
    reader.pending[1] = late
    reader.start()
    theirs = ReplySender(dead)
    theirs.answer(reader.port.number, 1, Kind.RESULT, LARGE)
    dead.store(dead.encode(LARGE), reader.port.number)
    eventually(lambda: late.answers, "the answer")
    theirs.send(reader.port.number, fence(dead))
    eventually(lambda: len(in_use(store.path)) == 1, "the fence to be heeded")
    (answer,) = late.answers
    if then == "read":
        assert store.load(answer.flags, answer.value) == LARGE
    else:
        store.discard(answer.flags, answer.value)
    assert all_segments(store.path) == []
    theirs.close()
    reader.close()


class Kept(Pending):
    """Keeps the answer as it came, as a reply does that is not read yet."""

    is_awaited = True

    def deliver(self, answer, error):
        self.answers.append(Answer(answer.kind, answer.flags, memoryview(bytes(answer.value))))


def test_an_answer_that_was_opened_in_vain_is_there_behind_a_fence(port, store, dead, monkeypatch):
    """A signal handler raises while it is decoded: it can be opened again."""
    theirs = ReplySender(dead)
    theirs.answer(port.number, 1, Kind.RESULT, LARGE)
    answer = port.wait(1, monotonic() + SHORT_S, lambda: None)
    answer = Answer(answer.kind, answer.flags, memoryview(bytes(answer.value)))

    def raises(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(failure, "decode", raises)
        open_answer(store, answer)
    theirs.send(port.number, fence(dead))
    theirs.answer(port.number, 2, Kind.RESULT, b"")
    assert port.wait(2, monotonic() + SHORT_S, lambda: None)
    assert open_answer(store, answer) == (True, LARGE)
    theirs.close()


def test_a_port_that_ends_with_a_fence_in_it_lets_all_go(port, store, dead):
    theirs = ReplySender(dead)
    theirs.answer(port.number, 1, Kind.RESULT, LARGE)
    dead.store(dead.encode(LARGE), port.number)
    theirs.send(port.number, fence(dead))
    port.retire()
    assert in_use(store.path) == []
    theirs.close()


# -- how often a wait looks at the other side ------------------------------------------------------


class Gone(Exception):
    pass


@pytest.mark.parametrize("has_deadline", [False, True])
def test_a_wait_looks_at_the_other_side_after_each_slice_of_time(port, monkeypatch, has_deadline):
    """The first time, too: who waits for one that is gone hears of it within a second."""
    real, waits = port._wait, []

    def wait(milliseconds):
        waits.extend([milliseconds] if milliseconds else [])  # 0: a try
        return real(0)

    def check(number):
        assert number == 7
        raise Gone

    monkeypatch.setattr(port, "_wait", wait)
    with pytest.raises(Gone):
        port.wait(1, monotonic() + SHORT_S if has_deadline else None, check, 7)
    assert waits == [1000]
