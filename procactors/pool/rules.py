"""How a map is to be done, as its caller has said it.

Layer: api. Runs in: the pool's process.
Owns: nothing.
Never: lets an argument pass that makes no sense.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from procactors.checks import deadline, flag, one_of, suggestion, whole
from procactors.errors import InvalidSpec
from procactors.wire.sheet import MOST_ITEMS

__all__ = ["Rules", "checked_rules"]

_KNOWN = {"ordered", "in_flight", "chunk", "on_error", "retries", "retry_on", "timeout"}
#: What is meant by the words of other libraries.
_MEANT = {
    "chunksize": "; say chunk=...",
    "batch_size": "; say chunk=...",
    "buffersize": "; say in_flight=...",
    "return_exceptions": "; say on_error='collect'",
}


class Rules(NamedTuple):
    """How a map is to be done; see `Pool.map`.

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
    deadline: float | None = None


def checked_rules(spread: bool, timeout: float | None, given: dict[str, Any]) -> Rules:
    """Return how a map is to be done, from what its caller has said.

    Args:
        spread: items are tuples of arguments.
        timeout: the pool's own limit for an item; counts if `given` has none.
        given: the named arguments of `Pool.map`.

    Raises:
        InvalidSpec: one that makes no sense. TypeError: one that is not known.
    """
    if unknown := sorted(given.keys() - _KNOWN - {"deadline"}):
        offered = sorted({*_KNOWN, "progress"})
        hint = _MEANT.get(unknown[0], "") or suggestion(unknown[0], offered)
        raise TypeError(f"map has no argument {unknown[0]!r}; it has {offered}{hint}")
    in_flight, chunk = given.get("in_flight"), given.get("chunk", "auto")
    limit = given.get("timeout")
    return Rules(
        ordered=flag("ordered", given.get("ordered", True)),
        in_flight=None if in_flight is None else whole("in_flight", in_flight, 1),
        chunk=_chunk(chunk),
        on_error=one_of("on_error", given.get("on_error", "raise"), ("raise", "collect", "skip")),
        retries=whole("retries", given.get("retries", 0), 0),
        retry_on=_kinds(given.get("retry_on", ())),
        timeout=timeout if limit is None else _limit(limit),
        spread=spread,
        deadline=given.get("deadline"),
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
