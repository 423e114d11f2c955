"""The loop of an actor in this process: one message for each step of its task.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: nothing.
Never: does with a message anything else than `runner.loop` does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.box import LocalReader, is_begun
from procactors.local.here import Killed
from procactors.local.serving import Serving
from procactors.wire.envelope import WHOLE
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    CONTROL,
    DELIVERIES,
    HALT,
    HANDLED,
    HANDS,
    IN_HAND,
    PHASE,
    RUNNING,
    STATE,
)
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.meter_table import FINE_NS, FINE_SHIFT, INDEX, SUM, index_of
from procactors.wire.pickling.plain import PLAIN, load_plain
from procactors.wire.record import KIND_AT, Kind, parse

if TYPE_CHECKING:
    from procactors.local.host import LocalHost
    from procactors.local.transport import LocalTransport

__all__ = ["LocalLoop"]

_unpack = WHOLE.unpack_from
_HEAD = WHOLE.size
_CALL = int(Kind.CALL)
#: Bytes of padding that only a stamped record has more of.
_LEAST_STAMPED = 7


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
        # Records come straight from a mailbox with any number of places.
        # Where one thing runs at a time, nothing comes between two steps.
        is_alone = transport.engine.is_virtual
        self._is_straight = is_alone and type(reader) is LocalReader and not host.options.mailbox

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to do until a message comes, as far as a glance can tell."""
        return (
            self.source is self._reader
            and self._keeper is None
            and self._patience_s is None
            and not self._pausing  # it has put something back, or is to end
            and not self._mail.records
            # What the message just handled has asked for: to leave, or what it has unstashed.
            and not self._pausing
            and not self.leaving
            and self._words[CONTROL] < HALT
        )

    def cancel(self, call: int) -> None:
        """Do nothing: a handler that awaits nothing looks by itself whether it is wanted."""

    def serve(self) -> bool:
        """Handle records until others are ready; return False if this life comes to its end.

        Raises:
            WouldWait: there is none. TellFailed: a tell's handler raised. BaseException: whatever
                a handler let through.
        """
        words, others = self._words, self._engine.others
        if not self._is_begun:
            self._is_begun = True
            words[PHASE] = RUNNING
            if words[HANDS]:
                self._begin_anew()
        while True:
            if self._is_unstashed:
                self._begin_unstashed(True)
            self._pausing = self.leaving
            if self.leaving or words[CONTROL] >= HALT:
                return False
            source = self.source
            if source is self._reader and self._is_straight and not is_begun(words[STATE]):
                self._serve_straight(others)
            elif source.advance(self._patience_s) < 0:
                return False
            else:
                self._serve_one(self._box.current)
            if others:
                return True

    def _serve_straight(self, others: list[Any]) -> None:  # noqa: C901, PLR0912, PLR0915 - it is hot
        """Handle records until others are ready, or something else is to be looked at.

        What `advance`, `_serve_one` and `done` do, without a call for each: they cost as much as
        the rest.
        """
        reader: Any = self._reader
        words, box, records, history = self._words, self._box, reader.records, self._history
        engine, name, bound = self._engine, self._actor_name, self._bound
        rows = None if reader.meter is None else reader.meter.rows
        while not self._pausing and words[CONTROL] < HALT:
            if reader.is_dead:
                raise Killed
            try:
                record = box.current = records.popleft()
            except IndexError:
                if self._patience_s is None:
                    raise WouldWait(None) from None
                self._is_straight = False  # it has come to its stop
                return
            words[BUSY_SINCE] = engine.now_ns()
            if record[KIND_AT] != _CALL:
                words[STATE] = len(record) << 40 | IN_HAND
                self._serve_control(record)
            else:
                length, _, flags, padding, call, reply, sender, deadline, named = _unpack(record)
                words[STATE] = length << 40 | IN_HAND
                if (deadline and reply) or flags:
                    self._serve_one(record)
                else:
                    self.deadline = 0.0
                    body_at = _HEAD + named
                    key = record[_HEAD:body_at]
                    if history is not None:
                        history((engine.now(), name, key, sender))
                    reader.key = key
                    if padding > _LEAST_STAMPED:
                        reader.waited(0)
                    if record[body_at] != PLAIN:
                        body = record[body_at : length - padding]
                        if not self._serve(key, flags, body, call, reply):
                            self.source.done(place=True)
                    else:
                        handler = bound.get(key)
                        if handler is None or reply:
                            self._serve_plain(key, record[body_at:], call, reply)
                        else:
                            args = load_plain(record[body_at:])
                            try:
                                handler(*args)
                            except Exception as error:  # noqa: BLE001 - the user's
                                self._raised(error, key, call, reply)
                        if reader.is_dead:
                            raise Killed
                        words[DELIVERIES] = 0
                        words[STATE] = length << 40 | length << 16
                        words[HANDLED] += 1
                        if rows is not None:
                            took = engine.now_ns() - words[BUSY_SINCE]
                            row = rows[key]
                            at = INDEX[took >> FINE_SHIFT] if took < FINE_NS else index_of(took)
                            row[at] += 1
                            row[SUM] += took
            if others:
                return

    def _serve_one(self, record: bytes) -> None:
        """Handle the record that has just been taken."""
        if record[KIND_AT] != _CALL:
            self._serve_control(record)
            return
        length, _, flags, padding, call, reply, sender, deadline, named = _unpack(record)
        if deadline and reply and self._is_unwanted(reply, call, deadline):
            self._skip(flags, parse(record).body)
            return
        self.deadline = deadline
        body_at = _HEAD + named
        key = record[_HEAD:body_at]
        if self._history is not None:
            self._history((self._now(), self._actor_name, key, sender))
        reader: Any = self._reader
        reader.turn(key)
        if padding > _LEAST_STAMPED:
            reader.waited(0)
        body = record[body_at : length - padding]
        if body[0] == PLAIN and not flags:
            self._serve_plain(key, body, call, reply)
        elif self._serve(key, flags, body, call, reply):
            return
        self.source.done(place=True)

    def _serve_control(self, record: bytes) -> None:
        kind, flags, body = parse(record)
        if kind == Kind.STOP:
            self._patience_s = 0.0
        self._reader.turn(None)
        self._heed(kind, flags, body)
        self.source.done(place=kind == Kind.MOVED)

    @property
    def record(self) -> bytes:
        """The record in hand, as it is now; empty if there is none."""
        if self._slot is not None:
            return self._slot.raw
        return self._box.current if self._words[STATE] & IN_HAND else b""
