"""The job itself: files spread over supervised actors, one of them killed half-way.

Layer: demo. Runs in: parent and actor.
Owns: the actor system of a run, stopped when the run ends, however it ends.
Never: counts a file twice; takes a file for done that the gatherer does not have.

    parent (Driver)                 Worker (one per CPU)          Gatherer
    1 submit(analyse, path)  ────►  2 parse and count
      a few in flight each          3 tell(add, stats)     ────►  4 keep by path
    5 reply: feed the next   ◄────  (returns)
    6 half done: SIGKILL     ──X    its file in hand is not done, the others wait in the mailbox
    7 ActorDied: feed it again ──►  next incarnation goes on
    8 ask(report, paths)     ─────────────────────────────────►   9 what is missing, and totals
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, TypeVar

from procactors import Actor, ActorRef, ActorSystem
from procactors.demo.analysis import FileStats, Totals, analyse, total
from procactors.demo.stopping import StopAsked, StopRequest
from procactors.errors import ActorDied, ActorStopped
from procactors.wire.procstat import STATE, stat_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from procactors.demo.progress import Progress

__all__ = ["Driver", "Gatherer", "Killing", "Outcome", "Worker", "run_serially", "run_with_actors"]

ResultT = TypeVar("ResultT")

#: Files submitted to each worker at a time: the next one waits in its mailbox while the reply
#: of the last one travels, and a kill still loses only the one in hand.
IN_FLIGHT = 3
#: Seconds until the next look for a worker with a file in hand.
_LOOK_AGAIN_S = 0.002
#: Seconds in which all actors together must end once the run is over or a signal came. What
#: is in flight takes about one second at most; a batch scheduler usually grants thirty.
DRAIN_S = 10.0


class Gatherer(Actor):
    """Keeps what was counted, by path: a file that is analysed twice counts once."""

    def __init__(self) -> None:
        self.stats: dict[str, FileStats] = {}

    def add(self, stats: FileStats) -> None:
        """Keep what was counted in one file."""
        self.stats[stats.path] = stats

    def report(self, paths: Sequence[str]) -> tuple[list[str], Totals]:
        """Return those of the paths that have not come, in the order given, and the sum so far."""
        missing = [path for path in paths if path not in self.stats]
        return missing, total(self.stats.values())


class Worker(Actor):
    """Analyses one file at a time and tells the gatherer what it found."""

    def __init__(self, gatherer: ActorRef[Gatherer]) -> None:
        self.gatherer = gatherer

    def analyse(self, path: str) -> None:
        """Analyse one file; the answer goes to the gatherer, not to the caller."""
        self.gatherer.tell(Gatherer.add, analyse(path))

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
        lost: path of the file that was in hand and was analysed again; None if it was idle.
        new_pid: of the process that took over.
        incarnation: number of the actor's lives so far.
        restarts: how often it was respawned.
    """

    name: str
    pid: int
    done: int
    lost: str | None = None
    new_pid: int = 0
    incarnation: int = 0
    restarts: int = 0


@dataclasses.dataclass(frozen=True)
class Outcome:
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


def run_serially(paths: Sequence[str], progress: Progress, stop: StopRequest) -> Outcome:
    """Analyse all files in this process, one after the other.

    Blocks until all are done. Looks at ``stop`` after each file.

    Raises:
        StopAsked: a signal came.
    """
    started = time.perf_counter()
    progress.begin("one process", len(paths))
    stats = []
    for done, path in enumerate(paths, 1):
        stats.append(analyse(path))
        progress.advance(done)
        stop.check()
    return Outcome(total(stats), time.perf_counter() - started)


