"""One supervisor, one directory, one driver and many nodes: a simulation from measured costs.

Measures: nothing: what a start, a death, a lookup and a message cost was measured elsewhere, and
stands in `LOCAL` and `RAY` with its source.
How: events in the order of their times. Whoever does one thing after the other (a supervisor, a
directory, a program that feeds a pool, a core that starts a process) is a `Line`; the rest takes
its time beside the others. ``python -m benchmarks.scaling`` prints the table of docs/scaling.md,
which a test holds alike.
Never: counts the network, or what Ray's own control service does with so many: see the page.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "LOCAL",
    "PLANS",
    "RAY",
    "Costs",
    "Plan",
    "busy",
    "lookup_s",
    "recovered_s",
    "shown",
    "started_s",
]

#: Cores of a node, and actors that work there.
CORES = 32
#: Names that an actor looks up when it starts.
NAMES = 3
#: Seconds between two lookups of an actor that keeps no ref.
ASKS_EACH_S = 10.0
#: Seconds of a program's life for which waits are looked at.
WINDOW_S = 4.0


@dataclass(frozen=True)
class Costs:
    """What one of a kind costs, in seconds.

    Attributes:
        order: the supervisor's time for a start.
        start: a core's time for it, on the node, to the first answer.
        notice: from a death to its being known.
        lookup: the directory's time for a name.
        message: the time of who feeds a pool, for a message of work and its answer.
    """

    order: float
    start: float
    notice: float
    lookup: float
    message: float


#: On one machine: benchmarks/results/2026-11-29-2146.md (two cores, CPython 3.11).
LOCAL = Costs(
    order=0.0041,  # a spawn's processor time of the caller, whose process is the supervisor's
    start=0.0113,  # ... and of the other side
    notice=0.001,  # a SIGKILL to the next answer takes so much longer than a start
    lookup=0.000054,  # an ask, both on one core
    message=0.000034,  # `pool.map` with chunk=1: 29,212 items a second
)
#: On Ray: benchmarks/results/ray-2026-11-30.md (Ray 2.60, the same machine, busy: processor times).
RAY = Costs(
    order=0.0136,  # a spawn's processor time of the program, which has the supervisor
    start=0.61,  # ... and of the actor's process up to its first answer
    notice=12.0,  # seen: how long Ray, as it comes, takes a node that was killed for alive
    lookup=0.0013,  # the program's processor time for a name that an actor looks up
    message=0.000046,  # ... and for an item of `pool.map` with chunk=1
)


@dataclass(frozen=True)
class Plan:
    """How actors are divided.

    Attributes:
        nodes: machines, of `CORES` cores and workers each.
        inner: whether the cluster has one actor a node, with a system of processes in it; else
            each worker is an actor of the cluster.
        systems: programs with a system each, which share the nodes.
    """

    nodes: int
    inner: bool = False
    systems: int = 1

    @property
    def actors(self) -> int:
        """Actors of one system that its supervisor on the cluster knows."""
        return self.nodes // self.systems * (1 if self.inner else CORES)

    def __str__(self) -> str:
        return (
            f"{self.nodes:,} nodes, "
            + ("one actor and its system a node" if self.inner else "an actor a core")
            + (f", {self.systems} systems" if self.systems > 1 else "")
        )


class Simulation:
    """Events in the order of their times."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()  # what is due at the same time happens as it was said

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (self.now + seconds, next(self._count), act))

    def run(self, until: float = float("inf")) -> float:
        """Let all happen that does up to a time; return when the last of it did."""
        while self._events and self._events[0][0] <= until:
            self.now, _, act = heapq.heappop(self._events)
            act()
        return self.now


class Line:
    """Does what it is given, in turn, so many at a time."""

    def __init__(self, simulation: Simulation, width: int = 1) -> None:
        self._simulation = simulation
        self._free = width
        self._waiting: deque[tuple[float, Callable[[], None]]] = deque()

    def give(self, seconds: float, done: Callable[[], None] = lambda: None) -> None:
        """Have something done that takes so long; `done` is called when it is."""
        self._waiting.append((seconds, done))
        self._next()

    def _next(self) -> None:
        if not self._free or not self._waiting:
            return
        self._free -= 1
        seconds, done = self._waiting.popleft()

        def end() -> None:
            self._free += 1
            done()
            self._next()

        self._simulation.after(seconds, end)


