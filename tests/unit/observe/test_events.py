"""Events and their listeners: kinds, order, bounds, ends."""

from __future__ import annotations

import dataclasses
import gc
import pickle
import threading
from time import monotonic

import pytest

from procactors import Event, Progress
from procactors.errors import ActorStopped, InvalidSpec
from procactors.observe.events import Events
from tests.support.waiting import SHORT_S, aside, eventually


@dataclasses.dataclass(frozen=True, kw_only=True)
class Other(Event):
    """A kind of event that there is not yet."""


@pytest.fixture
def events():
    events = Events()
    yield events
    events.close(SHORT_S)


def progress(done, **words):
    return Progress(actor="w", done=done, **words)


def test_an_event_says_when_and_is_a_value():
    before = monotonic()
    event = progress(1)
    assert before <= event.time <= monotonic()
    assert (event.total, event.what) == (None, "")
    assert pickle.loads(pickle.dumps(event)) == event
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.done = 2  # type: ignore[misc]


def test_a_subscriber_gets_its_kinds_in_order_from_now_on(events):
    all_seen, some_seen = [], []
    events.publish(progress(0))
    events.subscribe(all_seen.append)
    events.subscribe(some_seen.append, (Progress,))
    published = [progress(1), Other(actor="v"), progress(2)]
    for event in published:
        events.publish(event)
    events.close(SHORT_S)
    assert all_seen == published
    assert some_seen == [published[0], published[2]]


def test_a_closed_subscription_is_called_no_more(events):
    seen = []
    with events.subscribe(seen.append):
        events.publish(progress(1))
        eventually(lambda: len(seen) == 1, "the first event")
    events.publish(progress(2))
    events.subscribe(seen.append).close()
    events.close(SHORT_S)
    assert [event.done for event in seen] == [1]


def test_a_subscriber_may_close_its_own_subscription(events):
    seen = []

    def once(event):
        seen.append(event)
        mine.close()

    mine = events.subscribe(once)
    events.publish(progress(1))
    eventually(lambda: not events.wants(Event), "the end of the subscription")
    events.publish(progress(2))
    assert len(seen) == 1


def test_a_slow_subscriber_loses_the_oldest_and_holds_up_nobody(events, caplog):
    seen, turn, entered = [], threading.Event(), threading.Event()

    def slow(event):
        entered.set()
        assert turn.wait(SHORT_S)
        seen.append(event.done)

    mine = events.subscribe(slow, bound=4)
    events.publish(progress(1))
    assert entered.wait(SHORT_S)
    for done in range(2, 12):
        events.publish(progress(done))
    assert mine.dropped == 6
    (record,) = [one for one in caplog.records if "is too slow" in one.message]
    assert "4 events wait for it, and the oldest ones are not shown" in record.message
    turn.set()
    eventually(lambda: seen == [1, 8, 9, 10, 11], "the latest events")


def test_one_that_is_always_late_is_logged_once(events, caplog):
    stream = events.stream(bound=4)
    for done in range(20):
        events.publish(progress(done))
        if done % 2 and done > 6:
            next(stream)
    assert stream.dropped > 5
    assert sum("is too slow" in record.message for record in caplog.records) == 1


def test_a_callback_that_raises_is_logged_and_kept(events, caplog):
    seen = []

    def picky(event):
        seen.append(event.done)
        raise ValueError("not this one")

    events.subscribe(picky)
    events.publish(progress(1))
    events.publish(progress(2))
    events.close(SHORT_S)
    assert seen == [1, 2]
    assert sum("raised over one event" in one.message for one in caplog.records) == 2


def test_a_loop_gets_what_comes_and_ends_with_the_system(events):
    stream = iter(events)
    rest = aside(list, stream)
    published = [progress(1), Other(actor="v")]
    for event in published:
        events.publish(event)
    events.close(SHORT_S)
    assert rest.result(SHORT_S) == published
    assert list(stream) == list(events) == []


def test_a_loop_that_is_left_costs_nothing_any_more(events):
    stream = iter(events)
    events.publish(progress(1))
    assert next(stream).done == 1
    assert events.wants(Progress)
    del stream
    gc.collect()
    assert not events.wants(Progress)


def test_a_loop_in_another_thread_can_be_ended(events):
    stream = iter(events)
    rest = aside(list, stream)
    stream.close()
    assert rest.result(SHORT_S) == []
    assert not events.wants(Event)


def test_what_is_wanted_is_known_at_each_change(events):
    known = []
    events.on_change(lambda: known.append(events.wants(Progress)))
    others = events.subscribe(print, (Other,))
    mine = events.subscribe(print, (Progress,))
    mine.close()
    mine.close()
    others.close()
    assert known == [False, False, True, False, False]


def test_behind_the_end_nobody_is_told(events):
    events.close(SHORT_S)
    events.publish(progress(1))
    with pytest.raises(ActorStopped, match="there will be no event"):
        events.subscribe(print)


def test_a_callback_that_does_not_return_does_not_hold_up_the_end(events, caplog):
    turn = threading.Event()
    stuck = events.subscribe(lambda _: turn.wait(SHORT_S))
    events.publish(progress(1))
    events.close(0.05)
    assert "did not return in time" in caplog.text
    turn.set()
    stuck.join(SHORT_S)


@pytest.mark.parametrize("kinds", [Progress, (), (int,), ("Progress",), 3], ids=repr)
def test_kinds_that_make_no_sense_are_named(events, kinds):
    with pytest.raises(InvalidSpec, match="kinds"):
        events.subscribe(print, kinds)


@pytest.mark.parametrize("bound", [0, -1, 1.5, None, "many"], ids=repr)
def test_a_bound_that_makes_no_sense_is_named(events, bound):
    for listen in (
        lambda: events.subscribe(print, bound=bound),
        lambda: events.stream(bound=bound),
    ):
        with pytest.raises(InvalidSpec, match="bound"):
            listen()
    assert not events.is_listened


def test_a_stream_has_its_kinds_alone(events):
    stream = events.stream((Progress,))
    events.publish(Other(actor="v"))
    events.publish(progress(1))
    events.close(SHORT_S)
    assert [event.done for event in stream] == [1]
