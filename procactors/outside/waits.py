"""Who waits for whom, from one actor on.

Layer: outside. Runs in: processes outside of the systems.
Owns: nothing; pure functions over views.
Never: looks for itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from procactors.outside.roster import ActorView

__all__ = ["cycle_of", "waits_of"]


def waits_of(actors: Mapping[int, ActorView], view: ActorView) -> list[ActorView]:
    """Return whom an actor waits for in an ask, and whom that one does, and so on.

    Ends with one that waits for nobody, or with the first that comes a second time: a circle.
    """
    chain: list[ActorView] = []
    at: ActorView | None = view
    seen = {view.id}
    while at is not None and (at := actors.get(at.waiting_for)) is not None:
        chain.append(at)
        if at.id in seen:
            break
        seen.add(at.id)
    return chain


def cycle_of(view: ActorView, chain: list[ActorView]) -> list[ActorView]:
    """Return the circle in which such a chain ends, each of it once; empty if it ends in none."""
    if not chain:
        return []
    whole = [view, *chain]
    first = next(at for at, one in enumerate(whole) if one.id == chain[-1].id)
    return whole[first:-1]