def run_with_actors(
    paths: Sequence[str],
    progress: Progress,
    stop: StopRequest,
    *,
    workers: int,
    kill: bool = True,
    start_method: str = "forkserver",
) -> Outcome:
    """Analyse all files with actors, and kill one of them half-way.

    Blocks until all are done; a stop signal ends it early: files in hand and in the mailboxes
    are finished, then every actor stops, all within ``DRAIN_S`` seconds.

    Args:
        paths: of the files.
        progress: told of each file done.
        stop: looked at after each event.
        workers: how many actors parse files.
        kill: whether to kill one.
        start_method: ``forkserver``, ``spawn`` or ``fork``.

    Raises:
        StopAsked: a signal came.
        ActorStopped: every worker died more often than its restart intensity allows.
    """
    started = time.perf_counter()
    progress.begin("actors", len(paths))
    system = ActorSystem("demo", start_method=start_method, stop_timeout=DRAIN_S)
    try:
        with system:
            driver = Driver(system, progress, stop, workers)
            try:
                totals = driver.run(paths, kill=kill)
            except StopAsked:
                system.stop()  # what is in hand is finished: left by an exception, it is not
                raise
            killing = driver.killing()
    except KeyboardInterrupt:
        # A second Ctrl-C, while the system was stopping: no more patience.
        system.kill()
        raise
    return Outcome(totals, time.perf_counter() - started, workers, killing)


