"""Ray, on this machine alone."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.handlers import Handlers
from benchmarks.peers.rows import ActorPeer
from benchmarks.rounds import installed


class Peer(ActorPeer):
    """Actors that take no CPU of Ray's count, so that 50 of them find room."""

    title = "Ray"

    def __init__(self) -> None:
        self._ray = installed("ray")
        self._ray.init(
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=500_000_000,
            logging_level="ERROR",
        )
        self._cls = self._ray.remote(num_cpus=0, max_restarts=-1)(Handlers)

    def close(self) -> None:
        self._ray.shutdown()

    def begin(self) -> Any:
        return self._cls.remote()

    def add(self, actor: Any) -> int:
        found: int = self._ray.get(actor.add.remote(1))
        return found

    def stop(self, actor: Any) -> None:
        self._ray.kill(actor)

    def pid(self, actor: Any) -> int:
        found: int = self._ray.get(actor.pid.remote())
        return found

    def tell_all(self, actor: Any, messages: int) -> None:
        for _ in range(messages - 1):
            actor.add.remote(1)
        self._ray.get(actor.add.remote(1))

    def total(self, actor: Any, array: Any) -> int:
        found: int = self._ray.get(actor.total.remote(array))
        return found

    def square_each(self, actors: list[Any], items: int) -> list[int]:
        answers = [
            actors[number % len(actors)].squares.remote((number,)) for number in range(items)
        ]
        return [found[0] for found in self._ray.get(answers)]

    def square_all(self, actors: list[Any], items: int) -> list[int]:
        share = items // len(actors)
        answers = [
            actor.squares.remote(list(range(at * share, (at + 1) * share)))
            for at, actor in enumerate(actors)
        ]
        return [found for half in self._ray.get(answers) for found in half]
