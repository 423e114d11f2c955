"""Which timers are due when, on a clock that is moved by hand."""

from __future__ import annotations

import math
import pickle
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from procactors.errors import InvalidSpec, UnknownMethod
from procactors.runner.schedule import Schedule


class Clock:
    """What time it is, in an actor that serves no messages."""

    def tick(self):
        """Nothing."""

    def add(self, number, more=0):
        """Nothing."""

    def _private(self):
        """Nothing."""

    @staticmethod
    def static(number):
        """Nothing."""


class Other:
    def tick(self):
        """Nothing."""


class Time:
    """The instants of a test: each look at the schedule is at `now`."""

    def __init__(self, now=1000.0):
        self.now = now
        self.schedule = Schedule(Clock, lambda: self.now)

    def after(self, seconds, *args, name=None):
        return self.schedule.after(seconds, Clock.add if args else Clock.tick, args, name)

    def every(self, seconds, *args, name=None, now=False):
        return self.schedule.every(seconds, Clock.add if args else Clock.tick, args, name, now)

    def rounds(self):
        """Yield what is due, each to be run before the next is asked for."""
        newest = self.schedule.newest
        while (timer := self.schedule.begin(self.now, newest)) is not None:
            yield timer
            self.schedule.ran(timer)

    def due(self):
        return list(self.rounds())

    def run(self, until, takes=0.0):
        """Go from one due timer to the next; return (instant, arguments) of each run."""
        ran = []
        while self.schedule.next_at <= until:
            self.now = max(self.now, self.schedule.next_at)
            for timer in self.rounds():
                ran.append((self.now, timer.args))
                self.now += takes
        self.now = max(self.now, until)
        return ran


@pytest.fixture
def time():
    return Time()


def test_what_is_due_comes_in_the_order_of_its_instants_and_of_setting(time):
    rng = random.Random(1)
    instants = [rng.choice([1.0, 1.5, 2.0, 2.5]) for _ in range(5000)]
    for number, instant in enumerate(instants):
        time.after(instant, number)
    wanted = sorted(enumerate(instants), key=lambda pair: pair[1])  # stable
    assert [args for _, args in time.run(time.now + 5)] == [(number,) for number, _ in wanted]
    assert time.schedule.next_at == math.inf


def test_nothing_is_due_before_its_instant(time):
    time.after(1.0)
    time.now += 0.999
    assert time.due() == []
    time.now += 0.002
    assert len(time.due()) == 1
    assert time.due() == []


def test_a_period_does_not_drift_over_a_million_runs(time):
    begin = time.now
    time.every(0.1)
    for _ in range(3):
        time.now = begin + 100_000.05 + time.now - begin
        assert len(time.due()) == 1
    late = (time.schedule.next_at - begin) / 0.1
    assert late == pytest.approx(round(late), abs=1e-4)
    assert 0 < time.schedule.next_at - time.now <= 0.1


@pytest.mark.parametrize("period", [0.001, 0.1, 1 / 3, 0.7, 86400.0])
def test_each_instant_of_the_grid_is_behind_the_one_before(time, period):
    begin = time.now = 1234567.891
    time.every(period)
    for count in range(1, 2000):
        assert time.schedule.next_at == pytest.approx(begin + count * period, abs=1e-6)
        time.now = time.schedule.next_at
        assert len(time.due()) == 1


@pytest.mark.parametrize(
    ("takes", "instants"),
    [
        (0.5, [1, 2, 3, 4, 5, 6]),
        (0.99, [1, 2, 3, 4, 5, 6]),
        (1.5, [1, 3, 5]),
        (2.5, [1, 4]),
    ],
)
def test_a_slow_run_leaves_out_what_has_passed_and_goes_on_in_the_grid(time, takes, instants):
    begin = time.now
    time.every(1.0)
    assert [at - begin for at, _ in time.run(begin + 6, takes)] == instants


def test_a_late_timer_runs_once_for_all_that_it_has_missed(time):
    begin = time.now
    time.every(1.0)
    time.now += 3.7
    assert len(time.due()) == 1
    assert time.schedule.next_at == begin + 4


