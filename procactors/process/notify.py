"""Reports to a service manager: ready, stopping, and a line for people (systemd's protocol).

Layer: process. Runs in: parent.
Owns: the variable NOTIFY_SOCKET while the block runs; a socket for the time of one datagram.
Never: raises, or fails a program because no manager listens; speaks from an actor.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Iterator

__all__ = ["Notifier", "notifier"]

_log = logging.getLogger("procactors")

_VARIABLE = "NOTIFY_SOCKET"
#: Seconds for which a manager that does not read may hold us up.
_PATIENCE_S = 1.0


class Notifier:
    """Tells a service manager what state the program is in; without one it does nothing.

    Args:
        address: path of the manager's datagram socket; with a leading ``@`` its name in the
            abstract namespace; empty if there is no manager.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        # Guards `_stopping`: the signal's thread and the main program may both come to the end.
        self._lock = threading.Lock()
        self._stopping = False

    def ready(self) -> None:
        """Say that the start is done."""
        self._send("READY=1\nSTATUS=running")

    def stopping(self, why: str) -> None:
        """Say that the end has begun, and why; only the first time."""
        with self._lock:
            first, self._stopping = not self._stopping, True
        if first:
            self._send(f"STOPPING=1\nSTATUS=stopping: {_one_line(why)}")

    def status(self, text: str) -> None:
        """Say something for people, in one line."""
        self._send(f"STATUS={_one_line(text)}")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        address = self._address
        if address[0] == "@":
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                sender.settimeout(_PATIENCE_S)
                sender.sendto(state.encode(), address)
        except OSError as error:
            # A program must not fail because no manager takes the report.
            _log.debug("could not tell %s %r: %s", self._address, state, error)


@contextlib.contextmanager
def notifier() -> Iterator[Notifier]:
    """Return the notifier that the environment asks for.

    Inside the block the variable is taken out of the environment: what an actor or another
    child says is not what the manager waits for.
    """
    address = os.environ.pop(_VARIABLE, "")
    try:
        yield Notifier(address)
    finally:
        if address:
            os.environ[_VARIABLE] = address


def _one_line(text: str) -> str:
    # A second line would be taken for another assignment.
    return " ".join(text.split())
