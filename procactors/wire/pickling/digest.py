"""The hash function by which definitions are known.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: loads OpenSSL.
"""

from __future__ import annotations

try:
    # The one that `hashlib` has, past it: that loads OpenSSL too, which takes 3 ms of a start.
    from _blake2 import blake2b
except ImportError:  # a Python that was built without it
    from hashlib import blake2b

__all__ = ["blake2b"]
