"""The zygote: a small clean process that forks actors, and sweeps up when the parent is gone.

Layer: process. Runs in: zygote (`main`) and, forked, the first steps of an actor.
Owns: its end of the socket to the parent, a lifeline descriptor, the pipes to its spares.
Never: has a second thread (a fork would copy locks that no thread will open); waits for its
dead before it is ordered to (their numbers would be used again while the parent still names them).

    parent ──AHEAD──────────────► zygote ──fork──► blank (a start is being prepared meanwhile)
           ──FORK actor, start──►        ──order─► spare or blank; none: fork ──► actor
           ◄─FORK actor, start, pid──        (soon after another: fork ──► next blank)
           ──REAP pid, start────►
           ◄─REAP pid, start, peak memory──  (if a start is named)
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import itertools
import multiprocessing.context
import multiprocessing.process
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from multiprocessing import util
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.late import late
from procactors.process.lifeline import die_with_parent, is_cut, watch
from procactors.process.nesting import ZYGOTE, become, noted_inert
from procactors.process.shield import ignore_all, prepare
from procactors.process.streams import print_by_lines
from procactors.process.title import show
from procactors.wire.pickling.importable import private_names
from procactors.wire.runtime_dir import remove_tree

if TYPE_CHECKING:
    import logging

    from procactors.process import tracker
else:
    logging = late("logging")
    tracker = late("procactors.process.tracker")

__all__ = ["AHEAD", "ANSWER", "FORK", "ORDER", "REAP", "main"]

#: Parent to zygote: what, actor or pid, start.
ORDER = struct.Struct("=QQQ")
#: Zygote to parent: what was ordered, actor or pid, start, and the outcome: with FORK the pid (or
#: minus the error number), with REAP the most resident bytes that the process had.
ANSWER = struct.Struct("=QQQq")
#: AHEAD: have a process ready, for a FORK is on its way; it names nothing, and has no answer.
FORK, REAP, AHEAD = 1, 2, 3

#: Looked up by name: the package that knows the user's side lies above this one.
_INCARNATION, _SPARE = "procactors.api.incarnation", "procactors.api.spare"
#: So is what stands in `logging` from before the first module of the user's.
_LOG_FORWARD = "procactors.runner.log_forward"
#: What the zygote loads when nobody waits for a fork, looking for orders behind each: what the
#: first actors need of these by then, they load by themselves.
_THEN = (
    "procactors.process.signal_sender",
    "procactors.wire.pickling.by_value",
    # What the program's modules import of us, which actors load for their classes.
    "procactors.api.system",
    "procactors.api.inbox",
    "procactors.api.program",
    "procactors.model.messages",
    "procactors.process.cpus",
    "procactors.runtime.child_failure",
    "procactors.runtime.reply",
    "procactors.runtime.shared",
    "procactors.runtime.supervisor_ref",
    "procactors.runtime.terminated",
    # What logs.
    "procactors.wire.log_levels",
    "procactors.wire.log_pipe",
    # What a pool's workers need besides, and what an error does.
    "procactors.runner.batches",
    "procactors.wire.pickling.pickle_errors",
    "procactors.wire.mailbox.queue",
    # What actors' own modules import most, of what loads OpenSSL and compressors.
    "hashlib",
    "tempfile",
)

#: Seconds for which the janitor waits for the kernel's kills to have worked.
_JANITOR_S = 5.0


#: Milliseconds without an order before a spare is made: it must not delay a start, nor take a core
#: from the actor that was just started.
_QUIET_MS = 15
#: And after which a blank process is dropped: its start has failed before there was an order, or
#: was the last one of a row.
_SURPLUS_MS = 1000
#: Seconds between two starts that make them a row: a program that starts many. For the next of them
#: a blank process is forked at once, while the last one comes up and the program waits for it.
_ROW_S = 0.03
#: And before the tracker is started that no actor has needed so far: programs that live for so long
#: have it even if we are killed, and the many short ones do without.
_TRACKER_MS = 1000
#: Seconds until a tracker that could not be started is tried again.
_AGAIN_S = 0.01


class Zygote:
    """The zygote's state: one socket, one lifeline, some spares."""

    def __init__(self, runtime_dir: str, channel: socket.socket, spares: int) -> None:
        self._runtime_dir = runtime_dir
        self._channel = channel
        self._wanted = spares
        self._unloaded = [*_THEN, _SPARE] if spares else list(_THEN)
        self._tracker = tracker.Tracker()
        self._poll = select.poll()
        self._lifeline = watch(runtime_dir)
        self._spares: list[tuple[int, int]] = []  # (pid, writing end of its pipe)
        self._children: set[int] = set()
        self._last_start = 0.0  # by monotonic()
        self._in_row = False  # the last start came soon after another, and has no follower yet

    def serve(self) -> None:
        """Carry out orders until the lifeline is cut, then sweep up.

        Also at an orderly end, which the parent waits for: should it be killed over that, no file
        is left.
        """
        self._poll.register(self._channel, select.POLLIN)
        self._poll.register(self._lifeline, 0)
        self._poll.register(self._tracker.fileno(), select.POLLIN)
        while not is_cut(self._lifeline):
            quiet_ms, chore = self._next_chore()
            ready = {fd for fd, _ in self._poll.poll(quiet_ms)}
            if self._channel.fileno() in ready:
                self._carry_out()
            elif self._tracker.fileno() in ready:
                self._start_tracker()
            elif chore is not None and not ready:
                chore()
        self._clean_up()

    def _next_chore(self) -> tuple[int | None, Callable[[], None] | None]:
        """Return what is to be done, and how many milliseconds without an order must pass first."""
        if self._unloaded:
            return 0, self._load_next
        if self._in_row:
            return 0, lambda: self._go_ahead(_run_next)
        if len(self._spares) < self._wanted:
            return _QUIET_MS, self._refill
        if len(self._spares) > self._wanted:
            return _SURPLUS_MS, self._drop_spare
        if not self._tracker.is_started:
            return _TRACKER_MS, self._start_tracker
        return None, None

    def _load_next(self) -> None:
        """Load one more module for all copies; behind the last one, tidy up."""
        importlib.import_module(self._unloaded.pop(0))
        if not self._unloaded:
            private_names()  # looked up once for all copies: their first message needs them
            prepare()
            # Only what is new: a look at the frozen ones would part us from copies that share them.
            gc.collect()
            gc.freeze()

    def _start_tracker(self) -> None:
        reading = self._tracker.fileno()
        ignore_all()  # as what is started from here shall, for good: a handler ends with the exec
        try:
            self._tracker.start()
            self._poll.unregister(reading)
        except OSError:  # no process or descriptor left: what waits in its pipe waits a little more
            signal.sigtimedwait([], _AGAIN_S)
        if not self._unloaded:
            prepare()

    def _carry_out(self) -> None:
        """Carry out the next order; if there is none, the parent is ending: wait for that."""
        try:
            data = self._channel.recv(ORDER.size)
        except ConnectionResetError:  # the parent went with an answer unread
            data = b""
        if not data:
            is_cut(self._lifeline, None)
            return
        what, number, start = ORDER.unpack(data)
        if what == FORK:
            answer = ANSWER.pack(FORK, number, start, self._start(number, start))
            with contextlib.suppress(OSError):  # the parent went while we forked
                self._channel.send(answer)
            now = monotonic()
            self._in_row = now - self._last_start < _ROW_S
            self._last_start = now
        elif what == AHEAD:
            self._go_ahead(_run_blank)
        elif what == REAP:
            if number in self._children:  # ours, and not reaped: the number is its own
                self._children.discard(number)
                os.kill(number, signal.SIGKILL)  # it is dead, but for one that is discarded
            with contextlib.suppress(ChildProcessError):
                _, _, usage = os.wait4(number, 0)
                if start:
                    self._send_peak(ANSWER.pack(REAP, number, start, usage.ru_maxrss * 1024))

    def _send_peak(self, answer: bytes) -> None:
        # It does not wait: a parent that reads nothing now gets on without it.
        with contextlib.suppress(OSError):
            self._channel.send(answer, socket.MSG_DONTWAIT)

    def _start(self, actor: int, start: int) -> int:
        while self._spares:
            pid, pipe = self._spares.pop(0)
            try:
                os.write(pipe, ORDER.pack(FORK, actor, start))
            except BrokenPipeError:
                os.waitpid(pid, 0)  # killed while it waited: take another
                continue
            finally:
                os.close(pipe)
            self._children.add(pid)
            return pid
        pid = self._fork(_run_actor, (self._runtime_dir, actor, start), ())
        if pid > 0:
            self._children.add(pid)
        return pid

    def _go_ahead(self, target: Callable[[str, int], None]) -> None:
        """Have a process for the next start."""
        self._in_row = False
        if not self._spares:
            self._add_spare(target)

    def _refill(self) -> None:
        if not self._add_spare(_run_spare):
            self._wanted = len(self._spares)  # no room for more: starts will do without

    def _add_spare(self, target: Callable[[str, int], None]) -> bool:
        """Fork a process that waits for an order; return whether there was room for it."""
        try:
            reading, writing = os.pipe2(os.O_CLOEXEC)
        except OSError:
            return False
        pid = self._fork(target, (self._runtime_dir, reading), (writing,))
        os.close(reading)
        if pid < 0:
            os.close(writing)
            return False
        self._spares.append((pid, writing))
        return True

    def _drop_spare(self) -> None:
        pid, pipe = self._spares.pop()
        os.close(pipe)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def _fork(self, target: Any, args: tuple[Any, ...], also: tuple[int, ...]) -> int:
        """Fork a child; return its pid, or minus the error number."""
        ours = (
            self._channel.fileno(),
            *self._tracker.descriptors,
            *(pipe for _, pipe in self._spares),
            *also,
        )
        process = _Process(target=_in_child, args=(ours, target, args), name="actor")
        try:
            return process.fork(self._lifeline)
        except OSError as error:
            return -(error.errno or errno.EAGAIN)

    def _clean_up(self) -> None:
        """Kill the actors that are left, and remove what is left of the runtime directory.

        The parent removes it, too, if this takes long: what one of both finds gone is no error.
        """
        for pid in self._children | {pid for pid, _ in self._spares}:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if any(fd == self._tracker.fileno() for fd, _ in self._poll.poll(0)):
            self._start_tracker()  # what an actor has just noted is removed, too
        deadline = monotonic() + _JANITOR_S
        for pid in self._children | {pid for pid, _ in self._spares}:
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(pid, os.WNOHANG)[0] == 0 and monotonic() < deadline:
                    signal.sigtimedwait([], 0.002)
        remove_tree(self._runtime_dir)


