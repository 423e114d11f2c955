"""Taking items from a map's input, which may be slow, endless, or raise.

Layer: api. Runs in: the pool's process, in the thread that iterates.
Owns: nothing.
Never: loses what came before an error of the input's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from time import monotonic
from typing import Any

__all__ = ["take"]


def take(
    source: Iterator[Any], size: int, seconds: float
) -> tuple[list[Any], bool, Exception | None]:
    """Return up to `size` items, or what comes in about so many seconds, but one at least.

    Returns:
        The items; whether there are no more; what the input has raised behind them.
    """
    items: list[Any] = []
    until, step = monotonic() + seconds, 1
    try:
        while len(items) < size:
            wanted = min(step, size - len(items))
            before = len(items)
            # In place: what came before an error is not lost with it.
            items.extend(itertools.islice(source, wanted))
            if len(items) - before < wanted:
                return items, True, None
            if monotonic() >= until:
                break
            step *= 2
    except Exception as error:  # noqa: BLE001 - the user's; raised behind the results so far
        return items, True, error
    return items, False, None
