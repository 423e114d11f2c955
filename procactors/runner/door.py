"""The door of an actor: through it a terminal asks for stacks, a debugger, a profile.

Layer: runner. Runs in: actor, main thread, inside the handler of the signal `DOOR`.
Owns: each visitor's connection, until what was asked for is done.
Never: waits for a visitor; takes a lock that the interrupted code may hold (so: no logging, no
`threading.Thread`, no import on top of another one: see `runner.setup`); lets an error of its own
through.

A visitor listens on a socket in the actor's folder, whose name says what it wants, and sends the
signal. The actor connects, removes the name, and does what it says:

    door.stacks.TOKEN                  the stacks of all threads and tasks, then the end
    door.debug.PID.TOKEN               a debugger for the terminal of that process
    door.profile.RATE.MS.TOKEN         samples, while the visitor listens

A visitor that is gone refuses the connection; its name goes all the same.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING

from procactors.wire.raised import by_signal, one_line

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["PREFIX", "REFUSED", "send_at_once", "visit"]

#: Of the names of the visitors' sockets.
PREFIX = "door."
#: What an answer begins with that is an error's text.
REFUSED = b"!"


def visit(folder: str, words: memoryview, frame: FrameType | None) -> None:
    """Do what the visitors of this actor ask for.

    Args:
        folder: the actor's.
        words: of its black box.
        frame: in which the main thread was interrupted.

    Raises:
        KeyboardInterrupt: a debugger's user has interrupted what is run from its prompt.
    """
    for name in _names(folder):
        connection = _connect(folder, name)
        if connection is None:
            continue
        try:
            _serve(name, connection, words, frame)
        except Exception as error:
            if by_signal(error):  # the program's own, which interrupted us
                raise
            _refuse(connection, one_line(error))
    # Whoever has no debugger has not loaded it.
    if (debugger := sys.modules.get("procactors.runner.debugger")) is not None:
        debugger.poked(frame)


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name.startswith(PREFIX))
    except OSError as error:  # no descriptor is left
        if by_signal(error):
            raise
        return []


def _connect(folder: str, name: str) -> socket.socket | None:
    """Return a connection to a visitor, whose name is removed; None: it is gone."""
    connection: socket.socket | None = None
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        at = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            # By way of /proc: the path itself may be longer than such an address.
            connection.connect(f"/proc/self/fd/{at}/{name}")
        finally:
            os.close(at)
            with contextlib.suppress(FileNotFoundError):  # a visitor that is let in does it, too
                os.unlink(os.path.join(folder, name))
    except OSError as error:
        if connection is not None:
            connection.close()
        if by_signal(error):
            raise
        return None
    return connection


def _serve(
    name: str, connection: socket.socket, words: memoryview, frame: FrameType | None
) -> None:
    _, kind, *given = name.split(".")
    if kind == "stacks":
        from procactors.runner import stacks

        with connection:
            send_at_once(connection, stacks.collected(frame))
    elif kind == "debug":
        from procactors.runner import debugger

        debugger.attach(connection, int(given[0]), words, frame)
    elif kind == "profile":
        from procactors.runner import sampler

        sampler.start(connection, int(given[0]), int(given[1]) / 1000)
    else:
        raise ValueError(f"expected a visitor that is known here, found {name}")


def _refuse(connection: socket.socket, why: str) -> None:
    """End a visit that has failed; the visitor is told why, if there is room for it."""
    with contextlib.suppress(OSError), connection:
        connection.send(REFUSED + why.encode(errors="replace")[:4096])


def send_at_once(connection: socket.socket, data: bytes) -> None:
    """Send data as far as there is room for it at once: the visitor may have been stopped."""
    view = memoryview(data)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, len(data) + 65536)
    with contextlib.suppress(BlockingIOError):
        while view:
            view = view[connection.send(view) :]
