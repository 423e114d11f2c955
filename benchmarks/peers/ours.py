"""procactors, as it comes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from benchmarks import ask, payload, pool, spawn, tell
from benchmarks.actors import Counter
from benchmarks.peers.rows import IDLE, Grown, Peer as Base
from benchmarks.rounds import Effort, Round
from procactors import ActorSystem


class Peer(Base):
    """The same rounds as in the other subjects."""

    title = "procactors"

    def ask(self, effort: Effort) -> AbstractContextManager[Round]:
        return ask.asks(ask.by_method, effort.of(200))

    def tell(self, effort: Effort) -> AbstractContextManager[Round]:
        return tell.tells(tell.one_by_one, effort.of(2_000))

    def start(self, effort: Effort) -> AbstractContextManager[Round]:
        return spawn.spawns(1)

    def crowd(self, effort: Effort) -> AbstractContextManager[Round]:
        return spawn.crowds(spawn.CROWD)

    def payload(self, effort: Effort) -> AbstractContextManager[Round]:
        fresh = [payload.made(payload.SMALL) for _ in range(payload.MANY)]
        return payload.speeds(payload.asks(fresh, effort.of(50), read=True), payload.SMALL)

    def singles(self, effort: Effort) -> AbstractContextManager[Round]:
        return pool.pool_singles(effort.of(pool.ITEMS // 10))

    def batches(self, effort: Effort) -> AbstractContextManager[Round]:
        return pool.pool_maps(pool.ITEMS)

    def crash(self, effort: Effort) -> AbstractContextManager[Round]:
        return spawn.kills(1)

    @contextmanager
    def memory(self, effort: Effort) -> Iterator[Round]:
        with ActorSystem() as system:
            system.spawn(Counter).ask(Counter.add, 1)  # the zygote is there from now on
            yield partial(_idle_mb, system)


def _idle_mb(system: ActorSystem) -> list[float]:
    grown = Grown()
    counters = [system.spawn(Counter) for _ in range(IDLE)]
    for counter in counters:
        counter.ask(Counter.add, 1)
    found = grown.mb() / IDLE
    for counter in counters:
        counter.kill()
    return [found]
