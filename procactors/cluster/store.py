"""Payloads of one process of a system on a cluster: kept here, and sent along with their records.

Layer: cluster. Runs in: the program and the actors' processes, any thread.
Owns: the payloads that are on their way (`close`).
Never: gives two payloads of a system one number: each process counts from a number of its own.

A *parcel* is what travels: a record, and each payload that it names, as (number, head, buffers).
Ray puts what is large into its object store.
"""

from __future__ import annotations

import itertools
import pickle
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Any

from procactors.cluster.tables import ClusterTables, WorkerTables
from procactors.local.store import LocalStore
from procactors.runner.batches import STORED
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, encode_for_system, receivers, systems
from procactors.wire.record import IN_SEGMENT, KIND_AT, Kind, parse

__all__ = [
    "FRONT",
    "SPACE",
    "ClusterStore",
    "Parcel",
    "Payload",
    "batch_extras",
    "first_number",
    "shifted",
]

#: What stands before a record that is handed over: the message's number there, how often it was
#: begun before, and its number by which checkpoints know it. In one piece, since Ray takes its time
#: for each argument.
FRONT = struct.Struct("=QQQ")
#: Bits below the number of a start in numbers that are unique in the system.
SPACE = 40
#: (number, pickle, buffers).
Payload = tuple[int, bytes, list[Any]]
#: (record, payloads).
Parcel = tuple[bytes, list[Payload]]

_REFERENCE_BYTES = 8
_CALL = int(Kind.CALL)
#: The deadline in a message's record, and seconds up to which two clocks are one.
_DEADLINE, _DEADLINE_AT, _SAME_S = struct.Struct("=d"), 32, 0.05
#: How a function is named that is kept beside the message.
BY_REFERENCE = b"r"


def first_number(start: int) -> int:
    """Return the first number that the process of a start may give; 0 is the program."""
    return (start << SPACE) + 1


class ClusterStore(LocalStore):
    """What a process needs to encode messages, and to open those that come.

    Args:
        path: names the system.
        make_replies: makes what sends answers.
        start: number of the process's start; 0 is the program.
    """

    def __init__(self, path: str, make_replies: Callable[[PayloadStore], Any], start: int) -> None:
        super().__init__(path, make_replies)
        self.process = start + 1
        self._numbers = itertools.count(first_number(start))
        self.tables: Any = WorkerTables() if start else ClusterTables()
        #: Values that were put beside the records that name them: results of a batch's items.
        self.stored: list[int] = []

    def _encode(self, value: Any, what: str = "message", *, hands_over: bool = False) -> Encoded:
        """Pickle a value; what another process cannot import travels by value.

        Raises:
            EncodeError: something in the value cannot be pickled; the text names the path to it.
        """
        if systems.are_several and receivers.system is None:
            return encode_for_system(self.path, self._encode_again, value, what, hands_over)
        encoded = super()._encode(value, what, hands_over=hands_over)
        if b"__main__" in encoded.head:
            found: list[pickle.PickleBuffer] = []
            head = self._by_value(value, what, found)
            encoded = Encoded(head, [buffer.raw() for buffer in found])
        return encoded

    def store(self, encoded: Encoded, target: int) -> bytes:
        """Keep an encoded value; return the reference that names it."""
        reference = super().store(encoded, target)
        self.stored.append(int.from_bytes(reference, sys.byteorder))
        return reference

    def take_stored(self) -> list[int]:
        """Return the numbers of what was kept since the last time."""
        stored, self.stored = self.stored, []
        return stored

    # -- on their way ---------------------------------------------------------------------------

    def pack(self, record: bytes, more: Iterable[int] = (), *, keep: bool = False) -> Parcel:
        """Return a record with what it names; `keep`: that stays here, too."""
        _, flags, body = parse(record)
        numbers = list(more)
        if flags & IN_SEGMENT:
            numbers.append(int.from_bytes(body[-_REFERENCE_BYTES:], sys.byteorder))
        return record, self.take_out(numbers, keep=keep)

    def take_out(self, numbers: Iterable[int], *, keep: bool = False) -> list[Payload]:
        """Return payloads as they travel."""
        take: Any = self._values.get if keep else self._values.pop
        payloads: list[Payload] = []
        for number in numbers:
            found = take(number) if keep else take(number, None)
            if found is not None:
                head, buffers = found
                payloads.append((number, head, [pickle.PickleBuffer(one) for one in buffers]))
        return payloads

    def unpack(self, parcel: Parcel) -> bytes:
        """Keep what has come with a record; return that."""
        record, payloads = parcel
        if payloads:
            self.put_in(payloads)
        return record

    def free_number(self, number: int) -> None:
        """Let go of a value."""
        self._values.pop(number, None)

    def put_in(self, payloads: Iterable[Payload]) -> None:
        """Keep what has come."""
        for number, head, buffers in payloads:
            self._values[number] = bytes(head), tuple(buffers)

    def drop(self, payloads: Iterable[Payload]) -> None:
        """Let go of what had come."""
        for number, _, _ in payloads:
            self._values.pop(number, None)

    def files(self) -> dict[str, bytes]:
        """Return what was written here for the supervisor, which has it from now on."""
        files = dict(self._files)
        for path in files:
            self._files.pop(path, None)
        return files

    def add_files(self, files: dict[str, bytes]) -> None:
        """Take over what another process has written."""
        self._files.update(files)


def shifted(record: bytes, seconds: float) -> bytes:
    """Return a message whose deadline, if it has one, is so much later: by another machine's clock.

    Machines agree on the time of day to some milliseconds; their monotonic clocks have nothing to
    do with each other.
    """
    if record[KIND_AT] != _CALL or abs(seconds) < _SAME_S:
        return record
    (deadline,) = _DEADLINE.unpack_from(record, _DEADLINE_AT)
    if not deadline:
        return record
    moved = bytearray(record)
    _DEADLINE.pack_into(moved, _DEADLINE_AT, deadline + seconds)
    return bytes(moved)


def batch_extras(store: ClusterStore, batch: Any) -> tuple[list[int], Any]:
    """Return what a worker needs for a pool's batch beside its message.

    Args:
        store: the pool's process's.
        batch: the pool's.

    Returns:
        the numbers of payloads, and (process, number, head) of the table.
    """
    numbers = []
    for span in batch.spans:
        wire = span.wire()
        if wire.place == STORED:
            numbers.append(int.from_bytes(wire.payload, sys.byteorder))
        if wire.function[:1] == BY_REFERENCE:
            numbers.append(int.from_bytes(wire.function[1:], sys.byteorder))
    table = batch.result_table
    return numbers, (store.process, table.number, table.head())
