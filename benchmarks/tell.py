"""One-way messages: `tell` beside the stock Queue and beside bare writes.

Measures: messages a second from the first send to the last one's being handled.
How: one sender, one receiver, the same `Counter.add`; the last message of a round is answered, and
the round ends with that answer, so that nobody wins by only filling a buffer.
Never: counts a message that was sent but not handled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.findings import Findings, Target
from benchmarks.rounds import Contender, Effort, Round, rate, take_turns
from procactors import ActorSystem

NAME = "tell"


@contextmanager
def tells(messages: int, mailbox: int | None = None) -> Iterator[Round]:
    """Tell one actor, of a mailbox with so many places, and ask it last."""
    with ActorSystem() as system:
        counter = system.options(mailbox=mailbox).spawn(Counter)

        def send() -> None:
            for _ in range(messages - 1):
                counter.tell(Counter.add, 1)
            counter.ask(Counter.add, 1)

        yield partial(rate, send, messages)


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    messages = effort.of(20_000)
    queue, pipe = "stock Queue", "bare pipe, one write a message"
    take_turns(
        findings,
        [
            Contender(queue, "messages/s", floors.queue_one_way(messages)),
            Contender(pipe, "messages/s", floors.pipe_one_way(messages)),
            Contender("tell", "messages/s", tells(messages)),
            Contender("tell, mailbox of 100", "messages/s", tells(messages, 100)),
        ],
        effort,
    )
    findings.compare("tell / stock Queue", "tell", queue, Target(least=3.0, later=4.0))
    findings.compare("tell / bare pipe", "tell", pipe)
    findings.compare("tell with a mailbox of 100 / stock Queue", "tell, mailbox of 100", queue)
    return findings
