"""What the actors of one process count of each method, and how long their answers take.

Layer: local. Runs in: one process: each actor's rows in the thread that serves it, the rest in any.
Owns: the rows, and the totals of actors that are over.
Never: fails a message; loses a count when an actor ends.

The rows are those of `wire.meter_table`, in lists: so they are read as those in files are
(`metrics.reading`), and times go by the engine's clock.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any

from procactors.metrics.grouping import IS_UNSEEN, group_of
from procactors.metrics.rows import calls_of, methods_of, together
from procactors.metrics.values import ActorMetrics, GroupMetrics, Metrics
from procactors.wire.envelope import STREAM_KEY, TRACE, bare
from procactors.wire.mailbox.black_box import (
    EXPIRED,
    HANDLED,
    HANDLED_OWN,
    INCARNATION,
)
from procactors.wire.meter_table import (
    COLUMNS,
    ERRORS,
    FINE_NS,
    FINE_SHIFT,
    INDEX,
    ITEMS,
    OTHER,
    SECOND,
    SUM,
    Row,
    index_of,
)
from procactors.wire.record import stamp_of
from procactors.wire.sampler import Sampler

__all__ = ["LocalMeter", "LocalMeters"]

#: Methods of an actor, and of a caller, that have a row of their own.
_METHODS, _TRIPS = 64, 256
#: Bytes of a stream's key before the method: `~`, the channel's number, a colon.
_STREAM_BYTES = 18
#: From the index of a column to that of the same one in the second histogram.
_TO_SECOND = SECOND - SUM


class _Rows(dict[bytes, list[int]]):
    """Rows by their methods, made when they are first asked for; keys as messages have them."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def __missing__(self, key: bytes) -> list[int]:
        plain = bare(key) if TRACE in key else key
        if plain[:1] == STREAM_KEY:
            plain = plain[_STREAM_BYTES:]
        if plain == key or plain not in self:
            if len(self) >= self._most and plain != OTHER:
                return self[OTHER]
            self[plain] = [0] * (SECOND + 1 + COLUMNS)
        # A stream's key, and that of what is traced, is another for each message.
        return self[plain]

    def read(self) -> list[Row]:
        """Return them as they are now."""
        return [
            Row(
                key,
                row[ERRORS],
                row[ITEMS],
                tuple(row[SUM : SUM + 1 + COLUMNS]),
                tuple(row[SECOND : SECOND + 1 + COLUMNS]),
            )
            for key, row in list(self.items())
        ]


def _count(row: list[int], took_ns: int) -> None:
    row[INDEX[took_ns >> FINE_SHIFT] if took_ns < FINE_NS else index_of(took_ns)] += 1
    row[SUM] += took_ns


class LocalMeter:
    """What one actor counts, through all its lives; see `wire.mailbox.meter.Meter`.

    Attributes:
        rows: by the keys of methods.
    """

    def __init__(self) -> None:
        self.rows = _Rows(_METHODS)

    def record(self, key: bytes, took_ns: int) -> None:
        """Count a message that was handled."""
        _count(self.rows[key], max(0, took_ns))

    def waited(self, key: bytes, record: bytes, began: int) -> None:
        """Count how long a stamped message has waited that is begun at that instant."""
        sent, standing = stamp_of(record, len(record))  # type: ignore[arg-type]
        took = max(0, began - sent)
        row = self.rows[key]
        at = INDEX[took >> FINE_SHIFT] if took < FINE_NS else index_of(took)
        row[_TO_SECOND + at] += standing
        row[SECOND] += took * standing

    def failed(self, key: bytes) -> None:
        """Count a message whose handler has raised, or that could not be read."""
        self.rows[key][ERRORS] += 1

    def items(self, key: bytes, count: int) -> None:
        """Count items of a batch or a stream."""
        self.rows[key][ITEMS] += count


class _Ended:
    """What a group of actors has counted that are over."""

    def __init__(self) -> None:
        self.restarts = self.expired = 0
        self.rows: list[Row] = []


