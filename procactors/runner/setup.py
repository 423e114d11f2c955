"""What a new actor's process sets up before any user code is imported.

Layer: runner. Runs in: actor, main thread, once.
Owns: the descriptor of the claim on the black box and of the fault file, for the process's life.
Never: imports user code.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import multiprocessing
import os
import signal
import sys
import time
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.late import late
from procactors.process.order import StartOrder, read_order
from procactors.process.shield import DUMP, STACK, shield
from procactors.wire.mailbox.black_box import CONTROL, PID, TERMINATE
from procactors.wire.pickling.definitions import forget_program, replace_main

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

if TYPE_CHECKING:
    import random
    from types import FrameType

    from procactors.runner import breakpoints, door
else:
    random = late("random")
    breakpoints = late("procactors.runner.breakpoints")
    door = late("procactors.runner.door")  # not before somebody knocks

__all__ = [
    "adopt_surroundings",
    "claim_mailbox",
    "note_environ",
    "seed_generators",
    "set_signals",
    "watch_faults",
]

_log = logging.getLogger("procactors")

#: Where the module `tempfile` looks for the name of the temporary directory, in this order.
_TEMPORARY = ("TMPDIR", "TEMP", "TMP")

#: What the environment was in the zygote (`note_environ`); None: this process is not from there.
_environ: dict[str, str] | None = None

#: Folder and box of this process's actor.
_here: tuple[str, memoryview] | None = None

#: Seconds to wait for the claim of the life before: its holder is dead, the kernel is cleaning.
_CLAIM_S = 5.0


def claim_mailbox(folder: str, words: memoryview, start: int) -> bool:
    """Become the one reader of this mailbox, for this process's life.

    Returns False if another start was ordered meanwhile: then this one is late, and must end.

    A process of an earlier start may live: forked by a zygote that was killed before it could
    tell the number. It is not watched, so the process with the valid order ends it.

    Raises:
        RuntimeError: the claim does not come free.
    """
    fd = os.open(f"{folder}/box", os.O_RDWR | os.O_CLOEXEC)
    os.register_at_fork(after_in_child=lambda: _close_quietly(fd))  # a copy would prolong it
    deadline = monotonic() + _CLAIM_S
    late_at = monotonic() + _CLAIM_S / 10
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                raise RuntimeError(
                    f"another process still holds the mailbox {folder}: pid {words[PID]}"
                ) from None
            if read_order(folder).start != start:
                return False
            if words[PID] and monotonic() > late_at:
                _end_late(words[PID])
            signal.sigtimedwait([], 0.01)
        else:
            words[PID] = os.getpid()
            # Looked up behind the claim: an order that is written later is for a process that
            # comes later, and finds us.
            return read_order(folder).start == start


def _end_late(pid: int) -> None:
    # It holds the claim, so it lives, and the number is its own.
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def adopt_surroundings(order: StartOrder) -> None:
    """Take over the parent's environment, directory, import path and arguments of this moment."""
    global _environ  # noqa: PLW0603 - as the environment is
    if order.environ != _environ:
        _adopt_environ(order.environ)
    _environ = None  # from here on it is the user's, and so in what is forked from here
    # The C library has read TZ before, at the zygote's start or the parent's: 2 microseconds.
    time.tzset()
    if order.cwd:
        with contextlib.suppress(OSError):
            os.chdir(order.cwd)
    _refill("path", order.path)
    _refill("argv", order.argv)
    multiprocessing.current_process().authkey = order.authkey
    forget_program()
    replace_main(order.main_file)


def note_environ() -> None:
    """Note what the environment is, in the zygote: nearly every actor has the same.

    To ask for each variable would take longer than to construct most actors.
    """
    global _environ  # noqa: PLW0603 - as the environment is
    _environ = dict(os.environ)


def _adopt_environ(environ: dict[str, str]) -> None:
    temporary = {name: os.environ.get(name) for name in _TEMPORARY}
    for name in set(os.environ) - set(environ):
        del os.environ[name]
    for name, value in environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if temporary != {name: os.environ.get(name) for name in _TEMPORARY}:
        _forget_temporary()


