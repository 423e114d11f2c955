"""A system whose actors all run in this process: what an `ActorSystem` becomes for such a backend.

Layer: api. Runs in: one process.
Owns: the engine, the transport, the supervisor's task (`stop`).
Never: starts a process, makes a file that it is not told to, installs a signal handler.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import os
import signal
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors import crash
from procactors.api.inbox import Inbox
from procactors.api.local_life import LocalLife
from procactors.api.local_shared import Sharing
from procactors.api.spawner import SystemHandle
from procactors.deadletters.store import DeadLetters
from procactors.errors import ActorStopped, InvalidSpec, UnknownMethod
from procactors.local.box import LocalReader
from procactors.local.desk import Desk
from procactors.local.engine import Engine
from procactors.local.host import LocalHost, LocalRecovery
from procactors.local.inline import Inline
from procactors.local.log_marks import mark_records, mark_records_no_more
from procactors.local.threads import Threads
from procactors.local.transport import LocalTransport
from procactors.model import commands as c
from procactors.model.checks import deadline, patience, whole
from procactors.observe.events import Events
from procactors.runtime.ref import ActorRef
from procactors.supervision.crash_folder import CrashFolder
from procactors.wire.envelope import handler_name, open_envelope
from procactors.wire.mailbox.black_box import CLOSED, GONE
from procactors.wire.pickling.definitions import belong_to
from procactors.wire.record import Kind, parse
from procactors.wire.runtime_dir import RuntimeDir

if TYPE_CHECKING:
    from procactors.deadletters.writer import DeadLetterWriter

__all__ = ["assemble", "become_local", "take_methods"]

#: Seconds of the last steps of a stop for events, and for dead letters.
_LETTERS_S = 2.0
#: And for crash reports.
_CRASHES_S = 5.0

_numbers = itertools.count(1)


def become_local(
    system: Any,
    backend: str,
    name: str | None,
    stop_timeout: float,
    ask_timeout: float | None,
    files: tuple[str | None, str | None],
    seed: Any,
) -> None:
    """Make a system that is just being constructed one of this process.

    Its class is changed, so that no method of a system over processes has to ask which it is.

    Args:
        system: an instance of `ActorSystem`, or of a class of the user's below it.
        backend: ``"inline"`` or ``"threads"``.
        name: the system's; None: it has none.
        stop_timeout: the system's, in seconds.
        ask_timeout: the system's, in seconds; None: for ever.
        files: the file for dead letters, and the folder for crash reports; None: no such.
        seed: of an inline one: of the order of everything.

    Raises:
        InvalidSpec: no seed, or another kind of file. OSError: a file cannot be made.
    """
    letter_file, crash_dir = files
    above = _InlineSystem if backend == "inline" else _LocalSystem
    take_methods(system, above)
    seed = whole("seed", seed, 0)
    engine: Engine = Inline(seed, _yields) if backend == "inline" else Threads()
    system._files = None
    path = own_name = f"{backend}:/{os.getpid()}-{next(_numbers)}"
    if letter_file is not None:
        # Where the file's letters find what they name, and others ring.
        system._files = RuntimeDir(kind="letters-")
        path = system._files.path
    transport: Any = LocalTransport(path, engine)
    transport.make_letter = _make_letter
    transport.store.sharing = Sharing(transport)
    transport.store.stands_alone = letter_file is not None or crash_dir is not None
    system._crashes = None if crash_dir is None else CrashFolder(crash_dir, path)
    history = engine.history.append if isinstance(engine, Inline) else None
    new_life = functools.partial(LocalLife, transport, history)
    own_seed = seed if engine.is_virtual else None
    about = name or own_name, stop_timeout, ask_timeout, own_seed
    assemble(system, transport, new_life, Desk, about)
    transport.is_metered = system._is_metered
    transport.letters_total = lambda: system.dead_letters.total
    if letter_file is not None:
        try:
            system.dead_letters.keep_in(system._open_writer(letter_file))
        except BaseException:
            transport.close()
            system._files.remove()
            raise
        belong_to(path)
    if system._marks_records:
        mark_records()
    system._supervisor.open()


def take_methods(system: Any, above: type) -> None:
    """Put methods before those of a system's class."""
    cls = type(system)
    system.__class__ = type(cls.__name__, (above, cls), {"__module__": cls.__module__})


