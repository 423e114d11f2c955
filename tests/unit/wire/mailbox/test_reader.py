"""The reader under death at each of its steps: nothing is handled twice, and nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

import pytest

from procactors.runner.loop import Loop
from procactors.wire.envelope import build_message, open_envelope
from procactors.wire.mailbox import queue as mailbox_module
from procactors.wire.mailbox.black_box import IN_HAND, STATE, BlackBox
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.queue import Mailbox
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.tokens import Tokens
from procactors.wire.mailbox.writer import MailboxWriter
from procactors.wire.payload_store import PayloadStore, store_of
from procactors.wire.record import IN_SEGMENT, Kind, frame, parse, parse_all
from procactors.wire.replies.port import ReplyPort
from procactors.wire.replies.sender import ReplySender
from procactors.wire.runtime_dir import RuntimeDir
from procactors.wire.shm import segments as payload
from procactors.wire.shm.segments import REFERENCE, Received
from tests.support.segments import in_use
from tests.support.steps import INSTRUCTIONS, LINES, deaths

#: Records of each read, in turn: each time fewer, so that old bytes lie behind the new ones.
BATCHES = (2, 1)


class Log:
    """Numbers that survive the process that wrote them."""

    def __init__(self) -> None:
        self._fd = os.memfd_create("log")

    def add(self, number: int) -> None:
        os.write(self._fd, bytes([number]))

    def take(self) -> list[int]:
        """Return what was added, and forget it."""
        found = list(os.pread(self._fd, 1 << 16, 0))
        os.ftruncate(self._fd, 0)
        os.lseek(self._fd, 0, os.SEEK_SET)
        return found

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def new_log() -> Iterator[Callable[[], Log]]:
    made: list[Log] = []

    def make() -> Log:
        made.append(Log())
        return made[-1]

    yield make
    for log in made:
        log.close()


@contextmanager
def mailbox_at(path: Path, capacity: int = 0) -> Iterator[MailboxFiles]:
    files = MailboxFiles(str(path), capacity)
    try:
        yield files
    finally:
        files.close()


def read_all(reader: MailboxReader, log: Log, most: int) -> None:
    for _ in range(most):
        taken = reader.take(0.0)
        if taken is None:
            return
        log.add(taken.body[0])
        taken.body.release()
        reader.done(place=True)


def step_through_all(reader: MailboxReader, log: Log, most: int) -> None:
    """Do the same as an actor's loop does it."""
    at = reader.advance(0.0)
    for _ in range(most):
        if at < 0:
            return
        log.add(parse(reader.box.batch, at).body[0])
        at = reader.step(0.0)
    assert at < 0


#: Between two reads, where old bytes make way for new ones; and around each record.
REFILL = (MailboxReader._refill, BlackBox.recover)
EACH = (
    MailboxReader.advance,
    MailboxReader.take,
    MailboxReader.done,
    MailboxReader._read_timed,
    MailboxReader.give_back,
    Tokens.give,
)


@pytest.mark.parametrize("capacity", [0, 8], ids=["unbounded", "bounded"])
@pytest.mark.parametrize(
    ("read", "functions", "steps"),
    [
        (read_all, REFILL, INSTRUCTIONS),
        (read_all, EACH, LINES),
        (step_through_all, (MailboxReader.step,), INSTRUCTIONS),
    ],
    ids=["refill", "each", "step"],
)
def test_a_reader_killed_at_any_step_leaves_each_record_to_be_handled_once(
    tmp_path, new_log, capacity, read, functions, steps
):
    sent, handled, rest = new_log(), new_log(), new_log()

    def live(step: int) -> None:
        path = str(tmp_path / "mailbox")
        writer, reader = MailboxWriter(path, lambda _: None), MailboxReader(path)
        number = 0
        for count in BATCHES:
            for _ in range(count):
                writer.send(frame(Kind.ITEM, 0, bytes([number]) * 8))
                sent.add(number)
                number += 1
            read(reader, handled, count)

    files = MailboxFiles(str(tmp_path / "mailbox"), capacity)
    for step in deaths(live, functions, steps):
        reader = MailboxReader(files.path)
        in_hand = bool(reader.box.words[STATE] & IN_HAND)
        read_all(reader, rest, 100)
        before, behind = handled.take(), rest.take()
        if in_hand and before[-1:] == behind[:1]:
            behind.pop(0)  # the one in hand: its handler had run, and was not through with it
        assert before + behind == sent.take(), f"step {step}, in hand: {in_hand}"
        if capacity:
            assert reader.take(0.001) is None  # idle, it brings back what was lost
            assert reader._tokens.free() == capacity, f"step {step}"
        reader.close()
        files.close()
        files.path = str(tmp_path / f"old-{step}")
        os.rename(tmp_path / "mailbox", files.path)
        files = MailboxFiles(str(tmp_path / "mailbox"), capacity)
    files.close()


