"""The handle of a value that is shared in one process.

Layer: api. Runs in: one process, any thread.
Owns: as the one that `share` returned, the share's end if it was never sent.
Never: lets a value be changed through it.
"""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from procactors.runtime.shared import Shared, size_of
from procactors.stored import stored
from procactors.wire.shm.share_file import Share
from procactors.wire.transport import transport_of

if TYPE_CHECKING:
    from procactors.local.shares import LocalShares
    from procactors.local.transport import LocalTransport

__all__ = ["LocalShared", "Sharing"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class LocalShared(Shared[T_co]):
    """Names a value that is shared in one process; see `Shared`."""

    __slots__ = ()

    def get(self) -> T_co:
        """Return the value; nothing large is copied. Raises what `Shared.get` does."""
        what = f"shared {self._kind} ({size_of(self.nbytes)})"
        value: T_co = self._shares(what).load(self._share.number, what)
        return value

    def release(self) -> None:
        """End the share: from now on `get` raises `ShareReleased`."""
        self._shares(f"shared {self._kind}").release(self._share.number)

    def _shares(self, what: str) -> LocalShares:
        transport: Any = transport_of(self._share.runtime_dir, f"the {what}")
        shares: LocalShares = transport.shares
        return shares

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._sent:
            self._shares(f"shared {self._kind}").mark_sent(self._share.number)
            self._sent = True
        share = self._share
        return _received_locally, (share.runtime_dir, share.number, self.nbytes, self._kind)


@stored
def _received_locally(path: str, number: int, nbytes: int, kind: str) -> LocalShared[Any]:
    return LocalShared(Share(path, 1, number, 1, 0), nbytes, kind, sent=True)


class Sharing:
    """What shares in a system of one process; see `runtime.shared`.

    Args:
        transport: the system's.
    """

    def __init__(self, transport: LocalTransport) -> None:
        self._path = transport.path
        self._shares = transport.shares

    def share(self, value: T) -> LocalShared[T]:
        """Keep a value for any number of readers; return its handle."""
        number, kind, nbytes = self._shares.write(value)
        shared: LocalShared[T] = LocalShared(
            Share(self._path, 1, number, 1, 0), nbytes, kind, sent=False
        )
        drop = weakref.finalize(shared, self._shares.release, number, unless_sent=True)
        drop.atexit = False
        return shared

    def all(self) -> list[Shared[Any]]:
        """Return handles of all that is shared."""
        return [
            LocalShared(Share(self._path, 1, number, 1, 0), nbytes, kind, sent=False)
            for number, kind, nbytes in self._shares.all()
        ]
