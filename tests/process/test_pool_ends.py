"""How pools end, and what their calls leave behind: found by the executor that stands on them."""

from __future__ import annotations

import functools


class Large:
    """A callable with much in it; tells how many of them this process has."""

    alive = 0

    def __init__(self):
        self.load = bytes(100_000)

    def __setstate__(self, state):
        self.__dict__ = state
        Large.alive += 1

    def __del__(self):
        Large.alive -= 1

    def __call__(self):
        return Large.alive


def test_a_worker_keeps_few_large_functions(system):
    """Each call may come with another: a partial with an array, say."""
    pool = system.options(size=1).pool()
    assert max(pool.ask(functools.partial(Large())) for _ in range(20)) <= 3
