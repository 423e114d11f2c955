"""One supervisor's children, and what follows from each event: pure functions over data.

Layer: supervision. Runs in: anywhere.
Owns: nothing; a `Group` is a value, times are given, in seconds of any one monotonic clock.
Never: reads a clock, draws a random number, touches a process.

Every function takes a group and an event and returns (new group, orders). Orders are carried out
by `branches`; their outcome comes back as the next event::

    start ─► Start(first) ─ started ─► Start(second) ─ ... ─► Ready
    exited ─► policy, window ─┬─► Close                              not to be restarted
                              ├─► Stop(last) ... Start(first) ...    the strategy's scope
                              └─► Stop(last) ... Over(GAVE_UP)       too many restarts
    stop   ─► Stop(last) ... ─► Over(ORDERED)

The rules are those of OTP's supervisor (stdlib reference manual, "supervisor"). Other than there,
children of ONE_FOR_ONE and DYNAMIC groups are restarted side by side: a slow start of one keeps
no other waiting; and a restart may wait (`Backoff`).
"""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import replace

from procactors.options import Backoff, Restart
from procactors.supervision.policy import START_FAILED_WAIT_S, backoff_wait
from procactors.tree import AutoShutdown, Strategy

__all__ = [
    "Close",
    "Ending",
    "Exit",
    "Group",
    "Member",
    "Order",
    "Over",
    "Phase",
    "Ready",
    "Stage",
    "Start",
    "Stop",
    "add",
    "exited",
    "launch",
    "remove",
    "start",
    "started",
    "stop",
    "terminate",
]


class Exit(enum.Enum):
    """How a child ended, as far as the policy cares."""

    NORMAL = "normal"  #: by itself, in order; a supervisor that gave up or shut itself down too
    SHUTDOWN = "shutdown"  #: somebody outside ordered it: nobody brings it back
    ABNORMAL = "abnormal"  #: a crash, whatever kind


class Stage(enum.Enum):
    """Where a child is."""

    IDLE = "idle"  #: not running, and nothing of it is kept but its spec
    STARTING = "starting"  #: ordered to start (perhaps after a wait)
    UP = "up"
    STOPPING = "stopping"  #: ordered to stop
    PARKED = "parked"  #: not running, its mailbox is kept for its next life


class Phase(enum.Enum):
    """What the supervisor is doing."""

    STARTING = "starting"  #: its children for the first time (or anew, restarted itself)
    RUNNING = "running"
    LOWERING = "lowering"  #: stopping the scope of a restart, last first
    RAISING = "raising"  #: starting it again, first first
    STOPPING = "stopping"  #: stopping everything, last first
    OVER = "over"


class Ending(enum.Enum):
    """Why a supervisor ended."""

    ORDERED = "ordered"
    AUTO_SHUTDOWN = "auto shutdown"  #: significant children ended
    GAVE_UP = "gave up"  #: more restarts than the window allows
    START_FAILED = "start failed"  #: a child did not start; those before it were stopped


@dataclasses.dataclass(frozen=True)
class Member:
    """One child.

    Attributes:
        key: its number in the group, never used again.
        restart, significant, backoff: its policy.
        is_static: of the tree itself; others were added, and go when the supervisor restarts.
        stage: where it is.
        once: its start was asked for by somebody who waits: a failure is his, and not retried.
        up_at: instant at which its start was done.
        in_a_row: restarts without a stable run between them, for the backoff.
        must_end: it is being stopped for good, not for a restart.
    """

    key: int
    restart: Restart = Restart.PERMANENT
    significant: bool = False
    backoff: Backoff | None = None
    is_static: bool = True
    stage: Stage = Stage.IDLE
    once: bool = False
    up_at: float | None = None
    in_a_row: int = 0
    must_end: bool = False


@dataclasses.dataclass(frozen=True)
class Group:
    """One supervisor: its flags, its children in start order, and what it is doing.

    Attributes:
        restarts: instants of the restarts inside the window, oldest first.
        scope: keys of the children that a restart under way concerns.
        wait: seconds before the first start of that restart.
        pending: deaths that came while another restart was under way: (key, exit).
        ending: why it ends, once it does.
        parks: its children keep their mailboxes: it may be restarted itself.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 3
    within: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    members: tuple[Member, ...] = ()
    phase: Phase = Phase.STARTING
    restarts: tuple[float, ...] = ()
    scope: frozenset[int] = frozenset()
    wait: float = 0.0
    pending: tuple[tuple[int, Exit], ...] = ()
    ending: Ending | None = None
    parks: bool = False

    def member(self, key: int) -> Member:
        """Return a child. Raises KeyError if there is none of that key."""
        for member in self.members:
            if member.key == key:
                return member
        raise KeyError(key)

    def has(self, key: int) -> bool:
        """Return whether there is a child of that key."""
        return any(member.key == key for member in self.members)


@dataclasses.dataclass(frozen=True)
class Start:
    """Start a child after `wait` seconds; a parked one with its old mailbox."""

    key: int
    wait: float = 0.0


@dataclasses.dataclass(frozen=True)
class Stop:
    """Stop a child; `parks`: behind its message in hand, and its mailbox is kept."""

    key: int
    parks: bool


@dataclasses.dataclass(frozen=True)
class Close:
    """A child that is down does not come back: answer what is in its mailbox."""

    key: int


@dataclasses.dataclass(frozen=True)
class Ready:
    """All children are up: the supervisor's start is done."""


