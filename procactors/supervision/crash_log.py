"""Crashes on their way to the log: a few lines of each, and those that are alike are counted.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: nothing.
Never: loses a report: the whole of each is logged as DEBUG, and is in its error and crash file.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from procactors.crash import LOG_LINES, CrashReport

__all__ = ["CrashLog"]

_log = logging.getLogger("procactors")

#: Seconds from a crash that is shown to the first count of those like it, and at most to the next
#: count: each wait is twice the last one. After one without any, the next such crash is shown.
_FIRST_S, _LAST_S = 5.0, 60.0
#: Kinds of crashes that are remembered.
_KINDS = 100


class CrashLog:
    """What one supervisor logs of crashes.

    Args:
        after: runs an action in so many seconds.
    """

    def __init__(self, after: Callable[[float, Callable[[], None]], None]) -> None:
        self._after = after
        #: By what makes crashes alike: how many were not shown, and the last of them.
        self._more: dict[str, tuple[int, CrashReport]] = {}

    def note(self, report: CrashReport, lines: int = LOG_LINES) -> None:
        """Log a crash, or count it if one like it was shown a short while ago."""
        _log.debug("%s", report)
        kind = report.likeness
        if kind in self._more:
            self._more[kind] = self._more[kind][0] + 1, report
            return
        # A handler may want the report itself: it is an attribute of the record.
        _log.error("%s", report.brief(lines), extra={"report": report})
        if len(self._more) < _KINDS:
            self._more[kind] = 0, report
            self._look(kind, _FIRST_S)

    def close(self) -> None:
        """Log all that was counted."""
        for kind in list(self._more):
            self._tell(kind)
        self._more.clear()

    def _look(self, kind: str, wait: float) -> None:
        self._after(wait, functools.partial(self._due, kind, wait))

    def _due(self, kind: str, waited: float) -> None:
        if kind in self._more and self._tell(kind):
            self._look(kind, min(2 * waited, _LAST_S))
        else:
            self._more.pop(kind, None)

    def _tell(self, kind: str) -> bool:
        """Log how many more there were; return whether there were any."""
        count, last = self._more[kind]
        if count:
            text = "… %d more like this; the last: %s"
            _log.error(text, count, last.brief(1), extra={"report": last})
            self._more[kind] = 0, last
        return count > 0
