"""A pool: many actors of one class as one, for work on all cores.

Layer: pool. Runs in: the process that made it: main program or actor.
Owns: the workers, the monitor's thread and the result tables (`stop`, `kill`).
Never: loses an item: each ends with a result or with an error that names the cause.
"""

from __future__ import annotations

import functools
import itertools
import logging
import random
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, overload

from procactors.errors import (
    InvalidSpec,
    MailboxFull,
    PoolBroken,
    ProcActorsError,
)
from procactors.model.checks import deadline
from procactors.model.choices import Delivery, Overflow, Routing
from procactors.model.handlers import check_class, check_keeps
from procactors.model.options import Options
from procactors.observe.events import Events
from procactors.pool.batch import Load, WorkerSlot
from procactors.pool.calls import AskCall, PoolReply, TellCall
from procactors.pool.mapper import Mapper
from procactors.pool.mistakes import check_call, check_here
from procactors.pool.routing import Ring, key_bytes
from procactors.pool.sizing import Paces
from procactors.pool.targets import Target, target_of
from procactors.pool.workers import WorkerPlan, Workers
from procactors.runner.method_table import MethodTable, table_of
from procactors.runtime.client import Client
from procactors.runtime.leaving import is_broken_off
from procactors.runtime.ref import ActorRef
from procactors.runtime.reply import Reply
from procactors.wire.transport import MAIN

if TYPE_CHECKING:
    from procactors.pool.async_pool import AsyncPool

__all__ = ["Pool", "open_pool"]

_log = logging.getLogger("procactors")

