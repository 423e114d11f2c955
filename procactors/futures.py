"""`ActorPoolExecutor`: a `concurrent.futures.Executor` that outlives its workers.

Layer: executors. Runs in: the process that made it: main program or actor.
Owns: its pool, and the system if it was given none (`shutdown`).
Never: breaks because a worker has died: that costs the call in hand.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from multiprocessing.context import BaseContext
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from procactors.api.spawner import SystemHandle
from procactors.errors import ActorStopped, EncodeError, ForeignProcess, InvalidSpec, PoolBroken
from procactors.executors.engine import SHUT_DOWN, Engine, Plan
from procactors.executors.executor_map import ExecutorMap, MapReading, Tuples
from procactors.model.checks import modules, one_of, patience, plain_function, whole
from procactors.model.choices import Delivery
from procactors.model.handlers import check_function
from procactors.model.options import Limits, Options, Recycle
from procactors.pool.calls import PoolReply
from procactors.pool.pool import Pool
from procactors.process.cpus import usable_cpus
from procactors.process.launcher import START_METHODS
from procactors.runtime.leaving import is_broken_off
from procactors.runtime.reply import Reply
from procactors.wire.result_table import FAILURE, Sealed

if TYPE_CHECKING:
    from procactors.model.options import OptionWords

__all__ = ["ActorPoolExecutor"]

P = ParamSpec("P")
R = TypeVar("R")

#: Deaths of one worker that no call has caused, within so many seconds: a worker that is
#: killed again and again from outside comes back, one that cannot start any more is given up.
_RESTARTS, _WITHIN_S = 10, 60.0


class ActorPoolExecutor(Executor):
    """Runs calls in worker processes, as `concurrent.futures.ProcessPoolExecutor` does.

    A worker that dies costs the call that it had in hand: its future gets `ActorDied`, with a crash
    report, or the call is tried again (`retries`). All others go on, and so does the executor.

    The workers are started by the first `submit` or `map`, which blocks until they are up. Inside
    an actor they are its children. Without `shutdown` (or ``with``) they end when the executor is
    collected, or at the interpreter's exit: what was submitted is done first.

    Args:
        max_workers: how many workers; None: one for each usable CPU.
        mp_context: a context of `multiprocessing`, whose start method is taken.
        initializer: called by each worker at its start, and by its successor if it dies.
        initargs: the initializer's arguments.
        max_tasks_per_child: calls after which a worker is replaced by a fresh one; None: never.
        system: the system whose actors the workers are; None: one of its own.
        start_method: ``"forkserver"``, ``"spawn"`` or ``"fork"``, of a system of its own.
        preload: modules that are imported once for all workers, of a system of its own.
        retries: how often a call is tried again that has ended its worker; one that has ended
            three is not tried any more (`Quarantined`).
        timeout: seconds that one call may take; then its worker is killed, and its future gets
            `ItemTimeout`. None: any time.
        limits: of each worker's process; by default, one thread for BLAS and OpenMP libraries.
        env: environment variables of each worker.
        name: the pool's, for people.

    Raises:
        ValueError: an argument that makes no sense.
        TypeError: an initializer that cannot be called.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: Sequence[Any] = (),
        *,
        max_tasks_per_child: int | None = None,
        system: SystemHandle | None = None,
        start_method: str = "forkserver",
        preload: Sequence[str] = (),
        retries: int = 0,
        timeout: float | None = None,
        limits: Limits | None = None,
        env: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> None:
        if max_workers is None:
            max_workers = usable_cpus()
        elif max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None:
            if not callable(initializer):
                raise TypeError("initializer must be a callable")
            plain_function("initializer", initializer)
        if system is not None and not isinstance(system, SystemHandle):
            raise TypeError(f"system is an ActorSystem, or None for one of its own, not {system!r}")
        retries = whole("retries", retries, 0)
        options: OptionWords = {
            "size": max_workers,
            "name": name,
            "handle_timeout": timeout,
            "limits": limits,
            "env": env,
            "max_restarts": _RESTARTS,
            "within": _WITHIN_S,
            "delivery": Delivery.AT_LEAST_ONCE if retries else Delivery.AT_MOST_ONCE,
            "max_deliveries": retries + 1,
            "recycle_after": _recycling(max_tasks_per_child),
        }
        # Here, not with the first call: the workers start late.
        max_workers = whole("max_workers", Options().replace(**options).size, 1)
        preload = modules("preload", preload)
        if mp_context is not None:
            if not isinstance(mp_context, BaseContext):
                raise TypeError(f"mp_context is a context of multiprocessing, not {mp_context!r}")
            start_method = mp_context.get_start_method()
        start_method = one_of("start_method", start_method, START_METHODS)
        self._pid = os.getpid()
        self._max_workers = max_workers
        self._retries = retries
        self._engine = Engine(
            Plan(system, start_method, preload, options, initializer, tuple(initargs))
        )
        # Not at exit: the engine has a handler of its own for that.
        weakref.finalize(self, self._engine.abandon).atexit = False

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Reply[R]:
        """Have a worker call ``fn(*args, **kwargs)``; return its future at once.

        Blocks only while the first call starts the workers. Function and arguments are pickled
        before this returns; if they cannot be, the future has the error (`EncodeError`).
        ``cancel()`` takes the call back while no worker has been given it.

        Raises:
            RuntimeError: after `shutdown`, or at the interpreter's exit.
            BrokenExecutor: the workers do not start, as by an initializer that fails, or none is
                left (`PoolBroken`); or the system was stopped.
        """
        pool = self._open_pool()
        try:
            return pool.submit(fn, *args, **kwargs)
        except (EncodeError, InvalidSpec, TypeError) as error:
            # A caller with a list of futures looks for failures there, and not here.
            failed: PoolReply[R] = PoolReply(pool._transport, pool._dispatcher)
            failed.resolve(Sealed(FAILURE, error))
            return failed
        except ActorStopped as error:
            raise self._ended(error) from error

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[R]:
        """Call a function for the items of one or more inputs; return the results, in order.

        The input is taken as workers need it, and not at once as the standard library does: an
        endless one is no trouble. Leaving the iterator early (or its ``close()``) gives up what no
        worker has begun. If the results are never read, all items are done all the same, by
        `shutdown` at the latest, and failures are logged.

        Args:
            fn: a function of as many arguments as there are inputs.
            iterables: the inputs; the shortest ends the map.
            timeout: seconds from now in which results are waited for; then iterating raises
                TimeoutError.
            chunksize: items that travel together; 1: the pool chooses, by measuring.
            buffersize: items at most that have been taken from the input and whose result has
                not been given yet; then nothing at all is done beyond what is read. None: what
                keeps the workers busy.

        Raises:
            ValueError, TypeError: a size that makes no sense. EncodeError: the function cannot be
                pickled. RuntimeError, BrokenExecutor: as from `submit`.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if buffersize is not None and not hasattr(buffersize, "__index__"):
            raise TypeError("buffersize must be an integer or None")
        if buffersize is not None and buffersize < 1:
            raise ValueError("buffersize must be None or > 0")
        limit = patience("timeout", timeout)
        deadline = None if limit is None else monotonic() + limit
        check_function(fn)
        pool = self._open_pool()
        is_single = len(iterables) == 1
        words = {
            "chunk": "auto" if chunksize == 1 else chunksize,
            "in_flight": buffersize,
            "retries": self._retries,
            "deadline": deadline,
        }
        try:
            job = pool._job(
                fn, iterables[0] if is_single else Tuples(iterables), not is_single, words
            )
        except ActorStopped as error:
            raise self._ended(error) from error
        is_bounded = buffersize is not None
        return ExecutorMap(MapReading(self._engine.maps, job, is_bounded=is_bounded))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, finish those that were taken, and end the workers.

        Args:
            wait: block until that is done. False: return at once; it is done in the background,
                and the interpreter's exit waits for it.
            cancel_futures: cancel what no worker has been given; a map's reader gets
                CancelledError. What is in hand is finished.
        """
        engine = self._engine
        if self._pid != os.getpid():
            return  # a forked copy has nothing of its own to end
        engine.close()
        if cancel_futures:
            engine.cancel()
        if wait:
            engine.end()
        else:
            engine.end_later()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Shut down and wait, also after an exception, as the standard library's executors do.

        After one, a line says what that waits for, and a Ctrl-C kills the workers.
        """
        try:
            if is_broken_off(error):
                self._engine.say_what_is_left()
            self.shutdown()
        except KeyboardInterrupt:
            self.kill_workers()
            # A second one: its traceback would say what the first one's does.
            if not isinstance(error, KeyboardInterrupt):
                raise

    def kill_workers(self) -> None:
        """End the workers at once, and the executor with them.

        What they had in hand ends with `ActorDied` or `ActorStopped`, what waited with
        `ActorStopped`.
        """
        if self._pid == os.getpid():
            self._engine.kill()

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} is used from the process that made it and cannot be sent; in a function "
            f"that its worker runs, call the other function itself, or make another executor"
        )

    def __repr__(self) -> str:
        return f"<ActorPoolExecutor of {self._max_workers}{self._engine.closed and ', shut down'}>"

    def _open_pool(self) -> Pool[Any]:
        engine = self._engine
        if self._pid != os.getpid():  # where its locks may stay held for ever
            raise ForeignProcess(
                f"this executor is used in another process than the one that made it, as in a "
                f"function that its own worker runs: call the function itself there, return what "
                f"is to be done and submit that, or make another executor; process {os.getpid()} "
                f"is a copy of process {self._pid}"
            )
        pool = engine.pool
        return engine.start() if pool is None or engine.closed else pool

    def _ended(self, error: ActorStopped) -> RuntimeError:
        """Return the error of a call that came too late."""
        if self._engine.closed:
            return RuntimeError(SHUT_DOWN)
        return PoolBroken(f"the executor's actor system has ended: {error}")


def _recycling(max_tasks_per_child: int | None) -> Recycle | None:
    if max_tasks_per_child is None:
        return None
    if isinstance(max_tasks_per_child, bool) or not hasattr(max_tasks_per_child, "__index__"):
        raise TypeError("max_tasks_per_child must be an integer")
    if max_tasks_per_child <= 0:
        raise ValueError("max_tasks_per_child must be >= 1")
    return Recycle(messages=max_tasks_per_child)
