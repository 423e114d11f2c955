"""The sending side when the other one is gone: a clear error, at each way in, and nothing open."""

from __future__ import annotations

import errno
import itertools
import mmap
import os
import signal
import sys
import threading

import pytest

from procactors.errors import ActorStopped
from procactors.runtime.reply import Reply
from procactors.wire.endpoint import Endpoint, actor_path
from procactors.wire.mailbox.black_box import CLOSED, CLOSING, GONE, BlackBox
from procactors.wire.mailbox.closing import peek
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.queue import Mailbox
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.tokens import Tokens
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import Kind, frame, parse_all
from procactors.wire.replies.port import ReplyPort
from procactors.wire.runtime_dir import RuntimeDir, remove_tree
from tests.support.copies import ended, forked
from tests.support.segments import in_use
from tests.support.steps import INSTRUCTIONS, arm, deaths
from tests.support.waiting import SHORT_S, eventually

RECORD = frame(Kind.ITEM, 0, bytes(8))
CAPACITIES = pytest.mark.parametrize("capacity", [0, 8], ids=["unbounded", "bounded"])


def descriptors():
    return sorted(
        os.readlink(f"/proc/self/fd/{fd}")
        for fd in os.listdir("/proc/self/fd")
        if os.path.lexists(f"/proc/self/fd/{fd}")
    )


# -- a mailbox whose read end is gone, without a mark: its owner was killed -----------------------


@CAPACITIES
@pytest.mark.parametrize("way", ["send", "send_control"])
def test_a_send_to_a_mailbox_whose_owner_was_killed_says_that_it_is_closed(tmp_path, capacity, way):
    files = MailboxFiles(str(tmp_path / "mailbox"), capacity)
    writer = MailboxWriter(files.path, lambda _: None)
    send = getattr(writer, way)
    send(RECORD)
    files.close()
    for _ in range(2):
        with pytest.raises(MailboxClosed):
            send(RECORD)
    assert writer.waiting() == 0
    writer.close()


@CAPACITIES
@pytest.mark.parametrize("mark", [CLOSING, GONE])
def test_a_send_to_a_mailbox_that_takes_nothing_more_says_so(tmp_path, capacity, mark):
    files = MailboxFiles(str(tmp_path / "mailbox"), capacity)
    writer = MailboxWriter(files.path, lambda _: None)
    writer.words[CLOSED] = mark
    for send in (writer.send, writer.send_control):
        with pytest.raises(MailboxClosed):
            send(RECORD)
    with pytest.raises(BlockingIOError):
        os.read(files.read_end, 100)
    if capacity:
        assert writer.free() == capacity
    writer.close()
    files.close()


@CAPACITIES
def test_what_waits_in_a_sender_when_the_owner_is_killed_is_lost_and_told(tmp_path, capacity):
    capacity = 200 * bool(capacity)
    files = MailboxFiles(str(tmp_path / "mailbox"), capacity)
    lost = []
    writer = MailboxWriter(files.path, lost.append)
    record = frame(Kind.ITEM, 0, bytes(4000))
    while writer.waiting() < 3:
        writer.send(record)
    files.close()
    eventually(lambda: len(lost) == 3, "the loss of what waited")
    with pytest.raises(MailboxClosed):
        writer.send(record)
    writer.close()


