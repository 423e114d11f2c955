"""Where an actor spends its time, sampled for some seconds from outside of its handler.

Layer: outside. Runs in: another process of the same user.
Owns: the visit at the actor's door, until its seconds are over.
Never: sends a message; leaves a sampler behind: it ends with its visitor.

    py-spy, if it is installed and may ─► its counts
    else a thread in the actor (`runner.sampler`) ─► samples, ten times a second
         nothing for 0.25 s: C code holds the interpreter's lock ─► faulthandler writes the stacks
"""

from __future__ import annotations

import marshal
import os
import re
import socket
from time import monotonic

from procactors.light_tuple import NamedTuple
from procactors.outside import py_spy
from procactors.outside.stacks import ActorSuspended, Stack, dump_of, process_of
from procactors.outside.visit import NotAtHome, Visit
from procactors.process.live import LiveProcess
from procactors.runner.sampler import HEAD
from procactors.wire.raised import is_ours

__all__ = ["IDLE", "UNSEEN", "Profile", "profile_of", "self_times"]

#: Stands for an actor that has nothing to do, and for time of which no sample tells.
IDLE = "(waits for a message)"
UNSEEN = "(not seen: C code held the interpreter's lock, or the machine was busy)"

#: Seconds without a sample from which on faulthandler is asked.
_SILENT_S = 0.25
#: Seconds that one dump may take, and that are waited for the last samples.
_DUMP_S, _LAST_S = 0.5, 1.0
#: Seconds that a start, or the time between two lives, may take.
_START_S = 5.0
#: Where an actor's life begins: what is outside of it is how its process was started.
_ENTRY = os.path.join("procactors", "api", "incarnation.py")

#: A frame as text: function, file, line.
_FRAME = re.compile(r"(.*) \((.*):(\d+)\)")


class Profile(NamedTuple):
    """What was sampled.

    Attributes:
        pid: of the process.
        seconds: for how long.
        rate: samples a second that were wanted.
        source: who has sampled: "sampler" or "py-spy".
        stacks: seconds by stack: the thread first, then ``function (file:line)``, outermost first.
        note: what a reader must know besides; empty: nothing.
    """

    pid: int
    seconds: float
    rate: int
    source: str
    stacks: dict[tuple[str, ...], float]
    note: str = ""


def profile_of(folder: str, seconds: float, rate: int, *, all_frames: bool = False) -> Profile:
    """Sample the process that serves an actor now.

    Blocks for so many seconds, and little longer.

    Args:
        folder: the actor's, in the runtime directory.
        seconds: for how long.
        rate: samples a second.
        all_frames: with the runtime's own frames.

    Raises:
        NotAtHome: the actor has no process, or it has ended before anything was seen.
        ActorSuspended: it is stopped.
    """
    with process_of(folder, monotonic() + _START_S) as process:
        if process.is_suspended:
            raise ActorSuspended("its process is stopped, as by SIGSTOP or a debugger")
        why = ""
        if py_spy.is_installed():
            counts, why = py_spy.recorded(process.pid, seconds, rate)
            if counts:
                stacks = {stack: count / rate for stack, count in counts.items()}
                stacks = _trimmed(stacks, all_frames)
                return Profile(process.pid, seconds, rate, "py-spy", stacks)
        gathering = _Gathering(folder, process, seconds, rate)
        stacks, note = gathering.gathered()
        if not stacks:
            raise NotAtHome(note or "the actor has not answered: ask again")
        notes = "; ".join(text for text in (why, note) if text)
        trimmed = _trimmed(stacks, all_frames)
        return Profile(process.pid, gathering.lasted, rate, "sampler", trimmed, notes)


