"""The joblib backend: `joblib.Parallel`, and with it scikit-learn, on a pool of actors.

Layer: executors. Runs in: the process that calls `Parallel`.
Owns: an executor for each backend that joblib makes; it ends when joblib lets go of the backend.
Never: leaves `Parallel` waiting: whatever goes wrong at a submit is the result of that task.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from procactors.futures import ActorPoolExecutor
from procactors.model.backends import chosen_backend, unsupported
from procactors.model.options import Limits
from procactors.process.cpus import usable_cpus
from procactors.process.limits import thread_caps
from procactors.wire.raised import unbound

try:
    from joblib.parallel import (
        AutoBatchingMixin,
        FallbackToBackend,
        ParallelBackendBase,
        SequentialBackend,
        register_parallel_backend,
    )
except ImportError as error:
    raise ImportError(
        "procactors.joblib needs joblib 1.3 or later: pip install 'procactors[joblib]'"
    ) from error

if TYPE_CHECKING:
    # Untyped, so that a checker knows of no method: said here once for all below.
    class _Base:
        parallel: Any
        inner_max_num_threads: int | None
        nesting_level: int | None

        def __init__(self, **words: Any) -> None: ...
        def reset_batch_stats(self) -> None: ...

else:

    class _Base(AutoBatchingMixin, ParallelBackendBase):
        pass


__all__ = ["ProcActorsBackend", "register"]

#: What `parallel_config` may say of the executor.
_WORDS = {
    "initargs",
    "initializer",
    "limits",
    "max_tasks_per_child",
    "name",
    "preload",
    "retries",
    "start_method",
    "system",
}


def register(make_default: bool = False) -> None:
    """Make the backend known to joblib, under the name ``"procactors"``.

    Example::

        procactors.joblib.register()
        with joblib.parallel_config(backend="procactors", n_jobs=-1):
            GridSearchCV(...).fit(...)

    Args:
        make_default: `Parallel` takes it from now on if nothing else is said.
    """
    register_parallel_backend("procactors", ProcActorsBackend, make_default=make_default)


class ProcActorsBackend(_Base):
    """Runs joblib's batches on an `ActorPoolExecutor`.

    A worker that dies costs its batch: `Parallel` raises `ActorDied`, with the cause, unless
    `retries` has it tried again; the backend stays good. The workers are kept from one `Parallel`
    to the next, as long as the ``with parallel_config(...)`` block lasts in which it was named.

    Args:
        nesting_level: how many `Parallel` this one is inside of; joblib's.
        inner_max_num_threads: threads of BLAS and OpenMP libraries in each worker; None: 1, or
            what the environment says.
        words: `retries`, `preload`, `start_method`, `limits`, `max_tasks_per_child`,
            `initializer`, `initargs`, `system`, `name`: as for `ActorPoolExecutor`.

    Raises:
        TypeError: another word.
    """

    supports_retrieve_callback = True
    supports_inner_max_num_threads = True
    supports_sharedmem = False
    uses_threads = False
    #: A program that names this backend wants processes.
    default_n_jobs = -1

    def __init__(
        self,
        nesting_level: int | None = None,
        inner_max_num_threads: int | None = None,
        **words: Any,
    ) -> None:
        if unknown := sorted(words.keys() - _WORDS):
            raise TypeError(f"the backend has no word {unknown[0]!r}; it has {sorted(_WORDS)}")
        super().__init__(nesting_level=nesting_level, inner_max_num_threads=inner_max_num_threads)
        self._words = words
        self._executor: ActorPoolExecutor | None = None
        self._made_for: tuple[int, int | None] | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many workers that many jobs are: -1 is one for each usable CPU.

        Raises:
            ValueError: 0 jobs.
        """
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None:
            return 1
        return n_jobs if n_jobs > 0 else max(1, usable_cpus() + 1 + n_jobs)

    def configure(
        self,
        n_jobs: int | None = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        **theirs: Any,
    ) -> int:
        """Get ready for a `Parallel`; return its number of workers.

        Args:
            n_jobs: as for `effective_n_jobs`.
            parallel: the `Parallel`.
            prefer: joblib has looked at it.
            require: joblib has looked at it.
            theirs: of joblib's memory maps, for which there is no need here.

        Raises:
            UnsupportedOnBackend: the system is an inline one.
        """
        count = self.effective_n_jobs(n_jobs)
        if count == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        if self._made_for != (count, self.inner_max_num_threads):
            self._let_go()
        if self._executor is None:
            self._executor = self._make(count)
            self._made_for = count, self.inner_max_num_threads
        return count

    def submit(
        self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None
    ) -> Future[Any] | None:
        """Have a worker run a batch; `callback` gets its future when it has ended."""
        future: Future[Any]
        try:
            if self._executor is None:
                raise RuntimeError("this Parallel has been aborted")
            # As an argument: a function would be kept by the worker, with all that is in it.
            future = self._executor.submit(_run, func)
        except Exception as error:  # noqa: BLE001 - raised here, it would be lost in a callback
            future = Future()
            future.set_exception(error)
        if callback is None:
            return future
        future.add_done_callback(_Once(callback))
        # joblib keeps this and does not use it. Kept behind the callback, the future would close a
        # circle through its exception, as in `_Once`.
        return None

    def apply_async(
        self, func: Callable[[], Any], callback: Callable[[Any], object] | None = None
    ) -> Future[Any] | None:
        """Have a worker run a batch: the name of `submit` up to joblib 1.4."""
        return self.submit(func, callback)

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return what came of a batch, or raise it."""
        return out.result()

    def retrieval_context(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which nothing is done.

        The base class's is a generator's: one through which no frozen exception comes as itself.
        """
        return contextlib.nullcontext()

    def terminate(self) -> None:
        """End a `Parallel`: the workers are kept for the next one."""
        self.reset_batch_stats()
        # Each knows the other: without this, both would wait for the garbage collector, and with
        # them the workers.
        self.parallel = None

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """End the workers, and what they have in hand: one of their batches has failed."""
        executor, self._executor, parallel = self._executor, None, self.parallel
        if executor is not None:
            executor.kill_workers()
        if ensure_ready:
            self.configure(n_jobs=parallel.n_jobs, parallel=parallel)

    def _make(self, count: int) -> ActorPoolExecutor:
        words = dict(self._words)
        system = words.get("system")
        is_inline = chosen_backend() == "inline" if system is None else _is_inline(system)
        if is_inline:
            raise unsupported("joblib", "inline")
        threads = self.inner_max_num_threads
        words.setdefault("limits", Limits())
        if threads is not None:
            words["env"] = thread_caps(threads)  # said here and now, it wins over the environment
        return ActorPoolExecutor(count, **words)

    def _let_go(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)


def _is_inline(system: Any) -> bool:
    return not system._endpoint.has_threads


class _Once:
    """A callback that is let go of when it has been called.

    Futures keep theirs, and joblib's holds future, `Parallel` and backend: in a circle, with which
    the workers would stay until the garbage collector comes by.
    """

    def __init__(self, callback: Callable[[Any], object]) -> None:
        self._callback: Callable[[Any], object] | None = callback

    def __call__(self, future: Future[Any]) -> None:
        callback, self._callback = self._callback, None
        if callback is None:
            return
        try:
            callback(future)
        except Exception:  # see below; what else it may be is raised again
            # joblib takes an exception's traceback off by way of its class. One that refuses, as
            # a frozen dataclass does, never comes to `Parallel`, which then waits for ever.
            error, register = future.exception(), getattr(callback, "_register_outcome", None)
            if error is None or register is None:
                raise
            register({"result": unbound(error), "status": "Error"})
        future.exception()  # joblib does not look at those of a `Parallel` that has failed


def _run(batch: Callable[[], Any]) -> Any:
    return batch()
