"""What a pool's large values take in shared memory is given back, whatever comes of the call."""

from __future__ import annotations

import os

import pytest

from procactors import ActorSystem, Overflow
from procactors.errors import ActorDied, ActorStopped, MailboxFull
from procactors.futures import ActorPoolExecutor
from tests.support.gates import Gate
from tests.support.poolwork import Tally, breaks, wait_at
from tests.support.segments import in_use
from tests.support.waiting import eventually

#: Beyond what goes in a message.
LARGE = bytes(10_000)


@pytest.fixture(scope="module")
def running(start_method):
    """One system for all: no test here ends it."""
    with ActorSystem(start_method=start_method) as system:
        with system.options(size=1).pool() as pool:
            pool.ask(len, LARGE)  # what is made once is made now
        yield system


@pytest.fixture
def system(running):
    """The system; what it keeps to be written, and to be read, again is no leak."""
    yield running
    running._endpoint.store._segments.close()
    running._endpoint.store._received.close()


@pytest.fixture
def pool(system):
    with system.options(size=1).pool(Worker) as pool:
        yield pool


def unused(owner):
    """Check that nothing is taken any more, while the pool goes on."""
    path = (owner._endpoint if isinstance(owner, ActorSystem) else owner._transport).path
    eventually(lambda: not in_use(path), "what the calls took to be given back")


class Worker(Tally):
    def size(self, body: bytes) -> int:
        return len(body)

    def fail_with(self, body: bytes) -> None:
        raise ValueError(len(body))

    def die_with(self, body: bytes) -> None:
        os._exit(7)

    def copy(self, body: bytes) -> bytes:
        return body

    def wait_with(self, gate: Gate, body: bytes) -> int:
        gate.wait()
        return len(body)


def large_function():
    """Return a function that takes a large value along."""
    body = os.urandom(10_000)
    return lambda *_: len(body)


# -- arguments -------------------------------------------------------------------------------------


def test_the_arguments_of_calls_are_given_back(pool, system):
    for _ in range(3):
        assert pool.ask(Worker.size, LARGE) == len(LARGE)
        assert pool.ask(len, LARGE) == len(LARGE)
        assert pool.submit(Worker.size, LARGE).result() == len(LARGE)
        assert pool.gather(Worker.size, LARGE) == [len(LARGE)]
        assert pool.first(Worker.size, LARGE) == len(LARGE)
        pool.tell(Worker.size, LARGE)
        pool.broadcast(Worker.size, LARGE)
    assert pool.ask(Worker.handled) == 0
    unused(system)


def test_the_arguments_of_calls_that_fail_are_given_back(pool):
    with pytest.raises(ValueError, match="10000"):
        pool.ask(Worker.fail_with, LARGE)
    with pytest.raises(ActorDied):
        pool.ask(Worker.die_with, LARGE)
    pool.tell(Worker.die_with, LARGE)
    pool.tell(breaks, ("run", "exception"), LARGE)
    unused(pool)


def test_the_arguments_of_a_told_call_that_fails_are_kept_for_its_letter_alone(pool, system):
    before = len(system.dead_letters)
    pool.tell(Worker.fail_with, LARGE)
    eventually(lambda: len(system.dead_letters) > before, "the dead letter")
    (letter,) = list(system.dead_letters)[before:]
    assert letter.message == ((LARGE,), {})
    unused(pool)


def test_the_arguments_of_calls_that_are_taken_back_are_given_back(pool, gate):
    held = pool.submit(wait_at, gate)
    gate.arrival()
    replies = [pool.submit(Worker.size, LARGE) for _ in range(5)]
    for reply in replies:
        reply.cancel()  # one of them may be on its way already
    gate.open()
    held.result()
    unused(pool)


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_the_arguments_of_calls_that_a_pool_does_not_come_to_are_given_back(system, gate, end):
    pool = system.options(size=1).pool(Worker)
    held = pool.submit(Worker.wait_with, gate, LARGE)
    gate.arrival()
    replies = [pool.submit(Worker.size, LARGE) for _ in range(5)]
    pool.tell(Worker.size, LARGE)
    pool.kill() if end == "kill" else pool.stop(timeout=0)
    assert isinstance(held.exception(), ActorDied)
    assert all(isinstance(reply.exception(), ActorStopped) for reply in replies)
    for call in (pool.ask, pool.submit, pool.tell):
        with pytest.raises(ActorStopped):
            call(Worker.size, LARGE)
    unused(system)