class _Process(multiprocessing.context.ForkProcess):
    """A process of which `multiprocessing` knows in that process alone."""

    def fork(self, sentinel: int) -> int:
        """Fork; return the child's number.

        Not by the base class's `start`: that makes two pipes for each child, which the zygote would
        keep, and waits for children that have ended, whose exit codes are the parent's to read.

        Args:
            sentinel: descriptor that tells the child of the end of those that started it.
        """
        util._flush_std_streams()  # type: ignore[attr-defined]  # else the copy would print it too
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            self._become_current(sentinel)
            self.run()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - whatever it is, nothing of the zygote runs here
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _become_current(self, sentinel: int) -> None:
        """Have `multiprocessing` know of this process and of the one that it was forked from.

        What the base class's `_bootstrap` does, without the steps that find nothing to do here:
        each touches pages, which are copied for it, and they were a twentieth of a start.
        """
        known: Any = multiprocessing.process
        known._process_counter, known._children = itertools.count(1), set()
        known._current_process = self
        known._parent_process = known._ParentProcess(
            self._parent_name,  # type: ignore[attr-defined]
            self._parent_pid,  # type: ignore[attr-defined]
            sentinel,
        )
        threading.main_thread()._set_native_id()  # type: ignore[attr-defined]
        util._finalizer_registry.clear()  # type: ignore[attr-defined]
        if util._afterfork_registry:  # type: ignore[attr-defined]  # of what was preloaded
            util._run_after_forkers()  # type: ignore[attr-defined]


