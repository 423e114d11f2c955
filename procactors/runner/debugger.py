"""A debugger in a live actor: pdb, whose user sits at another process's terminal.

Layer: runner. Runs in: actor, in the thread that is debugged; a thread listens to the terminal.
Loaded when somebody comes to debug.
Owns: the line to the terminal; the word `DEBUGGED` of the box, while it lasts; the trace function.
Never: raises into the code that is debugged; outlives its terminal, or an ordered stop, by more
than a tenth of a second; waits for a lock that the interrupted code may hold.

    interrupted code ─► `stop_at`: prompt ─► step, next ... ─► trace function ─► prompt
                                          └► continue, q, the terminal is gone ─► the code goes on

While it is there, nobody's patience ends: neither the watchdog's nor that of callers.
"""

from __future__ import annotations

import _thread
import code
import contextlib
import os
import pdb  # noqa: T100 - that is what this is for
import queue
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from types import FunctionType
from typing import TYPE_CHECKING, Any

from procactors.process.shield import DOOR
from procactors.runner.debug_line import (
    END,
    INTERRUPT,
    LINE,
    PROMPT,
    TEXT,
    Line,
    SocketLine,
    pack,
)
from procactors.wire.mailbox.black_box import CLOSED, CONTROL, DEBUGGED, STOP_ORDERED
from procactors.wire.raised import is_ours

if TYPE_CHECKING:
    import socket
    from types import FrameType

__all__ = [
    "Hold",
    "attach",
    "count",
    "debug",
    "is_busy",
    "is_stop_ordered",
    "poked",
    "stop_again",
    "was_held",
]

#: Milliseconds between two looks at whether the actor is to stop.
_LOOK_MS = 100
#: Where an actor's life begins: what is outside of it is how its process was started.
_ENTRY = os.path.join("procactors", "api", "incarnation.py")
#: Where the code of event loops is: as the runtime's own, it is stepped over.
_LIBRARY = os.path.dirname(contextlib.__file__)
_LOOPS = (os.path.join(_LIBRARY, "asyncio", ""), os.path.join(_LIBRARY, "selectors.py"))


class Hold:
    """The time in which nobody's patience ends, since somebody debugs the actor.

    Args:
        words: of the actor's black box.
        holder: process of the terminal; 1: none yet, or the program's.
    """

    #: From when to when the actor was held, by the monotonic clock; the last may still be.
    past: list[list[float]] = []  # noqa: RUF012 - the process's
    depth = 0

    def __init__(self, words: memoryview, holder: int) -> None:
        self._words = words
        self._before = words[DEBUGGED]
        self._is_held = True
        if not Hold.depth:
            Hold.past.append([monotonic(), 0.0])
        Hold.depth += 1
        words[DEBUGGED] = holder

    def release(self) -> None:
        """End it; again, nothing happens."""
        if not self._is_held:
            return
        self._is_held = False
        self._words[DEBUGGED] = self._before
        Hold.depth -= 1
        if not Hold.depth:
            Hold.past[-1][1] = monotonic()


def was_held(instant: float) -> bool:
    """Whether the actor was being debugged at an instant of the monotonic clock."""
    return any(begin <= instant <= (end or instant) for begin, end in Hold.past)


class _Output:
    """What pdb writes to: whole lines go out at once, the rest is the next prompt."""

    encoding, errors = "utf-8", "surrogateescape"

    def __init__(self, send: Callable[[bytes, str], None]) -> None:
        self._send = send
        self._rest = ""

    def write(self, text: str) -> int:
        lines, newline, self._rest = (self._rest + text).rpartition("\n")
        if newline:
            self._send(TEXT, lines + newline)
        return len(text)

    def flush(self) -> None:
        """Do nothing: what is no whole line waits for the line that is asked for."""

    def isatty(self) -> bool:
        """Return whether colours may be written."""
        return False

    def take(self) -> str:
        """Return what stands before the place where the user types."""
        rest, self._rest = self._rest, ""
        return rest