def test_now_is_the_next_pass_and_then_the_grid(time):
    begin = time.now
    time.every(1.0, now=True)
    time.now += 0.25
    assert len(time.due()) == 1
    assert time.schedule.next_at == begin + 1


def test_what_a_timer_sets_comes_in_the_next_pass(time):
    """Else one that always sets another at once would keep the messages out."""
    time.after(0)
    time.after(0, 1)
    seen = []
    for timer in time.rounds():
        seen.append(timer.args)
        time.after(0, 2)
    assert seen == [(), (1,)]
    assert [timer.args for timer in time.due()] == [(2,), (2,)]


def test_a_name_is_one_timer(time):
    first = time.after(1.0, 1, name="flush")
    second = time.after(2.0, 2, name="flush")
    assert (first.active, second.active) == (False, True)
    assert [args for _, args in time.run(time.now + 3)] == [(2,)]
    assert not second.active
    third = time.every(1.0, 3, name="flush")
    assert third.active
    assert [args for _, args in time.run(time.now + 2)] == [(3,), (3,)]


def test_a_refused_call_leaves_the_timer_of_that_name(time):
    timer = time.after(1.0, 1, name="flush")
    for call in (
        lambda: time.after(-1, 1, name="flush"),
        lambda: time.after(1.0, 1, 2, 3, name="flush"),
        lambda: time.every(1.0, 1, name="flush", now="yes"),
    ):
        with pytest.raises((InvalidSpec, TypeError)):
            call()
    assert timer.active


def test_cancelling_tells_whether_it_would_have_run(time):
    once, again = time.after(1.0), time.every(1.0)
    assert once.cancel()
    assert not once.cancel()
    assert len(time.run(time.now + 2)) == 2
    assert again.cancel()
    assert not again.cancel()
    assert time.run(time.now + 2) == []
    over = time.after(0)
    assert len(time.due()) == 1
    assert not over.cancel()


@pytest.mark.parametrize("how", ["cancel", "replace"])
def test_a_timer_may_end_itself_and_those_that_are_due_with_it(time, how):
    timers = [time.every(1.0, number, name=f"t{number}") for number in range(3)]
    time.now += 1
    seen = []
    for timer in time.rounds():
        seen.append(timer.args[0])
        for other in timers:
            if how == "cancel":
                other.cancel()
            else:
                time.after(5.0, 9, name=other.name)
    assert seen == [0]
    assert [timer.active for timer in timers] == [False] * 3
    assert [args for _, args in time.run(time.now + 10)] == ([] if how == "cancel" else [(9,)] * 3)


def test_a_timer_that_is_put_off_again_and_again_fills_nothing(time):
    kept = [time.after(50.0 + number) for number in range(10)]
    for number in range(100_000):
        time.after(60.0, number, name="idle")
    assert len(time.schedule._heap) < 200
    for timer in kept:
        timer.cancel()
    assert [args for _, args in time.run(time.now + 100)] == [(99_999,)]


def test_random_orders_are_followed_as_by_a_plain_list(seed):
    """Set, give up, replace and let time pass, against a list that is searched."""
    rng = random.Random(seed)
    time = Time()
    model = []  # (instant, number, key)
    timers = {}
    for number in range(3000):
        roll = rng.random()
        if roll < 0.55:
            name = rng.choice([None, None, "a", "b", "c"])
            wait = rng.randrange(0, 40) / 8
            key = f"{number}"
            timers[key] = (time.after(wait, key, name=name), name)
            if name is not None:
                model = [entry for entry in model if entry[3] != name]
            model.append((time.now + wait, number, key, name))
        elif roll < 0.75 and timers:
            key = rng.choice(list(timers))
            was = any(entry[2] == key for entry in model)
            assert timers[key][0].active == was
            assert timers[key][0].cancel() == was
            model = [entry for entry in model if entry[2] != key]
        else:
            time.now += rng.randrange(0, 8) / 8
            due = sorted(entry for entry in model if entry[0] <= time.now)
            model = [entry for entry in model if entry[0] > time.now]
            assert [timer.args[0] for timer in time.due()] == [entry[2] for entry in due]
        assert time.schedule.next_at == min((entry[0] for entry in model), default=math.inf)


