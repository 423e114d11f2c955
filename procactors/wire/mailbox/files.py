"""The files of one mailbox: its pipe, its black box, and the tokens of a bounded one.

Layer: wire. Runs in: the mailbox's owner.
Owns: a read end that keeps the pipe alive between readers, and a writing end for the tokens.
Never: reads from the pipe but at its end.
"""

from __future__ import annotations

import contextlib
import os

from procactors.wire.mailbox.black_box import BlackBox
from procactors.wire.mailbox.closing import close_for_good
from procactors.wire.mailbox.tokens import Tokens
from procactors.wire.runtime_dir import remove_whole

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["MailboxFiles"]


class MailboxFiles:
    """The files of one mailbox, made and held open by its owner.

    A pipe's content lives only while a process holds the pipe open: that is this object, so the
    messages survive the time in which no reader lives.

    Attributes:
        path: the mailbox's directory.
        read_end: a non-blocking read end, for the owner's drain at the end.
    """

    def __init__(self, path: str, capacity: int = 0) -> None:
        self.path = path
        os.mkdir(path, 0o700)
        self._tokens = -1
        self.read_end = -1
        try:
            pipe = os.path.join(path, "pipe")
            os.mkfifo(pipe, 0o600)
            self.read_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            # As large as the pipe can be full: 64 KiB, or 8 for a user with very many pipes.
            batch = fcntl.fcntl(self.read_end, fcntl.F_GETPIPE_SZ)
            BlackBox.create(os.path.join(path, "box"), batch, capacity)
            if capacity:
                self._tokens = Tokens.create(path, capacity)
        except BaseException:
            self.close()
            remove_whole(path)  # half of it would only take room
            raise

    def close_for_good(self) -> list[bytes]:
        """Close the pipe for good; return the records that were still in it."""
        read_end, self.read_end = self.read_end, -1
        return close_for_good(read_end)

    def close(self) -> None:
        """Close the descriptors; the pipe's content goes with the last one."""
        for fd in (self.read_end, self._tokens):
            if fd >= 0:
                os.close(fd)
        self.read_end = self._tokens = -1