class Driver:
    """Feeds the workers until the gatherer has every file. Runs in the parent's main thread.

    Work is pulled: a worker gets its next file when one of its replies comes, so a slow one
    holds up nobody.

    Args:
        system: where the actors are spawned.
        progress: told of each file done.
        stop: looked at after each event.
        workers: how many actors parse files.
    """

    def __init__(
        self, system: ActorSystem, progress: Progress, stop: StopRequest, workers: int
    ) -> None:
        self._progress = progress
        self._stop = stop
        # Replies that are done, or None for a stop signal. A SimpleQueue, because its put may
        # be called from a signal handler, even one that interrupts a put.
        self._events: queue.SimpleQueue[Future[None] | None] = queue.SimpleQueue()
        stop.on_request(lambda: self._events.put(None))
        self._gatherer = system.options(name="gatherer").spawn(Gatherer)
        self._workers: list[ActorRef[Worker]] = []
        for number in range(1, workers + 1):
            stop.check()
            named = system.options(name=f"worker-{number}")
            self._workers.append(named.spawn(Worker, self._gatherer))
        self._todo = deque[str]()
        self._in_flight: dict[Future[None], tuple[ActorRef[Worker], str]] = {}
        self._given = Counter[ActorRef[Worker]]()
        self._done = 0
        self._victim: ActorRef[Worker] | None = None
        self._killing: Killing | None = None

    def run(self, paths: Sequence[str], *, kill: bool) -> Totals:
        """Have all files analysed and return their sum; with ``kill``, kill a worker half-way.

        Blocks until the gatherer has them all.

        Raises:
            StopAsked: a signal came.
            ActorStopped: no worker is left.
        """
        kill_at = len(paths) // 2 if kill else None
        missing, totals = list(paths), Totals()
        # Once is enough unless somebody else kills actors too: a result that its worker had
        # not yet written to the gatherer's mailbox dies with the worker, and the gatherer's
        # own memory dies with the gatherer. So the gatherer has the last word.
        while missing:
            self._done = len(paths) - len(missing)
            self._todo = deque(missing)
            self._feed_all()
            while self._in_flight:
                is_due = kill_at is not None and self._done >= kill_at
                if is_due and self._kill_one():
                    kill_at, is_due = None, False
                self._take(self._next_event(_LOOK_AGAIN_S if is_due else None))
            if kill_at is not None:  # so few files that none was ever seen in hand
                self._kill(self._workers[0], self._workers[0].status().pid, "idle")
                kill_at = None
            missing, totals = ask_again(lambda: self._gatherer.ask(Gatherer.report, paths))
        return totals

    def killing(self) -> Killing | None:
        """Return what the kill did, once the killed actor answers again."""
        victim = self._victim
        if victim is None or self._killing is None:
            return None
        new_pid = ask_again(lambda: victim.ask(Worker.process_id))
        status = victim.status()
        return dataclasses.replace(
            self._killing,
            new_pid=new_pid,
            incarnation=status.incarnation,
            restarts=status.restarts,
        )

    def _feed_all(self) -> None:
        for _ in range(IN_FLIGHT):
            for worker in tuple(self._workers):
                self._feed(worker)

    def _feed(self, worker: ActorRef[Worker]) -> None:
        if not self._todo or worker not in self._workers:
            return
        try:
            reply = worker.submit(Worker.analyse, self._todo[0])
        except ActorStopped as error:
            self._give_up(worker, error)
            return
        self._in_flight[reply] = (worker, self._todo.popleft())
        self._given[worker] += 1
        reply.add_done_callback(self._events.put)

    def _take(self, reply: Future[None] | None) -> None:
        self._stop.check()
        if reply is None:
            return
        worker, path = self._in_flight.pop(reply)
        error = reply.exception()
        if isinstance(error, ActorDied):
            self._note_lost(worker, path)
            self._todo.appendleft(path)
        elif isinstance(error, ActorStopped) and error.__cause__ is None:
            # One that the handler met itself, at the gatherer, has its traceback as cause.
            self._todo.appendleft(path)
            self._give_up(worker, error)
        elif error is not None:
            raise error
        else:
            self._done += 1
            self._progress.advance(self._done)
        self._feed(worker)

    def _give_up(self, worker: ActorRef[Worker], error: ActorStopped) -> None:
        """Go on without a worker that stays down; without any there is no going on."""
        if worker in self._workers:
            self._workers.remove(worker)
            self._progress.say(f"{worker.name} is down for good: {error}")
        if not self._workers:
            raise error

    def _next_event(self, timeout: float | None) -> Future[None] | None:
        try:
            return self._events.get(timeout=timeout)
        except queue.Empty:
            return None

    def _kill_one(self) -> bool:
        """Kill a worker that has a file in hand; return whether there was one."""
        busy = {worker: worker.status().busy_s for worker in self._workers}
        for worker in sorted(busy, key=lambda worker: -busy[worker]):
            pid = worker.status().pid
            if pid is None or not busy[worker]:
                continue  # it died just now without our help, or has nothing in hand
            # Stopped first: between a look and the kill it would be done with a short file.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                await_stop(pid)
                if self._has_file_in_hand(worker):
                    self._kill(worker, pid, "with a file in hand")
                    return True
                os.kill(pid, signal.SIGCONT)
        return False

    def _has_file_in_hand(self, worker: ActorRef[Worker]) -> bool:
        """Whether a worker, which is stopped, is at a file that it has not answered for."""
        # The replies that it has sent are in the pipe before the reply to this.
        ask_again(lambda: self._gatherer.submit(Gatherer.report, []).result())
        waiting = sum(who == worker and not it.done() for it, (who, _) in self._in_flight.items())
        status = worker.status()
        return status.busy_s > 0 and status.handled == self._given[worker] - waiting

    def _kill(self, victim: ActorRef[Worker], pid: int | None, state: str) -> None:
        """Kill a worker with the signal that nobody can catch."""
        if pid is None:
            return  # it died just now without our help
        os.kill(pid, signal.SIGKILL)
        self._victim = victim
        self._killing = Killing(victim.name, pid, self._done)
        self._progress.say(f"killed {victim.name} (pid {pid}, {state}) with SIGKILL; going on")

    def _note_lost(self, worker: ActorRef[Worker], path: str) -> None:
        if self._killing is not None and worker == self._victim and self._killing.lost is None:
            self._killing = dataclasses.replace(self._killing, lost=path)
            self._progress.say(f"its file is not lost, but given out again: {path}")


def await_stop(pid: int) -> None:
    """Wait until a process that was sent SIGSTOP is stopped, or gone."""
    while (fields := stat_of(pid)) and fields[STATE] not in (b"T", b"t", b"Z", b"X"):
        signal.sigtimedwait([], 0.001)


def ask_again(ask: Callable[[], ResultT]) -> ResultT:
    """Ask until an answer comes: a kill may take the question with it.

    Asking again is safe where the question changes nothing. It ends: the restart intensity
    stops an actor that dies again and again.

    Raises:
        ActorStopped: the actor is down for good.
    """
    while True:
        try:
            return ask()
        except ActorDied:
            continue
