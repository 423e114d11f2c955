"""The worker: calls the function, and writes a result down before it answers.

Layer: batch. Runs in: worker.
Owns: its end of the journal, for the life of the process.
Never: sends an exception of the user's: it travels as text, so that the parent runs no code of the
user's.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from time import perf_counter
from typing import Any

from procactors.api.tree_toml import find_attribute
from procactors.batch.encoding import as_json, in_bytes
from procactors.batch.journal import Appender, Place, place_of
from procactors.errors import ProcActorsError
from procactors.wire.raised import name_of, said, shown

__all__ = ["Finished", "ItemFailed", "Runner", "Task"]

#: Index, key in the journal (empty if there is none), item: plain, for it is pickled each time.
Task = tuple[int, str, Any]

_KIB = 1024


#: Result as JSON, seconds that the call took, most resident bytes of the worker so far, and whether
#: it is written down. A plain tuple as well: a class would have to be named in each pickle.
Finished = tuple[bytes, float, int, bool]


class ItemFailed(ProcActorsError):
    """The function raised, or returned what JSON cannot hold.

    Attributes:
        kind: the exception's class, with its module unless that is builtins.
        text: what it said.
        traceback: formatted, from the function's own frame on.
    """

    def __init__(self, kind: str, text: str, traceback: str) -> None:
        self.kind = kind
        self.text = text
        self.traceback = traceback
        super().__init__(f"{kind}: {text}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.kind, self.text, self.traceback))


class Runner:
    """Calls one function for item after item.

    Args:
        target: the function, as ``module:name``.
        spread: a list is spread over its parameters, an object over its named ones.
        journal: path of the journal; None: nothing is written down.
        where: as `batch.journal.place_of` names the journal's file; where that is not seen, nothing
            is written down. None: it is seen.
    """

    def __init__(
        self, target: str, spread: bool, journal: str | None, where: Place | None = None
    ) -> None:
        function = find_attribute(target)
        self._call: Callable[[Any], Any] = function if not spread else _spread(function)
        is_seen = journal is not None and (where is None or place_of(journal) == where)
        self._journal = Appender(journal) if journal is not None and is_seen else None

    def run(self, task: Task) -> Finished:
        """Call the function for one item.

        Raises:
            ItemFailed: for people. JournalError: it was done, and could not be written down.
        """
        index, key, item = task
        began = perf_counter()
        try:
            value = self._call(item)
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises
            raise _failed(error) from None
        seconds = perf_counter() - began
        try:
            result = in_bytes(as_json(value))
        except Exception as error:  # noqa: BLE001 - conversion is the user's code, too
            text = f"the function returned what JSON cannot hold: {said(error)}"
            raise ItemFailed(type(error).__qualname__, text, "") from None
        if self._journal is not None:
            self._journal.append(key, index, seconds, result)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
        return result, seconds, peak, self._journal is not None


def _spread(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def call(item: Any) -> Any:
        if isinstance(item, list):
            return function(*item)
        if isinstance(item, dict):
            return function(**item)
        return function(item)

    return call


def _failed(error: Exception) -> ItemFailed:
    return ItemFailed(name_of(error), said(error), shown(error))
