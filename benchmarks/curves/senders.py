"""From 1 sender to 64: one-way messages to one receiver.

Measures: messages a second of all senders together, until the last one is handled.
How: senders are actors that tell; beside them are forked processes that write to one bare pipe,
whose reader is another. The receivers run the same handler.
Never: counts the start of a sender.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from benchmarks import floors
from benchmarks.actors import Counter
from benchmarks.curves.curve import Curve, Curves, rounds_at
from benchmarks.rounds import Contender, Effort, Round, rate
from procactors import ActorRef, ActorSystem

SENDERS = (1, 2, 4, 8, 16, 32, 64)

#: Messages of all senders together.
MESSAGES = 12_800


class Sender:
    """Tells another actor, and asks it last: then all that it told has been handled."""

    def send(self, counter: ActorRef[Counter], messages: int) -> None:
        """Send so many."""
        for _ in range(messages - 1):
            counter.tell(Counter.add, 1)
        counter.ask(Counter.add, 1)


@contextmanager
def tells(senders: int, messages: int) -> Iterator[Round]:
    """Have so many actors tell one, all at the same time."""
    with ActorSystem() as system:
        counter = system.spawn(Counter)
        actors = [system.spawn(Sender) for _ in range(senders)]

        def work() -> None:
            share = messages // senders
            for reply in [actor.submit(Sender.send, counter, share) for actor in actors]:
                reply.result()

        yield partial(rate, work, messages)


def measure(effort: Effort) -> Curves:
    """Measure the curve."""
    curve = Curve("senders", "Senders that tell one actor", "senders", "messages/s")
    found = Curves("senders", [curve])
    messages = effort.of(MESSAGES) // SENDERS[-1] * SENDERS[-1]
    for senders in SENDERS:
        found.measure(
            senders,
            [
                Contender("bare pipe", "messages/s", floors.pipe_senders(senders, messages)),
                Contender("tell", "messages/s", tells(senders, messages)),
            ],
            rounds_at(effort, long=False),
        )
    return found
