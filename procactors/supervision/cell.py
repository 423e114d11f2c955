"""What the supervisor knows of one actor.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the actor's mailbox files, its box's map and its child, through all incarnations (`bury`).
Never: decides anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import enum
import os
import pickle
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from procactors.options import Options
from procactors.process.child import Child
from procactors.process.logtail import read_log
from procactors.raised import without_ours
from procactors.supervision.commands import ActorInfo, ActorStatus
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.policy import History
from procactors.wire.blackbox import (
    BUSY_SINCE,
    CLOSED,
    ENDING,
    GONE,
    HALTED,
    HANDLED,
    HANDLED_OWN,
    IN_HAND,
    LEFT,
    PHASE,
    RECYCLED,
    RECYCLING,
    STARTING,
    STATE,
    STOPPED,
    STOPPING,
    BlackBox,
    unpack_state,
)
from procactors.wire.mailbox import MailboxFiles
from procactors.wire.record import Kind, parse, parse_all
from procactors.wire.sealing import peek
from procactors.wire.storage import move_file, remove_file, remove_folder

if TYPE_CHECKING:
    from procactors.supervision.branch import Slot

__all__ = ["Cell", "Life", "ReplyTo"]


#: The last words of an orderly end.
_ORDERLY = {
    STOPPED: ExitKind.STOPPED,
    LEFT: ExitKind.NORMAL,
    HALTED: ExitKind.RESTARTED,
    RECYCLED: ExitKind.RECYCLED,
}


class Life(enum.Enum):
    """Where an actor is between its spawn and its end."""

    STARTING = "starting"  #: a process is coming up, or its `on_start` runs
    UP = "up"  #: it serves its mailbox
    DOWN = "restarting"  #: between incarnations: backoff, or its children are still ending
    OVER = "stopped"  #: for good


@dataclasses.dataclass(frozen=True)
class ReplyTo:
    """Whom to answer: a reply pipe and a call id."""

    reply: int
    call: int


#: Bytes of the stacks that a report carries: a hundred threads must not fill a reply.
_STACK_BYTES = 65536


class Cell:
    """One actor's place in the supervisor. An inbox is a cell that never has a process."""

    def __init__(
        self, home: str, actor: int, name: str, class_name: str, options: Options, parent: int
    ) -> None:
        self.actor = actor
        self.name = name
        self.class_name = class_name
        self.options = options
        self.parent = parent
        self.home = home
        self.folder = os.path.join(home, "actors", str(actor))
        #: The file with its class and arguments.
        self.blueprint = ""
        self.files = MailboxFiles(self.folder, options.mailbox or 0)
        self.box = BlackBox(os.path.join(self.folder, "box"))
        self.words = self.box.words
        self.life = Life.STARTING
        self.is_inbox = False
        #: It works for a pool.
        self.pooled = False
        #: Starts of this life that went with a zygote.
        self.lost_starts = 0
        self.start = 0  # number of the current start; reports of another one are late
        self.incarnation = 0
        self.seed = 0  # of this life
        self.child: Child | None = None
        self.history = History()
        self.ready_at: float | None = None
        #: How the last life ended that was up, until the next one is; None if there was none.
        self.ended_as: ExitReason | None = None
        #: Lives that made way for the next one, and whether the last one did.
        self.recycled = 0
        self.was_recycled = False
        #: Seconds for which the recycled lives before this one ran, since the last crash.
        self.ran_before_s = 0.0
        #: It was ready before the zygote had told its process's number.
        self.ready_early = False
        self.children: list[int] = []
        #: It wants to be asked when one of its children dies.
        self.decides = False
        self.spawner: ReplyTo | None = None
        #: Its place under a supervisor of a tree; None for an actor that was spawned.
        self.place: Slot | None = None
        #: File with further constructor arguments; empty for none.
        self.extra = ""
        self.waiters: list[ReplyTo] = []
        self.childless_waiters: list[ReplyTo] = []
        #: Its next life starts when the last child of the life before is gone.
        self.respawns_childless = False
        #: Instant by which it must have stopped; None while no stop is ordered.
        self.stop_by: float | None = None
        #: Instant at which it is terminated if it has not stopped by then.
        self.terminate_at = 0.0
        #: Signal that we ended it with; 0 if we did not.
        self.ended_with = 0
        #: Its process was stopped (SIGSTOP, a debugger) when we ended it.
        self.was_suspended = False
        #: What the watchdog ends, or has ended, it for; None while it behaves.
        self.verdict: ExitReason | None = None
        #: Most resident bytes of this life, as far as the watchdog has looked at them.
        self.peak_memory = 0
        #: It is being stopped because the actor that spawned it ends.
        self.parent_gone = False
        #: Not to be restarted, whatever the policy says.
        self.final = False
        self.last_crash: CrashReport | None = None
        self.reason: ExitReason | None = None

    @property
    def info(self) -> ActorInfo:
        """What makes a ref to this actor."""
        return ActorInfo(self.actor, self.name, self.class_name, self.options)

    @property
    def last_reason(self) -> ExitReason | None:
        """How the last life ended, if it crashed."""
        return self.last_crash.reason if self.last_crash is not None else None

    @property
    def last_handler(self) -> str | None:
        """The handler in which its last life crashed, or was killed; None if in none."""
        crash = self.last_crash
        if crash is None or crash.incarnation != self.incarnation:
            return None
        return crash.handler

    def status(self) -> ActorStatus:
        """Return what can be seen now; for the last time just before `bury`."""
        busy = self.life is Life.UP and bool(self.words[STATE] & IN_HAND)
        state = self.life.value
        if self.life is Life.UP:
            phase = self.words[PHASE]
            stopping = phase in (STOPPING, ENDING) or self.stop_by is not None
            state = "stopping" if stopping else "busy" if busy else "idle"
            if phase in (RECYCLING, RECYCLED):
                state = Life.DOWN.value
        return ActorStatus(
            name=self.name,
            state=state,
            pid=self.child.pid if self.child is not None else None,
            incarnation=self.incarnation,
            restarts=max(0, self.incarnation - 1 - self.recycled),
            handled=self._handled(),
            mailbox=self._waiting() if self.life is not Life.OVER else 0,
            memory=_resident(self.child.pid) if self.child is not None else 0,
            busy_s=(monotonic_ns() - self.words[BUSY_SINCE]) / 1e9 if busy else 0.0,
            last_crash=self.last_crash,
            reason=self.reason,
            recycled=self.recycled,
        )

    def exit_reason(self, code: int | None) -> tuple[ExitReason, str]:
        """Return (reason, traceback) of the incarnation that has just ended with `code`."""
        text, trace = self._last_words()
        phase = self.words[PHASE]
        if self.verdict is not None and (code is None or code < 0):
            return self.verdict, ""
        if self.ended_with and code != 0:
            return ExitReason(ExitKind.KILLED, self.ended_with), ""
        if text:
            kind = ExitKind.START if phase == STARTING else ExitKind.ERROR
            return ExitReason(kind, None, text), trace
        # Its last words count, even if its code went with the zygote that kept it.
        if code in (0, None) and phase in _ORDERLY:
            gone = phase == STOPPED and self.parent_gone
            return ExitReason(ExitKind.PARENT_GONE if gone else _ORDERLY[phase]), ""
        if code is None:
            lost = self.child.lost if self.child is not None else ""
            return ExitReason(ExitKind.UNKNOWN, None, lost), ""
        if code < 0:
            return ExitReason(ExitKind.SIGNAL, -code), ""
        return ExitReason(ExitKind.EXIT, code), ""

    @property
    def fault_path(self) -> str:
        """The file that faulthandler writes to."""
        return os.path.join(self.folder, "fault")

    def native_stack(self) -> str:
        """Return what faulthandler wrote in this life; empty if nothing."""
        with contextlib.suppress(OSError), open(self.fault_path, "rb") as file:
            text = file.read(_STACK_BYTES).decode(errors="replace")
            # Should the next life end before it has opened the file, it is not to be its stack.
            os.truncate(self.fault_path, 0)
            return text
        return ""

    def report(self, reason: ExitReason, trace: str, ran: Any) -> CrashReport:
        """Return the report of the life that has just ended; `ran` is (handler, deliveries)."""
        handler, deliveries = ran
        busy_s = 0.0
        if handler:
            busy_s = max(0.0, (monotonic_ns() - self.words[BUSY_SINCE]) / 1e9)
        return CrashReport(
            actor=self.name,
            incarnation=self.incarnation,
            pid=self.child.pid if self.child is not None else None,
            reason=reason,
            handler=handler,
            busy_s=busy_s,
            deliveries=deliveries,
            handled=self._handled(),
            traceback=trace,
            native_stack=without_ours(self.native_stack()),
            peak_memory=max(self.peak_memory, self.child.peak_memory if self.child else 0),
            at=dt.datetime.now(dt.timezone.utc).isoformat(timespec="microseconds"),
            ran_s=self.ran_s(),
            log=read_log(self.folder),
            seed=self.seed,
        )

    def ran_s(self) -> float:
        """Return for how many seconds it has run since its start was done, or since it crashed."""
        ran_s = 0.0 if self.ready_at is None else monotonic() - self.ready_at
        return self.ran_before_s + ran_s

    def take_blueprint(self, path: str, is_shared: bool = False) -> None:
        """Take over the file with its class and arguments.

        Args:
            path: where it is.
            is_shared: others will want it, too: the actor gets a name of its own for it.
        """
        name = f"actors/{self.actor}/blueprint"
        self.blueprint = move_file(self.home, path, name, keep=is_shared)

    def drop_snapshot(self) -> None:
        """Remove the state that a life has left which did not come to make way."""
        if self.options.recycle_after is not None:
            remove_file(self.home, f"actors/{self.actor}/snapshot")

    def mark_gone(self) -> None:
        """Set the mark behind which nothing that is written will be handled."""
        self.words[CLOSED] = GONE

    def bury(self) -> None:
        """Close and remove everything but the facts."""
        self.box.close()
        self.files.close()
        remove_folder(self.home, f"actors/{self.actor}")

    def _handled(self) -> int:
        return self.words[HANDLED] - self.words[HANDLED_OWN]

    def _waiting(self) -> int:
        """Return how many messages wait: in the batch behind the one in hand, and in the pipe.

        The reader may be at it meanwhile, and read a batch between the two looks: then those
        messages are in the other place, and missed this time.
        """
        if self.child or self.is_inbox:  # its reader lives: look, do not settle
            fill, offset, in_hand = unpack_state(self.words[STATE])
        else:
            fill, offset, in_hand = self.box.recover()
        batch = self.box.batch
        places = [at for at, _ in self.box.walk(offset, fill)][in_hand:]
        kinds = [parse(batch, at).kind for at in places]
        with contextlib.suppress(OSError):  # no descriptor is left: then what is in the batch
            kinds += [record.kind for record in parse_all(peek(self.files.read_end))]
        return kinds.count(Kind.CALL)

    def _last_words(self) -> tuple[str, str]:
        """Return (one line, traceback) of the exception that ended this life, if one did."""
        try:
            with open(os.path.join(self.folder, "error"), "rb") as file:
                start, text, trace = pickle.load(file)
        except (OSError, pickle.UnpicklingError, EOFError, ValueError):
            return "", ""
        return (text, trace) if start == self.start else ("", "")


def _resident(pid: int) -> int:
    """Return the resident bytes of a process; 0 if it is gone."""
    import psutil

    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
