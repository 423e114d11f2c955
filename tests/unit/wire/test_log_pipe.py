"""Records go through the pipe whole, in pieces, or not at all and counted."""

from __future__ import annotations

import contextlib
import os
import random
import threading

import pytest

from procactors.wire.log_pipe import LogParser, LogWriter
from procactors.wire.mailbox.black_box import LOGS, PID
from procactors.wire.runtime_dir import LOG_PIPE


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / LOG_PIPE)
    fd = os.open(tmp_path / LOG_PIPE, os.O_RDWR | os.O_NONBLOCK)
    yield fd
    os.close(fd)


@pytest.fixture
def writer(tmp_path, pipe):
    made = []

    def make(actor=1):
        words = memoryview(bytearray(4096)).cast("Q")
        words[PID] = os.getpid()
        made.append(LogWriter(str(tmp_path), actor, 1, words))
        return made[-1]

    yield make
    for one in made:
        if one._fd >= 0:
            os.close(one._fd)


def take(pipe, parser, most=1 << 16):
    try:
        return list(parser.feed(os.read(pipe, most)))
    except BlockingIOError:
        return []


def test_a_record_comes_with_number_and_origin(pipe, writer):
    one = writer(7)
    assert one.send(b"abc")
    (piece,) = take(pipe, LogParser())
    assert (piece.number, piece.dropped, piece.actor, piece.incarnation) == (1, 0, 7, 1)
    assert (piece.pid, piece.has_more, piece.data) == (os.getpid(), 0, b"abc")
    assert one._words[LOGS] == 1


@pytest.mark.parametrize("size", [0, 1, 7, 4047, 4048, 4049, 4096, 8096, 50_000])
def test_a_record_of_any_size_comes_in_pieces_of_one_write(pipe, writer, size):
    data = random.Random(size).randbytes(size)
    assert writer().send(data)
    pieces = take(pipe, LogParser())
    assert b"".join(piece.data for piece in pieces) == data
    assert [piece.has_more for piece in pieces] == [1] * (len(pieces) - 1) + [0]
    assert {piece.number for piece in pieces} == {1}


def test_wherever_a_read_ends_nothing_is_lost(pipe, writer, seed):
    chance, one, parser = random.Random(seed), writer(), LogParser()
    sent, found = [], []
    for _ in range(300):
        sent.append(chance.randbytes(chance.randrange(200)))
        assert one.send(sent[-1])
        found += [piece.data for piece in take(pipe, parser, chance.randrange(1, 300))]
    while len(found) < len(sent):
        found += [piece.data for piece in take(pipe, parser)]
    assert found == sent


def test_what_is_no_record_is_passed_over(pipe, writer):
    parser = LogParser()
    assert list(parser.feed(b"\0" * 4096)) == []
    assert list(parser.feed(b"\xff" * 100)) == []
    writer().send(b"abc")
    assert [piece.data for piece in take(pipe, parser)] == [b"abc"]


def test_in_a_full_pipe_one_record_waits_and_all_are_counted(pipe, writer):
    one = writer()
    sent = 0
    while one.send(b"x" * 4000):
        sent += 1
    assert not one.send(b"x" * 4000)  # without a wait
    parser, found = LogParser(), []
    while pieces := take(pipe, parser):
        found += pieces
    assert len(found) == sent
    assert one.send(b"through")
    (piece,) = take(pipe, parser)
    assert (piece.number, piece.dropped) == (sent + 3, 2)
    assert one._words[LOGS] == sent + 3


def test_a_record_waits_for_room_that_comes(pipe, writer):
    one, parser, found = writer(), LogParser(), []
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(pipe, b"\0" * 4096)
    thread = threading.Thread(target=one.send, args=(b"late",))
    thread.start()
    while not found:
        found = [piece.data for piece in take(pipe, parser)]
    thread.join()
    assert found == [b"late"]


def test_threads_share_an_end(pipe, writer):
    one, parser, found = writer(), LogParser(), []
    threads = [
        threading.Thread(target=lambda n=n: [one.send(f"{n} {k}".encode()) for k in range(500)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    while len(found) < 2000:
        found += take(pipe, parser)
    for thread in threads:
        thread.join()
    assert [piece.number for piece in found] == list(range(1, 2001))
    for n in range(4):
        own = [piece.data for piece in found if piece.data.startswith(f"{n} ".encode())]
        assert own == [f"{n} {k}".encode() for k in range(500)]


def test_without_a_parent_records_are_dropped(tmp_path):
    one = LogWriter(str(tmp_path), 1, 1, memoryview(bytearray(4096)).cast("Q"))
    assert not one.send(b"abc")
    assert one._words[LOGS] == 1
