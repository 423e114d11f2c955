"""Bars drawn by rich: one display for all jobs that are shown on one stream.

Layer: observe. Runs in: parent, in whichever thread counts.
Owns: `sys.stdout` and `sys.stderr`, replaced while a bar is open (`_Display.end`).
Never: has a thread; is imported where rich may be missing; draws in a forked copy.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import weakref
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress as RichProgress, TaskID, TextColumn

from procactors.observe.prints_above import PrintsAbove
from procactors.observe.progress_view import StateView, writable
from procactors.observe.progress_words import Words

__all__ = ["RichBar"]

#: Seconds between two redraws: smooth to the eye, no load.
REDRAW_S = 0.1
#: Characters of a bar.
BAR_WIDTH = 30


class RichBar(StateView):
    """A bar, and beside it the state in words."""

    def __init__(
        self, stream: TextIO, words: Words, total: int | None, *, is_notebook: bool
    ) -> None:
        super().__init__(words, total)
        # Where a bar is open already, a `PrintsAbove` stands for `sys.stderr`.
        self._stream = stream = stream.stream if isinstance(stream, PrintsAbove) else stream
        self._due = -math.inf
        with _open.lock:
            self._display = _open.on(stream, is_notebook)
            self._task = self._display.begin(total)
        # A view that is dropped takes its bar along.
        self._end = weakref.finalize(self, self._display.end, self._task)
        self.show()

    def advance(self, done: int, failed: int = 0, note: str = "") -> None:
        """Say how far it is."""
        self._now = done, failed, note
        if self._clock() < self._due and done != self._total:
            return
        if self._now != self._shown:
            self.show()

    def show(self) -> None:
        """Show the state now."""
        self._due = self._clock() + REDRAW_S
        super().show()

    def close(self) -> None:
        """Show what is not shown yet, and end; the streams are given back whatever happens."""
        super().close()
        with contextlib.suppress(Exception):  # so wide: as in drawing
            self._end()

    def _draw(self, state: str) -> None:
        self._display.draw(self._task, self._shown[0], self._total, writable(state, self._stream))

    def _write(self, text: str) -> None:
        self._display.write(writable(text, self._stream))


class _Display:
    """The bars that are open on one stream, as one display of rich's."""

    def __init__(self, stream: TextIO, is_notebook: bool) -> None:
        self.stream = stream
        self.is_over = False
        self._pid = os.getpid()
        self._console = Console(
            file=stream,
            force_terminal=not is_notebook,
            force_jupyter=is_notebook,
        )
        self._bars = RichProgress(
            BarColumn(BAR_WIDTH),
            TextColumn("{task.fields[state]}", style="none", markup=False),
            console=self._console,
            auto_refresh=False,  # it would have a thread
            redirect_stdout=False,  # it would wrap lines, and send to stderr what goes to a pipe
            redirect_stderr=False,
        )
        self._bars.start()
        self._prints: dict[str, PrintsAbove] = {}
        for name in () if is_notebook else ("stdout", "stderr"):
            before = getattr(sys, name)
            if _is_terminal(before) and not isinstance(before, PrintsAbove):
                self._prints[name] = PrintsAbove(before, self._console)
                setattr(sys, name, self._prints[name])
        # Kept: until Python 3.13 a `print` in another thread holds no reference to its stream.
        _kept[:] = self._prints.values()

    def begin(self, total: int | None) -> TaskID:
        return self._bars.add_task("", total=total, state="")

    def draw(self, task: TaskID, done: int, total: int | None, state: str) -> None:
        self._bars.update(task, completed=done, total=total, state=state, refresh=True)

    def write(self, text: str) -> None:
        for prints in self._prints.values():
            prints.end_line()
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def end(self, task: TaskID) -> None:
        """Leave a bar as it stands: above those that go on, or as the last of all."""
        if os.getpid() != self._pid:
            return
        with _open.lock:
            if len(self._bars.tasks) > 1:
                [row] = [one for one in self._bars.tasks if one.id == task]
                self._bars.remove_task(task)
                self._console.print(self._bars.make_tasks_table([row]))
            else:
                self.is_over = True
                self.give_streams_back()
                self._bars.stop()

    def give_streams_back(self) -> None:
        """Have the program print to its own streams again."""
        for name, prints in self._prints.items():
            prints.end()
            if getattr(sys, name) is prints:  # else the program has set another stream
                setattr(sys, name, prints.stream)


class _OpenDisplays:
    """The displays of this process that have not ended."""

    def __init__(self) -> None:
        # Guards the list, and that no display ends while a bar is added to it. Reentrant: a bar
        # may be collected in a thread that has it.
        self.lock = threading.RLock()
        self._displays: list[_Display] = []

    def on(self, stream: TextIO, is_notebook: bool) -> _Display:
        """Return the display on a stream; `lock` is held until a bar is added to it."""
        self._displays = [one for one in self._displays if not one.is_over]
        for display in self._displays:
            if display.stream is stream:
                return display
        display = _Display(stream, is_notebook)
        self._displays.append(display)
        return display

    def forget(self) -> None:
        """In a forked copy: leave the bars to the original."""
        for display in self._displays:
            display.give_streams_back()
        self._displays = []
        self.lock = threading.RLock()  # the old one may be held by a thread that was not copied


_open = _OpenDisplays()
os.register_at_fork(after_in_child=_open.forget)

#: What stood last for `sys.stdout` and `sys.stderr`: see where it is set.
_kept: list[PrintsAbove] = []


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (OSError, ValueError, AttributeError):  # closed, or no stream at all
        return False
