"""The executor: what the standard library's promises, and what it cannot: outliving its workers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import itertools
import multiprocessing
import os
import signal
import threading
import time
import weakref
from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    BrokenExecutor,
    CancelledError,
    Executor,
    as_completed,
    wait,
)
from contextlib import suppress

import psutil
import pytest

from procactors import ActorSystem, ExitKind
from procactors.errors import (
    ActorDied,
    ActorStopped,
    DecodeError,
    EncodeError,
    ItemTimeout,
    PoolBroken,
    Quarantined,
    ResultEncodeError,
    SpawnError,
)
from procactors.futures import ActorPoolExecutor
from tests.support.faults import (
    BreaksWhenLoaded,
    BreaksWhenPickled,
    Fault,
    commit,
)
from tests.support.programs import running
from tests.support.waiting import CLOCK_TOLERANCE_S, LONG_S, SHORT_S, aside, eventually

#: Of a map of chunks of two, more than are taken while its workers stand still.
ITEMS = 2000


@pytest.fixture
def executor(start_method):
    """Two workers, in a system of its own."""
    with ActorPoolExecutor(2, start_method=start_method) as executor:
        yield executor


def workers():
    """The processes of this one's, but for that of the standard library, which stays."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it is just ending
            if "resource_tracker" not in " ".join(child.cmdline()):
                found.append(child)
    return found


def square(x):
    return x * x


def write(folder, number):
    (folder / str(number)).touch()
    return number


def pass_gate(gate, value=None):
    gate.wait()
    return value


def kill_at(gate):
    gate.wait()
    os.kill(os.getpid(), signal.SIGKILL)


def fail(text="on purpose"):
    raise Fault(text)


def fail_at(number, bad):
    if number == bad:
        raise Fault(str(number))
    return number


def make(cls, how):
    return cls(how)


def numbers(count, taken):
    """An input that notes what is taken from it."""
    for number in itertools.count() if count is None else range(count):
        taken.append(number)
        yield number


# -- the drop-in ------------------------------------------------------------------------------


def test_it_is_an_executor_of_the_standard_library(executor):
    """A submit gives a future with the result, with positional and named arguments."""
    assert isinstance(executor, Executor)
    future = executor.submit(pow, 2, exp=5)
    assert isinstance(future, concurrent.futures.Future)
    assert future.result(SHORT_S) == 32
    assert executor.submit(fail).exception(SHORT_S).args == ("on purpose",)
    with pytest.raises(Fault, match="on purpose"):
        executor.submit(fail).result(SHORT_S)


def test_nothing_runs_before_the_first_call():
    """An executor that is never used has no process, and can be shut down."""
    executor = ActorPoolExecutor(2)
    assert not workers()
    executor.shutdown()
    assert not workers()


def test_lambdas_closures_and_partials_travel(executor):
    step = 3
    assert executor.submit(lambda x: x + step, 4).result(SHORT_S) == 7
    assert executor.submit(functools.partial(pow, 2), 5).result(SHORT_S) == 32


def test_a_context_of_multiprocessing_names_the_start_method():
    """Arguments stand in the order of `ProcessPoolExecutor`'s."""
    context = multiprocessing.get_context("spawn")
    with ActorPoolExecutor(1, context, os.putenv, ("A", "b")) as executor:
        assert executor.submit(square, 3).result(LONG_S) == 9
        assert executor._engine._own._launcher._method == "spawn"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"max_workers": 0}, ValueError),
        ({"max_workers": -1}, ValueError),
        ({"initializer": 5}, TypeError),
        ({"max_tasks_per_child": 0}, ValueError),
        ({"max_tasks_per_child": "one"}, TypeError),
        ({"retries": -1}, ValueError),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(words, error):
    with pytest.raises(error):
        ActorPoolExecutor(**words)


def test_futures_can_be_waited_for(executor, gate):
    """`wait` and `as_completed` know these futures."""
    held = executor.submit(pass_gate, gate)
    gate.arrival()
    quick = executor.submit(square, 3)
    assert wait([held, quick], SHORT_S, FIRST_COMPLETED).done == {quick}
    bad = executor.submit(fail)
    assert wait([held, bad], SHORT_S, FIRST_EXCEPTION).done == {bad}
    assert wait([held], 0.01).not_done == {held}
    gate.open()
    assert set(as_completed([held, quick, bad], SHORT_S)) == {held, quick, bad}


