"""Notes what an actor is told, in which order, and what it answers, in the file of a run.

Layer: runner. Runs in: actor, in the thread that serves it. Loaded by lives that are recorded.
Owns: the process's descriptor of the file (`wire.run_file.leave`).
Never: changes what it notes; keeps anything: a killed process has written all that it began.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from procactors.errors import EncodeError
from procactors.runner.taps import Tap, Tapped
from procactors.wire.envelope import bare, open_envelope
from procactors.wire.pickling.bundle import leans
from procactors.wire.pickling.codec import split
from procactors.wire.pickling.definitions import published_with
from procactors.wire.pickling.plain import as_pickle
from procactors.wire.record import EVENT, Kind, parse
from procactors.wire.run_file import append, leave

_log = logging.getLogger("procactors")

__all__ = ["SINKS", "Entry", "value_of"]

#: Where entries go instead of to a file: by the argument of the tap. For all of one process.
SINKS: dict[str, Callable[[tuple[Any, ...]], None]] = {}

Value = tuple[bytes, tuple[bytes, ...], dict[str, bytes]]


class Entry(Tap):
    """Notes one life; the argument is the path of the file."""

    @classmethod
    def begins(cls, life: Tapped, argument: str) -> None:
        """A life is about to construct its actor."""
        blueprint, extra = life.blueprint()
        facts = life.actor, life.name, life.class_name, life.incarnation, life.parent, life.seed
        values = _joined(blueprint, life.path), _joined(extra, life.path) if extra else None
        _sink_of(argument, life)(("life", life.now_ns(), *facts, life.options, *values))

    def change(self, argument: str) -> None:
        """Note it in that file."""
        self._path = argument
        self._write = _sink_of(argument, self._life)

    def remove(self) -> None:
        """Note nothing more."""
        super().remove()
        if os.path.isdir(self._life.path):  # else the file is the main program's
            leave(self._path)

    def taken(self, at: int, timeout: float | None) -> int:
        """A record is in hand: note it."""
        kind, flags, body = parse(self._reader.in_hand())
        if kind == Kind.CALL:
            envelope = open_envelope(body)
            self._note(
                "begin",
                envelope.sender,
                (envelope.reply, envelope.call),
                bool(envelope.reply),
                bare(envelope.method),
                self._payload(flags, envelope.payload),
            )
        elif kind == Kind.EVENT:
            what, about, _ = EVENT.unpack_from(body)
            self._note("event", what, about)
        elif kind == Kind.STOP:
            self._note("stop")
        return at

    def answers(self, reply: int, call: int, kind: int, value: object) -> None:
        """The message in hand is about to be answered: note with what."""
        store = self._loop._store
        # What cannot be sent is answered by an error, which comes here in its turn.
        with contextlib.suppress(EncodeError):
            head, buffers = store.encode(value)
            noted = value_of(head, [bytes(buffer) for buffer in buffers], self._life.path)
            self._note("answer", (reply, call), int(kind), noted)

    def _payload(self, flags: int, payload: memoryview) -> Value:
        store: Any = self._loop._store
        head, buffers, received = store.open(flags, payload)
        try:
            return value_of(bytes(head), [bytes(buffer) for buffer in buffers], self._life.path)
        finally:
            if received is not None:  # the handler opens it once more
                store.keep(flags, payload)
                received.leave()

    def _note(self, kind: str, *facts: Any) -> None:
        life = self._life
        try:
            self._write((kind, self._loop.now_ns(), life.actor, life.incarnation, *facts))
        except OSError:
            # The actor goes on, and so does what it does for others: its recording has ended here.
            self._is_on = False
            _log.exception("%s is not recorded any more", life.name)


def value_of(head: bytes, buffers: Sequence[bytes], path: str) -> Value:
    """Return an encoded value with all that it needs of its system's directory."""
    definitions = published_with([head], path) if leans(head) else {}
    return as_pickle(head), tuple(buffers), definitions


def _joined(data: bytes, path: str) -> Value:
    head, buffers = split(memoryview(data))
    return value_of(bytes(head), [bytes(buffer) for buffer in buffers], path)


def _sink_of(argument: str, life: Tapped) -> Callable[[tuple[Any, ...]], None]:
    """Return what takes the entries of a life."""
    if os.path.isdir(life.path):
        return partial(append, argument)
    # All in one process, where the file is the main program's; or its recording is over just now.
    return SINKS.get(argument, _nowhere)


def _nowhere(entry: tuple[Any, ...]) -> None:
    """The recording is over."""
