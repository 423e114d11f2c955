"""Actors on a cluster: their mailboxes in the program, and the Ray actors that handle messages.

Layer: cluster. Runs in: the program; in the supervisor's task, but for what is marked.
Owns: the mailboxes; the Ray actor of each life, until it is killed.
Never: hands a process a second message while one is in hand there: so at its death it is known
which message is lost, and the others wait here for the next life.
"""

from __future__ import annotations

import functools
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from time import monotonic, time
from typing import TYPE_CHECKING, Any

from procactors.cluster.causes import NO_MEMORY, cause_of
from procactors.cluster.remote_life import RemoteLife, Sent
from procactors.cluster.store import FRONT
from procactors.cluster.uplink import Downlink
from procactors.crash import ExitKind, ExitReason
from procactors.local.box import LocalReader
from procactors.local.desk import Desk
from procactors.local.host import LocalBackend, LocalHost
from procactors.model.backends import check_options
from procactors.model.choices import Delivery
from procactors.model.options import Options
from procactors.supervision.backend import Ended, NextLife
from procactors.wire.envelope import BATCH_KEY, WHOLE, open_envelope
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    CLOSED,
    CLOSING,
    CONTROL,
    DELIVERIES,
    EXPIRED,
    IN_HAND,
    INCARNATION,
    LISTENED,
    PHASE,
    PID,
    RUNNING as RUNNING_PHASE,
    SERIAL,
    STARTING,
    STATE,
    STOP_ORDERED,
    STOPPING,
    SYSTEM_ENDS,
    TIMER,
    WAITING_ON,
)
from procactors.wire.mailbox.hands import LATER, RUNNING, WAITING
from procactors.wire.record import KIND_AT, Kind, parse
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.cluster.processes import Processes
    from procactors.cluster.transport import ProgramTransport

__all__ = ["ClusterBackend", "ClusterDesk", "ClusterHost"]

_log = logging.getLogger("procactors")

_CALL = int(Kind.CALL)
#: Messages in a row that had their results within so many nanoseconds, behind which the next ones
#: are handed over ahead of those; and how many the process has at most then.
_QUICK_IN_A_ROW, _QUICK_NS, _AHEAD = 8, 10_000_000, 16
#: Words that the program sets and the life's process reads.
_ORDERS = (CONTROL, STOP_ORDERED, CLOSED)


