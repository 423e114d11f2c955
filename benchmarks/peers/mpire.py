"""mpire: maps alone."""

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
    """A pool that is kept alive, with chunks of one and with its own."""

    title = "mpire"

    def __init__(self) -> None:
        self._mpire = installed("mpire")

    @contextmanager
    def singles(self, effort: Effort) -> Iterator[Round]:
        yield from self._rounds(effort.of(ITEMS // 10), 1, chunk_size=1)

    @contextmanager
    def batches(self, effort: Effort) -> Iterator[Round]:
        yield from self._rounds(ITEMS, REPEATS)

    def _rounds(self, items: int, repeats: int, **words: Any) -> Iterator[Round]:
        with self._mpire.WorkerPool(n_jobs=WORKERS, keep_alive=True) as pool:
            yield partial(
                checked_rates, partial(pool.map, square, range(items), **words), items, repeats
            )
