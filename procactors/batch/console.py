"""What is seen of a job while it runs: its progress, and lines on stderr that do not tear it.

Layer: batch. Runs in: parent, in whichever thread logs.
Owns: the handler of the runtime's log, while a job runs.
Never: writes to the standard output.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

from procactors import CrashReport
from procactors.observe.progress_bar import open_view
from procactors.observe.progress_view import ProgressView

__all__ = ["Console", "open_console"]

_PREFIX = "procactors map: "


class Console:
    """Progress, and lines beside it.

    Args:
        view: shows the progress, if it is to be shown.
    """

    def __init__(self, view: ProgressView) -> None:
        self._view = view
        self._total: int | None = None

    def total(self, count: int) -> None:
        """Say how many items there are."""
        if count != self._total:
            self._total = count
            self._view.total(count)

    def advance(self, done: int, failed: int) -> None:
        """Show how far it is."""
        self._view.advance(done, failed)

    def say(self, text: str) -> None:
        """Write a line on stderr."""
        if self._view.shows:
            self._view.say(_PREFIX + text)
            return
        with contextlib.suppress(OSError, ValueError, AttributeError):  # there is no stderr
            sys.stderr.write(f"{_PREFIX}{text}\n")
            sys.stderr.flush()

    @contextlib.contextmanager
    def logged(self) -> Iterator[None]:
        """Say what the runtime logs inside the block, but for what `ErrorLog` says of items."""
        log = logging.getLogger("procactors")
        before, handler = log.propagate, _Lines(self)
        log.addHandler(handler)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.propagate = before

    def close(self) -> None:
        """Leave the progress as it stands; lines go on."""
        self._view.close()
        self._view = ProgressView()

    def __enter__(self) -> Console:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.ERROR)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        report = getattr(record, "report", None)
        if isinstance(report, CrashReport) and report.handler is not None:
            return  # of a worker with an item in hand: the item's failure says it
        try:
            self._console.say(self.format(record).partition("\n")[0])
        except Exception:  # noqa: BLE001 - so wide because a log line may not end the job
            self.handleError(record)


def open_console(mode: str, label: str, total: int | None) -> Console:
    """Return the console of a job, on stderr; see `Settings.progress`."""
    return Console(open_view(mode, label, total, unit="items"))
