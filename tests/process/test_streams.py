"""Streams: a generator in an actor, read item by item in another process."""

from __future__ import annotations

import gc
import os
import pickle
import random
import signal
import threading
import time
from typing import Any

import pytest

from procactors import ActorSystem, Delivery, Stream, errors
from procactors.wire.pickling.codec import ASKER, encode_to
from tests.support.alarms import Alarm, alarms
from tests.support.faults import Fault
from tests.support.producers import Producer, Reader, noted, settled, streams_in
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture
def producer(system):
    actor = system.spawn(Producer)
    yield actor
    actor.stop(SHORT_S)
    eventually(lambda: not streams_in(system), "no file of a stream left")


@pytest.mark.methods
def test_a_generators_items_come_in_order_and_end(system):
    producer = system.spawn(Producer)
    stream = producer.stream(Producer.count, 10_000)
    assert isinstance(stream, Stream)
    assert list(stream) == list(range(10_000))
    assert list(stream) == []
    assert next(stream, None) is None


VALUES = [
    0,
    -1,
    1 << 70,
    1.5,
    1j,
    None,
    True,
    "text",
    "é" * 256,
    "\U0001f600" * 256,
    "\ud800",
    "x" * 257,
    "x" * 5000,
    b"bytes",
    b"x" * 4000,
    b"x" * 100_000,
    b"x" * 2_000_000,
    (1, "a", None),
    ("\U0001f600" * 256,) * 8,
    (1, [2]),
    tuple(range(20)),
    {"a": [1, 2]},
    [],
    ValueError("as a value"),
    bytearray(b"b"),
]


def test_items_of_all_kinds_arrive_as_they_were(producer):
    for values in (VALUES, VALUES[::-1], VALUES * 20, *([value] for value in VALUES)):
        got = list(producer.stream(Producer.values, values))
        assert list(map(repr, got)) == list(map(repr, values))
        assert list(map(type, got)) == list(map(type, values))


def test_a_number_that_fills_a_record_comes_whole(producer):
    numbers = [1, 1 << 40_000, 2, -(1 << 33_000), 3]
    assert list(producer.stream(Producer.values, numbers)) == numbers


def test_items_of_all_sizes_come_in_order(producer):
    sizes = [0, 10, 1_000, 1_030, 4_000, 4_085, 4_100, 70_000, 10, 3_000_000, 20] * 10
    got = producer.stream(Producer.sized, sizes)
    for number, (item, size) in enumerate(zip(got, sizes, strict=True)):
        assert item == bytes([number & 0xFF]) * size


def test_an_item_is_as_it_was_when_it_was_yielded(producer):
    assert list(producer.stream(Producer.same_list, 50)) == [list(range(n + 1)) for n in range(50)]


def test_arrays_come_whole_and_can_be_written_to(producer):
    for size in (10, 400, 10_000, 500_000):
        for number, array in enumerate(producer.stream(Producer.arrays, 5, size)):
            assert array.shape == (size,)
            array[:] += 1
            assert (array == number + 1).all()


@pytest.mark.parametrize("buffer", [1, 2, 3, 64, 1000])
def test_a_paused_reader_holds_the_producer_within_its_credit(producer, tmp_path, buffer):
    note = tmp_path / "note"
    with producer.options(buffer=buffer).stream(Producer.noted, note) as stream:
        assert next(stream) == 1
        for taken in (1, 2, 3, 10, 100, 101):
            while (item := next(stream)) < taken:
                pass
            made = settled(lambda: noted(note))
            assert item + buffer // 2 <= made <= item + buffer
    eventually(note.with_suffix(".closed").exists, "the generator to be closed")


def test_who_waits_gets_an_item_at_once(producer, gate):
    """Though more might be gathered for the same record."""
    stream = producer.stream(Producer.gated, gate, 5)
    assert [next(stream) for _ in range(5)] == list(range(5))
    gate.arrival()
    gate.open()
    assert list(stream) == [5]


def test_closing_closes_the_generator_at_once(producer, tmp_path):
    for number in range(20):
        note = tmp_path / f"{number}"
        stream = producer.stream(Producer.noted, note)
        next(stream)
        stream.close()
        eventually(note.with_suffix(".closed").exists, "its finally")
        stream.close()
        assert list(stream) == []
        assert producer.ask(Producer.plain, 1) == 1


