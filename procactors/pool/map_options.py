"""How a map is to be done: what its caller says, checked.

Layer: pool. Runs in: the pool's process.
Owns: nothing.
Never: lets an argument pass that makes no sense.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from procactors.errors import InvalidSpec
from procactors.light_tuple import NamedTuple
from procactors.model.checks import deadline, flag, one_of, suggestion, whole
from procactors.wire.result_table import MOST_ITEMS

if TYPE_CHECKING:
    from typing import TypedDict

    class MapWords(TypedDict, total=False):
        """What may be said of a map besides `on_error`, for editors and type checkers alone."""

        ordered: bool
        in_flight: int | None
        chunk: int | Literal["auto"]
        retries: int
        retry_on: type[BaseException] | tuple[type[BaseException], ...]
        timeout: float | None
        progress: bool


__all__ = ["MAP_WORDS", "MapOptions", "checked_options"]

#: What the caller of a map may say, with the defaults.
MAP_WORDS: dict[str, Any] = {
    "on_error": "raise",
    "ordered": True,
    "in_flight": None,
    "chunk": "auto",
    "retries": 0,
    "retry_on": (),
    "timeout": None,
    "progress": False,
}
#: What is meant by the words of other libraries.
_MEANT = {
    "chunksize": "; say chunk=...",
    "batch_size": "; say chunk=...",
    "buffersize": "; say in_flight=...",
    "return_exceptions": "; say on_error='collect'",
}


class MapOptions(NamedTuple):
    """How a map is to be done; see `Pool.map`. `spread` says that items are tuples of arguments.

    Some of it is for the runtime's own: `deadline`, the instant until which results are waited for
    (monotonic); an `on_error` of ``"mark"``, which gives a `Sealed` failure in the place of an item
    that failed, and one of ``"log"``, which leaves out each item that failed, for whatever reason.
    """

    ordered: bool = True
    in_flight: int | None = None
    chunk: int | None = None
    on_error: str = "raise"
    retries: int = 0
    retry_on: tuple[type[BaseException], ...] = ()
    timeout: float | None = None
    spread: bool = False
    progress: bool = False
    deadline: float | None = None


def checked_options(spread: bool, timeout: float | None, given: dict[str, Any]) -> MapOptions:
    """Return how a map is to be done, from what its caller has said.

    Args:
        spread: items are tuples of arguments.
        timeout: the pool's own limit for an item; counts if `given` has none.
        given: the named arguments of `Pool.map`.

    Raises:
        InvalidSpec: one that makes no sense. TypeError: one that is not known.
    """
    if unknown := sorted(given.keys() - MAP_WORDS.keys() - {"deadline"}):
        offered = sorted(MAP_WORDS)
        hint = _MEANT.get(unknown[0], "") or suggestion(unknown[0], offered)
        raise TypeError(f"map has no argument {unknown[0]!r}; it has {offered}{hint}")
    words = {**MAP_WORDS, **given}
    in_flight, limit = words["in_flight"], words["timeout"]
    return MapOptions(
        ordered=flag("ordered", words["ordered"]),
        in_flight=None if in_flight is None else whole("in_flight", in_flight, 1),
        chunk=_chunk(words["chunk"]),
        on_error=one_of("on_error", words["on_error"], ("raise", "collect", "skip")),
        retries=whole("retries", words["retries"], 0),
        retry_on=_kinds(words["retry_on"]),
        timeout=timeout if limit is None else _limit(limit),
        spread=spread,
        progress=flag("progress", words["progress"]),
        deadline=words.get("deadline"),
    )


def _chunk(chunk: Any) -> int | None:
    if chunk is None or (isinstance(chunk, str) and chunk == "auto"):
        return None
    return min(whole("chunk (items, or 'auto')", chunk, 1), MOST_ITEMS)


def _limit(timeout: Any) -> float:
    limit = deadline("timeout", timeout)
    if limit == 0:
        raise InvalidSpec(f"timeout is more than 0 seconds, not {timeout!r}")
    return limit


def _kinds(retry_on: Any) -> tuple[type[BaseException], ...]:
    kinds = tuple(retry_on) if isinstance(retry_on, (tuple, list, set)) else (retry_on,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise InvalidSpec(f"retry_on names exception classes, not {kind!r}")
    return kinds
