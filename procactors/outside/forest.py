"""Who stands below whom in a running system: supervisors, actors, their children, pools.

Layer: outside. Runs in: processes outside of the systems.
Owns: nothing; pure functions over views.
Never: looks for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from procactors.outside.roster import ActorView

__all__ = ["Node", "forest_of"]

#: A pool names its workers by itself and a number.
_WORKER = re.compile(r"(.+)-\d+")


class Node(NamedTuple):
    """One place in the forest.

    Attributes:
        name: of the actor, the supervisor or the pool.
        view: what is known of it; None of a pool, which is none of the system's actors.
        below: the nodes below it, in the order of their start.
    """

    name: str
    view: ActorView | None
    below: list[Node]


def forest_of(actors: Iterable[ActorView]) -> list[Node]:
    """Return what stands at the top, with all below it, in the order of their start.

    Below a supervisor are its children, below an actor those that it has spawned. The workers of a
    pool stand together, below the pool.
    """
    nodes = {view.id: Node(view.name, view, []) for view in actors}
    top: list[Node] = []
    pools: dict[tuple[int, str], Node] = {}
    for node in nodes.values():
        assert node.view is not None
        above_id = node.view.supervisor or node.view.parent
        above = nodes.get(above_id)
        row = above.below if above is not None and above is not node else top
        if node.view.pooled:
            pool = _pool_of(node.name)
            if (above_id, pool) not in pools:
                pools[above_id, pool] = Node(pool, None, [])
                row.append(pools[above_id, pool])
            row = pools[above_id, pool].below
        row.append(node)
    return top


def _pool_of(name: str) -> str:
    found = _WORKER.fullmatch(name)
    return found[1] if found else name
