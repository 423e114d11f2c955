"""The supervisor of a system in one process: a task that takes commands, and what happens.

Layer: local. Runs in: one process, as one task.
Owns: what is still to be done in it.
Never: waits; runs user code.
"""

from __future__ import annotations

import functools
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, RestartIntensityExceeded
from procactors.local.box import LocalBox, LocalMail
from procactors.local.host import LocalBackend
from procactors.model import commands as c
from procactors.observe.events import Events
from procactors.seeds import derive
from procactors.supervision.backend import ReplyTo
from procactors.supervision.listeners import Listeners
from procactors.supervision.recovery import Recovery
from procactors.supervision.supervision import Supervision
from procactors.wire.envelope import Envelope, open_envelope
from procactors.wire.mailbox.black_box import (
    CLOSED,
    GONE,
    LISTENED,
    SYSTEM_ENDS,
)
from procactors.wire.record import Kind, parse
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.local.transport import LocalTransport

__all__ = ["Desk"]

_log = logging.getLogger("procactors")


class Desk:
    """Starts, watches, restarts and stops the actors of one system; see `supervisor.Supervisor`.

    Args:
        transport: the system's.
        recovery: answers for the dead.
        new_life: makes a life of an actor.
        stop_timeout: seconds of a stop for which neither caller nor options name any.
        events: gets what actors report, and what becomes of them.
        slow_after: seconds from which a handler is slow, for those that listen.
        seed: root of the seeds of actors that have none, and of the jitter of backoffs; None: by
            chance.
    """

    is_queued = is_running = False
    bell: object = None
    #: What begins and ends lives.
    make_backend: Callable[..., LocalBackend] = LocalBackend

    def __init__(
        self,
        transport: LocalTransport,
        recovery: Recovery,
        new_life: Callable[..., Any],
        stop_timeout: float,
        events: Events,
        slow_after: float,
        seed: int | None,
    ) -> None:
        self._transport = transport
        self._engine = engine = transport.engine
        self._recovery = recovery
        self._events = events
        self._posted: deque[Callable[[], None]] = deque()
        self._done = False
        self.on_failure: Callable[[RestartIntensityExceeded], None] = lambda _error: None
        #: What the transport finds of the supervisor under its number.
        box = LocalBox(0)
        self.words = box.words
        self.mail = LocalMail(engine, box)
        self.is_unbounded = False
        transport.boxes[SUPERVISOR] = self  # type: ignore[assignment]  # as far as it is asked
        self.backend = self.make_backend(transport, recovery, self.post, new_life)
        self.supervision = Supervision(
            self.backend,
            stop_timeout,
            begin_end=self._begin_end,
            finish=self.finish,
            fail=self._failed,
            clock=engine.now,
        )
        self.backend.listener = lifecycle = self.supervision.lifecycle
        self.core = self.supervision.core
        self._listeners = Listeners(self.core, recovery, events, slow_after)
        if seed is not None:
            lifecycle.draw_seeds_from(derive(seed, 0))
            self.core.draw = _Draws(seed)
        self.supervision.handlers |= {
            c.LostMessage: self._lost,
            c.ReportProgress: self._listeners.progressed,
            c.ReportOverflow: self._listeners.overflowed,
        }

    def open(self) -> None:
        """Begin."""
        self._engine.start(self, "supervisor")
        self._events.on_change(self._show_listeners)

    # -- from any thread ------------------------------------------------------------------------

    def post(self, action: Callable[[], None]) -> None:
        """Have something done here, in its turn."""
        self._posted.append(action)
        self._engine.wake(self)

    def wake(self) -> None:
        """A command has come."""
        self._engine.wake(self)

    def finish(self) -> None:
        """End behind the event at hand."""
        self._done = True
        self._engine.wake(self)

    def close_intake(self) -> None:
        """Start no actor any more, and count for the report."""
        self.core.intake_closed = True
        self._recovery.tally.begin()

    def name_of(self, actor: int) -> str:
        """Return an actor's name, also after its end."""
        return self.core.name_of(actor)

    def address_of(self, name: str) -> int | None:
        """Return the id of the live actor of that name, once it has been up."""
        return self.core.address_of(name)

    def lost(self, actor: int, record: bytes, why: str) -> None:
        """Answer for a record that its sender could not deliver, or its actor not handle."""
        box: Any = self._transport.boxes.get(actor) if actor != SUPERVISOR else None
        self._recovery.lost(self.name_of(actor), record, why, box, actor)

    # -- a step -----------------------------------------------------------------------------------

    def run(self) -> float | None:
        """Do the next thing."""
        supervision = self.supervision
        if self._done:
            self._end()
            return None
        if self._posted:
            supervision.event(self._posted.popleft())
        elif self.mail.records:
            supervision.event(functools.partial(self._obey, self.mail.records.popleft()))
        else:
            supervision.run_timers()
        if self._done or self._posted or self.mail.records:
            return 0.0
        patience = supervision.patience()
        return math.inf if patience is None else patience

    def _end(self) -> None:
        with self.mail.lock:
            self.words[CLOSED] = GONE
        while self.mail.records:
            record = self.mail.records.popleft()
            self.supervision.event(functools.partial(self._obey, record))
        self.supervision.event(self.supervision.lifecycle.close)
        self.core.timers.clear()

    def _obey(self, record: bytes) -> None:
        kind, flags, body = parse(record)
        if kind == Kind.CALL:
            envelope = open_envelope(body)
            who = ReplyTo(envelope.reply, envelope.call)
            load = functools.partial(self._load_and_do, flags, envelope)
            self.supervision.answered(load, who)

    def _load_and_do(self, flags: int, envelope: Envelope, who: ReplyTo) -> None:
        command = self._transport.store.load(flags, envelope.payload)
        if self._done and not isinstance(command, c.LostMessage):  # a letter is still kept
            raise ActorStopped("the system was stopped")
        self.supervision.do(command, who)

    # -- listeners ------------------------------------------------------------------------------

    def _show_listeners(self) -> None:
        """Say what is listened to. From any thread."""
        shown = self._listeners.wanted()
        if shown is not None:
            self.words[LISTENED] = shown
            self.post(self._listeners.changed)

    # -- commands -----------------------------------------------------------------------------

    def _failed(self, error: RestartIntensityExceeded) -> None:
        self.on_failure(error)

    def _begin_end(self, drain: bool) -> None:
        self.close_intake()
        self.words[SYSTEM_ENDS] = 1
        if not drain:
            self._recovery.is_abandoned = True

    def _lost(self, command: c.LostMessage, _: ReplyTo) -> None:
        self.lost(command.actor, command.record, command.why)


class _Draws:
    """Numbers from 0 to 1, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        import random  # only where it is used

        self._draw = random.Random(seed).random  # noqa: S311 - chance, not secrets

    def __call__(self) -> float:
        return self._draw()
