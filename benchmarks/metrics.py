"""What metrics cost a message: the same calls in systems with and without them, in turn.

Measures: µs an ask and messages a second told, with and without metrics, and the processor time of
caller and actor.
How: two systems that differ in ``ActorSystem(metrics=...)`` alone, in many short rounds that take
turns, so that whatever else the machine does meets both alike.
Never: compares figures of two runs.
"""

from __future__ import annotations

from benchmarks.ask import asks, by_method
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, take_turns
from benchmarks.tell import all_at_once, one_by_one, tells

NAME = "metrics"

#: What a message may take longer with metrics than without.
_MOST, _LEAST = 1.03, 1 / 1.03


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    place, calls, messages = effort.place, effort.of(200), effort.of(2_000)
    contenders = []
    for name, is_on in (("with", True), ("without", False)):
        ask = asks(by_method, calls, 0.0, place, metrics=is_on)
        tell = tells(one_by_one, messages, None, place, metrics=is_on)
        many = tells(all_at_once, messages, None, place, metrics=is_on)
        contenders += [
            Contender(f"ask, {name} metrics", "µs", ask),
            Contender(f"tell, {name} metrics", "messages/s", tell),
            Contender(f"tell_many, {name} metrics", "messages/s", many),
        ]
    take_turns(findings, contenders, effort.more(20))
    for what, target in (
        ("ask", Target(most=_MOST)),
        ("tell", Target(least=_LEAST)),
        ("tell_many", None),
    ):
        ours, beside = f"{what}, with metrics", f"{what}, without metrics"
        findings.compare(f"{what} with / without metrics", ours, beside, target)
        findings.compare_costs(ours, beside)
    return findings
