"""A program from its start to its exit code: signals, one deadline, word to its manager.

Layer: api. Runs in: parent, main thread; a watching thread keeps the deadline.
Owns: the actor system of the program, and its handlers of SIGINT and SIGTERM (`run`).
Never: raises in the main thread outside the program's own function: there a signal is noted.

    main thread                                       watcher
    start ─► program ─► stop ─► exit code             waits for orders
               ▲                  ▲
    1st signal ┴ Interrupted      │                   ─► keeps the deadline
    2nd signal ┴ Interrupted again, killed ◄───────── ─► kills at once
"""

from __future__ import annotations

import contextlib
import inspect
import logging
import queue
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.api.stop_signal import Interrupted, StopSignal
from procactors.api.system import STOP_TIMEOUT_S, ActorSystem
from procactors.errors import (
    DeliveryError,
    ForeignProcess,
    InvalidSpec,
    RestartIntensityExceeded,
)
from procactors.model.checks import deadline
from procactors.model.handlers import kind_of
from procactors.model.tree import Supervisor
from procactors.process.nesting import importer
from procactors.process.notify import Notifier, notifier
from procactors.process.signals import SIGNAL_BASE, handled_by
from procactors.wire.raised import one_line, shown

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import TypedDict

    from typing_extensions import Unpack

    class SystemWords(TypedDict, total=False):
        """What `ActorSystem` takes as keywords, for editors and type checkers alone."""

        name: str | None
        backend: str | None
        address: str | None
        start_method: str
        preload: Iterable[str]
        spares: int
        stop_timeout: float
        ask_timeout: float | None
        runtime_dir: str | os.PathLike[str] | None
        dead_letter_file: str | os.PathLike[str] | None
        crash_dir: str | os.PathLike[str] | None
        slow_after: float
        seed: int
        metrics: bool
        logs: str
        stdout: str
        log_repeats: int | None


__all__ = ["Program", "run"]

_log = logging.getLogger("procactors")

#: A program as a function: takes the system, returns its exit code or None.
Program = Callable[[ActorSystem], "int | None"]


def run(
    target: Supervisor | Program,
    *,
    grace: float | None = None,
    **options: Unpack[SystemWords],
) -> int:
    """Run a program made of actors; return its exit code: ``sys.exit(run(...))``.

    Starts an `ActorSystem`, runs the target, stops the system. Blocks until nothing is left.

    A tree runs until it ends by itself or a signal comes. A function is called with the system,
    in this thread, and may return its exit code. Only plain functions: an ``async`` one calls
    ``asyncio.run`` itself.

    The first SIGINT or SIGTERM begins the stop: in the function `Interrupted` is raised, as
    Ctrl-C would raise `KeyboardInterrupt`; it may still talk to its actors. Everything ends
    within `grace` seconds of the signal: actors finish their mailboxes, and what is left then is
    killed, whether or not the function has returned. A second signal kills at once, and is raised
    again. A function that is in C code, or in a finalizer, hears of a signal when it is back.
    Handlers are installed in the main thread only, for signals that are not ignored, and what
    was there is put back. A function that raises ends its actors as a ``with`` block does: those
    in a handler get SIGTERM at once, and SIGKILL a second later.

    Under systemd (``Type=notify``) it reports ``READY=1`` after a tree's start, and just before a
    function is called; ``STOPPING=1`` when the end begins.

    Args:
        target: a tree, or a function that takes the system.
        grace: seconds from the first signal to the end; None: the system's ``stop_timeout``.
        options: the system's (see `ActorSystem`).

    Returns:
        What the function returned, if that is a number. Otherwise 128 and the signal's number if
        one came (130 for SIGINT, 143 for SIGTERM); 1 after an error, with its traceback on stderr
        (a tree that gave up: the restarts that led to it); 0.

    Raises:
        InvalidSpec, TypeError: target, grace or options make no sense; nothing was started.
    """
    _check(target)
    module = importer()
    if module is not None:
        raise ForeignProcess(
            f"procactors.run was called by the module {module} while an actor's process imported "
            f"it: put the call under if __name__ == '__main__'"
        )
    if grace is None:
        grace = options.get("stop_timeout", STOP_TIMEOUT_S)
    grace = deadline("grace", grace)
    with notifier() as manager:
        return _Execution(target, grace, manager).code(options)


