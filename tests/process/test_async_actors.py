"""Actors with coroutines: one message at a time, or several, each answered once."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from procactors import (
    Actor,
    ActorSystem,
    Delivery,
    ExitKind,
    Recycle,
    Restart,
    Strategy,
    Supervisor,
    errors,
    spec,
)
from tests.support.actors import Counter
from tests.support.coroutines import Hooked, Receiver, Waiter
from tests.support.segments import in_use
from tests.support.waiting import SHORT_S, eventually

LARGE = b"x" * 300_000

CONCURRENCY = pytest.mark.parametrize("most", [1, 5], ids=["one", "five"])


def concurrent(system, most=5, **options):
    return system.options(max_concurrency=most, **options).spawn(Waiter)


def in_hand(ref, count):
    """Wait until an actor has so many messages in hand, and return its pid."""
    eventually(lambda: len(ref.status().in_hand) == count, f"{count} messages in hand")
    return ref.status().pid


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def error_of(reply):
    return reply.exception(SHORT_S)


# -- what comes of a message ------------------------------------------------------------------


@pytest.mark.methods
@CONCURRENCY
def test_each_way_in_which_a_handler_ends_is_answered(system, most):
    ref = concurrent(system, most)
    assert ref.ask(Waiter.echo, 1) == 1
    assert ref.ask(Waiter.plain, 2) == 2
    assert ref.ask("three") == "three"
    assert len(ref.ask(Waiter.echo, LARGE)) == len(LARGE)
    with pytest.raises(ValueError, match="four") as raised:
        ref.ask(Waiter.fail, "four")
    trace = str(raised.value.__cause__)
    assert "coroutines.py" in trace
    assert "procactors/runner" not in trace, "our own frames are left out"
    with pytest.raises(errors.HandlerCancelled, match=r"Waiter\.cancel_itself was cancelled"):
        ref.ask(Waiter.cancel_itself)
    with pytest.raises(errors.ResultEncodeError, match=r"Waiter\.unsendable ran, but its result"):
        ref.ask(Waiter.unsendable)
    with pytest.raises(errors.UnknownMethod):
        ref.ask(Counter.increment)
    assert ref.ask(Waiter.limited, 0.01) == "over"
    ref.tell(Waiter.cancel_itself)
    assert ref.ask(Waiter.plain) == 0, "a cancelled tell ends nothing"
    eventually(lambda: ref.status().handled == 10, "the last to be stepped behind")
    status = ref.status()
    assert (status.in_hand, status.state, status.restarts) == ((), "idle", 0)
    eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")


def test_one_message_at_a_time_is_begun_behind_the_end_of_the_last(system):
    ref = concurrent(system, 1)
    first, second = ref.submit(Waiter.wait, 1), ref.submit(Waiter.echo, 2)
    in_hand(ref, 1)
    assert ref.status().mailbox == 1
    assert not first.done()
    assert not second.done()
    assert isinstance(ref.status().in_hand[0].busy_s, float)
    ref.kill()
    assert isinstance(error_of(first), errors.ActorDied)
    assert isinstance(error_of(second), errors.ActorStopped)


def test_several_are_begun_in_order_up_to_the_bound_and_answered_as_they_end(system):
    ref = concurrent(system, 3)
    replies = [ref.submit(Waiter.wait, number) for number in range(3)]
    in_hand(ref, 3)
    later = ref.submit(Waiter.open, 0)
    assert ref.status().mailbox == 1
    assert not later.done()
    ref.kill()
    assert [type(error_of(reply)) for reply in replies] == [errors.ActorDied] * 3


def test_answers_come_in_the_order_of_the_ends(system):
    ref = concurrent(system, 10)
    replies = [ref.submit(Waiter.wait, number, LARGE) for number in range(5)]
    in_hand(ref, 5)
    assert ref.ask(Waiter.all_begun) == list(range(5))
    for number in (3, 0, 4, 1, 2):
        ref.ask(Waiter.open, number)
        assert replies[number].result(SHORT_S) == number
    assert ref.ask(Waiter.all_ended) == [3, 0, 4, 1, 2]
    eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")


def test_a_plain_handler_begins_behind_the_coroutines_that_were_sent_before_it(system):
    ref = concurrent(system, 10)
    for turn in range(0, 40, 4):
        ref.tell(Waiter.hold_up, 0.05)  # so that what follows comes at once
        for number in range(turn, turn + 4):
            ref.tell(Waiter.note, number)
        assert ref.ask(Waiter.all_begun) == list(range(turn + 4))


def test_more_messages_than_the_table_has_at_first_are_in_hand_at_once(system):
    ref = concurrent(system, 200)
    replies = [ref.submit(Waiter.wait, number) for number in range(150)]
    in_hand(ref, 150)
    for number in range(150):
        ref.tell(Waiter.open, number)
    assert [reply.result(SHORT_S) for reply in replies] == list(range(150))
    eventually(lambda: ref.status().handled == 300, "the last to be stepped behind")


def test_an_actor_whose_receive_alone_awaits_has_an_event_loop(system):
    assert system.spawn(Receiver).ask("message") == "message"


@CONCURRENCY
def test_each_message_has_facts_and_context_variables_of_its_own(system, most):
    ref = concurrent(system, most)
    replies = [
        ref.options(timeout=100.0 * (number + 1)).submit(Waiter.facts, str(number))
        for number in range(4)
    ]
    found = [reply.result(SHORT_S) for reply in replies]
    assert [(before, name) for before, name, *_ in found] == [
        ("nobody's", str(n)) for n in range(4)
    ]
    deadlines = [deadline for _, _, deadline, _, _ in found]
    assert deadlines == sorted(deadlines)
    assert deadlines[3] - deadlines[0] > 290
    assert {(deliveries, handler) for *_, deliveries, handler in found} == {(1, "Waiter.facts")}


@CONCURRENCY
def test_an_async_handler_asks_others_without_blocking(system, most):
    ref, other = concurrent(system, most), concurrent(system)
    replies = [ref.submit(Waiter.ask_other, other, number) for number in range(10)]
    assert [reply.result(SHORT_S) for reply in replies] == list(range(10))
    if most > 1:
        assert ref.ask(Waiter.ask_other, ref, "itself") == "itself"


def test_whoever_cancels_all_tasks_each_caller_is_answered(system):
    ref = concurrent(system, 10)
    replies = [ref.submit(Waiter.wait, number) for number in range(5)]
    in_hand(ref, 5)
    assert ref.ask(Waiter.cancel_all) == 5, "no task there is ours"
    assert [type(error_of(reply)) for reply in replies] == [errors.HandlerCancelled] * 5
    assert ref.ask(Waiter.plain, 1) == 1


@CONCURRENCY
def test_a_bounded_mailbox_has_its_places_back(system, most):
    ref = system.options(max_concurrency=most, mailbox=3).spawn(Waiter)
    replies = [ref.submit(Waiter.echo, number) for number in range(40)]
    assert [reply.result(SHORT_S) for reply in replies] == list(range(40))


def test_a_handler_that_holds_up_its_loop_is_warned_of_once(system):
    ref = concurrent(system)
    for _ in range(2):
        ref.ask(Waiter.hold_up, 0.3)
    kill(ref.ask(Waiter.pid))
    ref.ask(Waiter.plain)
    said = ref.status().last_crash.log
    assert said.count("Waiter.hold_up held up its actor's event loop for 0.") == 1


@CONCURRENCY
def test_a_cancelled_call_whose_handler_awaits_has_its_task_cancelled(system, most):
    ref = concurrent(system, most)
    reply = ref.submit(Waiter.stop_when_cancelled)
    waiting = ref.submit(Waiter.plain) if most == 1 else None
    in_hand(ref, 1)
    if waiting is not None:
        assert waiting.cancel(), "it was not begun, and never is"
    assert not reply.cancel()
    assert isinstance(error_of(reply), errors.HandlerCancelled)
    assert ref.ask(Waiter.all_ended) == ["cancelled"]


def test_a_message_whose_caller_has_given_up_is_not_begun(system):
    ref = concurrent(system, 1)
    first = ref.submit(Waiter.sleep, 1.0)
    with pytest.raises(errors.AskTimeout):
        ref.options(timeout=0.05).ask(Waiter.wait, "late")
    first.result(SHORT_S)
    assert ref.ask(Waiter.all_begun) == []
    assert ref.status().expired == 1


@CONCURRENCY
def test_timers_may_be_coroutines(system, most):
    ref = concurrent(system, most)
    ref.ask(Waiter.set_timers)
    eventually(lambda: len(ref.ask(Waiter.all_ended)) > 4, "some ticks")
    ref.ask(Waiter.stop_ticking)
    begun, ended = ref.ask(Waiter.all_begun), ref.ask(Waiter.all_ended)
    assert begun.count("once") == 1
    if most == 1:
        assert begun == ended, "none is under way beside a message"
    assert ref.ask(Waiter.facts, "x")[3] == 1


@CONCURRENCY
def test_an_async_handler_answers_later_hands_on_puts_aside_and_becomes(system, most):
    ref, other = concurrent(system, most), system.spawn(Passed)
    assert ref.ask(Waiter.put_off) == "later"
    with pytest.raises(ValueError, match="put off"):
        ref.ask(Waiter.put_off, True)
    ref.ask(Waiter.set_other, other)
    assert ref.ask(Waiter.pass_on, LARGE) == ("passed on", len(LARGE))
    aside = [ref.submit(Waiter.put_aside, number, LARGE) for number in range(3)]
    eventually(lambda: len(ref.ask(Waiter.all_ended)) == 3, "all three to be put aside")
    in_hand(ref, 0)
    assert ref.ask(Waiter.take_up) == 3
    assert [reply.result(SHORT_S) for reply in aside] == [0, 1, 2]
    assert ref.ask("message") == "message"
    ref.ask(Waiter.turn)
    assert ref.ask("message") == ("turned", "message")
    assert ref.status().restarts == 0
    eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")


class Passed(Actor):
    def pass_on(self, body: bytes) -> tuple[str, int]:
        return "passed on", len(body)


# -- ends -------------------------------------------------------------------------------------


@CONCURRENCY
def test_a_stop_lets_all_that_came_before_it_end(system, most):
    ref = concurrent(system, most)
    replies = [ref.submit(Waiter.sleep, 0.05, number) for number in range(8)]
    ref.stop(SHORT_S)
    assert [reply.result(SHORT_S) for reply in replies] == list(range(8))


def test_an_actor_that_leaves_ends_what_is_in_hand_first(system):
    ref = concurrent(system, restart=Restart.TEMPORARY)
    first = ref.submit(Waiter.wait, 1)
    second = ref.submit(Waiter.leave, 2)
    in_hand(ref, 2)
    late = ref.submit(Waiter.plain)
    # A timer of the test's cannot open the doors from outside any more: nothing is taken.
    eventually(lambda: ref.status().mailbox == 1, "the late one to wait")
    ref.kill()
    assert {type(error_of(reply)) for reply in (first, second)} == {errors.ActorDied}
    assert isinstance(error_of(late), errors.ActorStopped)


def test_leaving_from_a_task_answers_it_and_ends(system):
    ref = concurrent(system, restart=Restart.TEMPORARY)
    ref.ask(Waiter.open, "door")
    assert ref.ask(Waiter.leave, "door") == "door"
    assert str(eventually(lambda: ref.status().reason, "its end")) == "ended normally"


def test_a_recycled_actor_ends_what_is_in_hand_first(system):
    ref = concurrent(system, 4, recycle_after=Recycle(messages=4))
    replies = [ref.submit(Waiter.sleep, 0.02, number) for number in range(30)]
    assert [reply.result(SHORT_S) for reply in replies] == list(range(30))
    eventually(lambda: ref.status().handled == 30, "the last to be stepped behind")
    assert ref.status().restarts == 0
    assert ref.status().recycled >= 6


def test_a_group_that_is_restarted_ends_what_is_in_hand_first(system):
    tree = system.supervise(
        Supervisor(
            spec(Waiter).options(name="a", max_concurrency=5),
            spec(Waiter).options(name="b"),
            strategy=Strategy.ONE_FOR_ALL,
        )
    )
    a, b = system.find("a"), system.find("b")
    reply = a.submit(Waiter.sleep, 0.2, "slept")
    in_hand(a, 1)
    kill(b.ask(Waiter.pid))
    assert reply.result(SHORT_S) == "slept"
    eventually(lambda: a.status().incarnation == 2, "the restart of the group")
    assert a.ask(Waiter.plain, 3) == 3
    tree.stop()


def test_sigterm_unwinds_the_handlers(system, tmp_path):
    path = tmp_path / "said"

    class Unwound(Actor):
        async def wait(self, number: int) -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0)
                with path.open("a") as file:
                    file.write(f"{number}\n")

    ref = system.options(max_concurrency=3).spawn(Unwound)
    replies = [ref.submit(Unwound.wait, number) for number in range(3)]
    in_hand(ref, 3)
    reason = ref.stop(2.0)
    assert (reason.kind, reason.signal_name) == (ExitKind.KILLED, "SIGTERM")
    assert sorted(path.read_text().split()) == ["0", "1", "2"]
    assert {type(error_of(reply)) for reply in replies} == {errors.ActorDied}


@CONCURRENCY
def test_a_system_that_is_left_by_an_exception_unwinds_the_handlers(tmp_path, start_method, most):
    path = tmp_path / "said"

    class Unwound(Actor):
        async def wait(self) -> None:
            try:
                path.write_text("begun")
                await asyncio.sleep(3600)
            finally:
                path.write_text("unwound")

    with (
        pytest.raises(ZeroDivisionError),
        ActorSystem(start_method=start_method) as system,
    ):
        ref = system.options(max_concurrency=most).spawn(Unwound)
        reply = ref.submit(Unwound.wait)
        eventually(path.exists, "the handler to begin")
        raise ZeroDivisionError
    assert path.read_text() == "unwound"
    assert error_of(reply).report.reason.signal_name == "SIGTERM"


def test_an_actor_that_takes_no_more_sleeps_while_its_handlers_await(system):
    ref = concurrent(system, restart=Restart.TEMPORARY)
    process = psutil.Process(ref.ask(Waiter.pid))
    ref.submit(Waiter.wait, 1)
    ref.submit(Waiter.leave, 2)
    in_hand(ref, 2)
    ref.submit(Waiter.plain)
    eventually(lambda: ref.status().mailbox == 1, "the late one to wait")
    before = sum(process.cpu_times()[:2])
    time.sleep(0.3)  # as long as it is looked at: what waits in its mailbox is no work
    assert sum(process.cpu_times()[:2]) - before < 0.1
    ref.kill()


# -- deaths -----------------------------------------------------------------------------------


@pytest.mark.methods
@CONCURRENCY
def test_a_kill_answers_for_all_that_is_in_hand(system, most):
    ref = concurrent(system, most)
    replies = [ref.submit(Waiter.wait, number, LARGE) for number in range(most)]
    in_hand(ref, most)
    kill(ref.status().pid)
    for reply in replies:
        died = error_of(reply)
        assert isinstance(died, errors.ActorDied)
        assert died.report.handler == "Waiter.wait"
        assert len(died.report.in_hand) >= most
        assert died.report.to_dict()["in_hand"][0]["handler"] == "Waiter.wait"
    assert ref.ask(Waiter.all_begun) == []
    eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")


@CONCURRENCY
def test_with_at_least_once_each_is_handed_again(system, most):
    options = {"delivery": Delivery.AT_LEAST_ONCE, "max_deliveries": 2}
    ref = concurrent(system, most, **options)
    replies = [ref.submit(Waiter.wait, number, LARGE) for number in range(most)]
    behind = ref.submit(Waiter.plain, "behind") if most == 1 else None
    kill(in_hand(ref, most))
    assert [reply.result(SHORT_S) for reply in replies] == [2] * most
    if behind is not None:
        assert behind.result(SHORT_S) == "behind"
    in_hand(ref, 0)
    eventually(lambda: not in_use(system._endpoint.path), "the payloads to be freed")


def test_a_tell_that_raises_ends_the_actor_and_names_its_own_handler(system):
    ref = concurrent(system, delivery=Delivery.AT_LEAST_ONCE)
    oldest = ref.submit(Waiter.wait, 1)
    in_hand(ref, 1)
    ref.tell(Waiter.fail, "on purpose")
    assert oldest.result(SHORT_S) == 2, "it is handed again: it is not to blame"
    report = ref.status().last_crash
    assert report.reason.kind is ExitKind.ERROR
    assert (report.handler, len(report.in_hand)) == ("Waiter.fail", 2)
    assert "coroutines.py" in report.traceback
    (letter,) = eventually(lambda: list(system.dead_letters), "the tell's letter")
    assert (letter.handler, letter.killed, letter.deliveries) == ("Waiter.fail", True, 1)


@CONCURRENCY
@pytest.mark.parametrize(
    ("method", "args", "kind"),
    [(Waiter.exit, (3,), ExitKind.EXIT), (Waiter.raise_base, (), ExitKind.ERROR)],
)
def test_what_is_no_error_ends_the_actor(system, most, method, args, kind):
    ref = concurrent(system, most)
    died = error_of(ref.submit(method, *args))
    assert isinstance(died, errors.ActorDied)
    assert (died.report.reason.kind, died.report.handler) == (kind, method.__qualname__)


def test_the_oldest_handler_is_the_one_that_hangs(system):
    ref = concurrent(system, 3, handle_timeout=1.0, restart=Restart.TEMPORARY)
    stuck = ref.submit(Waiter.wait, 1)
    in_hand(ref, 1)
    late = time.monotonic() + SHORT_S
    while not stuck.done() and time.monotonic() < late:
        try:
            ref.ask(Waiter.sleep, 0.01)  # others come and go
        except errors.ProcActorsError:
            break
    died = error_of(stuck)
    assert died.report.reason.kind is ExitKind.HANG
    assert (died.report.handler, died.report.busy_s > 1.0) == ("Waiter.wait", True)


# -- hooks and pools --------------------------------------------------------------------------


def test_every_hook_may_be_a_coroutine(system, tmp_path):
    path = tmp_path / "notes"
    ref = system.options(max_concurrency=3).spawn(Hooked, str(path))
    other = system.spawn(Waiter)
    ref.ask(Hooked.watch, other)
    kill(other.ask(Waiter.pid))
    eventually(lambda: "on_restarted 2" in path.read_text(), "the other's restart")
    child = ref.ask(Hooked.hire)
    kill(child.ask(Waiter.pid))
    assert child.ask(Waiter.plain, 1) == 1
    other.stop()
    eventually(lambda: "on_terminated STOPPED" in path.read_text(), "the other's end")
    kill(ref.ask(Hooked.pid))
    ref.ask(Hooked.pid)
    ref.stop()
    notes = path.read_text().splitlines()
    assert notes[:2] == ["on_start", "on_restarted 2"]
    assert "on_child_failure SIGNAL" in notes
    assert notes[-4:] == [
        "on_start",
        "on_restart SIGNAL",
        "on_stop STOPPED",
        "the background task is over",
    ]


def test_state_goes_over_by_coroutines(system, tmp_path):
    path = tmp_path / "notes"
    ref = system.options(recycle_after=Recycle(messages=1)).spawn(Hooked, str(path))
    ref.ask(Hooked.pid)
    eventually(lambda: ref.status().recycled >= 1 and ref.status().state == "idle", "a new life")
    assert "snapshot\n" in path.read_text()
    eventually(lambda: "restore state\n" in path.read_text(), "the state to be taken over")


def test_the_workers_of_a_pool_may_await(system):
    with system.options(size=2).pool(Waiter) as pool:
        assert pool.ask(Waiter.echo, 1) == 1
        assert list(pool.map(Waiter.echo, range(100))) == list(range(100))
        assert pool.ask(Waiter.plain, 2) == 2
        assert list(pool.map(abs, range(-5, 0))) == [5, 4, 3, 2, 1]
        with pytest.raises(ValueError, match="three"):
            pool.ask(Waiter.fail, "three")
        died = error_of(pool.submit(Waiter.kill_itself))
        assert isinstance(died, errors.ActorDied)
        assert pool.ask(Waiter.size, LARGE) == len(LARGE)


# -- mistakes ---------------------------------------------------------------------------------


def test_what_cannot_be_is_refused_with_what_to_do(system):
    with pytest.raises(errors.InvalidSpec, match="Counter has no async def method"):
        system.options(max_concurrency=2).spawn(Counter)
    with pytest.raises(errors.InvalidSpec, match="a pool's worker runs one item at a time"):
        system.options(max_concurrency=2).pool(Waiter)
    with pytest.raises(errors.InvalidSpec, match="max_concurrency"):
        system.options(max_concurrency=0)


def test_a_start_whose_on_start_raises_fails(system):
    class Broken(Actor):
        async def on_start(self) -> None:
            raise ValueError("broken")

    with pytest.raises(errors.SpawnError, match="broken"):
        system.spawn(Broken)
