"""An actor's process, as the runtime sees it: its mailbox, and how it sends to others.

Layer: cluster. Runs in: an actor's process, any thread.
Owns: the messages that are here and have no result yet.
Never: decides what becomes of a message: the program does, whose the mailbox is.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic, time
from typing import Any, cast

from procactors.cluster.channels import ClusterChannels
from procactors.cluster.engine import LifeEngine
from procactors.cluster.store import FRONT, ClusterStore, batch_extras, first_number, shifted
from procactors.cluster.uplink import Uplink
from procactors.errors import ActorStopped, MailboxFull
from procactors.local.box import LocalReader
from procactors.local.checkpoints import LocalCheckpointReader, LocalState
from procactors.local.here import Killed
from procactors.local.host import LocalHost
from procactors.local.replies import LocalReplies, Port
from procactors.local.slots import LocalHands
from procactors.local.transport import LocalTransport
from procactors.supervision.backend import Ended
from procactors.wire.envelope import CALL_ID, open_envelope
from procactors.wire.mailbox.black_box import DELIVERIES, SERIAL
from procactors.wire.mailbox.hands import COPIED, RUNNING
from procactors.wire.record import KIND_AT, Kind, frame, parse
from procactors.wire.transport import SUPERVISOR

__all__ = ["CheckpointMemberReader", "Member", "MemberHost", "MemberReader", "MemberTransport"]

_CALL = int(Kind.CALL)


class _Delivery:
    """One message that was handed to this process, until it has its result."""

    def __init__(self, number: int, record: bytes) -> None:
        self.number = number
        self.record = record
        self.reply = self.call = 0
        self.method = b""
        if record[KIND_AT] == _CALL:
            envelope = open_envelope(parse(record).body)
            self.reply, self.call, self.method = envelope.reply, envelope.call, envelope.method
        self.answer: bytes | None = None
        self.state = 0
        self.is_batch = False
        #: Held until it has its result: an Event would cost three times as much.
        self.done = threading.Lock()
        self.done.acquire()


class MemberReader(LocalReader):
    """The reader of an actor's mailbox; says which record it has stepped behind."""

    host: MemberHost
    taken: bytes = b""

    def advance(self, timeout: float | None = None) -> int:
        """Mark the next record as in hand; see `LocalReader.advance`."""
        at = super().advance(timeout)
        if at >= 0:
            self.taken = self.box.current
        return at

    def done(self, *, place: bool, handled: int = 1) -> None:
        """Step behind the record in hand; see `LocalReader.done`."""
        current = self.box.current
        super().done(place=place, handled=handled)
        self.host.stepped(self.taken, current)


class CheckpointMemberReader(LocalCheckpointReader):
    """The same of an actor with checkpoints."""

    host: MemberHost
    taken: bytes = b""

    def _plain_advance(self, timeout: float | None = None) -> int:
        at = LocalReader.advance(cast("LocalReader", self), timeout)
        if at >= 0:
            self.taken = self.box.current  # type: ignore[attr-defined]  # of a box in memory
        return at

    def _plain_done(self, *, place: bool, handled: int = 1) -> None:
        current = self.box.current  # type: ignore[attr-defined]  # of a box in memory
        LocalReader.done(cast("LocalReader", self), place=place, handled=handled)
        self.host.stepped(self.taken, current)


class _State(LocalState):
    """The actor's state, on its way to the program."""

    def __init__(self, data: bytes | None, host: MemberHost) -> None:
        super().__init__(None)
        self._data = data
        self._host = host

    def write(self, is_dead: Callable[[], bool], parts: tuple[bytes | memoryview, ...]) -> None:
        """Write a state, whole: it goes along with the result of the message in hand."""
        super().write(is_dead, parts)
        self._host.unsent_state = self._data


class _Hands(LocalHands):
    """What the actor holds; says which message it has let go of."""

    host: MemberHost

    def release(self, slot: Any) -> None:
        """Forget a slot."""
        super().release(slot)
        self.host.slot_released(slot)


