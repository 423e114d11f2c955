"""The last minutes of each actor in numbers, for plots.

Layer: dashboard. Runs in: the dashboard's process.
Owns: memory: 16 bytes for each actor and look.
Never: reads a clock, or a system.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import isnan, nan

__all__ = ["SERIES", "TOTAL", "History"]

#: What is kept of each actor: messages handled a second, messages that wait, percent of a core,
#: resident bytes.
SERIES = ("rate", "mailbox", "cpu", "memory")
#: Under this id, the sums of all.
TOTAL = 0


class History:
    """Rings of numbers, one for each actor, all turned at the same instants.

    Args:
        looks: how many instants are kept.
    """

    def __init__(self, looks: int = 600) -> None:
        self._looks = looks
        self._times = array("d", [nan]) * looks
        self._at = 0
        self._rings: dict[int, array[float]] = {}

    def record(self, now: float, numbers: Mapping[int, tuple[float, ...]]) -> None:
        """Note one instant: for each actor its numbers, as `SERIES` orders them.

        Actors that are not named are forgotten.
        """
        for gone in self._rings.keys() - numbers.keys():
            del self._rings[gone]
        width, at = len(SERIES), self._at
        self._times[at] = now
        for actor, values in numbers.items():
            ring = self._rings.get(actor)
            if ring is None:
                ring = self._rings[actor] = array("f", [nan]) * (width * self._looks)
            ring[at * width : (at + 1) * width] = array("f", values)
        self._at = (at + 1) % self._looks

    def of(self, actor: int) -> dict[str, list[float | None]]:
        """Return an actor's series by name, and their instants as ``at``, oldest first.

        None stands where the actor was not there yet.
        """
        order = [*range(self._at, self._looks), *range(self._at)]
        order = [look for look in order if not isnan(self._times[look])]
        found: dict[str, list[float | None]] = {"at": [round(self._times[at], 2) for at in order]}
        ring, width = self._rings.get(actor), len(SERIES)
        for number, name in enumerate(SERIES):
            values = [ring[look * width + number] if ring else nan for look in order]
            found[name] = [None if isnan(value) else round(value, 2) for value in values]
        return found
