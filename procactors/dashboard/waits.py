"""Who waits for whom: circles in it.

Layer: dashboard. Runs in: the dashboard's process.
Owns: nothing; a pure function.
Never: reads a system.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["circles"]


def circles(waiting: Mapping[str, str]) -> list[list[str]]:
    """Return the circles of actors that wait for each other, each from its first name on.

    Args:
        waiting: for each actor that waits, whom it waits for.
    """
    found: list[list[str]] = []
    seen: set[str] = set()
    for first in sorted(waiting):
        chain: dict[str, int] = {}
        name: str | None = first
        while name is not None and name not in seen and name not in chain:
            chain[name] = len(chain)
            name = waiting.get(name)
        if name is not None and name in chain:
            circle = list(chain)[chain[name] :]
            start = circle.index(min(circle))
            found.append(circle[start:] + circle[:start])
        seen.update(chain)
    return found
