"""How an actor ended, as data: exit reasons and crash reports.

Layer: supervision. Runs in: parent; the values travel to callers and to the next incarnation.
Owns: nothing.
Never: guesses: what is not known says so.
"""

from __future__ import annotations

import dataclasses
import enum
import signal

__all__ = ["CrashReport", "ExitKind", "ExitReason"]


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
    UNKNOWN = "unknown"  #: ended, and nobody is left who could tell how


#: After these a transient actor stays down.
_ORDERLY = (
    ExitKind.NORMAL,
    ExitKind.STOPPED,
    ExitKind.RESTARTED,
    ExitKind.LINKED,
    ExitKind.RECYCLED,
)


@dataclasses.dataclass(frozen=True)
class ExitReason:
    """Why an actor, or one incarnation of it, ended.

    Attributes:
        kind: which way.
        code: exit code with EXIT, signal number with SIGNAL and KILLED; else None.
        text: the exception with ERROR and START; with LINKED whose end it followed, and how that
            one ended; the numbers with GAVE_UP; with UNKNOWN what is known all the same; else
            empty.
    """

    kind: ExitKind
    code: int | None = None
    text: str = ""

    @property
    def signal_name(self) -> str | None:
        """Name of the signal that ended the process, as in ``"SIGKILL"``; None if none did."""
        if self.kind not in (ExitKind.SIGNAL, ExitKind.KILLED) or self.code is None:
            return None
        try:
            return signal.Signals(self.code).name
        except ValueError:
            return f"signal {self.code}"

    @property
    def is_abnormal(self) -> bool:
        """Whether a transient actor is respawned after it."""
        return self.kind not in _ORDERLY

    def __str__(self) -> str:
        if self.kind is ExitKind.UNKNOWN and self.text:
            return f"ended in an unknown way ({self.text})"
        killer = self.signal_name or "SIGKILL"
        return _SAYS[self.kind].format(text=self.text, code=self.code, signal=killer)


#: What each kind is in words.
_SAYS = {
    ExitKind.NORMAL: "ended normally",
    ExitKind.STOPPED: "stopped",
    ExitKind.RESTARTED: "was stopped by its supervisor, to be started again",
    ExitKind.GAVE_UP: "gave up: {text}",
    ExitKind.KILLED: "killed by the runtime with {signal}",
    ExitKind.ERROR: "raised {text}",
    ExitKind.EXIT: "exited with code {code}",
    ExitKind.SIGNAL: "ended by signal {signal}",
    ExitKind.LINKED: "stopped, being linked to {text}",
    ExitKind.RECYCLED: "made way for its next incarnation",
    ExitKind.START: "did not start: {text}",
    ExitKind.UNKNOWN: (
        "ended in an unknown way (its exit code was lost with the process that kept it)"
    ),
}


@dataclasses.dataclass(frozen=True)
class CrashReport:
    """What is known of one incarnation's death.

    Attributes:
        actor: the actor's name.
        incarnation: which life it was, from 1.
        pid: its process id.
        reason: how it ended.
        handler: name of the handler of the message in hand; None if it was idle.
        busy_s: seconds for which that handler had run; 0.0 if idle.
        deliveries: how often the message in hand had been begun, this time included.
        handled: messages handled over all incarnations.
        traceback: the formatted traceback, if an exception ended it.
        native_stack: the stacks that faulthandler wrote, if a fatal signal ended it.
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

    def __str__(self) -> str:
        where = f" in handler {self.handler}" if self.handler else " while idle"
        text = f"actor {self.actor} (incarnation {self.incarnation}, pid {self.pid}) {self.reason}"
        text += where if self.reason.kind is not ExitKind.START else ""
        if self.reason.kind is ExitKind.SIGNAL and self.reason.signal_name == "SIGKILL":
            text += " (possibly for lack of memory)"
        for more in (self.traceback, self.native_stack):
            if more:
                text += "\n" + more.rstrip()
        return text
