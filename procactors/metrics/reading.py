"""Takes a snapshot of a system out of its files: no message is sent, nobody waits.

Layer: metrics. Runs in: any process of the same user.
Owns: descriptors within a call.
Never: writes; counts an actor twice, or not at all, that ends meanwhile.

Whoever ends an actor adds its counts to the totals and removes its files, between two changes of
the totals' number (`supervision.totals`). So what was read between two looks at that number, both
even and alike, belongs together; else it is read again.
"""

from __future__ import annotations

import contextlib
import os
import struct
from time import monotonic
from typing import Any

from procactors.errors import ActorStopped
from procactors.light_tuple import NamedTuple
from procactors.metrics.grouping import LIVES, TRIPS, group_of
from procactors.metrics.rows import calls_of, methods_of, together
from procactors.metrics.values import (
    ActorMetrics,
    CallMetrics,
    GroupMetrics,
    Metrics,
)
from procactors.wire.mailbox.black_box import (
    EXPIRED,
    HANDLED,
    HANDLED_OWN,
    INCARNATION,
    METRICS,
    PID,
    STATE,
    unpack_state,
)
from procactors.wire.mailbox.closing import peek
from procactors.wire.meter_table import Row, TableFacts, read_table
from procactors.wire.record import FRAME, Kind
from procactors.wire.runtime_dir import check_private

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl
    import termios

__all__ = ["snapshot", "snapshot_of"]

#: How often it is tried to read what belongs together. Who ends actors takes part of a millisecond
#: for each, so more than a few tries means that it was killed in the midst.
_TRIES = 100
#: Bytes of the black box's words that are looked at, and where the batch begins.
_WORDS_BYTES, _BATCH_AT = 512, 8192


def snapshot(system: Any) -> Metrics:
    """Return what a system has counted by now.

    Args:
        system: an `ActorSystem`, or its asyncio half, in the program that has made it; or
            ``context.system`` in one of its actors.

    Raises:
        ActorStopped: the system was stopped. TypeError: it is no system.
    """
    endpoint = getattr(system, "_endpoint", None) or getattr(
        getattr(system, "sync", None), "_endpoint", None
    )
    take = getattr(endpoint, "snapshot", None)
    if take is not None:  # of one process: its counts are in no file
        found: Metrics = take()
        return found
    path = getattr(endpoint, "path", None)
    if not isinstance(path, str):
        raise TypeError(f"expected an actor system, found {system!r}")
    return snapshot_of(path)


def snapshot_of(path: str | os.PathLike[str]) -> Metrics:
    """Return what the system with that runtime directory has counted by now; from any process.

    Blocks for some 50 µs an actor. It disturbs nobody: nothing is sent or written.

    Raises:
        ActorStopped: there is no such system. PermissionError: it is another user's.
    """
    path = os.fspath(path)
    try:
        check_private(path)
        before, found = _changes(path), _read(path)
        for _ in range(_TRIES):
            after = _changes(path)
            if before == after and not after % 2:
                break
            before, found = after, _read(path)
    except FileNotFoundError:
        raise ActorStopped(f"there is no running system with the directory {path}") from None
    return found


def _changes(path: str) -> int:
    totals = read_table(os.path.join(path, "metrics"), rows=False)
    return 0 if totals is None else totals.base


def _read(path: str) -> Metrics:
    actors: list[ActorMetrics] = []
    calls: list[CallMetrics] = []
    letters = 0
    # Blueprints of trees lie there, too, by other names.
    folders = filter(str.isdecimal, os.listdir(os.path.join(path, "actors")))
    for actor in sorted(map(int, folders)):
        folder = os.path.join(path, "actors", str(actor))
        words = _words_of(folder)
        if words is None:
            continue  # it has ended just now, or is just being made
        trips = read_table(os.path.join(folder, "trips"))
        table = read_table(os.path.join(folder, "metrics"))
        known = table or trips
        name = known.name if known is not None else ""
        group = group_of(actor, name, (row.key for row in table.rows) if table else ())
        if actor == 0:
            letters = words[METRICS]
        elif table is not None or words[INCARNATION]:
            actors.append(_actor_of(actor, name, group, known, table, words, folder))
        if trips is not None:
            calls += calls_of(group if actor else "", trips.rows)
    ended, ended_calls = _read_totals(path)
    return Metrics(
        path=path,
        at=monotonic(),
        actors=tuple(actors),
        ended=ended,
        calls=together((*calls, *ended_calls)),
        dead_letters=letters,
    )


