"""The one restart engine: a supervisor's children, and what follows from each event.

Layer: supervision. Runs in: anywhere.
Owns: nothing; a state is a value; times are given, in seconds of any one monotonic clock.
Never: reads a clock, draws a random number, touches a process.

Every function takes a state and an event and returns (new state, orders). Orders are carried out
by `trees`; their outcome comes back as the next event::

    start ─► Start(first) ─ started ─► Start(second) ─ ... ─► Ready
    exited ─► policy, window ─┬─► Close                              not to be restarted
                              ├─► Stop(last) ... Start(first) ...    the strategy's scope
                              └─► Stop(last) ... Over(GAVE_UP)       too many restarts
    stop   ─► Stop(last) ... ─► Over(ORDERED)

An actor that was spawned is the one child of a supervisor of its own (`alone`), whose giving up
ends that actor and no more. What its parent wants to decide on is held: `exited(held=True)`, then
`decided`.

The rules are those of OTP's supervisor (stdlib reference manual, "supervisor"). Other than there,
children of ONE_FOR_ONE and DYNAMIC supervisors are restarted side by side: a slow start of one
keeps no other waiting; and a restart may wait (`Backoff`).
"""

from __future__ import annotations

import enum
from dataclasses import replace

from procactors.late_dataclass import dataclass
from procactors.model.choices import AutoShutdown, Restart, Strategy
from procactors.model.options import Backoff, Options

__all__ = [
    "ChildState",
    "Close",
    "Ending",
    "Exit",
    "Order",
    "Over",
    "Phase",
    "Ready",
    "Stage",
    "Start",
    "Step",
    "Stop",
    "SupervisorState",
    "add",
    "alone",
    "backoff_wait",
    "decided",
    "exited",
    "launch",
    "remove",
    "start",
    "started",
    "stop",
    "terminate",
    "too_many",
]

#: Least wait after a failed start, in seconds: what kept it from starting (no descriptor, no
#: memory, a file that is not there) does not pass in a millisecond.
START_FAILED_WAIT_S = 0.1


class Exit(enum.Enum):
    """How a child ended, as far as the engine cares."""

    NORMAL = "normal"  #: by itself, in order; a supervisor that gave up or shut itself down too
    SHUTDOWN = "shutdown"  #: it was ordered from outside: it is not brought back
    ABNORMAL = "abnormal"  #: a crash, whatever kind
    FAULTLESS = "faultless"  #: a crash by its work's fault: brought back, and not counted


class Stage(enum.Enum):
    """Where a child is."""

    IDLE = "idle"  #: not running, and nothing of it is kept but its spec
    STARTING = "starting"  #: ordered to start (perhaps after a wait)
    UP = "up"
    STOPPING = "stopping"  #: ordered to stop
    PARKED = "parked"  #: not running, its mailbox is kept (in a RUNNING phase: its parent is asked)


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


@dataclass(frozen=True)
class ChildState:
    """One child.

    Attributes:
        key: its number under its supervisor, never used again.
        restart, significant, backoff: its policy.
        is_static: of the tree itself; others were added, and go when the supervisor restarts.
        stage: where it is.
        once: its start was asked for by a caller: a failure is the answer, and not retried.
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


@dataclass(frozen=True)
class SupervisorState:
    """One supervisor: its flags, its children in start order, and what it is doing.

    Attributes:
        restarts: instants of the restarts inside the window, oldest first.
        scope: keys of the children that a restart under way concerns.
        wait: seconds before the first start of that restart.
        pending: deaths that came while another restart was under way: (key, exit).
        ending: why it ends, once it does.
        parks: its children keep their mailboxes: it may be restarted itself.
        is_alone: it is a spawned actor's own: nothing above it could bring it back.
    """

    strategy: Strategy = Strategy.ONE_FOR_ONE
    max_restarts: int = 3
    within: float = 5.0
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    children: tuple[ChildState, ...] = ()
    phase: Phase = Phase.STARTING
    restarts: tuple[float, ...] = ()
    scope: frozenset[int] = frozenset()
    wait: float = 0.0
    pending: tuple[tuple[int, Exit], ...] = ()
    ending: Ending | None = None
    parks: bool = False
    is_alone: bool = False

    def child(self, key: int) -> ChildState:
        """Return a child. Raises KeyError if there is none of that key."""
        for child in self.children:
            if child.key == key:
                return child
        raise KeyError(key)

    def has(self, key: int) -> bool:
        """Return whether there is a child of that key."""
        return any(child.key == key for child in self.children)


@dataclass(frozen=True)
class Start:
    """Start a child after `wait` seconds; a parked one with its old mailbox."""

    key: int
    wait: float = 0.0


@dataclass(frozen=True)
class Stop:
    """Stop a child; `parks`: behind its message in hand, and its mailbox is kept."""

    key: int
    parks: bool


@dataclass(frozen=True)
class Close:
    """A child that is down does not come back: answer what is in its mailbox."""

    key: int


@dataclass(frozen=True)
class Ready:
    """All children are up: the supervisor's start is done."""


