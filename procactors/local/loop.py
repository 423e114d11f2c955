"""The loop of an actor in this process: one message for each step of its task.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: nothing.
Never: does with a message anything else than `runner.loop` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.serving import Serving
from procactors.wire.envelope import WHOLE
from procactors.wire.mailbox.black_box import (
    CONTROL,
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

__all__ = ["LocalLoop"]

_unpack = WHOLE.unpack_from
_HEAD = WHOLE.size
_CALL = int(Kind.CALL)


class LocalLoop(Serving):
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
        self._settle(host, transport, history)
        self._patience_s: float | None = None

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

    def cancel(self, call: int) -> None:
        """Do nothing: a handler that awaits nothing looks by itself whether it is wanted."""

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
                self._history((engine.now(), self._actor_name, key, sender))
            body = record[body_at : length - padding]
            if body[0] == PLAIN and not flags:
                self._serve_plain(key, body, call, reply)
                source.done(place=True)
            elif not self._serve(key, flags, body, call, reply):
                source.done(place=True)
            if others:
                return True

    def _serve_control(self, record: bytes) -> None:
        kind, flags, body = parse(record)
        if kind == Kind.STOP:
            self._patience_s = 0.0
        self._heed(kind, flags, body)
        self.source.done(place=kind == Kind.MOVED)

    @property
    def record(self) -> bytes:
        """The record in hand, as it is now; empty if there is none."""
        if self._slot is not None:
            return self._slot.raw
        return self._box.current if self._words[STATE] & IN_HAND else b""