def test_asyncio_runs_calls_on_it(executor):
    async def main():
        loop = asyncio.get_running_loop()
        calls = [loop.run_in_executor(executor, square, x) for x in range(20)]
        with pytest.raises(Fault):
            await loop.run_in_executor(executor, fail)
        return await asyncio.gather(*calls)

    assert asyncio.run(main()) == [x * x for x in range(20)]


def test_a_callback_may_submit_again(executor):
    """A chain of callbacks goes on, each from the last one's result."""
    ended = concurrent.futures.Future()

    def go_on(future):
        if future.result() >= 50:
            ended.set_result(future.result())
        else:
            executor.submit(int.__add__, future.result(), 1).add_done_callback(go_on)

    executor.submit(int, 0).add_done_callback(go_on)
    assert ended.result(SHORT_S) == 50


def test_a_callback_that_raises_is_logged_and_harms_nobody(executor, caplog, gate):
    """Not even one that raises what ends a thread."""
    futures = [executor.submit(pass_gate, gate, x) for x in range(2)]
    called = threading.Event()
    futures[0].add_done_callback(lambda _: fail("in a callback"))
    futures[0].add_done_callback(lambda _: commit("base exception"))
    futures[1].add_done_callback(lambda _: None)
    gate.open()
    wait(futures, SHORT_S)
    executor.submit(square, 2).add_done_callback(lambda _: called.set())
    assert called.wait(SHORT_S)
    assert "exception calling callback" in caplog.text
    assert "the next are served" in caplog.text


def test_twenty_threads_submit_at_once(executor):
    def some(base):
        futures = [executor.submit(square, base + x) for x in range(50)]
        return [future.result(LONG_S) for future in futures]

    calls = [aside(some, base * 50) for base in range(20)]
    found = [value for call in calls for value in call.result(LONG_S)]
    assert found == [x * x for x in range(1000)]


# -- cancel -----------------------------------------------------------------------------------


def test_what_waits_can_be_cancelled_and_what_runs_cannot(executor, gate):
    running = [executor.submit(pass_gate, gate) for _ in range(2)]
    for _ in running:
        gate.arrival()
    waiting = [executor.submit(square, x) for x in range(3)]
    assert [future.running() for future in running] == [True, True]
    assert not running[0].cancel()
    assert waiting[1].cancel()
    assert waiting[1].cancel()
    assert waiting[1].cancelled()
    # Its waiters are told at once, and not when a worker comes to it.
    assert wait([waiting[1]], SHORT_S).done == {waiting[1]}
    assert list(as_completed([waiting[1]], SHORT_S)) == [waiting[1]]
    gate.open()
    wait(running, SHORT_S)
    assert [waiting[0].result(SHORT_S), waiting[2].result(SHORT_S)] == [0, 4]
    with pytest.raises(CancelledError):
        waiting[1].result()


def test_a_cancelled_call_tells_its_callbacks(executor, gate):
    running = [executor.submit(pass_gate, gate) for _ in range(2)]
    for _ in running:
        gate.arrival()
    called = threading.Event()
    future = executor.submit(square, 2)
    future.add_done_callback(lambda _: called.set())
    assert future.cancel()
    assert called.wait(SHORT_S)
    gate.open()
    wait(running, SHORT_S)


# -- death and disaster -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["sys.exit(3)", "os._exit(7)", "segfault", "SIGKILL", "abort"])
def test_a_call_that_ends_its_worker_gets_the_report(executor, how):
    """All others are done, and the executor goes on."""
    others = [executor.submit(square, x) for x in range(20)]
    bad = executor.submit(commit, how)
    others += [executor.submit(square, x) for x in range(20)]
    error = bad.exception(SHORT_S)
    assert isinstance(error, ActorDied)
    assert error.report.reason.kind in {ExitKind.EXIT, ExitKind.SIGNAL}
    assert [future.result(SHORT_S) for future in others] == [x * x for x in range(20)] * 2
    assert executor.submit(square, 5).result(SHORT_S) == 25


