"""The state of an actor, written down between two messages, and what a crash cannot undo of it.

Layer: runner. Runs in: actor, main thread; only where `checkpoint` is set.
Owns: the checkpoint's file, on the actor's side (`finish`; else the end of the process).
Never: steps behind a message whose state is due and not written; sends an answer before it.

    number ─► in hand ─► handler ─► state, number and answer (one write) ─► answer ─► behind it

A message that is delivered again has the number that it had (`SERIAL`; its turn, if it is held out
of the batch). If that is the number in the file, the state holds the message: it is not run again,
and its caller gets the answer that stands there. If it is not, the state knows nothing of the
message, and nobody was answered. A caller that has had its answer before the kill knows the second
one by the call's number, and drops it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.errors import CheckpointError, DecodeError, EncodeError, StorageFull
from procactors.runner.source import LONGEST_WAIT_S
from procactors.wire.checkpoint_file import CURE, CheckpointFile, runtime_file, user_file
from procactors.wire.envelope import CALL_ID, open_envelope
from procactors.wire.mailbox.black_box import DELIVERIES, IN_HAND, SERIAL, STATE
from procactors.wire.mailbox.metered import MeteredReader
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.bundle import leans, pack
from procactors.wire.pickling.codec import Encoded, decode, pieces, split
from procactors.wire.pickling.digest import blake2b
from procactors.wire.raised import by_signal
from procactors.wire.record import KIND_AT, Kind, Record, parse

if TYPE_CHECKING:
    from procactors.wire.mailbox.hands import Slot
    from procactors.wire.replies.sender import ReplySender

__all__ = ["CheckpointReader", "Keeper", "open_keeper"]

#: The actor's mailbox (a digest), the numbers of the last message out of the batch and of the last
#: one that was held; the last one's caller's pipe, the call's id, the kind of the answer, its bytes
#: and whether they are in pieces; whether the state's are. The answer follows, then the state.
_HEAD = struct.Struct("=16sQQQQQQQQ")
#: Bytes of a state that are not copied once more before they are written.
_LARGE = 65_536

_CALL, _EVENT = int(Kind.CALL), int(Kind.EVENT)


class CheckpointReader(MeteredReader):
    """The reader of an actor with checkpoints: all ways out of a message lead by `done`."""

    #: Set when the actor is constructed; nothing is read before.
    keeper: Keeper
    #: What it does without a checkpoint.
    _plain_advance = MeteredReader.advance
    _plain_done = MeteredReader.done

    def advance(self, timeout: float | None = None) -> int:
        """Mark the next record as in hand, but for one that the state holds already."""
        words = self._words
        if words[DELIVERIES]:
            return self._advance_again(timeout)
        if not words[STATE] & IN_HAND:
            words[SERIAL] += 1
        if self.keeper.is_patient:
            return self._plain_advance(timeout)
        return self._advance_until_due(timeout)

    def step(self, timeout: float | None = None) -> int:
        """Do `done(place=True)` and then `advance`."""
        self.keeper.handled(self._words[SERIAL])
        self._plain_done(place=True)
        return self.advance(timeout)

    def done(self, *, place: bool, handled: int = 1) -> None:
        """Step behind the record in hand, whose state is written before if that is due."""
        words = self._words
        if not handled:
            pass  # it is held out of the batch now, and may be at work
        elif place or self.box.raw[((words[STATE] >> 16) & 0xFFFFFF) + KIND_AT] == _EVENT:
            self.keeper.handled(words[SERIAL])
        self._plain_done(place=place, handled=handled)

    def _advance_again(self, timeout: float | None) -> int:
        """Mark a record as in hand that a life before had in hand, if its state has it not."""
        at = self._plain_advance(timeout)
        if at < 0 or not self.keeper.holds(self._words[SERIAL]):
            return at
        record = parse(self.in_hand())
        self.keeper.answer_again(record)
        self._plain_done(place=record.kind != _EVENT)
        if record.kind == _CALL:
            self.keeper.store.discard(record.flags, open_envelope(record.body).payload)
        return self.advance(timeout)

    def _advance_until_due(self, timeout: float | None) -> int:
        """Wait for the next record, and write the state when the time for that comes first."""
        until = math.inf if timeout is None else self.keeper.clock() + timeout
        while (left := self.keeper.due_in()) < math.inf:
            patience = min(left, max(0.0, until - self.keeper.clock()), LONGEST_WAIT_S)
            at = self._plain_advance(patience)
            if at >= 0 or self.keeper.clock() >= until:
                return at
            self.keeper.write_if_late()
        return self._plain_advance(
            None if timeout is None else max(0.0, until - self.keeper.clock())
        )


class Keeper:
    """Writes an actor's state down, and gives it back to its next life.

    Args:
        file: where.
        store: for encoding.
        owner: names the mailbox, 16 bytes: the numbers of messages are its own.
        class_name: the actor's, for errors.
        messages: written behind so many messages; None: no matter how many.
        seconds: written when so many have passed; None: no matter how many.
        keeps_answers: the message in hand at a death is delivered again.
        is_lasting: the file outlives the system, and what it has for definitions.

    Attributes:
        is_patient: there is nothing to write while no message comes.
    """

    #: In seconds, monotonic.
    clock: Callable[[], float] = monotonic

    def __init__(
        self,
        file: CheckpointFile,
        store: PayloadStore,
        owner: bytes,
        class_name: str,
        messages: int | None,
        seconds: float | None,
        keeps_answers: bool,
        is_lasting: bool,
    ) -> None:
        self._file = file
        self.store = store
        self._encode = store.encode
        self._owner = owner
        self._class_name = class_name
        self._messages = math.inf if messages is None else messages
        self._seconds = math.inf if seconds is None else seconds
        self._is_timed = seconds is not None
        self._keeps_answers = keeps_answers
        self._is_lasting = is_lasting
        self._what = f"snapshot of {class_name}"
        #: Number of the message that the state in the file has come to; 0: of no message here.
        self._held = 0
        #: That of the last one that was handled, and how many were since the state was written.
        self._last = 0
        self._pending = 0
        #: Turn of the last one that was held out of the batch and is handled, from 1.
        self._turn = 0
        #: Returns the slot of the message in hand; None: it is in the batch.
        self.slot: Callable[[], Slot | None] = lambda: None
        self._written_at = self.clock()
        #: The answer that stands in the file: (reply, call, kind, encoded).
        self._answer: tuple[int, int, int, Encoded] | None = None
        self.is_patient = True

    def restore(self, instance: Any) -> None:
        """Give the actor the state that was written last, if any was.

        Raises:
            CheckpointError: it cannot be read. What the hook raises.
        """
        data = self._file.read()
        if data is None:
            return
        owner, serial, turn, reply, call, kind, size, answer_split, state_split = _HEAD.unpack_from(
            data
        )
        start = _HEAD.size + size
        if owner == self._owner:
            self._held = self._last = serial
            self._turn = turn
            if reply:
                kept = _encoded(data[_HEAD.size : start], answer_split)
                self._answer = (reply, call, kind, kept)
        head, buffers = _encoded(data[start:], state_split)
        try:
            state = decode(head, buffers, self._what)
        except DecodeError as error:
            raise CheckpointError(
                f"the checkpoint {self._file.path} cannot be used: {error}; {CURE}"
            ) from error
        instance.restore(state)

    def serve(self, reader: CheckpointReader, replies: ReplySender, instance: Any) -> None:
        """Write the state of an actor from now on, as messages are taken from `reader`."""
        self._instance = instance
        self._words = reader.box.words
        self._replies = replies
        self._written_at = self.clock()
        reader.keeper = self

    def holds(self, serial: int) -> bool:
        """Whether the state in the file has come to the message of that number."""
        return serial == self._held

    def handled(self, serial: int) -> None:
        """Write the state if that is due; the message of that number is handled."""
        self._last = serial
        if serial != self._held:
            self.changed()

    def has(self, slot: Slot) -> bool:
        """Whether the state has a message that is held out of the batch; its caller is answered."""
        if slot.turn + 1 != self._turn:
            return False
        self.answer_again(slot.record)
        return True

    def ends(self, slot: Slot) -> None:
        """Write the state if that is due; the message, which is held, is handled."""
        if slot.turn + 1 != self._turn:
            self._turn = slot.turn + 1
            self.changed()

    def changed(self) -> None:
        """Write the state if that is due: something else than the message in hand changed it."""
        self._pending += 1
        if self._pending >= self._messages or (self._is_timed and self._is_due(0)):
            self._write(self._last)
        elif self._is_timed:
            self.is_patient = False

    def answer(self, reply: int, call: int, kind: int, value: object, patient: bool = True) -> bool:
        """Answer the message in hand as `ReplySender.answer` does, behind its state."""
        encoded = self._encode(value, "result")
        record = self.store.record(kind, CALL_ID.pack(call), encoded, reply)
        if self._is_due(self._pending + 1):
            answer = (reply, call, kind, encoded) if self._keeps_answers else None
            slot = self.slot()
            if slot is None:
                self._write(self._words[SERIAL], answer)
            else:
                self._turn = slot.turn + 1
                self._write(self._last, answer)
        return self._send(reply, record, patient)

    def answer_again(self, record: Record) -> None:
        """Answer for a message that the state holds. A caller that was answered drops it."""
        if self._answer is None or record.kind != _CALL:
            return
        reply, call, kind, encoded = self._answer
        envelope = open_envelope(record.body)
        if (envelope.reply, envelope.call) == (reply, call):
            # Encoded anew: a segment that the dead process had written may be gone with it.
            self._send(reply, self.store.record(kind, CALL_ID.pack(call), encoded, reply), True)

    def due_in(self) -> float:
        """Return in how many seconds the state is to be written; infinity: there is nothing to."""
        if not self._pending:
            return math.inf
        return max(0.0, self._written_at + self._seconds - self.clock())

    def write_if_late(self) -> None:
        """Write the state if its time has come."""
        if self._pending and self._is_due(self._pending):
            self._write(self._last)

    def finish(self) -> None:
        """Write what has changed, at an orderly end, and close the file."""
        if self._pending:
            self._write(self._last)
        self._file.close()

    def _is_due(self, pending: int) -> bool:
        return pending >= self._messages or (
            self._is_timed and self.clock() - self._written_at >= self._seconds
        )

    def _send(self, reply: int, record: bytes, patient: bool) -> bool:
        if self._replies.send(reply, record, patient):
            return True
        _, flags, body = parse(record)
        self.store.discard(flags, body[CALL_ID.size :])
        return False

    def _write(self, serial: int, answer: tuple[int, int, int, Encoded] | None = None) -> None:
        """Write the state that has come to a message, with that one's answer.

        Raises:
            CheckpointError: it could not be. What the hook raises.
        """
        try:
            state, state_split = self._parts(self._encode(self._instance.snapshot(), self._what))
            if answer is None:
                kept: Sequence[bytes | memoryview] = ()
                head = _HEAD.pack(self._owner, serial, self._turn, 0, 0, 0, 0, 0, state_split)
            else:
                reply, call, kind, result = answer
                kept, kept_split = _parts(result)
                size = sum(map(len, kept))
                about = reply, call, kind, size, kept_split
                head = _HEAD.pack(self._owner, serial, self._turn, *about, state_split)
            if state_split or len(state[0]) > _LARGE:
                self._file.write(head, *kept, *state)
            else:  # nearly every one
                self._file.write(b"".join((head, *kept, *state)))
        # Not what the loop takes for a result that cannot be sent.
        except (EncodeError, StorageFull) as error:
            raise self._failed(error) from error
        except OSError as error:
            if by_signal(error):
                raise
            raise self._failed(error) from error
        self._held = serial
        self._pending = 0
        self.is_patient = True
        if self._is_timed:
            self._written_at = self.clock()

    def _parts(self, encoded: Encoded) -> tuple[Sequence[bytes | memoryview], bool]:
        if self._is_lasting and leans(encoded.head):
            bundle = pack(encoded.head, [bytes(one) for one in encoded.buffers], self.store.path)
            if bundle.missing:
                raise EncodeError(f"the {self._what} does not stand alone: {bundle.missing}")
            return (bundle.data,), False
        return _parts(encoded)

    def _failed(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            f"the state of {self._class_name} could not be written down: {error}"
        )


def open_keeper(
    store: PayloadStore,
    actor: int,
    class_name: str,
    bounds: tuple[int | None, float | None, str, bool],
) -> Keeper:
    """Open an actor's checkpoint.

    Args:
        store: of this process.
        actor: the actor's id.
        class_name: its class's name.
        bounds: (messages, seconds, file, whether answers are kept): see `StartOrder.checkpoint`.

    Raises:
        CheckpointError: the file is another's. OSError: it cannot be opened.
    """
    messages, seconds, path, keeps_answers = bounds
    file = user_file(path) if path else runtime_file(store.path, actor)
    owner = blake2b(f"{store.path}/{actor}".encode(), digest_size=16).digest()
    return Keeper(
        file, store, owner, class_name, messages, seconds, keeps_answers, is_lasting=bool(path)
    )


def _parts(encoded: Encoded) -> tuple[Sequence[bytes | memoryview], bool]:
    """Return an encoded value in pieces, and whether it is to be split again."""
    return (pieces(encoded), True) if encoded.buffers else ((encoded.head,), False)


def _encoded(data: memoryview, is_split: int) -> Encoded:
    head, buffers = split(data) if is_split else (data, [])
    return Encoded(bytes(head), buffers)
