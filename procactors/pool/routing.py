"""Which worker is meant: by turns, by chance, or by a key. Pure.

Layer: pool. Runs in: the pool's process.
Owns: nothing.
Never: uses `hash`, which differs from process to process: a key must mean the same worker always.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Iterable
from typing import Any

from procactors.wire.pickling.codec import encode_key

__all__ = ["Ring", "key_bytes"]

#: Points of each worker on the ring: with 64 the busiest of ten workers gets about a third more
#: keys than the mean (the spread falls with the root of their number).
_POINTS = 64


class Ring:
    """A consistent hash ring (Karger et al., 1997): a worker more or less moves few keys.

    Args:
        workers: their numbers.
    """

    def __init__(self, workers: Iterable[int]) -> None:
        self._points = sorted(
            (_point(b"%d:%d" % (worker, point)), worker)
            for worker in workers
            for point in range(_POINTS)
        )

    def worker(self, key: bytes) -> int:
        """Return the worker that a key belongs to."""
        at = bisect.bisect_right(self._points, (_point(key), -1))
        return self._points[at % len(self._points)][1]


def key_bytes(key: Any) -> bytes:
    """Return a key as bytes that are the same for equal keys of one type."""
    if isinstance(key, bytes):
        return b"b" + key
    if isinstance(key, str):
        return b"s" + key.encode(errors="surrogatepass")
    if isinstance(key, int):
        return b"i%d" % key
    return b"p" + encode_key(key)


def _point(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")
