"""What actors print, line by line and with their names, on the program's own streams.

Layer: supervision. Runs in: parent, in a thread of its own.
Owns: two named pipes in each actor's directory, the thread (`close`).
Never: mixes two lines; holds up the supervisor; keeps more of a line than its end.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading

from procactors.model.plain_text import plain
from procactors.process.output import ERR_PIPE, OUT_PIPE

__all__ = ["OutputRelay", "lines_of"]

#: Bytes of one read, and of a line that has no end yet.
_READ_BYTES, _LINE_BYTES = 1 << 16, 1 << 16
#: Reads that empty a pipe, however large it is.
_READS = 32
#: Colours of names on a terminal, in turn.
_COLOURS = (36, 32, 35, 34, 33)


class _Stream:
    """One stream of one actor."""

    def __init__(self, fd: int, actor: int, name: str, is_error: bool) -> None:
        self.fd = fd
        self.actor = actor
        self.name = name
        self.is_error = is_error
        self.rest = b""


class OutputRelay:
    """Reads what actors print, and writes it to `sys.stdout` and `sys.stderr` as they are then."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._wake, select.EPOLLIN)
        # Guards the tables: the supervisor adds to them, and the thread takes away.
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}
        self._by_actor: dict[int, list[_Stream]] = {}
        #: Actors of which a life is over, and whether that was the last one.
        self._over: list[tuple[int, bool]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def add(self, actor: int, name: str, folder: str) -> None:
        """Make the pipes of an actor, before its first life; done already, it is no error.

        Raises:
            OSError: no descriptor or no room is left.
        """
        if actor in self._by_actor:
            return
        streams: list[_Stream] = []
        try:
            for pipe, is_error in ((OUT_PIPE, False), (ERR_PIPE, True)):
                path = os.path.join(folder, pipe)
                os.mkfifo(path, 0o600)
                # Both ways: so it is never at its end, however many lives there are.
                fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
                streams.append(_Stream(fd, actor, name, is_error))
        except BaseException:
            for stream in streams:
                os.close(stream.fd)
            raise
        with self._lock:
            self._by_actor[actor] = streams
            for stream in streams:
                self._streams[stream.fd] = stream
                self._epoll.register(stream.fd, select.EPOLLIN)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="procactors-output", daemon=True)
            self._thread.start()

    def flush(self, actor: int) -> None:
        """Note that a life is over: what it printed last is a line, though it has no end."""
        self._end(actor, False)

    def remove(self, actor: int) -> None:
        """Note that an actor is over for good."""
        self._end(actor, True)

    def _end(self, actor: int, for_good: bool) -> None:
        with self._lock:
            self._over.append((actor, for_good))
        os.eventfd_write(self._wake, 1)

    def close(self, timeout: float) -> None:
        """Write what has come, waiting for that up to `timeout` seconds; all actors are gone."""
        if self._wake < 0:
            return
        self._closing = True
        if self._thread is not None:
            os.eventfd_write(self._wake, 1)
            if self._thread is threading.current_thread():
                return
            self._thread.join(timeout)
            if self._thread.is_alive():  # the program's stream takes nothing
                return
        self.forget()

    def forget(self) -> None:
        """Close all descriptors."""
        wake, self._wake = self._wake, -1
        if wake < 0:
            return
        os.close(wake)
        self._epoll.close()
        for fd in self._streams:
            os.close(fd)
        self._streams.clear()

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            self._turn(self._epoll.poll())
        for stream in list(self._streams.values()):
            self._drain(stream)

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        with self._lock:
            over, self._over = self._over, []
        for fd, _ in ready:
            if fd == self._wake:
                os.eventfd_read(fd)
            elif (stream := self._streams.get(fd)) is not None:
                self._read(stream)
        for actor, for_good in over:
            streams = self._by_actor.get(actor, [])
            for stream in streams:
                self._drain(stream)
            if for_good:
                self._drop(actor, streams)

    def _drop(self, actor: int, streams: list[_Stream]) -> None:
        with self._lock:
            self._by_actor.pop(actor, None)
            for stream in streams:
                self._epoll.unregister(stream.fd)
                del self._streams[stream.fd]
                os.close(stream.fd)

    def _drain(self, stream: _Stream) -> None:
        """Write all that a life has printed."""
        for _ in range(_READS):  # the next life may print without end
            if self._read(stream) < _READ_BYTES:
                break
        if stream.rest:
            rest, stream.rest = stream.rest, b""
            self._write(stream, [rest])

    def _read(self, stream: _Stream) -> int:
        """Read once, and write the lines that are complete; return how many bytes there were."""
        try:
            data = os.read(stream.fd, _READ_BYTES)
        except BlockingIOError:
            return 0
        lines, stream.rest = lines_of(stream.rest + data)
        if lines:
            self._write(stream, lines)
        return len(data)

    @staticmethod
    def _write(stream: _Stream, lines: list[bytes]) -> None:
        # Looked up each time: a notebook, or a test, puts its own there.
        out = sys.stderr if stream.is_error else sys.stdout
        if out is None:
            return
        # So wide: it is the program's own, or closed, and the next lines want to be written.
        with contextlib.suppress(Exception):
            prefix = f"[{plain(stream.name)}]"
            if out.isatty() and "NO_COLOR" not in os.environ:
                colour = _COLOURS[stream.actor % len(_COLOURS)]
                prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
            text = "".join(f"{prefix} {line.decode(errors='replace')}\n" for line in lines)
            # What the stream has no characters for stands as an escape; else the lines were lost.
            encoding = getattr(out, "encoding", None) or "utf-8"
            text = text.encode(encoding, "backslashreplace").decode(encoding)
            out.write(text)  # in one piece: no other thread's stands in between
            out.flush()


def lines_of(data: bytes) -> tuple[list[bytes], bytes]:
    """Return (the lines in what was printed, what is left of one that has no end).

    Of a line that was written over with carriage returns, as progress bars do, the last state.
    """
    *lines, rest = data.split(b"\n")
    lines = [_last_state(line) for line in lines]
    if len(rest) > _LINE_BYTES:
        rest = rest[rest.rfind(b"\r", 0, -1) + 1 :]
        while len(rest) > _LINE_BYTES:
            lines.append(rest[:_LINE_BYTES])
            rest = rest[_LINE_BYTES:]
    return lines, rest


def _last_state(line: bytes) -> bytes:
    return line.rstrip(b"\r").rpartition(b"\r")[2]
