"""How actors and main program talk where all are in one process.

Layer: local. Runs in: one process, any thread.
Owns: the table of the system's mailboxes, and of its calls (`close`).
Never: says who runs next: the engine does.

One transport serves all: who sends is the life that the calling thread serves (`here`).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, cast

from procactors.errors import (
    ActorStopped,
    DeliveryError,
    ForeignProcess,
    MailboxFull,
)
from procactors.local.aside import Aside
from procactors.local.channel import Channels
from procactors.local.here import Killed, here
from procactors.local.metering import LocalMeters
from procactors.local.replies import REPLY, Calls, LocalReplies, Port
from procactors.local.shares import LocalShares
from procactors.local.store import LocalStore
from procactors.local.waits import EngineCondition, EngineLock, EngineQueue, EngineTurn, NoGuard
from procactors.model.backends import unsupported
from procactors.wire.envelope import HEADER_BYTES, build_message, open_envelope, tell_builder
from procactors.wire.mailbox.black_box import (
    CLOSED,
    GONE,
    LISTENED,
    LISTENED_OVERFLOW,
    SYSTEM_ENDS,
    WAITING_ON,
)
from procactors.wire.pickling.codec import Encoded
from procactors.wire.record import BODY_LIMIT, Kind, frame, parse, stamped
from procactors.wire.replies.cycles import cycle_error, cycle_from
from procactors.wire.replies.failures import load_answer, open_answer, timeout_error
from procactors.wire.replies.port import Answer, PendingReply
from procactors.wire.transport import MAIN, SUPERVISOR, enter, leave

if TYPE_CHECKING:
    from procactors.local.box import LocalMail
    from procactors.local.engine import Engine
    from procactors.local.slots import LocalSlot
    from procactors.metrics.values import Metrics
    from procactors.wire.transport import Transport

__all__ = ["Box", "LocalTransport"]

#: States of a future that has ended.
_ENDED = (FINISHED, CANCELLED, CANCELLED_AND_NOTIFIED)

#: Methods for whose tells a header is kept; a program that defines ever new code begins anew.
_KEPT_BUILDERS = 1024
#: Seconds between two reports that messages to an actor meet a full mailbox.
_FULL_EVERY_S = 1.0


class Box(Protocol):
    """One actor's mailbox, as senders see it.

    Attributes:
        words: of its black box.
        mail: what waits in it; and the records of that.
        options: the actor's.
        is_unbounded: it has room for any number.
        life: what serves it; None: nothing.
        table: what is held out of it.
        cancelled: calls that were cancelled while in hand.
    """

    words: Any
    mail: LocalMail
    records: Any
    options: Any
    is_unbounded: bool
    life: Any
    table: Any
    cancelled: set[int]

    def wake(self) -> None:
        """Something has come."""

    def has_in_hand(self, reply: int, call: int) -> bool:
        """Return whether a call is in hand."""

    def cancel(self, call: int) -> None:
        """Have the handler of a call in hand leave, if it awaits."""


class LocalTransport:
    """The `Transport` of a system in one process.

    Args:
        path: names the system; no file's.
        engine: runs it.
    """

    def __init__(self, path: str, engine: Engine) -> None:
        self.path = path
        self.engine = engine
        self.store = self._make_store(path)
        self.store.now_ns = engine.now_ns
        self.calls = Calls(self.store)
        self.channels = self._make_channels(engine)
        self.is_metered = False
        self.meters = LocalMeters(engine.now_ns)
        self.letters_total: Callable[[], int] = int
        self.shares = LocalShares(path)
        self.open_stream: Callable[..., Any] | None = None
        self.gate_of: Callable[[Any], Any] | None = None
        self.make_letter: Callable[..., Any] | None = None
        self.encode: Callable[..., Encoded] = self.store.encode
        self.make_lock: Callable[[], Any] = functools.partial(EngineTurn, engine)
        self.make_guard: Callable[[], Any] = NoGuard if engine.is_virtual else threading.RLock
        self.make_condition: Callable[[Any], Any] = threading.Condition
        self.make_queue: Callable[[], Any] = SimpleQueue
        self.make_mutex: Callable[[], Any] = threading.RLock
        self.has_threads = not engine.is_virtual
        self.beside: Callable[[Any, str], Callable[[], None]] | None = None
        if engine.is_virtual:
            self.make_condition = lambda _: EngineCondition(engine)
            self.make_queue = functools.partial(EngineQueue, engine)
            self.make_mutex = functools.partial(EngineLock, engine)
            self.beside = self._run_beside
        self.is_abandoned = False
        #: The mailboxes, by actor; the supervisor's is 0.
        self.boxes: dict[int, Box] = {}
        self.name_of: Callable[[int], str] = lambda actor: f"actor {actor}"
        self.on_lost: Callable[[int, bytes], None] = lambda _actor, _record: None
        self.on_full: Callable[[int], None] = lambda _actor: None
        self.on_given_up: Callable[[int, int], None] = lambda _reply, _call: None
        self._pid = os.getpid()
        self._is_alone = engine.is_virtual
        self._yields = engine.yields
        self._numbers = itertools.count(1)
        self._tells: dict[tuple[int, bytes], Callable[[bytes], bytes]] = {}
        self._full_again: dict[int, float] = {}
        self._closing: list[Callable[[], None]] = []
        self._closed = False
        enter(cast("Transport", self))  # its `actor` is whoever asks

    def _make_store(self, path: str) -> LocalStore:
        return LocalStore(path, self.make_replies)

    def _make_channels(self, engine: Engine) -> Channels:
        return Channels(engine, self.store)

    def _run_beside(self, task: Any, name: str) -> Callable[[], None]:
        self.engine.start(task, name)
        return functools.partial(self.engine.wake, task)

    def refuse(self, what: str) -> None:
        """Refuse what the backend does not promise, by its name in the table."""
        raise unsupported(what, self.engine.name)

    def make_replies(self, store: Any = None) -> LocalReplies:
        """Return what sends answers."""
        return LocalReplies(self.store, self.calls)

    # -- who is here --------------------------------------------------------------------------

    @property
    def actor(self) -> int:
        """Id of the actor that the calling thread serves; `MAIN` for the main program."""
        life = here.life
        return life.actor if life is not None and life.transport is self else MAIN

    @property
    def is_concurrent(self) -> bool:
        """Whether the actor here goes on with others while one of its handlers awaits."""
        life = here.life
        return life is not None and life.transport is self and life.is_concurrent

    @property
    def now(self) -> Callable[[], float]:
        """The engine's clock."""
        return self.engine.now

    def begin(self, call: Callable[[], None], name: str) -> None:
        """Begin a call that may wait, beside what runs here."""
        life = here.life
        self.engine.start(Aside(life if life and life.transport is self else None, call), name)

    def _life(self) -> Any:
        """Return the life of this system that the calling thread serves; None: of none.

        Raises:
            Killed: it was killed.
        """
        life = here.life
        if life is None or life.transport is not self:
            return None
        if life.is_dead:
            raise Killed
        return life

    # -- sending ------------------------------------------------------------------------------

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        """Put a message that wants no answer into an actor's mailbox; see `Transport.tell`."""
        life = here.life
        sender = MAIN
        if life is not None and life.transport is self:
            if life.is_dead:
                raise Killed
            sender = life.actor
        head, buffers = encoded
        if buffers or len(head) + len(method) > BODY_LIMIT - HEADER_BYTES:
            record = build_message(self.store, actor, method, encoded, 0, 0, sender)
        else:
            record = (self._tells.get((sender, method)) or self._builder(sender, method))(head)
        if self._is_alone:  # nobody can come between the look and the record
            box = self.boxes.get(actor)
            if box is not None and box.is_unbounded and not box.words[CLOSED]:
                box.records.append(record)
                life = box.life
                if life is None or not life.is_queued:
                    box.wake()
                if self._yields:
                    self.engine.yield_()
                return
        self._send(actor, name, record, timeout)
        self.engine.yield_()

    def tell_many(
        self,
        actor: int,
        name: str,
        method: bytes,
        messages: Iterable[Encoded],
        timeout: float | None = None,
    ) -> None:
        """Put messages that want no answer into an actor's mailbox, in order."""
        sent = 0
        try:
            for encoded in messages:
                self.check_copy()
                self.tell(actor, name, method, encoded, timeout)
                sent += 1
        except DeliveryError as error:
            error.sent += sent
            raise

    def ask(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> Any:
        """Put a message and wait for its answer; see `Transport.ask`."""
        life = self._life()
        deadline = None if timeout is None else self.engine.now() + timeout
        call = next(self._numbers)
        sender = MAIN if life is None else life.actor
        record = build_message(
            self.store, actor, method, encoded, call, REPLY, sender, deadline or 0.0
        )
        port = Port(self.engine, actor, name)
        self.calls.pending[call] = port
        if actor and self.is_metered:
            record = self._measured(call, sender, method, record)
        try:
            self._send(actor, name, record, place_timeout)
            answer = self._await(port, life, deadline)
        except BaseException:
            self.calls.drop(call)
            if actor == SUPERVISOR:
                self.on_given_up(REPLY, call)
            raise
        if answer is None:
            self.calls.drop(call)
            if actor == SUPERVISOR:
                self.on_given_up(REPLY, call)
            raise timeout_error(name, timeout)
        try:
            return load_answer(self.store, answer)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again
            raise _traced(error, answer) from error.__cause__

    def _await(self, port: Port, life: Any, deadline: float | None) -> Answer | None:
        """Wait for the answer of an ask; a cycle of asks is an error."""
        is_shown = life is not None and not life.is_concurrent
        if is_shown:
            self._show_wait(port, life)
        try:
            self.engine.wait(port.waiter, deadline, f"the reply of {port.name}")
        finally:
            if is_shown and not life.is_dead:
                life.words[WAITING_ON] = 0
        if port.error is not None:
            raise port.error
        return port.answer

    def _show_wait(self, port: Port, life: Any) -> None:
        """Show for which actor a life waits, and see that this closes no circle."""
        words = life.words

        def look() -> None:
            if port.answer is not None or life.is_dead:
                return
            words[WAITING_ON] = port.actor
            cycle = cycle_from(port.actor, life.actor, self.words)
            if cycle:
                port.error = cycle_error(port.name, life.actor, cycle, self.name_of)
                port.waiter.set()

        def answered() -> None:
            # At once, not when the caller runs again: it waits for nobody any more.
            if not life.is_dead:
                words[WAITING_ON] = 0

        port.on_moved, port.on_answer = look, answered
        look()

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: PendingReply,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> None:
        """Put a message whose answer is handed to `pending`; see `Transport.submit`."""
        life = self._life()
        call = next(self._numbers)
        deadline = 0.0 if timeout is None else self.engine.now() + timeout
        sender = MAIN if life is None else life.actor
        record = build_message(self.store, actor, method, encoded, call, REPLY, sender, deadline)
        pending.call = call
        self.calls.pending[call] = pending
        if actor and self.is_metered:
            record = self._measured(call, sender, method, record)
        try:
            self._send(actor, name, record, place_timeout)
        except BaseException:
            self.calls.drop(call)
            raise
        if timeout is not None:
            late = timeout_error(name, timeout)
            alarm = self.engine.at(deadline, functools.partial(self.calls.fail, call, late))
            self.calls.alarms[call] = alarm
            if call not in self.calls.pending:  # it was answered just now
                self.calls.drop(call)
        self.engine.yield_()

    def _measured(self, call: int, sender: int, method: bytes, record: bytes) -> bytes:
        """Return the record of a call that is counted when it is answered, or as it is."""
        begun = self.meters.begin(method)
        if begun is None:
            return record
        self.calls.sent[call] = functools.partial(self.meters.end, sender, begun)
        sent, _, _, standing = begun
        return stamped(record, sent, standing)

    def snapshot(self) -> Metrics:
        """Return what was counted by now (`procactors.metrics`)."""
        self.check_process()
        hosts = [host for actor, host in sorted(self.boxes.items()) if actor != SUPERVISOR]
        return self.meters.read(self.path, self.engine.now(), hosts, self.letters_total())

    def expect(self, pending: PendingReply) -> tuple[int, int]:
        """Expect an answer to no call; return the (reply, call) that it is to be sent to."""
        call = next(self._numbers)
        self.calls.pending[call] = pending
        return REPLY, call

    def pass_on(self, actor: int, name: str, record: bytes, timeout: float | None = None) -> None:
        """Put a message that has come here into another actor's mailbox, for good."""
        self.check_process()
        self._life()
        self._put(actor, name, record, timeout)

    def _send(self, actor: int, name: str, record: bytes, timeout: float | None) -> None:
        try:
            self._put(actor, name, record, timeout)
        except ActorStopped:
            if self._is_dead_letter(actor, record):
                self.on_lost(actor, record)
                return
            self._unsend(record)
            raise
        except BaseException:
            self._unsend(record)
            raise

    def _put(self, actor: int, name: str, record: bytes, timeout: float | None) -> None:
        box = self.boxes.get(actor)
        if box is None or box.words[CLOSED]:
            raise self._stopped(name)
        waiter = box.mail.take_place()
        if waiter is not None:
            self._met_full(actor)
            self._await_place(box, name, waiter, timeout)
        with box.mail.lock:
            if box.words[CLOSED]:
                box.mail.free_place()
                raise self._stopped(name)
            box.mail.records.append(record)
        box.wake()

    def _await_place(self, box: Box, name: str, waiter: Any, timeout: float | None) -> None:
        """Wait for a place in a bounded mailbox."""
        deadline = None if timeout is None else self.engine.now() + timeout
        while True:
            try:
                if timeout == 0 or not self.engine.wait(waiter, deadline, f"room for {name}"):
                    capacity = box.options.mailbox
                    raise MailboxFull(
                        f"the mailbox of {name} is full: {capacity} of {capacity} places taken"
                    )
            except BaseException:
                box.mail.leave(waiter)
                raise
            if box.words[CLOSED]:
                return
            again = box.mail.take_place()
            if again is None:
                return
            waiter = again

    def _stopped(self, name: str) -> ActorStopped:
        return ActorStopped(f"{name} has stopped; the message was not handled")

    def _is_dead_letter(self, actor: int, record: bytes) -> bool:
        """Whether a message that will not be handled is a dead letter, and no sender's error."""
        life = here.life
        if life is None or life.transport is not self or actor == SUPERVISOR:
            return False
        kind, _, body = parse(record)
        if kind != Kind.CALL or open_envelope(body).reply:
            return False
        words = self.words(SUPERVISOR)
        return life.is_stopping() or words is None or bool(words[SYSTEM_ENDS])

    def _unsend(self, record: bytes) -> None:
        _, flags, body = parse(record)
        self.store.discard(flags, open_envelope(body).payload)

    def _met_full(self, actor: int) -> None:
        words = self.words(SUPERVISOR)
        if words is None or not words[LISTENED] & LISTENED_OVERFLOW:
            return
        now = self.engine.now()
        if now >= self._full_again.get(actor, 0.0):
            self._full_again[actor] = now + _FULL_EVERY_S
            self.on_full(actor)

    def _builder(self, sender: int, method: bytes) -> Callable[[bytes], bytes]:
        if len(self._tells) >= _KEPT_BUILDERS:
            self._tells.clear()
        # Inline, what waits does so for no time of the system's.
        is_stamped = self.is_metered and not self.engine.is_virtual
        build = self._tells[sender, method] = tell_builder(method, sender, is_stamped)
        return build

    # -- cancelling ---------------------------------------------------------------------------

    def take_back(self, actor: int, call: int) -> bool | None:
        """Cancel a call of a submit; see `Transport.take_back`."""
        box = self.boxes.get(self.who_answers(actor, call))
        if box is None:
            return False
        with box.mail.lock:
            for at, record in enumerate(box.mail.records):
                if self._is(record, call):
                    del box.mail.records[at]
                    self._take_out(record, call)
                    box.mail.free_place()
                    return True
            slot = self._aside(box, call)
            if slot is not None:
                self._take_out(slot.raw, call)
                slot.is_counted = True
                slot.release()
                return True
            is_begun = box.has_in_hand(REPLY, call)
            if is_begun:
                box.cancelled.add(call)
        if is_begun:
            box.cancel(call)
        return False

    def _aside(self, box: Box, call: int) -> LocalSlot | None:
        found = (slot for slot in box.table.put_aside() if self._is(slot.raw, call))
        return next((slot for slot in found if not slot.deliveries), None)

    def _take_out(self, record: bytes, call: int) -> None:
        self._unsend(record)
        self.calls.drop(call)

    @staticmethod
    def _is(record: bytes, call: int) -> bool:
        kind, _, body = parse(record)
        return kind == Kind.CALL and open_envelope(body).call == call

    def who_answers(self, actor: int, call: int) -> int:
        """Return the actor that is to answer a call of a submit to `actor` now."""
        return self.calls.moved.get(call, actor)

    def want_no_more(self, actor: int, call: int) -> None:
        """Cancel a call of a submit, whose answer nobody waits for."""
        if not self.take_back(actor, call):
            self.calls.ignore(call)  # what comes is wanted by nobody, and that is no loss

    # -- answers ------------------------------------------------------------------------------

    @property
    def reply_number(self) -> int:
        """Number of the way on which the answers to submits come."""
        return REPLY

    def open(self, answer: Answer) -> tuple[bool, Any]:
        """Return (True, the result that an answer carries) or (False, the exception)."""
        is_good, value = open_answer(self.store, answer)
        return is_good, value if is_good else _traced(value, answer)

    def discard(self, answer: Answer) -> None:
        """Let go of an answer's payload, unread."""
        self.store.discard(answer.flags, answer.value)

    def hurry(self) -> None:
        """Nothing is held back."""

    def look(self) -> None:
        """Somebody looks whether an answer has come."""
        self.engine.look()

    def bring(self, reply: Any) -> None:
        """Somebody is to wait for a reply among others, by means of the machine's."""
        self.engine.bring(lambda: reply._state in _ENDED)

    def run_callback(self, callback: Callable[[], None]) -> None:
        """Run a user's callback, so that it may submit again."""
        self.engine.later(callback)

    @property
    def owe(self) -> Callable[[bytes], Callable[[], None]] | None:
        """In an actor: takes the record of a message that it is to answer in another's stead."""
        life = here.life
        return None if life is None or life.transport is not self else life.owe

    @property
    def on_taken_over(self) -> Callable[[int, int], None] | None:
        """In an actor: called with number and turn of a slot that is answered."""
        life = here.life
        return None if life is None or life.transport is not self else life.on_taken_over

    # -- mailboxes ----------------------------------------------------------------------------

    def stop_in_order(self, actor: int) -> None:
        """Put a stop behind everything that has been sent to the actor so far."""
        self.send_control(actor, frame(Kind.STOP, 0, b""))

    def send_control(self, actor: int, record: bytes) -> bool:
        """Put a record of the runtime's own into a mailbox; return whether that is still there."""
        box = self.boxes.get(actor)
        if box is None:
            return False
        with box.mail.lock:
            if box.words[CLOSED] == GONE:
                return False
            box.mail.records.append(record)
        box.wake()
        return True

    def words(self, actor: int) -> Any:
        """Return the words of an actor's black box; None if it is gone."""
        box = self.boxes.get(actor)
        return None if box is None else box.words

    # -- life ---------------------------------------------------------------------------------

    def flush(self, timeout: float) -> int:
        """All that was sent is in its mailbox."""
        return 0

    def on_close(self, action: Callable[[], None]) -> None:
        """Run `action` when the transport is closed, unless it is taken back before."""
        self._closing.append(action)

    def off_close(self, action: Callable[[], None]) -> None:
        """Take an action back."""
        with contextlib.suppress(ValueError):
            self._closing.remove(action)

    def close(self) -> None:
        """End the calls that still wait here, with an error."""
        self._closed = True
        leave(cast("Transport", self))
        for action in list(self._closing):
            action()
        for call in list(self.calls.pending):
            self.calls.fail(call, ActorStopped("the system was stopped"))
        self.channels.close()
        self.shares.close()
        self.boxes.clear()
        self.store.close()

    def check_process(self) -> None:
        """Raise ForeignProcess in a forked copy of this process, ActorStopped after the end."""
        if self._closed:
            raise ActorStopped("the system was stopped")
        self.check_copy()

    def check_copy(self) -> None:
        """Raise ForeignProcess in a forked copy of this process."""
        if self.is_copy:
            raise ForeignProcess(
                f"process {os.getpid()} is a forked copy of process {self._pid} and does not "
                f"belong to the actor system, which has all its actors there"
            )

    @property
    def is_copy(self) -> bool:
        """Whether this is a forked copy: no thread goes on here."""
        return self._pid != os.getpid()


def _traced(error: BaseException, answer: Answer) -> BaseException:
    """Return a handler's exception with the frames in which it was raised, for a debugger."""
    trace = getattr(answer, "trace", None)
    return error if trace is None else error.with_traceback(trace)
