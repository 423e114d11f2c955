"""Signals that harm no process of ours: what a scheduler sends to every process of a job.

Layer: process. Runs in: parent (`held`), zygote and its spares (`ignore_all`, `prepare`), actor
(`shield`).
Owns: what our own processes do on the signals `SHIELDED`.
Never: changes what the parent does on a signal: that is the application's.

    parent ──fork, exec: held back──► zygote: ignored ──fork──► spare, actor: no effect
      └──────fork (, exec): held back──► actor ───────────────────────────┴─► handled
                                          what an actor starts: Python's, or the system's defaults

More signals are ours: on `DUMP` and `STACK` an actor writes stacks without Python's help, on `DOOR`
its main thread looks whom a terminal has sent.

Whether the program goes on, or ends and takes its actors with it, is decided in the parent. What
an actor sends to itself has its usual effect all the same: libraries end their process by it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from procactors.late import late

if TYPE_CHECKING:
    from procactors.process import signal_sender
else:
    signal_sender = late("procactors.process.signal_sender")  # of actors alone: it loads ctypes

__all__ = [
    "DOOR",
    "DUMP",
    "SHIELDED",
    "STACK",
    "drop_handlers",
    "held",
    "ignore_all",
    "prepare",
    "shield",
]

#: Signals that schedulers and operators send to whole jobs, and that would end a process. Not
#: the others: SIGSTOP, SIGTSTP and SIGCONT suspend a job as ever; SIGALRM, SIGVTALRM and SIGPROF
#: are timers of the process's own; SIGABRT, SIGSEGV and their like are sent to have it dead.
SHIELDED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,
)

#: Real-time signals, since the ordinary ones are the application's; not the last ones, which
#: debuggers and Valgrind use. (Not all platforms have such; they have no process to send one to.)
_LAST = getattr(signal, "SIGRTMAX", 64)
#: Has an actor with `handle_timeout`, which hangs, write all its stacks.
DUMP = _LAST - 4
#: Has an actor's main thread look for visitors, between two of its bytecodes (`runner.door`).
DOOR = _LAST - 5
#: Has the thread that gets it write its own stack. Not all of them, as `DUMP` does: others may run
#: meanwhile, and what is read of their frames is freed under the eyes of who reads it.
STACK = _LAST - 7


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold the signals back in this thread, and in what it starts, until that is ready for them.

    A process is born with the mask of the thread that starts it, and keeps it through an exec: so
    there is no moment at which it could be ended before its first line.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_all() -> None:
    """Ignore the signals: for the zygote, which the parent alone ends.

    A SIGCHLD that is ignored is inherited from what started the program, and would have the
    kernel forget how our children have ended.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in SHIELDED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SHIELDED)


def drop_handlers() -> None:
    """Forget the application's handlers, in a process that was forked from it.

    They would run here with the parent's state behind them; and an event loop's descriptor would
    have the parent believe that the signal was its own.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_IGN if number in SHIELDED else signal.SIG_DFL)


def prepare() -> None:
    """Install the actor's handlers, in the zygote: they do nothing before `shield`.

    All that is forked from here has them. In each actor anew, to install them would be a tenth of
    its start.

    Handlers that do nothing, not SIG_IGN: that would be inherited by programs that the actor
    starts.
    """
    global _is_prepared  # noqa: PLW0603 - the handlers are the process's, too
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in SHIELDED:
        signal.signal(number, _terminate if number == signal.SIGTERM else _handle)
        signal_sender.ask(number)
    signal.signal(DOOR, _open_door)
    _is_prepared = True


def shield(is_ordered: Callable[[], bool], visit: Callable[[FrameType | None], None]) -> None:
    """Have the actor's handlers work from now on.

    Args:
        is_ordered: tells of a SIGTERM whether the supervisor has announced it. That one unwinds
            the handler that runs.
        visit: called on each `DOOR`, with the frame that was interrupted.
    """
    global _is_ordered, _visit
    if not _is_prepared:  # it was not forked from the zygote
        prepare()
    _is_ordered, _visit = is_ordered, visit
    # What the actor forks is no actor: a pool ends its workers with SIGTERM, and waits for them.
    # Held back over the fork: one that came before the copy has its own handling would be noted
    # for a handler that is no more, and lost.
    os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_restore_defaults)
    # Blocked signals are inherited through fork and exec; an actor starts with none.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


#: The handlers are installed here; and what tells of a SIGTERM, in an actor: see `shield`.
_is_prepared = False
_is_ordered: Callable[[], bool] | None = None
#: What looks for visitors, in an actor.
_visit: Callable[[FrameType | None], None] | None = None


def _terminate(number: int, frame: FrameType | None) -> None:
    if _is_ordered is not None and _is_ordered():
        raise SystemExit(128 + number)
    _handle(number, frame)


def _handle(number: int, frame: FrameType | None) -> None:
    """Do nothing, unless the actor itself sent the signal, or has run into its own CPU limit."""
    if _is_ordered is None:
        return  # the zygote, or not an actor yet
    sender = signal_sender.sender_of(number)
    is_limit = sender == signal_sender.FROM_KERNEL and number == signal.SIGXCPU
    if sender == signal_sender.FROM_SELF or is_limit:
        if number == signal.SIGINT:
            signal.default_int_handler(number, frame)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _open_door(_number: int, frame: FrameType | None) -> None:
    if _visit is not None:  # else this is the zygote, or not an actor yet
        _visit(frame)


#: Of each thread that forks: the signals that it had blocked before.
_held = threading.local()


def _hold() -> None:
    _held.mask = signal.pthread_sigmask(signal.SIG_BLOCK, SHIELDED)


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _held.mask)


def _restore_defaults() -> None:
    global _is_prepared, _is_ordered, _visit
    _is_prepared, _is_ordered, _visit = False, None, None
    if signal.getsignal(DOOR) is _open_door:
        signal.signal(DOOR, signal.SIG_DFL)
    for number in SHIELDED:
        # What is the user's goes over as ever.
        if signal.getsignal(number) in (_terminate, _handle):
            usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, usual)
    _release()
