"""The actor system: the parent's side, from start to end.

Layer: api. Runs in: parent.
Owns: the runtime directory, the lifeline, the supervisor's thread, the endpoint (`stop`).
Never: installs signal handlers: they belong to the application.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterable
from time import monotonic, time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from procactors.api.spawner import SystemHandle
from procactors.errors import ActorStopped, AskTimeout, InvalidSpec, RestartIntensityExceeded
from procactors.late import late
from procactors.model.backends import chosen_backend
from procactors.model.checks import deadline, flag, modules, one_of, path, patience, text, whole
from procactors.process.ground import check_ground
from procactors.process.launcher import START_METHODS, Launcher
from procactors.process.lifeline import Lifeline
from procactors.process.limits import raise_descriptor_limit
from procactors.process.nesting import check_depth, importer, note_maker
from procactors.process.order import LOG_MODES, OUTPUT_MODES
from procactors.process.shield import held
from procactors.process.streams import hold_standard_streams
from procactors.runtime.leaving import UNWIND_S, is_broken_off
from procactors.wire.copies import in_copies
from procactors.wire.runtime_dir import RuntimeDir, sweep

if TYPE_CHECKING:
    import logging

    from procactors import crash
    from procactors.api import inbox as inboxes
    from procactors.api.async_system import AsyncActorSystem
    from procactors.api.gate import Gates
    from procactors.api.inbox import Inbox
    from procactors.deadletters.writer import DeadLetterWriter
    from procactors.model import commands as c
    from procactors.supervision.crash_folder import CrashFolder
    from procactors.supervision.stop_report import StopReport
    from procactors.wire.endpoint import Endpoint
else:
    logging = late("logging")
    c = late("procactors.model.commands")
    crash = late("procactors.crash")
    inboxes = late("procactors.api.inbox")

__all__ = ["LOG_REPEATS", "SLOW_AFTER_S", "STOP_TIMEOUT_S", "ActorSystem"]

_INLINE = 'backend="inline" alone'
#: What a system does not have on each backend, and where it does.
_ELSEWHERE = {
    "clock": _INLINE,
    "crash": 'backend="inline", "threads" and "ray" (on processes, send a signal)',
    "history": _INLINE,
    "run_until_idle": _INLINE,
}
#: Seconds of a stop that names none: a third of what batch schedulers usually grant.
STOP_TIMEOUT_S = 10.0
#: Seconds from which a handler is slow, for those that listen to events.
SLOW_AFTER_S = 1.0
#: Seconds that the supervisor may take beyond a stop's deadline, for its own last steps.
_SLACK_S = 5.0
#: Seconds beyond the deadline for events, and for dead letters: those of the end itself are to be
#: written and shown, too.
_LETTERS_S = 2.0
#: How often the last steps of a stop are begun, should a Ctrl-C come among them.
_TRIES = 5
#: Times that one line of an actor's log is shown within a second.
LOG_REPEATS = 10


class ActorSystem(SystemHandle):
    """Starts, supervises and stops actors, each in a process of its own.

    Use it as a context manager (also ``async with``): leaving it stops everything. Left by an
    exception, Ctrl-C among them, it does not finish the mailboxes: handlers that run get SIGTERM
    at once and SIGKILL a second later; another Ctrl-C kills at once. (``sys.exit()`` with code 0
    is no such exception.) A program that forgets to stop it is stopped at exit; one that is
    killed takes its actors with it.

    A module may make one when it is imported, as web applications do. In an actor that imports
    this module to find a class, what the module makes is inert, and says so when it is used.

    Args:
        name: for people; the runtime directory's name if None.
        backend: where actors run: ``"processes"``, ``"threads"``, ``"inline"`` or ``"ray"`` (see
            docs/backends.md); None: as the environment variable PROCACTORS_BACKEND says, or else
            ``"processes"``.
        address: of the Ray cluster, with ``backend="ray"``, as `ray.init` takes it; None: the one
            that the program is connected to already or that RAY_ADDRESS names, or else one of this
            machine alone, which ends with the last system.
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
            code, so no other user may be able to write the file.
        crash_dir: directory to which each crash is written: its report as JSON, and the message
            in hand, pickled. Made when it is missing; None writes nothing.
        slow_after: seconds from which a handler that runs is a slow one: those that listen to
            `events` get a `SlowHandler`. Nothing else comes of it, and nobody looks while nobody
            listens.
        metrics: count and time each method's messages, for `procactors.metrics`.
        logs: what becomes of records that code in an actor logs. ``"forward"``: they reach the
            loggers of the same names in this process, whose levels hold in the actors;
            ``"inherit"``: an actor has the logging that it sets up itself; ``"none"``: they are
            kept for the crash report alone.
        stdout: what becomes of what an actor prints, by Python or not, on either stream.
            ``"inherit"``: it goes where this process's goes; ``"prefix"``: line by line, with the
            actor's name, through `sys.stdout` and `sys.stderr` of this process; ``"files"``: to
            files in ./procactors-logs/<system>/; ``"none"``: nowhere.
        log_repeats: times that one line of an actor's log is shown within a second: of the rest,
            one line says how many there were; None: all are shown.
        seed: of an inline system: the same one gives the same run.

    Raises:
        InvalidSpec: an argument that makes no sense, or a `dead_letter_file` that is another
            kind of file.
        PermissionError: the `dead_letter_file` is another user's, or open to others.
        SpawnError: no system can run here: inside of three others already, under gevent's or
            eventlet's patches, in a frozen program that has not called `freeze_support`, or on a
            Python without what it takes.

    Attributes:
        dead_letters: messages that no actor will handle, and why.
        events: what happens in the system, from now on: subscribe, or iterate.
        failure: why the system ended by itself: a tree's root gave up; None otherwise.
    """

    _endpoint: Endpoint

    def __init__(
        self,
        name: str | None = None,
        *,
        backend: str | None = None,
        address: str | None = None,
        start_method: str = "forkserver",
        preload: Iterable[str] = (),
        spares: int = 0,
        stop_timeout: float = STOP_TIMEOUT_S,
        ask_timeout: float | None = None,
        runtime_dir: str | os.PathLike[str] | None = None,
        dead_letter_file: str | os.PathLike[str] | None = None,
        crash_dir: str | os.PathLike[str] | None = None,
        slow_after: float = SLOW_AFTER_S,
        seed: int = 0,
        metrics: bool = True,
        logs: str = "forward",
        stdout: str = "inherit",
        log_repeats: int | None = LOG_REPEATS,
    ) -> None:
        if name is not None:
            name = text("name", name)
        backend = chosen_backend(backend)
        address = _cluster_address(address, backend)
        start_method = one_of("start_method", start_method, START_METHODS)
        preload = modules("preload", preload)
        spares = whole("spares (processes)", spares, 0)
        stop_timeout = deadline("stop_timeout", stop_timeout)
        ask_timeout = patience("ask_timeout", ask_timeout)
        runtime_dir = _path("runtime_dir", runtime_dir)
        dead_letter_file = _path("dead_letter_file", dead_letter_file)
        crash_dir = _path("crash_dir", crash_dir)
        self._slow_after = deadline("slow_after", slow_after)
        self._is_metered = flag("metrics", metrics)
        logs, stdout = one_of("logs", logs, LOG_MODES), one_of("stdout", stdout, OUTPUT_MODES)
        if log_repeats is not None:
            log_repeats = whole("log_repeats", log_repeats, 1)
        # Guards the end: only one thread stops, others wait for it. Reentrant: an application's
        # SIGTERM handler may stop the system while its main thread is stopping it.
        self._ending = threading.RLock()
        self._ended = threading.Event()
        self._report: StopReport | None = None
        self._closing = self._entered = False
        self._gates: Gates | None = None
        module = importer()
        if module is not None:
            from procactors.api.inert import become_inert  # only where it is used

            become_inert(self, module, name, ask_timeout)
            return
        if backend != "processes":
            self._marks_records = logs == "forward"
            files = dead_letter_file, crash_dir
            about = name, stop_timeout, ask_timeout, files
            _become_another(self, backend, address, seed, about)
            return
        check_ground()
        check_depth("this ActorSystem")
        note_maker()
        hold_standard_streams()
        raise_descriptor_limit()
        if runtime_dir is not None:  # its files are opened later too, from whatever directory
            runtime_dir = os.path.abspath(runtime_dir)
        sweep(runtime_dir)
        self._stop_timeout = stop_timeout
        self.failure: RestartIntensityExceeded | None = None
        starting, logging_ = (start_method, preload, spares), (logs, stdout, log_repeats)
        self._open(name, starting, logging_, runtime_dir, ask_timeout, dead_letter_file, crash_dir)
        _systems.add(self)
        in_copies(_forget_in_child)

    def _expect_start(self) -> None:
        self._launcher.expect()

    def _open(
        self,
        name: str | None,
        starting: tuple[str, tuple[str, ...], int],
        logging_: tuple[str, str, int | None],
        runtime_dir: str | None,
        ask_timeout: float | None,
        dead_letter_file: str | None,
        crash_dir: str | None,
    ) -> None:
        """Make the parts of the system, and start it."""
        self._dir = RuntimeDir(runtime_dir)
        self.name = name or os.path.basename(self._dir.path)
        self._dir.describe(_facts(self.name))
        with contextlib.ExitStack() as undo:
            undo.callback(self._dir.remove)
            self._launcher = Launcher(self._dir.path, *starting, self.name)
            undo.callback(self._launcher.close)
            self._lifeline = Lifeline(self._dir.path)
            undo.callback(self._lifeline.cut)
            self._launcher.open()
            # Imported where a system is made, since zygote and actors have no supervisor to carry;
            # and behind the zygote's start, which takes as long: the two go on side by side.
            from procactors.deadletters.store import DeadLetters
            from procactors.observe.events import Events
            from procactors.supervision.logs import Logs
            from procactors.supervision.recovery import Recovery
            from procactors.supervision.supervisor import Supervisor
            from procactors.wire.endpoint import Endpoint

            self.events = Events()
            self.dead_letters = DeadLetters()
            endpoint = Endpoint(self._dir.path)
            undo.callback(endpoint.close)
            if self._is_metered:
                endpoint.measure("", "")
            super().__init__(endpoint, ask_timeout)
            self._crashes = None if crash_dir is None else _crash_folder(crash_dir, self._dir.path)
            self._recovery = Recovery(endpoint.store, endpoint, self.dead_letters, self._crashes)
            endpoint.gate_of = self._gate_of
            endpoint.on_lost = self._report_lost
            endpoint.on_given_up = self._client.report_given_up
            endpoint.on_full = self._client.report_full
            self._logs = Logs(*logging_, self._dir.path, self.name)
            undo.callback(self._logs.close, 0.0)
            self._supervisor = Supervisor(
                endpoint,
                self._launcher,
                self._recovery,
                self._stop_timeout,
                self.events,
                self._slow_after,
                self._logs,
            )
            self._supervisor.on_failure = self._failed
            self._supervisor.on_stop = self._stop_aside
            undo.callback(self._supervisor.close)
            self._logs.open(self._supervisor.name_of, self._supervisor.show_levels)
            self.dead_letters.connect(endpoint, self._supervisor.address_of)
            self.dead_letters.on_total = self._supervisor.show_letters
            if dead_letter_file is not None:
                undo.callback(self.dead_letters.close, _SLACK_S)
                self.dead_letters.keep_in(self._open_writer(dead_letter_file))
            self._supervisor.open()
            undo.pop_all()  # all is up: from here on `stop` undoes it

    @property
    def aio(self) -> AsyncActorSystem:
        """The same for an event loop: what blocks here, is awaited there."""
        from procactors.api.async_system import AsyncActorSystem  # only where it is used

        return AsyncActorSystem.of(self)

    def _gate_of(self, ref: Any) -> Any:
        """Return the ref that stands for one of another system in this one's actors."""
        if self._gates is None:
            from procactors.api.gate import Gates  # only where it is used

            self._gates = Gates(self)
        return self._gates.of(ref)

    def inbox(self, name: str | None = None) -> Inbox:
        """Return a receiver for the main program: its `ref` can be sent to actors.

        Raises:
            NameTaken: another live actor has that name. InvalidSpec: no name.
        """
        if name is not None:
            name = text("an inbox's name", name)
        ref = self._ref(self._client.ask(c.OpenInbox(name)))
        return inboxes.Inbox(self._endpoint, ref, self._recovery.lost)

    def stop(self, timeout: float | None = None) -> StopReport:
        """Stop all actors, latest started first, and end the system; return what came of it.

        Blocks until nothing is left: at most `timeout` seconds (None: the system's
        ``stop_timeout``) and a moment. From its first moment no actor is started any more. An
        actor finishes its mailbox first; at the deadline what is left is killed, and its messages
        become dead letters. What was not handled is in the report, and is logged in one line.

        Idempotent: another stop returns the same report. One that names a `timeout` while
        another thread is stopping makes that stop end by this deadline too.

        A Ctrl-C (or any exception of a signal handler) while it waits ends the patience, as when
        the ``with`` block is left by it; another one kills at once. It is raised when all is over.
        """
        return self._stop_once(timeout, drain=True)

    def _stop_once(self, timeout: float | None, *, drain: bool) -> StopReport:
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        if self._report is not None:
            return self._report
        with contextlib.suppress(ActorStopped):  # another thread is just closing the endpoint
            self._endpoint.check_process()
        self._closing = True
        self._supervisor.close_intake()
        if not self._ending.acquire(blocking=False):
            if timeout is not None:
                with contextlib.suppress(ActorStopped, AskTimeout):
                    self._client.ask(c.StopAll(timeout, drain), timeout + _SLACK_S)
            self._ending.acquire()
        try:
            return self._stop(self._stop_timeout if timeout is None else timeout, drain)
        finally:
            self._ending.release()

    def _stop(self, timeout: float, drain: bool) -> StopReport:
        if self._report is None:
            until = monotonic() + timeout
            try:
                if drain:
                    # What this process has sent and the kernel has not yet taken comes first.
                    self._endpoint.flush(timeout / 2)
                self._order_stop(max(0.0, until - monotonic()), drain)
            except BaseException:
                # A signal handler's, while we waited: no more patience, but for handlers that run.
                self._endpoint.is_abandoned = True
                if drain and timeout > 0:
                    until = monotonic() + UNWIND_S
                    # The next one ends that, too. Not chained to the first: it says the same.
                    with contextlib.suppress(KeyboardInterrupt):
                        self._order_stop(UNWIND_S, drain=False)
                raise
            finally:
                self._finish(until)
        assert self._report is not None
        return self._report

    def _order_stop(self, timeout: float, drain: bool) -> None:
        # ActorStopped: it has ended by itself, or a stop in a signal handler or in another thread
        # came first.
        actors = self._supervisor.core.actors
        before = len(actors) + 1
        with contextlib.suppress(ActorStopped):
            # At the deadline all are killed, and to clear up behind many takes long on a busy
            # machine: while that goes on, it is waited for. If it does not, `_finish` does without.
            while len(actors) < before:
                before = len(actors)
                with contextlib.suppress(AskTimeout):
                    self._client.ask(c.StopAll(timeout, drain), timeout + _SLACK_S)
                    return
                timeout = 0.0

    def _leave(self) -> StopReport:
        """Stop without finishing the mailboxes; handlers that run have a second to unwind."""
        self._endpoint.is_abandoned = True
        return self._stop_once(UNWIND_S, drain=False)

    def _break_off(self, error: BaseException) -> None:
        """Stop because the block is left by `error`: what is left to do is not done."""
        try:
            self._leave()
        except KeyboardInterrupt:
            # A second Ctrl-C: all is killed by now. The first one says it, in one traceback.
            self.kill()
            if not isinstance(error, KeyboardInterrupt):
                raise

    def kill(self) -> StopReport:
        """SIGKILL every actor and end the system at once; see `stop` for what it returns."""
        return self.stop(0.0)

    def flush_logs(self, timeout: float = 5.0) -> bool:
        """Wait until what actors have logged by now has come to the loggers of this process.

        What an actor logs before it answers may come a moment behind the answer; a test that looks
        for it calls this before. Leaving the system's block does so, too.

        Returns:
            whether it has, within `timeout` seconds.
        """
        if self._ended.is_set():
            return True
        self._endpoint.check_process()
        return self._logs.flush(deadline("timeout", timeout))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the system has ended, up to `timeout` seconds; return whether it has.

        Raises:
            RestartIntensityExceeded: it ended because the root of a supervision tree gave up.
        """
        ended = self._ended.wait(patience("timeout", timeout))
        if ended and self.failure is not None:
            raise self.failure
        return ended

    def __enter__(self) -> ActorSystem:  # noqa: PYI034 - Self is newer than 3.10
        return self._enter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if is_broken_off(error):
            self._break_off(error)
            return
        self.stop()
        if self.failure is not None:
            raise self.failure

    async def __aenter__(self) -> ActorSystem:  # noqa: PYI034
        return self._enter()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import asyncio

        stop = functools.partial(self._break_off, error) if is_broken_off(error) else self.stop
        if self._endpoint.has_threads:
            await asyncio.get_running_loop().run_in_executor(None, stop)
        else:
            stop()
        if self.failure is not None and error is None:
            raise self.failure

    def _enter(self) -> ActorSystem:
        if self._closing or self._ended.is_set():
            raise ActorStopped(
                f"the system was stopped: {self.name} cannot be entered again; make a new one with "
                f"ActorSystem(...)"
            )
        self._endpoint.check_process()
        if self._entered:
            raise RuntimeError(
                f"{self.name} is entered already: the end of this inner block would stop it; "
                f"use it here without `with`"
            )
        self._entered = True
        return self

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name}{' (stopped)' if self._ended.is_set() else ''}>"

    if not TYPE_CHECKING:  # a checker would take any name for one that is there

        def __getattr__(self, name: str) -> Any:
            text = f"{type(self).__name__!r} object has no attribute {name!r}"
            if (where := _ELSEWHERE.get(name)) is not None:
                text += f": it is there with {where}, and this is {self!r}"
            raise AttributeError(text, name=name, obj=self)

    def _finish(self, until: float) -> None:
        # Ctrl-C waits, as far as it can: another thread may take the signal, and this one still get
        # the exception. A step that it breaks off is done again.
        with held():
            for _ in range(_TRIES):
                if self._ended.is_set():
                    return
                with contextlib.suppress(KeyboardInterrupt):
                    self._close_all(until)

    def _close_all(self, until: float) -> None:
        self._supervisor.finish()
        self._supervisor.thread.join(_SLACK_S)
        core = self._supervisor.core
        for actor in list(core.actors.values()):
            if not actor.is_inbox:  # left by a stop that was broken off: it is killed below
                killed = crash.ExitReason(crash.ExitKind.KILLED, signal.SIGKILL)
                self._recovery.tally.ended(actor.name, killed, actor.host.at_work())
        for actor in (*core.actors.values(), *core.unremoved):
            for step in (actor.host.let_go, actor.host.remove):
                with contextlib.suppress(Exception):  # so wide: what is left is only to be closed
                    step()
        self._logs.close(max(0.0, until - monotonic()) + _LETTERS_S)
        self._endpoint.close()
        self._recovery.close()
        self.events.close(max(0.0, until - monotonic()) + _LETTERS_S)
        # Before the directory goes: the letters' definitions are in it.
        self.dead_letters.close(max(0.0, until - monotonic()) + _LETTERS_S)
        if self._crashes is not None:
            self._crashes.close(_SLACK_S)  # before its messages' definitions go
        # Should an actor have escaped all else, this ends it. And it has the zygote remove the
        # directory before it ends: so that goes, at whatever line this process may end.
        self._lifeline.cut()
        self._launcher.close()
        self._dir.remove()  # if the zygote could not
        if self._report is None:  # else a stop in a signal handler has come to this line first
            self._report = report = self._recovery.tally.report()
            if report.left:
                logging.getLogger("procactors").warning("%s", report.headline)
        self._ended.set()
        _systems.discard(self)

    def _failed(self, error: RestartIntensityExceeded) -> None:
        """End the system because a tree's root gave up. Runs in the supervisor's thread."""
        if self.failure is None:
            self.failure = error
            self._stop_aside(None)

    def _stop_aside(self, timeout: float | None) -> None:
        """Stop from the supervisor's thread: in another one, since stopping waits for that."""
        name = "procactors-ending"
        threading.Thread(target=self.stop, args=(timeout,), name=name, daemon=True).start()

    def _report_lost(self, actor: int, record: bytes) -> None:
        """Answer for a record of this process's backlog that found its actor gone.

        Here, not by the supervisor's mailbox: at the system's end the supervisor ends first.
        """
        name = self._supervisor.name_of(actor)
        self._recovery.lost(name, record, "has stopped", actor=actor)

    def _make_writer(self, *about: Any) -> DeadLetterWriter:
        from procactors.deadletters.writer import DeadLetterWriter  # as in `_open_writer`

        return DeadLetterWriter(*about)

    def _open_writer(self, path: str) -> DeadLetterWriter:
        # Imported here: a system without a file must not load SQLite.
        from procactors.deadletters.file import NotLetters

        letters, address_of = self.dead_letters, self._supervisor.address_of
        writer = self._make_writer(path, self.name, self._endpoint, letters, address_of)
        try:
            writer.open()
        except NotLetters as error:
            raise InvalidSpec(f"dead_letter_file: {error}") from error
        return writer

    def _forget(self) -> None:
        self._dir.forget()
        self._launcher.forget()
        self._logs.forget()