class _Execution:
    """One run of one program."""

    def __init__(self, target: Supervisor | Program, grace: float, manager: Notifier) -> None:
        self._target = target
        self._manager = manager
        self._system: ActorSystem | None = None
        self._failed = False  # the function raised, and no signal had come
        self._gave_up = False  # a tree did, and stderr says so
        # One None a signal, True at the end. A SimpleQueue, because a signal handler puts.
        self._orders: queue.SimpleQueue[bool | None] = queue.SimpleQueue()
        self._stop = StopSignal(grace)
        self._stop.on_signal = lambda: self._orders.put(None)

    def code(self, options: SystemWords) -> int:
        """Run it to its end; return the exit code."""
        # Before any signal: a thread must not be started in a signal handler.
        watcher = threading.Thread(target=self._watch, name="procactors-run", daemon=True)
        watcher.start()
        try:
            with handled_by(self._stop):
                # `_final` says that a tree gave up, with its history.
                with (
                    contextlib.suppress(RestartIntensityExceeded),
                    ActorSystem(**options) as self._system,
                ):
                    code = self._outcome(self._system)
                    self._manager.stopping(self._why())
                    report = (
                        self._system._leave()
                        if self._failed
                        else self._system.stop(self._time_left())
                    )
                if self._stop.signum is not None:
                    _log.info("%s: %s", self._why(), report)
                return self._final(code, self._system.failure)
        finally:
            self._orders.put(True)
            watcher.join()

    def _outcome(self, system: ActorSystem) -> int | None:
        """Run the program; return its exit code, None if it names none."""
        try:
            return self._stop.interruptible(self._call, system)
        except Interrupted:
            return None
        except KeyboardInterrupt:  # raised by hand, or in another thread's name
            return SIGNAL_BASE + signal.SIGINT
        except SystemExit as error:
            return _exit_code(error)
        except BaseException as error:  # noqa: BLE001 - whatever ended the program: stderr says it
            self._fail(error)
            self._failed = self._stop.signum is None
            return 1 if self._failed else None

    def _call(self, system: ActorSystem) -> int | None:
        """Run the target; return the exit code that it names."""
        if isinstance(self._target, Supervisor):
            _grow(system, self._target, self._manager)
            return None
        self._manager.ready()
        result = self._target(system)
        if result is not None and not isinstance(result, int):
            raise TypeError(
                f"{_name(self._target)} returned {result!r}: a program's function returns its "
                f"exit code as a number, or None"
            )
        return result

    def _watch(self) -> None:
        """Keep the deadline in a thread of its own: the main one may be in the user's hands."""
        if self._orders.get():
            return
        self._manager.stopping(self._why())
        try:
            done = self._orders.get(timeout=min(self._stop.left_s, threading.TIMEOUT_MAX))
        except queue.Empty:
            done = None
        # A system that is only just being made finds no time left when it is.
        if not done and self._system is not None:
            self._system.kill()

    def _time_left(self) -> float | None:
        return None if self._stop.signum is None else self._stop.left_s

    def _why(self) -> str:
        return self._stop.why or "the program has ended"

    def _final(self, code: int | None, failure: BaseException | None) -> int:
        if failure is not None and not self._gave_up:
            self._fail(failure)
            code = code or 1
        if code is not None:
            return int(code)
        return self._stop.exit_code

    def _fail(self, error: BaseException) -> None:
        self._manager.status(f"failed: {one_line(error)}")
        if isinstance(error, RestartIntensityExceeded):
            self._gave_up = True
            lines = [f"procactors: {error}", *(report.brief() for report in error.history)]
            sys.stderr.write("\n  ".join("\n".join(lines).splitlines()) + "\n")
        else:
            sys.stderr.write(shown(error, keep_if_alone=True))


def _grow(system: ActorSystem, tree: Supervisor, manager: Notifier) -> None:
    """Start a tree and wait until it ends by itself."""
    root = system.supervise(tree)
    manager.ready()
    try:
        root.wait()
    except DeliveryError:
        system.wait()  # the system's end was faster than the answer; it raises why


def _check(target: object) -> None:
    if isinstance(target, Supervisor):
        return
    if isinstance(target, type) or not callable(target):
        raise InvalidSpec(f"run takes a Supervisor, or a function of the system, not {target!r}")
    name = _name(target)
    if kind_of(target) == "a generator":
        raise InvalidSpec(f"{name} is a generator: run takes a plain function, without yield")
    if kind_of(target):
        raise InvalidSpec(
            f"{name} is an async function: run takes a plain one, which may call "
            f"asyncio.run({name}(system)) itself"
        )
    try:
        inspect.signature(target).bind(None)
    except TypeError as error:
        raise InvalidSpec(
            f"{name} must take the actor system as its one argument: {error}"
        ) from None
    except ValueError:
        return  # written in C: the call will tell


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code
    sys.stderr.write(f"{error.code}\n")
    return 1


def _name(target: object) -> str:
    return getattr(target, "__qualname__", repr(target))
