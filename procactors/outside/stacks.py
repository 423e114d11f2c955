"""The stacks of an actor, asked for from outside: alive, at work, stuck or starting.

Layer: outside. Runs in: another process of the same user.
Owns: a lock on the actor's folder while its stacks are being written: one asks at a time.
Never: sends a message; changes what the actor does; waits for longer than it is given.

    is it stopped? ─────────────► py-spy reads its memory, if that is installed
    its main thread answers at the door ───────────────► threads and tasks
    or not, within 0.25 s: it is in C code ─► STACK to each thread: faulthandler writes its own
"""

from __future__ import annotations

import contextlib
import fcntl
import marshal
import os
import re
import signal
import socket
from collections.abc import Iterator
from time import monotonic
from typing import BinaryIO

from procactors.errors import ProcActorsError
from procactors.light_tuple import NamedTuple
from procactors.model.commands import TellStacks
from procactors.outside import py_spy
from procactors.outside.guest import Guest, NoAnswer, OtherVersion
from procactors.outside.systems import NoSystem, SystemView
from procactors.outside.visit import NotAtHome, Visit
from procactors.process.live import LiveProcess
from procactors.process.parent_dump import FILE_NAME, PARENT_DUMP
from procactors.process.shield import STACK
from procactors.runner.door import REFUSED
from procactors.wire.mailbox.black_box import PID, BlackBox
from procactors.wire.raised import FATAL, is_ours

__all__ = [
    "ActorSuspended",
    "Frame",
    "Stack",
    "Stacks",
    "dump_of",
    "is_runtimes",
    "parse_dump",
    "process_of",
    "stacks_of",
    "stacks_of_parent",
    "without_ours",
]

#: Seconds for which stacks are waited for at most. On a machine that is not overloaded they come
#: within half a second.
PATIENCE_S = 5.0
#: Seconds that the main thread has for an answer, before it counts as stuck in C code.
_ANSWER_S = 0.25
#: Seconds that the parent's supervisor has for one.
_SUPERVISOR_S = 0.3
_PARENT_STUCK = (
    "the supervisor has not answered within 0.3 s: C code holds the interpreter's lock, or the "
    "machine is overloaded"
)
#: Seconds between two looks at a dump that is being written, or at a process that is starting.
_LOOK_S = 0.005
#: Where every thread begins.
_THREADING = os.sep + "threading.py"
#: Bytes of a file of dumps from which on it is emptied.
_LARGE = 32768
#: Where an actor's life begins: what is outside of it is how its process was started.
_ENTRY = os.path.join("procactors", "api", "incarnation.py")
#: Threads that are asked.
_MOST_THREADS = 100
#: Bytes that are read of a dump, or of an answer.
_MOST_BYTES = 4 << 20


class ActorSuspended(Exception):
    """The actor's process is stopped, so nothing can run there."""


class Frame(NamedTuple):
    """One line of a stack: `line` of `file`, in `function`."""

    file: str
    line: int
    function: str


class Stack(NamedTuple):
    """The stack of one thread or task.

    Attributes:
        name: the thread's or the task's; empty where it is not known.
        is_main: it is the main thread's.
        is_task: it is a task's of the event loop.
        frames: innermost first.
    """

    name: str
    is_main: bool
    is_task: bool
    frames: tuple[Frame, ...]


class Stacks(NamedTuple):
    """What was found of a process.

    Attributes:
        pid: the process.
        stacks: the main thread's first; none where `note` says why.
        source: who has told: "python", "faulthandler" or "py-spy"; empty: nobody.
        note: what a reader must know besides; empty: nothing.
    """

    pid: int
    stacks: tuple[Stack, ...]
    source: str
    note: str = ""


def stacks_of(folder: str, within: float = PATIENCE_S, *, native: bool = False) -> Stacks:
    """Return the stacks of the process that serves an actor now.

    Blocks until they are there, up to `within` seconds.

    Args:
        folder: the actor's, in the runtime directory.
        within: seconds that it may take.
        native: by py-spy, with the frames of C code.

    Raises:
        NotAtHome: the actor has no process, or it has ended meanwhile.
    """
    until = monotonic() + within
    with process_of(folder, until) as process:
        try:
            if native:
                return _native(process)
            if process.is_suspended:
                return _of_suspended(process)
            return _by_python(folder, process, until) or _by_dump(folder, process, until)
        except ProcessLookupError:
            raise NotAtHome("the actor's process has ended") from None


def stacks_of_parent(
    view: SystemView, within: float = PATIENCE_S, *, native: bool = False
) -> Stacks:
    """Return the stacks of a system's parent, the program.

    Blocks until they are there, up to `within` seconds; py-spy may take longer.

    Args:
        view: the system.
        within: seconds that it may take.
        native: by py-spy, with the frames of C code.

    Raises:
        NoSystem: it has ended.
    """
    until = monotonic() + within
    try:
        with LiveProcess(view.pid) as process:
            if native:
                return _native(process)
            if process.is_suspended:
                return _of_suspended(process)
            return (
                _by_supervisor(view)
                or _by_py_spy(process)
                or _by_parents_dump(process, until)
                or _silent(process)
            )
    except (ProcessLookupError, NotAtHome):
        raise NoSystem(f"the system {view.name} has ended") from None