@pytest.mark.parametrize(
    ("call", "error"),
    [
        # pickling the call, here
        ((id, BreaksWhenPickled("exception")), EncodeError),
        # unpickling it, in the worker
        ((id, BreaksWhenLoaded("exception")), DecodeError),
        ((id, BreaksWhenLoaded("sys.exit(3)")), ActorDied),
        ((id, BreaksWhenLoaded("segfault")), ActorDied),
        # running it
        ((commit, "exception"), Fault),
        ((commit, "base exception"), ActorDied),
        ((commit, "sys.exit(3)"), ActorDied),
        ((commit, "segfault"), ActorDied),
        # pickling the result, in the worker
        ((make, BreaksWhenPickled, "exception"), ResultEncodeError),
        ((make, BreaksWhenPickled, "sys.exit(3)"), ActorDied),
        ((make, BreaksWhenPickled, "segfault"), ActorDied),
        # unpickling it, here
        ((make, BreaksWhenLoaded, "exception"), DecodeError),
        ((make, BreaksWhenLoaded, "sys.exit(3)"), DecodeError),
    ],
)
def test_no_error_exit_or_crash_anywhere_makes_anybody_wait(executor, call, error):
    """Each ends that one call, and the next one is served."""
    assert isinstance(executor.submit(*call).exception(SHORT_S), error)
    assert executor.submit(square, 5).result(SHORT_S) == 25


def test_an_exit_while_a_call_is_pickled_is_the_callers_own(executor):
    executor.submit(square, 1).result(SHORT_S)
    with pytest.raises(SystemExit):
        executor.submit(id, BreaksWhenPickled("sys.exit(3)"))
    assert executor.submit(square, 5).result(SHORT_S) == 25


def test_a_call_that_cannot_be_pickled_fails_in_its_future(executor):
    """A program that collects futures finds the error there, with the path to the cause."""
    futures = [executor.submit(id, x) for x in (1, {"key": threading.Lock()}, 3)]
    assert [future.exception(SHORT_S) is None for future in futures] == [True, False, True]
    assert isinstance(futures[1].exception(), EncodeError)
    assert "'key'" in str(futures[1].exception())


def test_idle_workers_that_are_killed_come_back(executor):
    pids = {executor.submit(os.getpid).result(SHORT_S) for _ in range(20)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert [f.result(SHORT_S) for f in [executor.submit(square, x) for x in range(50)]] == [
        x * x for x in range(50)
    ]


def test_retries_try_a_call_again_whose_worker_was_killed(start_method, gate):
    with ActorPoolExecutor(1, start_method=start_method, retries=1) as executor:
        future = executor.submit(pass_gate, gate, "done")
        os.kill(gate.arrival(), signal.SIGKILL)
        gate.arrival()
        gate.open()
        assert future.result(SHORT_S) == "done"


def test_a_call_that_ends_three_workers_is_not_tried_any_more():
    with ActorPoolExecutor(1, retries=9) as executor:
        assert isinstance(executor.submit(commit, "SIGKILL").exception(SHORT_S), Quarantined)
        assert executor.submit(square, 5).result(SHORT_S) == 25


def test_a_call_that_takes_too_long_is_ended(gate):
    with ActorPoolExecutor(1, timeout=2.0) as executor:
        future = executor.submit(pass_gate, gate)
        other = executor.submit(square, 5)
        assert isinstance(future.exception(SHORT_S), ItemTimeout)
        assert other.result(SHORT_S) == 25


# -- initializer and recycling ----------------------------------------------------------------


told = []


def remember(value):
    told.append(value)


def recall():
    return told, os.getpid()


def test_the_initializer_runs_in_every_worker_and_in_its_successor(start_method):
    with ActorPoolExecutor(
        2, initializer=remember, initargs=("x",), start_method=start_method
    ) as executor:
        found, pid = executor.submit(recall).result(SHORT_S)
        assert found == ["x"]
        os.kill(pid, signal.SIGKILL)
        assert [executor.submit(recall).result(SHORT_S)[0] for _ in range(20)] == [["x"]] * 20


def test_an_initializer_that_fails_breaks_the_executor(start_method):
    """The error names what it raised; later calls get the same."""
    with ActorPoolExecutor(2, initializer=fail, start_method=start_method) as executor:
        with pytest.raises(BrokenExecutor, match="on purpose") as caught:
            executor.submit(square, 1)
        assert isinstance(caught.value.__cause__, SpawnError)
        assert "in fail" in str(caught.value.__cause__.__cause__)  # the traceback there
        with pytest.raises(BrokenExecutor, match="on purpose"):
            list(executor.map(square, [1]))


def fail_later(path):
    """An initializer that does its work once for each worker."""
    if path.exists():
        raise Fault("not again")


def test_an_initializer_that_fails_later_ends_what_waits_with_the_reason(tmp_path, gate):
    marker = tmp_path / "marker"
    with ActorPoolExecutor(1, initializer=fail_later, initargs=(marker,)) as executor:
        future = executor.submit(kill_at, gate)
        waiting = executor.submit(square, 3)
        gate.arrival()
        marker.touch()
        gate.open()
        assert isinstance(future.exception(SHORT_S), ActorDied)
        assert isinstance(waiting.exception(LONG_S), PoolBroken)
        with pytest.raises(BrokenExecutor, match="no worker"):
            executor.submit(square, 3)


def test_workers_are_replaced_after_so_many_calls(start_method):
    with ActorPoolExecutor(1, max_tasks_per_child=3, start_method=start_method) as executor:
        pids = [executor.submit(os.getpid).result(SHORT_S) for _ in range(9)]
        assert [len(set(pids[at : at + 3])) for at in (0, 3, 6)] == [1, 1, 1]
        assert len(set(pids)) == 3
        pids = [f.result(SHORT_S) for f in [executor.submit(os.getpid) for _ in range(30)]]
        assert max(map(pids.count, pids)) == 3


# -- map --------------------------------------------------------------------------------------


def test_a_map_gives_results_in_order(executor):
    assert list(executor.map(square, range(100))) == [x * x for x in range(100)]
    assert list(executor.map(pow, [2, 3, 4], itertools.count())) == [1, 3, 16]
    assert list(executor.map(square, range(100), chunksize=7)) == [x * x for x in range(100)]
    assert list(executor.map(square, [])) == []


def test_a_map_raises_at_the_item_that_failed(executor):
    results = executor.map(fail_at, range(10), itertools.repeat(3))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(Fault, match="3"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ({"chunksize": 0}, ValueError),
        ({"chunksize": -1}, ValueError),
        ({"buffersize": 0}, ValueError),
        ({"buffersize": "1"}, TypeError),
    ],
)
def test_a_map_refuses_sizes_that_make_no_sense(executor, words, error):
    with pytest.raises(error):
        executor.map(square, [1], **words)


