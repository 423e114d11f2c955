"""The actor's loop: one message at a time, from the mailbox to the handler to the reply.

Layer: runner. Runs in: actor, main thread.
Owns: the mailbox's reader and the reply sender (`close`).
Never: imports supervision; keeps state about the message in hand anywhere but in the black box.

    take ─► decode ─► handler ─► encode ─► reply ─► done (one store) ─► free the payload

Killed before `done`, the message was in hand, and the supervisor says so to its caller (or the
next incarnation gets it); killed behind it, it is handled.
"""

from __future__ import annotations

import functools
import logging
import pickle
import sys
from collections.abc import Callable
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any

from procactors.errors import (
    DecodeError,
    EncodeError,
    ProcActorsError,
    ReplyError,
    ResultEncodeError,
    StorageFull,
)
from procactors.late import late
from procactors.runner.method_table import MethodTable, cure, find_handler, table_of
from procactors.wire.envelope import (
    BATCH_KEY,
    CALL_ID,
    CALLS,
    STREAM_KEY,
    TRACE,
    WHOLE,
    handler_name,
    open_envelope,
    untraced,
)
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    CANCELS,
    CLOSED,
    CLOSING,
    CONTROL,
    DELIVERIES,
    EXPIRED,
    HALT,
    HALTED,
    HANDLED_OWN,
    HANDS,
    IN_HAND,
    LEAVE,
    LEFT,
    PHASE,
    RECYCLED,
    RUNNING,
    STATE,
    STOPPED,
    STOPPING,
    TIMER,
)
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.plain import PLAIN, load_plain
from procactors.wire.raised import last_line, one_line, said, shown, trace_of
from procactors.wire.record import FRAME, Kind, parse
from procactors.wire.replies.failures import pack_failure, short_failure
from procactors.wire.replies.sender import ReplySender
from procactors.wire.shm.segments import Received

if TYPE_CHECKING:
    from procactors.runner import unwanted
    from procactors.runner.batches import BatchRunner
    from procactors.runner.checkpoints import Keeper
    from procactors.runner.held import Held
    from procactors.runner.recycling import Recycler
    from procactors.runner.schedule import Schedule, Timer
    from procactors.runner.source import Source
    from procactors.wire.mailbox import hands
    from procactors.wire.mailbox.hands import Slot
    from procactors.wire.pickling import pickle_errors
else:
    hands = late("procactors.wire.mailbox.hands")
    unwanted = late("procactors.runner.unwanted")  # not before a cancellation
    pickle_errors = late("procactors.wire.pickling.pickle_errors")

_log = logging.getLogger("procactors")

_unpack = WHOLE.unpack_from
_CALL = int(Kind.CALL)  # a plain number compares in a third of an enum's time
_RESULT = int(Kind.RESULT)
_PLAIN_BYTE = bytes([PLAIN])
_loads = pickle.loads
_HEADER_BYTES = WHOLE.size
#: Whose frame stands between this module's and that of a traced handler.
_HANDLING = "procactors.spans.handling"

__all__ = ["Loop", "TellFailed", "describe"]