def _by_supervisor(view: SystemView) -> Stacks | None:
    """Return what the parent's supervisor tells; None if it does not get the interpreter's lock."""
    try:
        with Guest(view.path) as guest:
            data = guest.ask(TellStacks(), _SUPERVISOR_S)
    except (NoAnswer, OtherVersion, ProcActorsError):
        return None
    return _opened_python(view.pid, data)


def _by_py_spy(process: LiveProcess) -> Stacks | None:
    if not py_spy.is_installed():
        return None
    found = py_spy.dumped(process.pid)
    if not found.threads:
        return None
    return Stacks(process.pid, _opened(found.threads), found.source, _PARENT_STUCK)


def _by_parents_dump(process: LiveProcess, until: float) -> Stacks | None:
    """Return what faulthandler writes in the parent."""
    folder = f"/proc/{process.pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if not os.readlink(path).startswith(f"/memfd:{FILE_NAME}"):
                    continue
                stacks = _dumped(path, process, PARENT_DUMP, until)
                if stacks:
                    return Stacks(process.pid, stacks, "faulthandler", _PARENT_STUCK)
    return None


def process_of(folder: str, until: float) -> LiveProcess:
    """Return the process that serves an actor, once it is there.

    Raises:
        NotAtHome: there is none until then.
    """
    path = os.path.join(folder, "box")
    while True:
        pid = 0
        try:
            box = BlackBox(path)
            try:
                pid = box.words[PID]
            finally:
                box.close()
            return LiveProcess(pid, path)
        except (FileNotFoundError, ProcessLookupError, ValueError, OverflowError):
            # Between two lives there is none.
            if monotonic() >= until or not os.path.exists(path):
                text = f"process {pid} has ended, and no other serves it" if pid else "it has none"
                raise NotAtHome(f"the actor has no process now: {text}") from None
        _pause(_LOOK_S)


def _by_python(folder: str, process: LiveProcess, until: float) -> Stacks | None:
    """Return what the main thread tells; None if it does not come to that."""
    with Visit(folder, "stacks") as visit:
        connection = visit.knock(process, min(until, monotonic() + _ANSWER_S))
        if connection is None:
            return None
        with connection:
            data = _read(connection)
    if not data or data[:1] == REFUSED:  # it could not, or has ended in between
        return None
    return _opened_python(process.pid, data)


def _opened_python(pid: int, data: bytes) -> Stacks | None:
    """Return what `runner.stacks` has packed; None: it is cut off."""
    try:
        found = marshal.loads(data)  # noqa: S302 - from a process of our own user
    except (EOFError, ValueError, TypeError):
        return None
    stacks = [_thread(*thread) for thread in found["threads"]]
    stacks += [Stack(name, False, True, _frames(places)) for name, places in found["tasks"]]
    return Stacks(pid, tuple(stacks), "python")


def _thread(name: str, _ident: int, is_main: bool, places: list[tuple[str, int, str]]) -> Stack:
    return Stack(name, is_main, False, _frames(places))


def _frames(places: list[tuple[str, int, str]]) -> tuple[Frame, ...]:
    return tuple(Frame(*place) for place in places)


def _read(connection: socket.socket) -> bytes:
    connection.settimeout(0.5)
    data = b""
    with contextlib.suppress(OSError):
        while len(data) < _MOST_BYTES and (more := connection.recv(1 << 16)):
            data += more
    return data


def dump_of(folder: str, process: LiveProcess, until: float) -> tuple[Stack, ...]:
    """Return what faulthandler writes in each thread, the main one first; none: nothing.

    Raises:
        NotAtHome: the actor is gone. ProcessLookupError: its process is.
    """
    path = os.path.join(folder, "fault")
    with _alone(folder, until) as is_alone:
        return _dumped(path, process, STACK, until) if is_alone else ()


def _by_dump(folder: str, process: LiveProcess, until: float) -> Stacks:
    stacks = dump_of(folder, process, until)
    if not stacks:
        return _silent(process)
    note = (
        "its main thread has not answered within 0.25 s: it runs C code, which does not come back "
        "to Python, or imports a module"
    )
    return Stacks(process.pid, stacks, "faulthandler", note)


@contextlib.contextmanager
def _alone(folder: str, until: float) -> Iterator[bool]:
    """Be the only one that has this actor write its stacks; False: not until then."""
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise NotAtHome("the actor is gone") from None
    try:
        is_alone = False
        while not is_alone and monotonic() < until:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_alone = True
            except BlockingIOError:
                _pause(_LOOK_S)
        yield is_alone
    finally:
        os.close(fd)