A = TypeVar("A")
T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class Pool(Mapper[A]):
    """Actors of one class that share work: each that is free draws the next call from one queue.

    Made by ``system.pool(cls, ...)`` or ``system.options(size=...).pool(cls, ...)``; use it as a
    context manager. It is used from the process that made it, by any number of its threads.

    A call is a method of the class with its arguments, as for a ref, or any function that can be
    pickled. A worker's death costs the one item that it had in hand; it is tried again (`retries`)
    or reported (`ActorDied`); all others are done, once. An item that has ended three workers is
    not tried any more (`Quarantined`). Deaths by items do not count against ``max_restarts``.

    Attributes:
        name: the pool's; its workers have it with their number behind it.
    """

    def __init__(
        self,
        client: Client,
        workers: Workers,
        options: Options,
        table: MethodTable,
        events: Events | None,
    ) -> None:
        super().__init__(workers.dispatcher, table, options.handle_timeout, events)
        self.name = workers.name
        self._client = client
        self._workers = workers
        self._options = options
        self._paces = Paces()
        self._turns = itertools.count()
        self._ring: tuple[tuple[int, ...], Ring] = ((), Ring(()))
        is_sure = options.delivery is Delivery.AT_LEAST_ONCE
        self._retries = options.max_deliveries - 1 if is_sure else 0

    # -- calls --------------------------------------------------------------------------------

    @overload
    def submit(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Reply[R]: ...
    @overload
    def submit(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Reply[R]: ...
    @overload
    def submit(
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Reply[R]: ...
    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Reply[Any]:
        """Have a worker call a method or a function; return the reply as a future at once.

        Does not block, but for a place in the queue of a pool with ``mailbox=``. The arguments are
        pickled before this returns. ``cancel()`` takes the call back while no worker has it.

        Raises:
            TypeError: the method does not take these arguments. EncodeError: they cannot be
                pickled. MailboxFull: no place (``Overflow.RAISE`` or ``DROP``).
            ActorStopped, PoolBroken: the pool takes no more work.
        """
        reply: PoolReply[Any] = PoolReply(self._transport, self._dispatcher)
        self._call(reply, what, args, kwargs, None)
        return reply

    @overload
    def ask(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    def ask(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def ask(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def ask(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Have a worker call a method or a function; wait for the result.

        Raises:
            What `submit` raises; whatever the call raises; ActorDied: it ended its worker.
        """
        reply: PoolReply[Any] = PoolReply(self._transport, self._dispatcher)
        try:
            self._call(reply, what, args, kwargs, None)
            return reply.result()
        finally:
            del reply  # no circle with the exception that it has and the traceback of that

    @overload
    def tell(
        self, method: Callable[Concatenate[A, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def tell(self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def tell(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Have a worker call a method or a function; go on.

        A call that fails is logged, and one of a method becomes a dead letter; its worker lives on.
        """
        self._tell(what, args, kwargs)

    def _tell(
        self,
        what: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        wait_s: float | None = None,
    ) -> None:
        try:
            self._call(None, what, args, kwargs, None, wait_s)
        except MailboxFull as error:
            if self._options.overflow is not Overflow.DROP:
                raise
            target, load = self._encode(what, args, kwargs)
            self._report_lost(target, load, str(error))
            load.free()
            target.free()

    # -- all of them --------------------------------------------------------------------------

    @overload
    def gather(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> list[R]: ...
    @overload
    def gather(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> list[R]: ...
    @overload
    def gather(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> list[R]: ...
    def gather(self, what: Any, /, *args: Any, **kwargs: Any) -> list[Any]:
        """Have every worker make the call; return their results, in the order of their numbers.

        Raises:
            What the first of them raised that raised, once all have ended.
        """
        replies = self._ask_all(what, args, kwargs)
        for reply in replies:
            reply.exception()
        del reply
        results: list[Any] = []
        while replies:
            results.append(replies.pop(0).result())  # out of the list first, as in `ask`
        return results

    @overload
    def first(
        self,
        method: Callable[Concatenate[A, P], Coroutine[Any, Any, R]],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R: ...
    @overload
    def first(
        self, method: Callable[Concatenate[A, P], R], /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...
    @overload
    def first(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...
    def first(self, what: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Have every worker make the call; return the result that comes first.

        What no worker has begun by then is taken back; the others' results are dropped.

        Raises:
            What the last of them raised, if all of them did.
        """
        from concurrent.futures import as_completed

        replies = self._ask_all(what, args, kwargs)
        error: BaseException | None = None
        try:
            for reply in as_completed(replies):
                error = reply.exception()
                if error is None:
                    return reply.result()
        finally:
            for reply in replies:
                reply.want_no_more()
                reply.add_done_callback(_mark_heard)
        assert error is not None
        raise error

    @overload
    def broadcast(
        self, method: Callable[Concatenate[A, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    @overload
    def broadcast(
        self, function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None: ...
    def broadcast(self, what: Any, /, *args: Any, **kwargs: Any) -> None:
        """Tell every worker that there is now. One that comes later, or anew, gets nothing."""
        for slot in self._slots():
            self._call(None, what, args, kwargs, slot)

    def by_key(self, key: Any) -> ActorRef[A]:
        """Return the worker that a key belongs to: the same one for equal keys.

        By consistent hashing: it stays the same across its restarts, and a worker more or less
        moves few keys. What is sent to the ref waits for that worker, beside the pool's queue.

        Raises:
            PoolBroken: there is no worker. EncodeError: a key that cannot be pickled.
        """
        return self._keyed(key).ref

    @property
    def aio(self) -> AsyncPool[A]:
        """The same pool for an event loop: what blocks here, is awaited there."""
        from procactors.pool.async_pool import AsyncPool  # only where it is used

        return AsyncPool.of(self)

    def workers(self) -> list[ActorRef[A]]:
        """Return the workers, in the order of their numbers."""
        return [slot.ref for slot in self._slots()]

    # -- size and end -------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """How many workers there are."""
        return self._workers.size

    def resize(self, size: int) -> None:
        """Have so many workers from now on.

        Blocks until the new ones are up, or those too many have ended what they had in hand.

        Raises:
            InvalidSpec: no number of workers. SpawnError: one did not start.
        """
        options = self._options.replace(size=size)
        if not isinstance(options.size, int):
            raise InvalidSpec(f"resize takes one number of workers, not {size!r}")
        self._check_open()
        self._workers.resize(options.size)

    def autoscale(self, least: int, most: int) -> None:
        """Let the number of workers follow the load between two bounds from now on.

        Workers are added while calls wait, and go when they have had nothing to do for 10 s.

        Raises:
            InvalidSpec: bounds that make no sense. SpawnError: a worker did not start.
        """
        size = self._options.replace(size=(least, most)).size
        assert isinstance(size, tuple)
        self._check_open()
        self._workers.bound(*size)

    def stop(self, timeout: float | None = None) -> None:
        """Take no more work, finish what was taken, and stop the workers.

        Blocks until they are gone: `timeout` seconds at most (None: the ``stop_timeout`` of its
        options, or as long as it takes). At the deadline workers are killed; what was not done by
        then ends with `ActorStopped`, or `ActorDied` if it was in hand. Stopping twice is no error.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        check_here(self._transport, self.name)
        self._workers.stop(self._options.stop_timeout if timeout is None else timeout)

    def kill(self) -> None:
        """End all workers at once; what was not done ends as with `stop` at its deadline."""
        check_here(self._transport, self.name)
        self._workers.kill()

    def __enter__(self) -> Pool[A]:
        self._check_open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not is_broken_off(error):
            self.stop()
            return
        # A block that is left by an exception waits for no result any more.
        try:
            self._workers.leave()
        except KeyboardInterrupt:  # a second Ctrl-C, whose traceback says what the first one's does
            self.kill()
            if not isinstance(error, KeyboardInterrupt):
                raise

    def __repr__(self) -> str:
        return f"<Pool {self.name} of {self.size}>"

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self.name} is used from the process that made it and cannot be sent; a function "
            f"that its workers run calls others itself, and what talks to a worker is sent its ref "
            f"(pool.workers())"
        )

    # -- inside -------------------------------------------------------------------------------

    def _call(
        self,
        reply: PoolReply[Any] | None,
        what: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        slot: WorkerSlot | None,
        wait_s: float | None = None,
    ) -> None:
        """Queue a call: for the worker of `slot` and no other, or for the one that routing says.

        Waits for room in a bounded queue up to `wait_s` seconds; None: for ever.
        """
        self._check_open()
        check_call(what, self._table, args, kwargs)
        target, load = self._encode(what, args, kwargs)
        pace = self._paces.of(target.name)
        call: AskCall | TellCall
        if reply is not None:
            call = AskCall(reply, target, load, pace, self._retries, self._timeout)
        else:
            lost = functools.partial(self._report_lost, target)
            run = self._transport.run_callback
            call = TellCall(run, lost, target, load, pace, self._retries, self._timeout)
        span = call.span()
        span.pinned, span.is_strict = slot or self._route(args), slot is not None
        try:
            with self._dispatcher.lock:  # or another thread takes the free place
                self._await_room(wait_s)
                # Once more: a stop may have come since, and may have seen that nothing is left.
                self._dispatcher.check_open()
                self._dispatcher.push([span])
        except ProcActorsError:
            load.free()
            target.free()
            raise

    def _encode(
        self, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Target, Load]:
        store, mailbox = self._transport.store, self._dispatcher.mailbox
        target = target_of(what, self._table, store, mailbox, (args, kwargs))
        try:
            return target, Load(store, store.encode((args, kwargs), "arguments"), mailbox)
        except BaseException:
            target.free()
            raise

    def _ask_all(
        self, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> list[PoolReply[Any]]:
        replies = []
        for slot in self._slots():
            reply: PoolReply[Any] = PoolReply(self._transport, self._dispatcher)
            self._call(reply, what, args, kwargs, slot)
            replies.append(reply)
        if not replies:
            raise PoolBroken(f"{self.name} has no worker")
        return replies

    def _slots(self) -> list[WorkerSlot]:
        check_here(self._transport, self.name)  # in a copy, the lock may stay held for ever
        self._transport.check_process()
        return self._dispatcher.staying()

    def _route(self, args: tuple[Any, ...]) -> WorkerSlot | None:
        routing = self._options.routing
        if routing is None or routing is Routing.LEAST_LOADED:
            return None
        slots = self._slots()
        if not slots:
            return None
        if routing is Routing.RANDOM:
            return random.choice(slots)  # noqa: S311 - chance, not a secret
        if routing is Routing.ROUND_ROBIN:
            return slots[next(self._turns) % len(slots)]
        return self._keyed(args[0] if args else None)

    def _keyed(self, key: Any) -> WorkerSlot:
        slots = {slot.index: slot for slot in self._slots()}
        if not slots:
            raise PoolBroken(f"{self.name} has no worker")
        indexes, ring = self._ring
        if indexes != tuple(slots):
            ring = Ring(slots)
            self._ring = tuple(slots), ring
        return slots[ring.worker(key_bytes(key))]

    def _await_room(self, wait_s: float | None) -> None:
        """Wait until a bounded queue has room. Under the lock, let go while it waits.

        Raises:
            MailboxFull: it has none in time, or the options say not to wait.
        """
        capacity, dispatcher = self._options.mailbox, self._dispatcher
        if capacity is None:
            return
        until = None if wait_s is None else self._transport.now() + wait_s
        while dispatcher.waiting() >= capacity and dispatcher.broken is None:
            left = None if until is None else until - self._transport.now()
            if self._options.overflow is not Overflow.BLOCK or (left is not None and left <= 0):
                raise MailboxFull(
                    f"the queue of {self.name} is full: {capacity} of {capacity} calls wait"
                )
            dispatcher.await_change(left)

    def _check_open(self) -> None:
        check_here(self._transport, self.name)
        self._transport.check_process()
        self._dispatcher.check_open()

    def _report_lost(self, target: Target, load: Load, why: str) -> None:
        """Keep a tell that failed as a dead letter, if it calls a method.

        That can be sent again, to any worker. The call of a function is only logged.
        """
        if not target.is_method or self._transport.actor != MAIN:
            return
        try:
            mailbox = self._dispatcher.mailbox
            self._client.report_lost(mailbox, target.name, load.encoded(), why)
        except ProcActorsError as error:
            _log.error("no dead letter could be made of a call of %s: %s", target.shown, error)


def open_pool(
    client: Client,
    events: Events | None,
    options: Options,
    parent: int,
    ask_timeout: float | None,
    cls: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Pool[Any]:
    """Start a pool; see `Spawner.pool`.

    Args:
        client: of this process.
        events: of the system; None in an actor, which has none.
        options: the pool's.
        parent: id of the actor that has the pool; 0 is the main program.
        ask_timeout: seconds that an ask of a worker's ref waits; None: for ever.
        cls: the workers' class.
        args: its constructor's arguments.
        kwargs: those by name.
    """
    check_class("pool", cls)
    if options.max_concurrency > 1:
        raise InvalidSpec(
            f"max_concurrency={options.max_concurrency} is for an actor alone: a pool's worker "
            f"runs one item at a time, so that a death costs one; use options(size=...) for more "
            f"workers, or spawn(...) one actor with max_concurrency and ask that"
        )
    if options.checkpoint is not None:
        if options.checkpoint.file is not None:
            raise InvalidSpec(
                f"Checkpoint.file={options.checkpoint.file!r} is for one actor: the workers of a "
                f"pool cannot share it; leave file= out, or spawn actors with a file each"
            )
        check_keeps(cls)
    actor = client.transport.actor
    infix = f"{actor}-" if actor else ""
    name = options.name or f"{cls.__qualname__.lower()}-pool-{infix}{next(_numbers)}"
    workers = Workers(client, name, options, WorkerPlan(cls, args, kwargs, parent, ask_timeout))
    workers.open()
    return Pool(client, workers, options, table_of(cls), events)


#: Numbers of the pools of this process that have no name.
_numbers = itertools.count(1)


def _mark_heard(reply: Any) -> None:
    """Look at a reply, which is else logged as one that was never looked at."""
    if not reply.cancelled():
        reply.exception()