def test_a_loop_that_is_left_closes_its_stream(producer):
    for number in producer.stream(Producer.forever):
        if number == 100:
            break
    eventually(lambda: producer.ask(Producer.how_many)[1] == 1, "the generator closed")
    stream = producer.stream(Producer.forever)
    next(stream)
    del stream
    gc.collect()
    eventually(lambda: producer.ask(Producer.how_many)[1] == 2, "the generator closed")


def test_a_stream_that_is_closed_before_its_turn_runs_nothing(producer, gate):
    held = producer.submit(Producer.hold, gate)
    gate.arrival()
    stream = producer.stream(Producer.forever)
    stream.close()
    gate.open()
    held.result(SHORT_S)
    assert producer.ask(Producer.how_many) == (0, 0)


def test_what_the_generator_raises_comes_behind_its_items(producer):
    stream = producer.stream(Producer.fail, 200)
    assert [next(stream) for _ in range(200)] == list(range(200))
    with pytest.raises(Fault) as raised:
        next(stream)
    assert raised.value.args == ("on purpose", 7)
    assert "in fail" in str(raised.value.__cause__)
    assert list(stream) == []
    assert producer.ask(Producer.plain, 1) == 1


def test_an_item_that_cannot_be_pickled_ends_the_stream_with_that_error(producer):
    stream = producer.stream(Producer.fail, 3, "unpicklable")
    got: list[int] = []
    with pytest.raises(errors.ProcActorsError, match="pickle"):
        got.extend(stream)
    assert got == [0, 1, 2]
    assert producer.ask(Producer.plain, 1) == 1


def test_a_generator_that_raises_when_it_is_closed_is_logged(producer, caplog):
    stream = producer.stream(Producer.bad_end)
    next(stream)
    stream.close()
    assert producer.ask(Producer.plain, 1) == 1
    eventually(lambda: "in its finally" in caplog.text, "a log of the error")


def test_each_wrong_call_is_an_error_where_it_is_made(system, producer):
    for call in (producer.ask, producer.tell, producer.submit):
        with pytest.raises(errors.UnknownMethod, match=r"is a generator, .*say stream\("):
            call(Producer.count, 1)
    with pytest.raises(errors.UnknownMethod, match=r"is an async generator, .*say stream\("):
        producer.ask(Producer.async_count, 1)
    with pytest.raises(errors.UnknownMethod, match=r"no generator.*say ask\(Producer.plain"):
        producer.stream(Producer.plain, 1)
    with pytest.raises(errors.UnknownMethod, match="is not a method of Producer"):
        producer.stream(Reader.read)
    with pytest.raises(TypeError, match="missing"):
        producer.stream(Producer.count)
    with pytest.raises(TypeError, match="expected a generator of the actor's class"):
        producer.stream("count")
    for buffer in (0, -1, 1.5, "1", None, True, 2_000_000):
        with pytest.raises(errors.InvalidSpec, match="buffer is a whole number"):
            producer.options(buffer=buffer)


def test_a_ref_that_does_not_know_the_class_is_told_by_the_actor(system, producer, caplog):
    bare = pickle.loads(pickle.dumps(producer))
    with pytest.raises(errors.UnknownMethod, match=r"is a generator, .*say stream\("):
        bare.ask(Producer.count, 1)
    with pytest.raises(errors.UnknownMethod, match=r"is a generator, .*say stream\("):
        bare.submit(Producer.count, 1).result(SHORT_S)
    with pytest.raises(errors.UnknownMethod, match=r"no generator.*say ask\("):
        next(bare.stream(Producer.plain, 1))
    with pytest.raises(TypeError, match="missing"):
        next(bare.stream(Producer.count))
    assert list(bare.stream(Producer.count, 3)) == [0, 1, 2]


def test_an_item_has_the_refs_timeout_and_may_still_come(producer, gate):
    stream = producer.options(timeout=0.05).stream(Producer.gated, gate)
    eventually(lambda: _attempt(stream) == 0, "the first one")
    gate.arrival()
    with pytest.raises(errors.AskTimeout, match=r"no item from .* within 0.05 s"):
        next(stream)
    gate.open()
    assert eventually(lambda: _attempt(stream), "the item") == 1


