"""What a job has done, in numbers, and the lines about it at its end.

Layer: batch. Runs in: parent.
Owns: nothing; everything here is a value, or text made of values.
Never: prints; reads a clock.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator

from procactors.batch.encoding import item_json

__all__ = ["Summary"]

#: Items named as the slowest, and characters of each.
_SLOWEST, _ITEM_WIDTH = 3, 60


@dataclasses.dataclass
class Summary:
    """What a job has done so far.

    Attributes:
        done: items finished in this run.
        failed: items that failed in it.
        skipped: items that the journal had.
        restarts: workers that were started anew.
        workers: how many there are.
        peak_memory: most resident bytes of one worker.
    """

    done: int = 0
    failed: int = 0
    skipped: int = 0
    restarts: int = 0
    workers: int = 0
    peak_memory: int = 0
    _slowest: list[tuple[float, int, str]] = dataclasses.field(default_factory=list)

    @property
    def seen(self) -> int:
        """Items that something has come of."""
        return self.done + self.failed + self.skipped

    def finished(self, index: int, item: object, seconds: float, peak_memory: int) -> None:
        """Count an item that succeeded."""
        self.done += 1
        self.peak_memory = max(self.peak_memory, peak_memory)
        slowest = self._slowest
        if len(slowest) < _SLOWEST:
            heapq.heappush(slowest, (seconds, index, _shown(item)))
        elif seconds > slowest[0][0]:
            heapq.heapreplace(slowest, (seconds, index, _shown(item)))

    def lines(self, seconds: float, ended: str = "") -> Iterator[str]:
        """Yield the lines for people.

        Args:
            seconds: how long the job took.
            ended: why it has ended early; empty if it has not.
        """
        counts = [f"{self.done} done", f"{self.failed} failed"]
        if self.skipped:
            counts.append(f"{self.skipped} skipped (in the journal)")
        if ended:
            yield ended
        rate = (self.done + self.failed) / seconds if seconds > 0 else 0.0
        yield f"{', '.join(counts)} in {seconds:.2f} s ({_rate(rate)} items/s)"
        restarts = "1 restart" if self.restarts == 1 else f"{self.restarts} restarts"
        workers = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        memory = f", peak memory of a worker {_size(self.peak_memory)}" if self.peak_memory else ""
        yield f"{workers}, {restarts}{memory}"
        if self._slowest:
            slowest = sorted(self._slowest, reverse=True)
            named = [f"{_took(took)} for item {index} {item}" for took, index, item in slowest]
            yield f"slowest: {'; '.join(named)}"


def _shown(item: object) -> str:
    text = item_json(item)
    return text if len(text) <= _ITEM_WIDTH else f"{text[: _ITEM_WIDTH - 3]}..."


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def _size(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