@dataclass(frozen=True)
class Over:
    """All children are down: the supervisor has ended."""

    ending: Ending


Order = Start | Stop | Close | Ready | Over
Step = tuple[SupervisorState, tuple[Order, ...]]


def alone(options: Options) -> Step:
    """Return the supervisor of a spawned actor, and the order to start it; its key is 0."""
    state = SupervisorState(
        max_restarts=options.max_restarts,
        within=options.within,
        phase=Phase.RUNNING,
        is_alone=True,
    )
    return add(state, ChildState(0, options.restart, backoff=options.backoff, is_static=False))


# -- events -------------------------------------------------------------------------------------


def start(state: SupervisorState) -> Step:
    """Start the supervisor: its children in order. Those that were added to it go."""
    # Those too that are down: their specs and their names are given back with the order.
    gone = tuple(Close(child.key) for child in state.children if not child.is_static)
    kept = tuple(
        # A start that a caller had asked for is one of all now.
        replace(child, in_a_row=0, up_at=None, must_end=False, once=False)
        for child in state.children
        if child.is_static
    )
    state = replace(
        state,
        children=kept,
        phase=Phase.STARTING,
        restarts=(),
        scope=frozenset(child.key for child in kept),
        wait=0.0,
        pending=(),
        ending=None,
        parks=False,
    )
    return _then(gone, _start_next(state, 0.0, 0.0))


def started(state: SupervisorState, key: int, now: float, draw: float = 0.0) -> Step:
    """A child's start is done."""
    child = state.child(key)
    if child.stage is not Stage.STARTING:
        return state, ()  # ordered to stop meanwhile: its end will come
    state = _put(state, replace(child, stage=Stage.UP, up_at=now, once=False))
    if state.phase in (Phase.STARTING, Phase.RAISING):
        return _start_next(state, now, draw)
    return state, ()


def exited(
    state: SupervisorState,
    key: int,
    how: Exit,
    now: float,
    draw: float = 0.0,
    *,
    held: bool = False,
) -> Step:
    """A child has ended, or its start has failed.

    Args:
        state: the supervisor's.
        key: which child.
        how: how it ended; ABNORMAL for a failed start.
        now: the instant.
        draw: a random number from 0.0 to 1.0, for the jitter.
        held: what would follow by policy is for its parent to say: it is parked until `decided`.
    """
    child = state.child(key)
    stage = child.stage
    if held and _is_undecided(state, child):
        return _put(state, replace(child, stage=Stage.PARKED)), ()
    if stage is Stage.STOPPING:
        return _go_on(*_was_stopped(state, child), now, draw)
    if stage is Stage.STARTING:
        return _start_failed(state, child, how, now, draw)
    if stage is not Stage.UP:
        return state, ()
    if state.phase is Phase.STOPPING or (state.phase is Phase.LOWERING and key in state.scope):
        # It would have been stopped anyway: one death, not a further restart.
        if how is Exit.SHUTDOWN:  # but a stop from outside came first: it stays down
            child = replace(child, must_end=True)
        return _go_on(*_was_stopped(state, child), now, draw)
    if state.phase is not Phase.RUNNING:
        state = _put(state, replace(child, stage=Stage.PARKED))
        return replace(state, pending=(*state.pending, (key, how))), ()
    return _died(state, child, how, now, draw)


def decided(
    state: SupervisorState, key: int, directive: str, how: Exit, now: float, draw: float = 0.0
) -> Step:
    """The parent of a child that is held has said what follows.

    Args:
        state: that of the child's supervisor.
        key: which child.
        directive: resume, restart, stop, escalate; empty: the child's own policy.
        how: how the child ended.
        now: the instant.
        draw: a random number from 0.0 to 1.0, for the jitter.
    """
    if not state.has(key) or state.phase is not Phase.RUNNING:
        return state, ()
    child = state.child(key)
    if child.stage is not Stage.PARKED:
        return state, ()
    if directive == "resume":
        return _bring_back(state, child)
    if directive == "restart":
        return _restart(state, child, now, draw)
    if directive in ("stop", "escalate"):
        return _drop_or_keep(state, child), (Close(key),)
    return _died(state, child, how, now, draw)


