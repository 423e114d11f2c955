"""What all parts of the supervisor share: actors, names, orders, timers, answers.

Layer: supervision. Runs in: parent, in the supervisor's thread, but for what is marked.
Owns: the records of all actors; the hosts of those that are over until they are removed.
Never: decides anything; waits; carries out an order of the engine: `trees` does, behind the event.

The parts import each other in one direction, each only those before it::

    core ◄─ stopping ◄─ death_watch ◄─ child_failures, watchdog ◄─ lifecycle ◄─ trees
                                          ◄─ tree_commands, system_stop ◄─ supervision

What a part finds out goes to the engine by `step`. The orders that follow wait here until the event
at hand is dealt with, so that no part calls back into one that called it.
"""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import logging
import random
from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING

from procactors.crash import CrashReport, ExitKind, ExitReason
from procactors.errors import ActorStopped, NameTaken
from procactors.late_dataclass import dataclass
from procactors.model import commands as c
from procactors.model.options import Options
from procactors.supervision import engine
from procactors.supervision.actor_record import ActorRecord, Life
from procactors.supervision.backend import Backend, ReplyTo
from procactors.supervision.engine import Exit, Order, Stage
from procactors.supervision.mishaps import quietly, said
from procactors.supervision.supervisor_record import ChildEntry, SupervisorRecord
from procactors.wire.mailbox.black_box import STOP_ORDERED

if TYPE_CHECKING:
    from procactors.supervision.announcements import Announcements
    from procactors.wire.journal import Journal

__all__ = ["Abandon", "Core"]

_log = logging.getLogger("procactors")

#: Last statuses kept of actors that are over, for refs that ask later.
_REMEMBERED = 10_000
#: Last crash reports kept, for who looks in from outside.
_CRASHES = 50
#: How often a timer's action is begun if it raises.
_TIMER_TRIES = 5


@dataclass(frozen=True)
class Abandon:
    """An order beside the engine's: end a supervisor with all its children, behind a fault."""

    reason: ExitReason


@dataclass(frozen=True, order=True)
class Timer:
    """Something to be done at an instant; of one instant, in the order in which they were set."""

    when: float
    number: int
    action: Callable[[], None] = dataclasses.field(compare=False)
    tries: int = dataclasses.field(compare=False)


