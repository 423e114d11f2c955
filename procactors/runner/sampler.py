"""Samples an actor's stacks beside its handler, for a profile.

Layer: runner. Runs in: actor, a thread of its own, started at the door.
Owns: the connection to whoever wants the profile, until its time is over.
Never: outlives its seconds, or the one that asked; runs while nobody asks; waits for the visitor.

The visitor gets lines of marshalled values, each behind its length (`pack`):

    (seconds, {stack: [samples, seconds]}, seconds in which no sample was taken)

about ten times a second, then nothing. A stack is a tuple of texts, the thread's name first, then
``function (file:line of the function)`` from the outermost on. While C code holds the interpreter's
lock no sample can be taken: that time is told apart, and is nobody's here.
"""

from __future__ import annotations

import _thread
import marshal
import select
import signal
import struct
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from types import CodeType, FrameType

__all__ = ["HEAD", "start"]

HEAD = struct.Struct("=I")

#: Version of marshal's format that every Python 3 reads: the visitor may run another one.
_FORMAT = 2
#: Seconds between two messages to the visitor.
_TELL_S = 0.1
#: Seconds by which a sample is so late that it says nothing of the time before it: the visitor has
#: had other means by then. A little late it stands for that time, too: the function that it sees is
#: the one whose C code kept it from coming.
_LATE_S = 0.25
#: Seconds for which a thread may keep the interpreter's lock while a sample is due.
_SWITCH_S = 0.00005
#: Most frames of a stack.
_FRAMES = 300

Counts = dict[tuple[str, ...], list[float]]


def start(connection: socket.socket, rate: int, seconds: float) -> None:
    """Start to sample, in a thread.

    Args:
        connection: to the visitor.
        rate: samples a second.
        seconds: for which samples are taken.
    """
    connection.setblocking(False)
    # Not by `threading`, whose locks the interrupted code may hold.
    _thread.start_new_thread(_Sampler(connection, rate, seconds).run, ())


class _Sampler:
    def __init__(self, connection: socket.socket, rate: int, seconds: float) -> None:
        self._connection = connection
        self._period = 1.0 / max(1, rate)
        self._end = monotonic() + seconds
        self._names: dict[CodeType, str] = {}
        self._poll = select.poll()
        # Readable: the visitor is gone, for it sends nothing.
        self._poll.register(connection.fileno(), select.POLLIN)

    def run(self) -> None:
        """Sample until the time is over, or the visitor is gone."""
        before = sys.getswitchinterval()
        with self._connection:
            # Else this thread would come to run mostly where the others give the interpreter's lock
            # away by themselves, as they do in system calls, and see them there.
            sys.setswitchinterval(_SWITCH_S)
            # Signals are the main thread's: a blocking call of its own is to be interrupted.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                self._sample()
            except OSError:
                return  # the visitor is gone
            finally:
                if sys.getswitchinterval() <= _SWITCH_S * 2:  # else somebody else has set it
                    sys.setswitchinterval(before)

    def _sample(self) -> None:
        me = threading.get_ident()
        counts: Counts = {}
        still = 0.0
        last = told = monotonic()
        due = last + self._period
        while (now := monotonic()) < self._end:
            if due > now:
                if self._poll.poll((due - now) * 1000):
                    return
                now = monotonic()
            passed, last = now - last, now
            if passed > max(_LATE_S, 2 * self._period):
                still += passed - self._period
                passed = self._period
            self._count(me, passed, counts)
            due = max(due + self._period, now)
            if now - told >= _TELL_S:
                self._tell(now - told, counts, still)
                counts, still, told = {}, 0.0, now
        self._tell(monotonic() - told, counts, still)

    def _tell(self, seconds: float, counts: Counts, still: float) -> None:
        data = marshal.dumps((seconds, counts, still), _FORMAT)
        whole = memoryview(HEAD.pack(len(data)) + data)
        poll = select.poll()
        poll.register(self._connection.fileno(), select.POLLOUT)
        while whole:
            try:
                whole = whole[self._connection.send(whole) :]
            except BlockingIOError:
                # A visitor that was stopped holds up this thread alone, and not for ever.
                poll.poll(100)
                if monotonic() > self._end:
                    return

    def _count(self, me: int, passed: float, counts: Counts) -> None:
        """Add one sample of each other thread."""
        named = {ident: thread.name for ident, thread in list(threading._active.items())}  # type: ignore[attr-defined]
        for ident, frame in sys._current_frames().items():
            if ident == me:
                continue
            stack = (named.get(ident, "?"), *self._stack(frame))
            count = counts.get(stack)
            if count is None:
                counts[stack] = [1, passed]
            else:
                count[0] += 1
                count[1] += passed

    def _stack(self, frame: FrameType | None) -> list[str]:
        found: list[str] = []
        while frame is not None and len(found) < _FRAMES:
            code = frame.f_code
            name = self._names.get(code)
            if name is None:
                name = self._names[code] = _name(code)
            found.append(name)
            frame = frame.f_back
        found.reverse()
        return found


def _name(code: CodeType) -> str:
    name = getattr(code, "co_qualname", code.co_name)  # from Python 3.11 on
    return f"{name} ({code.co_filename}:{code.co_firstlineno})"
