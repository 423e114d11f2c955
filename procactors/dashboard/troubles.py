"""A system's crash reports and dead letters, as its parent tells them.

Layer: dashboard. Runs in: the dashboard's process, in worker threads, one at a time.
Owns: a guest's place at the supervisor (`close`).
Never: unpickles a message; waits longer than a moment: the parent may be stuck.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from typing import Any

from procactors.crash import CrashReport
from procactors.model import commands as c
from procactors.outside.guest import Guest

__all__ = ["Troubles"]

#: Crash reports that are kept here, also when the system is over.
_CRASHES = 200
#: Letters that are shown: the last ones.
_LETTERS = 100
#: Seconds for an answer. An ordinary one takes less than a millisecond.
_PATIENCE_S = 1.0


class Troubles:
    """Crashes and letters of one system, up to date by the last `look`.

    Args:
        path: the system's runtime directory.

    Attributes:
        crashes: the last ones, oldest first, ready for JSON.
        letters: the last ones with their counts, ready for JSON.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._guest: Guest | None = None
        self._last_crash = 0
        self._list = 0
        self.crashes: deque[dict[str, Any]] = deque(maxlen=_CRASHES)
        self.letters: dict[str, Any] = {"total": 0, "kept": 0, "letters": []}

    def close(self) -> None:
        """Leave the system."""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.close()

    def look(self) -> dict[str, Any]:
        """Ask the parent what is new; return it, ready for JSON.

        Blocks until it answers, a second at most for each question.

        Raises:
            What the guest raises where the parent does not answer, or is gone.
        """
        if self._guest is None:
            self._guest = Guest(self._path)
        news: dict[str, Any] = {}
        crashes = self._new_crashes(self._guest)
        if crashes:
            self.crashes.extend(crashes)
            news["crashes"] = crashes
        letters = self._guest.ask(c.ListLetters(self._list, _LETTERS), _PATIENCE_S)
        if letters is not None:
            self._list = letters.number
            rows = [dataclasses.asdict(letter) for letter in letters.letters]
            self.letters = {"total": letters.total, "kept": letters.kept, "letters": rows}
            news["letters"] = self.letters
        return news

    def _new_crashes(self, guest: Guest) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while True:
            answer = guest.ask(c.ListCrashes(self._last_crash), _PATIENCE_S)
            for number, report in answer.reports:
                found.append(_crash(number, report))
                self._last_crash = number
            if not answer.reports:
                return found


def _crash(number: int, report: CrashReport) -> dict[str, Any]:
    return {
        "number": number,
        "at": report.at,
        "actor": report.actor,
        "incarnation": report.incarnation,
        "pid": report.pid,
        "says": str(report.reason),
        "handler": report.handler,
        "summary": report.summary,
        "text": str(report),
    }
