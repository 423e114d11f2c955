"""What `ps` and `top` show of a process of the runtime's.

Layer: process. Runs in: zygote, spare, actor.
Owns: nothing.
Never: fails a start: a name is for people.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
from collections.abc import Callable

__all__ = ["plain", "show"]

#: Bytes of the name that the kernel keeps.
_SHORT = 15


def show(name: str, title: str) -> None:
    """Give this process a short name, and a whole line if `setproctitle` is installed.

    Takes 20 microseconds. A file and not `prctl`: ctypes would have to be loaded.
    """
    set_line = _line_setter()
    if set_line is not None:
        set_line(plain(title))  # first: it sets the short name, too
    with contextlib.suppress(OSError):
        comm = os.open("/proc/self/comm", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(comm, plain(name).encode()[:_SHORT])
        finally:
            os.close(comm)


@functools.cache
def _line_setter() -> Callable[[str], None] | None:
    """Return what can change the whole line, where the process's arguments lie; None: nothing.

    Looked for once, by the zygote for all that it forks.
    """
    try:
        set_line: Callable[[str], None] = importlib.import_module("setproctitle").setproctitle
    except ImportError:
        return None
    # Looked at by the first call, for good: without it the line would be written over what
    # /proc/PID/environ shows, and tools that find processes by it would miss ours.
    is_set = "SPT_NOENV" in os.environ
    os.environ["SPT_NOENV"] = "1"
    set_line("procactors")
    if not is_set:
        del os.environ["SPT_NOENV"]
    return set_line


def plain(text: str) -> str:
    """Return a text that is one line of characters that can be written anywhere."""
    if text.isascii() and text.isprintable():
        return text
    text = text.encode("utf-8", "replace").decode()
    return "".join(char if char.isprintable() else "?" for char in text)
