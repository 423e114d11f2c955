"""Whether this process is one that an actor system can be started in.

Layer: process. Runs in: the process that makes a system.
Owns: nothing.
Never: lets a start go on that would hang, or that would run the program again and again.
"""

from __future__ import annotations

import os
import select
import sys

from procactors.errors import SpawnError
from procactors.process.frozen import is_astray

__all__ = ["check_ground"]

#: What the supervisor, the mailboxes and the zygote use: as greenlets they would hold up each
#: other, and all that waits for them. What others patch (`time`, `ssl`) is not used.
_NEEDED = ("os", "queue", "select", "selectors", "signal", "socket", "subprocess")


def check_ground() -> None:
    """Raise SpawnError, of one line that says what to do, if no system can be started here."""
    _check_patches()
    for module, name in ((select, "epoll"), (os, "pidfd_open"), (os, "eventfd")):
        if not hasattr(module, name):
            raise SpawnError(
                f"no actor system can run without {module.__name__}.{name}: either this Python "
                f"was built without it (Linux 5.10 and CPython 3.10 have it), or something has "
                f"deleted it, as monkey patches of gevent and eventlet do"
            )
    if is_astray():
        raise SpawnError(
            "this frozen program was started as a process of its own actor system, and has run "
            "again from its beginning: its first line must be multiprocessing.freeze_support()"
        )


def _check_patches() -> None:
    # Asked of the modules themselves, if they are loaded: none of them is imported here.
    for library, module, is_patched, threads, patch in (
        ("gevent", "gevent.monkey", "is_module_patched", "threading", "monkey.patch_all"),
        ("eventlet", "eventlet.patcher", "is_monkey_patched", "thread", "monkey_patch"),
    ):
        ask = getattr(sys.modules.get(module), is_patched, None)
        patched = [name for name in (*_NEEDED, threads) if ask is not None and ask(name)]
        if patched:
            raise SpawnError(
                f"no actor system can run in a process in which {library} has patched "
                f"{', '.join(patched)}: its threads would stand still; leave {patch}() out (a web "
                f"server's threaded workers do without: gunicorn --worker-class gthread), or run "
                f"the system in a program of its own"
            )
