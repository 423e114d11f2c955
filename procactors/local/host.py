"""Actors in one process: the backend of supervision that begins and ends their lives.

Layer: local. Runs in: one process, in the supervisor's task, but for what is marked.
Owns: the mailboxes; which life of an actor counts.
Never: stops code that runs: a life that is killed has no effect any more, and ends where it next
comes to the runtime.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from procactors.crash import ExitReason
from procactors.errors import ProcActorsError
from procactors.local.box import LocalBox, LocalMail
from procactors.local.checkpoints import LocalState
from procactors.local.here import Killed
from procactors.local.metering import LocalMeter
from procactors.local.slots import LocalHands
from procactors.model.backends import check_options
from procactors.model.options import Options
from procactors.supervision.actor_mailbox import ActorMailbox, claim_of
from procactors.supervision.backend import Ended, Listener, NextLife, ReplyTo, Tell
from procactors.supervision.health import Look
from procactors.supervision.recovery import Recovery
from procactors.wire.envelope import build_event
from procactors.wire.mailbox.black_box import (
    BUSY_SINCE,
    HANDLED,
    IN_HAND,
    PHASE,
    PID,
    RUNNING,
    STATE,
    STOPPING,
    TIMER,
    unpack_state,
)
from procactors.wire.record import Kind, Record, frame, parse, tap_record
from procactors.wire.replies.failures import own_failure

if TYPE_CHECKING:
    from procactors.local.transport import LocalTransport

__all__ = ["LocalBackend", "LocalHost", "LocalRecovery"]


class LocalRecovery(Recovery):
    """Answers for the dead, without pipes."""

    def __init__(self, transport: LocalTransport, letters: Any, crashes: Any = None) -> None:
        super().__init__(transport.store, transport, letters, crashes)  # type: ignore[arg-type]
        self._replies = transport.make_replies()

    def sweep_after(self, process: int) -> None:
        """Nothing is left of a life."""


class LocalHost(ActorMailbox):
    """One actor's mailbox, and the life that serves it.

    Attributes:
        life: the life that counts; None: none is there.
        cancelled: calls that were cancelled while in hand.
    """

    def __init__(
        self, backend: LocalBackend, actor: int, name: str, class_name: str, options: Options
    ) -> None:
        # Nothing of the base class's: there are no files.
        self.id = actor
        self.name = name
        self.class_name = class_name
        self.options = options
        self.blueprint = ""
        self.folder = ""
        self.pid: int | None = None
        self.life: Any = None
        self.cancelled: set[int] = set()
        self.taps = dict(backend.taps)
        self._backend = backend
        self._engine = backend.transport.engine
        self.now_ns = self._engine.now_ns
        self.box: Any = LocalBox(options.mailbox or 0)
        self.words = self.box.words
        self.mail = LocalMail(self._engine, self.box)
        self.table: Any = LocalHands(self.words, self.now_ns, self.mail.lock)
        self.records = self.mail.records
        self.meter = self.mail.meter = LocalMeter() if backend.transport.is_metered else None
        self.is_over = False
        self.is_unbounded = not options.mailbox
        self.files: Any = self.mail
        checkpoint = options.checkpoint
        self._claim = None if checkpoint is None else claim_of(checkpoint, name)
        #: The state that a life has left for the next one, when it made way for it.
        self.snapshot: bytes | None = None
        #: What its lives write their state to.
        self.state = LocalState(None if checkpoint is None else cast("str", checkpoint.file))
        self._ended = Ended(None)
        self._dump = ""
        #: What wakes the reader of an inbox.
        self.on_message: Callable[[], None] | None = None

    @property
    def hands(self) -> Any:
        """The messages that the actor holds out of the batch."""
        return self.table

    def wake(self) -> None:
        """Something has come. From any thread."""
        if self.life is not None:
            self._engine.wake(self.life)
        elif self.on_message is not None:
            self.on_message()

    def cancel(self, call: int) -> None:
        """Have the handler of a call in hand leave, if it awaits. From any thread."""
        loop = None if self.life is None else self.life.loop
        if loop is not None:
            loop.cancel(call)

    # -- its lives

    def start(self, life: NextLife) -> None:
        """Begin a life; what comes of it comes as an event."""
        self._dump = ""
        self.cancelled.clear()
        self.life = self._backend.new_life(self, life)
        self.pid = self.words[PID] = os.getpid()
        self._engine.start(self.life, self.name)

    def ready(self, start: int, decides: int) -> None:
        """The life of that start serves from now on. From any thread."""
        listener = self._backend.listener
        self._backend.post(functools.partial(listener.ready, self.id, start, decides))

    def over(self, life: Any, ended: Ended) -> None:
        """A life is over, by itself or by a kill. From any thread."""
        with self.mail.lock:
            if life is not self.life or life.is_dead:
                return
            life.is_dead = True
            self._ended = ended
            self._leave_behind()
        self._backend.transport.channels.over(life)
        self._backend.post(functools.partial(self._gone, life))

    def _leave_behind(self) -> None:
        """Leave to a life that has just died what it notes: it may go on. Under the lock."""
        self.box = self.box.successor()
        self.words = self.box.words
        self.table.renew(self.words)

    def _gone(self, life: Any) -> None:
        if self.life is life:
            self._backend.listener.gone(self.id)

    def send(self, number: int) -> None:
        """End the life as a signal would; or note what it is at, for a stack."""
        if number == signal.SIGTERM:
            self._kill(number)
        elif self.life is not None:
            self._dump = _stack_of(self.life.thread_id)

    def kill(self) -> None:
        """End the life at once."""
        self._kill(_SIGKILL)

    def crash(self) -> None:
        """End the life as a kill from outside would, which its supervisor knows nothing of."""
        self._kill(_SIGKILL)

    def _kill(self, number: int) -> None:
        life = self.life
        if life is not None and not life.is_dead:
            self.over(life, Ended(-number, stacks=self._dump))
            life.kill()

    def is_suspended(self) -> bool:
        """A life cannot be stopped half-way."""
        return False

    def reap(self, start: int) -> Ended:
        """Return how the life of that start has ended."""
        self.pid = self.life = None
        return self._ended

    def let_go(self) -> None:
        """End the life, if there is one, behind an error of the supervisor's own."""
        life, self.life, self.pid = self.life, None, None
        if life is not None:
            with self.mail.lock:
                if not life.is_dead:
                    life.is_dead = True
                    self._leave_behind()
            self._backend.transport.channels.over(life)
            life.kill()

    def sweeper(self) -> Callable[[], None]:
        """Nothing is left of a life."""
        return _nothing

    def resident(self) -> int:
        """It has no memory of its own."""
        return 0

    def peak(self) -> int:
        """It has no memory of its own."""
        return 0

    def dumped(self) -> int:
        """Return how many bytes of stacks there are."""
        return len(self._dump)

    def forget_dump(self) -> None:
        """Drop what is there of stacks."""
        self._dump = ""

    # -- its mailbox

    def record(self, at: int) -> Record:
        """Return the record in the batch."""
        return parse(self.box.current)

    def waiting(self) -> int:
        """Return how many messages wait."""
        fill, offset, in_hand = unpack_state(self.words[STATE])
        kinds = [parse(self.box.current).kind] if offset < fill and not in_hand else []
        kinds += [parse(record).kind for record in list(self.mail.records)]
        kinds += [slot.record.kind for slot in self.table.put_aside()]
        return kinds.count(Kind.CALL)

    def look(self, now: float) -> Look:
        """Return what can be seen of its progress."""
        words = self.words
        handled = words[HANDLED]
        if words[PHASE] not in (RUNNING, STOPPING):
            return Look(now, handled, None, False)
        since = [words[BUSY_SINCE]] if words[STATE] & IN_HAND else []
        since += [words[TIMER]] if words[TIMER] else []
        since += [slot.since for slot in self.table.running()]
        if since:
            return Look(now, handled, min(since) / 1e9, True)
        return Look(now, handled, None, bool(self.mail.records))

    def crash_writer(self) -> Tell:
        """Return what writes a crash to the folder of crashes, if there is one."""
        return self._backend.recovery.crash_writer(self)

    def recover(self, report: Any, most: int, unwanted: tuple[int, int] | None = None) -> Tell:
        """Decide on the messages in hand (see `Recovery.recover`)."""
        return self._backend.recovery.recover(self, report, most, unwanted)

    def stop(self) -> None:
        """Put a stop into the mailbox."""
        self._backend.transport.stop_in_order(self.id)

    def tap(self, name: str, argument: str) -> None:
        """Tell the life that there is of a tap."""
        self._backend.transport.send_control(self.id, tap_record(name, argument))

    def nudge(self) -> None:
        """Wake an actor that waits for a message."""
        self._backend.transport.send_control(self.id, frame(Kind.NUDGE, 0, b""))

    def tell(self, what: int, actor: int, number: int, facts: tuple[object, ...] | None) -> None:
        """Put an event into the mailbox."""
        transport = self._backend.transport
        record = build_event(transport.store, what, actor, number, facts)
        transport.send_control(self.id, record)

    def close_mailbox(self, why: str) -> None:
        """Close the mailbox for good, and answer everything in it."""
        self._backend.recovery.close_mailbox(self, why)

    def take_blueprint(self, path: str, is_shared: bool) -> None:
        """Take over what its class and arguments are written in."""
        name = f"actors/{self.id}/blueprint"
        self.blueprint = self._backend.transport.store.rename(path, name, keep=is_shared)

    def drop_snapshot(self) -> None:
        """Drop the state that a life has left for a recycling, and then crashed."""
        self.snapshot = None

    def leave_snapshot(self, life: Any, state: bytes) -> None:
        """Leave a life's state for the next one, unless it was killed. From any thread."""
        with self.mail.lock:
            if life.is_dead:
                raise Killed
            self.snapshot = state

    def take_snapshot(self) -> bytes | None:
        """Return the state that the life before has left, if it has; it is used once."""
        state, self.snapshot = self.snapshot, None
        return state

    def remove(self) -> None:
        """Let go of everything."""
        self.state.release()
        if self._claim is not None:
            self._claim.release()
        self._backend.transport.store.remove(self.blueprint)
        self.mail.close_for_good()


