"""What is seen of a job while it runs: its progress, and lines on stderr that do not tear it.

Layer: batch. Runs in: parent, in whichever thread logs.
Owns: the handler of the runtime's log, while a job runs.
Never: writes to the standard output.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from contextlib import AbstractContextManager

from procactors.observe import bars
from procactors.supervision.crash import CrashReport

__all__ = ["View", "open_view"]

_PREFIX = "procactors map: "


class View:
    """Progress, and lines beside it.

    Args:
        bar: what draws it; None: nothing does.
        is_drawn: a line has to go through it, else it would be torn.
    """

    def __init__(self, bar: bars.ProgressView | None, is_drawn: bool) -> None:
        self._bar = bar
        self._is_drawn = is_drawn
        self._total: int | None = None

    def total(self, count: int) -> None:
        """Say how many items there are."""
        if self._bar is not None and count != self._total:
            self._total = count
            self._bar.total(count)

    def advance(self, done: int, failed: int) -> None:
        """Show how far it is."""
        if self._bar is not None:
            self._bar.advance(done, failed)

    def say(self, text: str) -> None:
        """Write a line on stderr."""
        if self._bar is not None and self._is_drawn:
            self._bar.say(_PREFIX + text)
            return
        with contextlib.suppress(OSError, ValueError, AttributeError):  # nobody hears it
            sys.stderr.write(f"{_PREFIX}{text}\n")
            sys.stderr.flush()

    def logged(self) -> AbstractContextManager[None]:
        """Say what the runtime logs inside the block; what became of items is told elsewhere."""
        return bars.logged_to(_Lines(self))

    def close(self) -> None:
        """Leave the progress as it stands; lines go on."""
        if self._bar is not None:
            self._bar.close()
        self._bar, self._is_drawn = None, False

    def __enter__(self) -> View:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines(logging.Handler):
    def __init__(self, view: View) -> None:
        super().__init__(logging.ERROR)
        self._view = view

    def emit(self, record: logging.LogRecord) -> None:
        report = getattr(record, "report", None)
        if isinstance(report, CrashReport) and report.handler is not None:
            return  # of a worker with an item in hand: the item's failure says it
        try:
            self._view.say(self.format(record).partition("\n")[0])
        except Exception:  # noqa: BLE001 - so wide because logging may fail nobody's work
            self.handleError(record)


def open_view(mode: str, label: str, total: int | None) -> View:
    """Return a view of a job on stderr; see `Settings.progress`."""
    if mode == "none":
        return View(None, is_drawn=False)
    bar = bars.open_view(mode, label, total, unit="items")
    # A view that shows nothing would swallow lines, and without a bar none can be torn.
    is_drawn = mode == "bar" or (mode == "auto" and sys.stderr is not None and sys.stderr.isatty())
    return View(bar, is_drawn)