def test_a_map_takes_an_endless_input_as_its_results_are_read(executor):
    taken = []
    results = executor.map(square, numbers(None, taken))
    assert list(itertools.islice(results, 1000)) == [x * x for x in range(1000)]
    results.close()
    assert len(taken) < 1_000_000


def test_the_buffer_bounds_what_is_taken_ahead_of_the_reader(executor):
    taken = []
    results = executor.map(square, numbers(None, taken), buffersize=5)
    most = 0
    for given in range(200):
        assert next(results) == given * given
        most = max(most, len(taken) - given)
    assert most <= 5 + 1
    results.close()


def test_a_map_waits_for_its_results_until_its_timeout(executor, gate):
    began = time.monotonic()
    results = executor.map(pass_gate, [gate, gate], timeout=0.5)
    with pytest.raises(concurrent.futures.TimeoutError):
        next(results)
    assert time.monotonic() - began >= 0.5 - CLOCK_TOLERANCE_S
    gate.open()
    executor.submit(pass_gate, gate).result(SHORT_S)
    assert list(executor.map(square, [3], timeout=SHORT_S)) == [9]


def test_leaving_a_map_early_gives_up_what_no_worker_has_begun(executor, tmp_path):
    taken = []
    results = executor.map(functools.partial(write, tmp_path), numbers(100_000, taken))
    assert next(results) == 0
    del results
    assert executor.submit(square, 2).result(SHORT_S) == 4
    executor.shutdown()
    assert len(list(tmp_path.iterdir())) <= len(taken) < 100_000


def test_a_map_that_nobody_reads_is_done_all_the_same(executor, tmp_path):
    """In the background at once, and not only at the end: a program may map for the effect."""
    executor.map(functools.partial(write, tmp_path), range(2000))
    eventually(lambda: len(list(tmp_path.iterdir())) == 2000, "all items")


def test_a_failure_in_a_map_that_nobody_reads_is_logged_and_ends_nothing(
    executor, tmp_path, caplog
):
    executor.map(fail_at, range(500), itertools.repeat(3))
    executor.map(functools.partial(write, tmp_path), range(500))
    executor.shutdown()
    assert len(list(tmp_path.iterdir())) == 500
    assert "item 3 of fail_at failed" in caplog.text


