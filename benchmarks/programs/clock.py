"""The clock of a program: what has passed since its first line, printed as one line of JSON."""

from __future__ import annotations

from time import perf_counter_ns, process_time_ns


def begin() -> tuple[int, int]:
    """Answer the wall-clock and the processor time of now."""
    return perf_counter_ns(), process_time_ns()


def end(begun: tuple[int, int]) -> None:
    """Print the ms since then: wall clock, processor time of this process, and of all below it.

    The processes below began after this program's first line, so all that they have used counts.
    """
    wall, here = perf_counter_ns() - begun[0], process_time_ns() - begun[1]
    import json  # from here on the clock has stopped

    import psutil

    from benchmarks.processor import used_ns

    there = sum(used_ns(process.pid) for process in psutil.Process().children(recursive=True))
    print(json.dumps([took / 1_000_000 for took in (wall, here, there)]), flush=True)
