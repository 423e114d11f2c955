"""The inbox: the main program as a receiver.

Layer: api. Runs in: parent, in the thread that receives.
Owns: the reader of its mailbox (closed with the system, or by `close`).
Never: answers: an ask sent to an inbox is refused.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, UnknownMethod
from procactors.model.checks import patience
from procactors.runtime.ref import ActorRef
from procactors.wire.endpoint import actor_path
from procactors.wire.envelope import CALL_ID, CALLS, Envelope, open_envelope
from procactors.wire.mailbox.closing import close_for_good
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import Kind
from procactors.wire.replies.sender import ReplySender
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    from procactors.runtime.watches import Watching

__all__ = ["Inbox"]


class Inbox:
    """A mailbox of the main program's own.

    Attributes:
        ref: send it to actors; what they `tell` it is received here.
    """

    def __init__(
        self,
        endpoint: Transport,
        ref: ActorRef[Any],
        lost: Callable[[str, bytes, str], None],
    ) -> None:
        self.ref = ref
        self._lost = lost
        self._closed = False
        self._endpoint = endpoint
        self._reader = MailboxReader(actor_path(endpoint.path, ref._actor))
        self._replies = ReplySender(endpoint.store)
        self._watching: Watching | None = None
        #: Takes each message, asks too, in place of whoever receives; None: asks are refused.
        self.on_call: Callable[[int, Envelope], None] | None = None
        # Guards the one reader's place: several threads take turns.
        self._turn = threading.Lock()
        endpoint.on_close(self.close)

    def receive(self, timeout: float | None = None) -> Any:
        """Return the next message, waiting up to `timeout` seconds (None: for ever).

        The end of an actor that is watched comes as a `Terminated`, its restart as a `Restarted`.

        Raises:
            TimeoutError: none came in time.
            ActorStopped: the system was stopped, also while this waits.
            DecodeError: a message could not be unpickled; it is gone, the next one is intact.
        """
        self._endpoint.check_process()
        timeout = patience("timeout", timeout)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            kind, flags, body = self._next(left, timeout)
            if kind == Kind.CALL:
                return self._endpoint.store.load(flags, body)
            event = self._watches().open(flags, body)
            if event is not None:
                return event

    def watch(self, ref: ActorRef[Any], *, restarts: bool = False) -> None:
        """Have `receive` return a `Terminated`, once, when the actor of `ref` has ended for good.

        If it is over already, at once. Watching twice is watching once.

        Args:
            ref: of the actor to watch.
            restarts: receive a `Restarted` for each new incarnation too.

        Raises:
            InvalidSpec: `ref` is no ref, or this inbox's own. ForeignProcess: of another system.
        """
        self._watches().watch(ref, restarts)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Undo `watch`: once this returns, nothing more is received of that actor's life."""
        self._watches().unwatch(ref)

    def _watches(self) -> Watching:
        if self._watching is None:
            from procactors.runtime.watches import Watching  # only where it is used

            self._watching = Watching(self._endpoint, self.ref)
        return self._watching

    def _next(self, timeout: float | None, named: float | None) -> tuple[int, int, memoryview]:
        """Take the next tell or event; return kind, flags and a copy of its encoded value.

        Args:
            timeout: seconds that are left.
            named: seconds that the caller gave, for the error.

        A copy: the traceback of an error in loading it would keep a view of the box alive.
        """
        with self._turn:
            while True:
                self._check_open()
                taken = self._reader.take(timeout)
                self._check_open()
                if taken is None:
                    raise TimeoutError(f"no message for {self.ref.name} within {named} s")
                try:
                    if taken.kind == Kind.CALL:
                        envelope = open_envelope(taken.body)
                        if self.on_call is not None:
                            self.on_call(taken.flags, envelope)
                            continue
                        if not envelope.reply and envelope.method < CALLS:
                            # Opened by us, while another thread may come to what follows.
                            self._endpoint.store.keep(taken.flags, envelope.payload)
                            return taken.kind, taken.flags, memoryview(bytes(envelope.payload))
                        self._endpoint.store.discard(taken.flags, envelope.payload)
                        self._refuse(envelope.reply, envelope.call)
                    elif taken.kind == Kind.FENCE:
                        (process,) = CALL_ID.unpack_from(taken.body)
                        self._endpoint.store.sweep(process, self.ref._actor)
                    elif taken.kind == Kind.EVENT:
                        return taken.kind, taken.flags, memoryview(bytes(taken.body))
                finally:
                    self._reader.done(place=True)

    def _check_open(self) -> None:
        if self._closed:
            raise ActorStopped(f"the system was stopped: {self.ref.name} is closed")

    def close(self) -> None:
        """Close the reader; what was not received becomes dead letters. Twice is no error."""
        if self._closed:
            return  # its descriptors may be another's by now
        self._closed = True
        self._endpoint.off_close(self.close)
        self._reader.wake()
        with self._turn:
            while self._reader.take(0.0) is not None:
                self._lost(self.ref.name, self._reader.in_hand(), "has stopped")
                self._reader.done(place=True)
            for record in close_for_good(os.dup(self._reader.fileno())):
                self._lost(self.ref.name, record, "has stopped")
            self._reader.close()
            self._replies.close()

    def _refuse(self, reply: int, call: int) -> None:
        if reply:
            error = UnknownMethod(f"{self.ref.name} is an inbox: tell it messages, do not ask")
            self._replies.answer(reply, call, Kind.VERDICT, error)
