"""The actor system: the parent's side, from start to end.

Layer: api. Runs in: parent.
Owns: the runtime directory, the lifeline, the supervisor's thread, the station (`stop`).
Never: installs signal handlers: they belong to the application.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import threading
import weakref
from collections.abc import Sequence
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING

from procactors.errors import ActorStopped, InvalidSpec, RestartIntensityExceeded
from procactors.handle import SystemHandle
from procactors.inbox import Inbox
from procactors.observe.events import Events
from procactors.plain import plain
from procactors.process.launcher import START_METHODS, Launcher
from procactors.process.lifeline import Lifeline
from procactors.process.limits import raise_descriptor_limit
from procactors.process.streams import hold_standard_streams
from procactors.supervision import commands as c
from procactors.supervision.crash import ExitKind, ExitReason
from procactors.supervision.crashdir import CrashFolder
from procactors.supervision.deadletters import DeadLetters
from procactors.supervision.recovery import Recovery
from procactors.supervision.stopreport import StopReport
from procactors.supervision.supervisor import Supervisor
from procactors.wire.runtime_dir import RuntimeDir, sweep
from procactors.wire.station import Station

if TYPE_CHECKING:
    from procactors.supervision.letterkeeper import LetterKeeper

__all__ = ["STOP_TIMEOUT_S", "ActorSystem"]

_log = logging.getLogger("procactors")

#: Seconds of a stop for which nobody names any: a third of what batch schedulers usually grant.
STOP_TIMEOUT_S = 10.0
#: Seconds that the supervisor may take beyond a stop's deadline, for its own last steps.
_SLACK_S = 5.0
#: Seconds beyond it for events, and for dead letters: those of the end itself are to be written
#: and shown, too.
_LETTERS_S = 2.0


class ActorSystem(SystemHandle):
    """Starts, supervises and stops actors, each in a process of its own.

    Use it as a context manager (also ``async with``): leaving it stops everything. A program
    that forgets to stop it is stopped at exit; one that is killed takes its actors with it.

    Args:
        name: for people; the runtime directory's name if None.
        backend: where actors run; ``"processes"`` is the only one yet.
        start_method: ``"forkserver"``: forked from a small clean process of our own, the zygote.
            ``"spawn"``: a new interpreter each. ``"fork"``: forked from this process, with all
            the dangers of forking with threads.
        preload: names of modules that the zygote imports once for all actors.
        spares: blank processes kept ready for the next start (forkserver only).
        stop_timeout: seconds of a stop that names none.
        ask_timeout: seconds that an ask waits for its reply; None waits for ever, and still not
            on the dead.
        runtime_dir: directory in which the private runtime directory is made; /dev/shm if None.
        dead_letter_file: file in which dead letters are kept too, and survive this program: an
            SQLite database of mode 0600, made if it is not there, that several systems may use.
            ``procactors dead-letters`` lists its letters, marks them to be sent again by the next
            system that uses the file, and replays them. It holds pickles: loading a letter runs
            code, so nobody else may be able to write the file.
        crash_dir: directory to which each crash is written: its report as JSON, and the message
            in hand, pickled. Made when it is missing; None writes nothing.

    Raises:
        InvalidSpec: an argument that makes no sense, or a `dead_letter_file` that is another
            kind of file.
        PermissionError: the `dead_letter_file` is another user's, or open to others.

    Attributes:
        dead_letters: messages that nobody will handle, and why.
        events: what happens in the system, from now on: subscribe, or iterate.
        failure: why the system ended by itself: a tree's root gave up; None otherwise.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        backend: str = "processes",
        start_method: str = "forkserver",
        preload: Sequence[str] = (),
        spares: int = 0,
        stop_timeout: float = STOP_TIMEOUT_S,
        ask_timeout: float | None = None,
        runtime_dir: str | os.PathLike[str] | None = None,
        dead_letter_file: str | os.PathLike[str] | None = None,
        crash_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        _check(backend, start_method, spares, stop_timeout, ask_timeout)
        hold_standard_streams()
        raise_descriptor_limit()
        if runtime_dir is not None:  # its files are opened later too, from whatever directory
            runtime_dir = os.path.abspath(os.fsdecode(runtime_dir))
        sweep(runtime_dir)
        # Guards the end: only one thread stops, others wait for it. Reentrant: an application's
        # SIGTERM handler may stop the system while its main thread is stopping it.
        self._ending = threading.RLock()
        self._ended = threading.Event()
        self._report: StopReport | None = None
        self._stop_timeout = stop_timeout
        self.dead_letters = DeadLetters()
        self.events = Events()
        self.failure: RestartIntensityExceeded | None = None
        with contextlib.ExitStack() as undo:
            self._dir = RuntimeDir(runtime_dir)
            undo.callback(self._dir.remove)
            self._lifeline = Lifeline(self._dir.path)
            undo.callback(self._lifeline.cut)
            station = Station(self._dir.path)
            undo.callback(station.close)
            super().__init__(station, ask_timeout)
            self.name = plain(name) or os.path.basename(self._dir.path)
            self._crashes = None if crash_dir is None else CrashFolder(crash_dir, self._dir.path)
            self._recovery = Recovery(station.home, station, self.dead_letters, self._crashes)
            station.on_lost = self._report_lost
            self._launcher = Launcher(self._dir.path, start_method, preload, spares)
            self._supervisor = Supervisor(
                station, self._launcher, self._recovery, plain(stop_timeout), self.events
            )
            self._supervisor.on_failure = self._failed
            undo.callback(self._supervisor.close)
            self.dead_letters.connect(station, self._supervisor.address_of)
            if dead_letter_file is not None:
                undo.callback(self.dead_letters.close, _SLACK_S)
                self.dead_letters.keep_in(self._open_keeper(os.fspath(dead_letter_file)))
            self._supervisor.open()
            undo.pop_all()  # all is up: from here on `stop` undoes it
        _systems.add(self)

    def inbox(self, name: str | None = None) -> Inbox:
        """Return a receiver for the main program: its `ref` can be sent to actors.

        Raises:
            NameTaken: another live actor has that name.
        """
        ref = self._ref(self._command(c.OpenInbox(name)))
        return Inbox(self._station, ref, self._recovery.lost)

    def stop(self, timeout: float | None = None) -> StopReport:
        """Stop all actors, latest started first, and end the system; return what came of it.

        Blocks until nothing is left: at most `timeout` seconds (None: the system's
        ``stop_timeout``) and a moment. From its first moment no actor is started any more. An
        actor finishes its mailbox first; at the deadline what is left is killed, and its messages
        become dead letters. What was not handled is in the report, and is logged in one line.

        Idempotent: another stop returns the same report. One that names a `timeout` while
        another thread is stopping makes that stop end by this deadline too.
        """
        if self._report is not None:
            return self._report
        with contextlib.suppress(ActorStopped):  # another thread is just closing the station
            self._station.check_process()
        self._supervisor.stopping.close_intake()
        if not self._ending.acquire(blocking=False):
            if timeout is not None:
                with contextlib.suppress(ActorStopped):
                    self._command(c.StopAll(timeout), timeout + _SLACK_S)
            self._ending.acquire()
        try:
            return self._stop(self._stop_timeout if timeout is None else timeout)
        finally:
            self._ending.release()

    def _stop(self, timeout: float) -> StopReport:
        if self._report is None:
            deadline = monotonic() + timeout
            # What this process has sent and the kernel has not yet taken comes first.
            self._station.flush(timeout / 2)
            try:
                # ActorStopped: it has ended by itself, or a stop in a signal handler or in
                # another thread came first.
                with contextlib.suppress(ActorStopped):
                    self._command(c.StopAll(max(0.0, deadline - monotonic())), timeout + _SLACK_S)
            finally:
                self._finish(deadline)
        assert self._report is not None
        return self._report

    def kill(self) -> StopReport:
        """SIGKILL every actor and end the system at once; see `stop` for what it returns."""
        return self.stop(0.0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the system has ended, up to `timeout` seconds; return whether it has.

        Raises:
            RestartIntensityExceeded: it ended because the root of a supervision tree gave up.
        """
        ended = self._ended.wait(timeout)
        if ended and self.failure is not None:
            raise self.failure
        return ended

    def __enter__(self) -> ActorSystem:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        if self.failure is not None and error is None:
            raise self.failure

    async def __aenter__(self) -> ActorSystem:  # noqa: PYI034
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import asyncio

        await asyncio.get_running_loop().run_in_executor(None, self.stop)
        if self.failure is not None and error is None:
            raise self.failure

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name}{' (stopped)' if self._ended.is_set() else ''}>"

    def _finish(self, deadline: float) -> None:
        if self._ended.is_set():
            return
        self._supervisor.finish()
        self._supervisor.thread.join(_SLACK_S)
        for cell in list(self._supervisor.cells.values()):
            if not cell.is_inbox:  # left by a stop that was broken off: the next line kills it
                self._recovery.tally.ended(cell.name, ExitReason(ExitKind.KILLED, signal.SIGKILL))
        # Should an actor have escaped all else, this ends it.
        self._lifeline.cut()
        self._station.close()
        self._recovery.close()
        self.events.close(max(0.0, deadline - monotonic()) + _LETTERS_S)
        # Before the directory goes: the letters' definitions are in it.
        self.dead_letters.close(max(0.0, deadline - monotonic()) + _LETTERS_S)
        if self._crashes is not None:
            self._crashes.close(_SLACK_S)  # before its messages' definitions go
        self._dir.remove()
        if self._report is None:  # else a stop in a signal handler has come to this line first
            self._report = report = self._recovery.tally.report()
            if report.left:
                _log.warning("%s", report.headline)
        self._ended.set()
        _systems.discard(self)

    def _failed(self, error: RestartIntensityExceeded) -> None:
        """End the system because a tree's root gave up. Runs in the supervisor's thread."""
        if self.failure is None:
            self.failure = error
            # A thread of its own: stopping waits for the supervisor's thread.
            threading.Thread(target=self.stop, name="procactors-failure", daemon=True).start()

    def _report_lost(self, actor: int, record: bytes) -> None:
        """Answer for a record of this process's backlog that found its actor gone.

        Here, not by the supervisor's mailbox: at the system's end the supervisor ends first.
        """
        name = self._supervisor.name_of(actor)
        self._recovery.lost(name, record, "has stopped", actor=actor)

    def _open_keeper(self, path: str) -> LetterKeeper:
        # Imported here: a system without a file must not load SQLite.
        from procactors.supervision.letterfile import NotLetters
        from procactors.supervision.letterkeeper import LetterKeeper

        keeper = LetterKeeper(
            path, self.name, self._station, self.dead_letters, self._supervisor.address_of
        )
        try:
            keeper.open()
        except NotLetters as error:
            raise InvalidSpec(f"dead_letter_file: {error}") from error
        return keeper

    def _forget(self) -> None:
        self._dir.forget()
        self._launcher.forget()


def _check(
    backend: str,
    start_method: str,
    spares: int,
    stop_timeout: float,
    ask_timeout: float | None,
) -> None:
    if backend != "processes":
        raise InvalidSpec(f"backend is 'processes', not {backend!r}")
    if start_method not in START_METHODS:
        raise InvalidSpec(f"start_method is one of {START_METHODS}, not {start_method!r}")
    if isinstance(spares, bool) or not isinstance(spares, int) or spares < 0:
        raise InvalidSpec(f"spares is a number of processes from 0 on, not {spares!r}")
    for name, value in (("stop_timeout", stop_timeout), ("ask_timeout", ask_timeout)):
        if value is None and name == "ask_timeout":
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise InvalidSpec(f"{name} is a number of seconds from 0 on, not {value!r}")


_systems: weakref.WeakSet[ActorSystem] = weakref.WeakSet()


def _stop_at_exit() -> None:
    # Registered after multiprocessing's own exit handler, so it runs before it: that one would
    # wait for actors which nobody has stopped.
    for system in list(_systems):
        with contextlib.suppress(Exception):  # so wide: the others must be stopped too
            system.stop()


def _forget_in_child() -> None:
    for system in list(_systems):
        system._forget()
    _systems.clear()


atexit.register(_stop_at_exit)
os.register_at_fork(after_in_child=_forget_in_child)
