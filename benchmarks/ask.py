"""A request and its reply: `ask` beside bare pipes and beside the stock Queue.

Measures: µs a call, one call at a time, one actor; at once after each other, and after a rest. And
the processor time of caller and actor.
How: the same `Counter.add` behind every channel, in turns of some hundred calls. After a rest both
processes are asleep, so that row shows what waking them costs. At once after each other, on two
cores, blocking readers doze between the calls, and spinning ones stay awake.
Never: two calls in flight; that is `submit`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.places import FREE, Place
from benchmarks.processor import costed
from benchmarks.rounds import Contender, Effort, Round, take_turns, timed
from procactors import ActorRef, ActorSystem

NAME = "ask"

#: Seconds between the calls of the rows "after a rest".
REST_S = 0.002


def by_method(counter: ActorRef[Counter]) -> Callable[[], object]:
    """Answer a call of the ref's `ask`."""
    return partial(counter.ask, Counter.add, 1)


def _by_value(counter: ActorRef[Counter]) -> Callable[[], object]:
    return partial(counter.ask, 1)


def _by_proxy(counter: ActorRef[Counter]) -> Callable[[], object]:
    return partial(counter.proxy().add, 1)


@contextmanager
def asks(
    call: Callable[[ActorRef[Counter]], Callable[[], object]],
    calls: int,
    rest_s: float = 0.0,
    place: Place = FREE,
    **words: Any,
) -> Iterator[Round]:
    """Ask one actor of a system with these options, in the way that ``call`` makes of its ref."""
    with ActorSystem(**words) as system:
        counter = system.spawn(Counter)
        ask, pid = call(counter), counter.status().pid
        place.settle(pid)
        turn = partial(floors.rested, ask, calls, rest_s) if rest_s else partial(timed, ask, calls)
        yield costed(turn, calls, [pid])


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    place, calls, few = effort.place, effort.of(300), effort.of(40)
    block, spin, reused, fresh = (
        "pipes, blocking reads",
        "pipes, spinning up to 50 µs on two cores",
        "Queue there, one Pipe back",
        "Queue there, a fresh Pipe per call",
    )
    spins = [] if place.alone else [
        Contender(spin, "µs", floors.pipe_calls(floors.spinning, calls, 0.0, place)),
        Contender(
            f"{spin}, after a rest", "µs", floors.pipe_calls(floors.spinning, few, REST_S, place)
        ),
    ]  # fmt: skip
    take_turns(
        findings,
        [
            Contender(block, "µs", floors.pipe_calls(floors.blocking, calls, 0.0, place)),
            Contender(
                f"{block}, after a rest",
                "µs",
                floors.pipe_calls(floors.blocking, few, REST_S, place),
            ),
            *spins,
            Contender(reused, "µs", floors.queue_calls_reused_pipe(calls, place)),
            Contender(fresh, "µs", floors.queue_calls_fresh_pipe(few, place)),
            Contender("ask", "µs", asks(by_method, calls, 0.0, place)),
            Contender("ask, a value as message", "µs", asks(_by_value, calls, 0.0, place)),
            Contender("ask, through a proxy", "µs", asks(_by_proxy, calls, 0.0, place)),
            Contender("ask, after a rest", "µs", asks(by_method, few, REST_S, place)),
        ],
        effort.more(2),
    )
    _compare(findings, place, block, spin)
    findings.compare("ask / stock Queue and one Pipe", "ask", reused)
    findings.compare("ask / stock Queue and fresh Pipes", "ask", fresh)
    findings.compare_costs("ask", block)
    return findings


def _compare(findings: Findings, place: Place, block: str, spin: str) -> None:
    """Compare with the floors: on one core nobody can beat blocking, on two spinning can."""
    bound = Target(most=2.5, later=1.8) if place.alone else Target(most=1.0)
    findings.compare("ask / blocking floor", "ask", block, bound)
    if not place.alone:
        findings.compare("ask / spinning floor", "ask", spin, Target(most=2.5))
    findings.compare(
        "ask / blocking floor, both after a rest", "ask, after a rest", f"{block}, after a rest"
    )