def _facts(name: str) -> dict[str, object]:
    """Return what other processes of this user are told of a system."""
    try:
        cwd = os.getcwd()
    except OSError:  # it was removed
        cwd = ""
    return {
        "name": name,
        "pid": os.getpid(),
        "procactors": sys.modules["procactors"].__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "argv": list(sys.orig_argv),
        "cwd": cwd,
        "started": time(),
        "namespace": os.stat("/proc/self/ns/pid").st_ino,
    }


def _crash_folder(crash_dir: str, runtime_dir: str) -> CrashFolder:
    from procactors.supervision.crash_folder import CrashFolder  # only where it is used

    return CrashFolder(crash_dir, runtime_dir)


def _become_another(
    system: ActorSystem,
    backend: str,
    address: str | None,
    seed: int,
    about: tuple[str | None, float, float | None, tuple[str | None, str | None]],
) -> None:
    """Make a system one of another backend than processes; each is imported where it is used."""
    if backend == "ray":
        from procactors.cluster.ground import import_ray

        import_ray()  # it is an extra, and what comes now needs it
        from procactors.api.ray_system import become_ray

        become_ray(system, address, *about)
        # Ray has an exit handler of its own since it was imported: ours is to come before it.
        atexit.unregister(_stop_at_exit)
        atexit.register(_stop_at_exit)
    else:
        from procactors.api.local_system import become_local

        become_local(system, backend, *about, seed)
    _systems.add(system)
    in_copies(_forget_in_child)


def _cluster_address(address: Any, backend: str) -> str | None:
    if address is None:
        return None
    known: str = text("address", address)
    if backend != "ray":
        raise InvalidSpec(
            f"address={known!r} is of a Ray cluster, and this system's backend is "
            f'"{backend}": say backend="ray", too'
        )
    return known


def _path(name: str, value: Any) -> str | None:
    return None if value is None else path(name, value)


_systems: weakref.WeakSet[ActorSystem] = weakref.WeakSet()


def _stop_at_exit() -> None:
    # Registered after multiprocessing's own exit handler, so it runs before it: that one would
    # wait for actors that were not stopped.
    # What ends a program is left there by the interpreter; in a console, any exception before.
    is_broken = hasattr(sys, "last_type") and not hasattr(sys, "ps1")
    for system in list(_systems):
        # So wide: the others must be stopped too. A Ctrl-C here has no frame to come to.
        with contextlib.suppress(Exception, KeyboardInterrupt):
            if is_broken:
                system._leave()
            else:
                system.stop()


def _forget_in_child() -> None:
    for system in list(_systems):
        system._forget()
    _systems.clear()


atexit.register(_stop_at_exit)
