"""The deterministic backend: its order, its time, its crashes, and what a debugger sees."""

from __future__ import annotations

import threading
import time

import pytest

from procactors import ActorSystem, Backoff, Restart
from procactors.errors import ActorDied, ActorStopped, AskTimeout, InvalidSpec, UnsupportedOnBackend
from procactors.testing import Counterexample, eventually, explore, probe
from tests.conformance.actors import Asker, Clock, Counter, Desk, Keeper
from tests.support import lost_update


@pytest.fixture
def system():
    with ActorSystem(backend="inline", seed=3) as system:
        yield system


def _busy(seed):
    """Return the history of a run in which five actors tell and ask each other."""
    with ActorSystem(backend="inline", seed=seed) as system:
        keeper, counter = system.spawn(Keeper), system.spawn(Counter)
        askers = [system.spawn(Asker, counter) for _ in range(5)]
        for asker in askers:
            asker.tell(Asker.tell_all, keeper, 10)
        replies = [asker.submit(Asker.through, 1) for asker in askers]
        counter.tell(Counter.fail)
        system.clock.advance(1.0)
        for reply in replies:
            reply.exception()
        system.crash(keeper)
        keeper.ask(Keeper.take)
        return system.history


def test_the_same_seed_is_the_same_run_and_another_one_is_another():
    first = _busy(11)
    assert "\n".join(first).encode() == "\n".join(_busy(11)).encode()
    assert len({tuple(_busy(seed)) for seed in range(6)}) > 1


def test_seeds_of_actors_and_backoffs_come_from_the_seed_too():
    def waits(seed):
        with ActorSystem(backend="inline", seed=seed) as system:
            options = system.options(backoff=Backoff(1.0, 9.0, jitter=1.0), max_restarts=9)
            actor = options.spawn(Seeded)
            found = [actor.ask(Seeded.seed)]
            for _ in range(3):
                actor.tell(Seeded.fail)
                actor.ask(Seeded.seed)
                found.append(system.clock.now)
            return found

    assert waits(5) == waits(5)
    assert waits(5) != waits(6)


def test_nothing_runs_before_the_program_waits_or_says_so(system):
    counter = system.spawn(Counter)
    counter.tell(Counter.increment)
    assert counter.status().mailbox + counter.status().handled >= 1
    system.run_until_idle()
    assert counter.status().handled == 1


def test_time_passes_when_it_is_told_to(system):
    clock = system.spawn(Clock)
    clock.ask(Clock.again, 3600.0, "hour")
    begin = time.monotonic()
    before = system.clock.now
    system.clock.advance(24 * 3600.0)
    assert system.clock.now == before + 24 * 3600.0
    assert clock.ask(Clock.seen) == ["hour"] * 24
    assert time.monotonic() - begin < 60


def test_time_passes_by_itself_to_what_is_waited_for(system):
    desk, clock = system.spawn(Desk), system.spawn(Clock)
    clock.ask(Clock.once, 500.0, "late")
    before = system.clock.now
    with pytest.raises(AskTimeout, match="within 100 s"):
        desk.options(timeout=100).ask(Desk.put_off, 1)
    assert system.clock.now == pytest.approx(before + 100)
    assert clock.ask(Clock.seen) == []


def test_an_ask_that_nothing_will_answer_says_so(system):
    desk = system.spawn(Desk)
    with pytest.raises(AskTimeout, match="will never come: nothing is left to run"):
        desk.ask(Desk.put_off, 1)
    reply = desk.submit(Desk.put_off, 1)
    with pytest.raises(AskTimeout, match="will never come"):
        reply.result()


def test_who_waits_in_vain_in_a_handler_is_told_first(system):
    desk = system.spawn(Desk)
    asker = system.spawn(PutsOff, desk)
    with pytest.raises(AskTimeout, match="the reply of desk"):
        asker.ask(PutsOff.ask)


def test_a_crash_is_played(system):
    counter = system.options(name="c", restart=Restart.PERMANENT).spawn(Counter, 5)
    counter.tell(Counter.increment)
    system.crash(counter)  # before it has come to the message
    assert counter.ask(Counter.get) == 6
    assert counter.status().incarnation == 2
    counter.stop()
    with pytest.raises(ActorStopped):
        system.crash(counter)


def test_a_crash_in_the_midst_of_a_handler_ends_it_there(system):
    desk, keeper = system.spawn(Desk), system.spawn(Keeper)
    waits = system.spawn(Unwinds, desk, keeper)
    reply = waits.submit(Unwinds.wait)
    system.run_until_idle()
    system.crash(waits)
    with pytest.raises(ActorDied):
        reply.result()
    system.run_until_idle()
    # What it still told while it unwound, and its return, had no effect.
    assert keeper.ask(Keeper.take) == []
    assert waits.ask(Unwinds.alive)


def test_an_exception_keeps_its_frames(system):
    counter = system.spawn(Counter)
    for call in (lambda: counter.ask(Counter.fail), counter.submit(Counter.fail).result):
        with pytest.raises(ValueError, match="on purpose") as caught:
            call()
        assert caught.traceback[-1].name == "fail"
        assert caught.traceback[-1].frame.f_locals["text"] == "on purpose"


