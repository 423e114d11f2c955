"""What the supervisor knows of one actor.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the actor's host, through all incarnations (`core.remember` removes it).
Never: decides anything.
"""

from __future__ import annotations

import datetime as dt
import enum

from procactors.crash import CrashReport, ExitKind, ExitReason
from procactors.model.commands import ActorInfo, ActorStatus
from procactors.model.options import Options
from procactors.supervision.backend import Ended, Host, ReplyTo, Words
from procactors.wire.mailbox.black_box import (
    ENDING,
    EXPIRED,
    HALTED,
    HANDLED,
    HANDLED_OWN,
    IN_HAND,
    LEFT,
    PHASE,
    PID,
    RECYCLED,
    RECYCLING,
    STARTING,
    STATE,
    STOPPED,
    STOPPING,
)
from procactors.wire.raised import without_ours

__all__ = ["ActorRecord", "Life"]


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
    DYING = "stopping"  #: its process has ended for good, its report is not complete yet
    OVER = "stopped"  #: for good


class ActorRecord:
    """One actor. An inbox is an actor that never has a process."""

    def __init__(
        self, host: Host, actor_id: int, name: str, class_name: str, options: Options, parent: int
    ) -> None:
        self.id = actor_id
        self.name = name
        self.class_name = class_name
        self.options = options
        self.parent = parent
        self.host = host
        self.life = Life.DOWN
        self.is_inbox = False
        #: It works for a pool.
        self.pooled = False
        #: File with further constructor arguments; empty for none.
        self.extra = ""
        self.start = 0  # number of the current start; reports that name another one are late
        self.incarnation = 0
        self.seed = 0  # of this life
        self.ready_at: float | None = None
        #: It was ready before its process was known.
        self.ready_early = False
        #: How the last life ended that was up, until the next one is; None if there was none.
        self.ended_as: ExitReason | None = None
        #: Lives that made way for the next one, and whether the last one did.
        self.recycled = 0
        self.was_recycled = False
        self.children: list[int] = []
        #: It wants to be asked when one of its children dies.
        self.decides = False
        #: Callers that wait for its end, and for the end of its last child.
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
        #: It was suspended by an order, and the instant at which it last went on from that.
        self.is_suspended = False
        self.resumed_at = 0.0
        #: What the watchdog ends, or has ended, it for; None while it behaves.
        self.accused_of: ExitReason | None = None
        #: The call for whose sake it is killed, by its caller's wish (reply pipe, id).
        self.killed_call: tuple[int, int] | None = None
        #: Most resident bytes of this life, as far as the watchdog has looked at them.
        self.peak_memory = 0
        #: It is being stopped because the actor that spawned it ends.
        self.parent_gone = False
        #: Not to be restarted, whatever the policy says.
        self.final = False
        self.last_crash: CrashReport | None = None
        self.reason: ExitReason | None = None

    @property
    def words(self) -> Words:
        """Those of its host's black box."""
        return self.host.words

    @property
    def is_idle(self) -> bool:
        """Whether no process is there or comes up: an inbox, or between two lives."""
        return self.host.pid is None and self.life in (Life.DOWN, Life.UP)

    @property
    def info(self) -> ActorInfo:
        """What makes a ref to this actor."""
        return ActorInfo(self.id, self.name, self.class_name, self.options)

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
        """Return what can be seen now; for the last time just before its host is removed."""
        in_hand = self.host.in_hand(is_alive=True) if self.life is Life.UP else ()
        # A message may just have changed under the look: then it is busy all the same.
        busy = bool(in_hand) or (self.life is Life.UP and bool(self.words[STATE] & IN_HAND))
        state = self.life.value
        if self.life is Life.UP:
            phase = self.words[PHASE]
            stopping = phase in (STOPPING, ENDING) or self.stop_by is not None
            state = "stopping" if stopping else "busy" if busy else "idle"
            if phase in (RECYCLING, RECYCLED):
                state = Life.DOWN.value
        pid = self.host.pid
        if pid is None and self.life is Life.STARTING and self.ready_early:
            # It serves already, and word of its fork is still on its way: it has noted itself.
            pid = self.words[PID]
        return ActorStatus(
            name=self.name,
            state=state,
            pid=pid,
            incarnation=self.incarnation,
            restarts=max(0, self.incarnation - 1 - self.recycled),
            handled=self._handled(),
            mailbox=self.host.waiting() if self.life is not Life.OVER else 0,
            memory=self.host.resident(),
            busy_s=max((message.busy_s for message in in_hand), default=0.0),
            last_crash=self.last_crash,
            reason=self.reason,
            recycled=self.recycled,
            expired=self.words[EXPIRED],
            in_hand=in_hand,
        )

    def exit_reason(self, ended: Ended) -> ExitReason:
        """Return why an incarnation has ended, from how its process did."""
        code, phase = ended.code, self.words[PHASE]
        if self.accused_of is not None and (code is None or code < 0):
            return self.accused_of
        if self.ended_with and code != 0:
            return ExitReason(ExitKind.KILLED, self.ended_with)
        if ended.text:
            kind = ExitKind.START if phase == STARTING else ExitKind.ERROR
            return ExitReason(kind, None, ended.text)
        # Its last words count, even if its code went with the zygote that kept it.
        if code in (0, None) and phase in _ORDERLY:
            gone = phase == STOPPED and self.parent_gone
            return ExitReason(ExitKind.PARENT_GONE if gone else _ORDERLY[phase])
        if code is None:
            return ExitReason(ExitKind.UNKNOWN, None, ended.lost)
        if code < 0:
            return ExitReason(ExitKind.SIGNAL, -code)
        return ExitReason(ExitKind.EXIT, code)

    def report(self, reason: ExitReason, ended: Ended, pid: int | None, now: float) -> CrashReport:
        """Return the report of the life that has just ended, as far as it is known now."""
        in_hand = self.host.in_hand()
        first = in_hand[0] if in_hand else None
        return CrashReport(
            actor=self.name,
            incarnation=self.incarnation,
            pid=pid,
            reason=reason,
            handler=first.handler if first else None,
            busy_s=first.busy_s if first else 0.0,
            deliveries=first.deliveries if first else 0,
            handled=self._handled(),
            traceback=ended.trace if ended.text == reason.text else "",
            native_stack=without_ours(ended.stacks),
            peak_memory=max(self.peak_memory, ended.peak),
            at=dt.datetime.now(dt.timezone.utc).isoformat(timespec="microseconds"),
            ran_s=0.0 if self.ready_at is None else now - self.ready_at,
            log=ended.log,
            seed=self.seed,
            in_hand=in_hand,
        )

    def _handled(self) -> int:
        return self.words[HANDLED] - self.words[HANDLED_OWN]