class ClusterHost(LocalHost):
    """One actor's mailbox, and the Ray actor that serves it."""

    life: RemoteLife | None
    _backend: ClusterBackend

    def __init__(
        self, backend: ClusterBackend, actor: int, name: str, class_name: str, options: Options
    ) -> None:
        super().__init__(backend, actor, name, class_name, options)
        self.cancelled = _Cancelled(self)
        #: Takes the messages out of the mailbox, for the life.
        self._reader = LocalReader(backend.transport.path, self.box, self.mail, self.now_ns)
        # Held while a message is handed over, or taken back from a life that has died.
        self._sending = threading.RLock()
        #: Numbers of the messages that were handed over, by what holds them: None is the box.
        self._number = 0
        self._in_box = 0
        self._slots: dict[int, Any] = {}
        self._most = options.max_concurrency
        #: Whether messages may be handed over ahead, where quick ones are handled one by one.
        #: Should the process be killed, each of them counts as begun.
        self._may_run_ahead = (
            self.is_unbounded
            and options.delivery is Delivery.AT_MOST_ONCE
            and options.checkpoint is None
        )
        self._quick = 0
        self._sent_at: dict[int, int] = {}

    # -- its lives

    def start(self, life: NextLife) -> None:
        """Begin a life: have Ray start a process for it."""
        self._dump = ""
        self.cancelled.clear()
        words = self.words
        words[INCARNATION], words[PHASE], words[WAITING_ON] = life.incarnation, STARTING, 0
        facts = self._backend.new_life(self, life)
        facts["words"] = self._words_for_life()
        facts["clock"] = time() - monotonic()
        facts["state"] = self.state._data
        facts["taps"] = dict(self.taps)
        facts["desk_words"] = list(self._backend.transport.words(SUPERVISOR))
        remote = RemoteLife(life.start, self._backend.processes.make(facts, life.options))
        remote.downlink = Downlink(functools.partial(self.heard, remote))
        # Not known before it is there, and that is seen by its first word.
        self.pid = words[PID] = 0
        with self._sending:
            self.life = remote
        self._backend.transport.follow(self, remote)
        self.wake()

    def _words_for_life(self) -> list[int]:
        words = [0] * len(self.words)
        for at in (*_ORDERS, INCARNATION, PHASE, SERIAL):
            words[at] = self.words[at]
        return words

    def wake(self) -> None:
        """Something has come: hand it over, if the life has none in hand. From any thread."""
        life = self.life
        if life is None:
            if self.on_message is not None:
                self.on_message()
            return
        with self._sending:
            while not life.is_dead and self._may_send():
                found = self._next()
                if found is None:
                    return
                self._send(life, *found)

    def _may_send(self) -> bool:
        if self._in_box:
            return False
        return len(self._running()) < self._window()

    def _window(self) -> int:
        """Return how many messages the life's process may have at once."""
        if self._most > 1 or not self._may_run_ahead or self._quick < _QUICK_IN_A_ROW:
            return self._most
        return _AHEAD

    def _running(self) -> list[Any]:
        return [slot for slot in self._slots.values() if slot.state == RUNNING]

    def _next(self) -> tuple[bytes, Any, int] | None:
        """Mark the next message as in hand; return (its record, its slot if any, deliveries)."""
        for slot in self.table.waiting():
            slot.begin()
            return slot.raw, slot, slot.deliveries
        with self.mail.lock:
            deliveries = self.words[DELIVERIES]
            while True:
                if self._reader.advance(0.0) < 0:
                    return None
                record = self.box.current
                if deliveries or not self._is_late(record):
                    break
                self._skip(record)
            if self._is_held(record):
                slot = self.table.hold(self._reader)
                slot.deliveries = deliveries
                return record, slot, deliveries
            return record, None, deliveries

    def _is_held(self, record: bytes) -> bool:
        """Whether a message is handed over beside others, and not as the only one."""
        if record[KIND_AT] != _CALL or self._window() == 1:
            return False
        return self._most > 1 or record[WHOLE.size : WHOLE.size + 1] != BATCH_KEY

    def _is_late(self, record: bytes) -> bool:
        """Whether the time of a message's caller is over."""
        if record[KIND_AT] != _CALL:
            return False
        _, _, _, _, _, reply, _, deadline, _ = WHOLE.unpack_from(record)
        return bool(reply and deadline and self._engine.now() >= deadline)

    def _skip(self, record: bytes) -> None:
        self.words[EXPIRED] += 1
        self._discard(parse(record))
        self._reader.done(place=True, handled=0)

    def _send(self, life: RemoteLife, record: bytes, slot: Any, deliveries: int) -> None:
        self._number += 1
        number = self._number
        if slot is None:
            self._in_box = number
        else:
            self._slots[number] = slot
        self._sent_at[number] = self.now_ns()
        words = self.words
        if record[KIND_AT] == Kind.STOP:  # from here on senders are refused, as it will do itself
            words[PHASE], words[CLOSED] = STOPPING, CLOSING
        if not deliveries:
            words[SERIAL] += 1
        transport = self._backend.transport
        numbers, head = transport.also_sent(self, life, record)
        more = transport.store.pack(record, numbers, keep=True)[1]
        message = FRONT.pack(number, deliveries, words[SERIAL]) + record
        result = life.handle(message, head, *more) if head or more else life.handle(message)
        sent = Sent(self, life, number, result)
        if record is transport.mine.record:
            transport.mine.sent = sent
        else:
            self.listen(sent)

    def listen(self, sent: Sent) -> None:
        """Have the result of a message taken when it is there. From any thread."""
        took = functools.partial(self._returned, sent.life, sent.number)
        self._backend.transport.ears.on_result(sent.result, took)

    def _returned(self, life: RemoteLife, number: int, result: Future[Any]) -> None:
        """A call of Ray's has ended. In the thread that hears processes."""
        error = result.exception()
        if error is not None:
            if not life.is_dead:
                self._backend.broken(self, life, error)
            return
        self.take_result(life, number, result.result())

    def take_result(self, life: RemoteLife, number: int, value: Any) -> None:
        """Take what has come of a message. From any thread."""
        if type(value) is not tuple:
            self._finish(life, number, value)
            return
        answer, state, payloads, kept, sent, piece = value
        if payloads:
            self._backend.transport.store.put_in(payloads)
        results = [one[0] for one in payloads]
        about = answer, state, kept, piece, results
        finish = functools.partial(self._finish, life, number, *about)
        if sent is not None:
            # What the handler has sent comes first.
            last, items = sent
            life.downlink.take(items)
            if not life.downlink.behind(last, finish):
                return
        finish()

    def _finish(
        self,
        life: RemoteLife,
        number: int,
        answer: bytes | None,
        state: int = 0,
        kept: bytes | None = None,
        piece: Any = None,
        results: Iterable[int] = (),
    ) -> None:
        """A message has its result: note that, and hand the next one over."""
        with self._sending:
            if life is not self.life:
                return
            if kept is not None:
                self.state.write(_never, (kept,))
            if not self._step(number, state):
                return  # it was taken back: another life has it
        if answer is not None:
            self._backend.transport.reply_to(answer, piece, results)
        self.wake()

    def _step(self, number: int, state: int) -> bool:
        """Note what has become of a message; return whether it was still in hand."""
        slot = self._slots.get(number)
        if slot is None and number != self._in_box:
            return False
        is_quick = self.now_ns() - self._sent_at.pop(number, 0) < _QUICK_NS
        self._quick = self._quick + 1 if is_quick else 0
        if slot is None:
            self._in_box = 0
            record = parse(self.box.current)
            if state:
                slot = self._slots[number] = self.table.lift(self._reader, state)
            elif record.kind == Kind.CALL:
                self._discard(record)
            self._reader.done(place=record.kind == Kind.CALL)
        elif state:
            slot.state = state
            if state == LATER:
                slot.count()
        else:
            self._let_go(number)
        return True

    def _let_go(self, number: int) -> None:
        slot = self._slots.pop(number, None)
        if slot is not None:
            self._discard(slot.record)
            slot.count()
            slot.release()
            if self._most == 1 and (running := self._running()):
                running[0].busy_since(self.now_ns())  # only now it is its turn

    def _discard(self, record: Any) -> None:
        kind, flags, body = record
        if kind in (Kind.CALL, Kind.MOVED):
            self._backend.transport.store.discard(flags, open_envelope(body).payload)

    # -- what the life says. In the thread that watches it

    def heard(self, life: RemoteLife, item: tuple[Any, ...]) -> None:
        """Take what a life's process has sent."""
        if life.is_dead:
            return
        what, *about = item
        try:
            self._hear(life, what, about)
        except Exception:  # noqa: BLE001 - so wide: what comes behind it is heard all the same
            _log.exception("what the process of %s has sent could not be dealt with", self.name)

    def _hear(self, life: RemoteLife, what: str, about: list[Any]) -> None:
        mine = getattr(self, f"_on_{what}", None)
        if mine is not None:
            mine(life, *about)
        else:
            self._backend.transport.heard(self, life, what, about)

    def _on_hello(self, life: RemoteLife, pid: int, node: str, version: str) -> None:
        self.pid = self.words[PID] = pid
        own = sys.modules["procactors"].__version__
        if version != own:
            text = (
                f"node {node} has procactors {version}, and the program has {own}: install the "
                f"same version on all nodes"
            )
            self.over(life, Ended(1, text=text))
            self._backend.transport.ears.kill(life)

    def _on_ready(self, life: RemoteLife, start: int, decides: int) -> None:
        if self.words[PHASE] == STARTING:
            self.words[PHASE] = RUNNING_PHASE
        life.is_ready = True
        with self._sending:  # what was handed over before begins now
            self.words[BUSY_SINCE] = self.now_ns()
            for slot in self._running():
                slot.busy_since(self.now_ns())
        self.ready(start, decides)

    def _on_loop(self, life: RemoteLife) -> None:
        self._may_run_ahead = False  # it has an event loop: its messages are not one by one

    def _on_turn(self, life: RemoteLife) -> None:
        life.ray_actor.turn.remote()

    def _on_state(self, life: RemoteLife, state: bytes) -> None:
        self.state.write(_never, (state,))

    def _on_released(self, life: RemoteLife, number: int) -> None:
        with self._sending:
            self._let_go(number)

    def _on_over(
        self,
        life: RemoteLife,
        ended: Any,
        words: list[int],
        in_hand: list[int],
        batch: Any,
        timer: bytes,
    ) -> None:
        if batch is not None:
            self._backend.transport.absorb(*batch)
        life.in_hand = in_hand
        self.words[PHASE] = words[PHASE]
        self.words[EXPIRED] += words[EXPIRED]
        if timer:
            has_failed = bool(words[TIMER] & 1)
            self.box.begin_timer(timer, self.now_ns() & ~1, has_failed=has_failed)
        if words[CLOSED] == CLOSING:
            self.words[CLOSED] = CLOSING
        self.over(life, Ended(*ended))
        self._backend.transport.ears.kill(life)

    def lost(self, life: RemoteLife, error: BaseException) -> None:
        """The process of a life is gone, and has not said why. From any thread."""
        code, why = cause_of(error)
        self.over(life, Ended(code, lost=why))
        self._backend.transport.ears.kill(life)

    def _leave_behind(self) -> None:
        """Nothing: what a life notes of itself is in its own process."""

    def _gone(self, life: RemoteLife) -> None:
        """The life is over: take back what it had not handled."""
        if self.life is life:
            with self._sending:
                self._take_back(life)
            self._backend.transport.ended(life)
            self._backend.listener.gone(self.id)

    def _take_back(self, life: RemoteLife) -> None:
        # What was handed over before it was ready, it has not begun.
        in_hand = life.in_hand if life.is_ready else []
        if self._in_box and in_hand is not None and self._in_box not in in_hand:
            # It was on its way, or waited there: the next life begins it.
            self.words[STATE] &= ~IN_HAND
        self._in_box = self._quick = 0
        self._sent_at.clear()
        for number, slot in self._slots.items():
            if slot.state == RUNNING and in_hand is not None and number not in in_hand:
                slot.state = WAITING
        self._slots.clear()

    def _kill(self, number: int) -> None:
        life = self.life
        if life is not None and not life.is_dead:
            self.over(life, Ended(-number, stacks=self._dump))
            self._backend.transport.ears.kill(life)

    def reap(self, start: int) -> Ended:
        """Return how the life of that start has ended."""
        with self._sending:
            return super().reap(start)

    def let_go(self) -> None:
        """End the life, if there is one, behind an error of the supervisor's own."""
        with self._sending:
            life, self.life, self.pid = self.life, None, None
        if life is not None:
            life.is_dead = True
            self._backend.transport.ears.kill(life)

    def send(self, number: int) -> None:
        """End the life as a signal would; or have it say what it is at."""
        if number == signal.SIGTERM:
            self._kill(number)
        elif self.life is not None:
            self.order("stack", then=self._take_stack)

    def _take_stack(self, text: str) -> None:
        self._dump = text

    # -- its mailbox

    def at_item(self, key: bytes, since: int) -> None:
        """Note since when the generator of a stream is at its next item. From any thread.

        Args:
            key: what the method of its message begins with.
            since: in nanoseconds of the engine's; in the future: it waits for its reader.
        """
        with self._sending:
            for slot in self._running():
                if slot.raw.startswith(key, WHOLE.size):
                    slot.busy_since(since)
                    return
            if self._in_box and self.box.current.startswith(key, WHOLE.size):
                self.words[BUSY_SINCE] = since

    def nudge(self) -> None:
        """Have the life look at its words."""
        if self.life is not None and not self.life.is_dead:
            self.order("words", {at: self.words[at] for at in _ORDERS})

    def order(self, what: str, *about: Any, then: Callable[[Any], None] | None = None) -> None:
        """Have the life's process do something beside the messages. From any thread.

        Args:
            what: see `member.Member.control`.
            about: with what.
            then: called with what comes of it, in the thread that hears processes.
        """
        life = self.life
        if life is None or life.is_dead:
            return
        result = life.control(what, *about)
        if then is not None:
            self._backend.transport.ears.on_result(result, functools.partial(_hand_on, then))

    def stop(self) -> None:
        """Put a stop into the mailbox."""
        super().stop()
        self.nudge_orders()

    def nudge_orders(self) -> None:
        """Tell the life of the orders that are in its words."""
        self.nudge()

    def cancel(self, call: int) -> None:
        """Nothing more: the process was told when the call was noted as cancelled."""