def test_a_sender_that_waits_for_a_place_is_told_when_the_mailbox_takes_nothing_more(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"), 1)
    writer = MailboxWriter(files.path, lambda _: None)
    writer.send(RECORD)

    def close_soon():
        box = BlackBox(os.path.join(files.path, "box"))
        box.words[CLOSED] = CLOSING

    pid = forked(close_soon)
    with pytest.raises(MailboxClosed):
        writer.send(RECORD, SHORT_S)
    ended(pid)
    writer.close()
    files.close()


@CAPACITIES
@pytest.mark.parametrize("size", [8, 10_000])
@pytest.mark.parametrize("way", ["tell", "ask", "submit"])
def test_a_message_to_an_actor_whose_owner_was_killed_is_refused_and_keeps_no_segment(
    store, capacity, size, way
):
    files = MailboxFiles(actor_path(store.path, 7), capacity)
    endpoint = Endpoint(store.path)
    try:
        endpoint.tell(7, "the actor", b"", endpoint.store.encode(b"first"))
        files.close()
        call = getattr(endpoint, way)
        more = (Reply(endpoint, "the actor"),) if way == "submit" else ()
        for _ in range(2):
            with pytest.raises(ActorStopped, match="the actor has stopped; the message was not"):
                call(7, "the actor", b"", endpoint.store.encode(bytes(size)), *more)
        assert not endpoint.send_control(7, RECORD)
        assert in_use(store.path) == []
    finally:
        endpoint.close()


def make_and_wait(into):
    mailbox = Mailbox()
    os.write(into, f"{mailbox._path}\n".encode())
    signal.pause()


def test_a_put_into_a_queue_whose_maker_was_killed_says_so():
    """Nothing was marked: only the pipe tells."""
    seen, told = os.pipe()
    pid = forked(make_and_wait, told)
    path = os.read(seen, 1000).decode().strip()
    mailbox = Mailbox.__new__(Mailbox)
    mailbox._set(path, 0)
    mailbox.put(1)
    os.kill(pid, signal.SIGKILL)
    ended(pid)
    for _ in range(2):
        with pytest.raises(ValueError, match="its maker has ended or removed it"):
            mailbox.put(2)
    mailbox.close()
    os.close(seen)
    os.close(told)
    remove_tree(os.path.dirname(path))


# -- what cannot be opened ------------------------------------------------------------------------


@pytest.mark.parametrize("gone", ["pipe", "box", "tokens", "claims"])
def test_of_a_mailbox_that_goes_while_it_is_opened_nothing_stays_open(tmp_path, gone):
    """Not even while the error is kept, and its traceback with it."""
    files = MailboxFiles(str(tmp_path / "mailbox"), 8)
    os.unlink(os.path.join(files.path, gone))
    before = descriptors()
    with pytest.raises(MailboxClosed) as told:
        MailboxWriter(files.path, lambda _: None)
    assert descriptors() == before
    with pytest.raises(FileNotFoundError) as missing:
        MailboxReader(files.path)
    assert descriptors() == before
    assert told, missing
    files.close()


def test_a_box_of_another_version_leaves_nothing_open(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"))
    with open(os.path.join(files.path, "box"), "r+b") as box:
        box.write(b"another!")
    before = descriptors()
    for end in (MailboxReader, lambda path: MailboxWriter(path, lambda _: None)):
        with pytest.raises(ValueError, match="expected a black box of this version") as told:
            end(files.path)
        assert descriptors() == before
    assert told
    files.close()


class Opens:
    """What opens something, and how it is closed, for the test below."""

    def __init__(self, tmp_path):
        self.path = str(tmp_path / "mailbox")
        self.directory = RuntimeDir(tmp_path)
        self.store = PayloadStore(self.directory.path)
        self.files = MailboxFiles(self.path, 8)
        self.base = tmp_path
        self.reference = self.store.store(self.store.encode(bytes(10_000)), 1)

    def close(self):
        self.files.close()
        self.store.close()
        self.directory.remove()

    def writer(self):
        MailboxWriter(self.path, lambda _: None).close()

    def reader(self):
        MailboxReader(self.path).close()

    def tokens(self):
        Tokens(self.path, 8).close()

    def mailbox(self):
        files = MailboxFiles(os.path.join(self.base, "another"), 8)
        files.close()
        for name in os.listdir(files.path):
            os.unlink(os.path.join(files.path, name))
        os.rmdir(files.path)

    def port(self):
        ReplyPort(self.store).retire()

    def payload(self):
        self.store.free(self.store.store(self.store.encode(bytes(2_000_000)), 1))

    def received(self):
        self.store.fetch(self.reference).leave()

    def runtime_dir(self):
        RuntimeDir(self.base).remove()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOENT], ids=errno.errorcode.get)
@pytest.mark.parametrize(
    "what", ["writer", "reader", "tokens", "mailbox", "port", "payload", "received", "runtime_dir"]
)
def test_whichever_of_its_files_cannot_be_opened_the_others_are_closed(
    tmp_path, monkeypatch, what, error
):
    opens = Opens(tmp_path)
    open_it = getattr(opens, what)
    real_open, real_map = os.open, mmap.mmap
    left = 0

    def fails():
        nonlocal left
        left -= 1
        if left == 0:
            raise OSError(error, os.strerror(error))

    def opening(*args, **kwargs):
        fails()
        return real_open(*args, **kwargs)

    def mapping(*args, **kwargs):
        fails()
        return real_map(*args, **kwargs)

    opens.store._segments.close()
    before = descriptors()
    tries, kept = 0, None
    while left <= 0:
        tries += 1
        left = tries
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", opening)
            patch.setattr(mmap, "mmap", mapping)
            try:
                open_it()
            except Exception as failure:
                kept = failure
        assert tries < 30
        opens.store._segments.close()  # what is kept for the next payload is no leak
        assert descriptors() == before, (tries, kept)
    assert tries > 1
    opens.close()


# -- many records in one write ---------------------------------------------------------------------


def numbered(count: int) -> list[bytes]:
    return [frame(Kind.ITEM, 0, bytes([number]) * 80) for number in range(count)]