class TellFailed(Exception):
    """A tell's handler raised: the actor ends, and its supervisor decides."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(said(error))
        self.error = error


class Loop:
    """Serves one actor.

    Args:
        reader: the actor's mailbox.
        store: for decoding and encoding.
        actor: the actor's id.
        instance: the user's object.
        lost: called with (record, why) for a message that cannot be handled and wants no reply.
    """

    #: The thread that serves the actor; None: the process's main thread.
    thread: Any = None
    #: The clock by which it is noted since when a timer runs.
    now_ns: Callable[[], int] = monotonic_ns

    def __init__(
        self,
        reader: MailboxReader,
        store: PayloadStore,
        actor: int,
        instance: Any,
        lost: Callable[[bytes, str], None],
    ) -> None:
        self._reader = reader
        self._store = store
        self._actor = actor
        self._instance = instance
        self._lost = lost
        self._words = reader.box.words
        self._table: MethodTable = table_of(type(instance))
        self._bound: dict[bytes, Callable[..., Any]] = {}
        self.replies = ReplySender(store)
        self._answer: Callable[[int, int, int, object], bool] = self.replies.answer
        #: Monotonic instant until which the caller of the message in hand waits; 0.0: for ever.
        self.deadline = 0.0
        #: Set by `leave`: the actor ends behind the message in hand, by its own will.
        self.leaving = False
        #: Where the next message comes from: the reader, or what stands before it (`use`).
        self.source: Source = reader
        # Whether `run` has something else to look at than the next message.
        self._pausing = False
        #: Set by the handler in hand: its message is answered elsewhere, or later.
        self.is_taken = False
        #: Called with (flags, body) of an event; runs the hook that is for it.
        self.on_event: Callable[[int, memoryview], None] = lambda _flags, _body: None
        #: Called with the body of a record of kind TAP.
        self.on_tap: Callable[[bytes], None] = lambda _body: None
        #: Says when to make way for the next incarnation; None: never.
        self.recycler: Recycler | None = None
        self._runner: BatchRunner | None = None
        # Writes the actor's state down; None: its options have no checkpoint.
        self._keeper: Keeper | None = None
        # Which messages were cancelled; made with the first that is.
        self._unwanted: unwanted.Unwanted | None = None
        # With this value of the word CANCELS none has to be looked at.
        self._calm = 0
        #: What was received of the message in hand, if that is in a segment.
        self.payload: Received | None = None
        #: Called with what the handler in hand has raised though its message `is_taken`; returns
        #: whether its caller is told of it.
        self.on_raised: Callable[[BaseException], bool] | None = None
        # Messages that were put aside are to be begun now.
        self._is_unstashed = False
        self._held: Held | None = None
        # The message in hand, if it is held out of the batch.
        self._slot: Slot | None = None
        self._is_put_aside = False
        #: The message in hand is held out of the batch, or, set by its handler, is to be: then the
        #: `step` of a source before the reader does it.
        self.is_held = False

    # -- the message in hand, for its handler -----------------------------------------------------

    @property
    def deliveries(self) -> int:
        """How often the message in hand has been begun, this time included; 0 in a timer."""
        if self._words[TIMER]:
            return 0
        return (self._words[DELIVERIES] if self._slot is None else self._slot.deliveries) + 1

    @property
    def handler(self) -> str:
        """Name of the handler of the message in hand, or of the timer; empty if there is none."""
        if self._words[TIMER]:
            return self._reader.box.timer
        record = self.record
        if len(record) <= FRAME.size or (parsed := parse(record)).kind not in (_CALL, Kind.MOVED):
            return ""
        return open_envelope(parsed.body).handler

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller of the message in hand has cancelled it. In any thread."""
        words = self._words
        if self._slot is None and not words[STATE] & IN_HAND:
            return False
        if self._runner is not None and self._runner.is_cancelled:
            return True  # of a pool's call
        if not words[CANCELS]:
            return False
        record = self.record
        if len(record) <= FRAME.size or (parsed := parse(record)).kind != Kind.CALL:
            return False
        envelope = open_envelope(parsed.body)
        return self._unwanted_ones().is_cancelled(envelope.reply, envelope.call)

    @property
    def record(self) -> bytes:
        """The record in hand, as it is now; empty if there is none."""
        if self._slot is not None:
            return self._slot.raw
        return self._reader.in_hand() if self._words[STATE] & IN_HAND else b""

    @property
    def name_by_key(self) -> Callable[[bytes], str]:
        """What returns the name of the method that a key means."""
        return self._table.name_of

    @property
    def is_put_aside(self) -> bool:
        """Whether the message in hand, held out of the batch, stays there behind its handler."""
        return self._slot is not None and self._is_put_aside

    def give_away(self) -> None:
        """Note that the message in hand is somebody else's now, who answers it."""
        wants_reply = bool(open_envelope(parse(self.record).body).reply)
        (self._reader if self._slot is None else self._slot).give_away()
        self._taken(wants_reply)

    def put_aside(self, state: int) -> Slot:
        """Put the message in hand into the hands table, LATER or STASHED; return its slot.

        Raises:
            StorageFull: there is no room for it; it is in hand as before.
        """
        wants_reply = bool(open_envelope(parse(self.record).body).reply)
        slot = self._slot
        if slot is None:
            slot = self.held.lift(state)
            if state != hands.LATER:
                self._reader.turn(None)  # it counts when it is handled
        else:
            slot.state = state
            self._is_put_aside = True
            if state == hands.LATER:
                self.held.count(slot)
        self._taken(wants_reply)
        return slot

    def _taken(self, wants_reply: bool) -> None:
        self.is_taken = wants_reply
        if self.payload is not None:
            self.payload.leave()  # unhandled: its segment goes along

    def unstash(self) -> int:
        """Have all that was put aside begun, next of all; return how many those are."""
        count = self.held.unstash() if self._words[HANDS] else 0
        if count:
            self._is_unstashed = self._pausing = True
            if self._slot is None and not self._words[STATE] & IN_HAND:
                self._reader.wake()  # what runs between two messages has called it
        return count

    def owe(self, record: bytes) -> Callable[[], None]:
        """Note that this actor answers another one's message; return what is called when it has.

        Raises:
            StorageFull: there is no room for the note.
        """
        slot = self.held.owe(record)
        return lambda: self.held.let_go(slot)

    def become(self, handler: Callable[[Any], Any] | None) -> None:
        """Have messages as values given to `handler`; None: to the class's `receive`."""
        if handler is None:
            self._bound.pop(b"", None)
        else:
            self._bound[b""] = handler

    @property
    def held(self) -> Held:
        """The messages that are held out of the batch; made when it is first asked for."""
        if self._held is None:
            from procactors.runner.held import Held  # only where it is used

            self._held = Held(self._reader, self._store, self._keeper)
        return self._held

    # -- the loop itself --------------------------------------------------------------------------

    def run(self) -> int:  # noqa: C901, PLR0912 - one flat pass: a call costs a twentieth of a tell
        """Serve until the end; return the phase of it: STOPPED, LEFT, HALTED or RECYCLED.

        Raises:
            TellFailed: a tell's handler raised. BaseException: whatever a handler let through.
        """
        reader, words = self._reader, self._words
        is_behind = True  # what was in hand; else it is handled, and to be stepped behind
        patience: float | None = None
        words[PHASE] = RUNNING
        if words[HANDS]:
            self._begin_anew()
        raw, data, shift = reader.box.raw, reader.box.data, reader.box.at + _HEADER_BYTES
        is_metered = reader.meter is not None
        at = 0
        while at >= 0 and not self.leaving and words[CONTROL] < HALT:
            is_behind = self._begin_unstashed(is_behind)
            # Looked up once: what an actor does not use, no message of it pays for.
            advance, step = self.source.advance, self.source.step
            self._pausing = self.leaving  # a signal's handler may have set that meanwhile
            while not self._pausing and words[CONTROL] < HALT:
                at = advance(patience) if is_behind else step(patience)
                if at < 0:
                    is_behind = True
                    break
                length, kind, flags, padding, call, reply, _, deadline, named = _unpack(raw, at)
                if kind == _CALL:
                    # Behind the store that it is in hand: of two that meet, one sees the other
                    # (`procactors.wire.taking_back`).
                    if (
                        reply
                        and (deadline or words[CANCELS] != self._calm)
                        and self._is_unwanted(reply, call, deadline)
                    ):
                        self._skip(flags, raw[at + FRAME.size : at + length - padding])
                        is_behind = True
                        continue
                    self.deadline = deadline
                    # By the map itself, which gives out bytes in a third of a view's time.
                    key_at = at + shift
                    body_at = key_at + named
                    end = key_at + length - padding - _HEADER_BYTES
                    key = data[key_at:body_at]
                    if is_metered:
                        if key != reader.key:
                            reader.turn(key)
                        if padding > 7:  # it is stamped
                            reader.waited(at)
                    if data[body_at] == PLAIN and not flags:  # an empty body is refused there too
                        self._serve_plain(key, data[body_at:end], call, reply)
                        is_behind = False
                    else:
                        is_behind = self._serve(key, flags, data[body_at:end], call, reply)
                    continue
                if kind == Kind.STOP:
                    patience = 0.0
                reader.turn(None)
                self._heed(kind, flags, raw[at + FRAME.size : at + length - padding])
                self.source.done(place=kind == Kind.MOVED)
                is_behind = True
        if not is_behind:
            self.source.done(place=True)
        reader.give_back()
        return self._ended()

    def leave(self) -> None:
        """End the actor behind the message in hand."""
        self.leaving = True
        self._pausing = True

    def use(self, source: Source) -> None:
        """Take messages from `source` from now on: it stands before what was the source so far."""
        self.source = source
        self._pausing = True

    def keep_by(self, keeper: Keeper) -> None:
        """Have messages answered, and those that are held finished, behind the actor's state."""
        self._keeper = keeper
        keeper.slot = lambda: self._slot
        self._answer = keeper.answer

    def keep_time(self, schedule: Schedule) -> None:
        """Run between two messages, from now on, what has come due on a schedule."""
        from procactors.runner.timers import Timers  # only where it is used

        self.use(Timers(self.source, schedule, self._reader.box, self))

    def close(self) -> None:
        """Close the reader and the reply ends."""
        if self._unwanted is not None:
            self._unwanted.close()
        self.replies.close()
        if self._held is not None:
            self._held.close()
        self._reader.close()

    # -- what is held out of the batch ------------------------------------------------------------

    def serve_held(self, slot: Slot) -> None:
        """Handle a message that is held out of the batch and has begun, and let go of it.

        Raises:
            TellFailed: its handler raised, and nobody waits for an answer.
        """
        self._slot, self.is_held, self._is_put_aside = slot, True, False
        kind, flags, body = slot.record
        try:
            if kind == _CALL:
                envelope = open_envelope(body)
                self.deadline = envelope.deadline
                key, payload = envelope.method, bytes(envelope.payload)
                if payload[:1] == _PLAIN_BYTE and not flags:
                    self._serve_plain(key, payload, envelope.call, envelope.reply)
                else:
                    self._serve(key, flags, payload, envelope.call, envelope.reply)
            else:
                self._heed(kind, flags, body)
        except TellFailed:
            if not self._is_put_aside:
                slot.state = hands.FAILED
            raise
        finally:
            self._slot, self.is_held = None, False
        if not self._is_put_aside:
            self.held.finish(slot)

    def _begin_anew(self) -> None:
        """Deal with what the life before held: it was killed, or has made way."""
        self._let_go_of_owed()
        self.held.unstash()
        self._begin_waiting()

    def _let_go_of_owed(self) -> None:
        """Answer for what the life before had put off."""
        for slot in self.held.owed():
            envelope = open_envelope(slot.record.body)
            text = f"the actor has made way for its next life, and had put {envelope.handler} off"
            self._fail(envelope.call, envelope.reply, ReplyError(f"{text}: nobody will answer"))
            self.held.let_go(slot)

    def _begin_waiting(self) -> None:
        """Handle what the life before had in hand out of the batch, or had put aside."""
        while waiting := self.held.waiting():
            for slot in waiting:
                if self.leaving or self._words[CONTROL] >= HALT:
                    return  # the rest is the next life's, or answered for
                if not self._is_left_out(slot):
                    self.serve_held(slot)

    def _is_left_out(self, slot: Slot) -> bool:
        """Let go of a message that was put aside, if nobody wants it any more; say whether.

        Else it has begun. Noted first, looked up second, as with a message in the batch.
        """
        slot.begin()
        kind, _, body = slot.record
        if kind != _CALL:
            return False
        envelope = open_envelope(body)
        if not envelope.reply or not self._is_unwanted(
            envelope.reply, envelope.call, envelope.deadline, slot
        ):
            return False
        self._words[HANDLED_OWN] += 1  # against what its slot counts: it was not handled
        self.held.let_go(slot)
        return True

    def _begin_unstashed(self, is_behind: bool) -> bool:
        """Handle what was put aside and is to be begun, before all that is in the mailbox.

        Returns whether what was in hand is stepped behind: it is then, if it was not before.
        """
        if not self._is_unstashed:
            return is_behind
        self._is_unstashed = False
        if not is_behind:
            self.source.done(place=True)
        self._begin_waiting()
        return True

    def _ended(self) -> int:
        """Return the phase in which the loop has ended."""
        if self.leaving:
            return LEFT
        if self._words[CONTROL] == HALT:
            return HALTED
        recycler = self.recycler
        makes_way = recycler is not None and recycler.due and self._words[CONTROL] != LEAVE
        return RECYCLED if makes_way else STOPPED

    # -- what nobody wants any more ---------------------------------------------------------------

    def _unwanted_ones(self) -> unwanted.Unwanted:
        # Together with another thread's: the last one made stays, and each opens what it needs.
        if self._unwanted is None:
            store = self._store
            path = f"{store.path}/actors/{self._actor}"
            self._unwanted = unwanted.Unwanted(store.path, path, self._words)
        return self._unwanted

    def _is_unwanted(
        self, reply: int, call: int, deadline: float, slot: Slot | None = None
    ) -> bool:
        """Return whether a message is not to begin: it is late, or was cancelled.

        It is the one in hand in the batch, or the one that `slot` holds.
        """
        words = self._words
        before = words[DELIVERIES] if slot is None else slot.deliveries
        is_again = before > 0  # an earlier life has begun it: that goes on
        if deadline and not is_again and monotonic() >= deadline and not _was_debugged(deadline):
            words[EXPIRED] += 1  # its caller has given it up by the same clock
            return True
        if words[CANCELS] == self._calm:
            return False
        ones = self._unwanted_ones()
        is_unwanted = ones.skips(reply, call, is_again, is_held=slot is not None)
        self._calm = ones.calm
        if is_unwanted:
            # A caller that a signal handler has broken off while it cancelled does not know yet.
            self.replies.answer(reply, call, Kind.CANCEL, None)
        return is_unwanted

    def _skip(self, flags: int, body: memoryview) -> None:
        """Step behind a message that nobody wants any more."""
        payload = open_envelope(body).payload
        self._reader.turn(None)
        self.source.done(place=True)
        self._words[HANDLED_OWN] += 1  # it was not handled
        self._store.discard(flags, payload)

    # -- records of the runtime's own -------------------------------------------------------------

    def _heed(self, kind: int, flags: int, body: memoryview) -> None:
        """Do what a record of the runtime's own is for."""
        if kind == Kind.STOP:
            self._words[PHASE] = STOPPING
            # From here on senders are refused; what is in the pipe is still handled.
            self._words[CLOSED] = CLOSING
        elif kind == Kind.EVENT:
            self._happened(flags, body)
        elif kind == Kind.FENCE:
            (process,) = CALL_ID.unpack_from(body)
            self._store.sweep(process, self._actor)
        elif kind == Kind.TAP:
            self.on_tap(bytes(body))

    def _happened(self, flags: int, body: memoryview) -> None:
        """Run the hook for an event; raising crashes the actor, as in a tell."""
        self.deadline = 0.0  # nobody waits: not what the message before has left
        try:
            self.on_event(flags, body)
        except Exception as error:
            raise TellFailed(error) from error

    # -- what timers need -----------------------------------------------------------------------

    def run_timer(self, timer: Timer) -> bool:
        """Call a timer's method, which nobody waits for: raising crashes the actor."""
        box = self._reader.box
        box.begin_timer(timer.label, self.now_ns())
        self.deadline = 0.0
        try:
            getattr(self._instance, timer.method)(*timer.args)
        except Exception as error:
            raise TellFailed(error) from error
        if self._keeper is not None:
            self._keeper.changed()  # still in its name: it calls `snapshot`
        # Not in a `finally`: what an exception leaves here says which timer has ended the actor.
        box.end_timer()
        return True

    @property
    def is_ending(self) -> bool:
        """Whether no other message is to be begun, though some may be there."""
        return self.leaving or self._words[CONTROL] >= HALT

    @property
    def is_at_work(self) -> bool:
        """Whether handlers are under way between two messages: not in this loop."""
        return False

    @property
    def is_full(self) -> bool:
        """Whether no message may be begun between two: not in this loop."""
        return False

    # -- handling a message -----------------------------------------------------------------------

    def _serve(self, key: bytes, flags: int, body: bytes, call: int, reply: int) -> bool:
        """Handle the message in hand; return whether it was stepped behind, which else is due."""
        received: Received | None = None
        try:
            handler = self._bound.get(key) or self._bind(key)
            if flags:
                value, received = self._load(flags, body)
                self.payload = received
            else:
                value = _loads(body)
        except Exception as error:  # noqa: BLE001 - whatever unpickling the user's value raised
            self._refuse(error, key, call, reply, b"" if flags else body)
        else:
            try:
                result = handler(*value[0], **value[1]) if key > CALLS else handler(value)
            except Exception as error:  # noqa: BLE001 - the user's; it goes to the caller
                self._raised(error, key, call, reply)
            else:
                if not reply:
                    pass
                elif self.is_taken:
                    self._end_taken()
                else:
                    try:
                        self._answer(reply, call, _RESULT, result)
                    except (EncodeError, StorageFull) as error:
                        self._unsendable(key, call, reply, error)
        # Not in a `finally`: an exception that passes here leaves the message in hand,
        # and the supervisor reports it.
        return received is not None and self._is_behind(received)

    def _is_behind(self, received: Received) -> bool:
        """Step behind a message with a payload, and free that; not if it is freed with a slot."""
        self.payload = None
        if self.is_held:
            received.leave()
            return False
        return self._step_behind(received)

    def _step_behind(self, received: Received) -> bool:
        """Step behind the message in the batch, and free its payload; return whether that is so."""
        self.source.done(place=True)
        received.consume()
        return True

    def _serve_plain(self, key: bytes, body: bytes, call: int, reply: int) -> None:
        """Handle the message in hand as `_serve` does: the short way of most messages."""
        try:
            handler = self._bound.get(key) or self._bind(key)
            args = load_plain(body)
        except Exception as error:  # noqa: BLE001 - whatever looking up a user's attribute raised
            self._refuse(error, key, call, reply, b"")
            return
        try:
            result = handler(*args)
        except Exception as error:  # noqa: BLE001 - the user's; it goes to the caller
            self._raised(error, key, call, reply)
            return
        if not reply:
            return
        if self.is_taken:
            self._end_taken()
            return
        try:
            self._answer(reply, call, _RESULT, result)
        except (EncodeError, StorageFull) as error:
            self._unsendable(key, call, reply, error)

    def _load(self, flags: int, body: bytes) -> tuple[Any, Received | None]:
        head, buffers, received = self._store.open(flags, memoryview(body))
        try:
            if head[0] == PLAIN:
                return (load_plain(head), {}), received
            return _loads(head, buffers=buffers), received
        except BaseException:
            if received is not None:
                received.consume()
            raise

    def _value_of(self, flags: int, body: bytes) -> tuple[Any, Received | None]:
        """Return a payload's value and its segment, as `_serve` and `_serve_plain` load it."""
        if flags:
            return self._load(flags, body)
        if body[:1] == _PLAIN_BYTE:
            return (load_plain(body), {}), None
        return _loads(body), None

    # -- answers that are errors ------------------------------------------------------------------

    def _unsendable(self, key: bytes, call: int, reply: int, error: Exception) -> None:
        self._count_failure(key)
        text = f"{handler_name(key)} ran, but its result cannot be sent: {error}"
        self._fail(call, reply, ResultEncodeError(text))

    def _raised(self, error: Exception, key: bytes, call: int, reply: int) -> None:
        """Answer with the handler's exception; without a caller, end the actor."""
        self._count_failure(key)
        # By its type: `isinstance` would ask the exception itself what it is.
        is_bad_call = issubclass(type(error), TypeError) and _never_entered(error)
        if is_bad_call and (hint := cure(error)):
            # An option among the arguments: its sender did not know the actor's class.
            error = TypeError(f"{error}{hint}")
        if self.is_taken:
            on_raised = self._end_taken()
            if on_raised is None or not on_raised(error):
                raise TellFailed(error) from error
        elif reply:
            self._fail(call, reply, error)
        elif is_bad_call:
            self._report_lost(said(error))
        else:
            raise TellFailed(error) from error

    def _end_taken(self) -> Callable[[BaseException], bool] | None:
        """Note that a handler has ended whose message is answered elsewhere, or later."""
        on_raised, self.on_raised, self.is_taken = self.on_raised, None, False
        return on_raised

    def _refuse(
        self, error: Exception, key: bytes, call: int, reply: int, body: bytes | memoryview
    ) -> None:
        """Answer for a message that cannot be handled; the actor lives on."""
        self._count_failure(key)
        if not issubclass(type(error), ProcActorsError):
            try:
                why = pickle_errors.describe_load(body, (), error)
            except (OSError, ImportError):  # there is no descriptor left to load what describes it
                why = one_line(error)
            error = DecodeError(
                f"the message for {handler_name(key)} could not be unpickled in the actor: {why}"
            )
        if reply:
            self._fail(call, reply, error)
        else:
            self._report_lost(said(error))

    def _count_failure(self, key: bytes) -> None:
        if self._reader.meter is not None:
            self._reader.meter.failed(key)

    def _fail(self, call: int, reply: int, error: BaseException) -> None:
        packed = pack_failure(error, self._store)
        try:
            there = self._answer(reply, call, Kind.FAILURE, packed)
        except (EncodeError, StorageFull) as full:
            short = short_failure(error, full)
            there = self._answer(reply, call, Kind.FAILURE, short)
        if not there:
            # Its caller gave up, or is gone; a failure must not vanish for that.
            _log.error("nobody waits for this failure any more:\n%s", packed[-1].rstrip())

    def _report_lost(self, why: str) -> None:
        # Whole, as it lies in the pipe: the supervisor keeps it as a dead letter.
        self._lost(self._reader.in_hand() if self._slot is None else self._slot.raw, why)

    # -- what a message is for --------------------------------------------------------------------

    def _bind(self, key: bytes) -> Callable[..., Any]:
        if TRACE in key:
            return self._traced(key)
        if key[:1] == BATCH_KEY:
            self._bound[key] = handler = self._batches().run
            return handler
        if key[:1] == STREAM_KEY:
            return self._streaming(key)
        name, handler = find_handler(self._instance, self._table, key)
        # Kept only while it is the class's own: an attribute of the instance may change.
        if name not in getattr(self._instance, "__dict__", {}):
            self._bound[key] = handler
        return handler

    def _traced(self, key: bytes) -> Callable[..., Any]:
        """Return what calls the handler in a span of the trace that its message is part of."""
        method, context = untraced(key)
        handler = self._bound.get(method) or self._bind(method)
        try:
            from procactors.spans.handling import handled  # only where a message is traced
        except ImportError:  # its sender has OpenTelemetry, and this process has not
            return handler
        return handled(handler, method, context, self._store.path, self._actor, self.deliveries)

    def _streaming(self, key: bytes) -> Callable[..., Any]:
        """Return what runs a generator into the channel that its reader has made."""
        from procactors.runner.streams import Streaming  # only where it is used

        number, _, method = key[1:].partition(b":")
        _, handler = find_handler(self._instance, self._table, method, streamed=True)
        busy_since, runs_loop = self._busy()
        streaming = Streaming(self._store, busy_since, int(number, 16), handler, runs_loop)
        if (meter := self._reader.meter) is not None:
            streaming.on_taken = functools.partial(meter.items, key)
        return streaming.run

    def _busy(self) -> tuple[Callable[[int], None], bool]:
        """Return what notes since when the message in hand is at work, and if a loop runs here."""
        return functools.partial(self._words.__setitem__, BUSY_SINCE), False

    def _batches(self) -> BatchRunner:
        """Return the runner of a pool's batches, made when the first one comes."""
        if self._runner is None:
            from procactors.runner.batches import BatchRunner  # only in a pool's worker

            recycler = self.recycler
            self._runner = BatchRunner(
                self._store,
                self._item_handler,
                recycler.room if recycler is not None else lambda: None,
                self._spent,
            )
        return self._runner

    def _spent(self, items: int) -> None:
        """Count the items of the batch in hand."""
        if self.recycler is not None:
            self.recycler.spend(items)
        if (meter := self._reader.meter) is not None:
            key = self._reader.key or open_envelope(parse(self.record).body).method
            meter.items(key, items)

    def _item_handler(self, key: bytes) -> Callable[..., Any]:
        """Return the handler that an item of a pool's batch means."""
        return find_handler(self._instance, self._table, key)[1]


def _was_debugged(instant: float) -> bool:
    """Whether somebody debugged this actor then: its callers go on waiting so long."""
    debugger: Any = sys.modules.get("procactors.runner.debugger")  # who has none, has not loaded it
    return debugger is not None and bool(debugger.was_held(instant))


def _never_entered(error: Exception) -> bool:
    """Whether the call itself was refused: the traceback never left our own frames."""
    trace = trace_of(error)
    inner = None if trace is None else trace.tb_next
    if inner is not None and inner.tb_frame.f_globals.get("__name__") == _HANDLING:
        inner = inner.tb_next
    return trace is not None and inner is None


def describe(error: BaseException) -> tuple[str, str]:
    """Return (one line, formatted traceback without our frames) of what ends the actor."""
    return last_line(error), shown(error, not issubclass(type(error), ProcActorsError))