def assemble(
    system: Any,
    transport: Any,
    new_life: Callable[..., Any],
    make_desk: Callable[..., Desk],
    about: tuple[str, float, float | None, int | None],
) -> None:
    """Make the parts of a system around its transport; its supervisor is still to be opened.

    Args:
        system: that is being constructed.
        transport: the system's.
        new_life: makes a life of an actor, as `LocalBackend` says.
        make_desk: makes the supervisor.
        about: its name, stop_timeout and ask_timeout, and the root of its seeds, if it has one.
    """
    name, stop_timeout, ask_timeout, seed = about
    system._stop_timeout = stop_timeout
    system.failure = None
    system.name = name
    system.events = events = Events()
    system.dead_letters = letters = DeadLetters()
    SystemHandle.__init__(system, transport, ask_timeout)
    transport.open_stream = functools.partial(_open_stream, transport)
    system._engine = transport.engine
    system._recovery = recovery = LocalRecovery(transport, letters, system._crashes)
    desk = make_desk(transport, recovery, new_life, stop_timeout, events, system._slow_after, seed)
    system._supervisor = desk
    desk.on_failure = system._failed
    transport.name_of = desk.name_of
    transport.on_lost = lambda actor, record: desk.lost(actor, record, "has stopped")
    transport.on_given_up = system._client.report_given_up
    transport.on_full = system._client.report_full
    letters.connect(transport, desk.address_of)


def _open_stream(transport: LocalTransport, *about: Any) -> Any:
    from procactors.api.local_stream import open_local_stream  # only where it is used

    return open_local_stream(transport, *about)


def _make_letter(ref: Any, transport: LocalTransport) -> Any:
    from procactors.api.local_feed import LocalLetter  # only where it is used

    return LocalLetter(ref, transport)


#: How often, in systems that are made from now on, who sends lets others run first.
_yields = 0.0


@contextlib.contextmanager
def yielding(share: float) -> Any:
    """Have who sends let others run first, so often, in systems that are made in here."""
    global _yields  # noqa: PLW0603 - a program under exploration makes its own systems
    before, _yields = _yields, share
    try:
        yield
    finally:
        _yields = before


class _LocalSystem:
    """The methods that a system in one process has instead of an `ActorSystem`'s."""

    name: str
    failure: Any
    events: Events
    dead_letters: DeadLetters
    _endpoint: Any
    _engine: Any
    _client: Any
    _supervisor: Desk
    _recovery: LocalRecovery
    _report: Any
    _ended: Any
    _ref: Callable[..., Any]
    _stop_once: Callable[..., Any]
    _stop_timeout: float
    _crashes: CrashFolder | None
    _marks_records: bool
    _files: RuntimeDir | None

    def inbox(self, name: str | None = None) -> Inbox:
        ref = self._ref(self._client.ask(c.OpenInbox(name)))
        return _LocalInbox(self._endpoint, ref, self._recovery.lost)

    def _expect_start(self) -> None:
        pass

    def _close_all(self, until: float) -> None:
        desk = self._supervisor
        desk.finish()
        self._rest()
        for actor in list(desk.core.actors.values()):
            if not actor.is_inbox:  # left by a stop that was broken off
                killed = crash.ExitReason(crash.ExitKind.KILLED, signal.SIGTERM)
                self._recovery.tally.ended(actor.name, killed, actor.host.at_work())
            actor.host.kill()
        self._rest()
        for actor in (*desk.core.actors.values(), *desk.core.unremoved):
            with contextlib.suppress(Exception):  # so wide: what is left is only to be closed
                actor.host.remove()
        self._endpoint.close()
        self._rest()  # what closes the generators of streams that nobody reads
        self._engine.close()
        self._recovery.close()
        self.events.close(max(0.0, until - monotonic()) + _LETTERS_S)
        self.dead_letters.close(max(0.0, until - monotonic()) + _LETTERS_S)
        marked, self._marks_records = self._marks_records, False
        if marked:
            mark_records_no_more()
        if self._crashes is not None:
            self._crashes.close(_CRASHES_S)
        if self._files is not None:
            belong_to(self._files.path, is_part=False)
            self._files.remove()
        if self._report is None:
            self._report = self._recovery.tally.report()
        self._ended.set()

    def crash(self, ref: ActorRef[Any]) -> None:
        self._endpoint.check_process()
        if not isinstance(ref, ActorRef):
            raise InvalidSpec(f"crash takes the ref of an actor, not {ref!r}")
        host = self._endpoint.boxes.get(ref._actor)
        if host is None:
            raise ActorStopped(f"{ref.name} has stopped: it cannot crash")
        host.crash()

    def _rest(self) -> None:
        """Let come to its end what is to."""

    def _forget(self) -> None:
        if self._files is not None:
            self._files.forget()

    def flush_logs(self, timeout: float = 5.0) -> bool:
        deadline("timeout", timeout)
        return True  # what an actor logs is logged here, at once

    def _make_writer(self, *about: Any) -> DeadLetterWriter:
        from procactors.local import letters  # only where it is used

        is_virtual = self._engine.is_virtual
        make = letters.TurnLetterWriter if is_virtual else letters.LocalLetterWriter
        return make(*about)