def test_a_stream_sent_beside_what_travels_by_value_goes_on(system, producer):
    reader = system.spawn(Reader)
    stream = producer.stream(Producer.count, 1_000)
    assert reader.ask(Reader.call, lambda one: sum(one, 0), stream) == sum(range(1_000))
    stream = producer.stream(Producer.count, 1_000)
    with pytest.raises(errors.EncodeError):
        reader.ask(Reader.call, threading.Lock(), stream)
    stream.close()
    assert producer.ask(Producer.plain, 1) == 1
    reader.stop()


def test_of_two_receivers_one_has_the_stream(system, producer):
    stream = producer.stream(Producer.count, 10)
    with pytest.raises(TypeError, match="as an argument of tell, ask"):
        pickle.dumps(stream)
    data = encode_to(ASKER, lambda value, _: pickle.dumps(value), stream, "result")
    first = pickle.loads(data)
    with pytest.raises(errors.StreamBroken, match="another process reads"):
        pickle.loads(data)
    assert list(first) == list(range(10))


def _attempt(stream: Any) -> Any:
    try:
        return next(stream)
    except errors.AskTimeout:
        return None


def test_many_threads_share_a_stream_and_each_item_goes_to_one(producer):
    stream = producer.options(buffer=6).stream(Producer.count, 20_000)
    shares = [aside(list, stream) for _ in range(4)]
    got = sorted(item for share in shares for item in share.result(SHORT_S))
    assert got == list(range(20_000))


def test_next_inside_a_loop_takes_the_next_item(producer):
    for buffer in (1, 2, 3, 64):
        stream = producer.options(buffer=buffer).stream(Producer.count, 2_000)
        got = []
        for item in stream:
            got += [item, next(stream)]
        assert got == list(range(2_000))


def test_closed_by_another_thread_a_waiting_one_goes_on(producer, gate):
    stream = producer.stream(Producer.gated, gate, 0)
    waiting = aside(list, stream)
    gate.arrival()
    stream.close()
    assert waiting.result(SHORT_S) == []
    gate.open()


def test_a_hundred_streams_of_one_process_do_not_mix(system):
    producers = [system.spawn(Producer) for _ in range(5)]
    for one in producers:
        for start in range(20):
            assert sum(one.stream(Producer.count, 100, start)) == sum(range(start, 100))
    streams = [one.stream(Producer.count, 1_000, at) for at, one in enumerate(producers)]
    for number in range(500):
        assert [next(stream) for stream in streams] == [number + at for at in range(5)]
    for stream in streams:
        stream.close()
    for one in producers:
        one.stop()


def test_a_stream_is_read_in_an_actor(system, producer):
    reader = system.spawn(Reader)
    assert reader.ask(Reader.read_all, producer, 5_000) == sum(range(5_000))
    reader.stop()


def test_a_stream_is_sent_on_and_read_from_where_it_was(system, producer):
    reader, other = system.spawn(Reader), system.spawn(Reader)
    for taken in (0, 1, 31, 32, 33, 64, 100):
        stream = producer.stream(Producer.count, 1_000)
        assert [next(stream) for _ in range(taken)] == list(range(taken))
        assert reader.ask(Reader.read, stream) == list(range(taken, 1_000))
        with pytest.raises(errors.StreamBroken, match="was sent on"):
            next(stream)
        eventually(lambda moved=stream._moved: moved[0].is_over, "word that the other has it")
        with pytest.raises(errors.EncodeError, match="cannot be sent"):
            reader.ask(Reader.read, stream)
        stream.close()
    for values in (VALUES * 3, [{"a": n} for n in range(500)], [b"x" * 9_000] * 100):
        stream = producer.stream(Producer.values, values)
        next(stream)
        got = reader.ask(Reader.pass_on, stream, other)
        assert list(map(repr, got)) == list(map(repr, values[1:]))
    for actor in (reader, other):
        actor.stop()


