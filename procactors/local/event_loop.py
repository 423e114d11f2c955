"""The asyncio event loop of an actor in a deterministic system: by its clock, and in its order.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: what is ready in it, and its timers (`close`).
Never: waits by itself: the engine waits; reads the machine's clock, a socket or a pipe.

What is ready in one loop runs in the order in which it became so, as `asyncio` promises it. Between
any two of these others of the system may have their turn, as the seed has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import heapq
import itertools
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from procactors.local.aside import Aside
from procactors.local.here import here
from procactors.model.backends import unsupported

if TYPE_CHECKING:
    from procactors.local.engine import Task, VirtualEngine, Waiter

__all__ = ["EngineLoop"]

#: Seconds by which two instants are the same: sums of seconds are not exact.
_SAME_S = 1e-9
#: Steps that the end of a killed life has for what unwinds there.
_UNWINDS = 10_000


class EngineLoop(asyncio.BaseEventLoop):
    """The event loop of one life.

    Args:
        engine: runs it.
        task: the life.
    """

    def __init__(self, engine: VirtualEngine, task: Task) -> None:
        super().__init__()
        self._engine = engine
        self._task = task
        self._clock_resolution = _SAME_S
        self._asyncgens: Any = _InOrder()
        self._waiter: Waiter | None = None
        self._ready: Any
        self._scheduled: Any
        self._stopping: bool
        self._thread_id: int | None
        self._timer_cancelled_count: int
        self.set_task_factory(_numbered_task)

    # -- what the engine calls --------------------------------------------------------------------

    def turn(self) -> None:
        """Run what is ready until others of the system are, or the loop is stopped."""
        ready, others = self._ready, self._engine.others
        with self._running():
            self._take_due()
            while ready and not self._stopping:
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()
                if others:
                    return
                if not ready:
                    self._take_due()

    def was_stopped(self) -> bool:
        """Return whether `stop` was called since this was asked last."""
        was, self._stopping = self._stopping, False
        return was

    @property
    def is_ready(self) -> bool:
        """Whether something is to be run now."""
        return bool(self._ready) or self._next_at() <= self._engine.now() + _SAME_S

    def next_in(self) -> float | None:
        """Return the seconds until the next timer; None: there is none."""
        when = self._next_at()
        return None if when == float("inf") else max(0.0, when - self._engine.now())

    def unwind(self) -> None:
        """Run what is ready, out of turn and without time going on: a killed life ends."""
        ready = self._ready
        with self._running():
            for _ in range(_UNWINDS):
                if not ready:
                    return
                handle = ready.popleft()
                if not handle._cancelled:
                    handle._run()

    def begin_aside(self, call: Callable[[], None]) -> None:
        """Begin a call that may wait, beside the loop."""
        self._engine.start(Aside(here.life, call), "aside")

    # -- what asyncio asks of a loop --------------------------------------------------------------

    def time(self) -> float:
        """Return the instant, in seconds."""
        return self._engine.now()

    def call_soon(  # type: ignore[override]
        self, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.Handle:
        """Have something called, in this loop's next turn."""
        handle = super().call_soon(callback, *args, context=context)
        if self._thread_id is None:
            self._come()
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        """Have something called at an instant."""
        timer = super().call_at(when, callback, *args, context=context)
        if self._thread_id is None:
            self._come()
        return timer

    def run_forever(self) -> None:
        """Run until `stop` is called; others of the system have their turns meanwhile."""
        self._check_closed()  # type: ignore[attr-defined]
        while not self.was_stopped():
            self.turn()
            if not self._stopping:
                self._pause()

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Any, *args: Any
    ) -> Any:
        """Call a function beside the loop: no thread, but in its turn, as the seed has it."""
        self._check_closed()  # type: ignore[attr-defined]
        future = self.create_future()
        context = contextvars.copy_context()

        def call() -> None:
            result, error = None, None
            try:
                result = context.run(func, *args)
            except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the caller's
                error = RuntimeError(repr(raised)) if type(raised) is StopIteration else raised
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self.call_soon_threadsafe(_settle, future, result, error)

        self.begin_aside(call)
        return future

    def _write_to_self(self) -> None:
        self._come()

    # -- inside -----------------------------------------------------------------------------------

    def _come(self) -> None:
        """Something is ready that was not."""
        if self._waiter is not None:
            self._waiter.set()
        elif not self._task.is_running:  # else the step that goes on sees it
            self._engine.wake(self._task)

    def _pause(self) -> None:
        """Let others have their turn, and wait until something is ready."""
        engine = self._engine
        if self.is_ready:
            engine.give_way()
            return
        self._waiter = waiter = engine.waiter()
        when = self._next_at()
        try:
            deadline = None if when == float("inf") else when
            engine.wait(waiter, deadline, "what an actor awaits")
        finally:
            self._waiter = None

    @contextlib.contextmanager
    def _running(self) -> Iterator[None]:
        self._check_running()  # type: ignore[attr-defined]
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(
            firstiter=self._asyncgen_firstiter_hook,  # type: ignore[attr-defined]
            finalizer=self._asyncgen_finalizer_hook,  # type: ignore[attr-defined]
        )
        self._thread_id = threading.get_ident()
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            self._thread_id = None
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)

    def _take_due(self) -> None:
        timers = self._scheduled
        if not timers:
            return
        until = self._engine.now() + _SAME_S
        while timers and (timers[0]._cancelled or timers[0]._when <= until):
            timer = self._drop_first()
            if not timer._cancelled:
                self._ready.append(timer)

    def _next_at(self) -> float:
        timers = self._scheduled
        while timers and timers[0]._cancelled:
            self._drop_first()
        return timers[0]._when if timers else float("inf")

    def _drop_first(self) -> Any:
        timer = heapq.heappop(self._scheduled)
        timer._scheduled = False
        if timer._cancelled:
            self._timer_cancelled_count -= 1
        return timer