class _InlineSystem(_LocalSystem):
    """What a deterministic system has beside."""

    @property
    def clock(self) -> Any:
        return _Clock(self._engine)

    @property
    def history(self) -> list[str]:
        return [
            f"{at - _BEGIN_S:.6f} {actor}.{handler_name(key)} from {self._named(sender)}"
            for at, actor, key, sender in self._engine.history
        ]

    def run_until_idle(self) -> None:
        self._endpoint.check_process()
        self._engine.run_until_idle()

    def wait(self, timeout: float | None = None) -> bool:
        limit = patience("timeout", timeout)
        if limit is None:
            self._engine.run_until_idle()
        else:
            self._engine.advance(limit)
        if self.failure is not None:
            self._stop_once(None, drain=True)
        if self._ended.is_set() and self.failure is not None:
            raise self.failure
        return bool(self._ended.is_set())

    def _failed(self, error: Any) -> None:
        """End the system because a tree's root gave up."""
        if self.failure is None:
            self.failure = error
            self._client.tell(c.StopAll(self._stop_timeout, True))

    def _named(self, sender: int) -> str:
        return self._supervisor.name_of(sender) if sender else "main"

    def _rest(self) -> None:
        self._engine.run_until_idle()


#: What an inline system's clock says at its beginning.
_BEGIN_S = 1000.0


class _Clock:
    """The time of an inline system.

    Attributes:
        now: seconds since the system was made.
    """

    def __init__(self, engine: Inline) -> None:
        self._engine = engine

    @property
    def now(self) -> float:
        return self._engine.now() - _BEGIN_S

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass: what is due meanwhile is done, each at its instant."""
        if seconds == math.inf:
            raise InvalidSpec("seconds is a number of seconds, not infinity: it would never end")
        self._engine.advance(deadline("seconds", seconds))


class _LocalInbox(Inbox):
    """A mailbox of the main program's own."""

    def __init__(self, endpoint: Any, ref: ActorRef[Any], lost: Any) -> None:
        # Nothing of the base class's: there is no pipe to read.
        self.ref = ref
        self._lost = lost
        self._closed = False
        self._endpoint: Any = endpoint
        self._watching = None
        self.on_call = None
        self._engine: Engine = endpoint.engine
        self._box: LocalHost = endpoint.boxes[ref._actor]
        self._take: Any = LocalReader(
            endpoint.path, self._box.box, self._box.mail, self._engine.now_ns
        )
        #: Of the threads that wait for a message: each looks again when one comes.
        self._waiters: list[Any] = []
        self._box.on_message = self._come
        endpoint.on_close(self.close)

    def receive(self, timeout: float | None = None) -> Any:
        self._endpoint.check_process()
        timeout = patience("timeout", timeout)
        until = None if timeout is None else self._engine.now() + timeout
        while True:
            kind, flags, body = self._next_until(until, timeout)
            if kind == Kind.CALL:
                return self._endpoint.store.load(flags, body)
            event = self._watches().open(flags, body)
            if event is not None:
                return event

    def _next_until(self, until: float | None, named: float | None) -> tuple[int, int, memoryview]:
        while True:
            self._check_open()
            waiter = self._engine.waiter()
            with self._box.mail.lock:
                found = self._take.take(0.0)
                if found is None:
                    self._waiters.append(waiter)
                else:
                    self._take.done(place=True)
            if found is None:
                if not self._engine.wait(waiter, until, f"a message for {self.ref.name}"):
                    self._check_open()
                    raise TimeoutError(f"no message for {self.ref.name} within {named} s")
                continue
            kind, flags, body = found
            if kind == Kind.EVENT:
                return kind, flags, body
            if kind == Kind.CALL:
                envelope = open_envelope(body)
                if self.on_call is not None:
                    self.on_call(flags, envelope)
                    continue
                if not envelope.reply and not envelope.method:
                    return kind, flags, envelope.payload
                self._endpoint.store.discard(flags, envelope.payload)
                if envelope.reply:
                    error = UnknownMethod(
                        f"{self.ref.name} is an inbox: tell it messages, do not ask"
                    )
                    replies = self._endpoint.make_replies()
                    replies.answer(envelope.reply, envelope.call, Kind.VERDICT, error)

    def _come(self) -> None:
        with self._box.mail.lock:
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.set()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._endpoint.off_close(self.close)
        self._box.words[CLOSED] = GONE
        self._come()
        for record in self._box.mail.close_for_good():
            if parse(record).kind == Kind.CALL:
                self._lost(self.ref.name, record, "has stopped")
