"""How an actor ended, as data: exit reasons and crash reports.

Layer: model. Runs in: parent; the values travel to callers and to the next incarnation.
Owns: nothing.
Never: guesses: what is not known says so.
"""

from __future__ import annotations

import dataclasses
import enum
import signal
from typing import Any

from procactors.late_dataclass import dataclass

__all__ = ["ERROR_LINES", "LOG_LINES", "CrashReport", "ExitKind", "ExitReason", "MessageInHand"]


class ExitKind(enum.Enum):
    """The ways in which an actor's process can end."""

    NORMAL = "normal"  #: the actor called `context.stop()`
    STOPPED = "stopped"  #: ordered from outside, the mailbox was finished
    RESTARTED = "restarted"  #: its supervisor stopped it, to start it again with others
    GAVE_UP = "gave up"  #: a supervisor: its children needed more restarts than it allows
    KILLED = "killed"  #: by us: ordered from outside, or a stop that passed its deadline
    ERROR = "error"  #: an exception left the actor
    EXIT = "exit"  #: the process exited by itself with a code
    SIGNAL = "signal"  #: the process was ended by a signal that we did not send
    LINKED = "linked"  #: stopped because an actor ended that it is linked to
    RECYCLED = "recycled"  #: it made way for the next incarnation (`recycle_after`); never final
    START = "start"  #: the process did not come up
    HANG = "hang"  #: by us: its handler, or the actor as a whole, passed `handle_timeout`
    MEMORY = "memory limit"  #: by us: it held more than `Limits.memory`
    OOM = "out of memory"  #: by the kernel's out-of-memory killer
    PARENT_GONE = "parent gone"  #: the actor that spawned it ends or ended, so it was stopped
    UNKNOWN = "unknown"  #: ended, and no process is left that knows how


#: Lines of a report in an error's text, and of one that is logged; the rest is in the report.
ERROR_LINES, LOG_LINES = 4, 7
#: Characters of one of these lines.
_WIDTH = 500

#: After these a transient actor stays down.
_ORDERLY = (
    ExitKind.NORMAL,
    ExitKind.STOPPED,
    ExitKind.RESTARTED,
    ExitKind.LINKED,
    ExitKind.RECYCLED,
    ExitKind.PARENT_GONE,
)
#: In these a signal ended the process; its number is the code.
_BY_SIGNAL = (
    ExitKind.SIGNAL,
    ExitKind.KILLED,
    ExitKind.HANG,
    ExitKind.MEMORY,
    ExitKind.OOM,
)


@dataclass(frozen=True)
class ExitReason:
    """Why an actor, or one incarnation of it, ended.

    Attributes:
        kind: which way.
        code: exit code with EXIT, signal number with SIGNAL, KILLED, HANG, MEMORY and OOM; else
            None.
        text: the exception with ERROR and START; with LINKED whose end it followed, and how that
            one ended; the numbers with GAVE_UP; what was allowed and what was seen with HANG and
            MEMORY; with KILLED that a call's caller wished it, if so; with UNKNOWN what is known
            all the same; else empty.
    """

    kind: ExitKind
    code: int | None = None
    text: str = ""

    @property
    def signal_name(self) -> str | None:
        """Name of the signal that ended the process, as in ``"SIGKILL"``; None if none did."""
        if self.kind not in _BY_SIGNAL or self.code is None:
            return None
        try:
            return signal.Signals(self.code).name
        except ValueError:
            return f"signal {self.code}"

    @property
    def is_abnormal(self) -> bool:
        """Whether a transient actor is respawned after such an end."""
        return self.kind not in _ORDERLY

    def __str__(self) -> str:
        if self.kind is ExitKind.UNKNOWN and not self.text:
            return "ended in an unknown way"
        killer = self.signal_name or "SIGKILL"
        says = _SAYS[self.kind].format(text=self.text, code=self.code, signal=killer)
        return f"{says} ({self.text})" if self.kind is ExitKind.KILLED and self.text else says

    def to_dict(self) -> dict[str, Any]:
        """Return the reason as plain values, with its sentence under ``says``."""
        return {
            "kind": self.kind.value,
            "code": self.code,
            "signal": self.signal_name,
            "text": self.text,
            "says": str(self),
        }


#: What each kind is in words.
_SAYS = {
    ExitKind.NORMAL: "ended normally",
    ExitKind.STOPPED: "stopped",
    ExitKind.RESTARTED: "was stopped by its supervisor, to be started again",
    ExitKind.PARENT_GONE: "was stopped because its parent ended",
    ExitKind.GAVE_UP: "gave up: {text}",
    ExitKind.KILLED: "was killed by the runtime with {signal}",
    ExitKind.ERROR: "raised {text}",
    ExitKind.EXIT: "exited with code {code}",
    ExitKind.SIGNAL: "ended by signal {signal}",
    ExitKind.LINKED: "stopped, being linked to {text}",
    ExitKind.RECYCLED: "made way for its next incarnation",
    ExitKind.START: "did not start: {text}",
    ExitKind.HANG: "was killed as hung ({text})",
    ExitKind.MEMORY: "was killed at its memory limit ({text})",
    ExitKind.OOM: "was killed by the kernel for lack of memory",
    ExitKind.UNKNOWN: "ended in an unknown way ({text})",
}


