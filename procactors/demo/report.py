"""What the demo prints at the end: the table, the restart, the files that failed, the comparison.

Layer: demo. Runs in: parent.
Owns: nothing; everything here is text made of values.
Never: prints; reads a clock.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from procactors.demo.analysis import Failure, Function, Totals
    from procactors.demo.job import Killing, Measured

__all__ = ["render"]


def render(folder: str, actors: Measured, serial: Measured, cpus: int) -> str:
    """Return the whole report as text, without a newline at its end.

    Args:
        folder: the folder that paths are shown relative to.
        actors: what the run with actors gave.
        serial: what the run in one process gave.
        cpus: how many CPUs may be used.
    """
    lines = [
        "",
        *_table(actors, serial),
        "",
        _speed(actors, serial, cpus),
        *_restart(folder, actors.killing),
        "",
        *_longest(folder, actors.totals.longest),
        *_failures(folder, actors.totals.failures),
        "",
        _comparison(actors.totals, serial.totals),
    ]
    return "\n".join(lines)


def _table(actors: Measured, serial: Measured) -> Iterator[str]:
    rows = [("", _actors(actors.workers), "one process")]
    for name, there, here in _counts(actors.totals, serial.totals):
        rows.append((name, f"{there:,}", f"{here:,}"))
    rows.append(("seconds", f"{actors.seconds:.2f}", f"{serial.seconds:.2f}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, (name, left, right) in enumerate(rows):
        yield f"{name:<{widths[0]}}  {left:>{widths[1]}}  {right:>{widths[2]}}"
        if number == 0:
            yield "  ".join("-" * width for width in widths)


def _counts(there: Totals, here: Totals) -> Iterator[tuple[str, int, int]]:
    yield "files", there.files, here.files
    yield "failed to parse", len(there.failures), len(here.failures)
    yield "lines", there.lines, here.lines
    yield "functions", there.functions, here.functions
    yield "classes", there.classes, here.classes
    yield "branches", there.branches, here.branches
    yield "longest function", _length(there), _length(here)


def _length(totals: Totals) -> int:
    return totals.longest.lines if totals.longest else 0


def _speed(actors: Measured, serial: Measured, cpus: int) -> str:
    ratio = serial.seconds / actors.seconds
    return (
        f"{_actors(actors.workers)} on {cpus} usable CPUs, start and stop included: "
        f"{ratio:.2f} times as fast as one process"
    )


def _restart(folder: str, killing: Killing | None) -> Iterator[str]:
    if killing is None:
        return
    lost = f"with {_shown(folder, killing.lost)} in hand, analysed again"
    yield f"{killing.name} (pid {killing.pid}) was killed after {killing.done} files, {lost}"
    yield (
        f"{killing.name} came back as incarnation {killing.incarnation} (pid {killing.new_pid}), "
        f"restarts: {killing.restarts}"
    )


def _longest(folder: str, longest: Function | None) -> Iterator[str]:
    if longest is not None:
        where = f"{_shown(folder, longest.path)}, line {longest.line}"
        yield f"longest function: {longest.name}, {longest.lines} lines ({where})"


def _failures(folder: str, failures: Sequence[Failure]) -> Iterator[str]:
    yield f"files that failed to parse: {len(failures)}"
    for failure in failures:
        yield f"  {_shown(folder, failure.path)}: {failure.error}"


def _comparison(there: Totals, here: Totals) -> str:
    if there == here:
        return "totals of the actors and of one process: equal"
    different = [name for name, one, other in _counts(there, here) if one != other]
    return "totals of the actors and of one process: DIFFERENT in " + (
        ", ".join(different) or "details: which function is longest, or which files failed and why"
    )


def _actors(number: int) -> str:
    return f"{number} actor{'' if number == 1 else 's'}"


def _shown(folder: str, path: str) -> str:
    return os.path.relpath(path, folder)