def test_idle_is_counted_from_the_last_message_and_then_from_the_last_notice(time):
    schedule = time.schedule
    schedule.idle_after(2.0)
    time.now += 1.5
    schedule.touch(time.now)  # a message
    time.now += 1.5
    assert not schedule.is_idle(time.now)
    assert schedule.next_at == time.now + 0.5
    time.now += 0.5
    assert schedule.is_idle(time.now)
    schedule.touch(time.now)  # the notice
    assert not schedule.is_idle(time.now)
    assert schedule.next_at == time.now + 2
    schedule.idle_after(None)
    schedule.touch(time.now)
    assert schedule.next_at == math.inf


def test_timers_do_not_end_an_idle_stretch(time):
    time.schedule.idle_after(2.0)
    time.every(0.5)
    until = time.now + 2
    while time.now < until:
        time.now = time.schedule.next_at
        time.due()
    assert time.schedule.is_idle(time.now)


@pytest.mark.parametrize("seconds", [-1, -1e-9, math.nan, math.inf, "1", None, True, 1 << 40])
def test_a_delay_that_makes_no_sense_is_named(time, seconds):
    with pytest.raises(InvalidSpec, match=r"seconds of after is a number .*, not "):
        time.after(seconds)
    assert time.schedule.next_at == math.inf


@pytest.mark.parametrize("seconds", [0, -1, 1e-9, math.nan, math.inf, "1", None])
def test_a_period_that_makes_no_sense_is_named(time, seconds):
    with pytest.raises(InvalidSpec, match=r"seconds of every is a number .*, not "):
        time.every(seconds)
    if seconds is not None:
        with pytest.raises(InvalidSpec, match=r"seconds of idle_after is a number .*, not "):
            time.schedule.idle_after(seconds)


@pytest.mark.parametrize(
    ("method", "args", "error", "said"),
    [
        ("tick", (), TypeError, r"say after\(seconds, Clock.tick, ...\), not 'tick'"),
        (Clock().tick, (), TypeError, r"say after\(seconds, Clock.tick, ...\), not <bound"),
        (Clock, (), TypeError, "takes a method of the actor's class"),
        (None, (), TypeError, "takes a method of the actor's class"),
        (Other.tick, (), UnknownMethod, "Other.tick is not a method of Clock"),
        (math.floor, (1.5,), UnknownMethod, "floor is not a method of Clock"),
        (Clock.tick, (1,), TypeError, r"tick\(\): too many positional arguments"),
        (Clock.add, (), TypeError, "missing a required argument: 'number'"),
        (Clock.add, (1, 2, 3), TypeError, "too many positional arguments"),
    ],
)
def test_what_cannot_be_called_is_refused_where_it_is_set(time, method, args, error, said):
    with pytest.raises(error, match=said):
        time.schedule.after(1.0, method, args, None)
    assert time.schedule.next_at == math.inf


@pytest.mark.parametrize("name", ["", 1, b"flush", "a\0b"])
def test_a_name_is_a_text(time, name):
    with pytest.raises(InvalidSpec, match="name of after is a string"):
        time.after(1.0, name=name)


def test_private_and_static_methods_will_do(time):
    time.schedule.after(1.0, Clock._private, (), None)
    time.schedule.after(1.0, Clock.static, (1,), None)
    time.now += 1
    assert [timer.method for timer in time.due()] == ["_private", "static"]


def test_another_thread_is_told_to_tell(time):
    timer = time.after(1.0)
    with ThreadPoolExecutor(1) as other:
        for call in (
            lambda: time.after(1.0),
            lambda: time.every(1.0),
            lambda: time.schedule.idle_after(1.0),
            timer.cancel,
        ):
            with pytest.raises(RuntimeError, match="from a thread, tell the actor"):
                other.submit(call).result()
    assert timer.active


def test_a_timer_says_what_it_is_and_does_not_travel(time):
    timer = time.every(0.5, 1, name="flush")
    assert repr(timer) == "<Timer add (flush) every 0.5 s>"
    assert timer.label == b"timer add (flush)"
    assert (timer.name, timer.method, timer.args) == ("flush", "add", (1,))
    with pytest.raises(TypeError, match="cannot be pickled: give it a name"):
        pickle.dumps(timer)
    timer.cancel()
    assert repr(timer).endswith(", over>")