@dataclasses.dataclass(frozen=True)
class Over:
    """All children are down: the supervisor has ended."""

    ending: Ending


Order = Start | Stop | Close | Ready | Over
Step = tuple[Group, tuple[Order, ...]]


# -- events -------------------------------------------------------------------------------------


def start(group: Group) -> Step:
    """Start the supervisor: its children in order. Those that were added to it go."""
    # Those too that are down: their specs and their names are given back with the order.
    gone = tuple(Close(member.key) for member in group.members if not member.is_static)
    kept = tuple(
        # Whoever has asked for a start waits for this one: it is one of all now.
        replace(member, in_a_row=0, up_at=None, must_end=False, once=False)
        for member in group.members
        if member.is_static
    )
    group = replace(
        group,
        members=kept,
        phase=Phase.STARTING,
        restarts=(),
        scope=frozenset(member.key for member in kept),
        wait=0.0,
        pending=(),
        ending=None,
        parks=False,
    )
    return _then(gone, _start_next(group, 0.0, 0.0))


def started(group: Group, key: int, now: float, draw: float = 0.0) -> Step:
    """A child's start is done."""
    member = group.member(key)
    if member.stage is not Stage.STARTING:
        return group, ()  # ordered to stop meanwhile: its end will come
    group = _put(group, replace(member, stage=Stage.UP, up_at=now, once=False))
    if group.phase in (Phase.STARTING, Phase.RAISING):
        return _start_next(group, now, draw)
    return group, ()


def exited(group: Group, key: int, how: Exit, now: float, draw: float = 0.0) -> Step:
    """A child has ended, or its start has failed.

    Args:
        group: the supervisor's.
        key: which child.
        how: how it ended; ABNORMAL for a failed start.
        now: the instant.
        draw: a random number from 0.0 to 1.0, for the jitter.
    """
    member = group.member(key)
    stage = member.stage
    if stage is Stage.STOPPING:
        return _go_on(*_was_stopped(group, member), now, draw)
    if stage is Stage.STARTING:
        return _start_failed(group, member, how, now, draw)
    if stage is not Stage.UP:
        return group, ()
    if group.phase is Phase.STOPPING or (group.phase is Phase.LOWERING and key in group.scope):
        # It would have been stopped anyway: one death, not a further restart.
        if how is Exit.SHUTDOWN:  # but somebody was before us, who wants it down
            member = replace(member, must_end=True)
        return _go_on(*_was_stopped(group, member), now, draw)
    if group.phase is not Phase.RUNNING:
        group = _put(group, replace(member, stage=Stage.PARKED))
        return replace(group, pending=(*group.pending, (key, how))), ()
    return _died(group, member, how, now, draw)


def stop(group: Group, *, parks: bool, ending: Ending = Ending.ORDERED) -> Step:
    """Stop the supervisor: its children in reverse order.

    Args:
        group: the supervisor's.
        parks: it may be restarted: its children keep their mailboxes.
        ending: why.
    """
    if group.phase is Phase.OVER:
        return group, ()
    if group.phase is Phase.STOPPING:
        return (replace(group, parks=False), ()) if not parks else (group, ())
    group, closed = _without_temporary(group, [key for key, _ in group.pending])
    group = replace(
        group,
        phase=Phase.STOPPING,
        ending=ending,
        parks=parks,
        scope=frozenset(),
        pending=(),
    )
    return _then(closed, _stop_next(group))


def add(group: Group, member: Member) -> Step:
    """Add a child behind the others, and start it; a failing start removes it again."""
    member = replace(member, stage=Stage.STARTING, once=True)
    return replace(group, members=(*group.members, member)), (Start(member.key),)


def launch(group: Group, key: int) -> Step:
    """Start a child that is not running, because somebody asked for it."""
    member = replace(group.member(key), stage=Stage.STARTING, once=True, in_a_row=0)
    return _put(group, member), (Start(key),)


