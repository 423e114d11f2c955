"""Pykka: actors that are threads of one process."""

from __future__ import annotations

from typing import Any

from benchmarks.actors import square, total_of
from benchmarks.peers.rows import ActorPeer
from benchmarks.rounds import installed


class Peer(ActorPeer):
    """Messages are values; `ask` and `tell` as they come."""

    title = "Pykka (threads)"
    note = "its actors are threads: arrays go by reference, and one core does all work"

    def __init__(self) -> None:
        pykka = installed("pykka")

        class Counter(pykka.ThreadingActor):  # type: ignore[misc]
            """The same handlers as everywhere, told apart by the message's first word."""

            value = 0

            def on_receive(self, message: Any) -> Any:
                word, argument = message
                if word == "add":
                    self.value += argument
                    return self.value
                return total_of(argument) if word == "total" else [square(n) for n in argument]

        self._cls = Counter

    def begin(self) -> Any:
        return self._cls.start()

    def add(self, actor: Any) -> int:
        found: int = actor.ask(("add", 1))
        return found

    def stop(self, actor: Any) -> None:
        actor.stop()

    def tell_all(self, actor: Any, messages: int) -> None:
        for _ in range(messages - 1):
            actor.tell(("add", 1))
        actor.ask(("add", 1))

    def total(self, actor: Any, array: Any) -> int:
        found: int = actor.ask(("total", array))
        return found

    def square_each(self, actors: list[Any], items: int) -> list[int]:
        futures = [
            actors[number % len(actors)].ask(("squares", (number,)), block=False)
            for number in range(items)
        ]
        return [future.get()[0] for future in futures]

    def square_all(self, actors: list[Any], items: int) -> list[int]:
        share = items // len(actors)
        futures = [
            actor.ask(("squares", list(range(at * share, (at + 1) * share))), block=False)
            for at, actor in enumerate(actors)
        ]
        return [found for future in futures for found in future.get()]
