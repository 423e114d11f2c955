"""What a system, an actor and an ask cost here: measured, with a real one.

Layer: doctor. Runs in: the command's process.
Owns: the system, stopped before it returns.
Never: judges by a clock on a busy machine: what it says is a warning, and what fails, fails.
"""

from __future__ import annotations

from time import perf_counter

from procactors import Actor, ActorSystem
from procactors.doctor.finding import Finding, fail, ok, warn
from procactors.errors import ProcActorsError

__all__ = ["START_METHODS", "measure"]

START_METHODS = ("forkserver", "spawn", "fork")
#: Asks, of which the middle one counts, and actors that are started one after the other.
_ASKS, _STARTS = 200, 5
#: Seconds beyond which a start, or an ask, is not as it should be.
_SLOW_START_S, _SLOW_ASK_S = 2.0, 0.005


class _Echo(Actor):
    def echo(self, value: int) -> int:
        return value


def measure(start_method: str = "forkserver") -> Finding:
    """Start a system, some actors, and ask one; blocks for some tenths of a second."""
    subject = f"start ({start_method})"
    try:
        system_s, spawn_s, ask_s = _measured(start_method)
    except (ProcActorsError, OSError) as error:
        return fail(subject, f"no actor could be started: {error}", _ADVICE)
    says = (
        f"a system {system_s * 1e3:.0f} ms, an actor {spawn_s * 1e3:.1f} ms, an ask "
        f"{ask_s * 1e6:.0f} us"
    )
    facts = {"system_s": system_s, "spawn_s": spawn_s, "ask_s": ask_s}
    if spawn_s > _SLOW_START_S or ask_s > _SLOW_ASK_S:
        advice = "the machine is busy, or its quota of processors is used up: see top, cpu.stat"
        return warn(subject, says, advice, **facts)
    return ok(subject, says, **facts)


_ADVICE = "what fails above says why, as a rule; else the message itself"


def _measured(start_method: str) -> tuple[float, float, float]:
    """Return the seconds of a system's start with its first actor, of a further one, of an ask."""
    began = perf_counter()
    with ActorSystem(start_method=start_method) as system:
        echo = system.spawn(_Echo)
        system_s = perf_counter() - began
        starts = []
        for _ in range(_STARTS):
            began = perf_counter()
            system.spawn(_Echo)
            starts.append(perf_counter() - began)
        asks = []
        for number in range(_ASKS):
            began = perf_counter()
            echo.ask(_Echo.echo, number)
            asks.append(perf_counter() - began)
    return system_s, sorted(starts)[_STARTS // 2], sorted(asks)[_ASKS // 2]