def stop(state: SupervisorState, *, parks: bool, ending: Ending = Ending.ORDERED) -> Step:
    """Stop the supervisor: its children in reverse order.

    Args:
        state: the supervisor's.
        parks: it may be restarted: its children keep their mailboxes.
        ending: why.
    """
    if state.phase is Phase.OVER:
        return state, ()
    if state.phase is Phase.STOPPING:
        return (replace(state, parks=False), ()) if not parks else (state, ())
    state, closed = _without_temporary(state, [key for key, _ in state.pending])
    state = replace(
        state,
        phase=Phase.STOPPING,
        ending=ending,
        parks=parks,
        scope=frozenset(),
        pending=(),
    )
    return _then(closed, _stop_next(state))


def add(state: SupervisorState, child: ChildState) -> Step:
    """Add a child behind the others, and start it; a failing start removes it again."""
    child = replace(child, stage=Stage.STARTING, once=True)
    return replace(state, children=(*state.children, child)), (Start(child.key),)


def launch(state: SupervisorState, key: int) -> Step:
    """Start a child that is not running, because a caller asked for it."""
    child = replace(state.child(key), stage=Stage.STARTING, once=True, in_a_row=0)
    return _put(state, child), (Start(key),)


def terminate(state: SupervisorState, key: int) -> Step:
    """Stop one child for good; its spec stays, but for a temporary or a dynamic one's.

    A restart that is under way goes on without it.
    """
    child = state.child(key)
    if child.stage is Stage.STOPPING:
        return _put(state, replace(child, must_end=True)), ()
    if child.stage is Stage.PARKED:
        return _leave_down(state, child), (Close(key),)
    return _put(state, replace(child, stage=Stage.STOPPING, must_end=True)), (Stop(key, False),)


def remove(state: SupervisorState, key: int) -> SupervisorState:
    """Forget the spec of a child that is not running."""
    return replace(state, children=tuple(one for one in state.children if one.key != key))


# -- what follows -------------------------------------------------------------------------------


def _died(state: SupervisorState, child: ChildState, how: Exit, now: float, draw: float) -> Step:
    """A child that was up has ended by itself, in a state that is running."""
    if not _wants_restart(child.restart, how):
        state = _drop_or_keep(state, child)
        closed: tuple[Order, ...] = (Close(child.key),)
        if child.significant and _shuts_down(state):
            return _then(closed, stop(state, parks=False, ending=Ending.AUTO_SHUTDOWN))
        return state, closed
    if how is Exit.FAULTLESS:
        return _bring_back(state, child)
    return _restart(state, child, now, draw)


def _is_undecided(state: SupervisorState, child: ChildState) -> bool:
    """Whether policy alone would say what follows from a child's end now."""
    is_failed_restart = child.stage is Stage.STARTING and not child.once
    return state.phase is Phase.RUNNING and (child.stage is Stage.UP or is_failed_restart)


def _bring_back(state: SupervisorState, child: ChildState) -> Step:
    """Start a child again at once, alone and uncounted."""
    starting = replace(child, stage=Stage.STARTING, up_at=None)
    return _put(state, starting), (Start(child.key),)