class _Input:
    """What pdb reads from."""

    encoding, errors = "utf-8", "surrogateescape"

    def __init__(self, session: _Session, output: _Output) -> None:
        self._session = session
        self._output = output

    def readline(self, _size: int = -1) -> str:
        """Ask for a line; empty: the session is over."""
        return self._session.ask(self._output.take())

    def isatty(self) -> bool:
        """Return whether somebody types here, by descriptor: nobody does."""
        return False


class _Console(code.InteractiveConsole):
    """The interpreter of the command `interact`."""

    def __init__(self, names: dict[str, Any], debugger: _Debugger) -> None:
        super().__init__(names)
        self._debugger = debugger

    def raw_input(self, prompt: str = "") -> str:
        self._debugger.stdout.write(prompt)
        line = self._debugger.stdin.readline()
        if not line:
            raise EOFError
        return line.rstrip("\n")

    def write(self, data: str) -> None:
        self._debugger.stdout.write(data)


class _Debugger(pdb.Pdb):
    """pdb that never ends what it debugs, and stops neither in our own code nor in event loops'."""

    def __init__(self, session: _Session) -> None:
        output = _Output(session.send)
        # Of streams, pdb uses no more than these have.
        super().__init__(
            stdin=_Input(session, output),  # type: ignore[arg-type]
            stdout=output,  # type: ignore[arg-type]
            nosigint=True,
            readrc=False,
        )
        self._session = session
        self._saved: list[tuple[FrameType, Any]] = []
        self._is_first = False
        #: Stands for an actor that is between two messages.
        self._idle: FrameType | None = None

    @property
    def is_interruptible(self) -> bool:
        """Whether a KeyboardInterrupt comes to an end at the prompt: pdb says so for its own."""
        return bool(getattr(self, "allow_kbdint", False))

    def arm(self, frame: FrameType | None) -> None:
        """Have the frame, and those that it was called from, traced, once there is tracing."""
        self.disarm()
        self.reset()
        self._is_first = True
        self.enterframe = frame
        while frame is not None:
            self._saved.append((frame, frame.f_trace))
            frame.f_trace = self.trace_dispatch
            self.botframe = frame
            frame = frame.f_back

    def disarm(self) -> None:
        """Have the frames traced as they were before."""
        for frame, trace in self._saved:
            frame.f_trace = trace
        self._saved.clear()

    def trace_dispatch(self, frame: FrameType, event: str, arg: Any) -> Any:
        if self._session.is_over:
            self._session.leave()
            return None
        return self._unless_over(super().trace_dispatch(frame, event, arg))

    def _unless_over(self, result: Any) -> Any:
        """Return a trace function, unless a prompt in there was the last one."""
        if self._session.is_over:
            self._session.leave()
            return None
        return result

    def stop_here(self, frame: FrameType) -> bool:
        # Behind the handler `next` comes to the next handler's first line.
        return not _is_inside(frame) and super().stop_here(frame)

    def setup(self, f: FrameType | None, tb: Any) -> Any:
        result = super().setup(f, tb)
        files = [frame.f_code.co_filename for frame, _ in self.stack]
        entries = [at for at, file in enumerate(files) if file.endswith(_ENTRY)]
        above: list[FrameType] = []
        if entries:  # how the process was started is nobody's matter
            above = [frame for frame, _ in self.stack[: entries[-1] + 1]]
            del self.stack[: entries[0] + 1], files[: entries[0] + 1]
            self.curindex -= entries[0] + 1
        theirs = [at for at, file in enumerate(files) if not is_ours(file)]
        if self._is_first and not all(files[at].startswith(_LOOPS) for at in theirs):
            self._show(theirs[-1])  # the user's own code is shown first, if there is any
        elif self._is_first and (idle := _between_messages(above)) is not None:
            self._idle = idle
            self.stack.append((idle, idle.f_lineno))
            self._show(len(self.stack) - 1)
        self._is_first = False
        return result

    def _show(self, at: int) -> None:
        """Stand at a place of the stack."""
        self.curindex = at
        self.curframe = self.stack[at][0]
        self.curframe_locals = self.curframe.f_locals

    def do_next(self, arg: str) -> bool | None:
        """n(ext): go on to the next line of this function; between messages, of a handler."""
        if self._idle is not None and self.curframe is self._idle:
            return self.do_step(arg)  # this frame does not run
        return super().do_next(arg)

    do_n = do_next

    def do_continue(self, arg: str) -> bool | None:
        """c(ont(inue)): let the actor go on; up to a breakpoint, if there are any."""
        result = super().do_continue(arg)
        if result and not self.breaks:
            self._session.end("the actor goes on")
        return result

    do_c = do_cont = do_continue

    def do_quit(self, arg: str) -> bool:
        """q(uit), exit, detach: leave the actor, which goes on."""
        self.clear_all_breaks()
        self.set_continue()
        self._session.end("the actor goes on")
        return True

    do_q = do_exit = do_detach = do_quit

    def do_EOF(self, arg: str) -> bool:  # noqa: N802 - cmd's name for it
        """EOF: as quit."""
        return self.do_quit(arg)

    def do_run(self, arg: str) -> None:
        """An actor cannot be run again from here."""
        self.message("*** an actor is not started again from here: see `procactors kill`")

    do_restart = do_run

    def do_interact(self, arg: str) -> None:
        """Start an interpreter with the names of the current frame."""
        assert self.curframe is not None
        names = {**self.curframe.f_globals, **self.curframe_locals}
        with contextlib.redirect_stdout(self.stdout):
            _Console(names, self).interact("*interactive*", "")


