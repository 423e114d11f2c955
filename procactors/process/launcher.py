"""Starting processes: by the zygote, by fork, or by a new interpreter.

Layer: process. Runs in: parent, in the supervisor's thread.
Owns: the zygote's process and the parent's end of its socket (`close`).
Never: waits for a start to be done: the zygote's answer and the actor's report come as events.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from procactors.errors import InvalidSpec, SpawnError
from procactors.late import late
from procactors.process import frozen
from procactors.process.child import (
    Child,
    ExecutedChild,
    ForkedChild,
    ZygoteChild,
    has_ended,
    kill_by,
    reap_by,
)
from procactors.process.import_path import import_path
from procactors.process.nesting import one_deeper
from procactors.process.shield import held
from procactors.process.streams import hold_standard_streams
from procactors.process.title import plain

if TYPE_CHECKING:
    from procactors.process import forking, zygote
else:
    forking = late("procactors.process.forking")
    zygote = late("procactors.process.zygote")

__all__ = ["START_METHODS", "Launcher"]

START_METHODS = ("forkserver", "spawn", "fork")

#: Milliseconds that the zygote may take to sweep up and end.
_ZYGOTE_END_MS = 2000

#: Run by a new interpreter: the import path first, since it may be how we ourselves are found.
#: No such file: the parent died before we came up, and the next start has swept.
_BOOT = """
import marshal, sys
try:
    with open(sys.argv[1] + "/path", "rb") as file:
        sys.path[:] = marshal.load(file)
except FileNotFoundError:
    sys.exit(0)
