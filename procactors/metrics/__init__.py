"""Counts and latencies of a system, for each actor and method: read without disturbing anybody.

Layer: metrics. Runs in: any process of the user.
Owns: nothing: each look closes what it has opened.
Never: sends a message; writes to a file of a system.

Histograms, snapshots of them by the system's object or by its path, the names under which actors
are put together, and what gives all that to Prometheus. Not here: the counting itself, which is
`wire.mailbox.metered` and `wire.trips`; the totals of actors that are over
(`supervision.totals`).

    from procactors import metrics

    with ActorSystem() as system:
        ...
        now = metrics.snapshot(system)
        for group in now.groups():
            for method in group.methods:
                print(group.name, method.name, method.handled, method.handling.quantile(0.99))
"""

from __future__ import annotations

import importlib as _importlib
from typing import TYPE_CHECKING, Any as _Any

if TYPE_CHECKING:
    from procactors.metrics.histogram import Histogram
    from procactors.metrics.prometheus import collector
    from procactors.metrics.reading import snapshot, snapshot_of
    from procactors.metrics.values import (
        ActorMetrics,
        CallMetrics,
        GroupMetrics,
        MethodMetrics,
        Metrics,
    )

__all__ = [
    "ActorMetrics",
    "CallMetrics",
    "GroupMetrics",
    "Histogram",
    "MethodMetrics",
    "Metrics",
    "collector",
    "snapshot",
    "snapshot_of",
]

# Imported where they are first asked for: a system that counts need not be one that reads.
_LATE = {
    "ActorMetrics": "values",
    "CallMetrics": "values",
    "GroupMetrics": "values",
    "Histogram": "histogram",
    "MethodMetrics": "values",
    "Metrics": "values",
    "collector": "prometheus",
    "snapshot": "reading",
    "snapshot_of": "reading",
}


def __getattr__(name: str) -> _Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = _importlib.import_module(f"{__name__}.{_LATE[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
