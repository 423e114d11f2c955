"""The system whose actors are tapped: what is asked of it, whatever the backend.

Layer: testing. Runs in: parent.
Owns: nothing.
Never: lets a test believe that a fault, or a recording, is there where it cannot be.
"""

from __future__ import annotations

from typing import Any

from procactors.model.backends import unsupported

__all__ = ["tapped_system"]

#: Where actors do not write to the program's files.
_ELSEWHERE = ("ray",)


def tapped_system(system: Any) -> Any:
    """Return a system as a blocking one.

    Raises:
        UnsupportedOnBackend: its actors cannot be tapped.
    """
    system = getattr(system, "sync", system)  # of an asyncio one
    engine = getattr(system._endpoint, "engine", None)
    if engine is not None and engine.name in _ELSEWHERE:
        raise unsupported("files", engine.name)
    return system