def test_a_stream_is_a_result(system, producer):
    reader = system.spawn(Reader)
    stream = reader.ask(Reader.make, producer, 1_000)
    assert list(stream) == list(range(1, 1_000))
    stream = reader.ask(Reader.make, producer, 1_000_000)
    reader.stop()
    assert [next(stream) for _ in range(500)] == list(range(1, 501))
    stream.close()


def test_a_stream_that_was_sent_on_ends_with_what_was_raised(system, producer):
    reader = system.spawn(Reader)
    with pytest.raises(Fault, match="on purpose"):
        reader.ask(Reader.read, producer.stream(Producer.fail, 10))
    with pytest.raises(errors.UnknownMethod, match="no generator"):
        bare = pickle.loads(pickle.dumps(producer))
        reader.ask(Reader.read, bare.stream(Producer.plain, 10))
    reader.stop()


def test_async_generators_are_streamed_too(producer, tmp_path):
    assert list(producer.stream(Producer.async_count, 3_000)) == list(range(3_000))
    note = tmp_path / "note"
    stream = producer.stream(Producer.async_noted, note)
    assert next(stream) == 1
    stream.close()
    # Though it awaits something for a thousand seconds.
    eventually(note.with_suffix(".closed").exists, "the generator closed")
    assert producer.ask(Producer.plain, 1) == 1


def test_a_stop_waits_for_the_generator(system, gate):
    producer = system.spawn(Producer)
    stream = producer.options(buffer=200).stream(Producer.gated, gate, 100)
    gate.arrival()
    stopped = aside(producer.stop, SHORT_S)
    gate.open()
    assert list(stream) == list(range(101))
    assert stopped.result(SHORT_S).kind.value == "stopped"


def test_a_stop_kills_a_generator_whose_reader_does_not_read(system):
    producer = system.spawn(Producer)
    stream = producer.stream(Producer.forever)
    next(stream)
    producer.stop(0.2)
    with pytest.raises((errors.ActorDied, errors.ActorStopped)):
        for _ in stream:
            pass
    with pytest.raises(errors.ActorStopped):
        producer.stream(Producer.forever)


def test_waiting_for_its_reader_is_no_hang(system):
    producer = system.options(handle_timeout=1.0).spawn(Producer)
    pid = producer.ask(Producer.who)
    stream = producer.stream(Producer.count, 1_000)
    assert next(stream) == 0
    time.sleep(1.5)  # more than the time of a hang
    assert sum(stream) == sum(range(1_000))
    assert producer.ask(Producer.who) == pid


def test_a_generator_that_hangs_between_items_is_one(system, gate):
    producer = system.options(handle_timeout=1.0).spawn(Producer)
    stream = producer.stream(Producer.gated, gate, 3)
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(errors.ActorDied, match="handle_timeout"):
        next(stream)


@pytest.mark.parametrize("delivery", list(Delivery))
def test_a_death_comes_behind_the_items_and_is_named(system, delivery):
    producer = system.options(delivery=delivery, max_restarts=100).spawn(Producer)
    for how, said in (("SIGKILL", "SIGKILL"), ("os._exit", "exit"), ("exit", "exit")):
        got: list[int] = []
        with pytest.raises(errors.ActorDied, match=said) as died:
            got.extend(producer.stream(Producer.fail, 50, how))
        assert died.value.report.handler.endswith("fail")
        # All but what was gathered when it died.
        assert got == list(range(len(got)))
    assert list(producer.stream(Producer.count, 5)) == list(range(5))


def test_a_death_before_its_turn_leaves_the_stream_in_the_mailbox(system, gate):
    producer = system.options(max_restarts=100).spawn(Producer)
    held = producer.submit(Producer.hold, gate)
    pid = gate.arrival()
    stream = producer.stream(Producer.count, 10)
    os.kill(pid, signal.SIGKILL)
    assert isinstance(held.exception(SHORT_S), errors.ActorDied)
    assert list(stream) == list(range(10))


def test_a_stream_that_waits_at_a_stop_ends_with_stopped(system, gate):
    producer = system.spawn(Producer)
    producer.submit(Producer.hold, gate)
    gate.arrival()
    stream = producer.stream(Producer.count, 10)
    producer.kill()
    with pytest.raises(errors.ActorStopped):
        next(stream)


