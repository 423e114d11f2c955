"""One program under many orders of its messages, until an assertion of it breaks.

Layer: testing. Runs in: parent.
Owns: one system at a time, which it stops.
Never: draws by chance: the same seeds give the same runs.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from procactors.api.local_system import yielding
from procactors.api.system import ActorSystem
from procactors.errors import InvalidSpec
from procactors.model.checks import whole

__all__ = ["Counterexample", "explore"]

#: How often who sends lets others run first.
_YIELDS = 0.2
#: Runs that break: with so many, the shortest of them is told.
_ENOUGH = 20
#: Lines of a history that the error shows.
_SHOWN = 60


class Counterexample(AssertionError):
    """A program broke under some order of its messages.

    Attributes:
        seed: ``ActorSystem(backend="inline", seed=...)`` has this one's choices; `explore` with
            ``seeds=[seed]`` plays the run again.
        history: the messages of the run in the order in which they were begun, a line each.
    """

    def __init__(self, seed: int, history: list[str], tried: int, error: BaseException) -> None:
        self.seed = seed
        self.history = history
        left = len(history) - _SHOWN
        lines = history[-_SHOWN:] if left > 0 else history
        more = f"  ... {left} before\n" if left > 0 else ""
        super().__init__(
            f"seed {seed} (one of {tried} tried) breaks it: {type(error).__name__}: {error}\n"
            f"messages, in the order in which they were begun:\n{more}  " + "\n  ".join(lines)
        )


def explore(program: Callable[[Any], object], seeds: int | Iterable[int] = 1000) -> int:
    """Run `program(system)` under many orders of its messages; return how many were tried.

    Each run has an inline system of its own (`backend="inline"`), which is stopped behind it. The
    order of all messages is drawn from the seed, within what processes promise: those of each
    sender stay in order. Who sends something lets others run first now and then, as processes do.

    Args:
        program: called with the system; what it raises breaks it. It spawns, sends, asks, crashes
            actors, lets time pass, and asserts; what it draws by chance it draws itself.
        seeds: how many orders are tried, or which.

    Raises:
        InvalidSpec: no plain function (of a coroutine nothing would run), or no seed.
        Counterexample: it broke. Of the orders that break it (up to 20 are looked for) the one with
            the fewest messages is told, with the assertion as its ``__cause__``.
    """
    if not callable(program) or inspect.iscoroutinefunction(program):
        raise InvalidSpec(f"program is a plain function of the system, not {program!r}")
    try:
        chosen = range(whole("seeds", seeds, 1)) if isinstance(seeds, int) else list(seeds)
    except TypeError:
        raise InvalidSpec(f"seeds is how many orders are tried, or which; not {seeds!r}") from None
    if not chosen:
        raise InvalidSpec("seeds names at least one seed: without, no order is tried")
    found: list[tuple[int, int, list[str], BaseException]] = []
    tried = 0
    for seed in chosen:
        tried += 1
        broken = _run(program, seed)
        if broken is not None:
            found.append((len(broken[0]), seed, *broken))
            if len(found) >= _ENOUGH:
                break
    if found:
        _, seed, history, error = min(found, key=lambda one: one[:2])
        raise Counterexample(seed, history, tried, error) from error
    return tried


def _run(program: Callable[[Any], object], seed: int) -> tuple[list[str], BaseException] | None:
    """Run a program under one order; return (history, error) if it breaks."""
    quiet = logging.getLogger("procactors")
    before = quiet.disabled
    # Of thousands of runs, each of which may crash its actors on purpose.
    quiet.disabled = True
    try:
        with yielding(_YIELDS):
            system: Any = ActorSystem(backend="inline", seed=seed)
        try:
            program(system)
        except Exception as error:  # noqa: BLE001 - the program's; it is told
            return system.history, error
        finally:
            system.kill()
    finally:
        quiet.disabled = before
    return None
