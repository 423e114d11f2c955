"""What a system has counted, for Prometheus: a collector of prometheus-client.

Layer: metrics. Runs in: the process that is scraped, in the thread that answers.
Owns: nothing.
Never: keeps counts of its own: each scrape reads a snapshot.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped
from procactors.metrics.histogram import BOUNDS_S, Histogram
from procactors.metrics.reading import snapshot, snapshot_of
from procactors.metrics.values import GroupMetrics, Metrics
from procactors.model.plain_text import encodable

if TYPE_CHECKING:
    from prometheus_client.core import HistogramMetricFamily
    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import Collector
else:
    try:
        from prometheus_client.core import HistogramMetricFamily
        from prometheus_client.registry import Collector
    except ImportError as error:
        raise ImportError(
            "procactors.metrics.collector needs prometheus-client: "
            "pip install 'procactors[prometheus]'"
        ) from error

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

__all__ = ["LE_S", "SystemsCollector", "collector", "exposition", "families"]

#: Bounds of the buckets, in seconds: one for each doubling, from 16 µs to 69 s. A snapshot has four
#: times as many; each would be a series for each method.
LE_S = tuple(bound for bound in BOUNDS_S if bound in {2**power / 1e9 for power in range(14, 37)})


def collector(*systems: Any, name: str | None = None) -> SystemsCollector:
    """Return what is to be registered: ``prometheus_client.REGISTRY.register(collector(system))``.

    One collector for all systems that one registry is to show: two would name each family twice.

    Args:
        systems: each an `ActorSystem`; or the path of the runtime directory of one that runs
            elsewhere, or what has that as `path` and a `name`.
        name: value of the label ``system``, of one system alone; its own name if None.

    Raises:
        ImportError: prometheus-client is not installed. TypeError: a name for several systems.
    """
    if name is not None and len(systems) != 1:
        raise TypeError(f"a name is for one system, not for {len(systems)}: name them themselves")
    return SystemsCollector([(system, name or _name_of(system)) for system in systems])


def _name_of(system: Any) -> str:
    if isinstance(system, (str, os.PathLike)):
        return os.path.basename(os.fspath(system))
    return str(system.name)


class SystemsCollector(Collector):
    """Collects what systems have counted when it is scraped; of one that has stopped, nothing.

    Args:
        systems: (system or path, its name) of each.
    """

    def __init__(self, systems: Sequence[tuple[Any, str]]) -> None:
        self._systems = systems

    def describe(self) -> list[Metric]:
        """Return nothing: a registry that asks would else take a snapshot for the names."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Yield the families of snapshots that are taken now."""
        found = []
        for system, name in self._systems:
            with contextlib.suppress(ActorStopped):
                found.append((_taken(system), name))
        return families(found)


def _taken(system: Any) -> Metrics:
    if isinstance(system, (str, os.PathLike)):
        return snapshot_of(system)
    path = getattr(system, "path", None)
    return snapshot_of(path) if isinstance(path, str) else snapshot(system)


def exposition(metrics: Metrics, name: str) -> bytes:
    """Return a snapshot in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Once(Collector):
        def collect(self) -> Iterator[Metric]:
            return families([(metrics, name)])

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Once())
    return generate_latest(registry)


def families(found: Sequence[tuple[Metrics, str]]) -> Iterator[Metric]:
    """Yield the families of snapshots, each with its system's name; none of no snapshot."""
    if not found:
        return
    groups = [(name, group) for metrics, name in found for group in metrics.groups()]
    yield from _of_groups(groups)
    yield from _of_methods(groups)
    trips = HistogramMetricFamily(
        "procactors_round_trip_seconds",
        "Time from sending an ask or a submit to its answer, at the caller (a sample)",
        labels=("system", "caller", "method"),
    )
    letters = CounterMetricFamily(
        "procactors_dead_letters",
        "Messages without a caller that no actor will handle",
        labels=("system",),
    )
    for metrics, name in found:
        for call in metrics.calls:
            caller = encodable(call.caller or "main")
            _add(trips, (encodable(name), caller, call.method), call.round_trip)
        letters.add_metric((encodable(name),), metrics.dead_letters)
    yield trips
    yield letters


def _of_groups(groups: Sequence[tuple[str, GroupMetrics]]) -> Iterator[Metric]:
    labels = ("system", "actor")
    live = GaugeMetricFamily("procactors_actors", "Actors there are now", labels=labels)
    mailbox = GaugeMetricFamily(
        "procactors_mailbox_messages", "Messages that wait in mailboxes", labels=labels
    )
    restarts = CounterMetricFamily(
        "procactors_restarts", "New incarnations of actors", labels=labels
    )
    expired = CounterMetricFamily(
        "procactors_expired_messages",
        "Messages that were not begun since their callers' time was over",
        labels=labels,
    )
    for name, group in groups:
        values = encodable(name), encodable(group.name)
        live.add_metric(values, group.actors)
        mailbox.add_metric(values, group.mailbox)
        restarts.add_metric(values, group.restarts)
        expired.add_metric(values, group.expired)
    yield from (live, mailbox, restarts, expired)


def _of_methods(groups: Sequence[tuple[str, GroupMetrics]]) -> Iterator[Metric]:
    labels = ("system", "actor", "method")
    errors = CounterMetricFamily(
        "procactors_errors",
        "Times that a handler raised, or its message could not be read",
        labels=labels,
    )
    items = CounterMetricFamily(
        "procactors_items", "Items of streams and of a pool's batches", labels=labels
    )
    handling = HistogramMetricFamily(
        "procactors_handling_seconds",
        "Time from the beginning to the end of a message's handler",
        labels=labels,
    )
    waiting = HistogramMetricFamily(
        "procactors_waiting_seconds",
        "Time from sending a message to the beginning of its handler (a sample)",
        labels=labels,
    )
    for name, group in groups:
        for method in group.methods:
            values = encodable(name), encodable(group.name), method.name
            errors.add_metric(values, method.errors)
            if method.items:  # few methods have any, and others never will
                items.add_metric(values, method.items)
            _add(handling, values, method.handling)
            _add(waiting, values, method.waiting)
    yield from (errors, items, handling, waiting)


def _add(family: HistogramMetricFamily, values: tuple[str, ...], found: Histogram) -> None:
    buckets = [(repr(le), float(count)) for le, count in zip(LE_S, found.below(LE_S), strict=True)]
    buckets.append(("+Inf", float(found.count)))
    family.add_metric(values, buckets=buckets, sum_value=found.sum_s)
