"""Restart policy as pure functions over data: no clock, no process.

Layer: supervision. Runs in: anywhere.
Owns: nothing; times are given, in seconds of any one monotonic clock.
Never: reads a clock, draws a random number, touches a process.
"""

from __future__ import annotations

import dataclasses

from procactors.options import Backoff, Options, Restart
from procactors.supervision.crash import ExitKind, ExitReason

__all__ = [
    "START_FAILED_WAIT_S",
    "GiveUp",
    "History",
    "Respawn",
    "StayDown",
    "backoff_wait",
    "decide",
]


@dataclasses.dataclass(frozen=True)
class History:
    """The restarts so far, oldest first, and how many came in a row.

    Attributes:
        restarts: instants of the restarts inside the window.
        in_a_row: restarts without a stable run between them, for the backoff.
    """

    restarts: tuple[float, ...] = ()
    in_a_row: int = 0


@dataclasses.dataclass(frozen=True)
class Respawn:
    """Start the next incarnation after `wait` seconds; `history` includes this restart."""

    wait: float
    history: History


@dataclasses.dataclass(frozen=True)
class StayDown:
    """The policy does not ask for a restart."""


@dataclasses.dataclass(frozen=True)
class GiveUp:
    """The policy asks for a restart, but there were too many: `count` within the window."""

    count: int

    def words(self, within: float, allowed: int) -> str:
        """Return it for people, with what the policy allows."""
        return f"restart number {self.count} within {within} s, allowed are {allowed}"


def decide(
    options: Options,
    reason: ExitReason,
    history: History,
    now: float,
    ran_s: float,
    draw: float,
) -> Respawn | StayDown | GiveUp:
    """Say what follows from an exit.

    The window is OTP's: a restart is allowed if, with it, at most ``max_restarts`` lie within
    the last ``within`` seconds (OTP supervisor, "Maximum Restart Intensity").

    Args:
        options: the actor's.
        reason: how the incarnation ended.
        history: the restarts so far.
        now: the instant of the exit.
        ran_s: seconds for which the incarnation ran after its start was done; 0.0 if it never was.
        draw: a random number from 0.0 to 1.0, for the jitter.
    """
    if not _wants_restart(options.restart, reason):
        return StayDown()
    recent = tuple(at for at in history.restarts if now - at <= options.within)
    if len(recent) + 1 > options.max_restarts:
        return GiveUp(len(recent) + 1)
    # A run as long as the window is a stable one: the next failure is a new story.
    in_a_row = 0 if ran_s >= options.within else history.in_a_row
    wait = 0.0
    if options.backoff is not None and in_a_row > 0:
        wait = backoff_wait(options.backoff, in_a_row, draw)
    if reason.kind is ExitKind.START and wait == 0.0:
        wait = START_FAILED_WAIT_S
    return Respawn(wait, History((*recent, now), in_a_row + 1))


#: Least wait after a failed start, in seconds: what kept it from starting (no descriptor, no
#: memory, a file that is not there) does not pass in a millisecond.
START_FAILED_WAIT_S = 0.1


def backoff_wait(backoff: Backoff, in_a_row: int, draw: float) -> float:
    """Return the seconds to wait before restart number `in_a_row` + 1 in a row."""
    # The exponent is bounded: beyond it the maximum holds anyway, and floats overflow.
    wait = min(backoff.maximum, backoff.initial * backoff.factor ** min(in_a_row - 1, 64))
    return wait * (1.0 - backoff.jitter * draw)


def _wants_restart(restart: Restart, reason: ExitReason) -> bool:
    if restart is Restart.TEMPORARY:
        return False
    return restart is Restart.PERMANENT or reason.is_abnormal
