"""The workers of a pool: how many there are, how they come and go.

Layer: api. Runs in: the pool's process; growing and shrinking by load in a thread for each time.
Owns: the workers, the keeper (`stop`, `kill`).
Never: takes a worker away that has something in hand.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, ProcActorsError
from procactors.observe.events import Events
from procactors.options import Options
from procactors.pool.dispatch import Dispatcher
from procactors.pool.functions import Target
from procactors.pool.keeper import Keeper
from procactors.pool.member import Member
from procactors.pool.scaling import IDLE_S, Demand, wanted
from procactors.pool.spans import Load
from procactors.process.batch import INLINE
from procactors.process.cpus import usable_cpus
from procactors.reply import Reply
from procactors.seeds import derive
from procactors.supervision import commands as c
from procactors.supervision.crash import ExitKind, ExitReason
from procactors.supervision.stopping import UNWIND_S
from procactors.wire.codec import Encoded
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.handle import SystemHandle

__all__ = ["Crew"]

_log = logging.getLogger("procactors")

#: Seconds between looks at the load, while there is some.
_SCALE_EVERY_S = 0.05


class Crew:
    """The workers of one pool.

    Args:
        handle: the system.
        options: of each worker; `name` and `size` are the pool's.
        parent: id of the actor that has the pool; 0 is the main program.
        cls, args, kwargs: what makes a worker.
        name: the pool's.
    """

    def __init__(
        self,
        handle: SystemHandle,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        name: str,
    ) -> None:
        size = options.size if options.size is not None else usable_cpus()
        self.least, self.most = size if isinstance(size, tuple) else (size, size)
        self.name = name
        self._handle = handle
        self._station = handle._station
        self._client = handle._client
        self._options = options.replace(size=None)
        self._parent = parent
        self._made_of = (cls, args, kwargs)
        self._indexes = itertools.count()
        self._keeper = Keeper(name, self._scale)
        #: What happens in the system; an actor's part of it has none.
        self.events: Events | None = getattr(handle, "events", None)
        self.dispatcher = Dispatcher(handle._station, name, self._keeper.wake)
        # Guards growing and shrinking: one at a time. Never taken under the dispatcher's lock.
        self._sizing = threading.RLock()
        self._scaler: threading.Thread | None = None
        self._waits_since: float | None = None

    def open(self) -> None:
        """Start the least number of workers.

        Raises:
            What spawning raises.
        """
        self._grow(self.least)
        self._keeper.open(self.dispatcher)
        self._station.on_close(self._system_ends)

    @property
    def size(self) -> int:
        """How many workers there are that are to stay."""
        return sum(not member.leaving for member in self.dispatcher.members)

    def resize(self, size: int) -> None:
        """Have so many workers from now on; blocks until those too many have ended."""
        with self._sizing:
            self.least = self.most = size
            self._set(size)

    def bound(self, least: int, most: int) -> None:
        """Let the number of workers follow the load between two bounds."""
        with self._sizing:
            self.least, self.most = least, most
            self._set(min(max(self.size, least), most))

    def _set(self, size: int) -> None:
        now = self.size
        if size > now:
            self._grow(size - now)
        elif size < now:
            self._shrink(now - size)

    def _grow(self, count: int) -> None:
        indexes = list(itertools.islice(self._indexes, count))
        cls, args, kwargs = self._made_of
        options = [self._options_of(index) for index in indexes]
        refs = self._handle._spawn_all(options, self._parent, cls, args, kwargs)
        members = [
            Member(ref, index, monotonic()) for ref, index in zip(refs, indexes, strict=True)
        ]
        if not self.dispatcher.join(members):
            # Stopped while they started: nobody else would end them.
            for ref in refs:
                ref.kill()
            self.dispatcher.check()
        for member in members:
            # Heard of at once, and not only when the next batch is refused.
            end = self._client.submit(c.Wait(member.ref._actor))
            end.add_done_callback(functools.partial(self._worker_ended, member))

    def _worker_ended(self, member: Member, end: Reply[ExitReason]) -> None:
        """A worker is over. Runs in the thread for callbacks."""
        error = end.exception()
        reason = end.result() if error is None else None
        how = str(error) if reason is None else f"it {reason}"
        with self.dispatcher.lock:
            if reason is not None and reason.is_abnormal and reason.kind is not ExitKind.KILLED:
                _log.error("%s goes on without %s: %s", self.name, member.ref.name, how)
            self.dispatcher.gone(member, ActorStopped(how))
            self.dispatcher.feed()

    def _options_of(self, index: int) -> Options:
        root = self._options.seed
        seed = None if root is None else derive(root, index)  # each its own stream
        return self._options.replace(name=f"{self.name}-{index + 1}", seed=seed)

    def _shrink(self, count: int) -> None:
        """Let workers go that have least to do; each ends what it has first."""
        dispatcher = self.dispatcher
        with dispatcher.lock:
            staying = [member for member in dispatcher.members if not member.leaving]
            leaving = sorted(staying, key=lambda member: (member.load, member.idle_since))[:count]
            for member in leaving:
                member.leaving = True
                dispatcher.move(member)
            try:
                dispatcher.feed()
                while any(member.batches for member in leaving) and dispatcher.broken is None:
                    dispatcher.changed.wait()
            except BaseException:  # Ctrl-C while it waits: they stay
                for member in leaving:
                    member.leaving = False
                raise
        self._end(leaving, None)

    def _end(self, members: list[Member], timeout: float | None) -> None:
        """Stop workers side by side, and wait for their ends."""
        station = self._station
        replies = []
        for member in members:
            actor = member.ref._actor
            try:
                station.check_process()
                station.stop_in_order(actor)
                replies.append(self._client.submit(c.Stop(actor, timeout)))
            except ActorStopped:
                break  # the system ends, and all of them with it
        for reply in replies:
            error = reply.exception()
            if error is not None and not isinstance(error, ActorStopped):
                raise error
        with self.dispatcher.lock:
            for member in members:
                self.dispatcher.gone(member, ActorStopped("it was stopped"))

    # -- following the load -------------------------------------------------------------------

    def _scale(self, now: float) -> float | None:
        """See whether the size fits the load; called by the keeper, under the lock."""
        if self.least == self.most or self.dispatcher.broken is not None:
            return None
        dispatcher = self.dispatcher
        if not dispatcher.queue:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        waited_s = 0.0 if self._waits_since is None else now - self._waits_since
        staying = [member for member in dispatcher.members if not member.leaving]
        idle = sum(not member.batches and now - member.idle_since >= IDLE_S for member in staying)
        demand = Demand(len(staying), len(dispatcher.queue), waited_s, idle)
        size = wanted(demand, self.least, self.most)
        if size != demand.workers and (self._scaler is None or not self._scaler.is_alive()):
            self._waits_since = None
            # A thread for each time: a start may take as long as a constructor does.
            self._scaler = threading.Thread(
                target=self._follow, args=(size,), name="procactors-scaling", daemon=True
            )
            self._scaler.start()
        if dispatcher.queue:
            return _SCALE_EVERY_S
        return IDLE_S / 2 if len(staying) > self.least else None

    def _follow(self, size: int) -> None:
        with self._sizing:
            try:
                if self.dispatcher.broken is None:
                    self._set(min(max(size, self.least), self.most))
            except ProcActorsError as error:
                if self.dispatcher.broken is None:
                    _log.error("%s keeps its size: %s", self.name, error)

    def bury(self, target: Target, load: Load, why: str) -> None:
        """Keep a call that nobody waits for, and that has failed, as a dead letter.

        That of a method: it can be sent again, to any worker. One of a function is only logged.
        """
        station, home = self._station, self._station.home
        if not target.is_method or station.actor != SUPERVISOR:
            return
        if load.place == INLINE:
            encoded = Encoded(load.data, ())
        else:
            received = home.fetch(load.data)
            encoded = Encoded(bytes(received.head), list(received.buffers))
            received.leave()
        actor = self.dispatcher.mailbox
        try:
            self._client.report_lost(actor, target.name, encoded, why)
        except ProcActorsError as error:
            _log.error("no dead letter could be made of a call of %s: %s", target.shown, error)

    # -- the end ------------------------------------------------------------------------------

    def stop(self, timeout: float | None) -> None:
        """Finish what was taken on, then stop the workers; at the deadline kill what is left.

        Called again, or by two threads, it waits for the same end.
        """
        self._station.check_copy()
        deadline = None if timeout is None else monotonic() + timeout
        dispatcher = self.dispatcher
        with dispatcher.lock:
            dispatcher.closing = True
            while dispatcher.is_busy() and dispatcher.broken is None:
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    break
                dispatcher.changed.wait(left)
        self._finish(None if deadline is None else max(0.0, deadline - monotonic()))

    def kill(self) -> None:
        """End all workers at once; what was not done is refused."""
        self._station.check_copy()
        self._finish(0.0)

    def leave(self) -> None:
        """The same, but what is in hand is unwound by SIGTERM, and killed a second later."""
        self._station.check_copy()
        self._refuse_all()
        with self.dispatcher.lock:
            actors = tuple(member.ref._actor for member in self.dispatcher.members)
        with contextlib.suppress(ActorStopped):  # the system ends, and all of them with it
            self._client.ask(c.Leave(actors, UNWIND_S))
        self._finish(UNWIND_S)

    def _refuse_all(self) -> None:
        self.dispatcher.close(ActorStopped(f"{self.name} was stopped; this was not handled"))

    def _finish(self, timeout: float | None) -> None:
        dispatcher = self.dispatcher
        self._refuse_all()
        with dispatcher.lock:
            members = list(dispatcher.members)
            for member in members:
                member.leaving = True
        try:
            self._end(members, timeout)
        finally:
            self._keeper.close()
            dispatcher.end()
            self._station.off_close(self._system_ends)

    def _system_ends(self) -> None:
        """The system is stopped: what waits here is waited for by somebody."""
        self.dispatcher.close(ActorStopped(f"{self.name} ended with its actor system"))
        self._keeper.close()
        self.dispatcher.end()
