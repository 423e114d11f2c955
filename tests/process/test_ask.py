"""Ask: send, and wait for the reply or an error that names the cause."""

from __future__ import annotations

import functools
import os
import pickle
import signal
import threading
from typing import Any

import psutil
import pytest

from procactors import Actor, ActorRef, errors
from procactors.errors import RemoteTraceback
from procactors.wire.mailbox.black_box import WAITING_ON
from tests.support.actors import Counter, Echo, GetValue, Increment, MessageCounter, Relay, Sleeper
from tests.support.faults import Fault, Unrebuildable
from tests.support.gates import new_gate
from tests.support.scripts import run_source
from tests.support.waiting import CLOCK_TOLERANCE_S, SHORT_S, eventually


def test_an_ask_returns_what_the_method_returns(system):
    counter = system.spawn(Counter, 10)
    assert counter.ask(Counter.increment, 5) == 15
    assert counter.ask(Counter.increment, by=1) == 16
    assert counter.ask(Counter.get_value) == 16


def test_an_ask_of_a_message_returns_what_receive_returns(system):
    counter = system.spawn(MessageCounter)
    assert counter.ask(Increment(3)) is None
    assert counter.ask(GetValue()) == 3


@pytest.mark.parametrize(
    "value",
    [None, 0, "text", b"", (), [1, [2]], {"a": {1}}, 1.5, range(3), Ellipsis, 2**70, "\ud800"],
    ids=repr,
)
def test_any_value_comes_back_equal(system, value):
    assert system.spawn(Echo).ask(Echo.echo, value) == value


def test_a_result_keeps_value_and_type_whichever_way_it_is_written(system):
    """Short plain ones, those just too long for that, those of a segment; by ask and by submit."""
    plain = [0, -1, True, None, -0.0, float("nan"), 1j, "", "\udc80", "x" * 256, b"", b"\x80"]
    others = ["x" * 257, "ä" * 2000, 1 << 17_000, -(1 << 400_000), b"x" * 100_000, (), [1], {}]
    echo = system.spawn(Echo)
    for value in plain + others:
        for back in (echo.ask(Echo.echo, value), echo.submit(Echo.echo, value).result(30)):
            assert type(back) is type(value)
            assert pickle.dumps(back) == pickle.dumps(value)


def test_a_proxys_methods_are_asks(system):
    counter = system.spawn(Counter).proxy()
    assert counter.increment(2) == 2
    assert counter.increment(by=3) == 5
    with pytest.raises(AttributeError, match="Counter has no public method 'incremet'"):
        counter.incremet()


def test_a_proxys_submit_gives_the_reply_as_a_future(system):
    counter = system.spawn(Counter).proxy()
    futures = [counter.submit.increment(2), counter.submit.increment(by=3)]
    assert [future.result() for future in futures] == [2, 5]
    with pytest.raises(AttributeError, match="Counter has no public method 'incremet'"):
        counter.submit.incremet()
    with pytest.raises(AttributeError, match="Counter has no public method 'submit'"):
        counter.submit(2)


class Office(Actor):
    def submit(self, paper: str) -> str:
        return f"{paper} submitted"


def test_a_method_that_is_named_submit_is_called_by_its_name(system):
    office = system.spawn(Office).proxy()
    assert office.submit("form") == "form submitted"
    assert office.submit.submit("form").result() == "form submitted"


class Base(Actor):
    def name(self) -> str:
        return "base"

    def both(self) -> str:
        return f"{Base.name.__qualname__} is {self.name()}"


class Derived(Base):
    def name(self) -> str:
        return "derived"


