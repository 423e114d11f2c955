"""Exceptions that others have raised: read, shown and marked without trusting their classes.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: writes to an exception by way of its class, or fails because that refuses: a `__setattr__`
may raise (each frozen dataclass has one), and so may `__str__`, `__class__` or a property.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import signal
import traceback

# The module's own: that of `signal` takes ten times as long.
from _signal import getsignal  # type: ignore[import-not-found]
from collections.abc import Iterator, Sequence
from types import CodeType, TracebackType
from typing import Any

__all__ = [
    "FATAL",
    "add_note",
    "by_signal",
    "cause_of",
    "full_name",
    "is_ours",
    "last_dump",
    "last_line",
    "name_of",
    "one_line",
    "said",
    "set_cause",
    "shown",
    "trace_of",
    "unbound",
    "without_ours",
]

#: What `faulthandler` writes first, of a signal that ends the process.
FATAL = "Fatal Python error: "

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: Of the package, but a program like any other.
_DEMO = os.path.join(_PACKAGE, "demo") + os.sep

# The slots themselves, as C code reads and writes them: past a class's own attributes.
_cause: Any = BaseException.__dict__["__cause__"]
_trace: Any = BaseException.__dict__["__traceback__"]


def name_of(error: BaseException) -> str:
    """Return the full name of an exception's class, as a traceback shows it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else full_name(error)


def full_name(error: BaseException) -> str:
    """Return module and qualified name of an exception's class."""
    kind = type(error)
    return f"{kind.__module__}.{kind.__qualname__}"


def said(error: BaseException) -> str:
    """Return ``str(error)``, or what kept it from saying anything."""
    try:
        return "".join((str(error),))  # a plain one: `str` may give one of its subclasses
    except Exception as broken:  # noqa: BLE001 - a broken __str__ must not hide the failure
        return f"<its __str__ raised {type(broken).__name__}>"


def one_line(error: BaseException) -> str:
    """Return the name of the exception's class and what it says."""
    return f"{type(error).__name__}: {said(error)}"


def last_line(error: BaseException) -> str:
    """Return the line with which a traceback of the exception ends."""
    text = said(error)
    return f"{name_of(error)}: {text}" if text else name_of(error)


def shown(error: BaseException, keep_if_alone: bool = False) -> str:
    """Return the formatted traceback, causes and members included, without frames of ours.

    Args:
        error: the exception.
        keep_if_alone: leave them in where there are no others: then the fault may be ours.
    """
    try:
        whole = traceback.TracebackException(type(error), error, trace_of(error))
        for part in _parts(whole):
            stack = _others(part.stack or (), keep_if_alone)
            part.stack = stack  # type: ignore[assignment]  # None has no headline either
        return "".join(whole.format())
    except Exception:  # noqa: BLE001 - its notes, its cause: the class may refuse any of them
        others = _others(traceback.extract_tb(trace_of(error)), keep_if_alone)
        lines = ["Traceback (most recent call last):\n", *others.format()] if others else []
        return "".join([*lines, last_line(error), "\n"])


def without_ours(stacks: str) -> str:
    """Return stacks that `faulthandler` wrote, each without frames of ours if it has others."""
    lines: list[str] = []
    for is_frame, part in itertools.groupby(stacks.splitlines(keepends=True), _is_frame):
        group = list(part)
        others = [line for line in group if not is_ours(line.partition('"')[2])]
        lines += others if is_frame and others else group
    return "".join(lines)


def last_dump(text: str) -> str:
    """Return the last of the dumps of all threads that `faulthandler` has written in a row.

    What single threads have written in between, of themselves, is left out.
    """
    import re  # only where it is used

    single = r"^Stack \(most recent call first\):\n(?:  .*\n)*"
    text = re.sub(single, "", text, flags=re.MULTILINE)
    begin, before, at = 0, "", 0
    for line in text.splitlines(keepends=True):
        # Between the threads of one dump there is an empty line.
        if line.startswith(("Thread 0x", "Current thread 0x")) and before.strip():
            begin = at
        before, at = line, at + len(line)
    return text[begin:]


def trace_of(error: BaseException) -> TracebackType | None:
    """Return the exception's traceback."""
    trace: TracebackType | None = _trace.__get__(error)
    return trace


def unbound(error: BaseException) -> BaseException:
    """Take the traceback off, and with it the frames that it keeps alive; return the exception."""
    return BaseException.with_traceback(error, None)


def cause_of(error: BaseException) -> BaseException | None:
    """Return what the exception came from."""
    cause: BaseException | None = _cause.__get__(error)
    return cause


def set_cause(error: BaseException, cause: BaseException | None) -> None:
    """Say what the exception came from, whatever its class thinks of being written to."""
    _cause.__set__(error, cause)


def add_note(error: BaseException, note: str) -> None:
    """Add a line that tracebacks show from Python 3.11 on; an exception may go without."""
    with contextlib.suppress(Exception):  # so wide: its class may refuse in any way
        notes = object.__getattribute__(error, "__dict__").setdefault("__notes__", [])
        if type(notes) is list:
            notes.append(note)


def by_signal(error: BaseException) -> bool:
    """Whether a signal handler of the program raised it, on top of whatever was being done.

    Such an exception is the caller's, as an alarm's `TimeoutError` is, and does not come from the
    value that was just being pickled or loaded.
    """
    trace, codes = trace_of(error), set()
    while trace is not None:
        codes.add(trace.tb_frame.f_code)
        trace = trace.tb_next
    return any(code in codes for code in _handlers())


def _handlers() -> Iterator[CodeType]:
    """Yield the code of each signal handler that is written in Python."""
    for signum in range(1, signal.NSIG):
        handler: Any = getsignal(signum)
        if not callable(handler):
            continue
        while isinstance(handler, functools.partial):
            handler = handler.func
        handler = getattr(handler, "__func__", handler)
        code = getattr(handler, "__code__", None)
        if code is None:
            code = getattr(type(handler).__call__, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _parts(whole: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield an exception, those it came from, and the members of groups."""
    waiting: list[traceback.TracebackException | None] = [whole]
    while waiting:
        part = waiting.pop()
        if part is not None:
            yield part
            waiting += [
                part.__cause__,
                part.__context__,
                *(getattr(part, "exceptions", None) or ()),
            ]


def _is_frame(line: str) -> bool:
    return line.startswith('  File "')


def _others(
    frames: Sequence[traceback.FrameSummary], keep_if_alone: bool
) -> traceback.StackSummary | None:
    """Return the frames that are not ours; None if there are none to be shown."""
    others = [frame for frame in frames if not is_ours(frame.filename)]
    if not others and keep_if_alone:
        others = list(frames)
    return traceback.StackSummary.from_list(others) if others else None


def is_ours(filename: str) -> bool:
    """Whether a file belongs to the runtime itself."""
    return filename.startswith(_PACKAGE) and not filename.startswith(_DEMO)
