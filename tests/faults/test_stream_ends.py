"""Generators whose reader leaves, and which do something odd about it; readers that leave oddly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from procactors import Actor, ActorSystem, Recycle, errors, feed
from tests.support.faults import Fault
from tests.support.loops import LOOPS, run
from tests.support.producers import Producer, Reader, streams_in
from tests.support.programs import running
from tests.support.waiting import SHORT_S, eventually

#: How the generator is written, and in what kind of an actor it runs.
KINDS = ["generator", "async generator", "async generator of several"]
OFTEN = {"max_restarts": 100_000}


class Odd(Actor):
    """Its generators do in their ``finally`` what they are told to."""

    def __init__(self) -> None:
        self.done: list[Any] = []

    def plain(self, how: str, *args: Any) -> Iterator[Any]:
        try:
            while True:
                yield "item"
        finally:
            match how:
                case "raises":
                    raise Fault("in its finally")
                case "asks":
                    self.done.append(args[0].ask(Producer.plain, 7))
                case "streams":
                    self.done += args[0].stream(Producer.count, 3)
                case "blocks":
                    args[0].wait()
                    self.done.append("waited")
                case "yields":
                    yield "one more"
                case "exits":
                    raise SystemExit(3)
                case "SIGKILL":
                    os.kill(os.getpid(), signal.SIGKILL)

    async def awaiting(self, how: str, *args: Any) -> AsyncIterator[Any]:
        try:
            while True:
                yield "item"
        finally:
            match how:
                case "raises":
                    raise Fault("in its finally")
                case "asks":
                    self.done.append(await args[0].aio.ask(Producer.plain, 7))
                case "streams":
                    self.done += [item async for item in args[0].aio.stream(Producer.count, 3)]
                case "blocks":
                    await asyncio.to_thread(args[0].wait)
                    self.done.append("waited")
                case "yields":
                    yield "one more"
                case "exits":
                    raise SystemExit(3)
                case "SIGKILL":
                    os.kill(os.getpid(), signal.SIGKILL)

    async def stubborn(self) -> AsyncIterator[Any]:
        """Yield on, though what it awaits is cancelled as its reader leaves."""
        for number in range(1_000_000):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0 if number < 3 else 3600)
            yield number

    def what(self) -> list[Any]:
        return self.done

    def who(self) -> int:
        return os.getpid()


@pytest.fixture(params=KINDS)
def odd(request, system) -> Any:
    """An actor, and its generator."""
    several = {"max_concurrency": 4} if request.param.endswith("several") else {}
    ref = system.options(**OFTEN, **several).spawn(Odd)
    yield ref, Odd.plain if request.param == "generator" else Odd.awaiting
    eventually(lambda: not streams_in(system), "no file of a stream left")


def read_some(ref, generator, *args):
    """Read some items, and leave in the middle."""
    stream = ref.options(buffer=4).stream(generator, *args)
    for _ in range(10):
        assert next(stream) == "item"
    stream.close()
    return stream


@pytest.mark.parametrize("how", ["raises", "yields"])
def test_an_error_at_the_closing_is_logged_and_the_actor_lives(odd, how, caplog):
    ref, generator = odd
    pid = ref.ask(Odd.who)
    said = {"raises": "in its finally", "yields": "ignored GeneratorExit"}[how]
    with caplog.at_level(logging.ERROR, "procactors"):
        assert list(read_some(ref, generator, how)) == []
        eventually(lambda: said in caplog.text, "the error in the log")
    assert ref.ask(Odd.who) == pid


@pytest.mark.parametrize("how", ["asks", "streams"])
def test_a_finally_may_ask_others(odd, how, system):
    ref, generator = odd
    read_some(ref, generator, how, system.spawn(Producer))
    expected = {"asks": [7], "streams": [0, 1, 2]}[how]
    eventually(lambda: ref.ask(Odd.what) == expected, "what the other answered")


def test_a_finally_that_blocks_holds_up_its_actor_alone(odd, gate):
    ref, generator = odd
    read_some(ref, generator, "blocks", gate)
    gate.arrival()
    answer = ref.submit(Odd.what)  # behind the generator, or beside it
    gate.open()
    assert answer.result(SHORT_S) in ([], ["waited"])
    eventually(lambda: ref.ask(Odd.what) == ["waited"], "its end")


@pytest.mark.parametrize("how", ["exits", "SIGKILL"])
def test_a_finally_that_ends_the_process_costs_the_process(odd, how):
    ref, generator = odd
    pid = ref.ask(Odd.who)
    read_some(ref, generator, how)
    eventually(lambda: ref.ask(Odd.who) != pid, "the next life")
    report = ref.status().last_crash
    assert report.handler == generator.__qualname__
    assert report.reason.code == 3 if how == "exits" else report.reason.signal_name == how


@pytest.mark.parametrize("most", [1, 4])
def test_a_generator_that_yields_on_though_it_is_cancelled_is_closed(system, most):
    ref = system.options(max_concurrency=most).spawn(Odd)
    stream = ref.stream(Odd.stubborn)
    assert next(stream) == 0
    stream.close()
    assert ref.options(timeout=SHORT_S).ask(Odd.who)
    eventually(lambda: not ref.status().in_hand, "nothing in hand")
    eventually(lambda: not streams_in(system), "no file of a stream left")


# -- readers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", LOOPS)
def test_a_task_that_takes_items_one_by_one_and_is_cancelled_anywhere_leaves_none_out(system, how):
    """As by `asyncio.timeout`, which cancels the task at whatever it awaits."""
    producer = system.spawn(Producer)

    async def main() -> None:
        stream = producer.options(buffer=8).aio.stream(Producer.async_count, 2_000)
        got: list[int] = []

        async def read() -> None:
            # Not by ``async for``: that closes its stream when it is cancelled.
            with contextlib.suppress(StopAsyncIteration):
                while True:
                    got.append(await anext(stream))
                    if not got[-1] % 7:
                        await asyncio.sleep(0)

        turns = 0
        while len(got) < 2_000:
            task = asyncio.ensure_future(read())
            for _ in range(turns % 50):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() or task.exception() is None
            turns += 1
        assert got == list(range(2_000))
        assert turns > 2
        assert [item async for item in stream] == []

    run(main, how)
    assert producer.ask(Producer.plain, 1) == 1


@pytest.mark.parametrize("how", LOOPS)
def test_what_a_timeout_cuts_off_is_closed_with_its_block(system, how, tmp_path):
    producer = system.spawn(Producer)
    note = tmp_path / "note"

    async def main() -> None:
        async def read() -> None:
            async with stream:
                async for _ in stream:
                    pass

        stream = producer.aio.stream(Producer.async_noted, note)
        assert await anext(stream) == 1
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(read(), 0.2)

    run(main, how)
    eventually(note.with_suffix(".closed").exists, "the generator closed")
    eventually(lambda: not streams_in(system), "no file of a stream left")


@pytest.mark.parametrize("how", ["asyncio", "uvloop"])
def test_a_stream_outlives_the_loop_that_read_it(system, how):
    producer = system.spawn(Producer)
    stream = producer.options(buffer=4).stream(Producer.count, 1_000)
    got: list[int] = []

    async def some() -> None:
        got.extend([await anext(stream) for _ in range(100)])
        # Left behind as the loop ends: what it takes, if anything, goes with it.
        waits = asyncio.ensure_future(anext(stream))
        if how == "uvloop":  # `asyncio.run` cancels it
            waits.cancel()

    for _ in range(3):
        run(some, how)
        got.append(next(stream))
    assert len(got) == 303
    assert got == sorted(set(got))
    assert got[-1] <= 305
    stream.close()


def test_a_forked_copy_of_a_reader_hands_out_nothing(system):
    """Not even what had come before the fork: the reader has it."""
    producer = system.spawn(Producer)
    stream = producer.stream(Producer.count, 100_000)
    loop = iter(stream)
    last = next(loop)
    while stream._raw.__length_hint__() < 3:  # until several have come together
        last = next(loop)
    went, told = os.pipe()
    pid = os.fork()
    if not pid:
        said = []
        for read in (lambda: next(stream), lambda: next(loop), lambda: list(stream)):
            try:
                said.append(repr(read()))
            except BaseException as error:
                said.append(type(error).__name__)
        os.write(told, " ".join(said).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.read(went, 1000) == b"ForeignProcess ForeignProcess ForeignProcess"
    os.close(went)
    os.close(told)
    assert list(stream) == list(range(last + 1, 100_000))


def test_a_reader_that_is_recycled_closes_what_it_had_open(system, tmp_path):
    producer = system.spawn(Producer)
    reader = system.options(recycle_after=Recycle(messages=1)).spawn(Reader)
    for number in range(3):
        note = tmp_path / str(number)
        assert reader.ask(Reader.open, producer, Producer.noted, note) == 1
        eventually(note.with_suffix(".closed").exists, "the generator closed")
    assert producer.ask(Producer.plain, 1) == 1
    eventually(lambda: not streams_in(system), "no file of a stream left")


# -- stops --------------------------------------------------------------------------------------


class Both(Actor):
    """Reads what it is fed, and streams it on."""

    def through(self, items: Any) -> Iterator[Any]:
        yield from items

    async def awaiting(self, items: Any) -> AsyncIterator[Any]:
        async for item in items:
            yield item


def endless() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("way", [Both.through, Both.awaiting])
def test_a_system_that_ends_while_streams_run_both_ways_leaves_nothing(start_method, way, error):
    ends: list[Any] = []
    with (
        contextlib.suppress(ValueError, KeyboardInterrupt),
        ActorSystem(start_method=start_method) as system,
    ):
        actors = [system.options(stop_timeout=0.3).spawn(Both) for _ in range(3)]
        through: Any = feed(endless())
        for actor in actors:
            through = actor.stream(way, through)
        for number in range(100):
            assert next(through) == number
        if error is not None:
            raise error
        through.close()
    late: list[str] = []
    try:
        ends += through
    except errors.ProcActorsError as cut:
        late.append(type(cut).__name__)
    # Closed, it is at its end; else what was under way comes, and then the system's end.
    assert (ends, late) == ([], []) if error is None else late == ["ActorStopped"]


def test_ctrl_c_in_a_loop_over_items_ends_the_program_at_once():
    source = """
import signal, sys
from procactors import ActorSystem
from tests.support.producers import Producer
with ActorSystem(stop_timeout=3600) as system:
    for item in system.spawn(Producer).stream(Producer.forever):
        if item == 1000:
            print("ready", flush=True)
"""
    with running(source) as program:
        assert program.line() == "ready"
        program.process.send_signal(signal.SIGINT)
        code, _, err = program.end()
    assert code in (-signal.SIGINT, 130), err
    assert "KeyboardInterrupt" in err