@pytest.mark.parametrize(
    "overflow", [Overflow.RAISE, Overflow.DROP], ids=lambda overflow: overflow.value
)
def test_the_arguments_of_calls_that_find_no_place_are_given_back(system, gate, overflow):
    options = system.options(size=1, mailbox=1, overflow=overflow)
    with options.pool(Worker) as pool:
        held = pool.submit(wait_at, gate)
        gate.arrival()
        waiting = [pool.submit(Worker.size, LARGE)]
        with pytest.raises(MailboxFull):
            while len(waiting) < 10:
                waiting.append(pool.submit(Worker.size, LARGE))
        taken = len(in_use(system._endpoint.path))
        if overflow is Overflow.DROP:
            pool.tell(Worker.size, LARGE)
            eventually(
                lambda: len(in_use(system._endpoint.path)) == taken, "what was dropped to go"
            )
        gate.open()
        held.result()
        assert [reply.result() for reply in waiting] == [len(LARGE)] * len(waiting)
        unused(system)


def test_large_functions_are_given_back(pool, system):
    function = large_function()
    assert pool.ask(function) == 10_000
    assert pool.submit(function).result() == 10_000
    pool.tell(function)
    assert list(pool.map(function, range(3))) == [10_000] * 3
    assert list(pool.starmap(function, [(1, LARGE)] * 3)) == [10_000] * 3
    assert pool.ask(Worker.handled) == 0
    unused(system)


# -- maps ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ordered", [True, False])
def test_the_items_and_results_of_a_map_are_given_back(pool, ordered):
    results = list(pool.map(Worker.copy, [LARGE] * 20, ordered=ordered))
    assert results == [LARGE] * 20
    unused(pool)


def test_the_items_of_a_map_that_breaks_are_given_back(pool):
    items = [("run", "exception", LARGE), ("run", "os._exit(7)", LARGE), LARGE]
    outcome = list(pool.map(breaks, items * 3, on_error="collect", chunk=2))
    assert outcome[2::3] == [LARGE] * 3
    with pytest.raises(ActorDied):
        list(pool.map(breaks, [items[1], *[LARGE] * 5]))
    unused(pool)


def test_the_items_and_results_of_a_map_that_nobody_finishes_are_given_back(pool):
    results = pool.map(Worker.copy, [LARGE] * 50, chunk=1)
    assert next(results) == LARGE
    results.close()
    results = pool.map(Worker.copy, [LARGE] * 50)
    assert next(results) == LARGE
    del results
    unused(pool)


# -- results ---------------------------------------------------------------------------------------


def test_results_that_nobody_looks_at_are_given_back(pool):
    replies = [pool.submit(Worker.copy, LARGE) for _ in range(5)]
    eventually(lambda: all(reply.done() for reply in replies), "the results")
    assert replies[0].result() == LARGE
    replies.clear()
    pool.tell(Worker.copy, LARGE)
    unused(pool)


def test_results_outlive_the_worker_that_made_them(system):
    with system.options(size=1).pool(Worker) as pool:
        replies = [pool.submit(Worker.copy, LARGE) for _ in range(3)]
        eventually(lambda: all(reply.done() for reply in replies), "the results")
        with pytest.raises(ActorDied):
            pool.ask(Worker.die_with, b"")
    assert [reply.result() for reply in replies] == [LARGE] * 3
    unused(system)


def test_an_executors_values_are_given_back(system):
    with ActorPoolExecutor(1, system=system) as executor:
        assert executor.submit(len, LARGE).result() == len(LARGE)
        assert list(executor.map(len, [LARGE] * 3)) == [len(LARGE)] * 3
        assert executor.submit(large_function()).result() == 10_000
        unused(system)
