"""A metered reader without an actor: messages of two methods, served as a loop serves them."""

from __future__ import annotations

from procactors.wire.envelope import build_message, open_envelope
from procactors.wire.mailbox.meter import Meter
from procactors.wire.mailbox.metered import MeteredReader
from procactors.wire.meter_table import read_table
from procactors.wire.pickling.codec import Encoded
from procactors.wire.record import Kind, frame, parse

#: Keys of two methods; None stands for a record of the runtime's own.
A, B = b"module:Class.a", b"module:Class.b"


def reader_of(path):
    return MeteredReader(path, Meter(path, "name", "Class"))


def record_of(method):
    if method is None:
        return frame(Kind.NUDGE, 0, b"")
    return build_message(None, 1, method, Encoded(b"body", ()))


def begun(reader, at):
    """Do what a loop does with a record in hand; return whether it is a message."""
    kind, _, body = parse(reader.box.batch, at)
    if kind != Kind.CALL:
        reader.turn(None)
        return False
    key = open_envelope(body).method
    body.release()
    if key != reader.key:
        reader.turn(key)
    return True


def serve(reader, handle=lambda: None):
    """Handle all that waits, as a loop does."""
    at = reader.advance(0.0)
    while at >= 0:
        if begun(reader, at):
            handle()
            at = reader.step(0.0)
        else:
            reader.done(place=False)
            at = reader.advance(0.0)


def counts(path):
    table = read_table(f"{path}/metrics")
    return {row.key: sum(row.first[1:]) for row in table.rows} if table is not None else {}
