"""The line between a debugger in an actor and the terminal of its user.

Layer: runner. Runs in: actor; the terminal's process (`pack`, `Frames`).
Owns: the connection, or the terminal's descriptor (`close`).
Never: waits for a terminal that is gone, or when the debugger has ended.

On a socket each piece is a letter, a length and a text:

    TEXT, PROMPT, END    actor to terminal: to be shown; to be shown, and a line is wanted; over
    LINE, INTERRUPT      terminal to actor: what was typed, Ctrl-C

On a terminal that the actor has opened itself there is the text alone.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable

__all__ = [
    "END",
    "INTERRUPT",
    "LINE",
    "PROMPT",
    "TEXT",
    "Frames",
    "Line",
    "SocketLine",
    "TerminalLine",
    "pack",
]

TEXT, PROMPT, END, LINE, INTERRUPT = b"T", b"P", b"E", b"L", b"I"

_HEAD = struct.Struct("=cI")
#: Bytes of one read.
_READ = 1 << 16
#: Milliseconds between two looks at whether the debugger has ended, while the terminal is behind.
_LOOK_MS = 100


def pack(kind: bytes, text: str = "") -> bytes:
    """Return one piece as bytes."""
    data = text.encode(errors="surrogateescape")
    return _HEAD.pack(kind, len(data)) + data


class Frames:
    """Takes bytes as they come, and gives pieces."""

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> list[tuple[bytes, str]]:
        """Return the (kind, text) of each piece that is complete now."""
        self._bytes += data
        found = []
        while len(self._bytes) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._bytes)
            end = _HEAD.size + length
            if len(self._bytes) < end:
                break
            text = self._bytes[_HEAD.size : end].decode(errors="surrogateescape")
            found.append((kind, text))
            self._bytes = self._bytes[end:]
        return found


class Line:
    """What both kinds of lines have. One thread reads, another one writes."""

    def fileno(self) -> int:
        """Return the descriptor that becomes readable with what the user does."""
        raise NotImplementedError

    def send(self, kind: bytes, text: str, is_over: Callable[[], bool]) -> None:
        """Send a piece; waits while the terminal is behind and not `is_over()`.

        Raises:
            OSError: the terminal is gone.
        """
        view = memoryview(self._packed(kind, text))
        poll = select.poll()
        poll.register(self.fileno(), select.POLLOUT)
        while view and not is_over():
            if poll.poll(_LOOK_MS):
                try:
                    view = view[os.write(self.fileno(), view) :]
                except BlockingIOError:
                    continue

    def received(self) -> list[tuple[bytes, str]] | None:
        """Return what has come, (kind, text) each; None: the terminal is gone, or its user is."""
        raise NotImplementedError

    def close(self) -> None:
        """Close it."""
        raise NotImplementedError

    def _packed(self, kind: bytes, text: str) -> bytes:
        raise NotImplementedError


class SocketLine(Line):
    """A connection to `procactors attach`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._frames = Frames()

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._connection.fileno()

    def received(self) -> list[tuple[bytes, str]] | None:
        """Return the pieces that have come."""
        try:
            data = self._connection.recv(_READ)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._frames.feed(data) if data else None

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _packed(self, kind: bytes, text: str) -> bytes:
        return pack(kind, text)


class TerminalLine(Line):
    """The program's terminal, opened by the actor; its modes are left as they are.

    So Ctrl-C is the program's, as at any other time; Ctrl-D leaves the debugger.

    Args:
        fd: the terminal's descriptor, not blocking.
        lock: that of the lock on it, which is held as long.
    """

    def __init__(self, fd: int, lock: int) -> None:
        self._fd = fd
        self._lock = lock
        self._rest = b""

    def fileno(self) -> int:
        """Return the terminal's descriptor."""
        return self._fd

    def received(self) -> list[tuple[bytes, str]] | None:
        """Return the lines that were typed."""
        try:
            data = os.read(self._fd, _READ)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [(LINE, line.decode(errors="surrogateescape") + "\n") for line in whole]

    def close(self) -> None:
        """Close the terminal, and let others have it."""
        os.close(self._fd)
        os.close(self._lock)

    def _packed(self, kind: bytes, text: str) -> bytes:
        if kind == END and text:
            text += "\n"
        return text.encode(errors="surrogateescape")