def _actor_of(
    actor: int,
    name: str,
    group: str,
    known: TableFacts | None,
    table: TableFacts | None,
    words: memoryview,
    folder: str,
) -> ActorMetrics:
    return ActorMetrics(
        id=actor,
        name=name or f"actor {actor}",
        class_name=known.class_name if known is not None else "",
        group=group or f"actor {actor}",
        pid=words[PID],
        incarnation=words[INCARNATION],
        handled=words[HANDLED] - words[HANDLED_OWN],
        expired=words[EXPIRED],
        mailbox=_waiting(folder, words[STATE]),
        methods=methods_of(table.rows if table is not None else ()),
    )


# -- what is in a mailbox -------------------------------------------------------------------------


def _words_of(folder: str) -> memoryview | None:
    """Return the first words of an actor's black box, as they are now; None: it is gone."""
    with contextlib.suppress(OSError), open(os.path.join(folder, "box"), "rb", 0) as file:
        data = file.read(_WORDS_BYTES)
        return memoryview(data).cast("Q") if len(data) == _WORDS_BYTES else None
    return None


def _waiting(folder: str, state: int) -> int:
    """Return how many messages wait in a mailbox: a glance, while it goes on."""
    fill, offset, in_hand = unpack_state(state)
    count = 0
    with contextlib.suppress(OSError, struct.error):  # it has ended; no descriptor
        if fill > offset:
            with open(os.path.join(folder, "box"), "rb", 0) as file:
                count += _count(os.pread(file.fileno(), fill - offset, _BATCH_AT + offset), in_hand)
        pipe = os.open(os.path.join(folder, "pipe"), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            (size,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))
            if size:
                count += _count(peek(pipe))
        finally:
            os.close(pipe)
    return count


def _count(data: bytes, leave_out: int = 0) -> int:
    """Return how many messages are in records, which may be changed while they are read."""
    kinds, at = [], 0
    while at + FRAME.size <= len(data):
        length, kind, _, _ = FRAME.unpack_from(data, at)
        if length < FRAME.size:
            break
        kinds.append(kind)
        at += length
    return kinds[leave_out:].count(Kind.CALL)


# -- those that are over ------------------------------------------------------------------------


class _Ended(NamedTuple):
    """What is in a key of the totals: see `supervision.totals`."""

    group: str
    class_name: str
    key: bytes


def _split(key: bytes) -> _Ended:
    group, class_name, method = key.split(b"\0", 2)
    return _Ended(group.decode(errors="replace"), class_name.decode(errors="replace"), method)


def _read_totals(path: str) -> tuple[tuple[GroupMetrics, ...], list[CallMetrics]]:
    totals = read_table(os.path.join(path, "metrics"))
    rows: dict[tuple[str, str], list[Row]] = {}
    lives: dict[tuple[str, str], tuple[int, int]] = {}
    calls: list[CallMetrics] = []
    for row in totals.rows if totals is not None else ():
        if b"\0" not in row.key:  # what had no row of its own
            rows.setdefault(("other", ""), []).append(row)
            continue
        whose = _split(row.key)
        if whose.key == LIVES:
            lives[whose.group, whose.class_name] = row.errors, row.items
        elif whose.key[:1] == TRIPS:
            calls += calls_of(whose.group, [row._replace(key=whose.key[1:])])
        else:
            rows.setdefault((whose.group, whose.class_name), []).append(row._replace(key=whose.key))
    groups = []
    for group, class_name in sorted({*rows, *lives}):
        restarts, expired = lives.get((group, class_name), (0, 0))
        methods = methods_of(rows.get((group, class_name), ()))
        groups.append(GroupMetrics(group, class_name, 0, restarts, expired, 0, methods))
    return tuple(groups), calls