def _in_child(ours: tuple[int, ...], target: Any, args: tuple[Any, ...]) -> None:
    os.setpgid(0, 0)  # before anything else: a signal to the zygote's group is not for us
    for fd in ours:
        os.close(fd)
    target(*args)


def _run_actor(runtime_dir: str, actor: int, start: int) -> None:
    sys.modules[_INCARNATION].main([runtime_dir, str(actor), str(start)])


def _run_spare(runtime_dir: str, pipe: int) -> None:
    show("actor-spare", "procactors: spare")
    _wait_for_order(sys.modules[_SPARE].stand_by, runtime_dir, pipe)


def _run_next(runtime_dir: str, pipe: int) -> None:
    # It may be seen for a while; one whose order is on its way has no time for a name.
    show("actor-spare", "procactors: spare")
    _run_blank(runtime_dir, pipe)


def _run_blank(runtime_dir: str, pipe: int) -> None:
    _wait_for_order(die_with_parent, runtime_dir, pipe)


def _wait_for_order(stand_by: Callable[[str], None], runtime_dir: str, pipe: int) -> None:
    """Do what can be done before the order, with the lifeline first; then live by the order."""
    stood_by = True
    try:
        stand_by(runtime_dir)
    except FileNotFoundError:
        return  # the system ended while this process came up
    except OSError:  # no descriptor left: the life will try again, and tell who waits for it
        stood_by = False
    data = os.read(pipe, ORDER.size)
    os.close(pipe)
    if data:  # else the zygote was killed
        _, actor, start = ORDER.unpack(data)
        sys.modules[_INCARNATION].main([runtime_dir, str(actor), str(start)], stood_by=stood_by)