def _refused(name: str) -> Any:
    def refuse(self: EngineLoop, *args: Any, **kwargs: Any) -> NoReturn:
        raise unsupported("io", "inline")

    refuse.__name__ = name
    return refuse


#: What would wait for the machine. `getaddrinfo` and its like are calls beside the loop.
_OUTSIDE = (
    "add_reader",
    "add_writer",
    "add_signal_handler",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "create_connection",
    "create_datagram_endpoint",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "sendfile",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendfile",
    "sock_sendto",
    "start_tls",
    "subprocess_exec",
    "subprocess_shell",
)
for _name in _OUTSIDE:
    setattr(EngineLoop, _name, _refused(_name))


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


class _NumberedTask(asyncio.Task):  # type: ignore[type-arg]
    """A task whose hash is a number of its loop's: a set of tasks has the same order each time."""

    def __hash__(self) -> int:
        try:
            return self._number  # type: ignore[has-type, no-any-return]
        except AttributeError:
            self._number = number = next(_numbers_of(self.get_loop()))
            return number


def _numbers_of(loop: Any) -> Iterator[int]:
    numbers: Iterator[int] | None = getattr(loop, "_numbers", None)
    if numbers is None:
        numbers = loop._numbers = itertools.count(1)
    return numbers


def _numbered_task(loop: Any, coroutine: Any, **words: Any) -> asyncio.Task[Any]:
    return _NumberedTask(coroutine, loop=loop, **words)


class _InOrder:
    """What `weakref.WeakSet` is to the base class, in the order in which things came."""

    def __init__(self) -> None:
        self._all: dict[int, weakref.ref[Any]] = {}

    def add(self, thing: Any) -> None:
        self._all[id(thing)] = weakref.ref(thing)

    def discard(self, thing: Any) -> None:
        self._all.pop(id(thing), None)

    def clear(self) -> None:
        self._all.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter([thing for ref in self._all.values() if (thing := ref()) is not None])

    def __len__(self) -> int:
        return len(list(iter(self)))
