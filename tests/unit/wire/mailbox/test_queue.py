"""The mailbox as a queue: the interface of `multiprocessing.Queue`, and what it adds."""

from __future__ import annotations

import errno
import gc
import multiprocessing
import multiprocessing.queues
import os
import queue
import signal
import threading
from contextlib import suppress
from multiprocessing import forkserver
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from procactors.errors import DecodeError, EncodeError, InvalidSpec
from procactors.wire.mailbox.queue import Mailbox
from tests.support.faults import BreaksWhenLoaded
from tests.support.gates import Gate, new_gate
from tests.support.segments import in_use
from tests.support.waiting import CLOCK_TOLERANCE_S, SHORT_S, eventually


def test_it_is_a_queue_of_multiprocessing():
    assert isinstance(Mailbox(), multiprocessing.queues.Queue)


def test_what_is_put_is_got_in_order():
    mailbox = Mailbox()
    values = [1, "two", None, {"three": [3]}, b"4" * 5_000, b"5" * 2_000_000]
    for value in values:
        mailbox.put(value)
    assert [mailbox.get() for _ in values] == values


def test_an_empty_mailbox_raises_empty():
    mailbox = Mailbox()
    for get in (
        mailbox.get_nowait,
        lambda: mailbox.get(block=False),
        lambda: mailbox.get(False, 5),
        lambda: mailbox.get(timeout=0),
        lambda: mailbox.get(timeout=-1),
    ):
        with pytest.raises(queue.Empty):
            get()


def test_a_full_mailbox_raises_full():
    mailbox = Mailbox(2)
    mailbox.put(1)
    mailbox.put_nowait(2)
    for put in (
        lambda: mailbox.put_nowait(3),
        lambda: mailbox.put(3, block=False),
        lambda: mailbox.put(3, False, 5),
        lambda: mailbox.put(3, timeout=0),
        lambda: mailbox.put(3, timeout=-1),
    ):
        with pytest.raises(queue.Full):
            put()
    assert [mailbox.get(), mailbox.get()] == [1, 2]
    mailbox.put_nowait(4)
    assert mailbox.get() == 4


def test_timeouts_are_kept():
    mailbox = Mailbox(1)
    began = monotonic()
    with pytest.raises(queue.Empty):
        mailbox.get(timeout=0.2)
    assert monotonic() - began >= 0.2 - CLOCK_TOLERANCE_S
    mailbox.put(1)
    began = monotonic()
    with pytest.raises(queue.Full):
        mailbox.put(2, timeout=0.2)
    assert monotonic() - began >= 0.2 - CLOCK_TOLERANCE_S
    assert mailbox.get() == 1
    assert mailbox.empty()


def test_size_empty_and_full_tell_the_truth():
    mailbox, bounded = Mailbox(), Mailbox(3)
    for queue_ in (mailbox, bounded):
        assert queue_.qsize() == 0
        assert queue_.empty()
        assert not queue_.full()
        for count in range(1, 4):
            queue_.put(b"x" * 10 ** (count + 1))
            assert queue_.qsize() == count
            assert not queue_.empty()
        assert queue_.full() == (queue_ is bounded)
        queue_.get()
        assert queue_.qsize() == 2
        assert not queue_.full()


def test_more_than_the_pipe_holds_waits_in_the_sender_and_counts():
    mailbox = Mailbox()
    for number in range(5_000):
        mailbox.put((number, b"x" * 100))
    assert mailbox.qsize() == 5_000
    assert [mailbox.get()[0] for _ in range(5_000)] == list(range(5_000))
    assert mailbox.empty()


def test_a_closed_mailbox_refuses():
    mailbox = Mailbox()
    mailbox.put(1)
    with pytest.raises(ValueError, match="not closed yet"):
        mailbox.join_thread()
    mailbox.close()
    with pytest.raises(ValueError, match="is closed"):
        mailbox.put(2)
    with pytest.raises(ValueError, match="is closed"):
        mailbox.get()
    mailbox.join_thread()
    mailbox.close()


def test_what_waits_is_written_after_close(gate):
    mailbox, answers = Mailbox(), Mailbox()
    process = run(multiprocessing.get_context("fork"), get_behind, gate, mailbox, 3_000, answers)
    gate.arrival()
    put_numbers(mailbox, 0, 3_000)
    mailbox.close()
    gate.open()
    mailbox.join_thread()
    assert answers.get(timeout=SHORT_S) == list(range(3_000))
    end(process)