class MemberHost(LocalHost):
    """The actor's mailbox in its own process."""

    def __init__(self, backend: Any, facts: dict[str, Any], uplink: Uplink) -> None:
        super().__init__(
            backend, facts["actor"], facts["name"], facts["class_name"], facts["options"]
        )
        # The program's mailbox is the one that is bounded.
        self.words[:] = facts["words"]
        self._uplink = uplink
        self._up = uplink.put
        self.table = hands = _Hands(self.words, self.now_ns, self.mail.lock)
        hands.host = self
        self.unsent_state: bytes | None = None
        self.state = _State(facts["state"], self)
        #: By the record's identity: what is here and has no result yet.
        self.deliveries: dict[int, _Delivery] = {}
        #: By a slot's number: the message's.
        self._held: dict[int, _Delivery] = {}
        self._table_of: Any = None

    # -- messages ---------------------------------------------------------------------------------

    def deliver(self, delivery: _Delivery, deliveries: int, serial: int) -> None:
        """Put a message into the mailbox."""
        with self.mail.lock:
            if deliveries:
                self.words[DELIVERIES] = deliveries
                self.words[SERIAL] = serial
            else:
                self.words[SERIAL] = serial - 1
            self.deliveries[id(delivery.record)] = delivery
            self.mail.records.append(delivery.record)
        self.wake()

    def answered(self, reply: int, call: int, record: bytes) -> bool:
        """Take an answer to a message that was handed to this process; False: there is none."""
        for delivery in list(self.deliveries.values()):
            if delivery.call == call and delivery.reply == reply and delivery.answer is None:
                delivery.answer = record
                return True
        return False

    def stepped(self, taken: bytes, current: bytes) -> None:
        """The reader has stepped behind a record; it may have been given away before."""
        delivery = self.deliveries.get(id(taken))
        if delivery is None:
            return
        if current is not taken and delivery.answer is None:
            slot = next((slot for slot in self.table.in_use() if slot.raw is taken), None)
            slot = slot or next(
                (slot for slot in self.table.in_use() if slot.raw[8:] == taken[8:]), None
            )
            if slot is not None:
                self._held[slot.number] = delivery
                if slot.state in (COPIED, RUNNING):
                    return  # its handler goes on, and others begin meanwhile
                delivery.state = slot.state
        self._finish(delivery)

    def slot_released(self, slot: Any) -> None:
        """A message that was held is handled."""
        delivery = self._held.pop(slot.number, None)
        if delivery is None:
            return
        if id(delivery.record) in self.deliveries:
            self._finish(delivery)
        else:
            self._up(("released", delivery.number))

    def _finish(self, delivery: _Delivery) -> None:
        self.deliveries.pop(id(delivery.record), None)
        delivery.done.release()

    def send_state(self) -> None:
        """Send the actor's state, if it was written without a message."""
        state, self.unsent_state = self.unsent_state, None
        if state is not None:
            self._up(("state", state))

    # -- the life ---------------------------------------------------------------------------------

    def ready(self, start: int, decides: int) -> None:
        """The life serves from now on."""
        self._up(("ready", start, decides))

    def over(self, life: Any, ended: Ended) -> None:
        """The life is over."""
        with self.mail.lock:
            if life.is_dead:
                return
            life.is_dead = True
        self.send_state()
        in_hand = [
            delivery.number for delivery in self.deliveries.values() if self._is_begun(delivery)
        ]
        words, timer = list(self.words), self.box.timer.encode()
        store: Any = self._backend.transport.store
        batch = self.batch_in_hand(store.tables.end)
        self._up(("over", tuple(ended), words, in_hand, batch, timer))
        self._up(None)

    def batch_in_hand(self, marked: Callable[[], Any]) -> Any:
        """Return (call, what is marked, payloads) of the batch in hand; None: there is none.

        Args:
            marked: returns what is.
        """
        store: Any = self._backend.transport.store
        for delivery in self.deliveries.values():
            if delivery.is_batch:
                return delivery.call, marked(), store.take_out(store.take_stored())
        return None

    def _is_begun(self, delivery: _Delivery) -> bool:
        return all(record is not delivery.record for record in self.mail.records)


