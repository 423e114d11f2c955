"""How long handlers take, in a system and in each actor: what has come since the look before.

Layer: dashboard. Runs in: the dashboard's process; looks in worker threads, one at a time.
Owns: two snapshots, and the last minutes of the whole in memory.
Never: disturbs the system: snapshots are read out of its files.
"""

from __future__ import annotations

import functools
import operator
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from procactors.metrics import Histogram, MethodMetrics, Metrics, snapshot_of

__all__ = ["Latencies"]

#: Looks that are kept for the plot.
_LOOKS = 300


class Latencies:
    """Times of one system's handlers, up to date by the last `look`.

    Args:
        path: the system's runtime directory.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._before: Metrics | None = None
        self._now: Metrics | None = None
        #: (instant, median, 99 %) of all handlers, for each look; None where none has ended.
        self.past: deque[tuple[float, float | None, float | None]] = deque(maxlen=_LOOKS)

    def look(self) -> dict[str, Any]:
        """Look again; return what the last moments were like, ready for JSON.

        Raises:
            OSError, ActorStopped: the system has ended.
        """
        self._before, self._now = self._now, snapshot_of(self._path)
        recent = _less(_handling(_all(self._now)), _handling(_all(self._before)))
        point = (round(time.time(), 2), recent.quantile(0.5), recent.quantile(0.99))
        self.past.append(point)
        return {"latency": point}

    def of(self, actor: int) -> dict[str, Any]:
        """Return an actor's methods, and its last moments, by the last look; ready for JSON."""
        now, before = _methods(self._now, actor), _methods(self._before, actor)
        recent = _less(_handling(now), _handling(before))
        return {
            "median": recent.quantile(0.5),
            "high": recent.quantile(0.99),
            "methods": [_row(method) for method in now],
        }


def _row(method: MethodMetrics) -> dict[str, Any]:
    return {
        "name": method.name,
        "handled": method.handled,
        "errors": method.errors,
        "median": method.handling.quantile(0.5),
        "high": method.handling.quantile(0.99),
        "wait_high": method.waiting.quantile(0.99),
    }


def _methods(metrics: Metrics | None, actor: int) -> tuple[MethodMetrics, ...]:
    found = [one for one in metrics.actors if one.id == actor] if metrics is not None else []
    return found[0].methods if found else ()


def _all(metrics: Metrics | None) -> Iterable[MethodMetrics]:
    groups = metrics.groups() if metrics is not None else ()
    return (method for group in groups for method in group.methods)


def _handling(methods: Iterable[MethodMetrics]) -> Histogram:
    return functools.reduce(operator.add, (method.handling for method in methods), Histogram())


def _less(now: Histogram, before: Histogram) -> Histogram:
    """Return what has come since; an actor that is over may have taken its own away."""
    if not before.counts:
        return now
    counts = (max(0, new - old) for new, old in zip(now.counts, before.counts, strict=False))
    return Histogram(max(0.0, now.sum_s - before.sum_s), tuple(counts))