def get_behind(gate: Gate, *args: Any) -> None:
    gate.wait()
    get_some(*args)


@pytest.mark.parametrize("size", [True, "3", 1.5, None])
def test_a_size_that_is_no_number_is_named(size):
    with pytest.raises(InvalidSpec, match="maxsize is a whole number, not"):
        Mailbox(size)


def test_a_size_beyond_what_the_system_holds_is_named_and_leaves_nothing():
    with pytest.raises(InvalidSpec, match="mailbox capacity 100000000 is more than a pipe"):
        Mailbox(100_000_000)


def test_what_cannot_be_pickled_raises_at_put_and_nothing_is_sent():
    mailbox = Mailbox(2)
    for _ in range(5):
        with pytest.raises(EncodeError, match=r"\['lock'\]"):
            mailbox.put({"lock": threading.Lock()})
    assert mailbox.empty()
    mailbox.put(1)
    mailbox.put(2)
    assert [mailbox.get(), mailbox.get()] == [1, 2]


def test_what_does_not_load_raises_at_get_and_the_next_is_intact():
    mailbox = Mailbox(1)
    mailbox.put(BreaksWhenLoaded("exception"))
    with pytest.raises(DecodeError, match="Fault: on purpose"):
        mailbox.get()
    mailbox.put("next", timeout=SHORT_S)
    assert mailbox.get() == "next"


def test_large_values_that_are_not_sent_or_not_loaded_take_no_room():
    mailbox = Mailbox(1)
    mailbox.put([b"x" * 10_000, BreaksWhenLoaded("exception")])
    with pytest.raises(queue.Full):
        mailbox.put(b"x" * 10_000, timeout=0)
    assert len(in_use(mailbox._runtime_dir)) == 1
    with pytest.raises(DecodeError):
        mailbox.get()
    mailbox.put(b"x" * 10_000)
    assert mailbox.get() == b"x" * 10_000
    assert in_use(mailbox._runtime_dir) == []


def test_a_value_changed_after_the_put_arrives_as_it_was():
    mailbox, value = Mailbox(), [1]
    mailbox.put(value)
    value.append(2)
    assert mailbox.get() == [1]


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def context(request):
    yield multiprocessing.get_context(request.param)
    if request.param == "forkserver":
        forkserver._forkserver._stop()  # else it would stay for the interpreter's whole life


def put_numbers(mailbox: Any, first: int, count: int) -> None:
    for number in range(first, first + count):
        mailbox.put(number)


def echo(questions: Any, answers: Any) -> None:
    for value in iter(questions.get, None):
        answers.put(value)


def run(context: Any, target: Any, *args: Any) -> Any:
    process = context.Process(target=target, args=args)
    process.start()
    return process


def end(*processes: Any) -> None:
    for process in processes:
        process.join(SHORT_S)
        assert process.exitcode == 0
        process.close()


def test_it_is_handed_to_a_process_as_an_argument(context):
    questions, answers = Mailbox(), Mailbox(3)
    process = run(context, echo, questions, answers)
    for value in (1, b"x" * 100_000, "text"):
        questions.put(value)
        assert answers.get() == value
    questions.put(None)
    end(process)


