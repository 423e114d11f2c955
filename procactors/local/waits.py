"""What stands for locks, conditions and queues of the machine's where an engine says who runs.

Layer: local. Runs in: one process.
Owns: nothing.
Never: is used where threads run side by side, but for `EngineTurn`: the rest has no lock.
"""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procactors.local.engine import Engine, Waiter

__all__ = ["EngineCondition", "EngineLock", "EngineQueue", "EngineTurn", "NoGuard"]


class EngineCondition:
    """What `threading.Condition` is, for waits of which the engine knows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiters: list[Waiter] = []

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is notified; return False if `timeout` seconds have passed first."""
        waiter = self._engine.waiter()
        self._waiters.append(waiter)
        deadline = None if timeout is None else self._engine.now() + timeout
        try:
            return self._engine.wait(waiter, deadline, "a change of the pool")
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def notify_all(self) -> None:
        """Have all go on that wait."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()


class EngineLock:
    """What `threading.RLock` is, for a lock that is held while something is waited for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._owner: int | None = None
        self._depth = 0
        self._waiters: deque[Waiter] = deque()

    def __enter__(self) -> None:
        # Who waits in a step has its thread to itself: the thread names it.
        me = threading.get_ident()
        while self._owner not in (None, me):
            waiter = self._engine.waiter()
            self._waiters.append(waiter)
            self._engine.wait(waiter, None, "a change of the pool's size")
        self._owner = me
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
            if self._waiters:
                self._waiters.popleft().set()


class EngineQueue:
    """What `queue.SimpleQueue` is, for waits of which the engine knows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._items: deque[Any] = deque()
        self._waiter: Waiter | None = None

    def put(self, item: Any) -> None:
        """Add an item."""
        self._items.append(item)
        if self._waiter is not None:
            self._waiter.set()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Take the first item; wait for one up to `timeout` seconds (None: for ever).

        Raises:
            Empty: none has come.
        """
        deadline = None if timeout is None else self._engine.now() + timeout
        while not self._items:
            if not block:
                raise Empty
            self._waiter = waiter = self._engine.waiter()
            if not self._engine.wait(waiter, deadline, "the pool's results"):
                raise Empty
        return self._items.popleft()

    def get_nowait(self) -> Any:
        """Take the first item. Raises Empty: there is none."""
        return self.get(block=False)

    def empty(self) -> bool:
        """Whether there is none."""
        return not self._items


class EngineTurn:
    """What a thread waits for that waits for a reply: a lock that another releases."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._waiter = engine.waiter()
        self._is_held = False

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; the second time, wait until it is released."""
        if not self._is_held:
            self._is_held = True
            return True
        deadline = None if timeout < 0 else self._engine.now() + timeout
        return self._engine.wait(self._waiter, deadline, "a reply")

    def release(self) -> None:
        """Let who waits go on."""
        self._waiter.set()


class NoGuard:
    """Guards what one thread at a time comes to, since only one runs.

    A lock would be held by a program that lets others run while it looks at a reply.
    """

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take what is not held."""
        return True

    def release(self) -> None:
        """Hold nothing any more."""

    def _is_owned(self) -> bool:
        return True

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass
