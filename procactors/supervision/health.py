"""Does an actor hang, is it over its memory limit, or did the watchdog itself stand still?

Layer: supervision. Runs in: anywhere.
Owns: nothing; pure functions over numbers. Instants are given, in seconds of one monotonic clock.
Never: reads a clock, looks at a process.
"""

from __future__ import annotations

from procactors.light_tuple import NamedTuple
from procactors.model.options import Limits, Options

__all__ = ["Look", "Standstill", "interval_s", "is_hung", "is_late", "is_over", "standstill"]

#: Seconds between two looks at memory: about ten a second.
_MEMORY_EVERY_S = 0.1
#: Looks within one `handle_timeout`, and least and most seconds between two of them.
_LOOKS, _LEAST_S, _MOST_S = 10, 0.02, 0.5
#: A look that comes so many intervals late, and so many seconds at least, was kept from coming:
#: this process was stopped, or the machine slept. A busy machine's delays are shorter.
_LATE_INTERVALS, _LATE_S = 5, 0.25


class Look(NamedTuple):
    """What was seen of an actor at one instant.

    Attributes:
        now: the instant; read before the rest, so that no age comes out too long.
        handled: messages handled so far.
        busy_since: since when it has a message in hand; None if it has none.
        waits: whether messages wait in its box or pipe.
    """

    now: float
    handled: int
    busy_since: float | None
    waits: bool


class Standstill(NamedTuple):
    """An actor that has something to do and has not moved on.

    Attributes:
        handled: the messages that it had handled by then.
        began: when it began: with the message in hand, or with the first look that saw it idle
            with messages waiting.
        since: the instant from which its time counts: `began`, or a later awakening.
        in_handler: whether it has a message in hand.
    """

    handled: int
    began: float
    since: float
    in_handler: bool


def standstill(last: Standstill | None, look: Look, awake_since: float) -> Standstill | None:
    """Return since when the actor has stood still; None if it has nothing to do.

    Args:
        last: the answer of the look before.
        look: what is seen now.
        awake_since: the instant before which no time counts (see `is_late`).
    """
    if look.busy_since is not None:
        since = max(look.busy_since, awake_since)
        return Standstill(look.handled, look.busy_since, since, True)
    if not look.waits:
        return None
    if last is None or last.in_handler or last.handled != look.handled:
        return Standstill(look.handled, look.now, look.now, False)
    return last._replace(since=max(last.since, awake_since))


def is_hung(still: Standstill | None, handle_timeout: float | None, now: float) -> bool:
    """Whether an actor has stood still for longer than it may."""
    return still is not None and handle_timeout is not None and now - still.since > handle_timeout


def is_late(due: float, now: float, interval: float) -> bool:
    """Whether a look due at `due` comes so late that the time before `now` must not count.

    The actors may have been stopped together with us, or may have waited for us.
    """
    return now - due > max(_LATE_S, _LATE_INTERVALS * interval)


def is_over(resident: int, limits: Limits | None) -> bool:
    """Whether so many resident bytes are more than is allowed."""
    return limits is not None and limits.memory is not None and resident > limits.memory


def interval_s(options: Options) -> float | None:
    """Return how many seconds may lie between two looks at an actor; None: it needs none."""
    memory = options.limits is not None and options.limits.memory is not None
    wanted = [_MEMORY_EVERY_S] if memory else []
    if options.handle_timeout is not None:
        wanted.append(min(_MOST_S, max(_LEAST_S, options.handle_timeout / _LOOKS)))
    return min(wanted, default=None)
