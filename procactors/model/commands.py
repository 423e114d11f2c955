"""What the supervisor can be asked, as values: the same from the main program and from actors.

Layer: model. Runs in: parent and actor (the values travel to the supervisor's mailbox).
Owns: nothing.
Never: carries a user's object: those travel as encoded bytes in files of their own.

Named tuples: every process of a system imports this, and thirty frozen dataclasses are a tenth of
what all imports take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procactors.late_dataclass import dataclass
from procactors.light_tuple import NamedTuple

if TYPE_CHECKING:
    from procactors.crash import CrashReport, ExitReason, MessageInHand
    from procactors.model.choices import AutoShutdown, Restart, Strategy
    from procactors.model.options import Options

__all__ = [
    "ActorInfo",
    "ActorPlan",
    "ActorStatus",
    "AsGuest",
    "ChildRow",
    "Condemn",
    "CrashList",
    "DecideOnChild",
    "DeleteChild",
    "Describe",
    "Find",
    "GivenUp",
    "Kill",
    "KillCall",
    "Leave",
    "LetterList",
    "LetterRow",
    "Link",
    "ListActors",
    "ListChildren",
    "ListCrashes",
    "ListLetters",
    "Listen",
    "LostMessage",
    "OpenInbox",
    "ReportOverflow",
    "ReportProgress",
    "RequeueLetter",
    "RestartChild",
    "Resume",
    "Spawn",
    "StartChild",
    "Stop",
    "StopAll",
    "StopChildren",
    "StopSupervisor",
    "StopSystem",
    "Supervise",
    "SupervisorInfo",
    "SupervisorPlan",
    "Suspend",
    "Tap",
    "TellStacks",
    "TerminateChild",
    "Unlink",
    "Unwatch",
    "Wait",
    "WaitSupervisor",
    "Watch",
]


class ActorInfo(NamedTuple):
    """What makes a ref: reply to `Spawn`, `Find` and `ListActors`."""

    actor: int
    name: str
    class_name: str
    options: Options


class Spawn(NamedTuple):
    """Start an actor. Reply: `ActorInfo` once its `on_start` is done, or `SpawnError`.

    Attributes:
        blueprint: file with the encoded class and arguments, read by every incarnation.
        class_name: for names and reports.
        options: the actor's.
        parent: id of the actor that spawns it; 0 is the main program.
        pooled: it works for a pool: what dies with a batch in hand died of an item, and does not
            count against `max_restarts`.
    """

    blueprint: str
    class_name: str
    options: Options
    parent: int
    pooled: bool = False


class Condemn(NamedTuple):
    """End a worker whose item has taken too long, with its stacks. Reply: whether it was killed.

    False: it has gone on meanwhile, or has no process now. True: SIGKILL has been sent, and no
    later message of its mailbox will be handled by this incarnation.

    Attributes:
        actor: the worker's id.
        pid: the process that was seen to run the item.
        handled: the messages that it had handled by then: the next one is none of the pool's.
        text: what its crash report says.
    """

    actor: int
    pid: int
    handled: int
    text: str


class KillCall(NamedTuple):
    """Kill an actor's process in the handler of one call. Reply: whether it was killed.

    The call's caller asks for it: it is not handed to the next life, and that is no restart.

    Attributes:
        actor: the actor's id.
        reply, call: of the call.
    """

    actor: int
    reply: int
    call: int


class OpenInbox(NamedTuple):
    """Make a mailbox that the main program reads. Reply: `ActorInfo`."""

    name: str | None


class Stop(NamedTuple):
    """See to it that an actor has stopped within `timeout` seconds. Reply: `ExitReason`."""

    actor: int
    timeout: float | None


class StopChildren(NamedTuple):
    """Stop all children of an actor that is about to stop. Reply: None when they are gone."""

    actor: int


class StopAll(NamedTuple):
    """Stop every actor under one deadline. Reply: None.

    With `drain` in reverse start order, each behind its messages; else all at once, each behind
    the message in hand, and a handler that runs is unwound now.
    """

    timeout: float
    drain: bool = True


class Leave(NamedTuple):
    """Have actors end behind the message in hand, for good. Reply: None, at once.

    A handler that runs is terminated now, and killed after `timeout` seconds.
    """

    actors: tuple[int, ...]
    timeout: float


class Kill(NamedTuple):
    """SIGKILL an actor for good. Reply: `ExitReason` when it is gone."""

    actor: int


class Wait(NamedTuple):
    """Wait until an actor has stopped for good. Reply: `ExitReason`."""

    actor: int


class Describe(NamedTuple):
    """Tell an actor's state. Reply: `ActorStatus`."""

    actor: int


class Find(NamedTuple):
    """Find a live actor by name. Reply: `ActorInfo` or None."""

    name: str


@dataclass(frozen=True)
class ListActors:
    """List the live actors in start order. Reply: list of `ActorInfo`."""


class Watch(NamedTuple):
    """Tell `watcher` of an actor's end, once; with `restarts`, of its restarts too. Reply: None."""

    actor: int
    watcher: int
    restarts: bool