def _preload(name: str) -> None:
    """Import a module for all actors; warn of what will not be in them as it is elsewhere."""
    log = logging.getLogger("procactors")
    threads, inert = set(threading.enumerate()), len(noted_inert())
    try:
        importlib.import_module(name)
    except (Exception, SystemExit):
        log.exception("preload of %r failed: it is left out", name)
    left = sorted(thread.name for thread in set(threading.enumerate()) - threads)
    if left:
        log.warning(
            "the preloaded module %r has left threads behind: %s. A fork does not take them along, "
            "and what they hold at that moment stays locked in the actor: start them in a function "
            "that the actor calls, or do not preload the module",
            name,
            ", ".join(left),
        )
    if makers := sorted(set(noted_inert()[inert:])):
        log.warning(
            "the preloaded module %r makes an actor system at import (in %s): in the actors it is "
            "inert, and so is all that was made of it",
            name,
            ", ".join(makers),
        )


def main(argv: list[str]) -> None:
    """Run as the zygote.

    Args:
        argv: runtime_dir, descriptor of the socket, number of spares, name of the system, and the
            modules to be preloaded.
    """
    runtime_dir, descriptor, spares, system, *preload = argv
    # The parent alone orders: a scheduler's SIGTERM to the whole job must not take us from it.
    ignore_all()
    become(ZYGOTE)
    show("actor-zygote", f"procactors {system}: zygote")
    print_by_lines()  # else what a preloaded module prints would be held here, and in each copy
    channel = socket.socket(fileno=int(descriptor))
    channel.set_inheritable(False)
    os.set_inheritable(int(descriptor), False)
    gc.disable()  # nothing of this is garbage, and a look at all of it takes milliseconds
    importlib.import_module(_INCARNATION)  # an actor's every step, before anything is forked
    importlib.import_module(_LOG_FORWARD).install()
    for name in preload:
        _preload(name)
    ignore_all()  # again: what was imported may have handlers of its own
    multiprocessing.set_start_method("fork", force=True)  # in the actors, as after any fork
    importlib.import_module("procactors.runner.setup").note_environ()
    gc.freeze()
    gc.enable()
    try:
        zygote = Zygote(runtime_dir, channel, int(spares))
    except FileNotFoundError:
        os._exit(0)  # the system ended, and was swept, while we came up
    zygote.serve()
    # Nothing here wants finalizing, and the parent is waiting.
    os._exit(0)
