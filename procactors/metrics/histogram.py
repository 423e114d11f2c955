"""A histogram of times as a value: how many took how long.

Layer: metrics. Runs in: any process.
Owns: nothing.
Never: claims more than its columns know: a quantile is the middle of what it can be.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable

from procactors.wire.meter_table import COLUMNS, bound_ns

__all__ = ["BOUNDS_S", "Histogram"]

#: Upper bounds of the columns, in seconds; the last column has none.
BOUNDS_S = tuple(bound_ns(column) / 1e9 for column in range(COLUMNS - 1))


@dataclasses.dataclass(frozen=True)
class Histogram:
    """How many took how long.

    Attributes:
        sum_s: seconds that all took together.
        counts: how many are in each column: below 1.024 µs, then four columns for each doubling of
            the time, up to 36 minutes, and what took longer; empty for none at all.
    """

    sum_s: float = 0.0
    counts: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Seconds that one took in the mean; None if there is none."""
        count = self.count
        return self.sum_s / count if count else None

    def quantile(self, share: float) -> float | None:
        """Return the seconds within which that share of them was done; None if there is none.

        It lies in the same column as the true value: at most 12 % beside it, and for what took less
        than 1.024 µs at most that.

        Args:
            share: from 0 to 1: 0.5 is the median, 0.99 what only one of a hundred exceeds.

        Raises:
            ValueError: a share that is none.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"a share is from 0 to 1, not {share!r}")
        count = self.count
        if not count:
            return None
        left = share * count
        for column, there in enumerate(self.counts):
            if there and left <= there:
                low, high = _edges(column)
                # As if they were spread evenly in their column; one alone stands in its middle.
                return low + (high - low) * (max(left, 1.0) - 0.5) / there
            left -= there
        return BOUNDS_S[-1]

    def below(self, bounds_s: Iterable[float]) -> tuple[int, ...]:
        """Return how many took less than each of these bounds (seconds), which are of `BOUNDS_S`.

        Raises:
            ValueError: a bound that is no column's.
        """
        sums = (0, *itertools.accumulate(self.counts or (0,) * COLUMNS))
        return tuple(sums[BOUNDS_S.index(bound) + 1] for bound in bounds_s)

    def __add__(self, other: Histogram) -> Histogram:
        """Return the histogram of both together."""
        if not other.counts or not self.counts:
            return self if self.counts else other
        counts = tuple(map(sum, zip(self.counts, other.counts, strict=True)))
        return Histogram(self.sum_s + other.sum_s, counts)


def _edges(column: int) -> tuple[float, float]:
    low = BOUNDS_S[column - 1] if column else 0.0
    return low, BOUNDS_S[column] if column < len(BOUNDS_S) else low