def logged(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(self: Any, *args: Any) -> Any:
        return ["logged", function(self, *args)]

    return wrapper


class Decorated(Actor):
    @logged
    def add(self, a: int, b: int) -> int:
        return a + b

    @staticmethod
    def fixed() -> str:
        return "static"

    @classmethod
    def of_class(cls) -> str:
        return cls.__name__

    def with_defaults(self, a: int, /, b: int = 2, *, c: int = 3) -> tuple[int, ...]:
        return (a, b, c)

    def anything(self, *args: Any, **kwargs: Any) -> Any:
        return args, kwargs


class Plain:
    """An actor that is no `Actor`."""

    def __init__(self, start: int) -> None:
        self.total = start

    def add(self, number: int) -> int:
        self.total += number
        return self.total


def test_an_override_wins(system):
    derived = system.spawn(Derived)
    assert derived.ask(Base.name) == "derived"
    assert derived.ask(Base.both) == "Base.name is derived"


def test_decorated_static_and_class_methods_are_methods(system):
    decorated = system.spawn(Decorated)
    assert decorated.ask(Decorated.add, 1, 2) == ["logged", 3]
    assert decorated.ask(Decorated.fixed) == "static"
    assert decorated.ask(Decorated.anything, 1, a=2) == ((1,), {"a": 2})
    assert decorated.ask(Decorated.with_defaults, 1, c=5) == (1, 2, 5)
    with pytest.raises(TypeError, match="missing a required argument: 'a'"):
        decorated.ask(Decorated.with_defaults)


def test_any_class_will_do_as_an_actor(system):
    assert system.spawn(Plain, 3).ask(Plain.add, 4) == 7


@pytest.mark.methods
def test_a_handlers_exception_is_raised_as_itself_with_the_remote_traceback(system):
    crasher = system.spawn(Failing)
    with pytest.raises(KeyError, match="nothing") as raised:
        crasher.ask(Failing.fail, KeyError("nothing", 3))
    assert raised.value.args == ("nothing", 3)
    cause = raised.value.__cause__
    assert isinstance(cause, RemoteTraceback)
    assert "in fail" in cause.text
    assert "procactors" not in cause.text.replace("tests", "")  # the handler's frames only
    assert crasher.status().incarnation == 1


class Failing(Actor):
    def fail(self, error: BaseException) -> None:
        raise error

    def fail_unrebuildable(self) -> None:
        raise Unrebuildable(7, "on purpose")

    def fail_with_attributes(self) -> None:
        error = Fault("text")
        error.detail = {"code": 5}  # type: ignore[attr-defined]
        raise error

    def pid(self) -> int:
        return os.getpid()


def test_an_exceptions_attributes_travel(system):
    with pytest.raises(Fault) as raised:
        system.spawn(Failing).ask(Failing.fail_with_attributes)
    assert raised.value.detail == {"code": 5}


def test_an_asks_timeout_is_an_error_of_its_own_and_a_timeout_error(system, gate):
    sleeper = system.spawn(Sleeper)
    with pytest.raises(errors.AskTimeout, match=r"no reply from sleeper-1 within 0\.1 s"):
        sleeper.options(timeout=0.1).ask(Sleeper.sleep, gate)
    assert issubclass(errors.AskTimeout, TimeoutError)
    gate.open()
    assert sleeper.ask(Sleeper.pid) > 0


def test_a_timeout_is_not_shorter_than_it_says(system, gate):
    from time import monotonic

    sleeper = system.spawn(Sleeper)
    began = monotonic()
    with pytest.raises(errors.AskTimeout):
        sleeper.options(timeout=0.3).ask(Sleeper.sleep, gate)
    assert monotonic() - began >= 0.3 - CLOCK_TOLERANCE_S


@pytest.mark.parametrize("timeout", [-1, "1", True, float("nan"), b""])
def test_a_timeout_that_is_no_number_of_seconds_is_named(system, timeout):
    counter = system.spawn(Counter)
    with pytest.raises(
        errors.InvalidSpec, match="timeout is a number of seconds from 0 on, or None for ever"
    ):
        counter.options(timeout=timeout)


def test_the_systems_ask_timeout_holds_for_refs_that_name_none(start_method, gate):
    from procactors import ActorSystem

    with ActorSystem(start_method=start_method, ask_timeout=0.1) as system:
        sleeper = system.spawn(Sleeper)
        with pytest.raises(errors.AskTimeout):
            sleeper.ask(Sleeper.sleep, gate)
        gate.open()
        assert sleeper.options(timeout=None).ask(Sleeper.pid) > 0


def test_an_ask_of_a_stopped_actor_raises_at_once(system):
    counter = system.spawn(Counter)
    counter.stop()
    with pytest.raises(errors.ActorStopped, match="counter-1 has stopped"):
        counter.ask(Counter.get_value)


def test_asks_in_the_mailbox_of_a_killed_actor_end_with_stopped(system, gate):
    sleeper = system.spawn(Sleeper)
    replies = [sleeper.submit(Sleeper.sleep, gate) for _ in range(5)]
    gate.arrival()
    sleeper.kill()
    with pytest.raises(errors.ActorDied) as died:
        replies[0].result()
    assert died.value.report.reason.signal_name == "SIGKILL"
    for reply in replies[1:]:
        with pytest.raises(errors.ActorStopped):
            reply.result()


def test_actors_ask_each_other(system):
    counter = system.spawn(Counter, 4)
    relay = system.spawn(Relay, counter)
    assert relay.ask(Relay.ask, Counter.increment, 1) == 5
    with pytest.raises(TypeError):
        relay.ask(Relay.ask, Counter.increment, "text")


class Ring(Actor):
    """Asks along a list of refs; the last asks the first."""

    def pass_on(self, ring: list[Any]) -> str:
        return ring[0].ask(Ring.pass_on, ring[1:]) if ring else "the end"


@pytest.mark.parametrize("length", [2, 3, 5])
def test_a_ring_of_asks_is_an_error_not_a_deadlock(system, length):
    ring = [system.spawn(Ring) for _ in range(length)]
    with pytest.raises(errors.AskCycleError, match="would wait for") as caught:
        ring[0].ask(Ring.pass_on, [*ring[1:], ring[0]])
    names = [ref.name for ref in ring]
    rings = [[*names[at:], *names[:at], names[at]] for at in range(length)]
    assert any(f": {' → '.join(ring)} would wait for" in str(caught.value) for ring in rings)
    assert ring[0].ask(Ring.pass_on, ring[1:]) == "the end"


class Pair(Actor):
    """Asks its other, or holds it up."""

    def pid(self) -> int:
        return os.getpid()

    def hold(self, pid: int) -> str:
        os.kill(pid, signal.SIGSTOP)
        return "held"

    def ask_to_hold(self, other: ActorRef[Pair]) -> str:
        return other.ask(Pair.hold, os.getpid())

    def ask_pid(self, other: ActorRef[Pair]) -> int:
        return other.ask(Pair.pid)


def test_an_asker_that_was_answered_and_has_not_run_since_closes_no_ring(system):
    first, second = system.spawn(Pair), system.spawn(Pair)
    pid = first.ask(Pair.pid)
    held = first.submit(Pair.ask_to_hold, second)
    try:
        eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, "the hold")
        asked = second.submit(Pair.ask_pid, first)
        words = system._endpoint.words(second._actor)
        eventually(lambda: words[WAITING_ON] == first._actor or asked.done(), "the ask")
        assert not asked.done()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert asked.result(SHORT_S) == pid
    assert held.result(SHORT_S) == "held"


