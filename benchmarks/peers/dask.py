"""Dask's actors, on this machine alone."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.handlers import Handlers
from benchmarks.peers.rows import ActorPeer
from benchmarks.pool import WORKERS
from benchmarks.rounds import Absent, Effort, installed


class Peer(ActorPeer):
    """Actors live on workers that are there already, so their starts are no process's."""

    title = "Dask"
    note = "its actors share workers that are there already"

    def __init__(self) -> None:
        distributed = installed("distributed")
        self._cluster = distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=None
        )
        self._client = distributed.Client(self._cluster)

    def close(self) -> None:
        self._client.close()
        self._cluster.close()

    def start(self, effort: Effort) -> Any:
        raise Absent("an actor has no process of its own")

    crowd = crash = memory = start

    def begin(self) -> Any:
        return self._client.submit(Handlers, actor=True, pure=False).result()

    def add(self, actor: Any) -> int:
        found: int = actor.add(1).result()
        return found

    def stop(self, actor: Any) -> None:
        """Dask ends an actor when nothing refers to it."""

    def total(self, actor: Any, array: Any) -> int:
        found: int = actor.total(array).result()
        return found

    def square_each(self, actors: list[Any], items: int) -> list[int]:
        answers = [actors[number % len(actors)].squares((number,)) for number in range(items)]
        return [answer.result()[0] for answer in answers]

    def square_all(self, actors: list[Any], items: int) -> list[int]:
        share = items // len(actors)
        answers = [
            actor.squares(list(range(at * share, (at + 1) * share)))
            for at, actor in enumerate(actors)
        ]
        return [found for answer in answers for found in answer.result()]
