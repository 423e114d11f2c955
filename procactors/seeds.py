"""Seeds: from one root, a number of its own for each worker, incarnation or task.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: depends on the process, the platform or the order of calls; holds a secret.
"""

from __future__ import annotations

import operator

__all__ = ["derive"]

#: Bytes of a seed. Of a million seeds of 16 bytes, two are equal once in 10 ** 26 times.
_BYTES = 16


def derive(root: int, *path: int | str) -> int:
    """Return the seed that stands at `path` under `root`: a number of 128 bits, from 0 on.

    The same arguments give the same number, everywhere and in each release; others another one,
    that tells nothing of the first (BLAKE2b). Good for ``random.Random(seed)`` and for
    ``numpy.random.default_rng(seed)``, which take it whole; older interfaces may want it cut, as in
    ``seed & 0xFFFFFFFF``.

    Args:
        root: where a family of seeds begins; any whole number.
        path: what tells this one from its relatives: numbers or words, as in
            ``derive(7, "worker", 3)``. The number 1 is not the word "1".

    Raises:
        TypeError: the root or a part is neither a whole number nor a word.
    """
    import hashlib  # only where it is used: it loads OpenSSL, which few processes of a system need

    digest = hashlib.blake2b(b"%d\n" % operator.index(root), digest_size=_BYTES)
    for part in path:
        # With its length: ("ab", "c") and ("a", "bc") are two paths.
        if isinstance(part, str):
            word = part.encode("utf-8", "surrogatepass")
            digest.update(b"word %d %s\n" % (len(word), word))
        else:
            digest.update(b"number %d\n" % operator.index(part))
    return int.from_bytes(digest.digest(), "big")