def test_results_of_a_map_can_be_read_after_the_end(executor):
    unread = executor.map(square, range(1000))
    failing = executor.map(fail_at, range(1000), itertools.repeat(700))
    executor.shutdown()
    assert list(unread) == [x * x for x in range(1000)]
    got = []
    with pytest.raises(Fault, match="700"):
        got.extend(iter(lambda: next(failing), None))
    assert list(failing) == []


def held(gate, number, other=None):
    """Wait at the gate with some items behind the first."""
    if 3 < number < 9:
        gate.wait()
    if number == other:
        raise Fault(number)
    return (number, other)


class HalfRead:
    """A map of which one result has been read, while most of its input was not taken."""

    def __init__(self, executor, gate, others=None):
        self.taken = []
        others = itertools.repeat(None) if others is None else others
        numbered = numbers(ITEMS, self.taken)
        self.results = executor.map(functools.partial(held, gate), numbered, others, chunksize=2)
        assert next(self.results)[0] == 0
        # Workers stand at the gate, and no more than 256 chunks are on their way to them.
        assert len(self.taken) < ITEMS


def test_a_map_that_is_half_read_is_done_by_the_shutdown(executor, gate):
    half = HalfRead(executor, gate)
    gate.open()
    executor.shutdown()
    assert len(half.taken) == ITEMS
    assert list(half.results) == [(x, None) for x in range(1, ITEMS)]
    assert list(half.results) == []


def test_a_map_is_read_on_while_the_shutdown_finishes_it(executor, gate):
    half = HalfRead(executor, gate)
    reading = aside(list, half.results)
    ending = aside(executor.shutdown)
    gate.open()
    ending.result(LONG_S)
    assert reading.result(SHORT_S) == [(x, None) for x in range(1, ITEMS)]


def test_a_map_is_read_on_when_its_executor_was_collected(gate):
    executor = ActorPoolExecutor(2)
    half = HalfRead(executor, gate)
    engine = weakref.ref(executor._engine)
    del executor
    eventually(lambda: engine() is None or engine().closed, "the end to have begun")
    gate.open()
    assert list(half.results) == [(x, None) for x in range(1, ITEMS)]
    eventually(lambda: not workers(), "the end of the workers")


def test_what_fails_in_a_half_read_map_is_raised_behind_the_shutdown(executor, gate):
    half = HalfRead(executor, gate, itertools.repeat(ITEMS - 7))
    gate.open()
    executor.shutdown()
    got = []
    with pytest.raises(Fault, match=str(ITEMS - 7)):
        got.extend(iter(lambda: next(half.results), None))
    assert list(half.results) == []


def test_an_item_of_a_half_read_map_that_cannot_be_loaded_fails_alone(executor, gate):
    """The shutdown has those sent one by one that came together with it; large results stay."""
    large, last = b"x" * 5000, ITEMS - 11
    others = itertools.chain(
        itertools.repeat(large, last), [BreaksWhenLoaded("exception")], range(10)
    )
    half = HalfRead(executor, gate, others)
    gate.open()
    executor.shutdown()
    assert len(half.taken) == ITEMS
    expected = [(x, large) for x in range(1, last)]
    assert list(itertools.islice(half.results, last - 1)) == expected
    with pytest.raises(DecodeError):
        next(half.results)


def test_a_shutdown_that_cancels_takes_no_more_of_a_half_read_map(executor, gate):
    half = HalfRead(executor, gate)
    ending = aside(functools.partial(executor.shutdown, cancel_futures=True))
    eventually(lambda: not executor._engine.pool._dispatcher.queue, "what waits to be cancelled")
    gate.open()
    ending.result(LONG_S)
    assert len(half.taken) < ITEMS
    with pytest.raises(CancelledError):
        list(half.results)


def test_workers_that_are_killed_end_a_half_read_map(executor, gate):
    half = HalfRead(executor, gate)
    executor.kill_workers()
    assert len(half.taken) < ITEMS
    with pytest.raises((ActorDied, ActorStopped)):
        list(half.results)


def test_a_half_read_map_that_was_left_is_not_finished(executor, gate):
    half = HalfRead(executor, gate)
    half.results.close()
    gate.open()
    executor.shutdown()
    assert len(half.taken) < ITEMS


