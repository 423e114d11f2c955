"""One process's end of a system's messaging: writers to mailboxes, leased reply ports, submits.

Layer: wire. Runs in: parent and actor.
Owns: everything that this process has open in the runtime directory (`close`), and the thread
that reads the answers to submits.
Never: outlives the process's part in the system; is used by a forked copy.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from queue import Full, SimpleQueue
from select import PIPE_BUF
from time import monotonic, monotonic_ns
from typing import Any

from procactors.errors import (
    ActorStopped,
    DeliveryError,
    ForeignProcess,
    MailboxFull,
    StorageFull,
)
from procactors.wire.envelope import HEADER_BYTES, build_message, open_envelope, tell_builder
from procactors.wire.mailbox.black_box import (
    DEBUGGED,
    LISTENED,
    LISTENED_OVERFLOW,
    SYSTEM_ENDS,
    WAITING_ON,
    BlackBox,
)
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.payload_store import PayloadStore, store_of
from procactors.wire.pickling.codec import Encoded
from procactors.wire.raised import by_signal
from procactors.wire.record import BODY_LIMIT, Kind, frame, parse, stamped
from procactors.wire.replies.cycles import LOOK_S, LOOKS, cycle_error, cycle_from, is_asleep
from procactors.wire.replies.failures import load_answer, open_answer, timeout_error
from procactors.wire.replies.port import Answer, PendingReply, ReplyPort
from procactors.wire.replies.reader import HELD_S, NOT_SENT, ReplyReader
from procactors.wire.sampler import Sampler
from procactors.wire.storage import too_many_open
from procactors.wire.transport import MAIN, SUPERVISOR, enter, leave
from procactors.wire.trips import Trips

__all__ = ["Endpoint", "actor_path"]

#: Mailboxes whose writing ends a process keeps open: two descriptors each at most.
_KEPT_WRITERS = 256
#: Methods for whose tells a header is kept; a program that defines ever new code begins anew.
_KEPT_BUILDERS = 1024
#: Seconds between looks at who waits for whom, while a message waits for room in a full pipe.
_PIPE_LOOK_S = 0.1
#: Seconds between two reports that messages to an actor meet a full mailbox.
_FULL_EVERY_S = 1.0


def actor_path(runtime_dir: str, actor: int) -> str:
    """Return the directory of an actor's mailbox."""
    return f"{runtime_dir}/actors/{actor}"


