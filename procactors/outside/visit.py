"""A visit at an actor's door: what another process asks of its main thread, without a message.

Layer: outside. Runs in: another process of the same user.
Owns: the socket that the actor connects to, and its name in the actor's folder (`close`).
Never: leaves its name there when it ends; knocks where nobody opens: the signal would end it.

See `runner.door` for what may be asked.
"""

from __future__ import annotations

import contextlib
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING

from procactors.outside.systems import Problem
from procactors.process.shield import DOOR
from procactors.runner.door import PREFIX

if TYPE_CHECKING:
    from types import TracebackType

    from procactors.process.live import LiveProcess

__all__ = ["NotAtHome", "Visit"]

#: Seconds between two looks at whether an actor that is just starting has its handlers.
_AGAIN_S = 0.01


class NotAtHome(Problem):
    """The actor's process has ended, or its folder is gone."""


class Visit:
    """One visit.

    Args:
        folder: the actor's, in the runtime directory.
        wish: what is asked for, as in the table of `runner.door`.

    Raises:
        NotAtHome: there is no such actor any more.
    """

    def __init__(self, folder: str, wish: str) -> None:
        self._path = os.path.join(folder, f"{PREFIX}{wish}.{os.getpid()}-{os.urandom(4).hex()}")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listen(folder)
        except FileNotFoundError:
            self.close()
            raise NotAtHome("the actor is gone") from None
        except BaseException:
            self.close()
            raise

    def _listen(self, folder: str) -> None:
        # Named when it listens: a name that refuses the connection is removed by the actor.
        hidden = os.path.join(folder, f".{os.path.basename(self._path)}")
        at = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        try:
            # By way of /proc: the path itself may be longer than such an address.
            self._listener.bind(f"/proc/self/fd/{at}/{os.path.basename(hidden)}")
        finally:
            os.close(at)
        try:
            self._listener.listen(1)
            os.rename(hidden, self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(hidden)
            raise

    def __enter__(self) -> Visit:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the name away, and stop to listen."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)
        self._listener.close()

    def knock(self, process: LiveProcess, until: float) -> socket.socket | None:
        """Ask to be let in, and return the connection; None: not until then (monotonic).

        A process that is just starting is waited for. So is one whose main thread runs C code; it
        may be called again.

        Raises:
            NotAtHome: the process has ended.
        """
        try:
            while not process.send(DOOR):
                if monotonic() >= until:
                    return None
                self.accept(min(_AGAIN_S, until - monotonic()))
            while monotonic() < until:
                if (connection := self.accept(min(0.1, until - monotonic()))) is not None:
                    return connection
                if process.has_ended:
                    break
                process.send(DOOR)  # while it imports a module, as at its start, it hears no knock
            else:
                return None
        except ProcessLookupError:
            pass
        raise NotAtHome("the actor's process has ended")

    def accept(self, seconds: float) -> socket.socket | None:
        """Return the connection, once the actor has let us in; None: not within so many seconds."""
        self._listener.settimeout(max(0.001, seconds))
        try:
            return self._listener.accept()[0]
        except TimeoutError:
            return None
