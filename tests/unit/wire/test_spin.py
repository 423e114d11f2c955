"""Spinning: try before blocking, as long as it pays."""

from __future__ import annotations

import itertools
import os
import select

import pytest

from procactors.wire.spin import Spin

SHORT, LONG = 20_000, 150_000


@pytest.fixture(autouse=True)
def cores(monkeypatch):
    """Return the cores on which this process seems to be allowed to run."""
    usable = {0, 1}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    return usable


def window(spin: Spin, pays: bool) -> int:
    """Return for how many nanoseconds a wait tries; 0: not at all."""
    polls = 0
    nanoseconds = itertools.count(0, 1_000)

    def poll(timeout: int) -> bool:
        nonlocal polls
        assert timeout == 0
        polls += 1
        return pays and polls == 2

    assert spin.comes(poll, lambda: next(nanoseconds)) == (pays and polls == 2)
    return polls * 1_000


def waits(spin: Spin, pays: bool, count: int) -> list[int]:
    """Return how long each of `count` waits tries, which pays or does not."""
    return [window(spin, pays) for _ in range(count)]


def tries(windows: list[int]) -> list[int]:
    """Return which of the waits tried."""
    return [index for index, window in enumerate(windows) if window]


def test_the_first_wait_tries():
    assert tries(waits(Spin(), pays=True, count=1)) == [0]


def test_misses_double_the_number_of_waits_that_block_at_once():
    assert tries(waits(Spin(), pays=False, count=40))[:5] == [0, 2, 5, 10, 19]


def test_after_many_misses_a_try_is_a_long_one():
    windows = [window for window in waits(Spin(), pays=False, count=40) if window]
    assert len(windows) == 6
    assert windows[:4] == [windows[0]] * 4
    assert SHORT - 2_000 <= windows[0] <= SHORT + 2_000
    assert windows[4:] == [windows[4]] * 2
    assert LONG - 2_000 <= windows[4] <= LONG + 2_000


@pytest.mark.parametrize(("usable", "most"), [({0, 1}, 128), ({1}, 1024)])
def test_the_number_of_waits_without_a_try_is_bounded(cores, usable, most):
    """On one core, where the peer cannot run meanwhile, there are fewer tries."""
    cores.clear()
    cores.update(usable)
    count = len(tries(waits(Spin(), pays=False, count=20_000)))
    assert 20_000 / most - 20 < count < 20_000 / most + 20


def test_hits_bring_back_the_try_at_every_wait():
    spin = Spin()
    waits(spin, pays=False, count=1_000)
    assert tries(waits(spin, pays=True, count=300))[-50:] == list(range(250, 300))


def test_what_is_there_comes():
    reading, writing = os.pipe2(os.O_NONBLOCK)
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    spin = Spin()
    assert not spin.comes(poll.poll)
    os.write(writing, b"x")
    assert not spin.comes(poll.poll)  # the wait that blocks at once
    assert spin.comes(poll.poll)
    os.close(reading)
    os.close(writing)
