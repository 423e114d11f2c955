"""The wish to stop: what a signal handler notes, and where it raises."""

from __future__ import annotations

import math
import signal

import pytest

from procactors.api.stop_signal import Interrupted, StopSignal
from procactors.process.signals import handled_by


def test_without_a_signal_there_is_all_the_time():
    stop = StopSignal(1.0)
    assert (stop.signum, stop.left_s, stop.why, stop.exit_code) == (None, math.inf, "", 0)
    assert not stop.is_over()


def test_a_second_signal_ends_the_patience():
    rung: list[int] = []
    stop = StopSignal(100.0)
    stop.on_signal = lambda: rung.append(1)
    stop(15, None)
    assert (stop.signum, stop.is_over()) == (15, False)
    assert 0 < stop.left_s <= 100
    stop(2, None)
    assert (stop.signum, stop.is_over(), stop.left_s, rung) == (15, True, 0.0, [1, 1])
    assert (stop.why, stop.exit_code) == ("stopped by SIGTERM", 143)


def test_a_signal_raises_in_what_may_be_interrupted_and_nowhere_else():
    stop = StopSignal(100.0)
    with handled_by(stop):
        with pytest.raises(Interrupted, match="SIGINT"):
            stop.interruptible(signal.raise_signal, signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    assert stop.is_over()


def test_what_has_come_already_is_raised_at_once():
    stop = StopSignal(100.0)
    stop(15, None)
    called: list[int] = []
    with pytest.raises(Interrupted, match="SIGTERM"):
        stop.interruptible(called.append, 1)
    assert called == []


def test_another_ones_signal_is_not_raised():
    mine, inner = StopSignal(100.0), StopSignal(100.0)
    with handled_by(inner):
        mine.interruptible(signal.raise_signal, signal.SIGINT)
    assert (mine.signum, inner.signum) == (None, signal.SIGINT)
