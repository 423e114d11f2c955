"""Large payloads: segments that are mapped, copied on write, and used again."""

from __future__ import annotations

import errno
import gc
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from procactors import Actor, ActorSystem, errors
from tests.support.actors import Echo
from tests.support.faults import BreaksWhenLoaded
from tests.support.gates import Gate
from tests.support.segments import in_use
from tests.support.waiting import eventually

MIB = 1024 * 1024


class Arrays(Actor):
    """Keeps, changes and sums arrays."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def total(self, array: Any) -> int:
        return int(array.sum(dtype=np.int64))

    def keep(self, array: Any) -> None:
        self.kept.append(array)

    def totals(self) -> list[int]:
        return [int(array.sum(dtype=np.int64)) for array in self.kept]

    def forget(self) -> None:
        self.kept.clear()

    def doubled(self, array: Any) -> Any:
        array *= 2
        return array

    def make(self, size: int, value: int) -> Any:
        return np.full(size, value, np.uint8)

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))


def segments(system: Any) -> list[Path]:
    return [path for path in Path(system._endpoint.path, "segments").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", [0, 1, 4_000, 4_096, 5_000, 70_000, MIB, MIB + 1, 20 * MIB])
def test_arrays_of_any_size_arrive_whole_and_come_back_writable(system, size):
    arrays = system.spawn(Arrays)
    sent = np.arange(size, dtype=np.uint8)
    back = arrays.ask(Arrays.doubled, sent)
    assert np.array_equal(back, sent * 2)
    assert sent.sum(dtype=np.int64) == arrays.ask(Arrays.total, sent)  # ours is untouched
    assert back.flags.writeable
    back += 1


def test_several_arrays_and_other_values_travel_together(system):
    value = {
        "big": np.arange(MIB, dtype=np.float64),
        "small": np.arange(3),
        "fortran": np.asfortranarray(np.arange(20_000.0).reshape(100, 200)),
        "strided": np.arange(20_000)[::3],
        "bytes": b"x" * 100_000,
        "bytearray": bytearray(b"y" * 100_000),
        "text": "z" * 100_000,
        "empty": np.array([]),
    }
    back = system.spawn(Echo).ask(Echo.echo, value)
    assert back.keys() == value.keys()
    for name, sent in value.items():
        assert type(back[name]) is type(sent)
        assert np.array_equal(back[name], sent), name
    assert back["fortran"].flags.f_contiguous


def test_a_kept_array_is_not_changed_by_later_messages(system):
    """A segment is written again only when no view of it lives, in whatever process."""
    arrays = system.spawn(Arrays)
    sizes = [2 * MIB, 40_000, 3 * MIB]
    expected = []
    for value in range(1, 5):
        for size in sizes:
            arrays.tell(Arrays.keep, np.full(size, value, np.uint8))
            expected.append(size * value)
    for _ in range(20):
        arrays.ask(Arrays.total, np.full(2 * MIB, 99, np.uint8))
    assert arrays.ask(Arrays.totals) == expected


def test_a_kept_result_is_not_changed_by_later_replies(system):
    arrays = system.spawn(Arrays)
    kept = [arrays.ask(Arrays.make, 2 * MIB, value) for value in range(10)]
    for value in range(100, 110):
        arrays.ask(Arrays.make, 2 * MIB, value)
    assert [(int(a.min()), int(a.max())) for a in kept] == [(v, v) for v in range(10)]


def test_segments_are_used_again(system):
    arrays = system.spawn(Arrays)
    for number in range(50):
        arrays.ask(Arrays.total, np.full(2 * MIB, number, np.uint8))
    assert len(segments(system)) <= 2


def test_segments_of_results_are_used_again(system):
    arrays = system.spawn(Arrays)
    for number in range(50):
        assert arrays.ask(Arrays.make, 2 * MIB, number)[0] == number
    assert len(segments(system)) <= 3


def test_descriptors_of_dropped_arrays_come_back(system):
    arrays = system.spawn(Arrays)
    arrays.ask(Arrays.total, np.zeros(2 * MIB, np.uint8))
    before = arrays.ask(Arrays.descriptors)
    for _ in range(100):  # beyond the number of maps for which a lock is held
        arrays.tell(Arrays.keep, np.ones(MIB + 1, np.uint8))
    assert arrays.ask(Arrays.totals) == [MIB + 1] * 100
    arrays.ask(Arrays.forget)
    arrays.ask(Arrays.total, np.zeros(10))
    assert arrays.ask(Arrays.descriptors) <= before + 1
    ours = len(os.listdir("/proc/self/fd"))
    kept = [arrays.ask(Arrays.make, MIB + 1, 1) for _ in range(100)]
    assert all(array[-1] == 1 for array in kept)
    kept.clear()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= ours + 2


def test_a_reply_that_nobody_looks_at_gives_its_segment_back(system):
    arrays = system.spawn(Arrays)
    for number in range(30):
        arrays.submit(Arrays.make, 2 * MIB, number)
        arrays.submit(Arrays.make, 2 * MIB, number).cancel()
    arrays.ask(Arrays.total, np.zeros(1))
    assert arrays.ask(Arrays.make, 2 * MIB, 5)[0] == 5
    replies = [arrays.submit(Arrays.make, 2 * MIB, number) for number in range(5)]
    assert [reply.result()[0] for reply in replies] == list(range(5))


def test_a_full_disk_is_a_clear_error_and_the_next_small_message_goes(system, monkeypatch):
    echo = system.spawn(Echo)

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(errors.StorageFull, match="no room for a payload of"):
        echo.tell(b"x" * MIB)
    assert echo.ask(Echo.echo, 1) == 1
    monkeypatch.undo()
    assert echo.ask(Echo.echo, b"x" * MIB) == b"x" * MIB
    assert len(segments(system)) <= 2


# -- what is given back ----------------------------------------------------------------------------

LARGE = bytes(10_000)


class Payloads(Actor):
    """Does with a large message what a test wants."""

    def copy(self, body: Any) -> Any:
        return body

    def fail(self, body: Any) -> None:
        raise ValueError(len(body))

    def die(self, body: Any) -> None:
        os._exit(7)

    def hold(self, gate: Gate) -> None:
        gate.wait()


def given_back(system: ActorSystem) -> None:
    eventually(lambda: not in_use(system._endpoint.path), "all segments to be given back")


def test_whatever_comes_of_a_large_message_it_is_given_back(system):
    ref = system.options(max_restarts=100).spawn(Payloads)
    assert ref.ask(Payloads.copy, LARGE) == LARGE
    ref.tell(Payloads.copy, LARGE)
    with pytest.raises(ValueError, match="10000"):
        ref.ask(Payloads.fail, LARGE)
    with pytest.raises(errors.ActorDied):
        ref.ask(Payloads.die, LARGE)
    for how in (Payloads.fail, Payloads.die):
        ref.tell(how, LARGE)
    with pytest.raises(errors.DecodeError):
        ref.ask(Payloads.copy, [LARGE, BreaksWhenLoaded("exception")])
    ref.tell(Payloads.copy, [LARGE, BreaksWhenLoaded("exception")])
    with pytest.raises(errors.UnknownMethod):
        ref.ask(LARGE)
    assert ref.ask(Payloads.copy, 1) == 1
    given_back(system)
    # The actor tells the supervisor of a message that it cannot read, and goes on meanwhile.
    eventually(lambda: len(system.dead_letters) == 3, "the dead letters")


def test_whatever_comes_of_a_large_answer_it_is_given_back(system, gate):
    ref = system.spawn(Payloads)
    unread, cancelled = (ref.submit(Payloads.copy, LARGE) for _ in range(2))
    cancelled.cancel()
    eventually(unread.done, "the answer")
    del unread, cancelled  # which may have had its answer before it was cancelled
    given_back(system)
    ref.tell(Payloads.hold, gate)
    gate.arrival()
    with pytest.raises(errors.AskTimeout):
        ref.options(timeout=0.05).ask(Payloads.copy, LARGE)
    late = ref.options(timeout=0.05).submit(Payloads.copy, LARGE)
    with pytest.raises(errors.AskTimeout):
        late.result()
    gate.open()
    assert ref.ask(Payloads.copy, 1) == 1
    given_back(system)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_large_messages_that_an_actor_does_not_come_to_are_given_back(system, gate, end):
    ref = system.spawn(Payloads)
    ref.tell(Payloads.hold, gate)
    gate.arrival()
    behind = ref.submit(Payloads.copy, LARGE)
    ref.tell(Payloads.copy, LARGE)
    ref.kill() if end == "kill" else ref.stop(timeout=0)
    assert isinstance(behind.exception(), errors.ActorStopped)
    for call in (ref.tell, ref.ask, ref.submit):
        with pytest.raises(errors.ActorStopped):
            call(Payloads.copy, LARGE)
    given_back(system)
    assert [letter.message for letter in system.dead_letters][-1] == ((LARGE,), {})


def test_large_messages_that_find_no_place_are_given_back(system, gate):
    ref = system.options(mailbox=1).spawn(Payloads)
    ref.tell(Payloads.hold, gate)
    gate.arrival()
    for call in (ref.options(timeout=0.01).tell, ref.options(timeout=0.01).ask):
        with pytest.raises(errors.MailboxFull):
            call(Payloads.copy, LARGE)
    given_back(system)


def test_what_an_inbox_does_with_a_large_message_it_gives_it_back(system):
    inbox = system.inbox()
    inbox.ref.tell(LARGE)
    refused = inbox.ref.submit(LARGE)
    inbox.ref.tell([LARGE, BreaksWhenLoaded("exception")])
    inbox.ref.tell("behind")
    assert inbox.receive() == LARGE
    with pytest.raises(errors.DecodeError):
        inbox.receive()
    assert inbox.receive() == "behind"
    assert isinstance(refused.exception(), errors.UnknownMethod)
    given_back(system)
