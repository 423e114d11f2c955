"""What a map takes its items from: any iterable, or a sequence that is cut.

Layer: pool. Runs in: the pool's process, in the thread that iterates.
Owns: the user's iterator.
Never: takes more than it is asked for; loses what came before an error of the input's.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from time import monotonic
from typing import Any, Protocol

__all__ = ["Ended", "Input", "input_of"]


class Input(Protocol):
    """Where the items of a map come from."""

    def take(
        self, size: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> tuple[Sequence[Any], bool, Exception | None]:
        """Return up to `size` items, or what comes in about so many seconds, but one at least.

        Returns:
            The items; whether there are no more; what the input has raised behind them.
        """


class Ended:
    """In the place of an input of which no more is to be taken.

    Args:
        error: raised behind what was taken.
    """

    def __init__(self, error: Exception) -> None:
        self._error = error

    def take(
        self, size: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> tuple[Sequence[Any], bool, Exception | None]:
        """Return no items."""
        return (), True, self._error


def input_of(items: Iterable[Any]) -> Input:
    """Return the input of a map.

    Raises:
        TypeError: it cannot be iterated, or whatever its `__iter__` raises.
    """
    # No subclasses: theirs may iterate as they like.
    if type(items) in (list, tuple, range):
        return _Cut(items)  # type: ignore[arg-type]
    return _Drawn(iter(items))


class _Cut:
    """A list, tuple or range: a slice costs a tenth of so many steps of an iterator.

    A slice of a range travels as three numbers. A list that grows meanwhile is taken to its new
    end, as by an iterator.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items
        self._at = 0

    def take(
        self, size: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> tuple[Sequence[Any], bool, Exception | None]:
        """Return up to `size` items."""
        taken = self._items[self._at : self._at + size]
        self._at += len(taken)
        is_over = len(taken) < size
        if is_over:
            self._items = ()
        return taken, is_over, None


class _Drawn:
    """Any iterator."""

    def __init__(self, source: Iterator[Any]) -> None:
        self._source = source

    def take(
        self, size: int, seconds: float, clock: Callable[[], float] = monotonic
    ) -> tuple[Sequence[Any], bool, Exception | None]:
        """Return up to `size` items, or what comes in about so many seconds, but one at least."""
        source = self._source
        items: list[Any] = []
        until, step = clock() + seconds, 1
        try:
            while len(items) < size:
                wanted = min(step, size - len(items))
                before = len(items)
                # In place: what came before an error is not lost with it.
                items.extend(itertools.islice(source, wanted))
                if len(items) - before < wanted:
                    return items, True, None
                if clock() >= until:
                    break
                step *= 2
        except Exception as error:  # noqa: BLE001 - the user's; raised behind the results so far
            return items, True, error
        return items, False, None