class Core:
    """The state of one system's supervision.

    Args:
        backend: where the actors run.
        stop_timeout: seconds of a stop for which neither caller nor options name any.
        clock: the monotonic clock, in seconds.
    """

    def __init__(
        self, backend: Backend, stop_timeout: float, clock: Callable[[], float] = monotonic
    ) -> None:
        self.backend = backend
        self.stop_timeout = stop_timeout
        self.clock = clock
        #: The live actors, inboxes among them, in start order; and where each stands.
        self.actors: dict[int, ActorRecord] = {}
        self.entries: dict[int, ChildEntry] = {}
        #: Last statuses of actors that are over.
        self.over: OrderedDict[int, c.ActorStatus] = OrderedDict()
        #: The last crashes, each with its number, from 1.
        self.crashes: deque[tuple[int, CrashReport]] = deque(maxlen=_CRASHES)
        #: Actors that are over, and whose hosts are not removed yet.
        self.unremoved: list[ActorRecord] = []
        #: Instant by which the whole system must have stopped; None while it is not stopping.
        self.end_by: float | None = None
        #: No actor is started any more. Set by the stopping thread before it even sends its order.
        self.intake_closed = False
        #: What is to be carried out behind the event at hand, in this order.
        self.orders: deque[tuple[SupervisorRecord, Order | Abandon]] = deque()
        self.timers: list[Timer] = []
        #: Publishes what happens; None while nobody has listened yet.
        self.announce: Announcements | None = None
        #: Returns numbers from 0 to 1, for the jitter of backoffs.
        self.draw: Callable[[], float] = random.random
        #: Writes down what happens, for processes outside of the system; None: nowhere to.
        self.journal: Journal | None = None
        self._timer_numbers = itertools.count()
        self._names: dict[str, int] = {}
        self._ids = itertools.count(1)

    # -- time, answers --------------------------------------------------------------------------

    def at(self, when: float, action: Callable[[], None], tries: int = _TIMER_TRIES) -> None:
        """Run `action` in this thread at the instant `when`.

        What raises is tried again: so it must be such that it may be begun more than once.
        """
        heapq.heappush(self.timers, Timer(when, next(self._timer_numbers), action, tries))

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Run `action` in so many seconds, as `at` does."""
        self.at(self.clock() + seconds, action)

    def reply(self, who: ReplyTo | None, value: object, trace: str = "") -> bool:
        """Answer a call; a command that came as a tell wants no answer.

        Returns:
            False: an error had to be sent instead, or the caller waits no more.
        """
        if who is None or not who.reply:
            return True
        return self.backend.answer(who, value, trace)

    def reply_all(self, waiters: list[ReplyTo], value: object) -> None:
        """Answer all that wait, and forget each behind its answer: this may be begun twice."""
        while waiters:
            self.reply(waiters[0], value)
            del waiters[0]

    # -- the engine -----------------------------------------------------------------------------

    def step(self, record: SupervisorRecord, step: engine.Step) -> tuple[Order, ...]:
        """Take a supervisor's next step: its new state now, its orders behind this event."""
        record.state, orders = step
        self.orders.extend((record, order) for order in orders)
        return orders

    def child_exited(
        self, entry: ChildEntry, how: Exit, *, held: bool = False
    ) -> tuple[Order, ...]:
        """Tell the engine that a child is down; return the orders that follow."""
        state = entry.supervisor.state
        if not state.has(entry.key):
            return ()
        step = engine.exited(state, entry.key, how, self.clock(), self.draw(), held=held)
        return self.step(entry.supervisor, step)

    def stays_down(self, entry: ChildEntry, how: Exit, *, held: bool = False) -> bool:
        """Return whether a child would be closed now, had it ended so."""
        state = entry.supervisor.state
        if not state.has(entry.key):
            return False
        _, orders = engine.exited(state, entry.key, how, self.clock(), held=held)
        return engine.Close(entry.key) in orders

    def child_started(self, entry: ChildEntry) -> None:
        """Tell the engine that a child is up."""
        state = entry.supervisor.state
        if state.has(entry.key):
            step = engine.started(state, entry.key, self.clock(), self.draw())
            self.step(entry.supervisor, step)

    def drop(self, actor: ActorRecord, reason: ExitReason) -> None:
        """End an actor that has no process now: an inbox, or one between incarnations."""
        entry = self.entries[actor.id]
        entry.last = (reason, None)
        if entry.stage in (Stage.STARTING, Stage.UP):
            self.child_exited(entry, Exit.SHUTDOWN)
        elif entry.stage in (Stage.PARKED, Stage.STOPPING):
            self.step(entry.supervisor, engine.terminate(entry.supervisor.state, entry.key))

    def leave_down(self, entry: ChildEntry) -> None:
        """Keep a child down that is being stopped, even if it is for a restart."""
        if entry.stage is Stage.STOPPING:
            self.step(entry.supervisor, engine.terminate(entry.supervisor.state, entry.key))

    def abandon(self, actor: ActorRecord, error: Exception) -> None:
        """Give an actor up over which nothing else is possible any more, and its whole tree.

        The supervisors of the tree cannot go on either: a step of theirs was broken off.
        """
        _log.error("the supervisor gives %s up", actor.name, exc_info=error)
        reason = ExitReason(ExitKind.UNKNOWN, None, said(error))
        entry = self.entries.get(actor.id)
        if entry is None:
            return  # it is over
        entry.last = (reason, None)
        self.orders.append((entry.supervisor.root, Abandon(reason)))

    def note(self, kind: str, actor: int, *values: object) -> None:
        """Write down a turn of an actor's life (see `wire.journal`)."""
        if self.journal is not None:
            self.journal.note(kind, actor, *values)

    # -- actors and names -----------------------------------------------------------------------

    def new_actor(
        self, options: Options, class_name: str, parent: int, prefix: str | None = None
    ) -> ActorRecord:
        """Make the record of a new actor, with its mailbox; its caller sets its entry.

        Args:
            options: the actor's.
            class_name: names it, with its number, if its options do not.
            parent: id of the actor that spawns it; 0 is the main program.
            prefix: names it instead of the class.

        Raises:
            NameTaken: another live actor has its name. OSError: no room, or no descriptor.
        """
        number, name = self.new_name(options.name, prefix or class_name.rpartition(".")[2].lower())
        try:
            host = self.backend.host(number, name, class_name, options)
        except BaseException:
            self.release_name(name)
            raise
        actor = ActorRecord(host, number, name, class_name, options, parent)
        self.actors[number] = actor
        if parent in self.actors:
            self.actors[parent].children.append(number)
        return actor

    def remember(self, actor: ActorRecord) -> None:
        """Keep the facts of an actor that is over; drop the rest."""
        actor.life = Life.OVER
        self.unremoved.append(actor)
        quietly(
            lambda: self._note_over(actor),
            lambda: self.actors.pop(actor.id, None),
            lambda: self.entries.pop(actor.id, None),
            lambda: self.release_name(actor.name),
            lambda: self._remove(actor),
            lambda: self.backend.forget(actor.id),
        )

    def note_crash(self, report: CrashReport) -> None:
        """Keep a crash report among the last ones."""
        self.crashes.append((self.crashes[-1][0] + 1 if self.crashes else 1, report))

    def _note_over(self, actor: ActorRecord) -> None:
        self.over[actor.id] = actor.status()
        while len(self.over) > _REMEMBERED:
            self.over.popitem(last=False)

    def _remove(self, actor: ActorRecord) -> None:
        actor.host.remove()
        self.unremoved.remove(actor)  # not before: what could not be removed is so at the end

    def check_name(self, name: str) -> None:
        """Raise NameTaken if a live actor or supervisor has that name."""
        if name and name in self._names:
            raise NameTaken(
                f"an actor named {name!r} is running (or restarting) already; stop it first, or "
                f"choose another name"
            )

    def new_name(self, wanted: str | None, prefix: str) -> tuple[int, str]:
        """Return (a new id, its name), and keep the name until `release_name`.

        Raises:
            NameTaken: another live actor or supervisor has the wanted name.
        """
        self.check_name(wanted or "")
        while True:
            number = next(self._ids)
            name = wanted or f"{prefix}-{number}"
            if name not in self._names:  # else a user has given it to another
                break
        self._names[name] = number
        return number, name

    def release_name(self, name: str) -> None:
        """Give a name back."""
        self._names.pop(name, None)

    def find(self, name: str) -> ActorRecord | None:
        """Return the live actor of that name. From any thread."""
        return self.actors.get(self._names.get(name, 0))

    def name_of(self, actor: int) -> str:
        """Return an actor's name, also after its end. From any thread."""
        record, over = self.actors.get(actor), self.over.get(actor)
        if record is not None:
            return record.name
        return over.name if over is not None else f"actor {actor}"

    def address_of(self, name: str) -> int | None:
        """Return the id of the live actor of that name, once it has been up. From any thread."""
        actor = self.find(name)
        if actor is None or actor.is_inbox or actor.stop_by is not None or self.end_by is not None:
            return None
        comes_up = actor.incarnation < 1 or (actor.life is Life.STARTING and actor.incarnation == 1)
        return None if comes_up else actor.id

    def past(self, actor: int) -> c.ActorStatus:
        """Return the last status of an actor that is over.

        Raises:
            ActorStopped: nothing is remembered of it.
        """
        if actor in self.over:
            return self.over[actor]
        raise ActorStopped(f"nothing is known of actor {actor}: it ended long ago")

    def decider(self, actor: ActorRecord) -> ActorRecord | None:
        """Return the parent that wants to decide on an actor's death; None if none does."""
        parent = self.actors.get(actor.parent)
        if parent is None or not parent.decides or parent.life is not Life.UP:
            return None
        return parent

    def time_of(self, actor: ActorRecord, timeout: float | None = None) -> float:
        """Return the seconds of an actor's stop: those asked for, its own, or the system's."""
        if timeout is None:
            timeout = actor.options.stop_timeout
        return self.stop_timeout if timeout is None else timeout

    def mark_stopping(self, actor: ActorRecord, deadline: float) -> None:
        """Note a stop: the life is not to make way for another, now that it goes to its end."""
        actor.stop_by = deadline
        actor.words[STOP_ORDERED] = 1