def test_a_signal_handler_that_raises_leaves_the_asker_in_step(system, tmp_path):
    echo = system.spawn(Echo)
    sleeper = system.spawn(Sleeper)

    class Alarm(Exception):
        pass

    def ring(number: int, frame: Any) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with new_gate(tmp_path / "held") as gate:
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Alarm):
                sleeper.ask(Sleeper.sleep, gate)
            for number in range(50):
                assert echo.ask(Echo.echo, number) == number
        assert sleeper.ask(Sleeper.pid) > 0
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


ALARMS = """
import signal, sys
from procactors import ActorSystem
from tests.support.actors import Echo
class Alarm(BaseException): pass
alarms = number = 0
def ring(*_): raise Alarm
with ActorSystem(start_method=sys.argv[1]) as system:
    echo = system.spawn(Echo)
    signal.signal(signal.SIGALRM, ring)
    while alarms < 100:
        try:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0002 + alarms % 7 * 0.00005)
                while True:
                    number += 1
                    assert echo.ask(Echo.echo, number) == number
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except Alarm:
            alarms += 1
    assert echo.ask(Echo.echo, "last") == "last"
    assert echo.status().incarnation == 1
print("done")
"""


def test_many_alarms_at_any_moment_leave_every_answer_with_its_question(start_method):
    """In a program of its own: an alarm may come between a descriptor's opening and its name."""
    assert run_source(ALARMS, start_method) == "done\n"


def test_a_forked_copy_is_told_that_it_does_not_belong(system):
    counter = system.spawn(Counter)
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            counter.ask(Counter.get_value)
        except errors.ForeignProcess as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(pid, 0)
    text = os.read(reading, 1000).decode()
    os.close(reading)
    assert "is a forked copy of process" in text
    assert counter.ask(Counter.get_value) == 0


def test_asks_that_wait_while_the_system_stops_end_and_leave_nothing(start_method, tmp_path):
    from procactors import ActorSystem

    outcomes = []

    def wait(sleeper: Any, gate: Any) -> None:
        try:
            sleeper.ask(Sleeper.sleep, gate)
        except errors.ProcActorsError as error:
            outcomes.append(type(error))

    with new_gate(tmp_path / "g") as gate, ActorSystem(start_method=start_method) as system:
        sleeper = system.spawn(Sleeper)
        threads = [threading.Thread(target=wait, args=(sleeper, gate)) for _ in range(4)]
        for thread in threads:
            thread.start()
        gate.arrival()
        eventually(lambda: sleeper.status().mailbox > 0, "the asks that queue")
        system.stop(0.2)
        for thread in threads:
            thread.join()
    assert sorted(kind.__name__ for kind in outcomes) == ["ActorDied"] + ["ActorStopped"] * 3
    # With the system held to the end, the leak check sees what the asks have not given back.
    assert system.wait(0)