class _Cancelled(set[int]):
    """Calls that were cancelled while in hand: their handlers' process is told."""

    def __init__(self, host: ClusterHost) -> None:
        super().__init__()
        self._host = host

    def add(self, call: int) -> None:
        """Note one."""
        super().add(call)
        self._host.order("cancelled", call)


class ClusterBackend(LocalBackend):
    """The backend of supervision for a system on a cluster.

    Attributes:
        processes: has Ray start those of lives.
    """

    transport: ProgramTransport
    processes: Processes

    def host(self, actor: int, name: str, class_name: str, options: Options) -> ClusterHost:
        """Make the host of a new actor. Raises UnsupportedOnBackend: it has such an option."""
        check_options(self.transport.engine.name, options)
        host = ClusterHost(self, actor, name, class_name, options)
        self.transport.boxes[actor] = host
        return host

    def judge(self, reason: ExitReason, now: float) -> ExitReason:
        """Return the reason of an end, which is known better where Ray has brought it about."""
        if reason.kind is ExitKind.UNKNOWN and reason.text.startswith(NO_MEMORY):
            return ExitReason(ExitKind.OOM, signal.SIGKILL)
        return reason

    def broken(self, host: ClusterHost, life: RemoteLife, error: BaseException) -> None:
        """A call of a life's process has failed by something else than its handler."""
        host.lost(life, error)


class ClusterDesk(Desk):
    """The supervisor of a system on a cluster: its task is in the program."""

    make_backend = ClusterBackend
    _transport: ProgramTransport

    def _show_listeners(self) -> None:
        """Say what is listened to. From any thread."""
        super()._show_listeners()
        for host in list(self._transport.lives.values()):
            host.order("desk", LISTENED, self.words[LISTENED])

    def _begin_end(self, drain: bool) -> None:
        super()._begin_end(drain)
        for host in list(self._transport.lives.values()):
            host.order("desk", SYSTEM_ENDS, 1)


def _never() -> bool:
    return False


def _hand_on(then: Callable[[Any], None], answer: Future[Any]) -> None:
    error = answer.exception()
    if error is None:
        then(answer.result())
    else:
        _log.debug("an order to a life's process came too late: %s", error)
