"""A guest: a process that is none of a system's, and gives its supervisor commands.

Layer: outside. Runs in: processes outside of the system.
Owns: a lock on a file of its own in the runtime directory, its reply ports, a way to the
supervisor's mailbox (`close`; the supervisor removes what a killed guest has left).
Never: waits for ever: the parent may be stopped, or stuck.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Sequence
from time import monotonic
from typing import Any

import procactors
from procactors.errors import AskTimeout, StorageFull
from procactors.model import commands as c
from procactors.outside.systems import NoSystem, Problem, SystemView, view_of
from procactors.wire.endpoint import actor_path
from procactors.wire.envelope import build_message
from procactors.wire.mailbox.writer import MailboxClosed, MailboxWriter
from procactors.wire.payload_store import PayloadStore
from procactors.wire.replies.failures import load_answer, open_answer
from procactors.wire.replies.port import ReplyPort
from procactors.wire.transport import SUPERVISOR

__all__ = ["Guest", "Late", "NoAnswer", "OtherVersion"]

#: Seconds in which a parent that runs answers: its supervisor never waits.
ANSWER_S = 2.0


class NoAnswer(Problem):
    """The parent did not answer in time: it is stopped, or stuck, or has more to do than it can."""

    code = 5


class Late(Problem):
    """The parent answers, and has not come to the end of what it was told to do."""


class OtherVersion(Problem):
    """The system runs another version of procactors or of Python, which this one cannot order."""


class Guest:
    """One process's way to the supervisor of a system that is not its own.

    For one thread at a time.

    Args:
        path: the system's runtime directory.

    Raises:
        NoSystem: it has ended, or is not this user's. OtherVersion: it runs another version.
        StorageFull: no room, or no descriptor is left.
    """

    def __init__(self, path: str) -> None:
        view = view_of(path)
        if view is None:
            raise NoSystem(f"no system of this user runs in {path}")
        check_version(view)
        self.path = path
        self.view = view
        self._store = PayloadStore(path)
        self._calls = 0
        self._lock = -1
        self._writer: MailboxWriter | None = None
        self._port: ReplyPort | None = None
        try:
            self._enter()
        except BaseException as error:
            self.close()
            if isinstance(error, (FileNotFoundError, MailboxClosed)):
                raise NoSystem(f"the system {view.name} has ended") from None
            if isinstance(error, OSError):
                raise StorageFull(f"no room for a guest in {path}: {error}") from error
            raise

    def _enter(self) -> None:
        folder = os.path.join(self.path, "guests")
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        self._name = os.path.join(folder, f"{self._store.process:016x}")
        while not self._is_locked():
            if not os.path.isdir(folder):
                raise NoSystem(f"the system {self.view.name} has ended")
        self._writer = MailboxWriter(actor_path(self.path, SUPERVISOR), lambda _record: None)

    def _is_locked(self) -> bool:
        """Make the file that is locked while this process lives; False: a sweep was at it."""
        # Locked before it has its name: who finds it unlocked takes its owner for dead.
        new = self._name + ".new"
        self._lock = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            os.rename(new, self._name)
        except FileNotFoundError:
            os.close(self._lock)
            self._lock = -1
            return False
        return True

    @property
    def process(self) -> int:
        """This guest's token in the runtime directory."""
        return self._store.process

    def ask(self, command: Any, timeout: float = ANSWER_S) -> Any:
        """Give the supervisor a command, and return what comes of it.

        Blocks up to `timeout` seconds. What the parent has not begun by then it never does.

        Args:
            command: a value of `model.commands`; None: only see whether it answers.
            timeout: in seconds.

        Raises:
            NoAnswer: none came in time. NoSystem: the system has ended. Whatever the supervisor
            answers with, as `ActorStopped` or `SupervisionError`.
        """
        deadline = monotonic() + timeout
        wrapped = c.AsGuest(self._store.process, os.getpid(), deadline, command)
        port = self._take_port()
        self._calls += 1
        try:
            self._send(wrapped, port)
            answer = port.wait(self._calls, deadline, self._check)
            if answer is None:
                raise NoAnswer(self._why_silent(timeout))
        except BaseException:
            port.give_up(self._calls)  # an answer may still come: not for the next call
            raise
        try:
            return load_answer(self._store, answer)
        except AskTimeout:  # the parent says that it came too late
            raise NoAnswer(self._why_silent(timeout)) from None
        finally:
            self._port = port

    def ask_all(self, commands: Sequence[object], timeout: float) -> list[Any]:
        """Give many commands at once; return what comes of each, exceptions among it, in order.

        Blocks up to `timeout` seconds, and longer while answers come: many ends take their time. A
        command without an answer has a `NoAnswer`.

        Raises:
            NoSystem: the system has ended.
        """
        deadline = monotonic() + timeout
        outcomes: list[Any] = [NoAnswer(self._why_silent(timeout))] * len(commands)
        port = self._take_port()
        places = {}
        try:
            for place, command in enumerate(commands):
                self._calls += 1
                places[self._calls] = place
                wrapped = c.AsGuest(self._store.process, os.getpid(), deadline, command)
                self._send(wrapped, port)
            until = deadline
            while places and (count := port.read(until)):
                until = max(until, monotonic() + ANSWER_S)  # the parent is at it
                for call, answer in port.answers(count):
                    place = places.pop(call, -1)
                    if place >= 0:
                        outcomes[place] = open_answer(self._store, answer)[1]
        finally:
            if places:
                port.retire()  # answers may still come: not for the next call
            else:
                self._port = port
        return outcomes

    def _take_port(self) -> ReplyPort:
        port, self._port = self._port, None
        try:
            return port or ReplyPort(self._store)
        except FileNotFoundError:
            raise NoSystem(f"the system {self.view.name} has ended") from None

    def _send(self, command: c.AsGuest, port: ReplyPort) -> None:
        store = self._store
        encoded = store.encode(command)
        record = build_message(store, SUPERVISOR, b"", encoded, self._calls, port.number)
        assert self._writer is not None
        try:
            self._writer.send(record)
        except MailboxClosed:
            raise NoSystem(f"the system {self.view.name} has ended") from None

    def _check(self) -> None:
        """Called about once a second while an answer is awaited."""
        if not os.path.exists(actor_path(self.path, SUPERVISOR)):
            raise NoSystem(f"the system {self.view.name} has ended")

    def _why_silent(self, timeout: float) -> str:
        from procactors.wire.procstat import STATE, stat_of

        state = [] if self.view.is_elsewhere else stat_of(self.view.pid)[STATE : STATE + 1]
        stopped = state in ([b"T"], [b"t"])
        why = "is stopped (SIGSTOP, or a debugger)" if stopped else "may be stuck"
        name, pid = self.view.name, self.view.pid
        return f"{name} (pid {pid}) did not answer within {timeout:g} s: its process {why}"

    def close(self) -> None:
        """Leave the system; a second time does nothing."""
        port, self._port = self._port, None
        if port is not None:
            port.retire()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
        self._store.close()
        fd, self._lock = self._lock, -1
        if fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._name)
            os.close(fd)

    def __enter__(self) -> Guest:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_version(view: SystemView) -> None:
    """Raise OtherVersion unless a system runs this version of procactors and of Python.

    Commands and answers are pickles of our own classes: they are for one version.
    """
    ours = procactors.__version__, "{}.{}".format(*sys.version_info)
    theirs = view.version, ".".join(view.python.split(".")[:2])
    if theirs == ours:
        return
    what = "an older procactors"
    if view.version:
        what = f"procactors {theirs[0]} under Python {theirs[1]}"
    text = (
        f"{view.name} (pid {view.pid}) runs {what}, and takes no orders from procactors {ours[0]}"
    )
    hint = f"; use {view.executable} -m procactors" if view.executable else ""
    raise OtherVersion(f"{text} under Python {ours[1]}{hint}")
