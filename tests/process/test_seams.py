"""Features in pairs: what was forwarded, put aside or streamed is cancelled, late, or killed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import signal

import pytest

from procactors import Delivery, ExitKind, errors, feed
from tests.support.actors import recorded
from tests.support.seams import AsyncRelay, Relay
from tests.support.segments import in_use
from tests.support.waiting import LONG_S, SHORT_S, eventually

KINDS = pytest.mark.parametrize(
    ("cls", "at_once"), [(Relay, 1), (AsyncRelay, 1), (AsyncRelay, 8)], ids=["plain", "one", "many"]
)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def worker(system, log):
    return system.options(name="worker").spawn(Relay, log)


def relay(system, log, cls, at_once, *ways, **options):
    return system.options(max_concurrency=at_once, **options).spawn(cls, log, *ways)


def stand(ref, cls, gate):
    """Have an actor stand in a handler; return the reply to that."""
    held = ref.submit(cls.hold, 0, gate)
    gate.arrival()
    return held


# -- a call that was forwarded is cancelled --------------------------------------------------------


@KINDS
def test_what_was_forwarded_and_waits_never_runs(system, log, worker, gate, cls, at_once):
    ref = relay(system, log, cls, at_once, worker)
    held = stand(worker, Relay, gate)
    replies = [ref.submit(cls.pass_on, number) for number in range(1, 5)]
    eventually(lambda: worker.status().mailbox == 4, "the calls to arrive")
    ref.ask(cls.ping)
    assert [reply.cancel() for reply in replies] == [True] * 4
    assert all(reply.cancelled() for reply in replies)
    last = ref.submit(cls.pass_on, 5)
    gate.open()
    assert last.result(SHORT_S) == 5
    assert held.result(SHORT_S) == 0
    assert recorded(log) == [0, 5]
    eventually(lambda: worker.status().handled == 2, "both to count as handled")


@KINDS
def test_what_was_forwarded_and_has_begun_is_told_there(system, log, worker, gate, cls, at_once):
    ref = relay(system, log, cls, at_once, worker)
    reply = ref.submit(cls.until_cancelled, 1, gate)
    gate.arrival()
    assert reply.cancel() is False
    assert not reply.cancelled()
    gate.open()
    assert reply.result(SHORT_S) == "cancelled"
    assert reply.cancel() is False


def test_what_was_forwarded_is_killed_where_it_runs(system, log, worker, gate):
    ref = relay(system, log, Relay, 1, worker)
    pid = ref.ask(Relay.pid)
    reply = ref.submit(Relay.pass_hold, 1, gate)
    killed = gate.arrival()
    # It is there before the handler that passed it on has ended, and has it in hand until then.
    eventually(lambda: not ref.status().in_hand, "the handler's end")
    assert reply.cancel(kill=True) is False
    assert reply.cancelled()
    eventually(lambda: worker.status().incarnation == 2, "the next life of the worker")
    assert worker.status().pid != killed
    assert ref.ask(Relay.pid) == pid, "the forwarder lives on"


def test_what_went_through_many_hands_is_cancelled_in_the_last(system, log, worker, gate):
    """As soon as no forwarder has it in hand: where it went is told in the order of its ways."""
    hands = [worker]
    for _ in range(3):
        hands.append(relay(system, log, Relay, 1, hands[-1]))
    for _ in range(10):
        held = stand(worker, Relay, gate)
        reply = hands[-1].submit(Relay.pass_on, 1)
        eventually(lambda: worker.status().mailbox, "the call to arrive")
        # It is there before the last handler that passed it on has ended.
        eventually(lambda: not any(one.status().in_hand for one in hands[1:]), "the handlers' ends")
        assert reply.cancel() is True
        gate.let_pass()
        held.result(SHORT_S)
    worker.ask(Relay.ping)
    assert set(recorded(log)) == {0}


def test_what_came_back_to_the_first_is_cancelled_there(system, log, gate, tmp_path):
    first = relay(system, log, Relay, 1)
    second = relay(system, log, Relay, 1, first)
    reply = first.submit(Relay.pass_twice, 1, second)  # is sent back by the second one
    # Cancelled while it is anywhere: it never ends wrongly, whatever is said.
    said = reply.cancel()
    first.ask(Relay.ping)
    second.ask(Relay.ping)
    first.ask(Relay.ping)
    assert said is reply.cancelled()
    if not said:
        assert reply.result(SHORT_S) == 1
    held = stand(first, Relay, gate)
    back = second.submit(Relay.pass_on, 2)  # waits at the first one now
    second.ask(Relay.ping)
    assert back.cancel() is True
    gate.open()
    held.result(SHORT_S)
    first.ask(Relay.ping)
    assert 2 not in recorded(log)


@KINDS
def test_a_task_that_is_cancelled_cancels_what_was_forwarded(
    system, log, worker, gate, cls, at_once
):
    ref = relay(system, log, cls, at_once, worker)
    stand(worker, Relay, gate)

    async def give_up() -> None:
        task = asyncio.ensure_future(ref.aio.ask(cls.pass_on, 1))
        await asyncio.to_thread(eventually, lambda: worker.status().mailbox, "it to be there")
        await ref.aio.ask(cls.ping)  # behind word of where the call is
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(give_up())
    gate.open()
    worker.ask(Relay.ping)
    assert recorded(log) == [0]


def test_what_was_cancelled_in_the_forwarders_hands_is_told_behind_it(system, log, worker, gate):
    ref = relay(system, log, Relay, 1, worker)
    reply = ref.submit(Relay.pass_behind, 1, gate)
    gate.arrival()
    assert reply.cancel() is False  # it is in the forwarder's hand
    gate.open()
    assert reply.result(SHORT_S) == "cancelled"


def test_the_answer_that_another_actor_owes_is_not_cancelled(system, log, worker):
    ref = relay(system, log, Relay, 1, worker)
    reply = ref.submit(Relay.owed, 1)
    eventually(lambda: worker.status().in_hand, "the worker to owe it")
    ref.ask(Relay.ping)
    assert reply.cancel() is False
    worker.tell(Relay.pay)
    assert reply.result(SHORT_S) == "paid"


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)
def test_a_forwarder_that_was_killed_changes_nothing(system, log, worker, gate, delivery):
    ref = relay(system, log, Relay, 1, worker, delivery=delivery)
    stand(worker, Relay, gate)
    reply = ref.submit(Relay.pass_on, 1)
    pid = ref.ask(Relay.pid)
    os.kill(pid, signal.SIGKILL)
    assert reply.cancel() is True
    gate.open()
    worker.ask(Relay.ping)
    assert recorded(log) == [0]


def test_a_forwarder_that_has_stopped_changes_nothing(system, log, worker, gate):
    ref = relay(system, log, Relay, 1, worker)
    stand(worker, Relay, gate)
    reply = ref.submit(Relay.pass_on, 1)
    ref.stop()
    assert reply.cancel() is True
    gate.open()
    worker.ask(Relay.ping)
    assert recorded(log) == [0]


@KINDS
def test_what_was_forwarded_survives_with_its_payload(system, log, worker, gate, cls, at_once):
    ref = relay(system, log, cls, at_once, worker)
    pid, other = ref.ask(cls.pid), worker.ask(Relay.pid)
    os.kill(pid, signal.SIGSTOP)
    os.kill(other, signal.SIGSTOP)
    reply = ref.submit(cls.pass_data, bytes(20_000))
    held = ref.submit(cls.hold, 0, gate)  # read together with it
    os.kill(pid, signal.SIGCONT)
    gate.arrival()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(errors.ActorDied):
        held.result(SHORT_S)
    assert ref.ask(cls.pid) != pid
    os.kill(other, signal.SIGCONT)
    assert reply.result(SHORT_S) == 20_000
    eventually(lambda: not in_use(ref._runtime_dir), "the payload to be freed")


# -- a call that was put aside ---------------------------------------------------------------------


@KINDS
def test_what_is_put_aside_is_cancelled_as_what_waits(system, log, cls, at_once):
    ref = relay(system, log, cls, at_once)
    replies = [ref.submit(cls.aside, number) for number in range(4)]
    ref.ask(cls.ping)
    eventually(lambda: ref.status().mailbox == 4, "all to be put aside")
    assert [replies[0].cancel(), replies[2].cancel()] == [True, True]
    assert ref.ask(cls.open) == 4
    assert [replies[1].result(SHORT_S), replies[3].result(SHORT_S)] == [1, 3]
    assert replies[0].cancelled()
    assert recorded(log) == [1, 3]
    status = ref.status()
    assert (status.mailbox, status.expired) == (0, 0)


@KINDS
def test_what_is_late_and_put_aside_does_not_count_as_handled(system, log, cls, at_once):
    ref = relay(system, log, cls, at_once)
    late = [ref.options(timeout=0.2).submit(cls.aside, number) for number in range(3)]
    kept = ref.submit(cls.aside, 3)
    ref.ask(cls.ping)
    eventually(lambda: ref.status().mailbox == 4, "all to be put aside")
    eventually(lambda: ref.status().handled == 1, "the ping alone to be handled")
    for reply in late:
        with pytest.raises(errors.AskTimeout):
            reply.result(SHORT_S)
    ref.ask(cls.open)
    assert kept.result(SHORT_S) == 3
    eventually(lambda: ref.status().handled == 3, "ping, open and the one that is not late")
    assert ref.status().expired == 3
    assert recorded(log) == [3]


def test_what_an_earlier_life_had_begun_anew_is_not_cancelled(system, log, gate):
    ref = relay(system, log, Relay, 1, delivery=Delivery.AT_LEAST_ONCE)
    reply = ref.submit(Relay.aside_then_hold, 1, gate)
    assert ref.ask(Relay.open) == 1
    os.kill(gate.arrival(), signal.SIGKILL)
    gate.arrival()  # of the next life
    assert reply.cancel() is False
    gate.open()
    assert reply.result(SHORT_S) == 1


@KINDS
def test_a_stop_begins_what_a_handler_in_hand_takes_up_again(system, log, gate, cls, at_once):
    ref = relay(system, log, cls, at_once)
    replies = [ref.submit(cls.aside, number) for number in range(3)]
    ref.ask(cls.ping)
    opened = ref.submit(cls.open_behind, gate)
    gate.arrival()
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        stopped = threads.submit(ref.stop)
        ref_is_stopping = lambda: ref.status().state == "stopping"  # noqa: E731
        eventually(ref_is_stopping, "the actor to have its stop") if at_once > 1 else None
        gate.open()
        stopped.result(LONG_S)
    assert opened.result(SHORT_S) == 3
    assert [reply.result(SHORT_S) for reply in replies] == [0, 1, 2]


# -- forked copies, and what is read once ----------------------------------------------------------


@KINDS
def test_a_forked_copy_changes_no_message(system, log, worker, cls, at_once):
    ref = relay(system, log, cls, at_once, worker)
    assert ref.ask(cls.in_a_copy) == ["ForeignProcess"] * 4
    eventually(lambda: not ref.status().in_hand, "the end of the handler")
    assert ref.status().mailbox == 0


@KINDS
@pytest.mark.parametrize("how", ["forward", "stash"])
def test_a_feed_that_was_opened_does_not_go_on(system, log, worker, cls, at_once, how):
    ref = relay(system, log, cls, at_once, worker)
    reply = ref.options(timeout=LONG_S).submit(cls.total, how, feed(range(10)))
    if how == "stash":
        ref.ask(cls.ping)
        eventually(lambda: ref.status().mailbox == 1, "it to be put aside")
        ref.ask(cls.open)
    with pytest.raises(errors.StreamBroken):
        reply.result(LONG_S)
    assert ref.ask(cls.ping) is None
    assert worker.ask(Relay.ping) is None


# -- generators ------------------------------------------------------------------------------------


@KINDS
@pytest.mark.parametrize("how", ["forward", "stash", "later"])
def test_the_call_of_a_generator_goes_no_other_way(system, log, worker, cls, at_once, how):
    ref = relay(system, log, cls, at_once, worker)
    for generator in [cls.items, *([AsyncRelay.async_items] if cls is AsyncRelay else [])]:
        with ref.stream(generator, how) as items:
            assert next(items) == 1
            with pytest.raises(RuntimeError, match="generator"):
                next(items)
    assert ref.ask(cls.ping) is None
    assert ref.status().mailbox == 0


@pytest.mark.parametrize("cls", [Relay, AsyncRelay])
def test_a_process_that_was_stopped_amid_a_stream_is_a_hang(system, log, cls):
    ref = system.options(handle_timeout=0.5, max_restarts=5).spawn(cls, log)
    pid = ref.ask(cls.pid)
    generator = AsyncRelay.counting if cls is AsyncRelay else cls.count
    with ref.options(timeout=LONG_S, buffer=2).stream(generator, 1000) as items:
        assert next(items) == 0
        eventually(lambda: ref.status().busy_s == 0, "it to wait for its reader")
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(errors.ActorDied) as died:
            list(items)
    assert died.value.report.reason.kind is ExitKind.HANG
    assert ref.ask(cls.pid) != pid