def in_pipe(files: MailboxFiles) -> list[int]:
    return [record.body[0] for record in parse_all(peek(files.read_end))]


@pytest.fixture
def files(tmp_path):
    files = MailboxFiles(str(tmp_path / "mailbox"))
    yield files
    files.close()


@pytest.fixture
def writer(files):
    writer = MailboxWriter(files.path, lambda _: None)
    yield writer
    writer.close()


def fill_up(writer: MailboxWriter) -> None:
    while writer.send_at_once(RECORD):
        pass


def test_records_go_in_one_write(files, writer, monkeypatch):
    written = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: written.append(data) or write(fd, data))
    assert writer.send_together(numbered(40))
    assert written == [b"".join(numbered(40))]
    assert in_pipe(files) == list(range(40))


@pytest.mark.parametrize("patient", [True, False])
def test_what_a_full_pipe_does_not_take_waits_in_the_backlog_in_order(files, writer, patient):
    fill_up(writer)
    assert not writer.send_together(numbered(20), patient)
    writer.send(numbered(21)[20])
    assert writer.waiting() == 21
    os.read(files.read_end, 1 << 16)
    assert writer.flush(SHORT_S) == 0
    assert in_pipe(files) == list(range(21))


def test_a_pipe_that_comes_to_have_room_takes_all(files, writer):
    fill_up(writer)
    reader = threading.Thread(target=os.read, args=(files.read_end, 1 << 16))
    reader.start()  # if it is late, the records are in the backlog first
    writer.send_together(numbered(20))
    reader.join()
    assert writer.flush(SHORT_S) == 0
    assert in_pipe(files) == list(range(20))


def test_a_mailbox_whose_owner_was_killed_takes_none_of_them(files, writer):
    files.close()
    with pytest.raises(MailboxClosed):
        writer.send_together(numbered(20))
    assert writer.waiting() == 0


@pytest.mark.parametrize("mark", [CLOSING, GONE])
@pytest.mark.parametrize("is_full", [False, True])
def test_a_closed_mailbox_takes_none_of_them(files, writer, mark, is_full):
    if is_full:
        fill_up(writer)
    writer.words[CLOSED] = mark
    with pytest.raises(MailboxClosed):
        writer.send_together(numbered(20))
    assert writer.waiting() == 0


def test_a_sender_killed_at_any_instruction_leaves_all_of_a_write_or_nothing(tmp_path):
    functions = (MailboxWriter.send_together, MailboxWriter.send_at_once)

    def live(step: int) -> None:
        sender = MailboxWriter(str(tmp_path / "mailbox"), lambda _: None)
        for _ in range(3):
            sender.send_together(numbered(40))

    files = MailboxFiles(str(tmp_path / "mailbox"))
    for step in deaths(live, functions, INSTRUCTIONS):
        found = in_pipe(files)
        assert found == list(range(40)) * (len(found) // 40), f"step {step}"
        files.close()
        os.rename(tmp_path / "mailbox", tmp_path / f"old-{step}")
        files = MailboxFiles(str(tmp_path / "mailbox"))
    files.close()


# -- what a signal handler raises in the sender's thread ------------------------------------------


class Interrupted(Exception):
    """Raised before an instruction, as by a handler of a signal."""


def interrupt():
    raise Interrupted


def send_interrupted(writer, record, step):
    """Send, and be interrupted before the step-th instruction of the write; say whether it was."""
    before = sys.gettrace()
    arm(step, (MailboxWriter._write_some, MailboxWriter._give_up_claims), interrupt, INSTRUCTIONS)
    try:
        writer.send_control(record)
    except Interrupted:
        return True
    finally:
        sys.settrace(before)
    return False


def item(number):
    return frame(Kind.ITEM, 0, number.to_bytes(8, "little"))


def test_an_interrupted_sender_has_no_record_written_twice(tmp_path, monkeypatch):
    """It writes for its feeder, many at once; what it had taken over before goes out once."""
    monkeypatch.setattr(MailboxWriter, "_feed_on", lambda _: None)  # one thread: always the same
    files = MailboxFiles(str(tmp_path / "mailbox"), 0)
    for step in itertools.count():
        writer = MailboxWriter(files.path, lambda _: None)
        sent = [item(number) for number in range(1, 32)]
        writer._backlog.extend([(record, False) for record in sent])
        is_interrupted = send_interrupted(writer, item(32), step)
        while writer.waiting():
            with writer._lock:
                assert not writer._write_some()
        found = list(parse_all(peek(files.read_end)))
        os.read(files.read_end, 1 << 16)
        numbers = [int.from_bytes(record.body, "little") for record in found]
        assert numbers == list(range(1, 33)), step
        writer.close()
        if not is_interrupted:
            break
    files.close()
    assert step > 10