def terminate(group: Group, key: int) -> Step:
    """Stop one child for good; its spec stays, but for a temporary or a dynamic one's.

    A restart that is under way goes on without it.
    """
    member = group.member(key)
    if member.stage is Stage.STOPPING:
        return _put(group, replace(member, must_end=True)), ()
    if member.stage is Stage.PARKED:
        return _leave_down(group, member), (Close(key),)
    return _put(group, replace(member, stage=Stage.STOPPING, must_end=True)), (Stop(key, False),)


def remove(group: Group, key: int) -> Group:
    """Forget the spec of a child that is not running."""
    return replace(group, members=tuple(m for m in group.members if m.key != key))


# -- what follows -------------------------------------------------------------------------------


def _died(group: Group, member: Member, how: Exit, now: float, draw: float) -> Step:
    """A child that was up has ended by itself, in a group that is running."""
    if not _wants_restart(member.restart, how):
        group = _drop_or_keep(group, member)
        closed: tuple[Order, ...] = (Close(member.key),)
        if member.significant and _shuts_down(group):
            return _then(closed, stop(group, parks=False, ending=Ending.AUTO_SHUTDOWN))
        return group, closed
    return _restart(group, member, now, draw, least_wait=0.0)


def _restart(group: Group, member: Member, now: float, draw: float, least_wait: float) -> Step:
    """Restart a child, and whom else the strategy says; or give up."""
    recent = tuple(at for at in group.restarts if now - at <= group.within)
    group = _put(replace(group, restarts=(*recent, now)), replace(member, stage=Stage.PARKED))
    if len(group.restarts) > group.max_restarts:
        return stop(group, parks=True, ending=Ending.GAVE_UP)
    ran_s = 0.0 if member.up_at is None else now - member.up_at
    # A run as long as the window is a stable one: the next failure is a new story.
    in_a_row = 0 if ran_s >= group.within and member.up_at is not None else member.in_a_row
    wait = least_wait
    if member.backoff is not None and in_a_row > 0:
        wait = max(wait, backoff_wait(member.backoff, in_a_row, draw))
    member = replace(member, stage=Stage.PARKED, in_a_row=in_a_row + 1, up_at=None, once=False)
    group = _put(group, member)
    if group.strategy in (Strategy.ONE_FOR_ONE, Strategy.DYNAMIC):
        return _put(group, replace(member, stage=Stage.STARTING)), (Start(member.key, wait),)
    keys = [other.key for other in group.members]
    first = 0 if group.strategy is Strategy.ONE_FOR_ALL else keys.index(member.key)
    scope = frozenset(keys[first:])
    # Deaths in the scope that were to be dealt with after this: it restarts them anyway.
    late = [key for key, _ in group.pending if key in scope]
    pending = tuple(entry for entry in group.pending if entry[0] not in scope)
    group = replace(group, phase=Phase.LOWERING, scope=scope, wait=wait, pending=pending)
    group, closed = _without_temporary(group, late)
    return _then(closed, _stop_next(group, now, draw))


def _without_temporary(group: Group, dead: list[int]) -> Step:
    """Forget those of the dead, not dealt with yet, whom no restart brings back."""
    closed: tuple[Order, ...] = ()
    for key in dead:
        if group.has(key) and group.member(key).restart is Restart.TEMPORARY:
            group = remove(group, key)
            closed += (Close(key),)
    return group, closed


def _start_failed(group: Group, member: Member, how: Exit, now: float, draw: float) -> Step:
    closed: tuple[Order, ...] = (Close(member.key),)
    if member.once:
        # Whoever asked for this start is told; nothing else has changed.
        in_scope = member.key in group.scope
        if member.is_static:
            group = _leave_down(group, replace(member, once=False))
        else:
            group = remove(group, member.key)
        # A restart may have come upon it, and wait for it.
        return _go_on(group, closed, now, draw) if in_scope else (group, closed)
    if group.phase is Phase.STOPPING:
        return _go_on(*_was_stopped(group, member), now, draw)
    if how is Exit.SHUTDOWN:  # stopped from outside while it came up: that is no failure
        return _go_on(_leave_down(group, member), closed, now, draw)
    if group.phase is Phase.STARTING:
        # Its mailbox is kept like those of the others: if this is a restart of the supervisor,
        # the one above tries again; if not, all that is parked is closed with the supervisor.
        group = _put(group, replace(member, stage=Stage.PARKED))
        return stop(group, parks=True, ending=Ending.START_FAILED)
    # OTP: a restart that fails is one more restart, whatever the child's restart type.
    return _restart(group, member, now, draw, least_wait=START_FAILED_WAIT_S)


def _was_stopped(group: Group, member: Member) -> Step:
    """A child that was to be stopped is down."""
    closed: tuple[Order, ...] = (Close(member.key),)
    if group.phase is Phase.STOPPING:
        if group.parks and not member.must_end and member.restart is not Restart.TEMPORARY:
            return _put(group, replace(member, stage=Stage.PARKED, up_at=None)), ()
        return _drop_or_keep(group, member), closed
    in_scope = group.phase is Phase.LOWERING and member.key in group.scope
    if member.must_end or not in_scope or member.restart is Restart.TEMPORARY:
        return _leave_down(group, member), closed
    return _put(group, replace(member, stage=Stage.PARKED, up_at=None)), ()


