"""How a map is to be done, as its caller has said it.

Layer: api. Runs in: the pool's process.
Owns: nothing.
Never: lets an argument pass that makes no sense.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from procactors.errors import InvalidSpec
from procactors.wire.sheet import MOST_ITEMS

__all__ = ["Rules", "checked_rules"]


class Rules(NamedTuple):
    """How a map is to be done; see `Pool.map`.

    Two words of it are for the runtime's own: `deadline`, the instant until which results are
    waited for (monotonic), and an `on_error` of ``"mark"``, which gives a `Sealed` failure in the
    place of an item that failed.
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
    known = {"ordered", "in_flight", "chunk", "on_error", "retries", "retry_on", "timeout"}
    if unknown := sorted(given.keys() - known - {"deadline"}):
        offered = sorted({*known, "progress"})
        raise TypeError(f"map has no argument {unknown[0]!r}; it has {offered}")
    chunk = given.get("chunk", "auto")
    if chunk == "auto":
        chunk = None
    for name, value, lowest in (
        ("in_flight", given.get("in_flight"), 1),
        ("chunk", chunk, 1),
        ("retries", given.get("retries", 0), 0),
    ):
        is_whole = isinstance(value, int) and not isinstance(value, bool) and value >= lowest
        if not is_whole and (value is not None or name == "retries"):
            raise InvalidSpec(f"{name} is a whole number of at least {lowest}, not {value!r}")
    on_error = given.get("on_error", "raise")
    if on_error not in ("raise", "collect", "skip"):
        raise InvalidSpec(f"on_error is 'raise', 'collect' or 'skip', not {on_error!r}")
    limit = given.get("timeout")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, float))):
        raise InvalidSpec(f"timeout is a number of seconds or None, not {limit!r}")
    if limit is not None and not limit > 0:
        raise InvalidSpec(f"timeout is more than 0 seconds, not {limit!r}")
    retry_on = given.get("retry_on", ())
    kinds = tuple(retry_on) if isinstance(retry_on, (tuple, list, set)) else (retry_on,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise InvalidSpec(f"retry_on names exception classes, not {kind!r}")
    return Rules(
        ordered=bool(given.get("ordered", True)),
        in_flight=given.get("in_flight"),
        chunk=None if chunk is None else min(chunk, MOST_ITEMS),
        on_error=on_error,
        retries=given.get("retries", 0),
        retry_on=kinds,
        timeout=timeout if limit is None else limit,
        spread=spread,
        deadline=given.get("deadline"),
    )
