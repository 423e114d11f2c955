"""What an event loop sends to one receiver and could not send at once, in order.

Layer: runtime. Runs in: any process with an event loop; `_work` in a thread of its own.
Owns: the thread, while something waits.
Never: lets what comes later overtake what waits; sends what is not wanted any more.

Two things cannot be done at once in a loop's thread: to wait for a place in a full mailbox, and to
copy a large payload. One thread for each receiver does both, so that a thousand tasks that wait for
places are one thread.
"""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any, Protocol

from procactors.errors import MailboxFull
from procactors.runtime.loop_port import LoopPort
from procactors.wire.replies.port import Answer
from procactors.wire.transport import Transport

__all__ = ["LANES", "Lane", "Sending", "is_copying", "send_later"]

#: Seconds of waiting for a place after which the thread looks whether that is still wanted.
_SLICE_S = 0.1
#: The same for a large payload, which is copied anew for each slice.
_LARGE_SLICE_S = 1.0


class Sent(Protocol):
    """Who is told what came of a sending."""

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the error for which it was not sent; without one, it was."""


class Sending:
    """One message that is to be sent.

    Args:
        attempt: sends it, and waits up to so many seconds for a place; raises MailboxFull.
        whose: is told the error, if it is not sent.
        is_wanted: whether it is still to be sent.
        patience_s: seconds to wait for a place; None: for ever.
        is_told: tell `whose` that it was sent, too.
        is_large: its payload takes long to copy.
        clock: by which it waits.
    """

    def __init__(
        self,
        attempt: Callable[[float], object],
        whose: Sent,
        is_wanted: Callable[[], bool],
        patience_s: float | None,
        *,
        is_told: bool = False,
        is_large: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._attempt = attempt
        self._whose = whose
        self.is_wanted = is_wanted
        self._clock = clock
        self._deadline = None if patience_s is None else clock() + patience_s
        self._is_told = is_told
        self.is_large = is_large
        self._context = contextvars.copy_context()

    def left_s(self) -> float | None:
        """Return for how long it may wait for a place."""
        return None if self._deadline is None else self._deadline - self._clock()

    def run(self) -> bool:
        """Send it, or find that it will not be; return False: it needs more time for that."""
        if not self.is_wanted():
            return True
        wait_s = _LARGE_SLICE_S if self.is_large else _SLICE_S
        left = self.left_s()
        is_last = left is not None and left <= wait_s
        if left is not None:
            wait_s = min(wait_s, max(0.0, left))
        error: BaseException | None = None
        try:
            self._context.run(self._attempt, wait_s)
        except MailboxFull as full:
            if not is_last:
                return False
            error = full
        except BaseException as raised:  # noqa: BLE001 - the user's pickling code may raise anything
            error = raised
        if error is not None or self._is_told:
            self._whose.deliver(None, error)
        return True

    def give_up(self, error: Exception) -> None:
        """Say that it was not sent."""
        self._whose.deliver(None, error)


class Lane:
    """The sendings from one loop to one receiver that wait.

    Args:
        port: of the loop, in whose `lanes` it stands while something waits.
        key: names it there.
        transport: by which is sent.
    """

    def __init__(self, port: LoopPort, key: Any, transport: Transport) -> None:
        self._port = port
        self._key = key
        self._transport = transport
        self._waiting: deque[Sending] = deque()
        # Guards the end: what is put behind it would wait for ever.
        self._lock = threading.Lock()
        self._is_over = False

    def put(self, sending: Sending) -> bool:
        """Take a sending; return False: the lane has ended, and does not."""
        with self._lock:
            if self._is_over:
                return False
            self._waiting.append(sending)
        return True

    def start(self) -> None:
        """Begin to send."""
        self._port.lanes[self._key] = self
        LANES.append(self)
        self._transport.begin(self._work, "lane")

    def _work(self) -> None:
        waiting = self._waiting
        while not self._ends():
            sending = waiting[0]
            if sending.is_large:
                _copying.append(self)
            try:
                is_over = sending.run()
            finally:
                if sending.is_large:
                    _copying.remove(self)
            if is_over:
                waiting.popleft()
                del sending  # what it holds is not kept until the next one comes
            else:
                self._give_up_late()

    def _ends(self) -> bool:
        with self._lock:
            if self._waiting:
                return False
            # Together: whoever finds it over puts another one there.
            self._is_over = True
            del self._port.lanes[self._key]
            LANES.remove(self)
            return True

    def _give_up_late(self) -> None:
        """Give up what waits behind the first and has run out of time."""
        for sending in list(self._waiting)[1:]:
            left = sending.left_s()
            if left is not None and left <= 0:
                with self._lock:
                    self._waiting.remove(sending)
                sending.give_up(MailboxFull("the mailbox is full, and others wait for a place"))


#: All that there are in this process: without any, nobody has to look for his.
LANES: list[Lane] = []
#: Those that are copying a large payload at this moment.
_copying: list[Lane] = []


def is_copying() -> bool:
    """Return whether a large payload is being copied."""
    return bool(_copying)


def send_later(port: LoopPort, key: Any, sending: Sending, transport: Transport) -> None:
    """Send behind all that waits for that receiver in this loop. Called in the loop's thread."""
    lane = port.lanes.get(key)
    if lane is None or not lane.put(sending):
        lane = Lane(port, key, transport)
        lane.put(sending)
        lane.start()