class _Gathering:
    """One profile by the sampler in the actor, and by dumps where that stands still."""

    def __init__(self, folder: str, process: LiveProcess, seconds: float, rate: int) -> None:
        self._folder = folder
        self._process = process
        self._seconds = seconds
        self._rate = rate
        self._stacks: dict[tuple[str, ...], float] = {}
        self._still = 0.0  # seconds of which the sampler says that it has stood still
        self._dumped = 0.0  # of which dumps tell
        self.lasted = 0.0

    def gathered(self) -> tuple[dict[tuple[str, ...], float], str]:
        """Return seconds by stack, and what a reader must know besides."""
        began = monotonic()
        note = ""
        wish = f"profile.{self._rate}.{round(self._seconds * 1000)}"
        with Visit(self._folder, wish) as visit:
            try:
                connection = self._let_in(visit, began)
                if connection is not None:
                    with connection:
                        self._listen(connection)
            except (NotAtHome, ProcessLookupError):
                note = "its process has ended meanwhile"
        self.lasted = monotonic() - began
        if unseen := max(0.0, self._still - self._dumped):
            self._add(("MainThread", UNSEEN), unseen)
        if self._dumped:
            note = (
                f"for {self._dumped:.1f} s C code held the interpreter's lock, or did not come "
                f"back to Python: a few samples by faulthandler tell of that time"
            )
        return self._stacks, note

    def _let_in(self, visit: Visit, began: float) -> socket.socket | None:
        """Return the sampler's connection; None: its main thread has not come to Python code."""
        connection = visit.knock(self._process, monotonic() + _SILENT_S)
        # Its seconds count from its answer on, unless dumps tell of it meanwhile.
        patience = max(self._seconds, _START_S)
        while connection is None and self._dumped < self._seconds:
            if monotonic() > began + patience:
                break
            self._dump(_SILENT_S)
            connection = visit.knock(self._process, monotonic() + _SILENT_S)
        return connection

    def _listen(self, connection: socket.socket) -> None:
        began = monotonic()
        until = began + self._seconds + _LAST_S
        data, last = b"", monotonic()
        while monotonic() < until:
            connection.settimeout(_SILENT_S)
            try:
                more = connection.recv(1 << 20)
            except TimeoutError:
                if monotonic() < began + self._seconds:
                    self._dump(monotonic() - last)
                last = monotonic()
                continue
            except ConnectionResetError:
                more = b""
            if not more:
                # Its connections close a moment before it is seen to be gone.
                if monotonic() < began + self._seconds and self._process.ends_within(_LAST_S):
                    raise NotAtHome("the actor's process has ended")
                return
            last = monotonic()
            data = self._take(data + more)

    def _take(self, data: bytes) -> bytes:
        """Take the messages that are complete; return the rest."""
        while len(data) >= HEAD.size:
            end = HEAD.size + HEAD.unpack_from(data)[0]
            if len(data) < end:
                break
            # From a process of our own user.
            _, counts, still = marshal.loads(data[HEAD.size : end])  # noqa: S302
            self._still += still
            for stack, (_, seconds) in counts.items():
                self._add(stack, seconds)
            data = data[end:]
        return data

    def _dump(self, seconds: float) -> None:
        """Have faulthandler tell where the actor is, for the time in which nothing has come."""
        if self._process.has_ended:
            raise NotAtHome("the actor's process has ended")
        stacks = dump_of(self._folder, self._process, monotonic() + _DUMP_S)
        main = next((stack for stack in stacks if stack.is_main), None)
        if main is not None:
            self._dumped += seconds
            self._add(_as_text(main), seconds)

    def _add(self, stack: tuple[str, ...], seconds: float) -> None:
        self._stacks[stack] = self._stacks.get(stack, 0.0) + seconds


def _as_text(stack: Stack) -> tuple[str, ...]:
    frames = (f"{frame.function} ({frame.file}:{frame.line})" for frame in reversed(stack.frames))
    return (stack.name or "MainThread", *frames)


def _trimmed(
    stacks: dict[tuple[str, ...], float], all_frames: bool
) -> dict[tuple[str, ...], float]:
    """Return the stacks without the runtime's own frames, and without how the process began."""
    found: dict[tuple[str, ...], float] = {}
    for (thread, *frames), seconds in stacks.items():
        kept = frames if all_frames else _without_ours(frames)
        if kept is None:
            continue
        stack = (thread, *kept)
        found[stack] = found.get(stack, 0.0) + seconds
    return found


def _without_ours(frames: list[str]) -> list[str] | None:
    """Return a stack's frames; None: a thread of the runtime's, which does nothing for the user."""
    files = [match[2] if (match := _FRAME.match(frame)) else "" for frame in frames]
    entries = [at for at, file in enumerate(files) if file.endswith(_ENTRY)]
    begin = entries[-1] + 1 if entries else 0
    kept = [frames[at] for at in range(begin, len(frames)) if not is_ours(files[at])]
    if kept:
        return kept
    return [IDLE] if entries else None


def self_times(profile: Profile) -> list[tuple[str, float]]:
    """Return the functions that were met at work themselves, and their seconds; the most first."""
    times: dict[str, float] = {}
    for stack, seconds in profile.stacks.items():
        times[stack[-1]] = times.get(stack[-1], 0.0) + seconds
    return sorted(times.items(), key=lambda entry: (-entry[1], entry[0]))
