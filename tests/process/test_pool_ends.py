"""How pools end, and what their calls leave behind: found by the executor that stands on them."""

from __future__ import annotations

import functools
import gc
import threading
import weakref

import pytest

from procactors import ActorSystem
from procactors.errors import ActorStopped
from tests.support.poolwork import Tally, gate_or_square
from tests.support.waiting import SHORT_S, aside, eventually


def square(x):
    return x * x


def test_a_pool_may_be_stopped_after_its_system(start_method):
    """As a `with` block of the system around that of the pool does when both are left by hand."""
    with ActorSystem(start_method=start_method) as system:
        pool = system.options(size=2).pool()
        assert pool.ask(square, 3) == 9
    pool.stop()
    pool.kill()
    with pytest.raises(ActorStopped):
        pool.submit(square, 3)


def test_a_pool_that_nobody_stops_ends_with_its_system():
    """Its thread too."""
    with ActorSystem() as system:
        pool = system.options(size=1).pool()
        assert pool.ask(square, 3) == 9
        assert any(pool.name in thread.name for thread in threading.enumerate())
    eventually(
        lambda: not any(pool.name in thread.name for thread in threading.enumerate()),
        "the end of the pool's thread",
    )


def test_what_a_call_returned_goes_with_its_reply(system):
    """No circle keeps it until the garbage collector comes by."""
    pool = system.options(size=1).pool()
    gc.collect()
    gc.disable()
    try:
        for call in ((bytes, 100_000), (int, "x")):
            reply = pool.submit(*call)
            reply.exception(SHORT_S)
            gone = threading.Event()
            watched = weakref.ref(reply, lambda _, gone=gone: gone.set())
            del reply
            assert gone.wait(SHORT_S), watched
    finally:
        gc.enable()


class Large:
    """A callable with much in it; tells how many of them this process has."""

    alive = 0

    def __init__(self):
        self.load = bytes(100_000)

    def __setstate__(self, state):
        self.__dict__ = state
        Large.alive += 1

    def __del__(self):
        Large.alive -= 1

    def __call__(self):
        return Large.alive


def test_a_worker_keeps_few_large_functions(system):
    """Each call may come with another: a partial with an array, say."""
    pool = system.options(size=1).pool()
    assert max(pool.ask(functools.partial(Large())) for _ in range(20)) <= 3


def test_a_call_that_a_stopping_pool_takes_is_done(system):
    """Refused, or done: none is taken and then given up."""
    pool = system.options(size=1).pool()
    taken = []

    def keep_on():
        try:
            while True:
                taken.append(pool.submit(square, 2))
        except ActorStopped:
            return

    threads = [aside(keep_on) for _ in range(4)]
    eventually(lambda: len(taken) > 20, "some calls")
    pool.stop()
    for thread in threads:
        thread.result(SHORT_S)
    assert {reply.result(0) for reply in taken} == {4}


def test_two_threads_that_stop_a_pool_both_wait_for_its_end(system, gate):
    pool = system.options(size=1).pool(Tally)
    reply = pool.submit(Tally.wait, gate)
    gate.arrival()
    stops = [aside(pool.stop) for _ in range(2)]
    eventually(lambda: pool._dispatcher.closing, "the stop")
    assert not any(stop.done() for stop in stops)
    gate.open()
    for stop in stops:
        stop.result(SHORT_S)
        assert pool.size == 0
    assert reply.result(0)


def test_a_callback_at_the_systems_end_runs_under_nobodys_lock():
    """It may wait for another thread, which waits for whoever brought it."""
    lock = threading.Lock()
    called = []

    def with_lock():
        with lock:
            return True

    with ActorSystem() as system:
        endpoint = system._endpoint
        system.options(size=1).pool().submit(square, 3).result(SHORT_S)  # its threads are there

        def end():
            with lock:
                endpoint.run_callback(lambda: called.append(aside(with_lock).result(SHORT_S)))

        endpoint.on_close(end)
    assert called == [True]


def test_collecting_a_map_takes_no_lock(system, gate):
    """The garbage collector may run in a thread that another waits for, which has the lock."""
    pool = system.options(size=1).pool()
    results = pool.map(gate_or_square, [gate, *range(100)], chunk=1)
    gate.arrival()
    circle = [results]
    circle.append(circle)
    held, collected = threading.Event(), threading.Event()

    def hold():
        with pool._dispatcher.lock:
            held.set()
            assert collected.wait(SHORT_S)

    holder = aside(hold)
    assert held.wait(SHORT_S)
    del results, circle
    gc.collect()
    collected.set()
    holder.result(SHORT_S)
    gate.open()
    assert pool.ask(square, 3) == 9


def test_a_map_that_nobody_reads_and_nobody_keeps_is_given_up(system):
    """Its items are in hand or dropped, and what it had put aside is freed."""
    pool = system.options(size=1).pool()
    load = bytes(100_000)
    dropped = weakref.WeakSet()
    for _ in range(3):
        results = pool.map(functools.partial(lambda load, x: x, load), range(10_000))
        dropped.add(results)
        del results
    assert not dropped
    assert pool.ask(square, 3) == 9
    pool.stop()
