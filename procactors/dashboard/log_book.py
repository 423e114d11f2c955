"""What a system's actors have logged lately, for pages that show it.

Layer: dashboard. Runs in: the dashboard's process, in worker threads, one at a time.
Owns: the last records, in memory.
Never: reads a file before a page wants to see records.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from procactors.outside.log_follower import LogFollower
from procactors.outside.roster import Roster
from procactors.outside.systems import NoSystem

__all__ = ["LogBook"]

#: Records that are kept, and that one answer has at most.
_KEPT, _MOST = 2000, 500


class LogBook:
    """The records of one system.

    Args:
        path: the system's runtime directory.
        roster: of the same system; a look refreshes it.
    """

    def __init__(self, path: str, roster: Roster) -> None:
        self._follower = LogFollower(path, roster, None)
        self._lines: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._number = 0
        self._has_ended = False

    def after(self, number: int) -> list[dict[str, Any]]:
        """Return the records behind that number, ready for JSON; the last ones, if they are many.

        Once the system has ended, those that had been seen by then.
        """
        if not self._has_ended:
            try:
                self._look()
            except NoSystem:
                self._has_ended = True
        return [line for line in self._lines if line["number"] > number][-_MOST:]

    def _look(self) -> None:
        for actor, entry in self._follower.look():
            self._number += 1
            self._lines.append(
                {
                    "number": self._number,
                    "at": entry.created,
                    "actor": actor,
                    "level": entry.level,
                    "level_name": entry.level_name,
                    "logger": entry.logger,
                    "text": entry.text,
                }
            )
