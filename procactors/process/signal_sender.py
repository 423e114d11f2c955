"""Where a signal came from: this process itself, the kernel, or another process.

Layer: process. Runs in: actor, main thread, inside a Python signal handler.
Owns: the main thread's signal stack, if there was none.
Never: guesses: what cannot be seen counts as sent by another process.

A Python handler does not learn the sender; the kernel would tell a C handler, in a
`siginfo_t` that it puts on the signal stack. The main thread has such a stack of its own
(faulthandler makes one, else we do, and CPython's handlers run on it), and what was put there
stays until the next signal. So we have the kernel put it there (`ask`), and look for it
afterwards. There is no other way that does not block the signal: a blocked one can be waited for
with its sender, but `raise` in the very thread would never arrive, and programs that the actor
starts would inherit it.
"""

from __future__ import annotations

import ctypes
import os
import struct

__all__ = ["FROM_KERNEL", "FROM_OTHERS", "FROM_SELF", "ask", "sender_of"]

FROM_OTHERS, FROM_SELF, FROM_KERNEL = range(3)

#: Beginning of a siginfo_t on a 64-bit machine: number, error, code, a gap, pid, uid.
_SIGINFO = struct.Struct("=iiixxxxiI")
#: Values of its code: by kill(2) and its like, by the kernel, by raise(3) and pthread_kill(3).
_SI_USER, _SI_KERNEL, _SI_TKILL = 0, 0x80, -6

#: Flags of sigaction(2).
_SA_SIGINFO, _SA_ONSTACK = 4, 0x08000000

#: What sigaltstack(2) says of a thread without one.
_SS_DISABLE = 2

#: Bytes of a signal stack: the widest registers take some 11 KiB of it, and faulthandler's
#: handlers, which write stacks, run on it too.
_STACK_BYTES = 65536

_libc = ctypes.CDLL(None)
#: Ours, for the process's life: the kernel knows its address.
_memory: ctypes.Array[ctypes.c_char] | None = None


class _Stack(ctypes.Structure):
    _fields_ = (
        ("sp", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("size", ctypes.c_size_t),
    )


class _Action(ctypes.Structure):
    """A `struct sigaction` as glibc and musl have it on most machines."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("rest", ctypes.c_ubyte * 64),
    )


def ask(number: int) -> None:
    """Have the kernel name the sender with each signal of that number, from now on.

    Call it behind `signal.signal`. The handler stays CPython's own, which takes no notice.
    """
    _ensure_stack()
    action = _Action()
    # A machine with another layout of the struct has no such flag at this offset: left as it is.
    if not _libc.sigaction(number, None, ctypes.byref(action)) and action.flags & _SA_ONSTACK:
        action.flags |= _SA_SIGINFO
        # One at a time: a frame with the widest registers takes 11 KiB of the stack, and of many
        # signals that come at once (to a process that was stopped) each would lie on the others.
        ctypes.memset(action.mask, 0xFF, ctypes.sizeof(action.mask))
        _libc.sigaction(number, ctypes.byref(action), None)


def sender_of(number: int) -> int:
    """Return FROM_SELF, FROM_KERNEL or FROM_OTHERS for the signal that is just being handled.

    One that this process sent to a thread other than its main one (`pthread_kill`, or `raise`
    in that thread) leaves nothing on the main thread's stack: it counts as sent by others.
    """
    stack = _stack()
    if stack is None:
        return FROM_OTHERS
    seen = ctypes.string_at(stack.sp, stack.size)
    begin = struct.pack("=ii", number, 0)
    at = seen.find(begin)
    while 0 <= at <= len(seen) - _SIGINFO.size:
        _, _, code, pid, uid = _SIGINFO.unpack_from(seen, at)
        # Before anything else: it must not be found again when the next one comes.
        ctypes.memset(stack.sp + at, 0, _SIGINFO.size)
        if code == _SI_KERNEL and pid == 0:
            return FROM_KERNEL
        if code in (_SI_USER, _SI_TKILL) and (pid, uid) == (os.getpid(), os.getuid()):
            return FROM_SELF
        at = seen.find(begin, at + 1)
    return FROM_OTHERS


def _stack() -> _Stack | None:
    stack = _Stack()
    if _libc.sigaltstack(None, ctypes.byref(stack)) or stack.flags & _SS_DISABLE:
        return None
    return stack


def _ensure_stack() -> None:
    """Make a signal stack for this thread, if it has none.

    faulthandler makes only one, for the thread that called it first; in an actor that was forked
    from a thread of the program, that one is gone.
    """
    global _memory  # noqa: PLW0603 - a process has one main thread
    if _stack() is None:
        _memory = ctypes.create_string_buffer(_STACK_BYTES)
        _libc.sigaltstack(ctypes.byref(_Stack(ctypes.addressof(_memory), 0, _STACK_BYTES)), None)
