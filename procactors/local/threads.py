"""The engine with a thread for each actor: they run side by side, by the machine's clock.

Layer: local. Runs in: one process, any thread.
Owns: the threads of its tasks, of its alarms and of users' callbacks (`close`).
Never: ends a thread from outside: a life that was killed ends by itself.
"""

from __future__ import annotations

import collections
import math
import threading
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import Any

from procactors.local.alarms import Alarm, Alarms
from procactors.local.aside import here_beside
from procactors.local.engine import Task, Waiter
from procactors.local.here import Killed, here

__all__ = ["Threads"]

#: Seconds for which the end waits for all threads: one whose handler goes on is left.
_PATIENCE_S = 1.0
#: Seconds of one wait: what interpreters and kernels take as a timeout.
_LONGEST_S = 86_400.0


class _Waiter:
    """Something that one thread waits for."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.is_set = self.is_killed = self.is_patient = False

    def set(self) -> None:
        """Say that it has come."""
        self.is_set = True
        self._event.set()

    def kill(self) -> None:
        """Have who waits raise `Killed`."""
        self.is_killed = True
        self._event.set()

    def wait(self, seconds: float | None) -> None:
        """Wait until something is said."""
        self._event.wait(seconds)


class Threads:
    """The engine of `backend="threads"`."""

    name = "threads"
    is_virtual = False

    def __init__(self) -> None:
        self._threads: dict[threading.Thread, Any] = {}
        # Guards the table of threads.
        self._lock = threading.Lock()
        self._alarms = _Alarms()
        self._callbacks = _Callbacks()
        self._is_closed = False
        self.wake = _wake
        self.yields = 0.0
        self.others: list[Any] = []

    def now(self) -> float:
        """Return the instant, in seconds."""
        return monotonic()

    def now_ns(self) -> int:
        """Return the instant, in nanoseconds."""
        return monotonic_ns()

    def start(self, task: Task, name: str) -> None:
        """Have a task's steps taken from now on, in a thread of its own."""
        task.bell = threading.Event()
        thread = threading.Thread(
            target=self._serve, args=(task,), name=f"procactors-{name}", daemon=True
        )
        with self._lock:
            self._threads[thread] = task
        thread.start()

    def _serve(self, task: Any) -> None:
        bell = task.bell
        try:
            while (wait := task.run()) is not None:
                if wait:
                    bell.wait(None if wait == math.inf else min(wait, _LONGEST_S))
                    bell.clear()
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)

    def waiter(self) -> Waiter:
        """Return something that can be waited for."""
        return _Waiter()

    def wait(self, waiter: Any, deadline: float | None, what: str) -> bool:
        """Wait until it has come, or the deadline has passed; return whether it has come.

        Raises:
            Killed: the actor that waits was killed.
        """
        life = here.life
        if life is not None:
            life.waits_for = waiter
            if life.is_dead:
                raise Killed
        try:
            while not waiter.is_set and not waiter.is_killed:
                left = None if deadline is None else deadline - monotonic()
                if left is not None and left <= 0:
                    break
                waiter.wait(None if left is None else min(left, _LONGEST_S))
        finally:
            if life is not None:
                life.waits_for = None
        if waiter.is_killed:
            raise Killed
        return bool(waiter.is_set)

    def at(self, when: float, action: Callable[[], None]) -> Alarm:
        """Have something done at an instant."""
        alarm, is_first = self._alarms.put(when, action)
        if is_first:
            self.start(self._alarms, "alarms")
        _wake(self._alarms)
        return alarm

    def later(self, callback: Callable[[], None]) -> None:
        """Have a user's callback called, in the thread for them."""
        if self._callbacks.put(callback):
            self.start(self._callbacks, "callbacks")
        _wake(self._callbacks)

    def new_event_loop(self, task: Any) -> Any:
        """Return an asyncio event loop, to be run in the task's thread.

        What is given to its default executor is the task's doing, too.
        """
        import asyncio  # large
        from concurrent.futures import ThreadPoolExecutor

        loop = asyncio.new_event_loop()
        beside = ThreadPoolExecutor(
            thread_name_prefix="procactors-aside", initializer=here_beside, initargs=(task,)
        )
        loop.set_default_executor(beside)
        return loop

    def yield_(self) -> None:
        """The machine sees to that."""

    def look(self) -> None:
        """Nothing is held back."""

    def bring(self, has_come: Callable[[], bool]) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """End the threads that are left."""
        for task in (self._alarms, self._callbacks):
            task.is_over = True
            _wake(task)
        with self._lock:
            threads = list(self._threads)
        until = monotonic() + _PATIENCE_S
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - monotonic()))


def _wake(task: Any) -> None:
    """Have the next step of a task taken. From any thread."""
    if task.bell is not None:
        task.bell.set()


class _Alarms:
    """Does things at their instants."""

    is_queued = is_running = False
    bell: Any = None

    def __init__(self) -> None:
        self._alarms = Alarms()
        # Guards them.
        self._lock = threading.Lock()
        self._is_started = False
        self.is_over = False

    def put(self, when: float, action: Callable[[], None]) -> tuple[Alarm, bool]:
        """Add one; return that, and whether nobody serves this yet."""
        with self._lock:
            alarm = self._alarms.set(when, action)
            was, self._is_started = self._is_started, True
            return alarm, not was

    def run(self) -> float | None:
        """Do what is due."""
        if self.is_over:
            return None
        with self._lock:
            left = self._alarms.next_at() - monotonic()
            if left > 0:
                return left
            action = self._alarms.pop()
        action()
        return 0.0


class _Callbacks:
    """Calls users' callbacks, one at a time."""

    is_queued = is_running = False
    bell: Any = None

    def __init__(self) -> None:
        self._waiting: collections.deque[Callable[[], None]] = collections.deque()
        # Guards the flag.
        self._lock = threading.Lock()
        self._is_started = False
        self.is_over = False

    def put(self, callback: Callable[[], None]) -> bool:
        """Add one; return whether nobody serves this yet."""
        self._waiting.append(callback)
        with self._lock:
            was, self._is_started = self._is_started, True
            return not was

    def run(self) -> float | None:
        """Call the next one."""
        if self._waiting:
            self._waiting.popleft()()
            return 0.0
        return None if self.is_over else math.inf