def _restart(state: SupervisorState, child: ChildState, now: float, draw: float) -> Step:
    """Restart a child, and those that the strategy says; or give up."""
    recent = tuple(at for at in state.restarts if now - at <= state.within)
    state = _put(replace(state, restarts=(*recent, now)), replace(child, stage=Stage.PARKED))
    if len(state.restarts) > state.max_restarts:
        return stop(state, parks=not state.is_alone, ending=Ending.GAVE_UP)
    # A run as long as the window is a stable one: the next failure is the first in a row.
    was_stable = child.up_at is not None and now - child.up_at >= state.within
    in_a_row = 0 if was_stable else child.in_a_row
    wait = START_FAILED_WAIT_S if child.up_at is None else 0.0
    if child.backoff is not None and in_a_row > 0:
        wait = max(wait, backoff_wait(child.backoff, in_a_row, draw))
    child = replace(child, stage=Stage.PARKED, in_a_row=in_a_row + 1, up_at=None, once=False)
    state = _put(state, child)
    if state.strategy in (Strategy.ONE_FOR_ONE, Strategy.DYNAMIC):
        return _put(state, replace(child, stage=Stage.STARTING)), (Start(child.key, wait),)
    keys = [other.key for other in state.children]
    first = 0 if state.strategy is Strategy.ONE_FOR_ALL else keys.index(child.key)
    scope = frozenset(keys[first:])
    # Deaths in the scope that were to be dealt with after this: it restarts them anyway.
    late = [key for key, _ in state.pending if key in scope]
    pending = tuple(entry for entry in state.pending if entry[0] not in scope)
    state = replace(state, phase=Phase.LOWERING, scope=scope, wait=wait, pending=pending)
    state, closed = _without_temporary(state, late)
    return _then(closed, _stop_next(state, now, draw))


def _without_temporary(state: SupervisorState, dead: list[int]) -> Step:
    """Forget those of the dead, not dealt with yet, that no restart brings back."""
    closed: tuple[Order, ...] = ()
    for key in dead:
        if state.has(key) and state.child(key).restart is Restart.TEMPORARY:
            state = remove(state, key)
            closed += (Close(key),)
    return state, closed


def _start_failed(
    state: SupervisorState, child: ChildState, how: Exit, now: float, draw: float
) -> Step:
    closed: tuple[Order, ...] = (Close(child.key),)
    if child.once:
        # Its caller gets the error; nothing else has changed.
        in_scope = child.key in state.scope
        if child.is_static:
            state = _leave_down(state, replace(child, once=False))
        else:
            state = remove(state, child.key)
        # A restart may have come upon it, and wait for it.
        return _go_on(state, closed, now, draw) if in_scope else (state, closed)
    if state.phase is Phase.STOPPING:
        return _go_on(*_was_stopped(state, child), now, draw)
    left = how is Exit.NORMAL and child.restart is not Restart.PERMANENT
    if left or how is Exit.SHUTDOWN:  # stopped while it came up, or before that was noticed
        return _go_on(_leave_down(state, child), closed, now, draw)
    if state.phase is Phase.STARTING:
        # Its mailbox is kept like those of the others: if this is a restart of the supervisor,
        # the one above tries again; if not, all that is parked is closed with the supervisor.
        state = _put(state, replace(child, stage=Stage.PARKED))
        return stop(state, parks=True, ending=Ending.START_FAILED)
    # OTP: a restart that fails is one more restart, whatever the child's restart type.
    return _restart(state, child, now, draw)


def _was_stopped(state: SupervisorState, child: ChildState) -> Step:
    """A child that was to be stopped is down."""
    closed: tuple[Order, ...] = (Close(child.key),)
    if state.phase is Phase.STOPPING:
        if state.parks and not child.must_end and child.restart is not Restart.TEMPORARY:
            return _put(state, replace(child, stage=Stage.PARKED, up_at=None)), ()
        return _drop_or_keep(state, child), closed
    in_scope = state.phase is Phase.LOWERING and child.key in state.scope
    if child.must_end or not in_scope or child.restart is Restart.TEMPORARY:
        return _leave_down(state, child), closed
    return _put(state, replace(child, stage=Stage.PARKED, up_at=None)), ()


def _go_on(state: SupervisorState, done: tuple[Order, ...], now: float, draw: float) -> Step:
    """Take the next step of whatever is under way."""
    if state.phase in (Phase.STOPPING, Phase.LOWERING):
        return _then(done, _stop_next(state, now, draw))
    if state.phase in (Phase.STARTING, Phase.RAISING):
        return _then(done, _start_next(state, now, draw))
    return state, done


def _stop_next(state: SupervisorState, now: float = 0.0, draw: float = 0.0) -> Step:
    """Order the last child that is still up to stop; when none is, go on from there."""
    stops_all = state.phase is Phase.STOPPING
    concerned = [one for one in state.children if stops_all or one.key in state.scope]
    if any(child.stage is Stage.STOPPING for child in concerned):
        return state, ()
    for child in reversed(concerned):
        if child.stage in (Stage.UP, Stage.STARTING):
            parks = state.parks if stops_all else True
            parks = parks and child.restart is not Restart.TEMPORARY
            return _put(state, replace(child, stage=Stage.STOPPING)), (Stop(child.key, parks),)
    if not stops_all:
        return _start_next(replace(state, phase=Phase.RAISING), now, draw)
    return _end(state)


