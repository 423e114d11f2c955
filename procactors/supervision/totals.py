"""What actors that are over have counted, so that no count of a system goes down.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the table `metrics` of the runtime directory, made with the first actor that ends (`close`).
Never: keeps an actor from its end: what cannot be added is lost.

    number odd ─► add its rows to those of its group ─► remove its tables ─► number even

Who reads the tables meanwhile finds another number behind them, and reads again. An actor's rows
are added before its folder goes, and with what it had handled and not counted when it was killed.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

from procactors.metrics.grouping import LIVES, TRIPS, group_of, total_key
from procactors.supervision.backend import Words
from procactors.wire.mailbox.black_box import EXPIRED, HANDLED, HANDLED_OWN, INCARNATION, METRICS
from procactors.wire.meter_table import (
    BASE,
    ERRORS,
    ITEMS,
    SECOND,
    SUM,
    MeterTable,
    Row,
    TableFacts,
    index_of,
    read_table,
)

__all__ = ["Totals"]

_log = logging.getLogger("procactors")

#: Rows of the totals: methods of groups that have ended; each takes 2.5 KB when it is used.
_ROWS = 2048


class Totals:
    """The totals of one system.

    Args:
        path: its runtime directory.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._table: MeterTable | None = None
        self._is_closed = False

    def take(self, actor: int, name: str, class_name: str, words: Words, folder: str) -> None:
        """Add what an actor has counted, which has ended for good, and remove its tables."""
        if self._is_closed:
            return
        files = [os.path.join(folder, file) for file in ("metrics", "trips")]
        table, trips = map(read_table, files)
        restarts, expired = max(0, words[INCARNATION] - 1), words[EXPIRED]
        if table is None and trips is None and not restarts and not expired:
            return
        keys = [row.key for row in table.rows] if table is not None else []
        group = group_of(actor, name, keys)
        try:
            totals = self._opened()
        except OSError as error:
            _log.warning("what %s has counted is lost: no room for the totals: %s", name, error)
            return
        totals.words[BASE] += 1
        try:
            if restarts or expired:
                row = totals.row(total_key(group, class_name, LIVES))
                row[ERRORS] += restarts
                row[ITEMS] += expired
            for key, found in _rows_of(table, trips, words):
                _add(totals.row(total_key(group, class_name, key)), found)
        except OSError as error:
            _log.warning("not all that %s has counted is kept: %s", name, error)
        finally:
            for file in files:
                if os.path.exists(file):
                    os.unlink(file)
            totals.words[BASE] += 1

    def _opened(self) -> MeterTable:
        if self._table is None:
            self._table = MeterTable(os.path.join(self._path, "metrics"), _ROWS, 2, "", "")
        return self._table

    def close(self) -> None:
        """Unmap the table; nothing is added any more."""
        self._is_closed = True
        if self._table is not None:
            self._table.close()
            self._table = None


def _rows_of(
    table: TableFacts | None, trips: TableFacts | None, words: Words
) -> Iterator[tuple[bytes, Row]]:
    """Yield (key in the totals, row) of an actor's tables."""
    if table is not None:
        counted = table.base + sum(sum(row.first[1:]) for row in table.rows)
        missing = words[HANDLED] - words[HANDLED_OWN] - counted
        for number, row in enumerate(table.rows, 1):
            is_current = number == words[METRICS] and missing > 0
            yield row.key, _completed(row, missing) if is_current else row
    for row in trips.rows if trips is not None else ():
        yield TRIPS + row.key, row


def _completed(row: Row, missing: int) -> Row:
    """Return a row with messages that it has not, at the mean of those that it has."""
    first = list(row.first)
    mean = first[0] // (sum(first[1:]) or 1)
    first[0] += mean * missing
    first[index_of(mean) - SUM] += missing
    return row._replace(first=tuple(first))


def _add(words: memoryview, row: Row) -> None:
    words[ERRORS] += row.errors
    words[ITEMS] += row.items
    for at, numbers in ((SUM, row.first), (SECOND, row.second)):
        for index, number in enumerate(numbers, at):
            if number:
                words[index] += number
