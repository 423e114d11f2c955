"""joblib, with its own processes (loky): maps alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks.actors import square
from benchmarks.peers.rows import Peer as Base, checked_rates
from benchmarks.pool import ITEMS, REPEATS, WORKERS
from benchmarks.rounds import Effort, Round, installed


class Peer(Base):
    """`Parallel`, with batches of one and with its own."""

    title = "joblib"

    def __init__(self) -> None:
        self._joblib = installed("joblib")

    @contextmanager
    def singles(self, effort: Effort) -> Iterator[Round]:
        yield from self._rounds(effort.of(ITEMS // 10), 1, batch_size=1)

    @contextmanager
    def batches(self, effort: Effort) -> Iterator[Round]:
        yield from self._rounds(ITEMS, REPEATS)

    def _rounds(self, items: int, repeats: int, **words: Any) -> Iterator[Round]:
        delayed = self._joblib.delayed(square)
        with self._joblib.Parallel(n_jobs=WORKERS, **words) as parallel:
            squares = partial(lambda: parallel(delayed(number) for number in range(items)))
            yield partial(checked_rates, squares, items, repeats)