class Unwatch(NamedTuple):
    """Undo `Watch`. Reply: number up to which events on their way count no more; 0: none is."""

    actor: int
    watcher: int


class Link(NamedTuple):
    """Stop each of two actors when the other ends for good. Reply: None."""

    actor: int
    other: int


class Unlink(NamedTuple):
    """Undo `Link`. Reply: None."""

    actor: int
    other: int


class GivenUp(NamedTuple):
    """A caller was broken off, by a signal handler, before it had its answer. No reply.

    What the command has started, nobody knows of: it is stopped.

    Attributes:
        reply, call: of the command that it waited for.
    """

    reply: int
    call: int


class AsGuest(NamedTuple):
    """A command of a process that is none of the system's. Reply: the command's.

    Attributes:
        process: the guest's token in the runtime directory: it holds a lock on the file
            ``guests/TOKEN`` as long as it lives, and what it leaves is removed behind its end.
        pid: of the guest.
        until: the command counts up to this instant of the monotonic clock. Who has given it waits
            no longer: a parent that was stopped meanwhile does not do it then.
        command: what it wants; None: only an answer, which is None.
    """

    process: int
    pid: int
    until: float
    command: object


@dataclass(frozen=True)
class TellStacks:
    """Tell where all threads of the parent are. Reply: as `runner.stacks.collected` packs it."""


class Suspend(NamedTuple):
    """Stop an actor's process by SIGSTOP, until `Resume`. Reply: its process id.

    Its `handle_timeout` and a pool's time limits do not end it meanwhile; an order to stop lets it
    go on first.
    """

    actor: int


class Resume(NamedTuple):
    """Let an actor's process go on that was stopped, by whomever. Reply: its process id."""

    actor: int


class StopSystem(NamedTuple):
    """Stop the whole system as `ActorSystem.stop` does. Reply: None, when that begins.

    Attributes:
        timeout: in seconds; None: the system's.
    """

    timeout: float | None


class Listen(NamedTuple):
    """Write events into a guest's pipe from now on, until the guest ends. Reply: None.

    Attributes:
        process: the guest's token; the pipe is `supervision.guest_events.pipe_of` that.
        kinds: names of the classes of events.
    """

    process: int
    kinds: tuple[str, ...]


class LostMessage(NamedTuple):
    """A message that a process could not deliver: the supervisor answers for it. No reply."""

    actor: int
    record: bytes
    why: str


class Tap(NamedTuple):
    """Have a hand in the messages of an actor, in a test (see `runner.taps`). Reply: its name.

    What is sent to the actor behind the reply, by whom the reply went to, is tapped.

    Attributes:
        actor: its id; 0: all that are spawned from now on, and, for an end, all that live.
        tap: name of the tap.
        argument: what it is told; empty: it is over.
        is_alone: it needs an actor that has one message in hand at a time.
    """

    actor: int
    tap: str
    argument: str
    is_alone: bool = False


class ReportProgress(NamedTuple):
    """How far an actor is, by its own count. No reply.

    Attributes:
        actor: its id.
        done: steps that are done.
        total: steps that there are, if it knows.
        at: when it said so, on the monotonic clock.
        what: name of its handler; empty outside of one.
    """

    actor: int
    done: int
    total: int | None
    at: float
    what: str


class ReportOverflow(NamedTuple):
    """A message of a process met a full mailbox. No reply.

    Attributes:
        actor: id of the actor whose mailbox it is.
        sender: id of the actor that sent it; 0 is the main program.
        time: when, on the monotonic clock.
    """

    actor: int
    sender: int
    time: float


class DecideOnChild(NamedTuple):
    """A parent's decision on a child that died. No reply.

    Attributes:
        child: the child's id.
        incarnation: the life that ended.
        directive: a `runtime.child_failure.Directive` as its word; empty: the child's own policy.
    """

    child: int
    incarnation: int
    directive: str


class ActorPlan(NamedTuple):
    """One actor of a tree (see `tree.ChildSpec`).

    Attributes:
        blueprint: file with the encoded class and arguments.
        class_name: for names and reports.
        options: the actor's.
        significant: its own end may end its supervisor.
        extra: file with further encoded arguments, of a dynamic child; empty for none.
    """

    blueprint: str
    class_name: str
    options: Options
    significant: bool = False
    extra: str = ""


class SupervisorPlan(NamedTuple):
    """One supervisor of a tree, with its children in start order (see `tree.Supervisor`)."""

    children: tuple[ActorPlan | SupervisorPlan, ...]
    name: str | None
    strategy: Strategy
    max_restarts: int
    within: float
    restart: Restart
    auto_shutdown: AutoShutdown
    significant: bool


class SupervisorInfo(NamedTuple):
    """What makes a `SupervisorRef`: reply to `Supervise`."""

    supervisor: int
    name: str


class Supervise(NamedTuple):
    """Start a tree. Reply: `SupervisorInfo` once all of it is up, or `SpawnError`."""

    plan: SupervisorPlan