class Endpoint:
    """A process's `Transport` over pipes: all that it needs to talk to one system's actors.

    Args:
        path: the system's runtime directory.
        actor: id of the actor that this process is; `MAIN` for the main program.
        box: the actor's own black box, in which it shows which actor it waits for.
    """

    has_threads = True
    beside: Callable[[Any, str], Callable[[], None]] | None = None
    now: Callable[[], float] = monotonic
    open_stream: Callable[..., Any] | None = None
    refuse: Callable[[str], None] | None = None
    gate_of: Callable[[Any], Any] | None = None
    make_letter: Callable[..., Any] | None = None

    def __init__(self, path: str, actor: int = MAIN, box: BlackBox | None = None) -> None:
        self.path = path
        self.actor = actor
        self.is_concurrent = False
        #: Counts how long answers take; None: nobody does, and no message is stamped.
        self.trips: Trips | None = None
        self.store: PayloadStore = store_of(path)
        self.encode: Callable[..., Encoded] = self.store.encode
        self.make_lock: Callable[[], Any] = threading.Lock
        self.make_guard: Callable[[], Any] = threading.RLock
        self.make_mutex: Callable[[], Any] = threading.RLock
        self.make_condition: Callable[[Any], Any] = threading.Condition
        self.make_queue: Callable[[], Any] = SimpleQueue
        self._pid = os.getpid()
        self._waiting = box.words if box is not None else None
        self._main_thread = threading.get_ident()
        # Looks for a cycle that an ask has made, since its message was passed on.
        self._cycle_looks = 0
        self._writers: OrderedDict[int, MailboxWriter] = OrderedDict()
        # Guards the tables below; never held while waiting.
        self._lock = threading.RLock()
        self._ports: list[ReplyPort] = []
        self._calls = itertools.count(1)
        #: What makes the records of tells, for each method that has been told.
        self._tells: dict[bytes, Callable[[bytes], bytes]] = {}
        #: Which calls are measured, for each method.
        self._samplers: dict[bytes, Sampler] = {}
        self._replies: ReplyReader | None = None
        # The same reader, set before its threads are started.
        self._reading: ReplyReader | None = None
        self._callbacks: SimpleQueue[Callable[[], None] | None] | None = None
        self._closed = False
        self._closing: list[Callable[[], None]] = []
        #: Names an actor, for errors; by its number where that is all that is known.
        self.name_of: Callable[[int], str] = lambda actor: f"actor {actor}"
        #: The program has broken off what it did here: it looks at no reply any more.
        self.is_abandoned = False
        #: Whether the actor that this process is, is being stopped.
        self.is_stopping: Callable[[], bool] = lambda: False
        #: Called with a record that can no longer be delivered: makes the dead letter.
        self.on_lost: Callable[[int, bytes], None] = lambda _actor, _record: None
        #: Called with the actor when a message meets its full mailbox, at most once a second.
        self.on_full: Callable[[int], None] = lambda _actor: None
        # By actor: the instant from which a full mailbox is reported again.
        self._full_again: dict[int, float] = {}
        #: In an actor: takes the record of a message that it is to answer in another's stead, and
        #: returns what is to be called when it has; None elsewhere.
        self.owe: Callable[[bytes], Callable[[], None]] | None = None
        #: In an actor: called with number and turn of a slot of its hands table that is answered.
        self.on_taken_over: Callable[[int, int], None] | None = None
        #: Called with (reply port, call) of a supervisor's answer that will not be looked at.
        self.on_given_up: Callable[[int, int], None] = lambda _reply, _call: None
        enter(self)

    # -- sending ------------------------------------------------------------------------------

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        """Put a message that wants no answer into an actor's mailbox.

        Raises:
            ActorStopped, MailboxFull, StorageFull: it was not sent. But not ActorStopped in an
                actor that is being stopped: there the message is a dead letter.
        """
        head, buffers = encoded
        if buffers or len(head) + len(method) > BODY_LIMIT - HEADER_BYTES:
            record = build_message(self.store, actor, method, encoded, 0, 0, self.actor)
        else:
            record = (self._tells.get(method) or self._tell_builder(method))(head)
        writer = self._writers.get(actor)
        if writer is None or not writer.send_at_once(record):
            self._send(actor, name, record, timeout)

    def tell_many(
        self,
        actor: int,
        name: str,
        method: bytes,
        messages: Iterable[Encoded],
        timeout: float | None = None,
    ) -> None:
        """Put messages that want no answer into an actor's mailbox, in order and in few writes.

        What an exception of `messages` comes behind is put before that is raised.

        Raises:
            ActorStopped, MailboxFull, StorageFull: some were not sent, as its `sent` says.
        """
        build = self._tells.get(method) or self._tell_builder(method)
        small = BODY_LIMIT - len(method) - HEADER_BYTES
        together: list[bytes] = []
        size = sent = 0
        patient = True
        try:
            try:
                for head, buffers in messages:
                    if buffers or len(head) > small:  # by itself, perhaps with a segment
                        records, together, size = together, [], 0
                        patient = self._send_together(actor, name, records, timeout, patient)
                        sent += len(records)
                        self.tell(actor, name, method, Encoded(head, buffers), timeout)
                        sent += 1
                        continue
                    record = build(head)
                    size += len(record)
                    if size > PIPE_BUF:
                        # Out of reach of the handler below first: what failed is not sent again.
                        records, together, size = together, [], len(record)
                        patient = self._send_together(actor, name, records, timeout, patient)
                        sent += len(records)
                    together.append(record)
            except BaseException:
                if self.is_copy:  # forked by the iterable: they are its original's to send
                    together = []
                raise
            finally:
                if together:
                    self._send_together(actor, name, together, timeout, patient)
                    sent += len(together)
        except DeliveryError as error:
            error.sent += sent
            raise

    def ask(  # noqa: C901, PLR0912 - in one piece: it is hot
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> Any:
        """Put a message and wait for its answer, up to `timeout` seconds (None: for ever).

        Raises:
            DeliveryError: it was not sent. ReplyError: no answer. Whatever the handler raised.
        """
        deadline = None if timeout is None else monotonic() + timeout
        try:
            port = self._ports.pop()
        except IndexError:
            port = self._new_port()
        call = next(self._calls)
        sent = standing = 0
        sampler = self._samplers.get(method) or self._sampler(method)
        try:
            record = build_message(
                self.store, actor, method, encoded, call, port.number, self.actor, deadline or 0.0
            )
            if sampler.rests:
                sampler.rests -= 1
            elif actor and self.trips is not None:
                sent, standing = monotonic_ns(), sampler.begin()
                record = stamped(record, sent, standing)
            writer = self._writers.get(actor)
            if writer is None or not writer.send_at_once(record):
                self._send(actor, name, record, place_timeout)
        except (DeliveryError, OSError) as error:
            if by_signal(error):
                self._give_up(port, call, actor)
            else:
                self._give_back(port)  # nothing was sent: no answer will come
            raise
        except BaseException:
            self._give_up(port, call, actor)  # by a signal handler, perhaps behind the write
            raise
        try:
            if self._waiting is None:
                answer = port.wait(call, deadline, self._check, actor, name)
            else:
                answer = self._wait_as_actor(port, call, deadline, actor, name)
            if answer is None and timeout is not None:
                answer = self._wait_for_debugged(port, call, timeout, actor, name)
            if answer is None:
                raise timeout_error(name, timeout)
        except BaseException:
            # An answer may still come: it must not be taken for another call's.
            self._give_up(port, call, actor)
            raise
        try:
            if sent and self.trips is not None:
                self.trips.record(sent, method, sampler, standing)
            return load_answer(self.store, answer)
        finally:
            del answer
            self._give_back(port)

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
        """Put a message whose answer is handed to `pending` by the reader thread.

        Raises:
            DeliveryError: it was not sent, and nothing is delivered to `pending`.
        """
        replies = self._replies or self._reply_reader()
        call = next(self._calls)
        deadline = 0.0 if timeout is None else monotonic() + timeout
        record = build_message(
            self.store, actor, method, encoded, call, replies.port.number, self.actor, deadline
        )
        pending.call = call
        replies.pending[call] = pending
        if pending.is_awaited:
            replies.hurry()
        try:
            sampler = self._samplers.get(method) or self._sampler(method)
            if sampler.rests:
                sampler.rests -= 1
            elif actor and self.trips is not None:
                sent, standing = monotonic_ns(), sampler.begin()
                replies.sent[call] = sent, method, sampler, standing
                record = stamped(record, sent, standing)
            writer = self._writers.get(actor)
            if writer is None or not writer.send_at_once(record):
                self._send(actor, name, record, place_timeout)
        except BaseException:
            replies.pending.pop(call, None)
            replies.sent.pop(call, None)
            raise
        if timeout is not None:
            replies.expire(call, deadline, timeout, actor, timeout_error(name, timeout))

    def expect(self, pending: PendingReply) -> tuple[int, int]:
        """Expect an answer to no call; return the (reply, call) that it is to be sent to."""
        replies = self._replies or self._reply_reader()
        call = next(self._calls)
        replies.pending[call] = pending
        return replies.port.number, call

    def pass_on(self, actor: int, name: str, record: bytes, timeout: float | None = None) -> None:
        """Put a message that has come here into another actor's mailbox; it is the kernel's then.

        It stays the caller's if this raises, with its payload. Blocks for a place in a bounded
        mailbox, up to `timeout` seconds (None: for ever), and for room in a full pipe: in this
        process's backlog it would be lost with it, and its sender wait for ever. But not where that
        actor waits for this one.

        Raises:
            ActorStopped, MailboxFull, StorageFull: it was not sent.
        """
        self.check_process()
        while True:
            writer = None
            try:
                writer = self._writers.get(actor) or self._writer(actor)
                writer.send(record, timeout)
                break
            except MailboxClosed:
                if writer is not None and writer.retired:  # closed to save descriptors: open anew
                    continue
                self.forget(actor)
                raise ActorStopped(f"{name} has stopped; the message was not handled") from None
            except Full:
                raise self._full(actor, name) from None
        if writer.waiting():
            self._wait_written(writer, actor)

    def _wait_written(self, writer: MailboxWriter, actor: int) -> None:
        """Wait until what was sent to an actor is in its pipe, or neither of both would go on."""
        shown = self._waiting if threading.get_ident() == self._main_thread else None
        if shown is not None:
            shown[WAITING_ON] = actor
        try:
            while writer.waiting():
                if cycle_from(actor, self.actor, self.words):
                    return
                writer.flush(_PIPE_LOOK_S)
        finally:
            if shown is not None:
                shown[WAITING_ON] = 0

    def hurry(self) -> None:
        """Have answers to submits handed over as they come: somebody waits for one."""
        replies = self._replies
        if replies is not None:
            replies.hurry()

    look = hurry

    def bring(self, _reply: object) -> None:
        """Do what `hurry` does."""
        self.hurry()

    def take_back(self, actor: int, call: int) -> bool | None:
        """Cancel a call of a submit; return True: it has not begun, and never will."""
        from procactors.wire.taking_back import take_back  # only where it is used

        replies = self._replies
        if replies is None:
            return None
        while True:
            if any(not source for source, _ in replies.moved.get(call, ())):
                return False  # its handler has ended, and its answer is owed
            now = self.who_answers(actor, call)
            is_taken = take_back(
                actor_path(self.path, now),
                functools.partial(self.box, now),
                replies,
                call,
                lambda now=now: self._has_left(actor, call, now),  # type: ignore[misc]
            )
            if is_taken or not self._has_left(actor, call, now):
                break
        if is_taken is False:
            # Shown first, looked up second, as the thread that reads replies does it the other way.
            replies.on_moved = self._follow
            replies.begun.add(call)
            replies.moved.setdefault(call, [])
            if (then := self.who_answers(actor, call)) != now:
                self._follow(call, then)
            if call not in replies.pending:
                replies.forget_moved(call)
        return is_taken

    def _has_left(self, actor: int, call: int, now: int) -> bool:
        """Whether word has come that a call is no longer where it was to be answered."""
        replies = self._replies
        owed = replies is not None and any(not one for one, _ in replies.moved.get(call, ()))
        return owed or self.who_answers(actor, call) != now

    def who_answers(self, actor: int, call: int) -> int:
        """Return the actor that is to answer a call of a submit now, as far as is known here.

        Args:
            actor: that it was sent to.
            call: its id.
        """
        replies = self._replies
        moves = list(replies.moved.get(call, ())) if replies is not None else []
        # From one to the next, in whatever order word of them has come.
        while (move := next((move for move in moves if move[0] == actor), None)) is not None:
            moves.remove(move)
            actor = move[1]
        return actor

    def _follow(self, call: int, actor: int) -> None:
        """A call that was cancelled is another actor's to answer now: have it know."""
        from procactors.wire.taking_back import follow  # only where it is used

        replies = self._replies
        if replies is not None:
            path, has_begun = actor_path(self.path, actor), call in replies.begun
            with contextlib.suppress(StorageFull):  # no descriptor: what comes of it, does
                follow(path, self.words(actor), replies, call, has_begun=has_begun)

    def measure(self, name: str, class_name: str) -> None:
        """Count how long answers take, from now on, and stamp messages.

        Args:
            name: of the actor that this process is; empty: of none.
            class_name: of that actor.
        """
        path = f"{actor_path(self.path, self.actor)}/trips"
        self.trips = Trips(path, name, class_name)

    def want_no_more(self, actor: int, call: int) -> None:
        """Cancel a call of a submit, whose answer nobody waits for; does not wait."""
        from procactors.wire.taking_back import resolve, want_no_more  # only where it is used

        replies = self._replies
        if replies is not None:
            port = replies.port.number
            replies.on_begun = lambda path, begun: resolve(path, port, begun)
            replies.on_moved = self._follow
            now = self.who_answers(actor, call)
            want_no_more(
                actor_path(self.path, now), functools.partial(self.words, now), replies, call
            )
            if call in replies.unwanted and (then := self.who_answers(actor, call)) != now:
                self._follow(call, then)

    @property
    def reply_number(self) -> int:
        """Number of the pipe on which the answers to this process's submits come."""
        return self._reply_reader().port.number

    def open(self, answer: Answer) -> tuple[bool, Any]:
        """Return (True, the result that an answer carries) or (False, the exception)."""
        return open_answer(self.store, answer)

    def discard(self, answer: Answer) -> None:
        """Let go of an answer's payload, unread."""
        self.store.discard(answer.flags, answer.value)

    def stop_in_order(self, actor: int) -> None:
        """Put a stop behind everything that this process has sent to the actor so far."""
        self.send_control(actor, frame(Kind.STOP, 0, b""))  # unless it has stopped already

    def send_control(self, actor: int, record: bytes) -> bool:
        """Put a record of the runtime's own into a mailbox; return whether that is still there."""
        while True:
            try:
                writer = self._writer(actor)
            except MailboxClosed:
                return False
            try:
                writer.send_control(record)
            except MailboxClosed:
                if not writer.retired:  # else it was closed to save descriptors: open anew
                    return False
            else:
                return True

    def words(self, actor: int) -> memoryview | None:
        """Return the words of an actor's black box; None if it is gone."""
        try:
            return self._writer(actor).words
        except (MailboxClosed, ActorStopped):
            return None

    def box(self, actor: int) -> BlackBox | None:
        """Return an actor's black box; None if it is gone."""
        try:
            return self._writer(actor).box
        except (MailboxClosed, ActorStopped):
            return None

    def forget(self, actor: int) -> None:
        """Close our end of a mailbox that is gone; report what still waited for it as lost."""
        with self._lock:
            writer = self._writers.pop(actor, None)
        if writer is not None:
            for record in writer.abandon():
                self._lost(actor, record)

    def run_callback(self, callback: Callable[[], None]) -> None:
        """Run a user's callback in the callback thread, so that it may submit again."""
        callbacks = self._callbacks
        if callbacks is None:
            callback()  # the endpoint is closed
        else:
            callbacks.put(callback)

    def begin(self, call: Callable[[], None], name: str) -> None:
        """Begin a call that may wait, in a thread of its own."""
        threading.Thread(target=call, name=f"procactors-{name}", daemon=True).start()

    def on_close(self, action: Callable[[], None]) -> None:
        """Run `action` when the endpoint is closed, unless it is taken back before."""
        self._closing.append(action)

    def off_close(self, action: Callable[[], None]) -> None:
        """Take an action back: what it belongs to has ended, and is not to be kept by it."""
        with contextlib.suppress(ValueError):
            self._closing.remove(action)

    # -- life ---------------------------------------------------------------------------------

    def flush(self, timeout: float) -> int:
        """Wait until all backlogs are written, up to `timeout` seconds; return what is left."""
        deadline = monotonic() + timeout
        with self._lock:
            writers = list(self._writers.values())
        return sum(writer.flush(max(0.0, deadline - monotonic())) for writer in writers)

    def close(self) -> None:
        """Close everything; calls that still wait here end with an error."""
        with self._lock:
            self._closed = True
            leave(self)
            writers = list(self._writers.items())
            self._writers.clear()
            replies, self._replies = self._reading, None
        for action in list(self._closing):
            action()
        for actor, writer in writers:
            for record in writer.close():
                self.on_lost(actor, record)
        if replies is not None:
            replies.close()
            # Not as they come: the thread that brought them here may hold a lock.
            self._callbacks = None
            replies.call_back_rest()
        self._retire_ports()
        if self.trips is not None:
            self.trips.close()
        self.store.close()

    def check_process(self) -> None:
        """Raise ForeignProcess in a forked copy of this process, ActorStopped after the end."""
        if self._closed:
            raise ActorStopped("the system was stopped")
        self.check_copy()

    def check_copy(self) -> None:
        """Raise ForeignProcess in a forked copy of this process."""
        if self.is_copy:
            raise ForeignProcess(_FORKED.format(pid=os.getpid(), parent=self._pid))

    @property
    def is_copy(self) -> bool:
        """Whether this is a forked copy: nothing here is its own, and no thread goes on."""
        return self._pid != os.getpid()

    # -- inside -------------------------------------------------------------------------------

    def _tell_builder(self, method: bytes) -> Callable[[bytes], bytes]:
        if len(self._tells) >= _KEPT_BUILDERS:
            self._tells.clear()
        is_stamped = self.trips is not None
        build = self._tells[method] = tell_builder(method, self.actor, is_stamped)
        return build

    def _sampler(self, method: bytes) -> Sampler:
        if len(self._samplers) >= _KEPT_BUILDERS:
            self._samplers.clear()
        return self._samplers.setdefault(method, Sampler())

    def _give_up(self, port: ReplyPort, call: int, actor: int) -> None:
        port.give_up(call)
        if actor == SUPERVISOR:  # its answer may have come, and name what it has started
            self.on_given_up(port.number, call)

    def _give_back(self, port: ReplyPort) -> None:
        # Without a lock: whichever comes second, this or the close, finds the port there.
        self._ports.append(port)
        if self._closed:
            self._retire_ports()

    def _retire_ports(self) -> None:
        with contextlib.suppress(IndexError):  # many threads may come here at once
            while True:
                self._ports.pop().retire()

    def _new_port(self) -> ReplyPort:
        try:
            return ReplyPort(self.store)
        except OSError as error:
            raise too_many_open("a reply pipe", error, NOT_SENT) from error

    def _send_together(
        self, actor: int, name: str, records: list[bytes], timeout: float | None, patient: bool
    ) -> bool:
        """Put records that fit into one write; return whether to be patient with the next ones."""
        self.check_copy()  # the iterable may have forked since the last ones
        writer = self._writers.get(actor)
        if writer is not None and not writer.capacity:
            with contextlib.suppress(MailboxClosed):
                return writer.send_together(records, patient) and patient
        # One by one: a token for each, or something to be said of each.
        for sent, record in enumerate(records):
            try:
                self._send(actor, name, record, timeout)
            except DeliveryError as error:
                error.sent = sent
                raise
        return patient

    def _send(self, actor: int, name: str, record: bytes, timeout: float | None) -> None:
        try:
            while True:
                writer = self._writers.get(actor) or self._writer(actor)
                try:
                    return writer.send(record, timeout)
                except MailboxClosed:
                    if not writer.retired:  # else it was closed to save descriptors: open anew
                        self.forget(actor)
                        raise
        except MailboxClosed:
            if self._is_dead_letter(actor, record):
                self.on_lost(actor, record)
                return None
            self._unsend(record)
            raise ActorStopped(f"{name} has stopped; the message was not handled") from None
        except Full:
            self._unsend(record)
            raise self._full(actor, name) from None
        except (OSError, StorageFull) as error:
            # Not for any exception: one that a signal handler raises may come behind the write, and
            # an alarm's TimeoutError is an OSError.
            if not by_signal(error):
                self._unsend(record)
            raise

    def _full(self, actor: int, name: str) -> MailboxFull:
        capacity = self._writer(actor).capacity
        return MailboxFull(f"the mailbox of {name} is full: {capacity} of {capacity} places taken")

    def _is_dead_letter(self, actor: int, record: bytes) -> bool:
        """Whether a message that will not be handled is a dead letter, and no error of the sender.

        So it is with what an actor tells while it is being stopped itself, or its whole system:
        which of both ends first is no affair of the handler's.
        """
        if self._waiting is None or actor == SUPERVISOR:
            return False
        kind, _, body = parse(record)
        if kind != Kind.CALL:
            return False
        return not open_envelope(body).reply and (self.is_stopping() or self._system_ends())

    def _system_ends(self) -> bool:
        words = self.words(SUPERVISOR)
        return words is None or bool(words[SYSTEM_ENDS])

    def _unsend(self, record: bytes) -> None:
        _, flags, body = parse(record)
        self.store.discard(flags, open_envelope(body).payload)

    def _writer(self, actor: int) -> MailboxWriter:
        with self._lock:
            writer = self._writers.get(actor)
            if writer is not None:
                self._writers.move_to_end(actor)
                return writer
            if len(self._writers) >= _KEPT_WRITERS:
                self._drop_idle_writer()
            try:
                writer = MailboxWriter(
                    actor_path(self.path, actor), lambda record: self._lost(actor, record)
                )
            except OSError as error:
                raise too_many_open("a mailbox", error, NOT_SENT) from error
            if writer.capacity:
                writer.on_full = functools.partial(self._met_full, actor)
            self._writers[actor] = writer
            return writer

    def _met_full(self, actor: int) -> None:
        """A message of this process has met a full mailbox: say so, to those that listen."""
        try:
            words = self.words(SUPERVISOR)
            is_wanted = words is not None and bool(words[LISTENED] & LISTENED_OVERFLOW)
        except (ValueError, StorageFull):  # closed in this process meanwhile; no descriptor left
            return
        if not is_wanted:
            return
        now = monotonic()
        if now >= self._full_again.get(actor, 0.0):
            if len(self._full_again) >= _KEPT_WRITERS:
                self._full_again.clear()
            self._full_again[actor] = now + _FULL_EVERY_S
            self.on_full(actor)

    def _drop_idle_writer(self) -> None:
        """Close the end that was opened longest ago and has nothing under way."""
        for actor, writer in self._writers.items():
            if writer.retire():
                del self._writers[actor]
                return

    def _lost(self, actor: int, record: bytes) -> None:
        """Answer for a record of our backlog that was never sent. Runs in the feeder thread."""
        if parse(record).kind == Kind.CALL:
            self.on_lost(actor, record)

    def _check(self, actor: int, name: str) -> None:
        """Called while an ask waits: end it if the actor is gone, without an answer."""
        if not os.path.exists(actor_path(self.path, actor)):
            raise ActorStopped(f"{name} has stopped; the message was not handled")

    def _check_mine(self, actor: int, name: str) -> None:
        """Called while an ask of this actor waits, with the one that is to answer it now.

        That is another one than was asked if the message was passed on: then a cycle is looked for
        here, in which those that close it have looked before they knew.
        """
        self._check(actor, name)
        assert self._waiting is not None
        if self._waiting[WAITING_ON] == actor and not self._cycle_looks:
            return
        self._waiting[WAITING_ON] = actor
        cycle = cycle_from(actor, self.actor, self.words)
        self._cycle_looks += 1
        if cycle and all(map(is_asleep, cycle.values())) and self._cycle_looks > 1:
            raise cycle_error(name, self.actor, cycle, self.name_of)

    def _wait_as_actor(
        self, port: ReplyPort, call: int, deadline: float | None, actor: int, name: str
    ) -> Answer | None:
        """Wait while the black box shows for which actor, so that a cycle of askers is seen."""
        waiting = self._waiting
        if waiting is None or threading.get_ident() != self._main_thread:
            return port.wait(call, deadline, self._check, actor, name)
        waiting[WAITING_ON] = actor
        try:
            # Shown first, looked up second: of two that close a cycle at once, one sees it.
            looks = 0
            while cycle := cycle_from(actor, self.actor, self.words):
                looks = looks + 1 if all(map(is_asleep, cycle.values())) else 0
                if looks == LOOKS:
                    raise cycle_error(name, self.actor, cycle, self.name_of)
                self._check(actor, name)
                until = monotonic() + LOOK_S
                if deadline is not None and deadline < until:
                    break
                answer = port.wait(call, until)
                if answer is not None:
                    return answer
                actor, name = port.moved_to(call) or (actor, name)
            return port.wait(call, deadline, self._check_mine, actor, name)
        finally:
            waiting[WAITING_ON] = 0
            self._cycle_looks = 0

    def _wait_for_debugged(
        self, port: ReplyPort, call: int, timeout: float, actor: int, name: str
    ) -> Answer | None:
        """Wait on, behind a deadline, while the actor is debugged, and all the time anew then."""
        answer = None
        while answer is None and self._is_debugged(actor):
            until = monotonic() + min(HELD_S, timeout)
            answer = self._wait_as_actor(port, call, until, actor, name)
            actor, name = port.moved_to(call) or (actor, name)
            if answer is None and not self._is_debugged(actor):
                answer = self._wait_as_actor(port, call, monotonic() + timeout, actor, name)
        return answer

    def _is_debugged(self, actor: int) -> bool:
        """Whether somebody debugs an actor, or one that it waits for."""
        seen: set[int] = set()
        while actor and actor not in seen:
            seen.add(actor)
            words = self.words(actor)
            try:
                if words is None or words[DEBUGGED]:
                    return words is not None
                actor = words[WAITING_ON]
            except ValueError:  # its mailbox was closed in this process meanwhile
                return False
        return False

    def _reply_reader(self) -> ReplyReader:
        replies = self._replies
        if replies is None:
            with self._lock:
                if self._closed:
                    raise ActorStopped("the system was stopped")
                replies = self._reading
                if replies is None:
                    replies = self._reading = ReplyReader(self.store)
                    replies.is_debugged = self._is_debugged
                    replies.trips = self.trips
                replies.start()
                self._callbacks, self._replies = replies.callbacks, replies
        return replies


_FORKED = (
    "process {pid} is a forked copy of process {parent} and does not belong to the actor system: "
    "use refs in the program that started the system or in its actors, or send results back to it"
)
