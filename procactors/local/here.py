"""Which actor's life the calling thread serves.

Layer: local. Runs in: one process, any thread.
Owns: one value for each thread.
Never: knows what a life is made of.
"""

from __future__ import annotations

import threading
from typing import Any

__all__ = ["Killed", "here"]


class Killed(BaseException):
    """Raised in what an actor that was killed still does: it has no effect any more.

    No `Exception`, so that handlers let it through, as they do `SystemExit`.
    """


class _Here(threading.local):
    #: The life (`api.local_life.LocalLife`); None: this thread serves no actor just now.
    life: Any = None


here = _Here()