def _is_inside(frame: FrameType) -> bool:
    """Whether a frame is of the runtime's own code, or of an event loop's."""
    file = frame.f_code.co_filename
    if file == "<string>" and frame.f_back is not None:  # of a named tuple: it is its caller's
        file = frame.f_back.f_code.co_filename
    return is_ours(file) or file.startswith(_LOOPS)


def _between_messages(frames: list[FrameType]) -> FrameType | None:
    """Return a frame in which `self` is the actor, and names are its module's; None: there is none.

    It is that of a generator which does not run: pdb shows it, and evaluates there, as any other.

    Args:
        frames: of an actor's life, from its beginning to its service.
    """
    for frame in frames:
        actor = frame.f_locals.get("instance")
        if actor is not None:
            names = getattr(sys.modules.get(type(actor).__module__), "__dict__", {})
            generator = FunctionType(_BETWEEN, names)(actor)
            found: FrameType = generator.gi_frame
            return found
    return None


def _between(self: Any) -> Iterator[None]:
    yield


_BETWEEN = _between.__code__.replace(
    co_filename="<between two messages>", co_name="actor", co_firstlineno=1
)


class _Session:
    """One debugger: from the first prompt to the end.

    Args:
        line: to the terminal.
        words: of the actor's black box.
        holder: process of the terminal.

    Attributes:
        is_over: it has ended; the thread that is debugged may still have to notice.
    """

    def __init__(self, line: Line, words: memoryview, holder: int) -> None:
        self._line = line
        self._words = words
        self._hold = Hold(words, holder)
        self._thread = threading.get_ident()
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._trace = sys.gettrace()
        self._is_interrupted = self._is_sending = False
        self.is_over = False
        self._debugger = _Debugger(self)
        # Not by `threading`, whose locks the interrupted code may hold.
        _thread.start_new_thread(self._listen, ())

    # -- in the thread that is debugged ---------------------------------------------------------

    def stop_at(self, frame: FrameType | None) -> None:
        """Show a prompt at a frame; return when its user lets the code go on."""
        sys.settrace(None)  # else the debugger would be traced
        self._debugger.arm(frame)
        if not self.is_over:
            self._debugger.interaction(frame, None)
        if self.is_over:
            self.leave()
        else:
            sys.settrace(self._debugger.trace_dispatch)

    def send(self, kind: bytes, text: str) -> None:
        """Send to the terminal; what is for one that is gone is dropped."""
        if self.is_over:
            return
        self._is_sending = True  # half of a piece would spoil all that follows
        try:
            self._line.send(kind, text, lambda: self.is_over)
        except OSError:
            self.finish()
        finally:
            self._is_sending = False
        if self._is_interrupted and self._debugger.is_interruptible:
            self._is_interrupted = False
            raise KeyboardInterrupt

    def ask(self, prompt: str) -> str:
        """Return the next line that the user types; empty: the session is over."""
        if self.is_over:
            return ""
        self.send(PROMPT, prompt)
        return self._lines.get()

    def end(self, why: str) -> None:
        """End it, by its user's word; the terminal is told why."""
        self.send(END, why)
        self.finish()

    def leave(self) -> None:
        """Have no more code traced."""
        global _session  # noqa: PLW0603 - one at a time
        self.finish()
        if _session is self:
            _session = None
        self._debugger.clear_all_breaks()
        self._debugger.disarm()
        sys.settrace(self._trace)

    def was_poked(self, frame: FrameType | None) -> None:
        """Look what has come from the terminal, besides lines. In the main thread.

        Raises:
            KeyboardInterrupt: into what is run from the prompt.
        """
        if self._is_sending:
            return  # that looks behind itself
        is_interrupted, self._is_interrupted = self._is_interrupted, False
        if threading.get_ident() != self._thread or not (is_interrupted or self.is_over):
            return
        if self._debugger.is_interruptible:
            raise KeyboardInterrupt
        if self.is_over:
            self.leave()
        else:
            self.stop_at(frame)

    # -- in any thread --------------------------------------------------------------------------

    def finish(self) -> None:
        """Hold nobody's patience any more; the thread that is debugged finds that out."""
        self.is_over = True
        self._hold.release()
        self._lines.put("")

    # -- in the thread that listens -------------------------------------------------------------

    def _listen(self) -> None:
        poll = select.poll()
        poll.register(self._line.fileno(), select.POLLIN)
        while not self.is_over:
            if is_stop_ordered(self._words):
                with contextlib.suppress(OSError):
                    self._line.send(END, "the actor is to stop", lambda: self.is_over)
                self._break_off()
            elif poll.poll(_LOOK_MS):
                self._take(self._line.received())
        self._line.close()

    def _take(self, pieces: list[tuple[bytes, str]] | None) -> None:
        if pieces is None:
            self._break_off()
            return
        for kind, text in pieces:
            if kind == LINE:
                self._lines.put(text)
            elif kind == INTERRUPT:
                self._is_interrupted = True
                self._poke()

    def _break_off(self) -> None:
        self.finish()
        self._poke()

    def _poke(self) -> None:
        """Have the main thread look."""
        if self._thread == threading.main_thread().ident:
            signal.pthread_kill(self._thread, DOOR)