#: By its number: not all platforms have the name.
_SIGKILL = 9


class LocalBackend:
    """The backend of supervision for a system in one process.

    Args:
        transport: the system's.
        recovery: answers for the dead.
        post: has something done in the supervisor's task; from any thread.
        new_life: makes a life of an actor (`api.local_life.LocalLife`).

    Attributes:
        listener: takes the events of lives.
    """

    listener: Listener

    def __init__(
        self,
        transport: LocalTransport,
        recovery: Recovery,
        post: Callable[[Callable[[], None]], None],
        new_life: Callable[[LocalHost, NextLife], Any],
    ) -> None:
        self.transport = transport
        self.recovery = recovery
        self.post = post
        self.new_life = new_life
        self.taps: dict[str, str] = {}

    def host(self, actor: int, name: str, class_name: str, options: Options) -> LocalHost:
        """Make the host of a new actor. Raises UnsupportedOnBackend: it has such an option."""
        check_options(self.transport.engine.name, options)
        host = self.transport.boxes[actor] = LocalHost(self, actor, name, class_name, options)
        return host

    def expect(self) -> None:
        """Nothing is to be had ready."""

    def answer(self, who: ReplyTo, value: object, trace: str = "") -> bool:
        """Answer a call; an exception is raised there, with that remote traceback if any."""
        kind = Kind.VERDICT if isinstance(value, BaseException) else Kind.RESULT
        if trace and isinstance(value, ProcActorsError):
            kind, value = Kind.FAILURE, own_failure(value, trace)
        return self.recovery.answer(who.reply, who.call, kind, value)

    def up(self, name: str) -> None:
        """An actor of that name is up: letters may have been kept for it."""
        self.recovery.letters.actor_up(name)

    def forget(self, actor: int) -> None:
        """An actor is over."""
        host: Any = self.transport.boxes.get(actor)
        if isinstance(host, LocalHost):
            self.transport.meters.over(host)
        self.transport.boxes.pop(actor, None)

    def overdue(self) -> None:
        """A start has always its answer."""

    def judge(self, reason: ExitReason, now: float) -> ExitReason:
        """Return the reason of an end, as it is."""
        return reason

    def was_short(self, peak: int) -> bool:
        """Nobody can say."""
        return False

    def ended(self, name: str, reason: ExitReason, handler: str | None, suspended: bool) -> None:
        """An actor is over: count it for the report of a system's stop."""
        self.recovery.tally.ended(name, reason, handler, suspended)


def _stack_of(thread_id: int | None) -> str:
    """Return what a thread is at; empty if it is at nothing."""
    found = None if thread_id is None else sys._current_frames().get(thread_id)
    return "" if found is None else "".join(traceback.format_stack(found))


def _nothing() -> None:
    """Sweep nothing."""
