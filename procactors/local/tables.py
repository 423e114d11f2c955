"""Result tables of pools in one process: the same words and marks, in this process's memory.

Layer: local. Runs in: one process, any thread.
Owns: the tables' bytes, until they are removed.
Never: frees what a worker or a pool still has a view of.
"""

from __future__ import annotations

from procactors.wire.result_table import SIZE, ResultTable

__all__ = ["LocalTable", "LocalTables"]


class LocalTable(ResultTable):
    """A view of one table."""

    def __init__(self, data: bytearray, number: int) -> None:
        # Nothing of the base class's: there is no file to map.
        self._show(data, number)

    def close(self) -> None:
        """Let go of the views."""
        self._hide()


class LocalTables:
    """The result tables of one system."""

    def __init__(self) -> None:
        self._all: dict[int, bytearray] = {}

    def make(self, number: int) -> LocalTable:
        """Make a table."""
        data = self._all[number] = bytearray(SIZE)
        return LocalTable(data, number)

    def find(self, number: int) -> LocalTable:
        """Return a view of a table. Raises FileNotFoundError: it is gone."""
        data = self._all.get(number)
        if data is None:
            raise FileNotFoundError(f"result table {number} is gone")
        return LocalTable(data, number)

    def remove(self, number: int) -> None:
        """Forget a table."""
        self._all.pop(number, None)
