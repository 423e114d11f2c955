"""The terminal's side of a debugger in a live actor.

Layer: outside. Runs in: the terminal's process, main thread.
Owns: the connection to the actor, until the debugger ends.
Never: changes the terminal's modes for longer than a line is typed.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from procactors.outside.stacks import ActorSuspended, process_of
from procactors.outside.visit import Visit
from procactors.runner.debug_line import (
    END,
    INTERRUPT,
    LINE,
    PROMPT,
    TEXT,
    Frames,
    pack,
)
from procactors.runner.door import REFUSED

__all__ = ["Screen", "attach", "converse"]

#: Seconds from which on a user is told why nothing happens.
_TELL_S = 0.5
#: Seconds that a start, or the time between two lives, may take.
_START_S = 5.0
#: Seconds of one wait for the actor, between looks at whether it lives.
_SLICE_S = 0.5


class Screen(Protocol):
    """Where the user sits."""

    def show(self, text: str) -> None:
        """Show text."""

    def ask(self, prompt: str) -> str:
        """Return a line that the user types. Raises: EOFError, KeyboardInterrupt."""


def attach(folder: str, tell: Callable[[str], None]) -> socket.socket:
    """Have an actor open a debugger, and return the connection to it.

    Blocks until the actor's main thread runs Python code.

    Args:
        folder: the actor's, in the runtime directory.
        tell: is called with why that takes long.

    Raises:
        NotAtHome: the actor has no process, or it has ended meanwhile.
        ActorSuspended: it is stopped.
    """
    with process_of(folder, monotonic() + _START_S) as process:
        if process.is_suspended:
            raise ActorSuspended("its process is stopped, as by SIGSTOP or a debugger")
        with Visit(folder, f"debug.{os.getpid()}") as visit:
            connection = visit.knock(process, monotonic() + _TELL_S)
            if connection is None:
                tell("its main thread runs C code, and is waited for; Ctrl-C gives that up")
            while connection is None:
                connection = visit.knock(process, monotonic() + _SLICE_S)
            return connection


def converse(connection: socket.socket, screen: Screen) -> bool:
    """Pass lines between a debugger and its user, until one of both ends it.

    Returns:
        False: the actor has ended.

    Raises:
        KeyboardInterrupt: interrupted twice, and nothing has come in between.
    """
    connection.settimeout(None)
    frames = Frames()
    is_interrupted = False
    with connection:
        while True:
            try:
                data = connection.recv(1 << 16)
            except KeyboardInterrupt:
                if is_interrupted:  # it is in C code: the debugger is left
                    raise
                is_interrupted = True
                connection.sendall(pack(INTERRUPT))
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                return False
            is_interrupted = False
            if data[:1] == REFUSED:
                screen.show(f"the actor cannot be debugged: {data[1:].decode(errors='replace')}\n")
                return False
            for kind, text in frames.feed(data):
                if kind == END:
                    screen.show(f"{text}\n" if text else "")
                    return True
                _answer(connection, kind, text, screen)


def _answer(connection: socket.socket, kind: bytes, text: str, screen: Screen) -> None:
    if kind == TEXT:
        screen.show(text)
    elif kind == PROMPT:
        watch = _Watch(connection)
        with contextlib.suppress(BrokenPipeError):  # what it has said last is still to be read
            try:
                with watch:
                    line = screen.ask(text) + "\n"
                connection.sendall(pack(LINE, line))
            except EOFError:
                screen.show("\n")
                connection.sendall(pack(LINE, ""))
            except KeyboardInterrupt:
                screen.show("\n")
                if not watch.has_come:
                    connection.sendall(pack(INTERRUPT))


class _Watch:
    """Interrupts the user's typing when something comes from the actor: at a prompt, its end.

    Attributes:
        has_come: it has.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.has_come = False
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._over = os.eventfd(0, os.EFD_CLOEXEC)
        self._poll.register(self._over, select.POLLIN)
        self._thread = threading.Thread(target=self._look, daemon=True)

    def _look(self) -> None:
        if self._over not in [fd for fd, _ in self._poll.poll()]:
            self.has_come = True
            main = threading.main_thread().ident
            assert main is not None
            signal.pthread_kill(main, signal.SIGINT)

    def __enter__(self) -> _Watch:  # noqa: PYI034 - Self is newer than 3.10
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._over, 1)
        self._thread.join()
        os.close(self._over)