def test_a_mailbox_killed_at_any_line_of_get_keeps_what_it_was_not_through_with(new_log):
    """Payloads included: one that is still to be read is never written again, and none is kept."""
    handled = new_log()
    functions = (
        Mailbox.get,
        Mailbox._open,
        Mailbox._take_over,
        MailboxReader.advance,
        MailboxReader.done,
        MailboxReader._refill,
        Received.consume,
        payload._consume,
        mailbox_module.free_handled,
    )
    mailboxes: list[Mailbox] = []

    def live(step: int) -> None:
        for _ in range(2):
            handled.add(mailboxes[-1].get(block=False)[0])

    def fill() -> None:
        mailboxes[:] = [Mailbox()]
        for number in range(2):
            mailboxes[-1].put((number, bytes([number]) * 10_000))

    fill()
    for step in deaths(live, functions):
        mailbox = mailboxes[-1]
        box = BlackBox(os.path.join(mailbox._path, "box"))
        _, offset, _ = box.recover()
        done = sum(1 for _ in box.walk(0, offset))
        box.close()
        for number in (2, 3):  # of the same size: they take whichever segment is free
            mailbox.put((number, bytes([number]) * 10_000))
        rest = []
        while True:
            try:
                number, body = mailbox.get(block=False)
            except Empty:
                break
            assert body == bytes([number]) * 10_000
            rest.append(number)
        assert rest == list(range(done, 4)), f"step {step}"
        # What was done and is not in the log was in the caller's hand.
        assert handled.take() in ([*range(done)], [*range(done - 1)]), f"step {step}"
        assert in_use(mailbox._runtime_dir) == [], f"step {step}"
        fill()
    mailboxes.clear()


#: What is asked of an actor or told to it, in this order, before a stop.
CALLS = [1, 2, 3]


class Handler:
    """An actor's object: notes what it is given."""

    def __init__(self, log: Log) -> None:
        self.log = log

    def note(self, number: int, body: bytes = b"") -> tuple[int, bytes]:
        self.log.add(number)
        return number, body


def test_an_actor_killed_at_any_line_has_answered_what_it_is_through_with(tmp_path, new_log):
    """And has read no payload for the last time, and let none go, that it is not through with."""
    handled = new_log()
    directory = RuntimeDir(tmp_path)
    store = PayloadStore(directory.path)
    functions = (
        Loop._serve,
        MailboxReader.done,
        Received.consume,
        payload._consume,
        ReplySender.answer,
    )
    path = os.path.join(directory.path, "actors", "1")
    made: dict[str, Any] = {}

    def live(step: int) -> None:
        reader = MailboxReader(path)
        Loop(reader, store_of(directory.path), 1, Handler(handled), lambda *_: None).run()

    def send(writer: MailboxWriter, call: int, size: int, reply: int) -> None:
        encoded = store.encode(((call, b"x" * size), {}))
        writer.send(
            build_message(store, 1, b":note", encoded, call=call * bool(reply), reply=reply)
        )

    def fill() -> None:
        made["files"], port = MailboxFiles(path), ReplyPort(store)
        made["port"] = port
        writer = MailboxWriter(path, lambda _: None)
        send(writer, 1, 0, port.number)
        send(writer, 2, 10_000, 0)
        send(writer, 3, 10_000, port.number)
        writer.send_control(frame(Kind.STOP, 0, b""))
        writer.close()

    fill()
    for step in deaths(live, functions):
        reader = MailboxReader(path)
        box = reader.box
        fill_bytes, offset, _ = box.recover()
        rest = [at for at, _ in box.walk(offset, fill_bytes)]
        unread = len(list(parse_all(peek(reader.fileno()))))
        count = len(CALLS) + 1 - len(rest) - unread
        done = CALLS[:count]
        assert handled.take() in (done, CALLS[: count + 1]), f"step {step}"
        port = made["port"]
        answered = [call for call, _ in port.answers(port.read(0.0))]
        asked = [call for call in (1, 3) if call in done]
        assert answered[: len(asked)] == asked, f"step {step}: not answered before it was done"
        assert len(answered) <= len(asked) + 1
        used = {str(found) for found in in_use(directory.path)}
        for at in rest:
            for found in payload_of(box, at, directory.path):
                assert found in used, f"step {step}: let go before it was done"
        reader.close()
        port.retire()
        made["files"].close()
        os.rename(path, f"{path}-{step}")
        fill()
    made["port"].retire()
    made["files"].close()
    store.close()
    directory.remove()


def payload_of(box: BlackBox, at: int, runtime_dir: str) -> list[str]:
    """Return the file of a record's payload, if it has one."""
    kind, flags, body = parse(box.batch, at)
    if kind != Kind.CALL or not flags & IN_SEGMENT:
        return []
    process, number, _, _ = REFERENCE.unpack(open_envelope(body).payload[: REFERENCE.size])
    return [f"{runtime_dir}/segments/{process:016x}/{number}"]
