"""Timers of actors whose handlers await: between messages, or beside them."""

from __future__ import annotations

import contextlib

import pytest

from procactors import ExitKind
from procactors.errors import ActorDied, InvalidSpec
from tests.support.clocks import AsyncClock, PrivateAsync
from tests.support.notes import notes
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes"


@pytest.fixture
def one(system, path):
    """Serves one message at a time."""
    return system.spawn(AsyncClock, path)


@pytest.fixture
def many(system, path):
    """Serves three at a time."""
    return system.options(max_concurrency=3).spawn(AsyncClock, path)


@pytest.mark.methods
def test_one_at_a_time_a_timer_waits_for_the_handler_and_the_next_message_for_the_timer(one, path):
    one.ask(AsyncClock.arm_slow, 0.01, "timer", 0.1)
    one.tell(AsyncClock.slowly, "message", 0.1)
    one.tell(AsyncClock.slowly, "behind", 0.0)
    eventually(lambda: len(notes(path)) == 6, "all")
    lines = notes(path)
    assert lines[::2] == [line.replace("end", "begin") for line in lines[1::2]]
    assert sorted(lines[::2]) == ["begin behind", "begin message", "begin timer"]
    assert lines.index("begin timer") < lines.index("begin behind")


def test_a_timer_runs_beside_handlers_that_await(many, path):
    many.tell(AsyncClock.slowly, "message", 1.0)
    many.ask(AsyncClock.arm, 0.01, "timer")
    eventually(lambda: "end message" in notes(path), "the message")
    assert notes(path) == ["begin message", "timer", "end message"]


def test_handlers_that_fill_the_actor_may_wait_for_a_timer(many):
    """No other message can be begun: the timer runs all the same, though it was set by then."""
    waits = [many.submit(AsyncClock.wait_for_event) for _ in range(2)]
    waits.append(many.submit(AsyncClock.wait_for_timer, 0.05))
    behind = many.submit(AsyncClock.incarnation)
    assert [reply.result() for reply in waits] == [True] * 3
    assert behind.result() == 1


def test_a_timer_that_is_set_while_the_loop_waits_for_a_later_one_is_in_time(many, path):
    many.ask(AsyncClock.arm, 3600.0, "late")
    assert many.ask(AsyncClock.wait_for_timer, 0.05)


def test_a_slow_timer_does_not_overlap_itself(many, path):
    many.ask(AsyncClock.repeat_slow, 0.01, "tick", 0.05)
    eventually(lambda: len(notes(path)) >= 10, "five runs")
    lines = notes(path)[:10]
    assert lines == ["begin tick", "end tick"] * 5


@pytest.mark.methods
def test_a_timer_that_raises_names_itself_and_all_in_hand_hear_of_it(many, path):
    waits = many.submit(AsyncClock.wait_for_event)
    many.tell(AsyncClock.break_after, 0.01)
    with pytest.raises(ActorDied, match="in handler timer breaks") as died:
        waits.result()
    report = died.value.report
    assert (report.reason.kind, report.handler) == (ExitKind.ERROR, "timer breaks")
    assert {one.handler for one in report.in_hand} == {"timer breaks", "AsyncClock.wait_for_event"}
    assert "in breaks" in report.traceback
    assert many.ask(AsyncClock.incarnation) == 2


def test_a_timer_that_awaits_for_ever_is_a_hang_though_messages_go_on(system, path):
    limit = 0.5
    ref = system.options(max_concurrency=3, handle_timeout=limit).spawn(AsyncClock, path)
    ref.tell(AsyncClock.hang_after, 0.0)

    def has_begun_anew():
        with contextlib.suppress(ActorDied):  # in hand as well, when the timer's time was over
            return ref.ask(AsyncClock.incarnation) == 2

    eventually(has_begun_anew, "its end")
    report = ref.status().last_crash
    assert (report.reason.kind, report.handler) == (ExitKind.HANG, "timer hangs (stuck)")
    assert report.busy_s >= limit - CLOCK_TOLERANCE_S


def test_a_stop_waits_for_the_timer_at_work_and_begins_no_other(many, path):
    many.ask(AsyncClock.arm_slow, 0.0, "timer", 0.2)
    eventually(lambda: notes(path), "its beginning")
    many.ask(AsyncClock.arm, 0.1, "late")
    assert str(many.stop()) == "stopped"
    lines = notes(path)
    assert lines[0] == "begin timer"
    assert lines[-1] == "end timer" or lines[-2:] == ["late", "end timer"]


def test_there_is_no_message_in_a_timer(many):
    assert many.options(timeout=60.0).ask(AsyncClock.facts_in_timer) == (None, 0)


def test_an_actor_with_a_handler_at_work_is_not_idle(many, path):
    many.ask(AsyncClock.idle_after, 0.05)
    eventually(lambda: notes(path), "the notice")
    many.ask(AsyncClock.slowly, "message", 0.5)
    eventually(lambda: notes(path)[-1] == "idle", "the next notice")
    lines = notes(path)
    assert lines[lines.index("begin message") + 1] == "end message"


def test_a_coroutine_by_a_private_name_alone_has_no_event_loop(system):
    ref = system.spawn(PrivateAsync)
    with pytest.raises(InvalidSpec, match="it runs no event loop; give this one such a name"):
        ref.ask(PrivateAsync.arm)
