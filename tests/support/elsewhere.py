"""Runs a program as if on a platform that has not what Linux alone has: its path is the argument.

Imported before anything of ours, it hides modules of the standard library and what the others have
from Linux.
"""

from __future__ import annotations

import os
import runpy
import select
import signal
import sys

#: Modules that Windows has not, and attributes that neither Windows nor macOS has.
MODULES = ("fcntl", "resource", "termios")
ATTRIBUTES = {
    select: ("epoll", "EPOLLIN"),
    signal: ("SIGRTMAX", "SIGRTMIN", "pidfd_send_signal", "sigtimedwait", "sigwaitinfo"),
    os: (
        "EFD_CLOEXEC",
        "EFD_NONBLOCK",
        "eventfd",
        "eventfd_read",
        "eventfd_write",
        "memfd_create",
        "pidfd_open",
        "posix_fallocate",
        "sched_getaffinity",
    ),
}


class Hidden:
    """Finds none of the modules."""

    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def hide():
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Hidden())
    for module, names in ATTRIBUTES.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)


if __name__ == "__main__":
    hide()
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