def test_an_input_may_shut_its_executor_down(executor):
    """What it gives behind that is refused; nothing waits for itself."""

    def ending():
        yield from range(1000)
        executor.shutdown()
        yield from range(1000, 100_000)

    got = []
    with pytest.raises(ActorStopped):
        got.extend(executor.map(square, ending()))
    assert got[:1000] == [x * x for x in range(1000)][: len(got)]


def test_a_map_with_a_bound_that_is_half_read_says_that_the_end_came(executor):
    """What is read of it after a shutdown is what had been taken; then it raises."""
    results = executor.map(square, numbers(None, []), buffersize=4)
    assert next(results) == 0
    executor.shutdown()
    with pytest.raises(ActorStopped):
        list(results)


def test_a_killed_worker_costs_a_map_its_one_item(executor, gate):
    results = executor.map(pass_gate, [gate] * 3, range(3), chunksize=3)
    pid = gate.arrival()
    os.kill(pid, signal.SIGKILL)
    # Whoever is just being killed might take the permit along.
    eventually(lambda: not psutil.pid_exists(pid), "its end")
    gate.open()
    with pytest.raises(ActorDied):
        list(results)
    executor.submit(pass_gate, gate).result(SHORT_S)


# -- the end ----------------------------------------------------------------------------------


def test_after_shutdown_calls_are_refused_in_the_stdlibs_words(executor):
    executor.submit(square, 1)
    executor.shutdown()
    for call in (executor.submit, executor.map):
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            call(square, 1)
    executor.shutdown()
    executor.shutdown(wait=False)


def test_shutdown_finishes_what_was_submitted(start_method):
    executor = ActorPoolExecutor(2, start_method=start_method)
    futures = [executor.submit(square, x) for x in range(200)]
    called = []
    futures[-1].add_done_callback(lambda _: called.append(1))
    executor.shutdown()
    assert all(future.done() for future in futures)
    assert called == [1]
    assert not workers()


def test_shutdown_without_waiting_finishes_in_the_background(start_method, gate):
    executor = ActorPoolExecutor(2, start_method=start_method)
    futures = [executor.submit(pass_gate, gate, x) for x in range(6)]
    unread = executor.map(square, range(100))
    gate.arrival()
    executor.shutdown(wait=False)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)
    assert not futures[0].done()
    gate.open()
    assert [future.result(SHORT_S) for future in futures] == list(range(6))
    assert list(unread) == [x * x for x in range(100)]
    executor.shutdown()  # waits for what the first one has begun
    assert not workers()


def test_shutdown_may_cancel_what_waits(executor, gate):
    running = [executor.submit(pass_gate, gate, x) for x in range(2)]
    for _ in running:
        gate.arrival()
    waiting = [executor.submit(square, x) for x in range(50)]
    mapped = executor.map(square, range(50))
    executor.shutdown(wait=False, cancel_futures=True)
    assert all(future.cancelled() for future in waiting)
    assert wait(waiting, SHORT_S).not_done == set()
    with pytest.raises(CancelledError):
        next(mapped)
    gate.open()
    assert [future.result(SHORT_S) for future in running] == [0, 1]


def test_a_map_in_the_middle_is_told_that_it_was_cancelled(executor, gate):
    results = executor.map(pass_gate, [gate] * 20, range(20), chunksize=2)
    reading = aside(list, results)
    gate.arrival()
    gate.arrival()
    executor.shutdown(wait=False, cancel_futures=True)
    gate.open()
    with pytest.raises(CancelledError):
        reading.result(SHORT_S)
    executor.shutdown()


def test_killing_the_workers_ends_everything_at_once(executor, gate):
    running = executor.submit(pass_gate, gate)
    gate.arrival()
    waiting = [executor.submit(pass_gate, gate) for _ in range(10)]
    unread = executor.map(square, range(10))
    executor.kill_workers()
    assert isinstance(running.exception(SHORT_S), (ActorDied, ActorStopped))
    assert {type(future.exception(SHORT_S)) for future in waiting} <= {ActorDied, ActorStopped}
    with pytest.raises(ActorStopped):
        list(unread)
    with pytest.raises(RuntimeError):
        executor.submit(square, 1)


