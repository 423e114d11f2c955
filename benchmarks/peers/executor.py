"""`concurrent.futures.ProcessPoolExecutor`; an executor of one process stands for an actor."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from benchmarks.actors import square, total_of
from benchmarks.peers.rows import ActorPeer
from benchmarks.pool import WORKERS


class Peer(ActorPeer):
    """Its processes are forked; a clean driver has no threads but its own."""

    title = "ProcessPoolExecutor"

    def begin(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, mp_context=get_context("fork"))

    def add(self, actor: ProcessPoolExecutor) -> int:
        return actor.submit(square, 1).result()

    def stop(self, actor: ProcessPoolExecutor) -> None:
        actor.shutdown()

    def pid(self, actor: ProcessPoolExecutor) -> int:
        self.add(actor)
        return next(iter(actor._processes))

    def total(self, actor: ProcessPoolExecutor, array: Any) -> int:
        return actor.submit(total_of, array).result()

    def square_each(self, actors: Any, items: int) -> Iterable[int]:
        return self._workers(actors).map(square, range(items))

    def square_all(self, actors: Any, items: int) -> Iterable[int]:
        return self._workers(actors).map(square, range(items), chunksize=items // WORKERS // 4)

    def _workers(self, actors: list[ProcessPoolExecutor]) -> ProcessPoolExecutor:
        """Answer one executor with all workers, in the place of those with one each."""
        if len(actors) != 1:
            for actor in actors:
                actor.shutdown()
            actors[:] = [ProcessPoolExecutor(WORKERS, mp_context=get_context("fork"))]
        return actors[0]
