"""What a system tells of itself: progress from handlers, however deep."""

from __future__ import annotations

import multiprocessing
from time import monotonic

import pytest

from procactors import Actor, ActorSystem, Event, Progress, current_context
from procactors.errors import ForeignProcess
from procactors.wire.mailbox.black_box import LISTENED
from procactors.wire.transport import SUPERVISOR
from tests.support.waiting import SHORT_S, aside, eventually


def count_to(total):
    """A plain function, of no actor in particular."""
    for done in range(total + 1):
        current_context().progress(done, total)
    return total


def report_from_a_copy(_):
    try:
        current_context().progress(1)
    except ForeignProcess:
        return "foreign"


class Worker(Actor):
    """Tells how far it is."""

    def on_start(self):
        self.context.progress(0)

    def work(self, total):
        for done in range(total + 1):
            self.context.progress(done, total)

    def tell(self, done, total=None):
        self.context.progress(done, total)

    def call(self, function, value):
        return function(value)

    def fork(self):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.map(report_from_a_copy, [1])

    def is_listened_to(self):
        words = self.context.system._endpoint.words(SUPERVISOR)
        return bool(words[LISTENED])


@pytest.fixture
def seen(system):
    """What a subscriber of the system has seen."""
    seen = []
    with system.events.subscribe(seen.append):
        yield seen


def last(seen):
    """Wait for the event that completes a total; return it."""
    return eventually(
        lambda: seen[-1] if seen and seen[-1].done == seen[-1].total else None, "the last step"
    )


@pytest.mark.methods
def test_progress_comes_with_source_handler_time_and_its_last_step(system, seen):
    before = monotonic()
    ref = system.options(name="w").spawn(Worker)
    ref.ask(Worker.work, 1000)
    event = last(seen)
    assert event == Progress(source="w", at=event.at, done=1000, total=1000, what="Worker.work")
    assert before < event.at < monotonic()
    assert seen[0] == Progress(source="w", at=seen[0].at, done=0)
    assert [one.at for one in seen] == sorted(one.at for one in seen)
    assert len(seen) < 1000


def test_a_plain_function_reports_for_the_actor_that_it_runs_in(system, seen):
    ref = system.options(name="w").spawn(Worker)
    ref.ask(Worker.call, count_to, 3)
    assert last(seen).source == "w"


def test_a_bad_count_is_the_handlers_error(system):
    ref = system.spawn(Worker)
    with pytest.raises(ValueError, match="done is at most the total, 1, not 2"):
        ref.ask(Worker.tell, 2, 1)
    with pytest.raises(ValueError, match="whole number from 0 on, not 'all'"):
        ref.ask(Worker.tell, "all")


def test_while_nobody_listens_actors_know_it(system):
    ref = system.spawn(Worker)
    assert not ref.ask(Worker.is_listened_to)
    with system.events.subscribe(print, (Progress,)):
        assert ref.ask(Worker.is_listened_to)
        with system.events.subscribe(print, (Event,)):
            pass
        assert ref.ask(Worker.is_listened_to)
    assert not ref.ask(Worker.is_listened_to)


def test_a_forked_copy_of_an_actor_may_not_report_for_it(system, seen):
    assert system.spawn(Worker).ask(Worker.fork) == ["foreign"]


def test_a_loop_over_the_events_ends_with_the_system(start_method):
    with ActorSystem(start_method=start_method) as system:
        rest = aside(list, iter(system.events))
        ref = system.spawn(Worker)
        ref.ask(Worker.work, 10)
        ref.ask(Worker.work, 0)
    events = rest.result(SHORT_S)
    assert [(one.done, one.total) for one in events if one.done == one.total] == [(10, 10), (0, 0)]
