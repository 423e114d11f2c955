"""The job itself: files spread over a pool's workers, one of which is killed half-way.

Layer: demo. Runs in: parent and actor.
Owns: the pool of a run; the system is `procactors.run`'s.
Never: counts a file twice; takes a file for done whose result has not come.

    parent                               worker (one per CPU)
    1 pool.map(analyse, tasks)   ────►   2 parse and count
      3 keep by path             ◄────     result, or the failure as a value
    4 half-way: a fatal task     ────►   5 parse, SIGKILL    ──X  the file in hand has no result
    6 ActorDied: given out again ────►   7 the next incarnation, or another worker, analyses it
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import NamedTuple

from procactors import Actor, ActorRef, ActorSystem, Pool
from procactors.demo.analysis import FileStats, Totals, analyse, total
from procactors.errors import ActorDied

__all__ = ["Job", "Killing", "Measured", "Task", "Worker"]

#: How often a file is given out that ends its worker; then its failure is its result.
_TRIES = 3


class Task(NamedTuple):
    """A file to be analysed; `is_fatal`: its worker is killed before it gives the result."""

    path: str
    is_fatal: bool = False


class Worker(Actor):
    """Analyses one file at a time."""

    def analyse(self, task: Task) -> FileStats:
        """Analyse one file."""
        stats = analyse(task.path)
        if task.is_fatal:
            # As the kernel does it to a process that takes too much memory: no code can prevent
            # it, and nothing is tidied up. From here, so that it always meets a file in hand.
            os.kill(os.getpid(), signal.SIGKILL)
        return stats

    def process_id(self) -> int:
        """Return the id of the process that this incarnation runs in."""
        return os.getpid()


@dataclasses.dataclass(frozen=True)
class Killing:
    """What the kill did.

    Attributes:
        name: of the actor.
        pid: of the process that was killed.
        done: files done at that moment.
        lost: path of the file that was in hand and was analysed again.
        new_pid: of the process that took over.
        incarnation: number of the actor's lives so far.
        restarts: how often it was respawned.
    """

    name: str
    pid: int
    done: int
    lost: str
    new_pid: int = 0
    incarnation: int = 0
    restarts: int = 0


@dataclasses.dataclass(frozen=True)
class Measured:
    """What a run over all files gave.

    Attributes:
        totals: the sum over all files.
        seconds: wall time; for actors it includes starting and stopping every process.
        workers: how many actors parsed; 0 for the serial run.
        killing: what the kill did; None if none was wanted.
    """

    totals: Totals
    seconds: float
    workers: int = 0
    killing: Killing | None = None


class Job:
    """All files, analysed once by actors and once in this process.

    Args:
        paths: of the files.
        say: called with a line for people.

    Attributes:
        done: files that are done in the run that goes on.
    """

    def __init__(self, paths: Sequence[str], say: Callable[[str], object]) -> None:
        self.paths = paths
        self.done = 0
        self._say = say
        self._killing: Killing | None = None

    def run_with_actors(
        self, system: ActorSystem, workers: int, *, kill: bool, started: float | None = None
    ) -> Measured:
        """Analyse all files with actors, with `kill` one of them killed half-way; end the system.

        Args:
            system: where the actors are spawned.
            workers: how many actors parse files.
            kill: whether to kill one.
            started: when the run began, by `perf_counter`; None: now.

        Raises:
            PoolBroken: every worker died more often than its restart intensity allows.
        """
        started = perf_counter() if started is None else started
        pool = system.options(name="worker", size=workers).pool(Worker)
        self._say(f"actors at work: {', '.join(ref.name for ref in pool.workers())}")
        stats = self._spread(pool, len(self.paths) // 2 if kill else None)
        killing = None if self._killing is None else _with_successor(system, self._killing)
        system.stop()
        return Measured(total(stats), perf_counter() - started, workers, killing)

    def run_serially(self) -> Measured:
        """Analyse all files in this process, one after the other."""
        started = perf_counter()
        self.done, stats = 0, []
        for path in self.paths:
            stats.append(analyse(path))
            self.advance()
        return Measured(total(stats), perf_counter() - started)

    def advance(self) -> None:
        """Count one more file that is done."""
        self.done += 1

    def _spread(self, pool: Pool[Worker], kill_at: int | None) -> list[FileStats]:
        """Have all files analysed; those that ended a worker are given out again."""
        self.done, stats = 0, []
        tasks = [Task(path, index == kill_at) for index, path in enumerate(self.paths)]
        for tries in range(1, _TRIES + 1):
            lost = []
            results = pool.map(Worker.analyse, tasks, on_error="collect", progress=tries == 1)
            for task, result in zip(tasks, results, strict=True):
                if isinstance(result, ActorDied) and tries < _TRIES:
                    lost.append(Task(task.path))
                    self._note_lost(task, result)
                else:
                    stats.append(_as_data(task, result))
                    self.advance()
            tasks = lost
        return stats

    def _note_lost(self, task: Task, error: ActorDied) -> None:
        report = error.report
        if not task.is_fatal or report is None or report.pid is None:
            self._say(str(error))
        else:
            victim = f"{report.actor} (pid {report.pid}, with a file in hand)"
            self._say(f"killed {victim} with SIGKILL; going on")
            self._killing = Killing(report.actor, report.pid, self.done, task.path)
        self._say(f"its file is not lost, but given out again: {task.path}")


def _as_data(task: Task, result: FileStats | BaseException) -> FileStats:
    """Return what came of a file; one that ends each worker has failed as one that cannot be read.

    Raises:
        PoolBroken: there is no worker left that could have analysed it.
    """
    if isinstance(result, ActorDied):
        return FileStats(task.path, error=f"{type(result).__name__}: {result}")
    if isinstance(result, BaseException):
        raise result
    return result


def _with_successor(system: ActorSystem, killing: Killing) -> Killing:
    """Complete what the kill did by the next incarnation; waits until that answers."""
    actor: ActorRef[Worker] = system[killing.name]
    new_pid = actor.ask(Worker.process_id)
    status = actor.status()
    return dataclasses.replace(
        killing, new_pid=new_pid, incarnation=status.incarnation, restarts=status.restarts
    )
