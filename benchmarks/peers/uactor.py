"""uactor: actors by the managers of `multiprocessing`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmarks.peers.handlers import Handlers
from benchmarks.peers.rows import ActorPeer
from benchmarks.rounds import Absent

try:
    import uactor
except ImportError as error:
    raise Absent("no uactor is installed") from error


class Counter(Handlers, uactor.Actor):  # type: ignore[misc]
    """The handlers, as an actor of uactor's."""

    _exposed_ = ("add", "total", "square", "squares", "pid", "shutdown")


class Peer(ActorPeer):
    """Calls block, so two actors are kept busy by two threads."""

    title = "uactor"

    def begin(self) -> Any:
        return Counter()

    def add(self, actor: Any) -> int:
        found: int = actor.add(1)
        return found

    def stop(self, actor: Any) -> None:
        try:
            actor.shutdown()
        except OSError:  # it was killed
            return

    def pid(self, actor: Any) -> int:
        found: int = actor.pid()
        return found

    def total(self, actor: Any, array: Any) -> int:
        found: int = actor.total(array)
        return found

    def square_each(self, actors: list[Any], items: int) -> list[int]:
        def one_by_one(at: int) -> list[int]:
            return [actors[at].square(number) for number in range(at, items, len(actors))]

        squares = [0] * items
        with ThreadPoolExecutor(len(actors)) as threads:
            for at, found in enumerate(threads.map(one_by_one, range(len(actors)))):
                squares[at :: len(actors)] = found
        return squares

    def square_all(self, actors: list[Any], items: int) -> list[int]:
        share = items // len(actors)

        def at_once(at: int) -> list[int]:
            found: list[int] = actors[at].squares(list(range(at * share, (at + 1) * share)))
            return found

        with ThreadPoolExecutor(len(actors)) as threads:
            return [found for half in threads.map(at_once, range(len(actors))) for found in half]
