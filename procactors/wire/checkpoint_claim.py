"""The claim on a checkpoint's file: no two live actors have the same one.

Layer: wire. Runs in: parent.
Owns: a descriptor with the lock on a file beside the checkpoint's (`release`).
Never: opens the checkpoint itself, which its actor locks.
"""

from __future__ import annotations

import contextlib
import os

from procactors.errors import CheckpointError
from procactors.wire.checkpoint_file import is_at
from procactors.wire.copies import in_copies

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["Claim"]


class Claim:
    """What the parent holds for the life of an actor with a file of the user's.

    The actor locks the file itself; this keeps it between two incarnations.

    Args:
        path: the checkpoint's file.
        holder: the actor's name, for the error of another that wants it.

    Raises:
        CheckpointError: another live actor has it, of this program or another one. OSError: the
            folder cannot be written.
    """

    def __init__(self, path: str, holder: str) -> None:
        self._path = f"{path}.lock"
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last holder may have removed it between our two calls.
                if is_at(fd, self._path):
                    os.truncate(fd, 0)
                    os.pwrite(fd, f"actor {holder} of process {os.getpid()}".encode(), 0)
                    break
            except BlockingIOError:
                who = os.pread(fd, 256, 0).decode(errors="replace") or "another actor"
                os.close(fd)
                raise CheckpointError(
                    f"the checkpoint {path} belongs to the {who}, which is alive: stop it first, "
                    f"or give each actor a file of its own"
                ) from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        self._fd = fd
        _claims.add(self)
        in_copies(_close_in_copy)

    def release(self) -> None:
        """Let others have the file."""
        if self in _claims:
            _claims.discard(self)
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)


#: Those of this process.
_claims: set[Claim] = set()


def _close_in_copy() -> None:
    # A copy would hold the lock for as long as it lives.
    for claim in _claims:
        with contextlib.suppress(OSError):
            os.close(claim._fd)
    _claims.clear()
