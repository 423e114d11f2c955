"""The supervisor's thread: it waits for what happens in one system, and passes it on.

Layer: supervision. Runs in: parent, in a thread of its own, which owns all of the state.
Owns: the supervisor's mailbox, an epoll descriptor, a wake descriptor (closed at the end).
Never: runs user code; waits for an actor, a caller or the zygote; dies of an error in one actor.

    commands (its own mailbox) ─┐
    pidfds of the actors ───────┼─► one epoll ─► this thread ─► supervision ─► processes
    zygote's answers, its pidfd ┘                                          └─► answers to callers
    timers: start and stop deadlines, backoff
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, RestartIntensityExceeded
from procactors.model import commands as c
from procactors.observe.events import Events
from procactors.process import parent_dump
from procactors.process.launcher import Launcher
from procactors.supervision.backend import ReplyTo
from procactors.supervision.listeners import Listeners
from procactors.supervision.logs import Logs
from procactors.supervision.processes import Processes
from procactors.supervision.recovery import Recovery
from procactors.supervision.supervision import Supervision
from procactors.wire.endpoint import Endpoint, actor_path
from procactors.wire.envelope import CALL_ID, Envelope, open_envelope
from procactors.wire.journal import Journal
from procactors.wire.mailbox.black_box import (
    CLOSED,
    GONE,
    LISTENED,
    LOGS,
    METRICS,
    SYSTEM_ENDS,
)
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.record import READY, Kind
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.supervision.guest_events import GuestEvents
    from procactors.supervision.guests import Guests

__all__ = ["Supervisor"]

_log = logging.getLogger("procactors")

#: Least seconds between two zygotes, but for the first that is replaced.
_ZYGOTE_RENEWAL_S = 1.0


class Supervisor:
    """Starts, watches, restarts and stops the actors of one system.

    Args:
        endpoint: the parent's end of the wire.
        launcher: starts the processes.
        recovery: answers for the dead.
        stop_timeout: seconds of a stop for which neither caller nor options name any.
        events: gets what actors report, and what becomes of them.
        slow_after: seconds from which a handler is slow, for those that listen.
        logs: takes what actors log and print; opened here.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        launcher: Launcher,
        recovery: Recovery,
        stop_timeout: float,
        events: Events,
        slow_after: float,
        logs: Logs,
    ) -> None:
        self._endpoint = endpoint
        self._launcher = launcher
        self._recovery = recovery
        self._events = events
        self._guests: Guests | None = None
        self._guest_events: GuestEvents | None = None
        #: Called once when a tree's root has given up; the system then ends.
        self.on_failure: Callable[[RestartIntensityExceeded], None] = lambda _error: None
        #: Called with seconds, or None, when a guest wants the whole system stopped.
        self.on_stop: Callable[[float | None], None] = lambda _timeout: None
        with contextlib.ExitStack() as undo:
            self._files = MailboxFiles(actor_path(endpoint.path, SUPERVISOR))
            undo.callback(self._files.close)
            self._mailbox = MailboxReader(self._files.path)
            undo.callback(self._mailbox.close)
            self._epoll = select.epoll()
            undo.callback(self._epoll.close)
            self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            undo.pop_all()
        self.processes = Processes(endpoint, launcher, recovery, self._epoll, logs)
        self.supervision = Supervision(
            self.processes,
            stop_timeout,
            begin_end=self._begin_end,
            finish=self.finish,
            fail=self._failed,
        )
        self.processes.listener = self.supervision.lifecycle
        self.core = self.supervision.core
        self._listeners = Listeners(self.core, recovery, events, slow_after)
        self.core.journal = self._journal = Journal(endpoint.path, self.core.after)
        self.supervision.handlers |= {
            c.LostMessage: self._lost,
            c.AsGuest: self._do_for_guest,
            c.Listen: self._listen,
            c.StopSystem: self._stop_system,
            c.TellStacks: self._tell_stacks,
            c.ReportProgress: self._listeners.progressed,
            c.ReportOverflow: self._listeners.overflowed,
            c.ListCrashes: self._look_at_troubles,
            c.ListLetters: self._look_at_troubles,
            c.RequeueLetter: self._look_at_troubles,
        }
        self._done = False
        self._renewed_at = -_ZYGOTE_RENEWAL_S
        # Guards the wake descriptor and the own box: the thread closes them, others write to them.
        self._closing = threading.RLock()
        self.thread = threading.Thread(target=self._run, name="procactors-supervisor", daemon=True)

    def open(self) -> None:
        """Watch the zygote, and start the thread."""
        self.processes.open()
        self._epoll.register(self._mailbox.fileno(), select.EPOLLIN)
        self._epoll.register(self._wake, select.EPOLLIN)
        self._events.on_change(self._show_listeners)
        self.thread.start()

    # -- from any thread ------------------------------------------------------------------------

    def finish(self) -> None:
        """End the thread after the event at hand; from any thread."""
        with self._closing:
            self._done = True
            if self._wake >= 0:
                os.eventfd_write(self._wake, 1)

    def close_intake(self) -> None:
        """Start no actor any more, and count for the report; from any thread."""
        self.core.intake_closed = True
        self._recovery.tally.begin()

    def name_of(self, actor: int) -> str:
        """Return an actor's name, also after its end. From any thread."""
        return self.core.name_of(actor)

    def address_of(self, name: str) -> int | None:
        """Return the id of the live actor of that name, once it has been up. From any thread."""
        return self.core.address_of(name)

    def show_letters(self, total: int) -> None:
        """Say how many dead letters there have been, in our box. From any thread."""
        with self._closing:
            if self._wake >= 0:
                self._mailbox.box.words[METRICS] = total

    def show_levels(self, version: int) -> None:
        """Tell all actors of a version of the levels of loggers. From any thread."""
        with self._closing:
            if self._wake >= 0:
                self._mailbox.box.words[LOGS] = version

    def _show_listeners(self) -> None:
        """Say what is listened to: here, and to actors in our box. From any thread."""
        shown = self._listeners.wanted()
        if shown is None:
            return
        with self._closing:
            if self._wake >= 0:
                self._mailbox.box.words[LISTENED] = shown
                os.eventfd_write(self._wake, 1)  # the thread looks who listens

    # -- the loop -----------------------------------------------------------------------------

    def _run(self) -> None:
        parent_dump.begin()
        try:
            self._serve()
        finally:
            parent_dump.end()

    def _serve(self) -> None:
        while not self._done:
            for fd, _ in self._epoll.poll(self.supervision.patience()):
                self._ready(fd)
            self.supervision.run_timers()
        # The mark first, as for any mailbox that is closed for good: no command is left waiting.
        self._mailbox.box.words[CLOSED] = GONE
        self.supervision.event(self._obey)
        self.supervision.event(self.supervision.lifecycle.close)
        self.close()

    def close(self) -> None:
        """Close what this module owns. Called by the thread at its end, or if it never began."""
        with self._closing:
            if self._wake < 0:
                return
            os.close(self._wake)
            self._wake = -1
        if self._guests is not None:
            self._guests.close()
        self._epoll.close()
        self.processes.close()
        self.core.timers.clear()
        self._journal.close()
        self._mailbox.close()
        self._files.close()

    def _ready(self, fd: int) -> None:
        """Deal with a descriptor that has become ready."""
        if fd == self._mailbox.fileno():
            self.supervision.event(self._obey)
        elif fd == self._wake:
            os.eventfd_read(self._wake)
            self.supervision.event(self._listeners.changed)
        elif fd == self._launcher.zygote_pidfd:
            self.supervision.event(self._zygote_died)
        elif self._guests is not None and self._guests.has(fd):
            self.supervision.event(functools.partial(self._guests.ended, fd))
        else:
            self.supervision.event(functools.partial(self.processes.happened, fd))

    def _obey(self) -> None:
        while (taken := self._mailbox.take(0.0)) is not None:
            # A copy: whatever keeps this frame alive (a traceback, a log record) must not keep a
            # view of the box, and with it the map and its descriptor.
            body = memoryview(bytes(taken.body))
            taken.body.release()
            try:
                if taken.kind == Kind.CALL:
                    envelope = open_envelope(body)
                    who = ReplyTo(envelope.reply, envelope.call)
                    load = functools.partial(self._load_and_do, taken.flags, envelope)
                    self.supervision.answered(load, who)
                elif taken.kind == Kind.FENCE:
                    self._endpoint.store.sweep(CALL_ID.unpack_from(body)[0], SUPERVISOR)
                elif taken.kind == Kind.READY:
                    ready = self.processes.listener.ready
                    self.supervision.event(functools.partial(ready, *READY.unpack(body)))
            finally:
                self._mailbox.done(place=False)

    def _load_and_do(self, flags: int, envelope: Envelope, who: ReplyTo) -> None:
        command = self._endpoint.store.load(flags, envelope.payload)
        if self._done and not isinstance(command, c.LostMessage):  # a letter is still kept
            raise ActorStopped("the system was stopped")
        self.supervision.do(command, who)

    # -- the zygote ---------------------------------------------------------------------------

    def _zygote_died(self) -> None:
        """Make a new zygote. Running actors go on; their exit codes will be unknown."""
        self.processes.drop_zygote()
        now = self.core.clock()
        _log.error("the zygote died; starting another")
        if now - self._renewed_at > _ZYGOTE_RENEWAL_S:
            self._renew_zygote()
        else:  # it dies again and again: do not burn a core over it
            self.core.at(now + _ZYGOTE_RENEWAL_S, self._renew_zygote)

    def _renew_zygote(self) -> None:
        self._renewed_at = self.core.clock()
        if not self.processes.renew_zygote():
            self.core.after(_ZYGOTE_RENEWAL_S, self._renew_zygote)

    # -- commands -----------------------------------------------------------------------------

    def _failed(self, error: RestartIntensityExceeded) -> None:
        self.on_failure(error)

    def _begin_end(self, drain: bool) -> None:
        """The system begins to stop: show that to its actors."""
        self.close_intake()
        self._mailbox.box.words[SYSTEM_ENDS] = 1
        if not drain:
            self._recovery.is_abandoned = True

    def _do_for_guest(self, command: c.AsGuest, who: ReplyTo) -> None:
        """Do what a process outside of the system wants, if it still waits for that."""
        if self._guests is None:
            from procactors.supervision.guests import Guests  # only where it is used

            sweep = self._recovery.sweep_after
            self._guests = Guests(self.core, self._endpoint.path, self._epoll, sweep)
        self._guests.come(command)
        order = command.command
        actor = self.core.actors.get(order.actor) if isinstance(order, c.Stop) else None
        if actor is not None and not actor.is_idle:
            # The guest has sent it nothing: so the stop comes behind what the program has sent.
            actor.host.stop()
        if order is None:
            self.core.reply(who, None)
        else:
            self.supervision.handlers[type(order)](order, who)

    def _listen(self, command: c.Listen, who: ReplyTo) -> None:
        if self._guest_events is None:
            from procactors.supervision.guest_events import GuestEvents  # only where it is used

            self._guest_events = GuestEvents(self._events, self._endpoint.path)
            assert self._guests is not None  # only guests listen so
            self._guests.on_ended.append(self._guest_events.end)
        self._guest_events.listen(command)
        self.core.reply(who, None)

    def _tell_stacks(self, _: c.TellStacks, who: ReplyTo) -> None:
        from procactors.runner.stacks import collected  # only where it is used

        self.core.reply(who, collected())

    def _stop_system(self, command: c.StopSystem, who: ReplyTo) -> None:
        self.core.reply(who, None)
        self.on_stop(command.timeout)

    def _lost(self, command: c.LostMessage, _: ReplyTo) -> None:
        name = self.name_of(command.actor)
        self.processes.lost(name, command.record, command.why, command.actor)

    def _look_at_troubles(self, command: Any, who: ReplyTo) -> None:
        from procactors.supervision import troubles  # only where somebody looks in from outside

        self.core.reply(who, troubles.answer(command, self.core, self._recovery.letters))