def _go_on(group: Group, done: tuple[Order, ...], now: float, draw: float) -> Step:
    """Take the next step of whatever is under way."""
    if group.phase in (Phase.STOPPING, Phase.LOWERING):
        return _then(done, _stop_next(group, now, draw))
    if group.phase in (Phase.STARTING, Phase.RAISING):
        return _then(done, _start_next(group, now, draw))
    return group, done


def _stop_next(group: Group, now: float = 0.0, draw: float = 0.0) -> Step:
    """Order the last child that is still up to stop; when none is, go on from there."""
    everybody = group.phase is Phase.STOPPING
    concerned = [m for m in group.members if everybody or m.key in group.scope]
    if any(member.stage is Stage.STOPPING for member in concerned):
        return group, ()
    for member in reversed(concerned):
        if member.stage in (Stage.UP, Stage.STARTING):
            parks = group.parks if everybody else True
            parks = parks and member.restart is not Restart.TEMPORARY
            return _put(group, replace(member, stage=Stage.STOPPING)), (Stop(member.key, parks),)
    if not everybody:
        return _start_next(replace(group, phase=Phase.RAISING), now, draw)
    return _end(group)


def _end(group: Group) -> Step:
    closed: list[Order] = []
    if not group.parks:
        for member in group.members:
            if member.stage is Stage.PARKED:
                closed.append(Close(member.key))
                group = _put(group, replace(member, stage=Stage.IDLE))
    assert group.ending is not None
    return replace(group, phase=Phase.OVER), (*closed, Over(group.ending))


def _start_next(group: Group, now: float, draw: float) -> Step:
    """Order the first child of the scope that is down to start; when all are up, be done."""
    if any(m.stage is Stage.STARTING and m.key in group.scope for m in group.members):
        return group, ()
    dead = {key for key, _ in group.pending}
    if group.strategy is not Strategy.DYNAMIC:
        for member in group.members:
            down = member.stage in (Stage.PARKED, Stage.IDLE) and member.key not in dead
            if member.key in group.scope and down:
                # The wait is before the first start; what was started is out of the scope.
                order = Start(member.key, group.wait)
                scope = group.scope - {member.key}
                group = replace(group, wait=0.0, scope=scope)
                group = _put(group, replace(member, stage=Stage.STARTING))
                return replace(group, scope=scope | {member.key}), (order,)
    was_start = group.phase is Phase.STARTING
    group = replace(group, phase=Phase.RUNNING, scope=frozenset())
    done: tuple[Order, ...] = (Ready(),) if was_start else ()
    return _then(done, _catch_up(group, now, draw))


def _catch_up(group: Group, now: float, draw: float) -> Step:
    """Deal with the deaths that came meanwhile, as long as nothing new is under way."""
    orders: tuple[Order, ...] = ()
    while group.pending and group.phase is Phase.RUNNING:
        (key, how), rest = group.pending[0], group.pending[1:]
        group = replace(group, pending=rest)
        if group.has(key) and group.member(key).stage is Stage.PARKED:
            group, more = _died(group, group.member(key), how, now, draw)
            orders += more
    return group, orders


def _wants_restart(restart: Restart, how: Exit) -> bool:
    if restart is Restart.TEMPORARY or how is Exit.SHUTDOWN:
        return False
    return restart is Restart.PERMANENT or how is Exit.ABNORMAL


def _shuts_down(group: Group) -> bool:
    """Whether the end of a significant child, just noted, ends the supervisor."""
    if group.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
        return True
    if group.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
        return all(m.stage is Stage.IDLE for m in group.members if m.significant)
    return False


def _drop_or_keep(group: Group, member: Member) -> Group:
    """Take a child that is down and stays down: its spec goes, or stays for `launch`."""
    if member.restart is Restart.TEMPORARY or group.strategy is Strategy.DYNAMIC:
        return remove(group, member.key)
    idle = replace(member, stage=Stage.IDLE, up_at=None, in_a_row=0, must_end=False, once=False)
    return _put(group, idle)


def _leave_down(group: Group, member: Member) -> Group:
    """The same for one that a start or a restart under way is to leave alone."""
    return replace(_drop_or_keep(group, member), scope=group.scope - {member.key})


def _put(group: Group, member: Member) -> Group:
    members = tuple(member if m.key == member.key else m for m in group.members)
    return replace(group, members=members)


def _then(first: tuple[Order, ...], step: Step) -> Step:
    group, orders = step
    return group, (*first, *orders)