def _dumped(path: str, process: LiveProcess, number: int, until: float) -> tuple[Stack, ...]:
    """Have each thread of a process append its stack to a file; return them, the main one first.

    They stay there: crash reports look for what is theirs (`ActorMailbox.take_stacks`). The next
    one that asks drops them once the file has grown large.
    """
    while not process.catches(number):  # it is just starting
        if monotonic() >= until or process.has_ended:
            return ()
        _pause(_LOOK_S)
    found: list[Stack] = []
    with contextlib.suppress(FileNotFoundError), open(path, "rb+") as file:
        if os.fstat(file.fileno()).st_size > _LARGE and FATAL.encode() not in file.read():
            os.ftruncate(file.fileno(), 0)
        for thread in process.threads()[:_MOST_THREADS]:
            frames = _frames_of(thread, file, process, number, until)
            if frames:
                is_main = thread == process.pid
                name = "MainThread" if is_main else f"{process.name_of(thread)}, number {thread}"
                found.append(Stack(name, is_main, False, frames))
    return tuple(found)


def _frames_of(
    thread: int, file: BinaryIO, process: LiveProcess, number: int, until: float
) -> tuple[Frame, ...]:
    """Have one thread write its stack; none: it runs no Python code, or takes no signals."""
    begin = os.fstat(file.fileno()).st_size
    if process.holds_back(thread, number) or not process.send_to_thread(thread, number):
        return ()
    while process.holds_back(thread, number):
        if monotonic() >= until or process.has_ended:
            return ()
        _pause(_LOOK_S)
    file.seek(begin)
    # A crash may have written behind it, or the watchdog's own wish.
    stacks = parse_dump(file.read(_MOST_BYTES).decode(errors="replace"))
    return stacks[0].frames if stacks else ()


def _silent(process: LiveProcess) -> Stacks:
    """Return what is known of a process that has written nothing."""
    if process.has_ended:
        raise NotAtHome("the actor's process has ended")
    if process.is_suspended:
        return _of_suspended(process)
    if not process.catches(STACK):
        return Stacks(process.pid, (), "", "it is just starting, and runs no code of its class yet")
    found = py_spy.dumped(process.pid)
    if found.threads:
        return Stacks(process.pid, _opened(found.threads), found.source, found.note)
    state = process.state
    words = {
        "D": "it is inside of the kernel, which lets no signal through (state D): a disk, a "
        "network file system or a device does not answer",
        "R": "it is at work, but the machine has not let it answer in time: ask again",
    }
    note = words.get(state, f"it does not answer (state {state}): ask again")
    return Stacks(process.pid, (), "", note)


def _of_suspended(process: LiveProcess) -> Stacks:
    """Return the stacks of a process that is stopped: its memory tells, for who can read it."""
    note = "its process is stopped, as by SIGSTOP or a debugger"
    found = py_spy.dumped(process.pid, is_stopped=True)
    if found.threads:
        return Stacks(process.pid, _opened(found.threads), found.source, note)
    return Stacks(process.pid, (), "", f"{note}: {found.note}")


def _native(process: LiveProcess) -> Stacks:
    found = py_spy.dumped(process.pid, native=True, is_stopped=process.is_suspended)
    return Stacks(process.pid, _opened(found.threads), found.source, found.note)


def _opened(threads: tuple[py_spy.Thread, ...]) -> tuple[Stack, ...]:
    stacks = [
        Stack(thread.name, thread.is_main, False, _frames(list(thread.frames)))
        for thread in threads
    ]
    return tuple(sorted(stacks, key=lambda stack: not stack.is_main))


_HEAD = re.compile(r"(?:Stack|(?:Current thread|Thread) 0x[0-9a-f]+.*) \(most recent call first\):")
_LINE = re.compile(r'  File "(.*)", line (\d+|\?\?\?) in (.*)')


def parse_dump(text: str) -> tuple[Stack, ...]:
    """Return the stacks that faulthandler has written, in its order; the names are not known."""
    found: list[list[Frame]] = []
    for line in text.splitlines():
        if _HEAD.match(line) is not None:
            found.append([])
        elif found and (at := _LINE.match(line)) is not None:
            number = int(at[2]) if at[2].isdecimal() else 0
            found[-1].append(Frame(at[1], number, at[3]))
    return tuple(Stack("", False, False, tuple(frames)) for frames in found)


def without_ours(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Return a stack without the runtime's own frames, as crash reports show it.

    Nor with what the process began with. A stack that has no others keeps them.
    """
    ends = (at for at, frame in enumerate(frames) if frame.file.endswith(_ENTRY))
    inner = frames[: next(ends, len(frames))]
    return tuple(frame for frame in inner if not is_ours(frame.file)) or inner or frames


def is_runtimes(stack: Stack) -> bool:
    """Whether a stack is that of a thread of the runtime's own."""
    theirs = (
        frame for frame in stack.frames if not is_ours(frame.file) and _THREADING not in frame.file
    )
    return not stack.is_main and not stack.is_task and next(theirs, None) is None


def _pause(seconds: float) -> None:
    signal.sigtimedwait([], seconds)
