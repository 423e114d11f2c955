"""`multiprocessing.Pool`; a pool of one process stands for an actor."""

from __future__ import annotations

from collections.abc import Iterable
from multiprocessing import get_context
from multiprocessing.pool import Pool
from typing import Any

from benchmarks.actors import square, total_of
from benchmarks.peers.rows import ActorPeer
from benchmarks.pool import WORKERS
from benchmarks.rounds import Absent

_fork = get_context("fork")


class Peer(ActorPeer):
    """Its processes are forked."""

    title = "multiprocessing.Pool"
    note = "a killed worker's successor serves the next call; the call that it had in hand hangs"

    def begin(self) -> Pool:
        return _fork.Pool(1)

    def add(self, actor: Pool) -> int:
        found: int = actor.apply(square, (1,))
        return found

    def stop(self, actor: Pool) -> None:
        actor.terminate()
        actor.join()

    def pid(self, actor: Pool) -> int:
        raise Absent("a worker killed while it waits may keep the queue's lock for ever")

    def total(self, actor: Pool, array: Any) -> int:
        found: int = actor.apply(total_of, (array,))
        return found

    def square_each(self, actors: Any, items: int) -> Iterable[int]:
        return self._workers(actors).map(square, range(items), chunksize=1)

    def square_all(self, actors: Any, items: int) -> Iterable[int]:
        return self._workers(actors).map(square, range(items))

    def _workers(self, actors: list[Any]) -> Pool:
        """Answer one pool with all workers, in the place of those with one each."""
        if len(actors) != 1:
            for actor in actors:
                self.stop(actor)
            actors[:] = [_fork.Pool(WORKERS)]
        pool: Pool = actors[0]
        return pool