def started_s(plan: Plan, outer: Costs, inner: Costs) -> float:
    """Return the seconds until all of a system's actors are up and have found their names."""
    simulation = Simulation()
    supervisor, directory = Line(simulation), Line(simulation)
    for _ in range(plan.nodes // plan.systems):
        node = Line(simulation, CORES)
        for _ in range(1 if plan.inner else CORES):
            _start(supervisor, node, directory, outer, NAMES)
    return simulation.run() + (_node_s(inner) if plan.inner else 0.0)


def _start(supervisor: Line, node: Line, directory: Line, costs: Costs, names: int) -> None:
    def look() -> None:
        for _ in range(names):
            directory.give(costs.lookup)

    supervisor.give(costs.order, lambda: node.give(costs.start, look))


def _node_s(costs: Costs) -> float:
    """Return the seconds that a node's own system takes for its workers."""
    return started_s(Plan(1), costs, costs)


def recovered_s(plan: Plan, outer: Costs, inner: Costs) -> tuple[float, float]:
    """Return what comes of a node's end.

    Returns:
        seconds until all its actors are back, on the other nodes; and the wait of a command to the
        supervisor meanwhile, of which 99 in 100 wait no longer. One a second comes for each 1,000
        actors.
    """
    simulation = Simulation()
    supervisor = Line(simulation)
    others = [Line(simulation, CORES) for _ in range(min(plan.nodes - 1, CORES))]
    back: list[float] = []
    waits: list[float] = []

    def known() -> None:
        for number in range(1 if plan.inner else CORES):
            node = others[number % len(others)]
            supervisor.give(
                outer.order,
                lambda node=node: node.give(outer.start, lambda: back.append(simulation.now)),
            )

    simulation.after(outer.notice, known)
    _arrivals(simulation, plan.actors / 1_000, supervisor, outer.lookup, waits, outer.notice)
    simulation.run()
    return back[-1] + (_node_s(inner) if plan.inner else 0.0), _p99(waits)


def lookup_s(plan: Plan, outer: Costs, inner: Costs) -> float | None:
    """Return the wait of 99 in 100 lookups, where each worker looks a name up each 10 s; None: it
    grows for ever.
    """
    # In a node with a system of its own, names of the node's are looked up there.
    workers, costs = (CORES, inner) if plan.inner else (plan.actors, outer)
    if workers / ASKS_EACH_S * costs.lookup >= 1:
        return None
    simulation = Simulation()
    directory, waits = Line(simulation), list[float]()
    _arrivals(simulation, workers / ASKS_EACH_S, directory, costs.lookup, waits, 0.0)
    simulation.run()
    return _p99(waits)


def _arrivals(
    simulation: Simulation,
    rate: float,
    line: Line,
    seconds: float,
    waits: list[float],
    begin: float,
) -> None:
    """Have so many come a second, at random, for a while; note how long each waits."""
    draw = random.Random(7).expovariate  # the same in each run
    at = begin + draw(rate)
    while at < begin + WINDOW_S:

        def come(at: float = at) -> None:
            line.give(seconds, lambda: waits.append(simulation.now - at))

        simulation.after(at, come)
        at += draw(rate)


def _p99(waits: list[float]) -> float:
    return sorted(waits)[len(waits) * 99 // 100] if waits else 0.0


def busy(plan: Plan, outer: Costs, inner: Costs, work_s: float) -> float:
    """Return the share of their time for which a pool's workers work.

    Args:
        plan: how the actors are divided.
        outer, inner: costs on the cluster and within a node.
        work_s: seconds of work in a message to a worker, however many items that is.
    """
    simulation = Simulation()
    driver, ended = Line(simulation), list[float]()
    workers, message = plan.actors, outer.message
    # A node's own system divides what it is given, a piece for each of its workers at a time.
    takes_s = max(work_s + inner.message, CORES * inner.message) if plan.inner else work_s

    def feed() -> None:
        driver.give(message, lambda: simulation.after(takes_s, answer))

    def answer() -> None:
        ended.append(simulation.now)
        feed()

    for _ in range(workers):
        feed()
    # From there on it goes on alike: all have been fed once, or the driver has no pause any more.
    begin = takes_s + min(workers * message, takes_s)
    window = max(5 * takes_s, 2_000 * message)
    simulation.run(begin + window)
    count = sum(at > begin for at in ended)
    return min(1.0, count * work_s / (workers * window))


#: The columns of the table.
PLANS = (
    Plan(100),
    Plan(100, inner=True),
    Plan(10_000),
    Plan(10_000, inner=True),
    Plan(10_000, inner=True, systems=100),
)


def shown(plans: tuple[Plan, ...] = PLANS, outer: Costs = RAY, inner: Costs = LOCAL) -> list[str]:
    """Return the table's lines: a row a question, a column a plan."""
    rows: list[list[str]] = [["", *map(str, plans)], ["---", *["---:" for _ in plans]]]

    def row(what: str, answer: Callable[[Plan], str]) -> None:
        rows.append([what, *map(answer, plans)])

    row("actors that the supervisor knows", lambda plan: f"{plan.actors:,}")
    row("all are up", lambda plan: _said(started_s(plan, outer, inner)))
    row("a node ends: its actors are back", lambda plan: _said(recovered_s(plan, outer, inner)[0]))
    row("wait of a command meanwhile", lambda plan: _said(recovered_s(plan, outer, inner)[1]))
    row("a lookup by each worker each 10 s", lambda plan: _said(lookup_s(plan, outer, inner)))
    for work_s in (0.01, 0.1, 1.0, 10.0, 100.0):
        row(
            f"workers at work, {_said(work_s)} a message",
            lambda plan, work_s=work_s: f"{busy(plan, outer, inner, work_s):.0%}",
        )
    return [f"| {' | '.join(cells)} |" for cells in rows]


def _said(seconds: float | None) -> str:
    """Say a time in two digits."""
    if seconds is None:
        return "more and more"
    for unit, name in ((3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if seconds >= unit:
            return f"{float(f'{seconds / unit:.2g}'):g} {name}"
    return f"{float(f'{seconds * 1e6:.2g}'):g} µs"


if __name__ == "__main__":
    print("\n".join(shown()))
