"""Many tells at once: each message is one by itself, and many go in one write."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from procactors import Actor, Delivery, Overflow, errors
from tests.support.actors import Counter, Recorder, Relay, Sleeper, recorded
from tests.support.waiting import eventually


def numbers(count: int, then: BaseException | None = None) -> Iterator[tuple[int]]:
    """Yield arguments, and raise behind them."""
    for number in range(count):
        yield (number,)
    if then is not None:
        raise then


@pytest.mark.methods
@pytest.mark.parametrize("count", [0, 1, 3_000], ids=["none", "one", "more than a pipe holds"])
def test_all_are_handled_in_order_before_what_is_sent_later(system, tmp_path, count):
    recorder = system.spawn(Recorder, tmp_path / "log")
    recorder.tell_many(Recorder.record, numbers(count))
    recorder.tell(Recorder.record, -1)
    recorder.stop()
    assert recorded(tmp_path / "log") == [*range(count), -1]


def test_small_and_large_messages_keep_their_order(system):
    inbox = system.inbox()
    relay = system.spawn(Relay, inbox.ref)
    sizes = [1, 5_000, 10, 2_000_000, 3, 70_000, 4_000, 100] * 5
    relay.tell_many(Relay.tell, ((b"x" * size,) for size in sizes))
    assert [len(inbox.receive()) for _ in sizes] == sizes


def test_an_actor_that_is_held_up_does_not_hold_up_the_sender(system, gate, tmp_path):
    recorder = system.spawn(Recorder, tmp_path / "log")
    recorder.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    recorder.tell_many(Recorder.record, ((number,) for number in range(1, 5_000)))
    recorder.tell_many(Recorder.record, ((number,) for number in range(5_000, 10_000)))
    recorder.tell(Recorder.record, 10_000)
    gate.open()
    recorder.stop()
    assert recorded(tmp_path / "log") == list(range(10_001))


class Own(Actor):
    """Tells itself more than its mailbox holds, while it is the only one who could make room."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def fill(self, count: int) -> None:
        self.context.ref.tell_many(Own.note, ((number,) for number in range(count)))

    def note(self, number: int) -> None:
        self.seen.append(number)

    def look(self) -> list[int]:
        return self.seen


def test_an_actor_may_tell_itself_more_than_its_mailbox_holds(system):
    own = system.spawn(Own)
    own.ask(Own.fill, 3_000)
    eventually(lambda: len(own.ask(Own.look)) == 3_000, "all of them")
    assert own.ask(Own.look) == list(range(3_000))


# -- what is raised in the middle ------------------------------------------------------------------


@pytest.mark.parametrize("raised", [ValueError("no more"), KeyboardInterrupt()])
@pytest.mark.parametrize("before", [0, 10, 200])
def test_what_came_before_an_error_of_the_iterable_is_sent(system, raised, before):
    counter = system.spawn(Counter)
    with pytest.raises(type(raised)):
        counter.tell_many(Counter.increment, ((1,) for _ in numbers(before, raised)))
    assert counter.ask(Counter.get_value) == before


def test_what_came_before_arguments_that_do_not_fit_is_sent(system):
    counter = system.spawn(Counter)
    with pytest.raises(TypeError, match=r"increment\(by: .*: too many positional arguments"):
        counter.tell_many(Counter.increment, [(1,), (1,), (1, 2), (1,)])
    assert counter.ask(Counter.get_value) == 2


def test_a_value_that_cannot_be_pickled_says_how_many_were_sent(system):
    counter = system.spawn(Counter)
    arguments: list[Any] = [(1,)] * 100 + [(open(os.devnull),)]  # noqa: SIM115 - closed below
    with pytest.raises(errors.EncodeError) as raised:
        counter.tell_many(Counter.increment, arguments)
    arguments[-1][0].close()
    assert raised.value.sent == counter.ask(Counter.get_value) == 100


def test_what_is_no_method_or_no_tuple_is_refused(system):
    counter = system.spawn(Counter)
    with pytest.raises(TypeError, match="expected a method of the actor"):
        counter.tell_many("increment", [(1,)])
    with pytest.raises(TypeError, match="expected a tuple of arguments"):
        counter.tell_many(Counter.increment, [1])
    with pytest.raises(errors.UnknownMethod, match="is not a method of Counter"):
        counter.tell_many(Recorder.record, [(1,)])
    assert counter.ask(Counter.get_value) == 0


