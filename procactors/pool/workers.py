"""The workers of a pool: how many there are, how they come and go.

Layer: pool. Runs in: the pool's process; growing and shrinking by load in a thread for each time.
Owns: the workers, the monitor (`stop`, `kill`).
Never: takes a worker away that has something in hand.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
from typing import Any

from procactors.crash import ExitKind, ExitReason
from procactors.errors import ActorStopped, ProcActorsError
from procactors.light_tuple import NamedTuple
from procactors.model import commands as c
from procactors.model.choices import Delivery, Overflow
from procactors.model.options import Limits, Options
from procactors.pool.batch import WorkerSlot
from procactors.pool.beside import start_aside
from procactors.pool.dispatch import Dispatcher
from procactors.pool.monitor import Monitor
from procactors.pool.scaling import IDLE_S, Demand, wanted
from procactors.process.cpus import usable_cpus
from procactors.runtime.blueprint import write_blueprint
from procactors.runtime.client import Client
from procactors.runtime.leaving import UNWIND_S
from procactors.runtime.ref import ActorRef
from procactors.runtime.reply import Reply
from procactors.seeds import derive

__all__ = ["WorkerPlan", "Workers"]

_log = logging.getLogger("procactors")

#: Seconds between looks at the load, while there is some.
_SCALE_EVERY_S = 0.05


class WorkerPlan(NamedTuple):
    """What each worker of a pool is made of.

    Attributes:
        cls, args, kwargs: its class, and the arguments of that.
        parent: id of the actor that has the pool; 0 is the main program.
        ask_timeout: seconds that an ask of its ref waits; None: for ever.
    """

    cls: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parent: int
    ask_timeout: float | None


class Workers:
    """The workers of one pool.

    Args:
        client: of the pool's process.
        name: the pool's.
        options: the pool's.
        plan: what a worker is made of.
    """

    def __init__(self, client: Client, name: str, options: Options, plan: WorkerPlan) -> None:
        size = options.size if options.size is not None else usable_cpus()
        self.least, self.most = size if isinstance(size, tuple) else (size, size)
        self.name = name
        self._client = client
        self._transport = client.transport
        self._plan = plan
        self._options = options.replace(
            size=None,
            routing=None,
            # The pool's own: its workers are sent one batch after the other, in which many items
            # are, and what is in hand at a crash is the pool's to try again.
            mailbox=None,
            overflow=Overflow.BLOCK,
            delivery=Delivery.AT_MOST_ONCE,
            handle_timeout=None,
            limits=options.limits or Limits(),
        )
        self._indexes = itertools.count()
        self.dispatcher = Dispatcher(client.transport, name)
        self._monitor = Monitor(self.dispatcher, self._scale)
        # Guards growing and shrinking: one at a time. Never taken under the dispatcher's lock.
        self._sizing = client.transport.make_mutex()
        self._is_scaling = False
        self._waits_since: float | None = None

    def open(self) -> None:
        """Start the least number of workers.

        Raises:
            What spawning raises.
        """
        self._grow(self.least)
        self._monitor.open()
        self._transport.on_close(self._system_ends)

    @property
    def size(self) -> int:
        """How many workers there are that are to stay."""
        return sum(not slot.leaving for slot in self.dispatcher.slots)

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

    # -- workers come and go ------------------------------------------------------------------

    def _grow(self, count: int) -> None:
        indexes = list(itertools.islice(self._indexes, count))
        refs = self._spawn([self._options_of(index) for index in indexes])
        slots = [
            WorkerSlot(ref, index, self._transport.now())
            for ref, index in zip(refs, indexes, strict=True)
        ]
        if not self.dispatcher.join(slots):
            # Stopped while they started: the end of the pool did not see them.
            for ref in refs:
                ref.kill()
            self.dispatcher.check()
        for slot in slots:
            # Heard of at once, and not only when the next batch is refused.
            end = self._client.submit(c.Wait(slot.ref._actor))
            end.add_done_callback(functools.partial(self._worker_ended, slot))

    def _spawn(self, options: list[Options]) -> list[ActorRef[Any]]:
        """Start workers, one for each of `options`, side by side.

        Raises:
            What `Spawner.spawn` raises, for the first that failed; the others are killed again.
        """
        self._transport.check_process()
        replies: list[Reply[c.ActorInfo]] = []
        errors: list[BaseException] = []
        try:
            for one in options:
                replies.append(self._order(one))  # noqa: PERF401 - those before an error are kept
        except Exception as failed:  # noqa: BLE001 - raised below: those ordered so far come up
            errors.append(failed)
        try:
            errors += [error for reply in replies if (error := reply.exception()) is not None]
        except BaseException:  # Ctrl-C while it waits: they come up, and no pool has them
            for reply in replies:
                reply.add_done_callback(self._end_unwanted)
            raise
        refs = [self._ref(reply.result()) for reply in replies if reply.exception() is None]
        if errors:
            for ref in refs:
                ref.kill()
            raise errors[0]
        return refs

    def _order(self, options: Options) -> Reply[c.ActorInfo]:
        cls, args, kwargs, parent, _ = self._plan
        blueprint = write_blueprint(
            self._transport, cls, args, kwargs, "options({{}}).pool({}, ...)"
        )
        return self._client.submit(c.Spawn(blueprint, cls.__qualname__, options, parent, True))

    def _end_unwanted(self, reply: Any) -> None:
        if reply.exception() is None:
            self._ref(reply.result()).kill()

    def _ref(self, info: c.ActorInfo) -> ActorRef[Any]:
        plan, path = self._plan, self._transport.path
        overflow = info.options.overflow
        return ActorRef(path, info.actor, info.name, overflow, plan.cls, plan.ask_timeout)

    def _worker_ended(self, slot: WorkerSlot, end: Reply[ExitReason]) -> None:
        """A worker is over. Runs in the thread for callbacks."""
        error = end.exception()
        reason = end.result() if error is None else None
        how = str(error) if reason is None else f"it {reason}"
        with self.dispatcher.lock:
            if reason is not None and reason.is_abnormal and reason.kind is not ExitKind.KILLED:
                _log.error("%s goes on without %s: %s", self.name, slot.ref.name, how)
            self.dispatcher.gone(slot, ActorStopped(how))
            self.dispatcher.feed()

    def _options_of(self, index: int) -> Options:
        root = self._options.seed
        seed = None if root is None else derive(root, index)  # each its own stream
        return self._options.replace(name=f"{self.name}-{index + 1}", seed=seed)

    def _shrink(self, count: int) -> None:
        """Let workers go that have least to do; each ends what it has first."""
        dispatcher = self.dispatcher
        with dispatcher.lock:
            staying = dispatcher.staying()
            leaving = sorted(staying, key=lambda slot: (slot.load, slot.idle_since))[:count]
            for slot in leaving:
                slot.leaving = True
                dispatcher.move(slot)
            try:
                dispatcher.feed()
                while any(slot.batches for slot in leaving) and dispatcher.broken is None:
                    dispatcher.await_change()
            except BaseException:  # Ctrl-C while it waits: they stay
                for slot in leaving:
                    slot.leaving = False
                raise
        self._end(leaving, None)

    def _end(self, slots: list[WorkerSlot], timeout: float | None) -> None:
        """Stop workers side by side, and wait for their ends."""
        transport = self._transport
        replies = []
        for slot in slots:
            actor = slot.ref._actor
            try:
                transport.check_process()
                transport.stop_in_order(actor)
                replies.append(self._client.submit(c.Stop(actor, timeout)))
            except ActorStopped:
                break  # the system ends, and all of them with it
        for reply in replies:
            error = reply.exception()
            if error is not None and not isinstance(error, ActorStopped):
                raise error
        with self.dispatcher.lock:
            for slot in slots:
                self.dispatcher.gone(slot, ActorStopped("it was stopped"))

    # -- following the load -------------------------------------------------------------------

    def _scale(self, now: float) -> float | None:
        """See whether the size fits the load; called by the monitor, under the lock."""
        if self.least == self.most or self.dispatcher.broken is not None:
            return None
        dispatcher = self.dispatcher
        if not dispatcher.queue:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = now
        waited_s = 0.0 if self._waits_since is None else now - self._waits_since
        staying = dispatcher.staying()
        idle = sum(not slot.batches and now - slot.idle_since >= IDLE_S for slot in staying)
        demand = Demand(len(staying), len(dispatcher.queue), waited_s, idle)
        size = wanted(demand, self.least, self.most)
        if size != demand.workers and not self._is_scaling:
            self._waits_since = None
            self._is_scaling = True
            # Beside each time: a start may take as long as a constructor does.
            start_aside(self._transport, "scaling", functools.partial(self._follow, size))
        if dispatcher.queue:
            return _SCALE_EVERY_S if len(staying) < self.most else None
        if len(staying) <= self.least:
            return None
        idle_since = [slot.idle_since for slot in staying if not slot.batches]
        return max(_SCALE_EVERY_S, min(idle_since) + IDLE_S - now) if idle_since else None

    def _follow(self, size: int) -> None:
        try:
            with self._sizing:
                if self.dispatcher.broken is None:
                    self._set(min(max(size, self.least), self.most))
        except ProcActorsError as error:
            if self.dispatcher.broken is None:
                _log.error("%s keeps its size: %s", self.name, error)
        finally:
            self._is_scaling = False

    # -- the end ------------------------------------------------------------------------------

    def stop(self, timeout: float | None) -> None:
        """Finish what was taken on, then stop the workers; at the deadline kill what is left.

        Called again, or by two threads, it waits for the same end.
        """
        self._transport.check_copy()
        deadline = None if timeout is None else self._transport.now() + timeout
        dispatcher = self.dispatcher
        with dispatcher.lock:
            dispatcher.closing = True
            while dispatcher.is_busy() and dispatcher.broken is None:
                left = None if deadline is None else deadline - self._transport.now()
                if left is not None and left <= 0:
                    break
                dispatcher.await_change(left)
        self._finish(None if deadline is None else max(0.0, deadline - self._transport.now()))

    def kill(self) -> None:
        """End all workers at once; what was not done is refused."""
        self._transport.check_copy()
        self._finish(0.0)

    def leave(self) -> None:
        """End all workers: what is in hand is unwound by SIGTERM, and killed a second later."""
        self._transport.check_copy()
        self._refuse_all()
        with self.dispatcher.lock:
            actors = tuple(slot.ref._actor for slot in self.dispatcher.slots)
        with contextlib.suppress(ActorStopped):  # the system ends, and all of them with it
            self._client.ask(c.Leave(actors, UNWIND_S))
        self._finish(UNWIND_S)

    def _refuse_all(self) -> None:
        self.dispatcher.close(ActorStopped(f"{self.name} was stopped; this was not handled"))

    def _finish(self, timeout: float | None) -> None:
        dispatcher = self.dispatcher
        self._refuse_all()
        with dispatcher.lock:
            slots = list(dispatcher.slots)
            for slot in slots:
                slot.leaving = True
        try:
            self._end(slots, timeout)
        finally:
            self._monitor.close()
            dispatcher.end()
            self._transport.off_close(self._system_ends)

    def _system_ends(self) -> None:
        """Refuse what waits: the system is stopped, and callers may wait for it."""
        self.dispatcher.close(ActorStopped(f"{self.name} ended with its actor system"))
        self._monitor.close()
        self.dispatcher.end()