class _Replies(LocalReplies):
    """Sends answers: to this process's own callers, or by way of the program."""

    def __init__(self, transport: MemberTransport) -> None:
        super().__init__(transport.store, transport.calls)
        self._transport = transport

    def send(self, reply: int, record: bytes, patient: bool = True) -> bool:
        """Hand a record to its caller; return whether that still waits, as far as is known."""
        if self.is_dead():
            raise Killed
        return self._transport.reply_to(reply, record)


class MemberTransport(LocalTransport):
    """How this process's actor sends.

    Args:
        path: names the system.
        engine: of this process.
        facts: of the life.
        uplink: sends something to the program.
    """

    host: MemberHost
    store: ClusterStore
    channels: ClusterChannels

    def __init__(
        self, path: str, engine: LifeEngine, facts: dict[str, Any], uplink: Uplink
    ) -> None:
        self._start = start = facts["start"]
        self._uplink = uplink
        self._up = uplink.put
        super().__init__(path, cast("Any", engine))
        self.store.make_topic_table = self._topic
        self._desk_words = facts["desk_words"]
        #: Seconds by which this machine's clock of deadlines is ahead of the program's.
        self.shift = facts["clock"] - (time() - monotonic())
        self._first, self._last = first_number(start), first_number(start + 1)
        self._numbers = itertools.count(self._first)
        self._questions: dict[int, Future[Any]] = {}
        self._question = itertools.count(1)
        #: By actor: whether its mailbox has room for any number.
        self._unbounded: dict[int, bool] = {}
        self.name_of = lambda actor: str(self.question("name", actor))
        #: Of workers of own pools, when they began the item in hand: words, by their place.
        self.seen: dict[int, dict[int, int]] = {}

    def _make_store(self, path: str) -> ClusterStore:
        return ClusterStore(path, self.make_replies, self._start)

    def _make_channels(self, engine: Any) -> ClusterChannels:
        return ClusterChannels(engine, self.store, self._start, self._relay)

    def _relay(self, start: int, what: str, *about: Any) -> None:
        self._up(("relay", start, what, about))

    def make_replies(self, store: Any = None) -> LocalReplies:
        """Return what sends answers."""
        return _Replies(self)

    def reply_to(self, reply: int, record: bytes) -> bool:
        """Send an answer."""
        kind, _, body = parse(record)
        (call,) = CALL_ID.unpack_from(body)
        if self._first <= call < self._last:
            return self.calls.take(record)
        if kind == Kind.MOVED or not self.host.answered(reply, call, record):
            self._up(("answer", reply, call, self.store.pack(record)))
        return True

    def question(self, what: str, *about: Any, timeout: float | None = None) -> Any:
        """Ask the program something of the runtime's own; wait for the answer.

        Raises:
            What is raised there.
        """
        number = next(self._question)
        answer = self._questions[number] = Future()
        self._up(("question", number, what, about))
        try:
            return answer.result(timeout)
        finally:
            self._questions.pop(number, None)

    def told(self, number: int, is_good: bool, value: Any) -> None:
        """Take the answer to a question."""
        answer = self._questions.get(number)
        if answer is not None:
            if is_good:
                answer.set_result(value)
            else:
                answer.set_exception(value)

    # -- sending --------------------------------------------------------------------------------

    def _put(self, actor: int, name: str, record: bytes, timeout: float | None) -> None:
        if actor == self.host.id:
            super()._put(actor, name, record, timeout)
            return
        record = shifted(record, -self.shift)
        kind, _, body = parse(record)
        envelope = open_envelope(body) if kind == Kind.CALL else None
        call = envelope.call if envelope is not None else 0
        waits = isinstance(self.calls.pending.get(call), Port)
        if actor == SUPERVISOR:
            self._up(("command", self.store.pack(record), self.store.files()))
            return
        is_unbounded = self._unbounded.get(actor)
        if is_unbounded is None:
            is_unbounded = self.question("is_unbounded", actor, name)
            self._unbounded[actor] = is_unbounded
        extras = None
        pending: Any = self.calls.pending.get(call)
        if hasattr(pending, "result_table"):
            extras = batch_extras(self.store, pending)
            self._up(("payloads", self.store.take_out(extras[0], keep=True)))
            pending.result_table.hand_over(lambda _word, _value: None)
        parcel = self.store.pack(record)
        if is_unbounded:
            self._up(("put", actor, name, parcel, waits, extras))
            return
        try:
            self.question("put", actor, name, parcel, timeout)
        except (ActorStopped, MailboxFull):
            self.store.unpack(parcel)  # still this process's
            raise

    def pass_on(self, actor: int, name: str, record: bytes, timeout: float | None = None) -> None:
        """Put a message that has come here into another actor's mailbox, for good."""
        self.check_process()
        self._life()
        parcel = self.store.pack(record, keep=True)
        self.question("put", actor, name, parcel, timeout)
        self.store.drop(parcel[1])

    def send_control(self, actor: int, record: bytes) -> bool:
        """Put a record of the runtime's own into a mailbox; return whether that is still there."""
        if actor == self.host.id:
            return super().send_control(actor, record)
        return bool(self.question("control", actor, self.store.pack(record)))

    def _show_wait(self, port: Port, life: Any) -> None:
        """The program sees for whom this actor waits."""

    def take_back(self, actor: int, call: int) -> bool | None:
        """Cancel a call of a submit; see `Transport.take_back`."""
        taken = self.question("take_back", self.who_answers(actor, call), call)
        if taken:
            self.calls.drop(call)
        return bool(taken)

    def want_no_more(self, actor: int, call: int) -> None:
        """Cancel a call of a submit, whose answer nobody waits for."""
        self._up(("unwanted", self.who_answers(actor, call), call))
        self.calls.drop(call)

    def words(self, actor: int) -> Any:
        """Return the words of an actor's black box; None: they are not here."""
        if actor == SUPERVISOR:
            return self._desk_words
        return self.host.words if actor == self.host.id else self.seen.get(actor)

    def _topic(self, path: str, name: str) -> Any:
        return _TopicTable(self, name)