def test_an_executor_that_is_collected_ends_by_itself(start_method):
    """Its work is done first."""
    executor = ActorPoolExecutor(2, start_method=start_method)
    futures = [executor.submit(square, x) for x in range(100)]
    unread = executor.map(square, range(100))
    del executor
    assert [future.result(SHORT_S) for future in futures] == [x * x for x in range(100)]
    assert list(unread) == [x * x for x in range(100)]
    eventually(lambda: not workers(), "the end of the workers")


def test_a_submit_that_races_with_shutdown_is_done_or_refused():
    """Never taken and then dropped."""
    for _ in range(5):
        executor = ActorPoolExecutor(1)
        executor.submit(square, 1).result(SHORT_S)
        taken = []

        def keep_on(executor=executor, taken=taken):
            try:
                while True:
                    taken.append(executor.submit(square, 2))
            except RuntimeError as error:
                return str(error)

        threads = [aside(keep_on) for _ in range(4)]
        eventually(lambda taken=taken: len(taken) > 20, "some calls")
        executor.shutdown()
        assert {thread.result(SHORT_S) for thread in threads} == {
            "cannot schedule new futures after shutdown"
        }
        assert {future.result(0) for future in taken} == {4}


def test_a_given_system_outlives_the_executor(system):
    with ActorPoolExecutor(2, system=system) as executor:
        assert executor.submit(square, 3).result(SHORT_S) == 9
        assert len(system.actors()) == 2
    assert system.actors() == []
    with ActorPoolExecutor(1, system=system) as executor:
        assert executor.submit(square, 3).result(SHORT_S) == 9


def test_an_executor_whose_system_has_ended_says_so():
    with ActorSystem() as system:
        executor = ActorPoolExecutor(1, system=system)
        executor.submit(square, 3).result(SHORT_S)
    with pytest.raises(BrokenExecutor, match="system"):
        executor.submit(square, 3)
    executor.shutdown()


def in_worker(count):
    with ActorPoolExecutor(count) as inner:
        return sum(inner.map(square, range(10))), len(psutil.Process().children())


def test_executors_can_be_nested(executor):
    """Inside a worker they are its children, of the same system."""
    futures = [executor.submit(in_worker, 2) for _ in range(3)]
    assert [future.result(LONG_S)[0] for future in futures] == [285] * 3
    assert {future.result()[1] for future in futures} <= {0, 2}


def leave_open():
    inner = ActorPoolExecutor(1)
    return inner.submit(os.getpid).result(SHORT_S)


def test_an_inner_executor_that_was_left_open_ends_with_its_worker(executor):
    pid = executor.submit(leave_open).result(LONG_S)
    executor.shutdown()
    eventually(lambda: not psutil.pid_exists(pid), "the end of the inner worker")


SCRIPT = """
    import pathlib, sys, threading
    from procactors.futures import ActorPoolExecutor

    folder = pathlib.Path(sys.argv[1])

    def work(number):
        (folder / str(number)).touch()
        return number

    executor = ActorPoolExecutor(2)
    futures = [executor.submit(work, number) for number in range(100)]
    executor.map(work, range(100, 200))
    kept = executor.map(work, range(200, 300))
    futures[-1].add_done_callback(lambda future: print("called back", future.result(), flush=True))
    {end}
    print("end of the script", flush=True)
"""


@pytest.mark.parametrize("end", ["pass", "executor.shutdown(wait=False)", "del executor"])
def test_a_script_that_forgets_shutdown_ends_by_itself_with_its_work_done(tmp_path, end):
    with running(SCRIPT.replace("{end}", end), tmp_path) as program:
        code, out, errors = program.end()
        assert (code, errors) == (0, "")
        assert sorted(out.splitlines()) == ["called back 99", "end of the script"]
        assert len(list(tmp_path.iterdir())) == 300
        program.await_nothing_left()


def test_a_submit_at_the_interpreters_exit_is_refused(tmp_path):
    code = """
        import atexit
        from procactors.futures import ActorPoolExecutor

        def late():
            try:
                executor.submit(pow, 2, 3)
            except RuntimeError as error:
                print(error, flush=True)

        executor = ActorPoolExecutor(1)
        executor.submit(pow, 2, 3).add_done_callback(lambda future: late())
        import procactors.executors.engine as engine
        real = engine._end_at_exit
        atexit.unregister(real)
        atexit.register(late)
        atexit.register(real)
    """
    with running(code) as program:
        ended, out, errors = program.end()
        assert (ended, errors) == (0, "")
        assert "cannot schedule new futures after interpreter shutdown" in out
