"""What the rows of counts mean, wherever these are kept. Pure.

Layer: metrics. Runs in: any process.
Owns: nothing.
Never: reads a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from procactors.metrics.grouping import IS_UNSEEN, method_name
from procactors.metrics.histogram import Histogram
from procactors.metrics.values import CallMetrics, MethodMetrics, merged
from procactors.wire.meter_table import Row

__all__ = ["calls_of", "methods_of", "together"]


def methods_of(rows: Iterable[Row]) -> tuple[MethodMetrics, ...]:
    """Return what rows say of an actor's methods."""
    return merged(
        MethodMetrics(
            method_name(row.key),
            row.errors,
            row.items,
            _histogram(row.first),
            _histogram(row.second),
        )
        for row in rows
        if row.key != IS_UNSEEN
    )


def calls_of(caller: str, rows: Iterable[Row]) -> Iterator[CallMetrics]:
    """Yield what rows say of a caller's round trips."""
    for row in rows:
        yield CallMetrics(caller, method_name(row.key), _histogram(row.first))


def together(calls: Iterable[CallMetrics]) -> tuple[CallMetrics, ...]:
    """Return round trips with those of one caller and method in one."""
    found: dict[tuple[str, str], Histogram] = {}
    for call in calls:
        key = call.caller, call.method
        found[key] = found.get(key, Histogram()) + call.round_trip
    return tuple(CallMetrics(*key, trip) for key, trip in sorted(found.items(), key=_first))


def _first(item: tuple[tuple[str, str], Histogram]) -> tuple[str, str]:
    return item[0]


def _histogram(words: tuple[int, ...]) -> Histogram:
    if not words or not any(words[1:]):
        return Histogram()
    return Histogram(words[0] / 1e9, words[1:])
