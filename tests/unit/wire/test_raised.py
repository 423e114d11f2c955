"""Exceptions of others: read, shown and marked whatever their classes refuse."""

from __future__ import annotations

import functools
import signal
import time

import pytest

import procactors
from procactors.errors import RemoteTraceback
from procactors.wire.pickling.codec import decode
from procactors.wire.raised import (
    add_note,
    by_signal,
    cause_of,
    one_line,
    said,
    set_cause,
    shown,
    unbound,
    without_ours,
)
from tests.support.refusers import MAKE, Coded, Unreadable, Unspeakable


def caught(make):
    try:
        raise make()
    except BaseException as error:
        return error


@pytest.mark.parametrize("name", MAKE)
def test_none_refuses_to_be_shown_marked_and_given_a_cause(name):
    error, cause = caught(MAKE[name]), RemoteTraceback("text")
    assert type(error).__name__ in one_line(error)
    assert type(error).__name__ in shown(error).splitlines()[-1] or name == "group"
    add_note(error, "a note")
    set_cause(error, cause)
    assert cause_of(error) is cause
    assert unbound(error) is error


def test_what_says_nothing_is_told_of():
    assert said(Unspeakable("k")) == "<its __str__ raised RuntimeError>"
    assert said(Coded(7)) == "code 7"


def test_a_text_is_a_plain_one():
    class Text(str):
        __slots__ = ()

    class Odd(Exception):
        def __str__(self):
            return Text("odd")

    assert (type(said(Odd())), said(Odd())) == (str, "odd")


class Value:
    def __reduce__(self):
        return decode_badly, ()


def decode_badly():
    raise ValueError("on purpose")


def through_us():
    """Fail in the midst of the runtime's own code."""
    try:
        decode(b"not a pickle")
    except Exception as error:
        raise KeyError("behind") from error


def test_frames_of_the_runtime_are_left_out_in_causes_too():
    text = shown(caught_from(through_us))
    assert "in through_us" in text
    assert "wire/pickling/codec.py" not in text
    assert "the direct cause" in text
    assert text.endswith("KeyError: 'behind'\n")


def test_frames_of_the_runtime_stay_where_there_are_no_others():
    error = caught_from(functools.partial(decode, b"not a pickle"))
    alone = error.with_traceback(error.__traceback__.tb_next)
    assert "wire/pickling/codec.py" in shown(alone, keep_if_alone=True)
    assert "Traceback" not in shown(alone).splitlines()[-1]
    assert "wire/pickling/codec.py" not in shown(alone)


def caught_from(call):
    try:
        call()
    except BaseException as error:
        return error


def test_frames_are_left_out_of_what_refuses_to_be_shown():
    assert "in caught" in shown(caught(lambda: Unreadable("k")))


def test_native_stacks_are_shown_without_frames_of_the_runtime_too():
    ours = f'  File "{procactors.__path__[0]}/process/loop.py", line 1 in run\n'
    user = '  File "/a/user.py", line 2 in work\n'
    stacks = f"Fatal error\n\nThread 1:\n{user}{ours}\nThread 2:\n{ours}"
    assert without_ours(stacks) == f"Fatal error\n\nThread 1:\n{user}\nThread 2:\n{ours}"
    assert without_ours("") == ""


class Alarm(TimeoutError):
    pass


def raising(signum, frame):
    raise Alarm


class Handler:
    def method(self, signum, frame):
        raise Alarm

    def __call__(self, signum, frame):
        raise Alarm


HANDLERS = [
    raising,
    functools.partial(functools.partial(raising)),
    Handler().method,
    Handler(),
    lambda signum, frame: raising(frame, signum),
]


@pytest.mark.parametrize("handler", HANDLERS, ids=["function", "partial", "method", "call", "via"])
def test_an_exception_is_known_to_be_a_signal_handlers(handler):
    before = signal.signal(signal.SIGALRM, handler)
    try:
        with pytest.raises(Alarm) as raised:
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            time.sleep(10)
        assert by_signal(raised.value)
        assert not by_signal(caught(Alarm))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Waits:
    """Takes as long to be unpickled as an alarm takes."""

    def __reduce__(self):
        return time.sleep, (10,)


def test_an_alarm_while_a_value_is_loaded_is_not_called_a_fault_of_the_value():
    import pickle

    before = signal.signal(signal.SIGALRM, raising)
    try:
        with pytest.raises(Alarm):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            decode(pickle.dumps(Waits()))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
