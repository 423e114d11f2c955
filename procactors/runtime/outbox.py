"""A process's way for answers that were put off: into reply pipes, from any thread.

Layer: runtime. Runs in: any process of a system, any thread; loaded where it is used.
Owns: the write ends of the reply pipes that it writes to, until the system ends here.
Never: waits for another thread: the garbage collector sends answers, too.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from procactors.wire.copies import in_copies
from procactors.wire.envelope import CALL_ID
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import parse
from procactors.wire.replies.sender import ReplySender
from procactors.wire.transport import Answering, Transport

__all__ = ["Outbox", "outbox_of"]

_log = logging.getLogger("procactors")


class Outbox:
    """Puts answers into reply pipes, from any thread, one at a time.

    A thread that finds another at it leaves its answer there and goes on: so may the garbage
    collector, which runs in the midst of anything.
    """

    def __init__(self, store: PayloadStore) -> None:
        self._store = store
        self._sender = (store.make_replies or ReplySender)(store)
        self._waiting: deque[tuple[int, bytes, Callable[[], None]]] = deque()
        # Held by the thread that sends; never waited for.
        self._sending = threading.Lock()

    def post(self, reply: int, record: bytes, then: Callable[[], None]) -> None:
        """Have a record sent, and then `then` called."""
        self._waiting.append((reply, record, then))
        # Once more behind the release: another thread may have come just before it.
        while self._waiting and self._sending.acquire(blocking=False):
            try:
                self._send_all()
            finally:
                self._sending.release()

    def close(self) -> None:
        """Close the write ends."""
        self._sender.close()

    def _send_all(self) -> None:
        while self._waiting:
            reply, record, then = self._waiting.popleft()
            try:
                _, flags, body = parse(record)
                if not self._sender.send(reply, record):
                    self._store.discard(flags, body[CALL_ID.size :])
                then()
            except (OSError, ValueError):  # no descriptor is left, or the process is ending
                _log.exception("an answer that was put off could not be sent")


#: By system.
_outboxes: dict[str, Outbox] = {}


def outbox_of(transport: Transport | Answering) -> Outbox:
    """Return this process's, made when it is first asked for."""
    path = transport.path
    outbox = _outboxes.get(path)
    if outbox is None:
        made = Outbox(transport.store)
        outbox = _outboxes.setdefault(path, made)
        if outbox is made:
            transport.on_close(lambda: _forget(path))
            in_copies(_outboxes.clear)
    return outbox


def _forget(path: str) -> None:
    outbox = _outboxes.pop(path, None)
    if outbox is not None:
        outbox.close()