class _TopicTable:
    """The subscribers of a topic: the program has the list."""

    def __init__(self, transport: MemberTransport, name: str) -> None:
        self._transport = transport
        self._name = name

    def add(self, subscriber: Any) -> None:
        """Have an actor told, from now on."""
        self._transport.question("topic", self._name, "add", subscriber)

    def remove(self, actor: int) -> bool:
        """Have an actor told no more; return whether it was."""
        return bool(self._transport.question("topic", self._name, "remove", actor))

    def subscribers(self) -> tuple[Any, ...]:
        """Return who is told now."""
        found: tuple[Any, ...] = self._transport.question("topic", self._name, "subscribers")
        return found

    def close(self) -> None:
        """Nothing is open."""


class Member:
    """What the program can have this process do.

    Args:
        transport: how its actor sends.
        host: its actor's mailbox.
        engine: runs its life.
    """

    def __init__(self, transport: MemberTransport, host: MemberHost, engine: LifeEngine) -> None:
        self._engine = engine
        self._transport = transport
        self._host = host
        self._store = transport.store
        self._uplink = transport._uplink
        transport.store.tables.on_item = self._begin_item

    def _begin_item(self) -> None:
        """Have the pool told of an item with a time limit; what is done by now goes along."""
        found = self._host.batch_in_hand(self._store.tables.piece)
        if found is not None:
            self._uplink.put(("progress", *found))

    def handle(self, message: bytes, more: tuple[Any, ...]) -> Any:
        """Have a message handled, and wait until it is.

        Args:
            message: `FRONT` and the record.
            more: what a batch's table says, or None, and payloads; empty if there is neither.

        Returns:
            None: it is, and wants no answer. Bytes: the record of its answer. A tuple: answer or
            None, the state in which it was put aside or 0, payloads, the actor's state or None,
            what was sent meanwhile (see `Uplink.take`) or None, what was marked of a batch or None.
        """
        store, host = self._store, self._host
        number, deliveries, serial = FRONT.unpack_from(message)
        record = shifted(message[FRONT.size :], self._transport.shift)
        head: Any = None
        payloads: list[Any] = []
        if more:
            head, *payloads = more
            store.put_in(payloads)
        delivery = _Delivery(number, record)
        if head is not None:
            delivery.is_batch = True
            store.tables.begin(*head)
            store.take_stored()
        host.deliver(delivery, deliveries, serial)
        engine = self._engine
        if engine.has_life and self._has_more(engine, delivery):
            engine.more()
        delivery.done.acquire()
        answer, state = delivery.answer, host.unsent_state
        sent = self._uplink.take()
        if state is not None:
            host.unsent_state = None
        elif not delivery.state and sent is None and head is None:
            if answer is None:
                return None
            if not parse(answer).flags:
                return answer
        piece: Any = None
        results: list[int] = []
        if head is not None:
            piece, results = store.tables.end(), store.take_stored()
            store.drop(payloads)  # they are the pool's
        sent_back = [] if answer is None else store.pack(answer, results)[1]
        return answer, delivery.state, sent_back, state, sent, piece

    @staticmethod
    def _has_more(engine: LifeEngine, delivery: _Delivery) -> bool:
        """Serve until a message has its result; return whether there is more to do."""
        while (has_more := engine.step()) and delivery.done.locked():
            pass
        return has_more

    def begin(self) -> None:
        """Begin the life, in the thread in which it is served."""
        life, engine = self._host.life, self._engine
        if life.needs_thread():
            self._uplink.put(("loop",))
            engine.start(life, self._host.name)
            return
        engine.adopt(life)
        self.turn()

    def turn(self) -> None:
        """Do what there is to do without a message."""
        while self._engine.has_life and self._engine.step():
            pass
        self._host.send_state()

    def control(self, what: str, *about: Any) -> Any:
        """Do something beside the messages."""
        return getattr(self, f"_{what}")(*about)

    def _answer(self, parcel: Any, piece: Any) -> None:
        record = self._store.unpack(parcel)
        if piece is not None:
            pending: Any = self._transport.calls.pending.get(
                CALL_ID.unpack_from(parse(record).body)[0]
            )
            if hasattr(pending, "result_table"):
                pending.result_table.absorb(piece)
        self._transport.calls.take(record)

    def _progress(
        self, call: int, piece: Any, payloads: Any, worker: int, seen: dict[int, int]
    ) -> None:
        self._store.put_in(payloads)
        self._transport.seen[worker] = seen
        pending: Any = self._transport.calls.pending.get(call)
        if hasattr(pending, "result_table"):
            pending.result_table.follow(piece, self._engine.now_ns())

    def _table(self, batch: int, word: int, value: int) -> None:
        self._store.tables.change(batch, word, value)

    def _item(self, number: int, sealed: Any, producer: int) -> None:
        self._transport.channels.item(number, sealed, producer)

    def _grant(self, number: int, count: int) -> None:
        self._transport.channels.grant(number, count)

    def _desk(self, at: int, value: int) -> None:
        self._transport._desk_words[at] = value

    def _told(self, number: int, is_good: bool, value: Any) -> None:
        self._transport.told(number, is_good, value)

    def _words(self, words: dict[int, int]) -> None:
        for at, value in words.items():
            self._host.words[at] = value
        self._transport.send_control(self._host.id, frame(Kind.NUDGE, 0, b""))

    def _cancelled(self, call: int) -> None:
        self._host.cancelled.add(call)
        self._host.cancel(call)

    def _stack(self) -> str:
        import sys
        import traceback

        thread = getattr(self._host.life, "thread_id", None)
        found = None if thread is None else sys._current_frames().get(thread)
        return "" if found is None else "".join(traceback.format_stack(found))