def test_several_writers_interleave_and_each_ones_order_holds(context):
    mailbox = Mailbox()
    writers = [run(context, put_numbers, mailbox, 10_000 * i, 2_000) for i in range(3)]
    got = [mailbox.get(timeout=SHORT_S) for _ in range(6_000)]
    for i in range(3):
        assert [n for n in got if n // 10_000 == i] == list(range(10_000 * i, 10_000 * i + 2_000))
    end(*writers)


def test_several_blocked_writers_of_a_bounded_mailbox_all_get_through():
    context = multiprocessing.get_context("fork")
    mailbox = Mailbox(4)
    writers = [run(context, put_numbers, mailbox, 1_000 * i, 200) for i in range(8)]
    got = [mailbox.get(timeout=SHORT_S) for _ in range(1_600)]
    assert sorted(got) == [1_000 * i + n for i in range(8) for n in range(200)]
    end(*writers)
    assert mailbox.empty()
    assert not mailbox.full()


def test_threads_of_one_process_write_and_read_at_the_same_time():
    mailbox = Mailbox()
    got: list[int] = []
    writers = [
        threading.Thread(target=put_numbers, args=(mailbox, 1_000 * i, 300)) for i in range(3)
    ]
    readers = [
        threading.Thread(target=lambda: got.extend(mailbox.get() for _ in range(300)))
        for _ in range(3)
    ]
    for thread in writers + readers:
        thread.start()
    for thread in writers + readers:
        thread.join()
    assert sorted(got) == [1_000 * i + n for i in range(3) for n in range(300)]


def test_a_mailbox_travels_inside_anothers_message(context):
    first, second = Mailbox(), Mailbox(5)
    first.put({"reply to": second})
    process = run(context, answer_there, first)
    assert second.get(timeout=SHORT_S) == "here"
    end(process)


def answer_there(mailbox: Any) -> None:
    mailbox.get()["reply to"].put("here")


def get_some(mailbox: Any, count: int, answer: Any) -> None:
    answer.put([mailbox.get() for _ in range(count)])


def test_two_readers_take_turns(context):
    mailbox, answers = Mailbox(), Mailbox()
    for number in range(30):
        mailbox.put(number)
    for first in (0, 10):
        process = run(context, get_some, mailbox, 10, answers)
        assert answers.get() == list(range(first, first + 10))
        end(process)
    assert [mailbox.get() for _ in range(10)] == list(range(20, 30))


def read_at(mailbox: Any, gate: Gate) -> None:
    threading.Thread(target=keep_reading, args=(mailbox,), daemon=True).start()
    # A reader shows itself by holding the claim: then a second one is refused.
    eventually(lambda: is_read(mailbox._path), "the thread to read")
    gate.wait()


def keep_reading(mailbox: Any) -> None:
    """Read, also if `refused` has just taken the claim to see whether it is free."""
    while True:
        with suppress(RuntimeError):
            mailbox.get()


def is_read(path: str) -> bool:
    """Return whether a reader holds the box. Trying the lock would turn a reader away."""
    inode = Path(path, "box").stat().st_ino
    return any(
        "FLOCK" in lock and lock.split()[5].endswith(f":{inode}")
        for lock in Path("/proc/locks").read_text().splitlines()
    )


def test_a_second_reader_at_the_same_time_is_told_so(gate):
    mailbox = Mailbox()
    process = run(multiprocessing.get_context("fork"), read_at, mailbox, gate)
    gate.arrival()
    for timeout in (None, 0, 1):
        with pytest.raises(RuntimeError, match="a mailbox has one reader at a time"):
            mailbox.get(timeout=timeout)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    process.close()
    mailbox.put("for the next reader")
    assert mailbox.get() == "for the next reader"


def fork_while_reading(mailbox: Any, gate: Gate, child_gate: Gate) -> None:
    threading.Thread(target=keep_reading, args=(mailbox,), daemon=True).start()
    eventually(lambda: is_read(mailbox._path), "the thread to read")
    if not os.fork():
        child_gate.wait()
        os._exit(0)
    gate.wait()


def test_a_killed_readers_child_does_not_keep_the_readers_place(gate, tmp_path):
    mailbox = Mailbox()
    with new_gate(tmp_path / "child") as child_gate:
        process = run(
            multiprocessing.get_context("fork"), fork_while_reading, mailbox, gate, child_gate
        )
        gate.arrival()
        child_gate.arrival()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        process.close()
        mailbox.put("for the next reader")
        assert mailbox.get() == "for the next reader"


def take_a_place_and_wait(mailbox: Any, gate: Gate) -> None:
    mailbox._writing()._tokens.take(None, lambda: None, lambda: None)
    gate.wait()


@pytest.mark.parametrize("capacity", [1, 3])
def test_the_place_of_a_sender_killed_before_its_write_comes_back(gate, capacity):
    """Also while the reader has gone to sleep: only the blocked sender can wake it."""
    mailbox = Mailbox(capacity)
    got: list[Any] = []
    reader = threading.Thread(target=lambda: got.extend(mailbox.get() for _ in range(3)))
    reader.start()
    eventually(lambda: is_read(mailbox._path), "the reader to wait")
    for _ in range(capacity):
        process = run(multiprocessing.get_context("fork"), take_a_place_and_wait, mailbox, gate)
        gate.arrival()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        process.close()
    for number in range(3):
        mailbox.put(number, timeout=SHORT_S)
    reader.join()
    assert got == [0, 1, 2]
    eventually(lambda: mailbox.qsize() == 0, "all tokens to be back")


def test_places_do_not_multiply():
    """Naive healing would make tokens again of those that are only on their way."""
    mailbox = Mailbox(5)
    writers = [
        run(multiprocessing.get_context("fork"), put_numbers, mailbox, 0, 100) for _ in range(4)
    ]
    for _ in range(400):
        mailbox.get(timeout=SHORT_S)
    end(*writers)
    with pytest.raises(queue.Empty):
        mailbox.get(timeout=0.05)
    for number in range(5):
        mailbox.put_nowait(number)
    with pytest.raises(queue.Full):
        mailbox.put_nowait(5)


def test_a_forked_copy_does_not_send_what_waits_in_the_sender():
    mailbox = Mailbox()
    for number in range(3_000):
        mailbox.put((number, b"x" * 100))
    process = run(multiprocessing.get_context("fork"), mailbox.put, (3_000, b""))
    got = [mailbox.get(timeout=SHORT_S)[0] for _ in range(3_001)]
    assert sorted(got) == list(range(3_001))
    end(process)
    assert mailbox.empty()


def test_a_process_that_ends_normally_writes_what_waits(context):
    mailbox = Mailbox()
    process = run(context, put_numbers, mailbox, 0, 20_000)
    assert [mailbox.get(timeout=SHORT_S) for _ in range(20_000)] == list(range(20_000))
    end(process)


def put_and_leave(mailbox: Any) -> None:
    put_numbers(mailbox, 0, 20_000)
    mailbox.cancel_join_thread()


def test_a_process_may_end_without_writing_what_waits():
    mailbox = Mailbox()
    end(run(multiprocessing.get_context("fork"), put_and_leave, mailbox))
    got = []
    while not mailbox.empty():
        got.append(mailbox.get())
    assert got == list(range(len(got)))


def put_when_open(mailbox: Any, gate: Gate) -> None:
    mailbox.put(1)
    gate.wait()
    with pytest.raises(ValueError, match="is closed: its maker has ended or removed it"):
        mailbox.put(2)


def test_a_put_into_a_mailbox_whose_maker_dropped_it_raises(gate):
    mailbox = Mailbox()
    process = run(multiprocessing.get_context("spawn"), put_when_open, mailbox, gate)
    assert mailbox.get(timeout=SHORT_S) == 1
    gate.arrival()
    folder = Path(mailbox._path).parent
    del mailbox
    gc.collect()
    assert not folder.exists()
    gate.open()
    end(process)


def test_a_dropped_mailbox_gives_its_descriptors_back():
    mailbox, other = Mailbox(), Mailbox(3)
    mailbox.put(other)
    assert isinstance(mailbox.get(), Mailbox)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        mailbox.put(other)
        copy = mailbox.get()
        copy.put(1)
        assert copy.get() == 1
        del copy
        mine = Mailbox(2)
        mine.put(1)
        mine.get()
        del mine
    gc.collect()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= before, "the descriptors to be back")