def is_stop_ordered(words: memoryview) -> bool:
    """Whether the actor is to come to its end."""
    return bool(words[STOP_ORDERED] or words[CONTROL] or words[CLOSED])


_session: _Session | None = None
#: How many debuggers there have been in this process.
_sessions = 0


def count() -> int:
    """Return how many debuggers there have been in this process."""
    return _sessions


def is_busy() -> bool:
    """Whether somebody debugs this actor."""
    return _session is not None and not _session.is_over


def attach(connection: socket.socket, pid: int, words: memoryview, frame: FrameType | None) -> None:
    """Debug the interrupted code for a terminal; return when that goes on.

    Args:
        connection: to the terminal.
        pid: of the terminal's process.
        words: of the actor's black box.
        frame: the innermost of the interrupted code.
    """
    line = SocketLine(connection)
    if is_busy():
        with contextlib.suppress(OSError):
            connection.send(pack(END, "somebody debugs this actor already"))
        line.close()
        return
    debug(line, words, pid, frame)


def debug(line: Line, words: memoryview, holder: int, frame: FrameType | None) -> None:
    """Debug code from a frame of this thread on; return when it goes on."""
    global _session, _sessions  # noqa: PLW0603 - one at a time
    if _session is not None and not _session.is_over:
        line.close()
        return
    _sessions += 1
    _session = session = _Session(line, words, holder)
    session.stop_at(frame)


def stop_again(frame: FrameType | None) -> None:
    """Show the prompt of the debugger that is there, at a frame of this thread."""
    if _session is not None:
        _session.stop_at(frame)


def poked(frame: FrameType | None) -> None:
    """Look whether the terminal has interrupted what runs, or has gone. In the main thread.

    Raises:
        KeyboardInterrupt: into what is run from the prompt.
    """
    if _session is not None:
        _session.was_poked(frame)
