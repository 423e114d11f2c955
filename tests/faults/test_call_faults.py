"""Calls and replies under faults: cases 12 to 22 of the acceptance list."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from procactors import Actor, ActorRef, Delivery, ExitKind, errors
from tests.support.actors import Crasher, Echo, Relay, Sleeper
from tests.support.faults import DEADLY, ERRORS, FAULTS, BreaksWhenLoaded, BreaksWhenPickled
from tests.support.gates import Gate, new_gate
from tests.support.scripts import run_source
from tests.support.waiting import SHORT_S, eventually

OFTEN = {"max_restarts": 100_000}


def test_the_caller_of_a_killed_actor_is_told_how_it_died(system, gate):
    """Case 12 of the acceptance list."""
    sleeper = system.spawn(Sleeper)
    reply = sleeper.submit(Sleeper.sleep, gate)
    pid = gate.arrival()
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(errors.ActorDied, match=r"ended by signal SIGKILL.* in handler") as died:
        reply.result()
    report = died.value.report
    assert (report.pid, report.incarnation, report.deliveries) == (pid, 1, 1)
    assert report.reason.signal_name == "SIGKILL"
    assert report.handler.endswith("sleep")
    assert report.busy_s > 0


def test_a_late_reply_is_never_taken_for_anothers(system, tmp_path):
    """Case 13 of the acceptance list, a hundred rounds."""
    holder = system.spawn(Holder)
    with new_gate(tmp_path / "g") as gate:
        for number in range(100):
            ask_in_vain(holder, gate, -number)
            gate.let_pass()
            gate.arrival()
            assert holder.ask(Holder.answer, number) == number


def ask_in_vain(holder, gate, value):
    """Have a handler begin whose caller has given up; one that came too late is not begun."""
    while True:
        expired = holder.status().expired
        with pytest.raises(errors.AskTimeout):
            holder.options(timeout=0.002).ask(Holder.answer_at, gate, value)
        # That it is in hand says nothing: it is so, too, while it is found to be late.
        eventually(
            lambda expired=expired: gate.has_arrival() or holder.status().expired > expired,
            "what comes of it",
        )
        if gate.has_arrival():
            return


class Holder(Actor):
    def answer_at(self, gate: Gate, value: Any) -> Any:
        gate.wait()
        return value

    def answer(self, value: Any) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()


ENDS = [*DEADLY, "sys.exit(0)", "sys.exit(3)", "base exception", "keyboard interrupt"]


@pytest.mark.parametrize("how", [how for how in ENDS if how != "SIGTERM"])
def test_whatever_ends_the_process_in_a_handler_the_caller_is_told(system, how):
    """Case 14 of the acceptance list."""
    crasher = system.spawn(Crasher)
    with pytest.raises(errors.ActorDied) as died:
        crasher.ask(Crasher.crash, how)
    reason, way = died.value.report.reason, FAULTS[how]
    if way.signal:
        assert (reason.kind, reason.signal_name) == (ExitKind.SIGNAL, way.signal.name)
    elif way.exit_code is not None:
        assert (reason.kind, reason.code) == (ExitKind.EXIT, way.exit_code)
    else:
        assert reason.kind is ExitKind.ERROR
    if how == "segfault":
        assert "in _segfault" in died.value.report.native_stack
    assert crasher.ask(Crasher.pid) != died.value.report.pid


@pytest.mark.parametrize("how", ERRORS)
def test_an_error_in_a_handler_is_the_callers_and_the_actor_lives(system, how):
    """Case 15 of the acceptance list, and its neighbours."""
    crasher = system.spawn(Crasher)
    kind = FAULTS[how].raises if how != "unrebuildable" else errors.RemoteError
    with pytest.raises(kind) as raised:
        crasher.ask(Crasher.crash, how)
    if how == "unrebuildable":
        assert raised.value.type_name == "tests.support.faults.Unrebuildable"
        assert raised.value.text == "7: on purpose"
        assert "in crash" in raised.value.traceback
    assert "in crash" in str(raised.value.__cause__)
    assert crasher.ask(Crasher.pid) > 0
    assert crasher.status().incarnation == 1


class Giver(Actor):
    """Gives results that break somewhere."""

    def unpicklable(self) -> Any:
        return {"result": threading.Lock()}

    def breaks_when_pickled(self, how: str) -> Any:
        return BreaksWhenPickled(how)

    def breaks_when_loaded(self, how: str, where: int) -> Any:
        return BreaksWhenLoaded(how, where)

    def raises_what_breaks(self, how: str, where: int) -> None:
        raise ValueError(BreaksWhenLoaded(how, where))

    def take(self, value: Any) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()


def test_a_result_that_cannot_be_pickled_fails_that_call_alone(system):
    """Case 16 of the acceptance list: the result."""
    giver = system.spawn(Giver)
    with pytest.raises(errors.ResultEncodeError, match=r"unpicklable ran, but .*\['result'\]"):
        giver.ask(Giver.unpicklable)
    with pytest.raises(errors.ResultEncodeError, match="Fault: on purpose"):
        giver.ask(Giver.breaks_when_pickled, "exception")
    assert giver.ask(Giver.take, 1) == 1
    assert giver.status().incarnation == 1


def test_a_result_that_does_not_load_fails_that_call_alone(system):
    """Case 16 of the acceptance list: the result, at the caller."""
    giver = system.spawn(Giver)
    for _ in range(3):
        with pytest.raises(errors.DecodeError, match="Fault: on purpose"):
            giver.ask(Giver.breaks_when_loaded, "exception", os.getpid())
        reply = giver.submit(Giver.breaks_when_loaded, "exception", os.getpid())
        after = giver.submit(Giver.take, 1)
        with pytest.raises(errors.DecodeError):
            reply.result()
        assert after.result() == 1
    assert giver.ask(Giver.take, 1) == 1


def test_an_exception_that_does_not_load_here_fails_that_call_alone(system):
    giver = system.spawn(Giver)
    with pytest.raises(errors.RemoteError, match=r"ValueError.*Fault: on purpose") as raised:
        giver.ask(Giver.raises_what_breaks, "exception", os.getpid())
    assert "in raises_what_breaks" in raised.value.traceback
    with pytest.raises(errors.RemoteError, match="ValueError"):
        giver.ask(Giver.raises_what_breaks, "exception", giver.ask(Giver.pid))
    assert giver.ask(Giver.take, 1) == 1


def test_a_message_that_does_not_load_fails_that_call_alone(system):
    """Case 16 of the acceptance list: the message."""
    giver = system.spawn(Giver)
    pid = giver.ask(Giver.pid)
    with pytest.raises(errors.DecodeError, match=r"could not be unpickled.*Fault: on purpose"):
        giver.ask(Giver.take, BreaksWhenLoaded("exception", pid))
    giver.tell(Giver.take, BreaksWhenLoaded("exception", pid))
    letter = eventually(lambda: list(system.dead_letters), "the dead letter")[0]
    assert "Fault: on purpose" in letter.reason
    assert giver.ask(Giver.pid) == pid


@pytest.mark.parametrize("how", ["os._exit(7)", "SIGKILL", "sys.exit(3)", "segfault"])
def test_a_message_that_kills_where_it_is_loaded_is_not_delivered_again(system, how):
    """Case 17 of the acceptance list."""
    giver = system.spawn(Giver)
    pid = giver.ask(Giver.pid)
    with pytest.raises(errors.ActorDied) as died:
        giver.ask(Giver.take, BreaksWhenLoaded(how, pid))
    assert died.value.report.pid == pid
    assert died.value.report.deliveries == 1
    assert giver.ask(Giver.take, 1) == 1
    assert giver.status().incarnation == 2


def test_a_result_that_kills_where_it_is_pickled_is_the_actors_death(system):
    giver = system.spawn(Giver)
    with pytest.raises(errors.ActorDied) as died:
        giver.ask(Giver.breaks_when_pickled, "os._exit(7)")
    assert died.value.report.reason.code == 7
    assert giver.ask(Giver.take, 1) == 1


def test_a_caller_that_dies_while_it_waits_leaves_the_actor_well(system, gate, caplog):
    """Case 18 of the acceptance list."""
    sleeper = system.spawn(Sleeper)
    caller = system.options(**OFTEN).spawn(Relay, sleeper)
    waiting = caller.submit(Relay.ask, Sleeper.sleep, gate)
    sleeper_pid = gate.arrival()
    caplog.clear()
    os.kill(caller.status().pid, signal.SIGKILL)
    with pytest.raises(errors.ActorDied):
        waiting.result()
    gate.open()
    assert sleeper.ask(Sleeper.pid) == sleeper_pid
    assert caller.ask(Relay.ask, Sleeper.pid) == sleeper_pid
    assert sleeper.name not in caplog.text


def test_threads_get_their_own_answers(system):
    """Case 19 of the acceptance list."""
    echo = system.spawn(Echo)
    wrong: list[Any] = []

    def ask(thread: int) -> None:
        wrong.extend(n for n in range(500) if echo.ask(Echo.echo, (thread, n)) != (thread, n))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


FEW_DESCRIPTORS = """
import os, sys, threading
from procactors import ActorSystem, errors
from tests.support.actors import Echo
with ActorSystem(start_method=sys.argv[1]) as system:
    echo = system.spawn(Echo)
    for number in range(2000):
        assert echo.ask(Echo.echo, number) == number
    before = len(os.listdir("/proc/self/fd"))
    outcomes = []
    def ask(number):
        try:
            outcomes.append(echo.ask(Echo.echo, number) == number)
        except errors.StorageFull as error:
            assert "no file descriptor is left" in str(error), error
            outcomes.append(None)
    def many(count):
        threads = [threading.Thread(target=ask, args=(n,)) for n in range(count)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    many(200)
    assert len(outcomes) == 200 and False not in outcomes, outcomes
    assert echo.ask(Echo.echo, 1) == 1
    replies = [echo.submit(Echo.echo, number) for number in range(3000)]
    assert [reply.result() for reply in replies] == list(range(3000))
    assert len(os.listdir("/proc/self/fd")) <= before + 200
assert len(os.listdir("/proc/self/fd")) < 20, os.listdir("/proc/self/fd")
print("done")
"""


def test_few_descriptors_are_enough_or_a_clear_error(start_method):
    """Case 20 of the acceptance list."""
    assert run_source(FEW_DESCRIPTORS, start_method, limits=["-n 256"]) == "done\n"


NO_DESCRIPTORS = """
import os, sys
from procactors import ActorSystem, errors
from tests.support.actors import Echo
with ActorSystem(start_method=sys.argv[1]) as system:
    echo = system.spawn(Echo)
    assert echo.ask(Echo.echo, 1) == 1
    other = system.spawn(Echo)
    taken = []
    try:
        while True: taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError: pass
    assert echo.ask(Echo.echo, 2) == 2          # all that it takes is open already
    for action in (lambda: other.tell(Echo.echo, 1), lambda: echo.submit(Echo.echo, 1)):
        try: action()
        except errors.StorageFull as error: assert "no file descriptor" in str(error), error
        else: raise AssertionError("where did it get one from?")
    try: echo.tell(Echo.echo, b"x" * 3_000_000)
    except errors.StorageFull as error: assert "no file descriptor" in str(error), error
    for fd in taken: os.close(fd)
    assert other.ask(Echo.echo, 3) == 3
    assert echo.submit(Echo.echo, b"x" * 3_000_000).result() == b"x" * 3_000_000
print("done")
"""


def test_without_any_descriptor_a_call_is_a_clear_error(start_method):
    assert run_source(NO_DESCRIPTORS, start_method, limits=["-n 64"]) == "done\n"


def test_an_actor_that_asks_itself_is_told_at_once(system):
    """Case 21 of the acceptance list."""
    relay = system.spawn(Relay)
    relay.tell(Relay.aim, relay)
    with pytest.raises(errors.AskCycleError, match="relay-1 asks itself"):
        relay.ask(Relay.ask, Relay.aim, None)
    relay.ask(Relay.tell, Relay.aim, None)


class Huge(Actor):
    def body_at(self, gate: Gate, size: int) -> bytes:
        gate.wait()
        return b"x" * size

    def small(self) -> int:
        return 1


def test_a_huge_late_reply_does_not_hold_the_actor_up(system, gate):
    """Case 22 of the acceptance list."""
    huge = system.spawn(Huge)
    with pytest.raises(errors.AskTimeout):
        huge.options(timeout=0.05).ask(Huge.body_at, gate, 100_000_000)
    gate.arrival()
    gate.open()
    assert huge.options(timeout=SHORT_S).ask(Huge.small) == 1


class Stopped(Actor):
    """Submits much, and is then stopped in its tracks."""

    def __init__(self, target: ActorRef[Any]) -> None:
        self.target = target

    def submit(self, count: int, size: int) -> int:
        self.replies = [self.target.submit(Sized.make, size) for _ in range(count)]
        return os.getpid()

    def results(self) -> list[int]:
        return [len(reply.result()) for reply in self.replies]


class Sized(Actor):
    def make(self, size: int) -> bytes:
        return b"x" * size

    def wait(self, gate: Gate) -> None:
        gate.wait()


@pytest.mark.parametrize("size", [100, 475, 3_000])
def test_a_stopped_caller_holds_nobody_up_and_gets_all_its_replies(system, gate, size):
    """With 475 bytes the records fill the reply pipe to its last byte: no room for a nudge."""
    sized = system.spawn(Sized)
    caller = system.spawn(Stopped, sized)
    sized.tell(Sized.wait, gate)
    gate.arrival()
    pid = caller.ask(Stopped.submit, 500, size)
    os.kill(pid, signal.SIGSTOP)
    gate.open()
    try:
        # Behind all that the stopped one has submitted.
        assert len(sized.options(timeout=SHORT_S).ask(Sized.make, 1)) == 1
    finally:
        os.kill(pid, signal.SIGCONT)
    assert caller.options(timeout=SHORT_S).ask(Stopped.results) == [size] * 500


class Once(Actor):
    def die_once(self) -> int:
        if self.context.deliveries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.context.deliveries


def test_a_call_that_is_redelivered_answers_the_caller_who_still_waits(system):
    once = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Once)
    assert once.ask(Once.die_once) == 2
