"""The floor: bare pipes, forks, and a kept shared map; no library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from benchmarks import floors
from benchmarks.memory import unique_mb
from benchmarks.payload import MANY, SMALL, made, speeds
from benchmarks.peers.rows import Peer as Base
from benchmarks.pool import ITEMS, WORKERS
from benchmarks.rounds import Effort, Round
from benchmarks.spawn import CROWD, PAUSE_S


class Peer(Base):
    """The same rounds as in the other subjects."""

    title = "bare primitives (floor)"

    def ask(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.pipe_calls(floors.blocking, effort.of(200))

    def tell(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.pipe_one_way(effort.of(2_000))

    def start(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.fork_starts(1, PAUSE_S)

    def crowd(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.fork_crowds(CROWD)

    def payload(self, effort: Effort) -> AbstractContextManager[Round]:
        fresh = [made(SMALL) for _ in range(MANY)]
        return speeds(floors.kept_segment(fresh, effort.of(50)), SMALL)

    def singles(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.single_items(WORKERS, effort.of(ITEMS // 10))

    def batches(self, effort: Effort) -> AbstractContextManager[Round]:
        return floors.batched_items(WORKERS, ITEMS)

    @contextmanager
    def memory(self, effort: Effort) -> Iterator[Round]:
        yield _idle_mb


def _idle_mb() -> list[float]:
    """Fork within the round, as the others do: what the parent writes later is the child's own."""
    with floors.idle_child() as pid:
        return [unique_mb(pid)]