def test_large_items_that_came_before_a_death_are_delivered(system):
    producer = system.spawn(Producer)
    stream = producer.options(buffer=10).stream(Producer.sized, [200_000] * 100)
    next(stream)
    eventually(lambda: len(_files(system)) >= 9, "items that wait")
    os.kill(producer.status().pid, signal.SIGKILL)
    got = 1
    with pytest.raises(errors.ActorDied):
        for item in stream:
            assert len(item) == 200_000
            got += 1
    assert got >= 9  # the one that was killed may have written the last file and not its record
    eventually(lambda: not streams_in(system), "no file left")


def _files(system: Any) -> list[str]:
    return [name for name in streams_in(system) if "-" in name]


def test_a_dead_readers_generator_is_closed(system, tmp_path):
    producer, reader = system.spawn(Producer), system.spawn(Reader)
    for number in range(2):
        note = tmp_path / f"{number}"
        assert reader.ask(Reader.open, producer, Producer.noted, note) == 1
        os.kill(reader.status().pid, signal.SIGKILL)
        eventually(note.with_suffix(".closed").exists, "the generator closed")
        eventually(lambda: not streams_in(system), "no file left")
    assert producer.ask(Producer.plain, 1) == 1


def test_a_system_stops_with_streams_open(start_method):
    with ActorSystem(start_method=start_method) as system:
        producer = system.options(stop_timeout=0.2).spawn(Producer)
        stream = producer.stream(Producer.forever)
        next(stream)
    got = []
    with pytest.raises(errors.ProcActorsError):
        for item in stream:
            got.append(item)  # noqa: PERF402 - until it raises
    assert list(stream) == []


def test_a_forked_copy_neither_reads_nor_keeps_a_stream(producer, tmp_path):
    note = tmp_path / "note"
    stream = producer.stream(Producer.noted, note)
    next(stream)
    went, told = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            next(stream)
        except BaseException as error:
            os.write(told, type(error).__name__.encode())
        signal.pause()
        os._exit(0)
    try:
        assert os.read(went, 100) == b"ForeignProcess"
        stream.close()
        eventually(note.with_suffix(".closed").exists, "the generator closed")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(went)
        os.close(told)


def test_a_signal_that_raises_leaves_no_gap(producer, seed):
    """What its handler raises is the caller's; what goes on is in order, or says that it cannot."""
    chance = random.Random(seed)
    stream, expected, seen, broken = producer.stream(Producer.forever), 0, 0, 0
    with alarms(Alarm) as ring_in:
        for _ in range(300):
            is_broken = False
            try:
                try:
                    ring_in(chance.uniform(0.0001, 0.003))
                    while True:
                        item = next(stream)
                        assert expected is None or item == expected
                        expected = item + 1
                        seen += 1
                except errors.StreamBroken:
                    is_broken = True
                    ring_in(0)
            except Alarm:
                # It may have come when the item was taken, and before it had its name.
                expected = None
            if is_broken:
                broken += 1
                stream, expected = producer.stream(Producer.forever), None
        ring_in(0)
    stream.close()
    assert seen > broken


def test_a_stream_in_a_message_that_is_lost_is_closed(system, producer, gate, tmp_path):
    """Be it refused, or in hand at a death before it was read."""
    notes = [tmp_path / f"{number}" for number in range(3)]
    other = system.options(max_restarts=10).spawn(Producer)
    stream = producer.stream(Producer.noted, notes[0])
    with pytest.raises(errors.ActorDied):
        other.ask(Producer.die, [DiesWhenLoaded(), stream])
    eventually(notes[0].with_suffix(".closed").exists, "the generator closed")
    stream = producer.stream(Producer.noted, notes[1])
    with pytest.raises(errors.ActorDied):
        other.ask(Producer.die, [stream, DiesWhenLoaded()])
    eventually(notes[1].with_suffix(".closed").exists, "the generator closed")
    other.stop()
    stream = producer.stream(Producer.noted, notes[2])
    with pytest.raises(errors.ActorStopped):
        other.ask(Producer.die, stream)
    eventually(notes[2].with_suffix(".closed").exists, "the generator closed")


class DiesWhenLoaded:
    def __reduce__(self):
        return os._exit, (3,)
