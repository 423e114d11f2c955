"""Starting a pool: its name, and what its workers' options are.

Layer: api. Runs in: the process that makes it.
Owns: nothing: the workers are their crew's.
Never: leaves a worker option of its caller's in place that would lose an item.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from procactors.handlers import check_class
from procactors.options import Delivery, Limits, Options, Overflow
from procactors.pool.crew import Crew
from procactors.pool.pool import Pool
from procactors.process.methods import table_of

if TYPE_CHECKING:
    from procactors.handle import SystemHandle

__all__ = ["start_pool"]

#: Numbers of the pools of this process that have no name.
_numbers = itertools.count(1)


def start_pool(
    handle: SystemHandle,
    options: Options,
    parent: int,
    cls: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Pool[Any]:
    """Start a pool; see `Spawner.pool`."""
    check_class("pool", cls)
    actor = handle._station.actor
    place = f"{actor}-" if actor else ""
    name = options.name or f"{cls.__qualname__.lower()}-pool-{place}{next(_numbers)}"
    worker = options.replace(
        # The pool's own: its workers are sent one batch after the other, in which many items are,
        # and what is in hand at a crash is the pool's to try again.
        mailbox=None,
        overflow=Overflow.BLOCK,
        delivery=Delivery.AT_MOST_ONCE,
        handle_timeout=None,
        limits=options.limits or Limits(),
    )
    crew = Crew(handle, worker, parent, cls, args, kwargs, name)
    crew.open()
    return Pool(crew, options, table_of(cls))
