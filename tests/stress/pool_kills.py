"""Kill a pool's workers at random while it maps; then compare what was run with what was told."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import signal
import threading
from collections import Counter
from pathlib import Path
from typing import Any

from procactors import ActorSystem, Pool
from procactors.errors import ActorDied

#: Bytes that the workers write down between two kills, at most: some hundred items. Bound to their
#: progress, since on a busy machine they take longer to start than any time that is drawn.
_KILL_EVERY_BYTES = 1000
#: Share of the kills that come at once behind the one before, at workers that start.
_AT_ONCE = 0.2
#: Seconds by which a kill comes behind the progress that it waits for, at most.
_BEHIND_S = 0.005


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        items: how many there were.
        kills: workers killed.
        died: items told as lost with their worker.
        wrong: items whose result is not theirs.
        twice: items that were run more often than they may have been.
        missing: items that have a result and were never run.
    """

    items: int
    kills: int = 0
    died: int = 0
    wrong: int = 0
    twice: int = 0
    missing: int = 0


class Noter:
    """Writes down each item that it begins, and answers in many sizes."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, item: int) -> Any:
        os.write(self._fd, b"%d\n" % item)
        for _ in range(item % 7 * 100):
            pass
        return answer(item)


def answer(item: int) -> Any:
    """Return what an item is to be answered with: small, large, and numbers."""
    match item % 5:
        case 0:
            return item
        case 1:
            return item / 2
        case 2:
            return str(item)
        case 3:
            return None
        case _:
            return [item] * (item % 3000)


@contextlib.contextmanager
def killer(pool: Pool[Any], log: Path, seed: int, outcome: Outcome) -> Any:
    """Kill a worker of the pool now and then, as what they write down grows, in the block."""
    draw = random.Random(seed)
    done = threading.Event()

    def kill() -> None:
        due = 0
        while not done.wait(draw.uniform(0, _BEHIND_S)):
            size = log.stat().st_size if log.exists() else 0
            if size < due:
                continue
            pid = draw.choice(pool.workers()).status().pid
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    outcome.kills += 1
            due = size if draw.random() < _AT_ONCE else size + draw.randrange(_KILL_EVERY_BYTES)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def run(
    system: ActorSystem,
    folder: Path,
    items: int,
    seed: int,
    retries: int,
    ordered: bool,
    chunk: Any = "auto",
) -> Outcome:
    """Map `items` numbers while workers are killed; return what came of it."""
    log = folder / f"log-{retries}-{ordered}"
    outcome = Outcome(items)
    with system.options(size=3, max_restarts=10**6).pool(Noter, str(log)) as pool:
        with killer(pool, log, seed, outcome):
            results = pool.map(
                Noter.note,
                range(items),
                on_error="collect",
                retries=retries,
                ordered=ordered,
                chunk=chunk,
            )
            found = list(results)
    begun = Counter(map(int, log.read_text().split()))
    good = [value for value in found if not isinstance(value, BaseException)]
    outcome.died = sum(isinstance(value, ActorDied) for value in found)
    assert len(found) == items
    others = Counter(f"{type(v).__name__}: {v}"[:60] for v in found if isinstance(v, BaseException))
    assert len(good) + outcome.died == items, f"errors that no kill brings: {others}"
    if ordered:
        for item, value in enumerate(found):
            if not isinstance(value, BaseException):
                outcome.wrong += value != answer(item)
                outcome.missing += not begun[item]
    else:
        outcome.wrong = sum(
            (Counter(map(repr, good)) - Counter(map(repr, map(answer, range(items))))).values()
        )
    outcome.twice = sum(count > 1 + retries for count in begun.values())
    return outcome
