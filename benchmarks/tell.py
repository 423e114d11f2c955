"""One-way messages: `tell` beside the stock Queue and beside bare writes.

Measures: messages a second from the first send to the last one's being handled, and the processor
time of sender and receiver.
How: one sender, one receiver, the same `Counter.add`; the last message of a round is answered, and
the round ends with that answer, so that nobody wins by only filling a buffer.
Never: counts a message that was sent but not handled.
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
from benchmarks.rounds import Absent, Contender, Effort, Round, rate, take_turns
from procactors import ActorRef, ActorSystem

NAME = "tell"


def one_by_one(counter: ActorRef[Counter], messages: int) -> None:
    """Tell each message by itself."""
    for _ in range(messages):
        counter.tell(Counter.add, 1)


def all_at_once(counter: ActorRef[Counter], messages: int) -> None:
    """Tell all messages by one call."""
    counter.tell_many(Counter.add, ((1,) for _ in range(messages)))


@contextmanager
def tells(
    send: Callable[[ActorRef[Counter], int], None],
    messages: int,
    mailbox: int | None = None,
    place: Place = FREE,
    **words: Any,
) -> Iterator[Round]:
    """Tell one actor of a system with these options, of so many places, and ask it last."""
    if send is all_at_once and not hasattr(ActorRef, "tell_many"):
        raise Absent("this procactors has no ActorRef.tell_many")
    with ActorSystem(**words) as system:
        counter = system.options(mailbox=mailbox).spawn(Counter)
        pid = counter.status().pid
        place.settle(pid)

        def sent() -> None:
            send(counter, messages - 1)
            counter.ask(Counter.add, 1)

        yield costed(partial(rate, sent, messages), messages, [pid])


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    place, messages = effort.place, effort.of(20_000)
    queue, pipe = "stock Queue", "bare pipe, one write a message"
    bounded = "tell, mailbox of 100"
    take_turns(
        findings,
        [
            Contender(queue, "messages/s", floors.queue_one_way(messages, place)),
            Contender(pipe, "messages/s", floors.pipe_one_way(messages, place)),
            Contender("tell", "messages/s", tells(one_by_one, messages, None, place)),
            Contender("tell_many", "messages/s", tells(all_at_once, messages, None, place)),
            Contender(bounded, "messages/s", tells(one_by_one, messages, 100, place)),
        ],
        effort,
    )
    findings.compare("tell / stock Queue", "tell", queue, Target(least=2.5, later=3.0))
    findings.compare("tell_many / stock Queue", "tell_many", queue, Target(least=6.0))
    findings.compare("tell / bare pipe", "tell", pipe)
    findings.compare("tell_many / bare pipe", "tell_many", pipe)
    findings.compare("tell with a mailbox of 100 / stock Queue", bounded, queue)
    findings.compare_costs("tell", pipe)
    findings.compare_costs("tell_many", pipe)
    return findings