def test_a_stopped_actor_takes_none(system):
    counter = system.spawn(Counter)
    counter.tell_many(Counter.increment, [(1,)])
    counter.stop()
    with pytest.raises(errors.ActorStopped) as raised:
        counter.tell_many(Counter.increment, [(1,)] * 200)
    assert raised.value.sent == 0


def test_an_actor_that_drops_and_stops_in_the_middle_says_how_many_were_sent(system):
    counter = system.options(mailbox=100, overflow=Overflow.DROP).spawn(Counter)

    def arguments():
        for number in range(20):
            if number == 12:
                counter.stop()
            yield (1,)

    with pytest.raises(errors.ActorStopped) as raised:
        counter.tell_many(Counter.increment, arguments())
    assert raised.value.sent == 12


# -- each by itself --------------------------------------------------------------------------------


def test_each_that_a_stop_leaves_is_a_dead_letter_by_itself(system, gate):
    sleeper = system.spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    sleeper.tell_many(Sleeper.pid, [()] * 5)
    sleeper.kill()
    letters = eventually(lambda: len(found := list(system.dead_letters)) == 6 and found, "all")
    assert [letter.message for letter in letters[1:]] == [((), {})] * 5


class Mortal(Actor):
    """Kills its process at some messages, at the first try."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def record(self, number: int) -> None:
        if number % 50 == 7 and self.context.deliveries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        Recorder(self.path).record(number)


def test_each_is_redelivered_by_itself(system, tmp_path):
    options = system.options(delivery=Delivery.AT_LEAST_ONCE, max_restarts=100)
    mortal = options.spawn(Mortal, tmp_path / "log")
    mortal.tell_many(Mortal.record, numbers(200))
    mortal.stop()
    assert recorded(tmp_path / "log") == list(range(200))


def test_a_ref_without_its_class_leaves_the_check_to_the_actor(system):
    counter = system.spawn(Counter)
    relay = system.spawn(Relay, counter)
    relay.ask(Relay.tell_many, Counter.increment, [(1,), (1, 2), (3,)])
    letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert letter.message == ((1, 2), {})
    assert counter.ask(Counter.get_value) == 4


# -- bounded mailboxes -----------------------------------------------------------------------------


def test_a_bounded_mailbox_has_a_place_for_each(system, tmp_path):
    recorder = system.options(mailbox=10).spawn(Recorder, tmp_path / "log")
    recorder.tell_many(Recorder.record, numbers(500))
    recorder.stop()
    assert recorded(tmp_path / "log") == list(range(500))


@pytest.mark.parametrize("overflow", [Overflow.BLOCK, Overflow.RAISE])
def test_the_error_of_a_full_mailbox_says_how_many_were_sent(system, gate, overflow):
    sleeper = system.options(mailbox=100, overflow=overflow).spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()  # the message in hand keeps its place until it is done
    with pytest.raises(errors.MailboxFull) as raised:
        sleeper.options(timeout=0.1).tell_many(Sleeper.pid, [()] * 150)
    assert raised.value.sent == 99


def test_what_a_full_mailbox_drops_are_dead_letters_one_by_one(system, gate):
    sleeper = system.options(mailbox=3, overflow=Overflow.DROP).spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    sleeper.tell_many(Sleeper.pid, [()] * 10)
    eventually(lambda: system.dead_letters.total == 8, "the dead letters")


@pytest.mark.parametrize("options", [{}, {"mailbox": 100, "overflow": Overflow.DROP}])
@pytest.mark.parametrize("then", ["goes on", "ends"])
def test_a_copy_that_the_iterable_forks_sends_none_of_them(system, tmp_path, options, then):
    recorder = system.options(**options).spawn(Recorder, tmp_path / "log")
    original, codes = os.getpid(), []

    def forking() -> Iterator[tuple[int]]:
        yield from numbers(3)
        child = os.fork()
        if child:
            codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            yield (3,)
        elif then == "goes on":
            yield (-1,)
        else:
            raise Left

    code = 1
    try:
        recorder.tell_many(Recorder.record, forking())
    except errors.ForeignProcess:
        code = 2
    except Left:
        code = 3
    finally:
        if os.getpid() != original:
            os._exit(code)
    recorder.stop()
    assert codes == [2 if then == "goes on" else 3]
    assert recorded(tmp_path / "log") == [0, 1, 2, 3]


class Left(Exception):
    """The copy is left."""
