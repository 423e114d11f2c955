"""Monte Carlo with seeds: the same digits of pi, whichever worker does an item, and after a crash.

A worker's own random numbers depend on which items it was given, and that is chance. So each item
has a seed of its own, `derive(SEED, item)`: it is the same in each run, on any number of workers,
and when the item is done once more because its worker was killed (`retries=1`).

Run it: procactors examples monte_carlo

Expected on stderr, where the runtime reports the death:

    actor darts-3-... (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    1 worker:  pi is about 3.14042
    3 workers: pi is about 3.14042, one of them killed
    seeds of two workers, the same in each run: b97dc04f 4cd1143e
"""

import os
import random
import signal
import tempfile
from pathlib import Path

from procactors import ActorSystem, current_context
from procactors.seeds import derive

SEED = 2024
ITEMS, DARTS = 64, 10_000


def hits(item: int) -> int:
    """How many darts of this item fall into the quarter of a circle."""
    draw = random.Random(derive(SEED, item)).random
    return sum(draw() ** 2 + draw() ** 2 < 1 for _ in range(DARTS))


def hits_with_a_crash(item: int, marker: Path) -> int:
    """The same; but the first try of item 20 ends its worker."""
    if item == 20 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return hits(item)


def pi(found: int) -> str:
    return f"pi is about {4 * found / (ITEMS * DARTS):.5f}"


with ActorSystem() as system:
    with system.options(size=1, name="darts-1").pool() as pool:
        print("1 worker: ", pi(sum(pool.map(hits, range(ITEMS)))))

    with tempfile.TemporaryDirectory() as folder:
        items = ((item, Path(folder) / "killed") for item in range(ITEMS))
        with system.options(size=3, name="darts-3").pool() as pool:
            found = sum(pool.starmap(hits_with_a_crash, items, retries=1, ordered=False))
            print(f"3 workers: {pi(found)}, one of them killed")

    # What need not depend on the item: each worker, and each incarnation, has a seed of its own.
    with system.options(size=2, seed=SEED).pool() as pool:
        seeds = pool.gather(lambda: current_context().seed)
        print("seeds of two workers, the same in each run:", *(f"{s % 2**32:08x}" for s in seeds))