class LocalMeters:
    """All that is counted in one system.

    Args:
        now_ns: the engine's clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        # Guards the callers' rows, which all threads of the program share, and the totals.
        self._lock = threading.Lock()
        self._samplers: dict[bytes, Sampler] = {}
        self._trips: dict[int, _Rows] = {}
        self._groups: dict[int, str] = {}
        self._ended: dict[tuple[str, str], _Ended] = {}

    # -- round trips --------------------------------------------------------------------------

    def begin(self, method: bytes) -> tuple[int, bytes, Sampler, int] | None:
        """Note that a call is sent; return what to `end` it with, None: it is not measured."""
        sampler = self._samplers.get(method) or self._sampler(method)
        if sampler.rests:
            sampler.rests -= 1
            return None
        return self._now_ns(), method, sampler, sampler.begin()

    def _sampler(self, method: bytes) -> Sampler:
        if TRACE in method:  # of these there are as many as messages
            method = bare(method)
        return self._samplers.setdefault(method, Sampler())

    def end(self, caller: int, begun: tuple[int, bytes, Sampler, int]) -> None:
        """Count a call of an actor that is answered now."""
        sent, method, sampler, standing = begun
        took = self._now_ns() - sent
        sampler.end(sent, took, standing)
        with self._lock:
            trips = self._trips.get(caller)
            if trips is None:
                trips = self._trips[caller] = _Rows(_TRIPS)
            row = trips[method]
            row[INDEX[took >> FINE_SHIFT] if took < FINE_NS else index_of(took)] += standing
            row[SUM] += took * standing

    # -- actors -------------------------------------------------------------------------------

    def over(self, host: Any) -> None:
        """Take over what an actor has counted, which is over; `host`: its `LocalHost`."""
        words = host.words
        with self._lock:
            host.is_over = True
            self._take_over(host, words)

    def _take_over(self, host: Any, words: Any) -> None:
        restarts, expired = max(0, words[INCARNATION] - 1), words[EXPIRED]
        rows = [] if host.meter is None else host.meter.rows.read()
        group = group_of(host.id, host.name, (row.key for row in rows))
        if host.id in self._trips:
            self._groups[host.id] = group
        if not rows and not restarts and not expired:
            return
        ended = self._ended.setdefault((group, host.class_name), _Ended())
        ended.restarts += restarts
        ended.expired += expired
        ended.rows = _merged((*ended.rows, *rows))

    def read(self, path: str, now: float, hosts: Iterable[Any], letters: int) -> Metrics:
        """Return a snapshot.

        Args:
            path: names the system.
            now: the instant, in seconds.
            hosts: of the actors that there are.
            letters: how many dead letters there have been.
        """
        with self._lock:
            groups = dict(self._groups)
            # Their hosts are looked at behind the totals: none that ends now is in both.
            ended = tuple(
                GroupMetrics(group, name, 0, one.restarts, one.expired, 0, methods_of(one.rows))
                for (group, name), one in sorted(self._ended.items())
            )
            trips = {caller: rows.read() for caller, rows in self._trips.items()}
            actors = []
            for host in hosts:
                if not host.is_over and host.words[INCARNATION]:
                    actors.append(_actor_of(host))
                    groups[host.id] = actors[-1].group
        calls = [
            call
            for caller, rows in trips.items()
            for call in calls_of(groups.get(caller, f"actor {caller}") if caller else "", rows)
        ]
        return Metrics(path, now, tuple(actors), ended, together(calls), letters)


def _actor_of(host: Any) -> ActorMetrics:
    rows = [] if host.meter is None else host.meter.rows.read()
    words = host.words
    return ActorMetrics(
        id=host.id,
        name=host.name,
        class_name=host.class_name,
        group=group_of(host.id, host.name, (row.key for row in rows)),
        pid=host.pid or 0,
        incarnation=words[INCARNATION],
        handled=words[HANDLED] - words[HANDLED_OWN],
        expired=words[EXPIRED],
        mailbox=host.waiting(),
        methods=methods_of(rows),
    )


def _merged(rows: Iterable[Row]) -> list[Row]:
    """Return rows with those of one key together."""
    found: dict[bytes, Row] = {}
    for row in rows:
        if row.key == IS_UNSEEN:
            continue
        known = found.get(row.key)
        found[row.key] = row if known is None else _sum(known, row)
    return list(found.values())


def _sum(one: Row, other: Row) -> Row:
    first = tuple(map(sum, zip(one.first, other.first, strict=True)))
    second = tuple(map(sum, zip(one.second, other.second, strict=True)))
    return Row(one.key, one.errors + other.errors, one.items + other.items, first, second)
