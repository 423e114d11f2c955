"""Spinning: try before blocking, as long as it pays."""

from __future__ import annotations

import os

import pytest

from procactors.wire.spin import Spin, try_read

SHORT, LONG = 20_000, 150_000


def waits(spin: Spin, pays: bool, count: int) -> list[int]:
    """Return the windows of `count` waits, each of whose tries pays or does not."""
    found = []
    for _ in range(count):
        window = spin.window()
        found.append(window)
        if window:
            spin.hit() if pays else spin.miss()
    return found


def test_the_first_wait_tries():
    assert Spin().window() == SHORT


def test_misses_double_the_number_of_waits_that_block_at_once():
    windows = waits(Spin(), pays=False, count=40)
    tries = [index for index, window in enumerate(windows) if window]
    assert tries[:5] == [0, 2, 5, 10, 19]


def test_after_many_misses_a_try_is_a_long_one():
    windows = [window for window in waits(Spin(), pays=False, count=40) if window]
    assert windows == [SHORT] * 4 + [LONG] * 2


def test_the_number_of_waits_without_a_try_is_bounded():
    windows = waits(Spin(), pays=False, count=10_000)
    assert 10_000 / 128 - 10 < sum(map(bool, windows)) < 10_000 / 128 + 20


def test_hits_bring_back_the_short_try_at_every_wait():
    spin = Spin()
    waits(spin, pays=False, count=1_000)
    windows = waits(spin, pays=True, count=200)
    assert windows[-50:] == [SHORT] * 50


@pytest.fixture
def pipe():
    reading, writing = os.pipe2(os.O_NONBLOCK)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def test_a_try_returns_what_is_there(pipe):
    os.write(pipe[1], b"abc")
    buffer = memoryview(bytearray(10))
    assert try_read(pipe[0], [buffer], SHORT) == 3
    assert bytes(buffer[:3]) == b"abc"


def test_a_try_ends_when_its_window_is_over(pipe):
    ticks = iter(range(0, 1_000, 10))
    buffer = memoryview(bytearray(10))
    assert try_read(pipe[0], [buffer], 55, clock=lambda: next(ticks)) == 0
    assert next(ticks) == 70  # the start, then a look after each read until 60 >= 0 + 55
