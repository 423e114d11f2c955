"""Why Ray says that a process is gone, in the words of exit reasons.

Layer: cluster. Runs in: the program.
Owns: nothing.
Never: guesses: what Ray does not say is unknown.
"""

from __future__ import annotations

import re

__all__ = ["NO_MEMORY", "cause_of"]

#: Of a process that Ray has ended for want of memory.
NO_MEMORY = "its node had no memory left"
#: What Ray says, and what it means; the first that is found counts.
_MEANINGS = (
    (("memory monitor", "OutOfMemoryError"), NO_MEMORY),
    (("No module named 'procactors'",), "its node has no procactors: install it there, too"),
    (("node has died", "node was terminated", "node failed", "Node died"), "its node has gone"),
    (("unavailable", "Socket closed"), "its node cannot be reached"),
    (("killed by `ray.kill`",), "it was killed by ray.kill"),
    (("runtime environment", "runtime_env"), "its runtime environment could not be made"),
    (("connection error", "worker process has died"), "its process has died"),
)
_EXIT_CODE = re.compile(r"exit code[ =:]+(\d+)")
_LONGEST = 400


def cause_of(error: BaseException) -> tuple[int | None, str]:
    """Return (exit code if Ray knows it, why a process is gone) of an error of Ray's."""
    text = " ".join(str(error).split())
    found = _EXIT_CODE.search(text)
    code = int(found[1]) if found else None
    at = text.find("The actor is dead because")
    why = text[at:] if at >= 0 else text
    meant = next((means for signs, means in _MEANINGS if any(sign in text for sign in signs)), "")
    return code, f"{meant}; Ray says: {why[:_LONGEST]}" if meant else f"Ray says: {why[:_LONGEST]}"
