"""A pool: its calls, its workers, its end."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import threading
from concurrent.futures import FIRST_EXCEPTION, as_completed, wait

import pytest

from procactors import ActorSystem, Delivery, ExitKind, Overflow, Pool, Recycle, Routing, errors
from procactors.process.cpus import usable_cpus
from procactors.seeds import derive
from tests.support.actors import Counter
from tests.support.faults import Fault
from tests.support.gates import new_gate
from tests.support.poolwork import (
    Bad,
    BadAgain,
    Tally,
    note,
    once_bad,
    pid,
    square,
    threads,
    wait_at,
)
from tests.support.waiting import LONG_S, SHORT_S, aside, eventually


@pytest.fixture
def pool(system):
    with system.options(size=2).pool(Tally) as pool:
        yield pool


def test_calls_of_methods_and_functions_are_answered(pool):
    assert pool.ask(Tally.double, 21) == 42
    assert pool.ask(Tally.add, 1, right=2) == 3
    assert pool.ask(square, 5) == 25
    assert pool.ask(lambda text: text.upper(), "a") == "A"
    assert pool.submit(sorted, [2, 1], reverse=True).result() == [2, 1]


def test_a_pool_needs_no_class(system):
    with system.options(size=1).pool() as pool:
        assert pool.ask(square, 3) == 9


def test_arguments_are_those_of_the_constructor(system):
    with system.options(size=2).pool(Tally, 5, factor=3) as pool:
        assert pool.gather(Tally.handled) == [5, 5]
        assert pool.ask(Tally.double, 1) == 6


def test_it_has_a_worker_for_each_usable_cpu(system):
    with system.pool(Tally) as pool:
        assert pool.size == usable_cpus() == len(pool.workers())


def test_workers_have_the_pools_name_with_their_number(system):
    with system.options(size=2, name="crew").pool(Tally) as pool:
        assert pool.name == "crew"
        assert [ref.name for ref in pool.workers()] == ["crew-1", "crew-2"]
        assert system["crew-2"] == pool.workers()[1]
        with pytest.raises(errors.NameTaken):
            system.options(size=1, name="crew").pool(Tally)


def test_a_constructor_that_raises_leaves_nobody(system):
    with pytest.raises(errors.SpawnError) as raised:
        system.options(size=3).pool(Bad)
    assert "no" in str(raised.value)
    assert system.actors() == []


def test_a_mistake_is_found_at_the_call(pool):
    with pytest.raises(TypeError, match="double"):
        pool.ask(Tally.double)
    with pytest.raises(errors.InvalidSpec, match="expected a method of Tally or a function"):
        pool.ask("double", 1)
    with pytest.raises(errors.EncodeError):
        pool.submit(square, threading.Lock())
    with pytest.raises(errors.EncodeError):
        lock = threading.Lock()
        pool.submit(lambda: lock)


def test_a_function_is_no_class_for_a_pool(system):
    with pytest.raises(errors.InvalidSpec, match="a function is given to the pool's map"):
        system.pool(square)
    with pytest.raises(errors.InvalidSpec, match="is for pools"):
        system.options(size=2).spawn(Tally)
    with pytest.raises(errors.InvalidSpec, match=r"routing=Routing\.LEAST_LOADED is for pools"):
        system.options(routing=Routing.LEAST_LOADED).spawn(Tally)


def test_the_options_of_a_map_are_shown_with_their_defaults(pool):
    shown = inspect.signature(pool.map).parameters
    assert list(shown)[:3] == ["what", "items", "on_error"]
    assert (shown["chunk"].default, shown["progress"].default) == ("auto", False)


def test_an_exception_is_raised_as_itself_with_its_remote_traceback(pool):
    with pytest.raises(Fault, match="on purpose") as raised:
        pool.ask(Tally.break_at, "exception")
    assert "commit" in str(raised.value.__cause__)
    assert pool.submit(Tally.break_at, "exception").exception().args == ("on purpose",)


@pytest.mark.methods
def test_a_call_that_ends_its_worker_costs_itself_alone(pool):
    replies = [
        pool.submit(Tally.break_at, how) for how in ["good"] * 20 + ["SIGKILL"] + ["good"] * 20
    ]
    [error] = [error for reply in replies if (error := reply.exception()) is not None]
    assert isinstance(error, errors.ActorDied)
    assert error.report.reason.code == signal.SIGKILL
    assert error.report.handler == "Tally.break_at"
    assert replies[20].exception() is error


def test_deaths_by_items_do_not_count_against_the_workers(system):
    with system.options(size=1, max_restarts=0).pool(Tally) as pool:
        for _ in range(5):
            with pytest.raises(errors.ActorDied):
                pool.ask(Tally.break_at, "os._exit(7)")
        assert pool.ask(Tally.double, 1) == 2


def test_a_call_is_tried_again_where_that_is_asked_for(system, tmp_path):
    options = system.options(size=1, delivery=Delivery.AT_LEAST_ONCE)
    with options.pool(Tally) as pool:
        assert pool.ask(once_bad, str(tmp_path / "seen")) == "good"
        with pytest.raises(errors.Quarantined, match="ended 3 workers") as raised:
            pool.ask(Tally.break_at, "SIGKILL")
        assert raised.value.report.reason.kind is ExitKind.SIGNAL


def test_a_worker_that_cannot_come_back_is_missed_and_the_others_go_on(system, tmp_path):
    with system.options(size=1, max_restarts=1).pool(BadAgain, str(tmp_path / "made")) as pool:
        reply = pool.submit(BadAgain.end)
        assert isinstance(reply.exception(), errors.ActorDied)
        with pytest.raises(errors.PoolBroken, match=r"no worker of .* is left.*not again"):
            pool.ask(square, 2)
        with pytest.raises(errors.PoolBroken):
            pool.submit(square, 2)


def test_work_waits_in_one_queue_for_whoever_is_free(pool, tmp_path, gate):
    stuck = pool.submit(Tally.wait, gate)
    gate.arrival()
    assert [pool.ask(square, number) for number in range(50)] == [n * n for n in range(50)]
    gate.open()
    assert stuck.result(SHORT_S) in {ref.name for ref in pool.workers()}


def test_calls_behind_one_that_hangs_are_taken_over(system, gate):
    with system.options(size=2).pool(Tally) as pool:
        for number in range(100):  # so that calls count as cheap, and go together
            pool.ask(square, number)
        replies = [pool.submit(square, number) for number in range(20)]
        stuck = [pool.submit(wait_at, gate)]
        replies += [pool.submit(square, number) for number in range(20, 400)]
        assert [reply.result(SHORT_S) for reply in replies] == [n * n for n in range(400)]
        gate.open()
        assert stuck[0].result(SHORT_S) > 0


def test_a_queued_call_can_be_cancelled_and_is_not_run(system, tmp_path, gate):
    log = tmp_path / "log"
    with system.options(size=1).pool(Tally) as pool:
        stuck = pool.submit(Tally.wait, gate)
        gate.arrival()
        first, second = (pool.submit(note, str(log), text) for text in ("a", "b"))
        assert first.cancel()
        assert not stuck.cancel()
        gate.open()
        assert second.result(SHORT_S) == "b"
        assert first.cancelled()
    assert log.read_text() == "b\n"


def test_replies_are_futures_of_the_standard_library(pool):
    replies = [pool.submit(square, number) for number in range(10)]
    assert sorted(reply.result() for reply in as_completed(replies)) == sorted(
        n * n for n in range(10)
    )
    bad = pool.submit(Tally.break_at, "exception")
    done, _ = wait([bad], return_when=FIRST_EXCEPTION)
    assert done == {bad}
    assert isinstance(bad.exception(), Fault)

    async def main():
        return await pool.submit(square, 7)

    assert asyncio.run(main()) == 49


def test_waiting_for_the_first_exception_does_not_wait_for_all(pool, gate):
    stuck, bad = pool.submit(Tally.wait, gate), pool.submit(Tally.break_at, "exception")
    done, pending = wait([stuck, bad], return_when=FIRST_EXCEPTION, timeout=SHORT_S)
    assert (done, pending) == ({bad}, {stuck})
    assert isinstance(bad.exception(), Fault)
    gate.open()
    assert stuck.result(SHORT_S) in {ref.name for ref in pool.workers()}


def test_a_callback_may_submit_again(pool):
    done = threading.Event()
    found = []

    def again(reply):
        found.append(reply.result())
        pool.submit(square, 3).add_done_callback(
            lambda second: (found.append(second.result()), done.set())
        )

    pool.submit(square, 2).add_done_callback(again)
    assert done.wait(SHORT_S)
    assert found == [4, 9]


def test_many_threads_get_their_own_answers(pool):
    def ask(base):
        return [pool.ask(Tally.double, base + number) for number in range(50)]

    threads = [aside(ask, 1000 * base) for base in range(8)]
    for base, thread in enumerate(threads):
        assert thread.result(SHORT_S) == [2 * (1000 * base + number) for number in range(50)]


def test_tell_goes_on_and_a_failed_one_is_a_dead_letter(pool, system, tmp_path):
    log = tmp_path / "log"
    pool.tell(note, str(log), "told")
    eventually(lambda: log.exists() and log.read_text() == "told\n", "the call")
    pool.tell(Tally.fail, "no use")
    letter = eventually(lambda: list(system.dead_letters), "a dead letter")[0]
    assert letter.handler == "Tally.fail"
    assert "no use" in letter.reason
    assert [ref.status().incarnation for ref in pool.workers()] == [1, 1]


def test_every_worker_is_told_and_asked(pool):
    pids = pool.gather(Tally.pid)
    assert pids == [ref.ask(Tally.pid) for ref in pool.workers()]
    pool.broadcast(Tally.add, 1)
    assert pool.gather(Tally.handled) == [1, 1]
    assert sorted(pool.gather(pid)) == sorted(pids)
    assert pool.first(Tally.pid) in pids
    with pytest.raises(Fault):
        pool.gather(Tally.break_at, "exception")
    with pytest.raises(Fault):
        pool.first(Tally.break_at, "exception")


def test_the_first_result_does_not_wait_for_the_others(system, tmp_path):
    with new_gate(tmp_path / "one") as gate, system.options(size=2).pool(Tally) as pool:
        stuck = pool.workers()[0].submit(Tally.wait, gate)
        gate.arrival()
        assert pool.first(Tally.pid) == pool.workers()[1].ask(Tally.pid)
        gate.open()
        stuck.result(SHORT_S)


def test_a_key_means_the_same_worker_over_its_restarts(pool):
    ref = pool.by_key("user-7")
    assert ref == pool.by_key("user-7")
    assert {pool.by_key(f"user-{number}") for number in range(50)} == set(pool.workers())
    os.kill(ref.ask(Tally.pid), signal.SIGKILL)
    assert pool.by_key("user-7") == ref
    name, incarnation, _ = ref.ask(Tally.whoami)
    assert (name, incarnation) == (ref.name, 2)


@pytest.mark.parametrize("routing", list(Routing))
def test_routing_says_who_gets_a_call(system, routing):
    with system.options(size=3, routing=routing).pool(Tally) as pool:
        names = [pool.ask(Tally.name_of, number % 6) for number in range(60)]
        workers = [ref.name for ref in pool.workers()]
        assert set(names) <= set(workers)
        if routing is Routing.ROUND_ROBIN:
            assert names == workers * 20
        if routing is Routing.RANDOM:
            assert set(names) == set(workers)
        if routing is Routing.CONSISTENT_HASH:
            assert names == [pool.by_key(number % 6).name for number in range(60)]


def test_a_pool_grows_and_shrinks(pool):
    pool.resize(4)
    assert pool.size == 4
    assert len(set(pool.gather(Tally.pid))) == 4
    pool.resize(1)
    assert pool.size == 1
    assert pool.ask(square, 3) == 9
    with pytest.raises(errors.InvalidSpec, match="size"):
        pool.resize(0)


def test_whoever_leaves_ends_what_it_has_first(pool, gate):
    stuck = [pool.submit(Tally.wait, gate) for _ in range(2)]
    for _ in stuck:
        gate.arrival()
    shrinking = aside(pool.resize, 1)
    eventually(lambda: pool.size == 1, "the order")
    assert not shrinking.done()
    gate.open()
    assert {reply.result(SHORT_S) for reply in stuck} == {f"{pool.name}-1", f"{pool.name}-2"}
    shrinking.result(SHORT_S)
    assert len(pool.workers()) == 1


def test_a_pool_follows_its_load_between_two_bounds(system, tmp_path):
    with new_gate(tmp_path / "one") as gate, system.options(size=(1, 3)).pool(Tally) as pool:
        assert pool.size == 1
        replies = [pool.submit(Tally.wait, gate) for _ in range(5)]
        eventually(lambda: pool.size == 3, "the workers")
        for _ in range(3):
            gate.arrival()
        gate.open()
        assert len({reply.result(SHORT_S) for reply in replies}) == 3
        pool.autoscale(1, 2)
        assert pool.size == 2


def test_a_full_queue_holds_up_or_refuses(system, gate):
    for overflow in (Overflow.BLOCK, Overflow.RAISE, Overflow.DROP):
        options = system.options(size=1, mailbox=2, overflow=overflow)
        with options.pool(Tally) as pool:
            stuck = pool.submit(Tally.wait, gate)
            gate.arrival()
            replies = [pool.submit(square, number) for number in range(2)]
            if overflow is Overflow.BLOCK:
                third = aside(pool.submit, square, 9)
                gate.let_pass()
                assert third.result(SHORT_S).result(SHORT_S) == 81
            else:
                with pytest.raises(errors.MailboxFull, match="2 of 2"):
                    pool.submit(square, 9)
                if overflow is Overflow.DROP:
                    pool.tell(Tally.double, 9)
                    eventually(lambda: list(system.dead_letters), "the dropped call")
                gate.let_pass()
            stuck.result(SHORT_S)
            assert [reply.result(SHORT_S) for reply in replies] == [0, 1]


def test_a_call_over_the_limit_ends_with_its_stacks(system, gate):
    with system.options(size=1, handle_timeout=0.3).pool(Tally) as pool:
        with pytest.raises(errors.ItemTimeout, match=r"timeout=0\.3") as raised:
            pool.ask(Tally.wait, gate)
        assert isinstance(raised.value, TimeoutError)
        assert raised.value.report.reason.kind is ExitKind.HANG
        assert "in wait" in raised.value.report.native_stack
        gate.open()
        assert pool.ask(square, 3) == 9


def test_items_count_as_messages_of_a_life(system):
    with system.options(size=1, recycle_after=Recycle(messages=10)).pool(Tally) as pool:
        list(pool.map(Tally.double, range(95)))
        assert pool.ask(Tally.whoami)[1] == 10
        assert pool.workers()[0].status().restarts == 0


def test_workers_have_one_thread_of_blas_unless_the_environment_says_more(system, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with system.options(size=1).pool() as pool:
        assert pool.ask(threads) == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with system.options(size=1).pool() as pool:
        assert pool.ask(threads) == "3"


def test_workers_and_incarnations_have_random_numbers_of_their_own(system):
    with system.options(size=2, seed=42).pool(Tally) as pool:
        seeds = pool.gather(Tally.seed)
        assert seeds == [derive(derive(42, worker), 1) for worker in range(2)]
        os.kill(pool.workers()[0].ask(Tally.pid), signal.SIGKILL)
        assert pool.workers()[0].ask(Tally.seed) == derive(derive(42, 0), 2)
    with system.options(size=2).pool(Tally) as pool:
        assert len(set(pool.gather(Tally.seed))) == 2


def test_stopping_finishes_what_was_taken(system):
    pool = system.options(size=2).pool(Tally)
    replies = [pool.submit(square, number) for number in range(500)]
    pool.stop()
    assert [reply.result(0) for reply in replies] == [n * n for n in range(500)]
    pool.stop()
    with pytest.raises(errors.ActorStopped):
        pool.submit(square, 1)
    assert system.actors() == []


def test_stopping_ends_by_its_deadline(system, gate):
    pool = system.options(size=1).pool(Tally)
    stuck = pool.submit(Tally.wait, gate)
    gate.arrival()
    waiting = pool.submit(square, 2)
    pool.stop(0.2)
    assert isinstance(stuck.exception(SHORT_S), errors.ActorDied)
    assert isinstance(waiting.exception(SHORT_S), errors.ActorStopped)


def test_leaving_by_an_exception_does_not_wait(system, gate):
    with pytest.raises(Fault):
        with system.options(size=1).pool(Tally) as pool:
            stuck = pool.submit(Tally.wait, gate)
            gate.arrival()
            raise Fault("enough")
    assert isinstance(stuck.exception(SHORT_S), errors.ActorDied)


def test_the_systems_end_answers_all_that_wait(start_method, gate):
    with ActorSystem(start_method=start_method, stop_timeout=0.2) as system:
        pool = system.options(size=1).pool(Tally)
        stuck = pool.submit(Tally.wait, gate)
        gate.arrival()
        waiting = [pool.submit(square, number) for number in range(5)]
    for reply in (stuck, *waiting):
        assert isinstance(reply.exception(SHORT_S), errors.ProcActorsError)
    with pytest.raises(errors.ActorStopped):
        pool.submit(square, 1)


def test_a_worker_that_is_stopped_from_outside_is_not_missed_by_the_work(pool):
    pool.workers()[0].stop()
    assert [pool.ask(square, number) for number in range(20)] == [n * n for n in range(20)]
    assert pool.size == 1


def test_a_worker_that_has_gone_is_missed_at_once(pool):
    gone, left = pool.workers()
    gone.stop()
    eventually(lambda: pool.workers() == [left], "the news")
    assert pool.by_key("a") == left
    assert pool.gather(Tally.pid) == [left.ask(Tally.pid)]


def test_what_is_for_every_worker_is_for_no_other(system, gate):
    with system.options(size=2).pool(Tally) as pool:
        first, second = pool.workers()
        stuck = first.submit(Tally.wait, gate)
        gate.arrival()
        busy = aside(pool.gather, Tally.add, 1)
        eventually(lambda: pool._dispatcher.slots[0].batches, "the call on its way")
        first.kill()
        assert isinstance(busy.exception(SHORT_S), errors.ActorStopped)
        assert isinstance(stuck.exception(SHORT_S), errors.ActorDied)
        assert second.ask(Tally.handled) == 1


def test_a_full_queue_counts_what_waits_for_certain_workers_too(system, gate):
    options = system.options(
        size=1, mailbox=2, overflow=Overflow.RAISE, routing=Routing.ROUND_ROBIN
    )
    with options.pool(Tally) as pool:
        stuck = pool.submit(Tally.wait, gate)
        gate.arrival()
        replies = [pool.submit(square, number) for number in range(2)]
        with pytest.raises(errors.MailboxFull):
            pool.submit(square, 3)
        gate.open()
        stuck.result(SHORT_S)
        assert [reply.result(SHORT_S) for reply in replies] == [0, 1]


def test_an_actor_may_have_a_pool(system):
    owner = system.spawn(Owner)
    assert owner.ask(Owner.total, 100, timeout_s=LONG_S) == sum(n * n for n in range(100))
    owner.stop()
    eventually(lambda: system.actors() == [], "the end of its workers")


class Owner(Counter):
    """Has a pool of its own."""

    def total(self, count, timeout_s):
        pool = self.context.options(size=2).pool()
        return sum(pool.map(square, range(count)))


def test_a_pool_cannot_be_sent(pool):
    with pytest.raises(TypeError, match="cannot be sent"):
        pickle.dumps(pool)
    assert repr(pool) == f"<Pool {pool.name} of 2>"
    assert isinstance(pool, Pool)


def test_large_arguments_and_results_pass(pool):
    large = bytes(range(256)) * 20_000
    assert pool.ask(len, large) == len(large)
    assert pool.ask(bytes, large) == large
    replies = [pool.submit(bytes, large) for _ in range(20)]
    assert all(reply.result() == large for reply in replies)


def test_a_queued_argument_is_as_it_was_when_it_was_sent(system, gate):
    with system.options(size=1).pool(Tally) as pool:
        stuck = pool.submit(Tally.wait, gate)
        gate.arrival()
        small, large = [1], bytearray(100_000)
        replies = [pool.submit(sum, small), pool.submit(sum, large)]
        small.append(1)
        large[0] = 1
        gate.open()
        stuck.result(SHORT_S)
        assert [reply.result(SHORT_S) for reply in replies] == [1, 0]


def test_nothing_is_kept_of_a_pool_that_has_ended(start_method):
    with ActorSystem(start_method=start_method) as system:
        for _ in range(3):
            with system.options(size=2).pool(Tally) as pool:
                list(pool.map(Tally.double, range(1000)))
        names = {thread.name for thread in threading.enumerate()}
        assert not any("pool" in name for name in names)
        folder = os.path.join(system._endpoint.path, "result_tables")
        assert [len(files) for _, _, files in os.walk(folder) if files] == []
