"""Closing a pipe against racing writers: what was written is found, what is not found failed."""

from __future__ import annotations

import multiprocessing
import os
import threading
from contextlib import suppress

import pytest

from procactors.wire.mailbox.black_box import CLOSED, GONE, BlackBox
from procactors.wire.mailbox.closing import close_for_good
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.record import Kind, frame, parse, whole_records

ROUNDS = 60


def write_until_closed(path, start, results, size):
    """Write records until the mailbox is closed or full; tell how many the kernel has taken."""
    lost = []
    writer = MailboxWriter(path, lost.append)
    os.read(start, 1)
    count = 0
    record = frame(Kind.ITEM, 0, bytes(size))
    with suppress(MailboxClosed):
        while not writer.waiting():
            writer.send(record)
            count += 1
    left = writer.close()
    os.write(results, (count - len(left) - len(lost)).to_bytes(8, "little"))


def items(records):
    return sum(parse(record).kind == Kind.ITEM for record in records)


@pytest.mark.parametrize("size", [8, 200, 3000])
def test_a_sender_is_never_in_doubt(tmp_path, size):
    context = multiprocessing.get_context("fork")
    for number in range(ROUNDS):
        files = MailboxFiles(str(tmp_path / f"mailbox-{number}"))
        box = BlackBox(os.path.join(files.path, "box"))
        results, into = os.pipe()
        start, go = os.pipe()
        writers = [
            context.Process(target=write_until_closed, args=(files.path, start, into, size))
            for _ in range(2)
        ]
        for writer in writers:
            writer.start()
        os.write(go, b"12")
        found = []
        if number % 2:
            while not found[1:]:
                with suppress(BlockingIOError):
                    found += whole_records(os.read(files.read_end, 1 << 20))
        box.words[CLOSED] = GONE
        found += files.close_for_good()
        for writer in writers:
            writer.join()
            writer.close()
        sent = sum(int.from_bytes(os.read(results, 8), "little") for _ in range(2))
        assert items(found) == sent, f"round {number}"
        box.close()
        files.close()
        for fd in (results, into, start, go):
            os.close(fd)


def test_a_full_pipe_is_closed_with_all_that_is_in_it(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"))
    end = os.open(os.path.join(files.path, "pipe"), os.O_WRONLY | os.O_NONBLOCK)
    count = 0
    with pytest.raises(BlockingIOError):
        while True:
            os.write(end, frame(Kind.ITEM, 0, bytes(24)))
            count += 1
    assert items(files.close_for_good()) == count
    with pytest.raises(BrokenPipeError):
        os.write(end, frame(Kind.ITEM, 0, b""))
    os.close(end)
    files.close()


def test_a_copy_of_the_read_end_lets_no_write_through(tmp_path):
    """A forked copy of the program holds the pipe open: it is full for good."""
    files = MailboxFiles(str(tmp_path / "mailbox"))
    copy = os.dup(files.read_end)
    end = os.open(os.path.join(files.path, "pipe"), os.O_WRONLY | os.O_NONBLOCK)
    assert items(files.close_for_good()) == 0
    with pytest.raises(BlockingIOError):
        os.write(end, frame(Kind.ITEM, 0, b""))
    os.close(end)
    os.close(copy)
    files.close()


def test_without_descriptors_what_was_written_is_still_found(tmp_path, monkeypatch):
    read_end, write_end = os.pipe2(os.O_NONBLOCK)
    os.write(write_end, frame(Kind.ITEM, 0, b"12345678"))
    real = os.open

    def no_descriptor(path, *args, **kwargs):
        if "/proc/self/fd" in str(path):
            raise OSError(24, "Too many open files")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", no_descriptor)
    assert items(close_for_good(read_end)) == 1
    os.close(write_end)


def test_closing_while_threads_of_the_same_process_write(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"))
    lost, sent = [], []
    writer = MailboxWriter(files.path, lost.append)

    def write():
        count = 0
        with suppress(MailboxClosed):
            while not writer.waiting():
                writer.send(frame(Kind.ITEM, 0, b""))
                count += 1
        sent.append(count)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    writer.words[CLOSED] = GONE
    found = items(files.close_for_good())
    for thread in threads:
        thread.join()
    left = writer.close()
    assert found == sum(sent) - len(left) - len(lost)
    files.close()
