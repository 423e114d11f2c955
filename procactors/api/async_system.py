"""The actor system for an event loop: from start to end without blocking it.

Layer: api. Runs in: parent, in an event loop.
Owns: the `ActorSystem` that it starts (`stop`).
Never: blocks the loop; installs signal handlers.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from procactors.api.async_spawner import AsyncSystemHandle
from procactors.api.system import LOG_REPEATS, SLOW_AFTER_S, STOP_TIMEOUT_S, ActorSystem
from procactors.errors import ActorStopped, RestartIntensityExceeded
from procactors.model.checks import deadline, patience
from procactors.runtime.aside import aside, to_the_end
from procactors.runtime.awaited import Awaited
from procactors.runtime.leaving import is_broken_off
from procactors.runtime.loop_port import port_here

if TYPE_CHECKING:
    from procactors.deadletters.store import DeadLetters
    from procactors.runtime.async_events import AsyncEvents
    from procactors.supervision.stop_report import StopReport

__all__ = ["AsyncActorSystem"]


class AsyncActorSystem(AsyncSystemHandle):
    """Starts, supervises and stops actors, in an event loop: the asyncio half of `ActorSystem`.

    Use it as ``async with AsyncActorSystem() as system``; leaving the block stops everything, as it
    does for an `ActorSystem`. Or start it by ``await AsyncActorSystem()``, and ``await
    system.stop()``. Nothing is started before that. It, and the refs that come of it, may be used
    in any number of loops and threads at once.

    Args:
        name, backend, address, start_method, preload, spares, stop_timeout, ask_timeout,
        runtime_dir, dead_letter_file, crash_dir, slow_after, metrics, logs, stdout, log_repeats: as
        for `ActorSystem`.

    Raises:
        Where it starts: what `ActorSystem` raises.

    Attributes:
        sync: the `ActorSystem`, for code that may block.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        backend: str | None = None,
        address: str | None = None,
        start_method: str = "forkserver",
        preload: Iterable[str] = (),
        spares: int = 0,
        stop_timeout: float = STOP_TIMEOUT_S,
        ask_timeout: float | None = None,
        runtime_dir: str | os.PathLike[str] | None = None,
        dead_letter_file: str | os.PathLike[str] | None = None,
        crash_dir: str | os.PathLike[str] | None = None,
        slow_after: float = SLOW_AFTER_S,
        seed: int = 0,
        metrics: bool = True,
        logs: str = "forward",
        stdout: str = "inherit",
        log_repeats: int | None = LOG_REPEATS,
    ) -> None:
        self._handle = None
        self._backend = backend
        self._make = functools.partial(
            ActorSystem,
            name,
            backend=backend,
            address=address,
            start_method=start_method,
            preload=preload,
            spares=spares,
            stop_timeout=stop_timeout,
            ask_timeout=ask_timeout,
            runtime_dir=runtime_dir,
            dead_letter_file=dead_letter_file,
            crash_dir=crash_dir,
            slow_after=slow_after,
            seed=seed,
            metrics=metrics,
            logs=logs,
            stdout=stdout,
            log_repeats=log_repeats,
        )

    @classmethod
    def of(cls, system: ActorSystem) -> AsyncActorSystem:
        """Return the view of a system that runs; `ActorSystem.aio` is shorter."""
        view = cls.__new__(cls)
        AsyncSystemHandle.__init__(view, system)
        return view

    @property
    def sync(self) -> ActorSystem:
        """The same for code that may block.

        Raises:
            RuntimeError: it is not started.
        """
        return self._started()

    @property
    def name(self) -> str:
        """For people, as in the processes' titles."""
        return self._started().name

    @property
    def dead_letters(self) -> DeadLetters:
        """Messages that no actor will handle, and why."""
        return self._started().dead_letters

    @property
    def events(self) -> AsyncEvents:
        """What happens in the system, from now on: iterate with ``async for``, or subscribe."""
        from procactors.runtime.async_events import AsyncEvents  # only where it is used

        return AsyncEvents(self._started().events)

    @property
    def failure(self) -> RestartIntensityExceeded | None:
        """Why the system ended by itself: a tree's root gave up; None otherwise."""
        return self._started().failure

    async def stop(self, timeout: float | None = None) -> StopReport:
        """Stop all actors and end the system; return what came of it. See `ActorSystem.stop`.

        Cancelled, it does not leave before all is over, but has no more patience: handlers that run
        get SIGTERM at once and SIGKILL a second later. Cancelled once more, it kills at once.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        system = self._started()
        return await to_the_end(functools.partial(system.stop, timeout), system._leave, system.kill)

    async def kill(self) -> StopReport:
        """SIGKILL every actor and end the system at once."""
        return await to_the_end(self._started().kill)

    async def flush_logs(self, timeout: float = 5.0) -> bool:
        """Wait until what actors have logged by now has come; see `ActorSystem.flush_logs`."""
        timeout = deadline("timeout", timeout)
        return await aside(functools.partial(self._started().flush_logs, timeout))

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until the system has ended, up to `timeout` seconds; return whether it has.

        Raises:
            RestartIntensityExceeded: it ended because the root of a supervision tree gave up.
        """
        timeout = patience("timeout", timeout)
        system = self._started()
        endpoint = system._endpoint
        if not endpoint.has_threads:
            return system.wait(timeout)  # its time is its own, and passes here
        closed = Awaited(port_here(), endpoint)
        action = functools.partial(closed.deliver, None, None)
        endpoint.on_close(action)
        try:
            with contextlib.suppress(ActorStopped):
                endpoint.check_process()  # closed before the action was there: it will not be run
                await asyncio.wait_for(closed, timeout)
        except asyncio.TimeoutError:
            return False
        finally:
            endpoint.off_close(action)
        return await aside(system.wait)  # for its last steps

    async def __aenter__(self) -> AsyncActorSystem:  # noqa: PYI034 - Self is newer than 3.10
        if self._handle is None:
            await self._start()
        self._started()._enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        system = self._started()
        if is_broken_off(error):
            await to_the_end(system._leave, system.kill)
            return
        await to_the_end(system.stop, system._leave, system.kill)
        if system.failure is not None:
            raise system.failure

    def __await__(self) -> Generator[Any, None, AsyncActorSystem]:
        yield from self._start().__await__()
        return self

    async def _start(self) -> None:
        if self._handle is not None:
            raise RuntimeError(f"{self.name} is started already; make another AsyncActorSystem")
        made: list[ActorSystem] = []
        try:
            # Not left when cancelled: a system half made would outlive its loop.
            if (self._backend or os.environ.get("PROCACTORS_BACKEND")) == "inline":
                made.append(self._make())  # it is this thread's, and takes no time
            else:
                await to_the_end(lambda: made.append(self._make()))
        except asyncio.CancelledError:
            for system in made:
                await to_the_end(system.kill)
            raise
        self._handle = made[0]

    def _started(self) -> ActorSystem:
        if self._handle is None:
            raise RuntimeError(
                "this AsyncActorSystem is not started: say `async with AsyncActorSystem() as "
                "system:`, or `system = await AsyncActorSystem()`"
            )
        assert isinstance(self._handle, ActorSystem)
        return self._handle

    def __repr__(self) -> str:
        return "<AsyncActorSystem (not started)>" if self._handle is None else super().__repr__()
