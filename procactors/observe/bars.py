"""How far a job is, for people: a bar on a terminal, plain lines in a log, nothing in a pipe.

Layer: observe. Runs in: parent, in whichever thread counts.
Owns: nothing; the stream is the caller's. A bar is left as it stands (`close`).
Never: has a thread; breaks the job: a stream that fails turns the view off.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from procactors.errors import InvalidSpec
from procactors.observe.above import Prints
from procactors.observe.line import Line, width_of, writable
from procactors.observe.words import Words, share

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress, TaskID

__all__ = [
    "MODES",
    "BarView",
    "LogLines",
    "PlainView",
    "ProgressView",
    "logged_to",
    "open_view",
]

#: What `open_view` can be told to show.
MODES = ("auto", "bar", "plain", "none")

#: Seconds between two redraws on a terminal: smooth to the eye, no load.
REDRAW_S = 0.1
#: Plain lines elsewhere: one for each tenth of the work, so that a log stays readable.
PLAIN_LINES = 10
#: Seconds between two of them while nobody knows how much work there is.
PLAIN_S = 5.0
#: Characters of our own bar.
BAR_WIDTH = 30
#: Stands for a state that is to be shown, whatever it is.
_NOTHING = (-1, 0, "")
#: Terminals that cannot go back to the beginning of a line.
_DUMB = ("dumb", "unknown")


class ProgressView:
    """Shows nothing; the base of those that do. Context manager. No method raises."""

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is; shown if it is time to show it again. Cheap.

        Args:
            done: items that are done, failed ones included.
            failed: items of these that failed.
            note: a word on what is happening.
        """

    def total(self, n: int | None) -> None:
        """Say how many items there are; None if that is not known."""

    def say(self, text: str) -> None:
        """Write a line of its own, above a bar."""

    def close(self) -> None:
        """Show the last state, if it is not shown yet; nothing is shown any more. Idempotent."""

    def __enter__(self) -> ProgressView:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_view(
    mode: str,
    label: str,
    total: int | None,
    stream: TextIO | None = None,
    *,
    unit: str = "",
    clock: Callable[[], float] = monotonic,
) -> ProgressView:
    """Return a view of a job's progress; close it when the job is over.

    Args:
        mode: ``"auto"``: a bar on a terminal, plain lines in a file, nothing in a pipe.
            ``"bar"``, ``"plain"``: these, whatever the stream is. ``"none"``: nothing. Bars are
            drawn by rich, if it is installed.
        label: what is being done; in front of each line.
        total: how many items there are; None if that is not known.
        stream: where to; None: the standard error of this moment.
        unit: what the items are, as in "files".
        clock: a monotonic clock in seconds.

    Raises:
        InvalidSpec: no such mode.
    """
    if mode not in MODES:
        raise InvalidSpec(f"progress is one of {MODES}, not {mode!r}")
    stream = sys.stderr if stream is None else stream
    mode = _fitting(stream) if mode == "auto" else mode
    if mode == "none" or stream is None:  # pythonw and daemons have no standard error
        return ProgressView()
    words = Words(label, unit, clock)
    if mode == "plain":
        return PlainView(Line(stream), words, total)
    bar = _rich_view(stream, words, total) or BarView(Line(stream), words, total)
    bar.show()
    bar.prints = Prints(bar)
    return bar


def _fitting(stream: TextIO | None) -> str:
    """Return the mode that suits a stream."""
    try:
        if stream is None:
            return "none"
        if stream.isatty():
            return "plain" if os.environ.get("TERM") in _DUMB else "bar"
        return "plain" if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else "none"
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return "none"


class _Shown(ProgressView):
    """A view that shows something: when, and what if it fails."""

    #: Whether a stream that fails raises instead of turning the view off.
    strict = False

    def __init__(self, words: Words, total: int | None) -> None:
        self._words = words
        self._clock = words.clock
        self._total = total
        self._now: tuple[int, int, str] = (0, 0, "")
        self._shown = self._now
        self._is_open = True
        # Guards what is written: counts and lines may come from several threads. Reentrant, for
        # a signal handler may close the view.
        self._lock = threading.RLock()

    def show(self) -> None:
        """Show the state now."""
        with self._lock:
            self._shown = done, failed, note = self._now
            self._try(self._draw, self._words.state(done, self._total, failed, note))

    def total(self, n: int | None) -> None:
        """Say how many items there are."""
        self._total = n
        self._shown = _NOTHING

    def say(self, text: str) -> None:
        """Write a line of its own."""
        with self._lock:
            self._try(self._write, text)

    def close(self) -> None:
        """Show what is not shown yet, and end."""
        with self._lock:
            if self._is_open and self._shown != self._now:
                self.show()
            self._try(self._leave)
            self._is_open = False

    def _try(self, action: Callable[..., None], *args: Any) -> None:
        if not self._is_open:
            return
        try:
            action(*args)
        except Exception:  # so wide: rich may raise anything, and it is only a display
            self._is_open = False
            if self.strict:
                raise

    def _draw(self, state: str) -> None:
        raise NotImplementedError

    def _write(self, text: str) -> None:
        raise NotImplementedError

    def _leave(self) -> None:
        """Leave the stream so that others can write."""