def test_a_handler_may_read_the_terminal_and_stop_at_a_breakpoint(system, monkeypatch):
    counter = system.spawn(Interactive)
    monkeypatch.setattr("builtins.input", lambda prompt: f"{prompt} yes")
    stopped = []
    monkeypatch.setattr("sys.breakpointhook", lambda: stopped.append(threading.current_thread()))
    assert counter.ask(Interactive.ask_user) == "sure? yes"
    assert len(stopped) == 1


def test_a_thread_of_ones_own_cannot_wait(system):
    counter = system.spawn(Counter)
    errors = []

    def ask():
        try:
            counter.ask(Counter.get)
        except UnsupportedOnBackend as error:
            errors.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert "order of everything is drawn from the seed" in errors[0]


def test_one_thread_runs_at_a_time(system):
    """Handlers that wait have threads, but never two of them run."""
    counter = system.spawn(Counter)
    askers = [system.spawn(Alone, counter) for _ in range(10)]
    replies = [asker.submit(Alone.work) for asker in askers for _ in range(5)]
    assert [reply.result() for reply in replies] == [True] * 50


def test_probes_and_eventually_use_its_time(system):
    receiver = probe(system)
    clock = system.spawn(Teller, receiver.ref)
    clock.tell(Teller.later, 0.5, "hello")
    receiver.expect_nothing(within=0.4)
    assert receiver.expect(str) == "hello"
    with pytest.raises(AssertionError, match="expected 'more' within 1 s, but nothing came"):
        receiver.expect("more")
    clock.tell(Teller.later, 0.5, "other")
    with pytest.raises(AssertionError, match="expected 'more', but 'other' came"):
        receiver.expect("more")
    clock.tell(Teller.later, 20, "late")
    eventually(lambda: clock.ask(Teller.told) == 3, system=system)
    clock.stop()
    receiver.expect_terminated(clock)
    receiver.expect_all("other", "late")


def test_a_lost_update_is_found_and_its_shortest_history_told():
    with pytest.raises(Counterexample) as caught:
        explore(lost_update.program, seeds=1000)
    error = caught.value
    assert isinstance(error.__cause__, AssertionError)
    reads = [line for line in error.history if "Store.get from incrementer" in line]
    assert len(reads) == 2
    # Played again by its seed alone, it is the same.
    with pytest.raises(Counterexample) as again:
        explore(lost_update.program, seeds=[error.seed])
    assert again.value.history == error.history


def test_a_program_without_such_a_mistake_passes_under_all_orders():
    assert explore(lost_update.careful, seeds=25) == 25


def test_an_actor_that_is_left_waiting_is_no_obstacle_to_the_end():
    with ActorSystem(backend="inline") as system:
        desk = system.spawn(Desk)
        asker = system.spawn(PutsOff, desk)
        asker.tell(PutsOff.ask)
        system.run_until_idle()
        report = system.kill()
    assert asker.name in {end.name for end in report.actors}


class Seeded:
    def seed(self):
        from procactors import current_context

        return current_context().seed

    def fail(self):
        raise ValueError("on purpose")


class PutsOff:
    def __init__(self, desk):
        self.desk = desk

    def ask(self):
        return self.desk.ask(Desk.put_off, 1)


class Unwinds:
    def __init__(self, desk, keeper):
        self.desk = desk
        self.keeper = keeper

    def wait(self):
        try:
            self.desk.ask(Desk.put_off, 1)
        finally:
            self.keeper.tell(Keeper.keep, "from beyond")

    def alive(self):
        return True


class Interactive:
    def ask_user(self):
        breakpoint()  # noqa: T100 - what is tested
        return input("sure?")


class Alone:
    running = 0

    def __init__(self, counter):
        self.counter = counter

    def work(self):
        Alone.running += 1
        is_alone = Alone.running == 1
        Alone.running -= 1
        self.counter.ask(Counter.increment)
        return is_alone


class Teller:
    def __init__(self, ref):
        self.ref = ref
        self.count = 0

    def later(self, seconds, what):
        from procactors import current_context

        current_context().after(seconds, Teller.tell, what)

    def tell(self, what):
        self.count += 1
        self.ref.tell(what)

    def told(self):
        return self.count


async def ask_in_a_coroutine(system):
    system.spawn(Counter).ask(Counter.get)


def test_what_would_explore_nothing_is_refused():
    for program, seeds in ((ask_in_a_coroutine, 3), (None, 3), (len, []), (len, 2.5)):
        with pytest.raises(InvalidSpec):
            explore(program, seeds=seeds)


def test_crash_and_advance_refuse_what_they_cannot_do():
    with ActorSystem(backend="inline") as system:
        with pytest.raises(InvalidSpec, match="ref of an actor"):
            system.crash("counter")
        with pytest.raises(InvalidSpec, match="infinity"):
            system.clock.advance(float("inf"))