def _end(state: SupervisorState) -> Step:
    closed: list[Order] = []
    if not state.parks:
        for child in state.children:
            if child.stage is Stage.PARKED:
                closed.append(Close(child.key))
                state = _put(state, replace(child, stage=Stage.IDLE))
    assert state.ending is not None
    return replace(state, phase=Phase.OVER), (*closed, Over(state.ending))


def _start_next(state: SupervisorState, now: float, draw: float) -> Step:
    """Order the first child of the scope that is down to start; when all are up, be done."""
    if any(one.stage is Stage.STARTING and one.key in state.scope for one in state.children):
        return state, ()
    dead = {key for key, _ in state.pending}
    if state.strategy is not Strategy.DYNAMIC:
        for child in state.children:
            down = child.stage in (Stage.PARKED, Stage.IDLE) and child.key not in dead
            if child.key in state.scope and down:
                # The wait is before the first start; what was started is out of the scope.
                order = Start(child.key, state.wait)
                scope = state.scope - {child.key}
                state = replace(state, wait=0.0, scope=scope)
                state = _put(state, replace(child, stage=Stage.STARTING))
                return replace(state, scope=scope | {child.key}), (order,)
    was_start = state.phase is Phase.STARTING
    state = replace(state, phase=Phase.RUNNING, scope=frozenset())
    done: tuple[Order, ...] = (Ready(),) if was_start else ()
    return _then(done, _catch_up(state, now, draw))


def _catch_up(state: SupervisorState, now: float, draw: float) -> Step:
    """Deal with the deaths that came meanwhile, as long as nothing new is under way."""
    orders: tuple[Order, ...] = ()
    while state.pending and state.phase is Phase.RUNNING:
        (key, how), rest = state.pending[0], state.pending[1:]
        state = replace(state, pending=rest)
        if state.has(key) and state.child(key).stage is Stage.PARKED:
            state, more = _died(state, state.child(key), how, now, draw)
            orders += more
    return state, orders


def _wants_restart(restart: Restart, how: Exit) -> bool:
    if restart is Restart.TEMPORARY or how is Exit.SHUTDOWN:
        return False
    return restart is Restart.PERMANENT or how is not Exit.NORMAL


def _shuts_down(state: SupervisorState) -> bool:
    """Whether the end of a significant child, just noted, ends the supervisor."""
    if state.auto_shutdown is AutoShutdown.ANY_SIGNIFICANT:
        return True
    if state.auto_shutdown is AutoShutdown.ALL_SIGNIFICANT:
        return all(one.stage is Stage.IDLE for one in state.children if one.significant)
    return False


def _drop_or_keep(state: SupervisorState, child: ChildState) -> SupervisorState:
    """Drop or keep, for `launch`, the spec of a child that is down and stays down."""
    if child.restart is Restart.TEMPORARY or state.strategy is Strategy.DYNAMIC:
        return remove(state, child.key)
    idle = replace(child, stage=Stage.IDLE, up_at=None, in_a_row=0, must_end=False, once=False)
    return _put(state, idle)


def _leave_down(state: SupervisorState, child: ChildState) -> SupervisorState:
    """Drop or keep the spec of a child that a start or restart under way is to leave down."""
    return replace(_drop_or_keep(state, child), scope=state.scope - {child.key})


def _put(state: SupervisorState, child: ChildState) -> SupervisorState:
    children = tuple(child if one.key == child.key else one for one in state.children)
    return replace(state, children=children)


def _then(first: tuple[Order, ...], step: Step) -> Step:
    state, orders = step
    return state, (*first, *orders)


# -- numbers ------------------------------------------------------------------------------------


def backoff_wait(backoff: Backoff, in_a_row: int, draw: float) -> float:
    """Return the seconds to wait before restart number `in_a_row` + 1 in a row."""
    # The exponent is bounded: beyond it the maximum holds anyway, and floats overflow.
    wait = min(backoff.maximum, backoff.initial * backoff.factor ** min(in_a_row - 1, 64))
    return wait * (1.0 - backoff.jitter * draw)


def too_many(state: SupervisorState) -> str:
    """Return the restarts of a supervisor that has given up, for people."""
    return (
        f"restart number {len(state.restarts)} within {state.within} s, "
        f"allowed are {state.max_restarts}"
    )