def test_an_alarm_that_raises_inside_get_leaves_the_mailbox_in_step():
    """A message in hand when the alarm raises is gone, like a value returned to no caller.

    So at most one is missing for each alarm; none comes twice, out of order or damaged. It is read
    in a process of its own: between a descriptor's opening and its name an alarm may come too.
    """
    mailbox = Mailbox()
    context = multiprocessing.get_context("fork")
    writer = run(context, put_sizes, mailbox, 300)
    reader = run(context, get_with_alarms, mailbox, 300)
    end(writer, reader)


def get_with_alarms(mailbox: Any, count: int) -> None:
    got: list[int] = []
    alarms, last = 0, -1
    signal.signal(signal.SIGALRM, raise_alarm)
    while last < count - 1:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0005 + alarms % 5 * 0.0003)
                number, body = mailbox.get(timeout=1)
                last = number
                assert len(body) == size_of(number)
                got.append(number)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm:
            alarms += 1
        except queue.Empty:
            break  # the last one was in hand when an alarm came
    assert got == sorted(set(got))
    assert count - len(got) <= alarms


class Alarm(BaseException):
    pass


def raise_alarm(number: int, frame: Any) -> None:
    raise Alarm


def put_sizes(mailbox: Any, count: int) -> None:
    for number in range(count):
        mailbox.put((number, b"x" * size_of(number)))


def size_of(number: int) -> int:
    return 3_000_000 if number % 10 == 0 else number


def test_without_descriptors_a_put_is_an_error_and_the_next_one_goes(monkeypatch):
    mailbox = Mailbox()
    real = os.open

    def none_left(*args: Any, **kwargs: Any) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(OSError, match="Too many open files"):
        mailbox.put(1)
    monkeypatch.setattr(os, "open", real)
    mailbox.put(2)
    assert mailbox.get() == 2
