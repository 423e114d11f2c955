"""Why Ray says that a process is gone, in the words of exit reasons.

Layer: cluster. Runs in: the program.
Owns: nothing.
Never: guesses: what Ray does not say is unknown.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["cause_of", "is_out_of_memory"]

_EXIT_CODE = re.compile(r"exit code[ =:]+(\d+)")
_LONGEST = 400


def cause_of(error: BaseException) -> tuple[int | None, str]:
    """Return (exit code if Ray knows it, why a process is gone) of an error of Ray's."""
    text = " ".join(str(error).split())
    found = _EXIT_CODE.search(text)
    code = int(found[1]) if found else None
    at = text.find("The actor is dead because")
    why = text[at:] if at >= 0 else text
    return code, f"Ray says: {why[:_LONGEST]}"


def is_out_of_memory(error: Any) -> bool:
    """Whether Ray has ended the process because its node had no memory left."""
    return type(error).__name__ == "OutOfMemoryError" or "memory monitor" in str(error)
