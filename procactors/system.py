"""The actor system: the parent's side, from start to end.

Layer: api. Runs in: parent.
Owns: the runtime directory, the lifeline, the supervisor's thread, the station (`stop`).
Never: installs signal handlers: they belong to the application.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
import weakref
from collections.abc import Sequence
from time import monotonic
from types import TracebackType

from procactors.errors import ActorStopped, InvalidSpec
from procactors.handle import SystemHandle
from procactors.inbox import Inbox
from procactors.process.launcher import START_METHODS, Launcher
from procactors.process.lifeline import Lifeline
from procactors.process.limits import raise_descriptor_limit
from procactors.supervision import commands as c
from procactors.supervision.crashdir import CrashFolder
from procactors.supervision.deadletters import DeadLetters
from procactors.supervision.recovery import Recovery
from procactors.supervision.supervisor import Supervisor
from procactors.wire.runtime_dir import RuntimeDir, sweep
from procactors.wire.station import Station

__all__ = ["ActorSystem"]

#: Seconds that the supervisor may take beyond a stop's deadline, for its own last steps.
_SLACK_S = 5.0


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
        crash_dir: directory to which each crash is written: its report as JSON, and the message
            in hand, pickled. Made when it is missing; None writes nothing.

    Attributes:
        dead_letters: messages that nobody will handle, and why.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        backend: str = "processes",
        start_method: str = "forkserver",
        preload: Sequence[str] = (),
        spares: int = 0,
        stop_timeout: float = 10.0,
        ask_timeout: float | None = None,
        runtime_dir: str | os.PathLike[str] | None = None,
        crash_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        _check(backend, start_method, spares, stop_timeout, ask_timeout)
        raise_descriptor_limit()
        sweep(runtime_dir)
        # Guards the end: only one thread stops, others wait for it. Reentrant: an application's
        # SIGTERM handler may stop the system while its main thread is stopping it.
        self._ending = threading.RLock()
        self._ended = threading.Event()
        self._stop_timeout = stop_timeout
        self.dead_letters = DeadLetters()
        with contextlib.ExitStack() as undo:
            self._dir = RuntimeDir(runtime_dir)
            undo.callback(self._dir.remove)
            self._lifeline = Lifeline(self._dir.path)
            undo.callback(self._lifeline.cut)
            station = Station(self._dir.path)
            undo.callback(station.close)
            super().__init__(station, ask_timeout)
            self.name = name or os.path.basename(self._dir.path)
            self._crashes = None if crash_dir is None else CrashFolder(crash_dir, self._dir.path)
            self._recovery = Recovery(station.home, station, self.dead_letters, self._crashes)
            station.on_lost = self._report_lost
            self._launcher = Launcher(self._dir.path, start_method, preload, spares)
            self._supervisor = Supervisor(station, self._launcher, self._recovery, stop_timeout)
            undo.callback(self._supervisor.close)
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

    def stop(self, timeout: float | None = None) -> None:
        """Stop all actors, latest started first, and end the system; idempotent.

        Blocks until nothing is left: at most `timeout` seconds (None: the system's
        ``stop_timeout``) and a moment. An actor finishes its mailbox first; at the deadline what
        is left is killed, and its messages become dead letters.
        """
        if self._ended.is_set():
            return
        self._station.check_process()
        timeout = self._stop_timeout if timeout is None else timeout
        with self._ending:
            if self._ended.is_set():
                return
            deadline = monotonic() + timeout
            # What this process has sent and the kernel has not yet taken comes first.
            self._station.flush(timeout / 2)
            try:
                self._command(c.StopAll(max(0.0, deadline - monotonic())), timeout + _SLACK_S)
            except ActorStopped:
                if not self._ended.is_set():  # else a signal handler has stopped it meanwhile
                    raise
            finally:
                self._finish()

    def kill(self) -> None:
        """SIGKILL every actor and end the system at once."""
        self.stop(0.0)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the system has ended, up to `timeout` seconds; return whether it has."""
        return self._ended.wait(timeout)

    def __enter__(self) -> ActorSystem:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

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

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name}{' (stopped)' if self._ended.is_set() else ''}>"

    def _finish(self) -> None:
        if self._ended.is_set():
            return
        self._supervisor.finish()
        self._supervisor.thread.join(_SLACK_S)
        # Should an actor have escaped all else, this ends it.
        self._lifeline.cut()
        self._station.close()
        self._recovery.close()
        if self._crashes is not None:
            self._crashes.close(_SLACK_S)  # before its messages' definitions go
        self._dir.remove()
        self._ended.set()
        _systems.discard(self)

    def _report_lost(self, actor: int, record: bytes) -> None:
        """Answer for a record of this process's backlog that found its actor gone.

        Here, not by the supervisor's mailbox: at the system's end the supervisor ends first.
        """
        self._recovery.lost(self._supervisor.name_of(actor), record, "has stopped")

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
