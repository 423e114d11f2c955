"""What a map gives: an iterator of results, item for item.

Layer: api. Runs in: the pool's process.
Owns: nothing: a map's own is its job's.
Never: runs a line of Python for each item that needs none.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from procactors.pool.map import MapJob

__all__ = ["MapResults"]

R = TypeVar("R")


class MapResults(Iterator[R]):
    """What a map gives, item for item: iterate it, once; `close` gives the rest up.

    Nothing more is taken from the map's input than its workers need. Left to the garbage
    collector it is closed.
    """

    def __init__(self, job: MapJob) -> None:
        self._job = job
        self._blocks = job.blocks()
        self._values: Iterator[R] = itertools.chain.from_iterable(self._blocks)

    def __iter__(self) -> Iterator[R]:  # noqa: PYI034 - for speed: 6 ns an item instead of 49
        return self._values

    def __next__(self) -> R:
        return next(self._values)

    def close(self) -> None:
        """Give up what has not been begun. What is in hand ends, and its result is dropped.

        Another thread that waits for a result of this map goes on behind its loop.
        """
        self._job.close()
        with contextlib.suppress(ValueError):  # another thread is in it: that one ends it
            self._blocks.close()

    def __enter__(self) -> MapResults[R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
