"""The handle of a shared value: tiny, to be sent to the processes that read it.

Layer: runtime. Runs in: parent and actor.
Owns: as the one that `share` returned, the share's end if it was never sent.
Never: lets a value be changed through it: what it maps is read-only.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from procactors.errors import StorageFull
from procactors.stored import stored
from procactors.wire.payload_store import PayloadStore
from procactors.wire.shm.share_file import Share, mark_sent, release_share, shares_of
from procactors.wire.shm.shares import load_share

__all__ = ["Shared", "share_in", "shared_in", "size_of"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Shared(Generic[T_co]):
    """Names a value in shared memory; made by ``system.share(value)``.

    A handle is a value: hashable, comparable, picklable, some 200 bytes. Send it in messages, or
    return it from a handler. It lives until `release` is called in any process, or a ``with``
    block around it ends, or the system does. Only one that was never sent (pickled) goes before:
    when its creator drops it, or ends.

    Attributes:
        nbytes: bytes of shared memory that it takes: the value in whole pages.
    """

    __slots__ = ("__weakref__", "_kind", "_sent", "_share", "nbytes")

    nbytes: int

    def __init__(self, share: Share, nbytes: int, kind: str, sent: bool) -> None:
        self.nbytes = nbytes
        self._share = share
        self._kind = kind
        #: Whether the file is known to be marked as sent: once is enough.
        self._sent = sent

    def get(self) -> T_co:
        """Return the value over a read-only map of the shared memory; nothing large is copied.

        Arrays come with ``writeable=False``. Each call returns a value of its own over the same
        memory; while one lives, the next costs no map. The memory stays for as long as any part
        of the value lives, in this process alone, also after `release`; that takes one descriptor.

        Raises:
            ShareReleased: it was released. ActorStopped: the system was stopped.
            StorageFull: this process has no descriptor left.
            DecodeError: the value could not be unpickled here.
        """
        value: T_co = load_share(self._share, f"shared {self._kind} ({size_of(self.nbytes)})")
        return value

    def release(self) -> None:
        """End the share, for all processes: from now on `get` raises `ShareReleased`.

        Values that were got before stay good. Releasing twice is no error.
        """
        release_share(self._share)

    def __enter__(self) -> Shared[T_co]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __reduce__(self) -> tuple[Any, ...]:
        if not self._sent:
            # Before its bytes are anywhere. What it costs is paid once.
            mark_sent(self._share)
            self._sent = True
        return _received, (*self._share, self.nbytes, self._kind)

    def __copy__(self) -> Shared[T_co]:
        return self  # of values, copies are not needed; and this is no sending

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared[T_co]:
        return self

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say that this is the handle, not the value."""
            raise AttributeError(
                f"a handle of a shared value has no attribute {name!r}; the value itself is get()",
                name=name,
                obj=self,
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shared) and other._share == self._share

    def __hash__(self) -> int:
        return hash(self._share)

    def __repr__(self) -> str:
        return f"<Shared {self._kind}, {size_of(self.nbytes)}>"


def share_in(store: PayloadStore, value: T) -> Shared[T]:
    """Write a value into a runtime directory; return its handle."""
    if store.sharing is not None:
        return store.sharing.share(value)  # type: ignore[no-any-return]
    from procactors.wire.shm.share_codec import encode_shared  # only where it is used

    kind = type(value).__name__[:40]
    encoded = encode_shared(value, store.path)
    try:
        share, nbytes = store.shares.write(encoded, kind)
    finally:
        for buffer in encoded.buffers:
            buffer.release()
    shared: Shared[T] = Shared(share, nbytes, kind, sent=False)
    # At exit the system ends, and with it all that it has shared.
    weakref.finalize(shared, _drop, share, os.getpid()).atexit = False
    return shared


def shared_in(store: PayloadStore) -> list[Shared[Any]]:
    """Return handles of all that is shared in a runtime directory."""
    if store.sharing is not None:
        return store.sharing.all()  # type: ignore[no-any-return]
    return [Shared(share, size, kind, sent=False) for share, kind, size in shares_of(store.path)]


@stored
def _received(
    runtime_dir: str, process: int, number: int, generation: int, place: int, nbytes: int, kind: str
) -> Shared[Any]:
    return Shared(Share(runtime_dir, process, number, generation, place), nbytes, kind, sent=True)


def _drop(share: Share, creator: int) -> None:
    """Free what its creator has dropped, unless it was sent. Runs where garbage is collected."""
    if os.getpid() == creator:  # a forked copy drops its own handles alone
        with contextlib.suppress(OSError, StorageFull):  # no descriptor: the system's end does it
            release_share(share, unless_sent=True)


def size_of(nbytes: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if nbytes < 1000:
            return f"{nbytes:.3g} {unit}"
        nbytes /= 1000
    return f"{nbytes:.3g} GB"