@dataclass(frozen=True)
class MessageInHand:
    """A message that an actor has begun, and has not answered; or a timer that runs.

    Attributes:
        handler: name of its handler; of a timer, ``timer tick``.
        busy_s: seconds since that was begun.
        deliveries: how often the message has been begun, this time included; of a timer 0.
        is_later: its handler has ended, and its answer was to come later.
    """

    handler: str
    busy_s: float = 0.0
    deliveries: int = 1
    is_later: bool = False


@dataclass(frozen=True)
class CrashReport:
    """What is known of one incarnation's death.

    Attributes:
        actor: the actor's name.
        incarnation: which life it was, from 1.
        pid: its process id.
        reason: how it ended.
        handler: name of the handler of the message in hand; of a timer that ran, ``timer tick``;
            None if it was idle. Of several, the one that ended the actor by what it raised; else
            the oldest.
        busy_s: seconds for which that handler had run; 0.0 if idle.
        deliveries: how often that message had been begun, this time included; 0 if there was none.
        handled: messages handled over all incarnations.
        traceback: the formatted traceback, if an exception ended it.
        native_stack: the stacks that faulthandler wrote, if a fatal signal ended it or it hung.
        peak_memory: most resident bytes that the process ever had; 0 if that is not known.
        at: when the death was seen, on the wall clock: ISO 8601, UTC.
        ran_s: seconds for which the incarnation had been up; 0.0 if its start was not done.
        log: the last lines that it logged, oldest first; empty if none.
        seed: its ``context.seed``: what it drew from that can be drawn again.
        memory_was_short: whether, when a SIGKILL of unknown origin ended it, memory was nearly used
            up, as far as the process's peak and what was free right behind it tell.
        in_hand: all messages in hand, the one of `handler` first, then from the oldest on.
    """

    actor: str
    incarnation: int
    pid: int | None
    reason: ExitReason
    handler: str | None = None
    busy_s: float = 0.0
    deliveries: int = 0
    handled: int = 0
    traceback: str = ""
    native_stack: str = ""
    peak_memory: int = 0
    at: str = ""
    ran_s: float = 0.0
    log: str = ""
    seed: int = 0
    memory_was_short: bool = False
    in_hand: tuple[MessageInHand, ...] = ()

    @property
    def summary(self) -> str:
        """The report's first lines, without stacks and log: one, if the exception's text is."""
        text = f"actor {self.actor} (incarnation {self.incarnation}, pid {self.pid}) {self.reason}"
        if self.handler:
            text += f" in handler {self.handler}"
            text += f" after {_seconds(self.busy_s)}" if self.busy_s else ""
            others = len(self.in_hand) - 1
            text += f", with {others} more in hand" if others > 0 else ""
        elif self.reason.kind is not ExitKind.START:
            text += " while idle"
        if self.memory_was_short:
            text += " (possibly for lack of memory)"
        facts = []
        if self.ran_s:
            facts.append(f"up for {_seconds(self.ran_s)}")
        if self.peak_memory:
            facts.append(f"peak memory {self.peak_memory / 1e6:.1f} MB")
        return f"{text} [{', '.join(facts)}]" if facts else text

    @property
    def likeness(self) -> str:
        """What makes two crashes alike: cause, handler and last frames, whichever actor it was."""
        reason = self.reason
        frames = _last_frames(self.traceback, 2)
        # An exception's text may have a number in it: with the same frames, its class is enough.
        text = reason.text.partition(":" if frames else "\n")[0]
        return "\n".join([reason.kind.value, str(reason.code), text, self.handler or "", *frames])

    def brief(self, lines: int = ERROR_LINES) -> str:
        """Return the summary, and where it happened, in so many lines at most.

        As errors have it (`str(ActorDied)`), and as it is logged. The whole is ``str(report)``.
        """
        first, *more = self.summary.splitlines()
        said = [_cut(f"{first} ..." if more else first)]
        if self.native_stack:
            said += [_cut(line) for line in self.native_stack.splitlines() if line.strip()]
        else:
            said += _last_frames(self.traceback, lines - 1)
        return "\n".join(said[:lines])

    def __str__(self) -> str:
        parts = [self.summary]
        parts += [more.rstrip() for more in (self.traceback, self.native_stack) if more]
        if self.log:
            parts += ["last lines of its log:", *(f"  {line}" for line in self.log.splitlines())]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON; `summary` included."""
        # By hand, not by `dataclasses.asdict`: that would take the reason apart.
        known = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        known["in_hand"] = [dataclasses.asdict(message) for message in self.in_hand]
        return {**known, "reason": self.reason.to_dict(), "summary": self.summary}

    def to_json(self) -> str:
        """Return the report as one JSON object, indented, in ASCII."""
        import json

        return json.dumps(self.to_dict(), indent=2)


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]} ..."


def _last_frames(traceback: str, most: int) -> list[str]:
    """Return the innermost frames of a traceback, file and code of each, in so many lines."""
    frames: list[list[str]] = []
    for line in traceback.splitlines():
        if line.startswith("Traceback "):
            frames.clear()  # of the exception that this one came from
        elif line.startswith('  File "'):
            frames.append([_cut(line)])
        elif line.startswith("    ") and frames and len(frames[-1]) == 1:
            frames[-1].append(_cut(line))  # its code; the markers below it are left out
    found: list[str] = []
    for frame in reversed(frames):
        if len(found) + len(frame) > most:
            break
        found = frame + found
    return found


def _seconds(count: float) -> str:
    """Return seconds for people: fine while they are few."""
    return f"{count:.2f} s" if count < 10 else f"{count:,.0f} s"
