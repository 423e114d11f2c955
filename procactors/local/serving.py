"""What both loops of an actor in this process do alike: the one of coroutines, and the plain one.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: nothing.
Never: does with a message anything else than the loops of `runner` do.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.channel import Producer
from procactors.local.here import here
from procactors.local.slots import LocalHeld
from procactors.runner.loop import Loop
from procactors.runner.method_table import find_handler
from procactors.wire.envelope import WHOLE, untraced
from procactors.wire.mailbox.black_box import DELIVERIES, EXPIRED, INCARNATION
from procactors.wire.record import KIND_AT, Kind

if TYPE_CHECKING:
    from procactors.local.host import LocalHost
    from procactors.local.transport import LocalTransport
    from procactors.runner.held import Held
    from procactors.wire.mailbox.hands import Slot

__all__ = ["Serving"]

_unpack = WHOLE.unpack_from
_HEAD = WHOLE.size
_CALL = int(Kind.CALL)


class Serving(Loop):
    """Serves one life of an actor; for a class that is built on it and on a loop of `runner`."""

    def _settle(
        self, host: LocalHost, transport: LocalTransport, history: Callable[[Any], None] | None
    ) -> None:
        """Take over what stands for pipes and files.

        Args:
            host: the actor's.
            transport: the system's.
            history: called with (instant, actor, method, sender) of each message that is begun.
        """
        reader: Any = self._reader
        self._host = host
        self._box = reader.box
        self._mail = reader.mail
        self._actor_name = host.name
        self._history = history
        self._engine = transport.engine
        self._now = transport.engine.now
        self._traces = transport.calls.traces
        self._channels = transport.channels
        self.replies = replies = transport.make_replies()
        replies.is_dead = lambda: reader.is_dead
        self._answer = replies.answer
        self._is_begun = False

    @property
    def thread(self) -> Any:
        """The thread in which the message in hand may be forwarded, put aside and the like."""
        life = here.life
        is_here = life is not None and life.loop is self
        return threading.current_thread() if is_here else self

    def _fail(self, call: int, reply: int, error: BaseException) -> None:
        if error.__traceback__ is not None:
            self._traces[call] = error.__traceback__
        try:
            super()._fail(call, reply, error)
        finally:
            self._traces.pop(call, None)

    def _streaming(self, key: bytes) -> Callable[..., Any]:
        number, _, method = key[1:].partition(b":")
        _, handler = find_handler(self._instance, self._table, method, streamed=True)
        channel = self._channels.find(int(number, 16))
        producer = Producer(channel, handler, self._busy()[0], self.now_ns)
        if (meter := self._reader.meter) is not None:
            producer.on_taken = functools.partial(meter.items, key)
        return producer.run

    def _traced(self, key: bytes) -> Callable[..., Any]:
        """Return what calls the handler in a span, which the program's own tracer makes."""
        method, context = untraced(key)
        handler = self._bound.get(method) or self._bind(method)
        try:
            from procactors.spans.handling import in_span  # only where a message is traced
            from procactors.spans.sending import tracer_here
        except ImportError:  # a dead letter of a program that had OpenTelemetry
            return handler
        tracer = tracer_here()
        if tracer is None:
            return handler
        who = self._actor_name, self._words[INCARNATION]
        return in_span(tracer, handler, method, context, who, self.deliveries)

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller of the message in hand has cancelled it."""
        if self._runner is not None and self._runner.is_cancelled:
            return True  # of a pool's call
        record = self.record
        if not self._host.cancelled or len(record) < _HEAD or record[KIND_AT] != _CALL:
            return False
        return _unpack(record)[4] in self._host.cancelled

    @property
    def held(self) -> Held:
        """The messages that are held out of the batch."""
        if self._held is None:
            reader: Any = self._reader
            self._held = LocalHeld(reader, self._store, self._keeper, self._host.table)
        return self._held

    def _is_unwanted(
        self, reply: int, call: int, deadline: float, slot: Slot | None = None
    ) -> bool:
        """Return whether a message is not to begin: it is late."""
        words = self._words
        is_again = bool(words[DELIVERIES] if slot is None else slot.deliveries)
        if deadline and not is_again and self._now() >= deadline:
            words[EXPIRED] += 1
            return True
        return False