class PlainView(_Shown):
    """Plain lines: one for each tenth of the work; each 5 s if nobody knows how much it is."""

    def __init__(self, line: Line, words: Words, total: int | None) -> None:
        super().__init__(words, total)
        self._line = line
        self._due = self._clock() + PLAIN_S
        self._tenths = 0
        self._next = self._next_line()

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is."""
        self._now = done, failed, note
        if done < self._next:
            return
        if self._total is None:
            now = self._clock()
            if now < self._due:
                return
            self._due = now + PLAIN_S
        else:
            self._tenths = share(done, self._total, PLAIN_LINES)
            self._next = self._next_line()
        self.show()

    def total(self, n: int | None) -> None:
        """Say how many items there are."""
        super().total(n)
        self._next = self._next_line()

    def _next_line(self) -> float:
        """Return how many items must be done before the next line may be due."""
        if self._total is None:
            return 0
        tenth = self._tenths + 1
        if not self._total or tenth > PLAIN_LINES:
            return math.inf
        return -(-tenth * self._total // PLAIN_LINES)  # rounded up: the tenth must be full

    def _draw(self, state: str) -> None:
        self._line.say(state)

    def _write(self, text: str) -> None:
        self._line.say(text)


class BarView(_Shown):
    """A bar of our own, in one line that is written over.

    Attributes:
        prints: what the program prints meanwhile.
    """

    prints: Prints | None = None

    def __init__(self, line: Line, words: Words, total: int | None) -> None:
        super().__init__(words, total)
        self._line = line
        self._due = -math.inf
        # The program has begun a line and not ended it: nothing is drawn until it has.
        self._is_mid_line = False

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is."""
        self._now = done, failed, note
        if self._clock() < self._due and done != self._total:
            return
        if self._now != self._shown or self._due < 0:
            self.show()

    def show(self) -> None:
        """Show the state now."""
        with self._lock:
            self._due = self._clock() + REDRAW_S
            if not self._is_mid_line:
                super().show()

    def close(self) -> None:
        """Show what is not shown yet, and end."""
        with self._lock:
            self._end_line()
            super().close()
        if self.prints is not None:
            self.prints.end()

    @contextlib.contextmanager
    def making_way(self, text: str) -> Iterator[None]:
        """Let the program write `text` above the bar."""
        with self._lock:
            if text and not self._is_mid_line:
                self._try(self._wipe)
            yield  # what the program's stream raises is the program's
            if text:
                self._is_mid_line = not text.endswith("\n")
                self.show()

    def _end_line(self) -> None:
        if self._is_mid_line:
            self._is_mid_line = False
            self._try(self._line.say)

    def _wipe(self) -> None:
        self._line.clear()

    def _draw(self, state: str) -> None:
        if self._total:
            filled = share(self._shown[0], self._total, BAR_WIDTH)
            state = f"[{'#' * filled}{'.' * (BAR_WIDTH - filled)}] {state}"
        self._line.draw(state)

    def _write(self, text: str) -> None:
        self._end_line()
        self._line.say(text)
        self.show()  # below it

    def _leave(self) -> None:
        self._line.leave()


class _RichView(BarView):
    """A bar drawn by rich; the words beside it are ours."""

    def __init__(self, stream: TextIO, words: Words, total: int | None) -> None:
        super().__init__(Line(stream), words, total)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._stream = stream
        self._console = Console(file=stream, force_terminal=True, force_jupyter=False)
        self._rich: RichProgress = Progress(
            BarColumn(BAR_WIDTH),
            TextColumn("{task.fields[state]}", style="none", markup=False),
            console=self._console,
            auto_refresh=False,  # it would have a thread
            # What a program prints is its own: stdout may be a pipe to another one. See `Prints`.
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID = self._rich.add_task("", total=total, state="")
        self._console.width = width_of(stream)
        self._rich.start()

    def _draw(self, state: str) -> None:
        self._console.width = width_of(self._stream)
        self._rich.update(
            self._task,
            completed=self._shown[0],
            total=self._total,
            state=writable(state, self._stream),
            refresh=True,
        )

    def _wipe(self) -> None:
        self._stream.write("\r\x1b[2K")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._end_line()
        text = writable(text, self._stream)
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _leave(self) -> None:
        self._rich.stop()


def _rich_view(stream: TextIO, words: Words, total: int | None) -> BarView | None:
    """Return a view by rich; None if it is not installed, or cannot have this stream."""
    if os.environ.get("TERM") in _DUMB:
        return None  # rich would draw nothing
    try:
        return _RichView(stream, words, total)
    except Exception:  # noqa: BLE001 - so wide: not installed, too old, broken: our own bar will do
        return None


@contextlib.contextmanager
def logged_to(handler: logging.Handler) -> Iterator[None]:
    """Have the runtime's log records handled by this handler alone inside the block."""
    log = logging.getLogger("procactors")
    before = log.propagate
    log.addHandler(handler)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.propagate = before


class LogLines(logging.Handler):
    """Shows log records from WARNING on by `say`, where stderr would tear a bar apart."""

    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__(logging.WARNING)
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        """Show one record; runs in whichever thread logs."""
        try:
            self._say(self.format(record))
        except Exception:  # noqa: BLE001 - so wide because logging may fail nobody's work
            self.handleError(record)
