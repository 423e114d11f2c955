"""What runs behind an executor: its pool, the system if that is its own, and how both end.

Layer: executors. Runs in: the process that made the executor; its end in a thread of its own if no
caller waits for it.
Owns: the pool, and a system that it made itself (`end`, `kill`); the exit handler that ends them.
Never: holds its executor: when that one is collected, this ends by itself, its work done.

    start ─► (system) ─► pool ─► close ─► open maps ─► pool.stop ─► (system.stop)
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from procactors.api.actor import context_here
from procactors.api.spawner import Spawner, SystemHandle
from procactors.api.system import ActorSystem
from procactors.errors import (
    ActorStopped,
    ForeignProcess,
    NameTaken,
    PoolBroken,
    ProcActorsError,
    SpawnError,
)
from procactors.executors.executor_map import OpenMaps, start_thread
from procactors.light_tuple import NamedTuple
from procactors.pool.pool import Pool
from procactors.process.nesting import check_depth, importer, one_deeper

if TYPE_CHECKING:
    from procactors.model.options import OptionWords

__all__ = ["Engine", "Initialized", "Plan"]

_log = logging.getLogger("procactors")

#: Errors of a submit, in the words of the standard library, which programs look for.
SHUT_DOWN = "cannot schedule new futures after shutdown"
EXITING = "cannot schedule new futures after interpreter shutdown"


class Initialized:
    """An executor's worker: each incarnation begins with the initializer.

    If it fails in the first one, the executor cannot start. In a later one the worker is given up:
    to try it again and again would keep those waiting whose calls are in the queue.
    """

    def __init__(self, initializer: Callable[..., object] | None, initargs: Sequence[Any]) -> None:
        if initializer is None:
            return
        context = context_here()
        try:
            initializer(*initargs)
        except Exception:
            if context is None or context.incarnation == 1:
                raise
            context.log.exception("the initializer has failed; this worker is given up")
            context.stop()


class Plan(NamedTuple):
    """What an engine is made of.

    Attributes:
        system: whose pool it is; None: of a system of its own, or children of this actor.
        start_method, preload: of a system of its own.
        options: of the pool.
        initializer, initargs: what each worker begins with.
    """

    system: SystemHandle | None
    start_method: str
    preload: Sequence[str]
    options: OptionWords
    initializer: Callable[..., object] | None
    initargs: Sequence[Any]


class Engine:
    """One executor's pool, made when it is first needed.

    Attributes:
        pool: None until then.
        closed: why no work is taken any more, as the error says; empty while it is.
        maps: those that are to be done though they are not read, or not to their end.
    """

    def __init__(self, plan: Plan) -> None:
        self.pool: Pool[Any] | None = None
        self.closed = ""
        self.maps = OpenMaps()
        self._plan = plan
        self._own: ActorSystem | None = None
        self._broken: SpawnError | None = None
        # Guards making the pool, and closing. Reentrant: an initializer's pickling may submit.
        self._lock = threading.RLock()
        # Held by the one thread that ends it; others wait for it.
        self._ending = threading.RLock()
        self._ended = False

    # -- work comes -----------------------------------------------------------------------------

    def start(self) -> Pool[Any]:
        """Return the pool; make it if there is none.

        Blocks until its workers are up.

        Raises:
            RuntimeError: no work is taken any more. PoolBroken: the workers do not start.
        """
        with self._lock:
            if _exiting:
                raise RuntimeError(EXITING)
            if self.closed:
                raise RuntimeError(self.closed)
            if self._broken is not None:
                raise _broken_by(self._broken)
            if self.pool is not None:
                return self.pool
            if importer() is not None:
                # Inert, and not kept: a handler that submits later gets workers.
                name = self._plan.options["name"] or "executor"
                return ActorSystem().options(name=name).pool(Initialized, None, ())
            self.pool = self._open()
            return self.pool

    def _open(self) -> Pool[Any]:
        plan = self._plan
        _engines.add(self)
        try:
            return self._spawner().pool(Initialized, plan.initializer, plan.initargs)
        except NameTaken:
            raise
        except SpawnError as error:
            self._broken = error
            raise _broken_by(error) from error

    def _spawner(self) -> Spawner:
        plan = self._plan
        context = context_here()
        if context is not None and not _is_here(context.system):
            context = None
        infix = f"{context.system._endpoint.actor}-" if context is not None else ""
        name = plan.options["name"] or f"executor-{infix}{next(_numbers)}"
        options: OptionWords = {**plan.options, "name": name}
        if plan.system is not None:
            return plan.system.options(**options)
        if context is not None:
            # Workers that make executors, whose workers do: a level each, as systems are.
            check_depth("this executor")
            options["env"] = {**one_deeper(), **(options["env"] or {})}
            return context.options(**options)
        if self._own is None:
            self._own = ActorSystem(start_method=plan.start_method, preload=plan.preload)
        return self._own.options(**options)

    def say_what_is_left(self) -> None:
        """Log for what the end of a block waits that was left by an exception."""
        pool = self.pool
        if pool is not None and (count := pool._dispatcher.unfinished()):
            text = "left by an exception, and waits for %d call%s of %s; Ctrl-C kills its workers"
            _log.warning(text, count, "" if count == 1 else "s", pool.name)

    # -- the end --------------------------------------------------------------------------------

    def close(self, why: str = SHUT_DOWN) -> None:
        """Take no more work."""
        with self._lock:
            self.closed = self.closed or why
        self.maps.close(self.closed)

    def cancel(self) -> None:
        """Cancel all that no worker has been given."""
        self.maps.give_up(CancelledError())
        if self.pool is not None:
            self.pool._dispatcher.cancel_waiting()

    def end(self) -> None:
        """Finish what was taken on, then end pool and system; blocks until they are gone."""
        self.close()
        with self._ending:
            if self._ended:
                return
            self.maps.finish()
            if self.pool is not None:
                self.pool.stop()
            if self._own is not None:
                self._own.stop()
            self._ended = True
            _engines.discard(self)

    def end_later(self) -> None:
        """End in a thread of its own, for which the interpreter waits at its exit."""
        self.close()
        # In the interpreter's last moments there are no new threads: the exit handler ends it.
        start_thread(self._end_alone, "procactors-executor", daemon=False)

    def kill(self) -> None:
        """End pool and system at once; what was not done ends with an error."""
        self.close()
        self.maps.give_up(ActorStopped("the executor's workers were killed; this was not handled"))
        if self.pool is not None:
            self.pool.kill()
        self.end()

    def abandon(self) -> None:
        """End without a caller that waits: the executor was collected. Touches a queue only."""
        if self._ended:
            return
        if self.pool is not None:
            self.pool._transport.run_callback(self.end_later)
        elif self._own is not None:
            self._own._endpoint.run_callback(self.end_later)

    def _end_alone(self) -> None:
        try:
            self.end()
        except Exception:  # noqa: BLE001 - it would be lost with this thread
            _log.exception("an executor did not end in order")


def _broken_by(error: SpawnError) -> PoolBroken:
    broken = PoolBroken(f"the executor's workers did not start: {error}")
    broken.__cause__ = error
    return broken


def _is_here(system: SystemHandle) -> bool:
    """Whether this process is the actor itself, and not a forked copy of it."""
    try:
        system._endpoint.check_process()
    except ForeignProcess:
        return False
    return True


#: Numbers of the executors of this process that have no name.
_numbers = itertools.count(1)
#: Those that have something to end.
_engines: set[Engine] = set()
_exiting = False


def _end_at_exit() -> None:
    """Finish all work before the program's end, as the standard library's executors do.

    Registered after the system's own handler, so it runs before it: that one stops workers, and
    knows nothing of what still waits for them.
    """
    global _exiting  # noqa: PLW0603 - an interpreter exits once
    _exiting = True
    for engine in list(_engines):
        with contextlib.suppress(ProcActorsError, OSError):  # the others must be ended too
            engine.end()


def _forget_in_child() -> None:
    _engines.clear()


atexit.register(_end_at_exit)
os.register_at_fork(after_in_child=_forget_in_child)