import importlib
importlib.import_module(sys.argv[2]).main(sys.argv[3:])
"""


class Launcher:
    """Starts the processes of one system, and keeps its zygote alive.

    Args:
        runtime_dir: the runtime directory.
        start_method: forkserver (the zygote), spawn or fork. The zygote runs under each of
            them: it is also the janitor that sweeps up after a killed parent.
        preload: modules that the zygote imports before it forks.
        spares: blank processes that the zygote keeps ready.
        system: the system's name, for people.
    """

    def __init__(
        self,
        runtime_dir: str,
        start_method: str,
        preload: Sequence[str] = (),
        spares: int = 0,
        system: str = "",
    ) -> None:
        if start_method not in START_METHODS:
            raise InvalidSpec(f"start_method is one of {START_METHODS}, not {start_method!r}")
        self._runtime_dir = runtime_dir
        self._method = start_method
        self._preload = tuple(preload)
        self.system = plain(system)
        self._spares = spares if start_method == "forkserver" else 0
        self._socket: socket.socket | None = None
        self._zygote: subprocess.Popen[bytes] | None = None
        self._unsent: deque[bytes] = deque()
        self.zygote_pidfd = -1

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the zygote has answered."""
        assert self._socket is not None
        return self._socket.fileno()

    def open(self) -> None:
        """Start the zygote; returns before it is up."""
        hold_standard_streams()  # they may have been closed since
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._socket = ours  # and so closed by `close`, whatever comes now
            ours.setblocking(False)
            fd, spares = str(theirs.fileno()), str(self._spares)
            arguments = [self._runtime_dir, fd, spares, self.system, *self._preload]
            self._zygote = self._execute("procactors.process.zygote", arguments, theirs.fileno())
        self.zygote_pidfd = os.pidfd_open(self._zygote.pid)

    def expect(self) -> None:
        """Have a process ready for a start that is being prepared; from any thread.

        By the zygote: it forks while mailbox and order are being written, which takes as long.
        """
        channel = self._socket
        if self._method == "forkserver" and channel is not None:
            with contextlib.suppress(OSError):  # it is behind, or ends: the start does without
                channel.send(zygote.ORDER.pack(zygote.AHEAD, 0, 0))

    def start(self, actor: int, start: int) -> Child | None:
        """Start a process for an actor; None: its pid comes later, by `collect`.

        Raises:
            OSError: no process or descriptor left.
        """
        if self._method == "forkserver":
            self._send(zygote.ORDER.pack(zygote.FORK, actor, start))
            return None
        if self._method == "spawn":
            arguments = [self._runtime_dir, str(actor), str(start)]
            executed = self._execute("procactors.api.incarnation", arguments)
            try:
                return ExecutedChild(executed)
            except BaseException:  # no descriptor to watch it by: it must not go on unwatched
                executed.kill()
                executed.wait()
                raise
        process = forking.fork(self._runtime_dir, actor, start)
        try:
            return ForkedChild(process)
        except BaseException:
            process.kill()
            process.join()
            raise

    def collect(self) -> list[tuple[int, int, int, int]]:
        """Return what the zygote has answered (see `zygote.ANSWER`), oldest first."""
        self._send_waiting()
        answers = []
        while self._socket is not None:
            try:
                data = self._socket.recv(zygote.ANSWER.size)
            except (BlockingIOError, ConnectionResetError):
                break
            if not data:
                break
            answers.append(zygote.ANSWER.unpack(data))
        self._send_waiting()
        return answers

    def adopt(self, pid: int) -> Child:
        """Return the child that the zygote has forked."""
        return ZygoteChild(pid, self)

    def reap(self, pid: int, start: int = 0) -> None:
        """Tell the zygote to let a zombie go; with `start`, to answer with its peak memory."""
        self._send(zygote.ORDER.pack(zygote.REAP, pid, start))

    def discard(self, pid: int) -> None:
        """Kill and reap a forked process that cannot be watched: the zygote does both."""
        self.reap(pid)

    def _send(self, order: bytes) -> None:
        """Send an order; while the zygote is behind, orders wait here, in order."""
        self._unsent.append(order)
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._unsent and self._socket is not None:
            try:
                self._socket.send(self._unsent[0])
            except BlockingIOError:
                return  # every answer that is collected makes room
            except OSError:
                return  # the zygote is dead: a new one gets orders for what is still wanted
            self._unsent.popleft()

    def kill_zygote(self) -> None:
        """Kill a zygote that does not answer; its end is noticed as any other's."""
        if self._zygote is not None:
            kill_by(self.zygote_pidfd)

    def renew(self) -> None:
        """Replace a zygote that was killed."""
        self.close()
        self._unsent.clear()
        self.open()

    def close(self) -> None:
        """Wait for the end of the zygote, which is dead, or goes now that the lifeline is cut.

        May be begun again, where a signal handler has raised in it.
        """
        if self._socket is not None:  # first: the zygote may be waiting for room for an answer
            self._socket.close()
            self._socket = None
        if self._zygote is not None:
            self._end_zygote(self._zygote)
            self._zygote = None

    def _end_zygote(self, zygote: subprocess.Popen[bytes]) -> None:
        pidfd = self.zygote_pidfd
        if pidfd < 0:  # no descriptor was left to watch it by
            zygote.kill()
            zygote.wait()
            return
        if not has_ended(pidfd, _ZYGOTE_END_MS):
            kill_by(pidfd)  # stopped by a debugger, or still importing
            has_ended(pidfd, -1)
        # By its pidfd: if the application reaps whatever ends, its number may be another's.
        zygote.returncode = reap_by(pidfd)[0] or 0
        self.zygote_pidfd = -1
        os.close(pidfd)

    def forget(self) -> None:
        """Close what a forked copy has inherited."""
        if self._socket is not None:
            self._socket.close()

    def _execute(
        self, module: str, arguments: list[str], keep: int | None = None
    ) -> subprocess.Popen[bytes]:
        path = os.path.join(self._runtime_dir, "path")
        with open(path + ".new", "wb") as file:
            marshal.dump(import_path(), file)
        os.rename(path + ".new", path)  # whole: another interpreter may just be reading it
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        words = [_interpreter(), *flags, "-c", _BOOT, self._runtime_dir, module, *arguments]
        passed = [] if keep is None else [keep]
        with contextlib.ExitStack() as started:
            started.enter_context(held())
            if frozen.is_frozen():
                words, reading = frozen.command(module, arguments)
                started.callback(os.close, reading)
                passed.append(reading)
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                pass_fds=passed,
                # From its first line on: it may import a user's module that makes a system.
                env={**os.environ, **one_deeper()},
                # A session of its own: the terminal's Ctrl-C is the parent's alone.
                start_new_session=True,
            )


def _interpreter() -> str | bytes:
    """Return the program that runs a new interpreter.

    Raises:
        SpawnError: none is known.
    """
    # What `multiprocessing.set_executable` has named; else `sys.executable`, if it is known.
    # Who has named it has loaded the module.
    spawn = sys.modules.get("multiprocessing.spawn")
    known: str | bytes | None = spawn.get_executable() if spawn is not None else sys.executable
    if known:
        return known
    # Python is embedded in another program: the interpreter that belongs to its library will do.
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [
        os.path.join(prefix, "bin", name) for prefix in (sys.exec_prefix, sys.base_exec_prefix)
    ]
    for path in paths:
        if os.access(path, os.X_OK):
            return path
    raise SpawnError(
        f"expected sys.executable to name the Python interpreter, found {sys.executable!r}, and "
        f"there is none at {paths[0]}: name one by multiprocessing.set_executable(path)"
    )