def _refill(name: str, values: list[str]) -> None:
    """Set a list of the module `sys`: the same object, which others may have imported."""
    there = getattr(sys, name, None)
    if isinstance(there, list):
        there[:] = values
    else:
        setattr(sys, name, values)


def _forget_temporary() -> None:
    """Have the temporary directory be what the environment says from now on.

    What the module `tempfile` has found was right in the process that we were forked from.
    """
    module = sys.modules.get("tempfile")
    if module is None:
        return
    named = next(filter(None, map(os.environ.get, _TEMPORARY)), "")
    # Found by name, if that will do: what `tempfile` tries out by itself is a file, which it would
    # leave behind if the actor is killed at that moment.
    usable = os.path.isdir(named) and os.access(named, os.W_OK | os.X_OK)
    module.tempdir = os.path.abspath(named) if usable else None  # type: ignore[attr-defined]


def seed_generators(seed: int, everywhere: bool) -> None:
    """Give this life's random numbers a beginning of their own.

    Args:
        seed: the incarnation's.
        everywhere: seed the module `random`, too. Else a forked copy of it has seeded itself anew,
            from the kernel (`random` sees to that), and is left so.
    """
    if everywhere:
        random.seed(seed)
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is None:
        return  # imported later, it seeds itself from the kernel
    # Its global generator came with the fork: all copies would draw the same numbers (numpy
    # issues 9650 and 14729).
    generator = getattr(numpy_random, "get_bit_generator", None)  # from numpy 1.24 on
    lock = generator().lock if generator is not None else None
    if lock is not None and not lock.acquire(blocking=False):
        # By the start method `fork`: a thread of the parent was drawing, and is not here.
        _log.warning("numpy.random was in use at the fork: its global generator is not seeded")
        return
    if lock is not None:
        lock.release()
    numpy_random.seed(seed & 0xFFFFFFFF)  # all that its old interface takes


def set_signals(folder: str, words: memoryview) -> None:
    """Install the actor's signal handling (see `process.shield`), and its `breakpoint()`."""
    global _here  # noqa: PLW0603 - a process is one actor
    # The box stays mapped to the end of the process.
    shield(lambda: words[CONTROL] == TERMINATE, _visit)
    _here = folder, words
    hook = sys.breakpointhook
    # One that the program has chosen stays. Not pytest's, which a forked actor has of its parent:
    # it would wait for what the parent's has captured.
    if hook is sys.__breakpointhook__ or getattr(hook, "__module__", "").startswith("_pytest."):
        sys.breakpointhook = _breakpoint


def _visit(frame: FrameType | None) -> None:
    """Let visitors in, in the handler of `DOOR`; they knock again if that cannot be just now."""
    # An import on top of one breaks that: before Python 3.12, importlib has one place for each
    # thread in which it notes for which lock it waits.
    if _here is not None and not _is_importing(frame):
        door.visit(*_here, frame)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _breakpoint(*args: Any, **kwargs: Any) -> Any:
    """Do what `breakpoint()` does in an actor; by the same environment variable as elsewhere."""
    if os.environ.get("PYTHONBREAKPOINT", "") not in ("", "pdb.set_trace"):  # "0": nothing
        return sys.__breakpointhook__(*args, **kwargs)  # noqa: T100 - what the user has asked for
    if _here is not None:
        breakpoints.stop(*_here, sys._getframe(1))
    return None


def watch_faults(folder: str, dumps: bool) -> None:
    """Have fatal signals write the stacks of all threads to the file `fault`.

    `STACK` has a thread write its own there, `DUMP` all, if the supervisor may ask for that. The
    handlers are in C and need no interpreter lock.
    """
    # Appending: the file is emptied after a dump that was not for a report.
    flags = os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
    fd = os.open(f"{folder}/fault", flags, 0o600)
    faulthandler.enable(fd, all_threads=True)
    faulthandler.register(STACK, fd, all_threads=False)
    if dumps:
        faulthandler.register(DUMP, fd, all_threads=True)


def _close_quietly(fd: int) -> None:
    with contextlib.suppress(OSError):
        os.close(fd)
