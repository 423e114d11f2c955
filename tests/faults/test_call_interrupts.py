"""An alarm that raises at any moment of a call ends that call, as itself, and no other."""

from __future__ import annotations

import os
import select
import time

import pytest

from procactors import Actor, Supervisor, spec
from procactors.wire.replies.port import ReplyPort
from tests.support.alarms import CALLS, Alarm, Stop, alarms, storm
from tests.support.waiting import eventually


@pytest.mark.parametrize("how", CALLS)
def test_calls_under_alarms_get_their_own_answers(system, how, seed):
    found = storm(system, how, Alarm, 150, seed)
    assert found.rung
    assert found.rung + found.answered == 150


def test_a_handler_may_raise_what_is_no_ordinary_exception(system, seed):
    assert storm(system, "submit", Stop, 100, seed).rung


class Slow:
    """Takes so many seconds to be loaded, in the process that it is made for."""

    def __init__(self, seconds: float, where: int) -> None:
        self.args = seconds, where

    def __reduce__(self):
        return load_slowly, self.args


def load_slowly(seconds, where):
    if os.getpid() == where:
        time.sleep(seconds)
    return "loaded"


class Maker(Actor):
    def make(self, where: int) -> Slow:
        return Slow(0.5, where)

    def large(self, where: int) -> tuple[Slow, bytes]:
        return Slow(0.5, where), b"x" * 2_000_000


def test_an_alarm_while_an_answer_is_loaded_leaves_the_answer_to_be_asked_for_again(system):
    maker = system.spawn(Maker)
    for method in (Maker.make, Maker.large):
        reply = maker.submit(method, os.getpid())
        eventually(reply.done, "the answer")
        with alarms(Alarm) as alarm:
            with pytest.raises(Alarm):
                alarm(0.02)
                reply.result()
            alarm(0.0)
        found = reply.result()
        assert (found if isinstance(found, str) else found[0]) == "loaded"


def test_an_alarm_while_the_answer_of_an_ask_is_loaded_is_the_callers(system):
    maker = system.spawn(Maker)
    with alarms(Alarm) as alarm:
        with pytest.raises(Alarm):
            alarm(0.2)
            maker.ask(Maker.make, os.getpid())
        alarm(0.0)
    assert maker.ask(Maker.make, 0) == "loaded"


def make_slow(where):
    return Slow(0.5, where)


def test_an_alarm_while_the_result_of_a_pool_is_loaded_is_the_callers(system):
    with system.options(size=1).pool() as pool:
        reply = pool.submit(make_slow, os.getpid())
        eventually(reply.done, "the result")
        with alarms(Alarm) as alarm:
            with pytest.raises(Alarm):
                alarm(0.02)
                reply.result()
            alarm(0.0)
        assert reply.result() == "loaded"


def test_a_spawn_that_an_alarm_ends_leaves_no_actor(system):
    with alarms(Alarm) as alarm:
        with pytest.raises(Alarm):
            alarm(0.005)
            system.spawn(Sleepy)
        alarm(0.0)
    eventually(lambda: not system.actors(), "the end of the actor that nobody has")


def start_actor(system):
    system.spawn(Sleepy)


def start_tree(system):
    system.supervise(Supervisor(spec(Sleepy).options(name="child")))


@pytest.mark.parametrize("start", [start_actor, start_tree])
def test_what_was_started_for_a_caller_that_does_not_read_its_answer_is_stopped(
    system, monkeypatch, start
):
    def broken_off(port, *_):
        select.select([port._fd], [], [])
        raise Alarm

    with monkeypatch.context() as patched:
        patched.setattr(ReplyPort, "wait", broken_off)
        with pytest.raises(Alarm):
            start(system)
    eventually(lambda: not system.actors(), "the end of the actor that nobody has")


class Sleepy(Actor):
    def on_start(self) -> None:
        time.sleep(0.2)