class StartChild(NamedTuple):
    """Add a child to a supervisor and start it. Reply: `ActorInfo` or `SupervisorInfo`.

    Attributes:
        supervisor: its id.
        plan: the child's; None for another copy of a dynamic supervisor's spec.
        extra: file with the copy's further arguments; empty for none.
    """

    supervisor: int
    plan: ActorPlan | SupervisorPlan | None
    extra: str = ""


class TerminateChild(NamedTuple):
    """Stop one child for good; its spec stays. Reply: `ExitReason`."""

    supervisor: int
    name: str


class RestartChild(NamedTuple):
    """Start a child that is not running. Reply: `ActorInfo` or `SupervisorInfo`."""

    supervisor: int
    name: str


class DeleteChild(NamedTuple):
    """Forget the spec of a child that is not running. Reply: None."""

    supervisor: int
    name: str


class ListChildren(NamedTuple):
    """List a supervisor's children in start order. Reply: list of `ChildRow`."""

    supervisor: int


class StopSupervisor(NamedTuple):
    """Stop a supervisor and all its children, last first. Reply: `ExitReason`."""

    supervisor: int
    timeout: float | None


class WaitSupervisor(NamedTuple):
    """Wait until a supervisor has ended. Reply: `ExitReason`."""

    supervisor: int


@dataclass(frozen=True)
class ListCrashes:
    """List the last crash reports, oldest first, some at a time. Reply: `CrashList`.

    Attributes:
        after: number of the last one that the caller knows; 0: of none.
    """

    after: int


@dataclass(frozen=True)
class CrashList:
    """Reply to `ListCrashes`: to be asked again until it brings none.

    Attributes:
        last: number of the last crash there has been.
        reports: (number, report) of those behind the one that was named, a few.
    """

    last: int
    reports: tuple[tuple[int, CrashReport], ...]


@dataclass(frozen=True)
class ListLetters:
    """List the last dead letters. Reply: `LetterList`; None if it would be the one of `seen`.

    Attributes:
        seen: the list that the caller has; 0: none.
        most: how many of the last ones are wanted.
    """

    seen: int
    most: int


@dataclass(frozen=True)
class LetterRow:
    """A dead letter without its content: that stays encoded where it is.

    Attributes:
        serial: its number in its system, for `RequeueLetter`.
        at: when it was given up, in UTC, ISO 8601.
        actor, handler, reason: as in `DeadLetter`; a long reason is cut.
        class_name: of the actor's class; empty if it is not known.
        sender: name of the actor that sent it; empty for the main program.
        deliveries: how often its handling was begun.
        killed: its actor's process ended with it in hand.
        has_content: whether it can be sent again.
    """

    serial: int
    at: str
    actor: str
    handler: str
    reason: str
    class_name: str
    sender: str
    deliveries: int
    killed: bool
    has_content: bool


@dataclass(frozen=True)
class LetterList:
    """Reply to `ListLetters`.

    Attributes:
        number: of this list: it is another one as soon as a letter comes or goes.
        total: how many letters there have been.
        kept: how many are in memory.
        letters: the last of these, oldest first.
    """

    number: int
    total: int
    kept: int
    letters: tuple[LetterRow, ...]


@dataclass(frozen=True)
class RequeueLetter:
    """Send a dead letter again, to the live actor of that name. Reply: None, or why not."""

    serial: int


class ChildRow(NamedTuple):
    """One child in the reply to `ListChildren`.

    Attributes:
        name: its name.
        info: what makes its ref; None while it is not running.
        class_name: the actor's class; empty for a supervisor.
        restart: its restart type.
        state: starting, up, stopping, restarting or down.
        significant: whether its end may end its supervisor.
    """

    name: str
    info: ActorInfo | SupervisorInfo | None
    class_name: str
    restart: Restart
    state: str
    significant: bool


@dataclass(frozen=True)
class ActorStatus:
    """What can be seen of an actor from outside, without a message to it.

    Attributes:
        name: the actor's name.
        state: starting, idle, busy, stopping, restarting or stopped.
        pid: process id of the incarnation; None between incarnations.
        incarnation: which life it is, from 1.
        restarts: lives before this one that crashed, or left and were brought back.
        handled: messages handled over all incarnations; it holds when the actor has stopped.
        mailbox: messages that wait in its mailbox, without the one in hand.
        memory: resident bytes of its process; 0 between incarnations.
        busy_s: seconds for which the handler has been running; 0.0 if idle.
        last_crash: report of the last death, if there was one.
        reason: how it ended; None while it lives.
        recycled: lives before this one that made way by `recycle_after`; no restarts.
        expired: messages that were not begun since their callers' time was over, in all
            incarnations.
        in_hand: the messages that it has begun and not answered, the oldest first.
    """

    name: str
    state: str
    pid: int | None
    incarnation: int
    restarts: int
    handled: int
    mailbox: int
    memory: int
    busy_s: float
    last_crash: CrashReport | None
    reason: ExitReason | None
    recycled: int = 0
    expired: int = 0
    in_hand: tuple[MessageInHand, ...] = ()
