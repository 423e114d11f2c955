"""How far a job is, for people: the view that suits the stream.

Layer: observe. Runs in: parent, in whichever thread counts.
Owns: nothing; a view is its opener's (`close`).
Never: needs rich: where it is not installed, there are plain lines.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
from collections.abc import Callable
from time import monotonic
from typing import TextIO

from procactors.errors import InvalidSpec
from procactors.observe.progress_view import PlainLines, ProgressView
from procactors.observe.progress_words import Words

__all__ = ["MODES", "open_view"]

#: The modes of `open_view`.
MODES = ("auto", "bar", "plain", "none")

#: Terminals that cannot go back to the beginning of a line.
_DUMB = ("dumb", "unknown")


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
        mode: ``"auto"``: a bar on a terminal and in a notebook, plain lines in a file, nothing in
            a pipe. ``"bar"``, ``"plain"``: these, whatever the stream is. ``"none"``: nothing.
            Bars are drawn by rich; where it is not installed, there are plain lines instead.
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
    is_notebook = stream is sys.stderr and _is_in_notebook()
    mode = _fitting(stream, is_notebook) if mode == "auto" else mode
    if mode == "none" or stream is None:  # pythonw and daemons have no standard error
        return ProgressView()
    words = Words(label, unit, clock)
    is_dumb = not is_notebook and os.environ.get("TERM") in _DUMB  # rich would draw nothing there
    if mode == "plain" or is_dumb:
        return PlainLines(stream, words, total)
    try:
        from procactors.observe.rich_bar import RichBar

        return RichBar(stream, words, total, is_notebook=is_notebook)
    except Exception:  # noqa: BLE001 - so wide: not installed, too old, broken: lines will do
        return PlainLines(stream, words, total)


def _fitting(stream: TextIO | None, is_notebook: bool) -> str:
    """Return the mode that suits a stream."""
    if is_notebook:
        # Without widgets rich has nothing to draw a bar in.
        return "bar" if importlib.util.find_spec("ipywidgets") else "plain"
    try:
        if stream is None:
            return "none"
        if stream.isatty():
            return "bar"
        return "plain" if stat.S_ISREG(os.fstat(stream.fileno()).st_mode) else "none"
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return "none"


def _is_in_notebook() -> bool:
    """Return whether this program is the kernel of a notebook: its cells show what is written."""
    ipython = sys.modules.get("IPython")  # a kernel has imported it long since
    shell = ipython.get_ipython() if ipython is not None else None
    return any(cls.__name__ == "ZMQInteractiveShell" for cls in type(shell).__mro__)
