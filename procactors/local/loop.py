"""The loop of an actor in this process: one message for each step of its task.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: nothing.
Never: does with a message anything else than `runner.loop` does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.channel import Producer
from procactors.local.here import here
from procactors.local.slots import LocalHeld
from procactors.runner.loop import Loop
from procactors.runner.method_table import find_handler
from procactors.wire.envelope import WHOLE
from procactors.wire.mailbox.black_box import (
    CONTROL,
    DELIVERIES,
    EXPIRED,
    HALT,
    HANDS,
    IN_HAND,
    PHASE,
    RUNNING,
    STATE,
)
from procactors.wire.pickling.plain import PLAIN
from procactors.wire.record import KIND_AT, Kind, parse

if TYPE_CHECKING:
    from procactors.local.host import LocalHost
    from procactors.local.transport import LocalTransport
    from procactors.runner.held import Held
    from procactors.wire.mailbox.hands import Slot

__all__ = ["LocalLoop"]

_unpack = WHOLE.unpack_from
_HEAD = WHOLE.size
_CALL = int(Kind.CALL)


class LocalLoop(Loop):
    """Serves one life of an actor, step by step.

    Args:
        host: the actor's.
        reader: of its mailbox, for this life.
        transport: the system's.
        instance: the user's object.
        lost: called with (record, why) for a message that cannot be handled and wants no reply.
        history: called with (instant, actor, method, sender) of each message that is begun.
    """

    def __init__(
        self,
        host: LocalHost,
        reader: Any,
        transport: LocalTransport,
        instance: Any,
        lost: Callable[[bytes, str], None],
        history: Callable[[Any], None] | None,
    ) -> None:
        super().__init__(reader, transport.store, host.id, instance, lost)
        self._host = host
        self._now = transport.engine.now
        self._box = reader.box
        self._mail = reader.mail
        self._name = host.name
        self._history = history
        self._engine = transport.engine
        self._traces = transport.calls.traces
        self._channels = transport.channels
        self.replies = replies = transport.make_replies()
        replies.is_dead = lambda: reader.is_dead
        self._answer = replies.answer
        self._is_begun = False
        self._patience_s: float | None = None

    @property
    def thread(self) -> Any:
        """The thread in which the message in hand may be forwarded, put aside and the like."""
        life = here.life
        is_here = life is not None and life.loop is self
        return threading.current_thread() if is_here else self

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to do until a message comes, as far as a glance can tell."""
        return (
            self.source is self._reader
            and self._keeper is None
            and self._patience_s is None
            and not self._mail.records
            and not self._pausing
            and self._words[CONTROL] < HALT
        )

    def serve(self) -> bool:  # noqa: C901, PLR0912 - in one piece: it is hot
        """Handle records until others are ready; return False if this life comes to its end.

        Raises:
            WouldWait: there is none. TellFailed: a tell's handler raised. BaseException: whatever
                a handler let through.
        """
        words, box, others, engine = self._words, self._box, self._engine.others, self._engine
        if not self._is_begun:
            self._is_begun = True
            words[PHASE] = RUNNING
            if words[HANDS]:
                self._begin_anew()
        while True:
            if self._is_unstashed:
                self._begin_unstashed(True)
            if self.leaving or words[CONTROL] >= HALT:
                return False
            source = self.source
            if source.advance(self._patience_s) < 0:
                return False
            record = box.current
            if record[KIND_AT] != _CALL:
                self._serve_control(record)
                if others:
                    return True
                continue
            length, _, flags, padding, call, reply, sender, deadline, named = _unpack(record)
            if deadline and reply and self._is_unwanted(reply, call, deadline):
                self._skip(flags, parse(record).body)
                continue
            self.deadline = deadline
            body_at = _HEAD + named
            key = record[_HEAD:body_at]
            if self._history is not None:
                self._history((engine.now(), self._name, key, sender))
            body = record[body_at : length - padding]
            if body[0] == PLAIN and not flags:
                self._serve_plain(key, body, call, reply)
                source.done(place=True)
            elif not self._serve(key, flags, body, call, reply):
                source.done(place=True)
            if others:
                return True

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
        return Producer(channel, handler, self._busy()[0], self.now_ns).run

    def _serve_control(self, record: bytes) -> None:
        kind, flags, body = parse(record)
        if kind == Kind.STOP:
            self._patience_s = 0.0
        self._heed(kind, flags, body)
        self.source.done(place=kind == Kind.MOVED)

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
    def record(self) -> bytes:
        """The record in hand, as it is now; empty if there is none."""
        if self._slot is not None:
            return self._slot.raw
        return self._box.current if self._words[STATE] & IN_HAND else b""

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
