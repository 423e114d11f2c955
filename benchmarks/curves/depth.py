"""From 1 message to 1 000 000 that wait in one mailbox.

Measures: messages a second while they are sent to an actor that is busy, and then while it handles
them.
How: the receiver is held inside a handler by a named pipe, and let go when all are sent. A stock
Queue, which keeps what does not fit into its pipe in the sender's memory as a mailbox does, stands
beside.
Never: sends while messages are handled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from benchmarks import floors
from benchmarks.actors import Held
from benchmarks.curves.curve import Curve, Curves, rounds_at
from benchmarks.findings import Series
from benchmarks.rounds import Contender, Effort, Round, rate
from procactors import ActorSystem

DEPTHS = tuple(10**power for power in range(7))


@contextmanager
def tells(depth: int, drained: list[float]) -> Iterator[Round]:
    """Tell an actor that is held; let it go."""
    with TemporaryDirectory() as folder, ActorSystem() as system:
        path = os.path.join(folder, "gate")
        os.mkfifo(path)
        held = system.spawn(Held)

        def send() -> None:
            for _ in range(depth):
                held.tell(Held.add, 1)

        def handled() -> None:
            held.ask(Held.add, 1)

        def once() -> list[float]:
            held.tell(Held.hold, path)
            return _sent(send, handled, path, depth, drained)

        yield once


@contextmanager
def puts(depth: int, drained: list[float]) -> Iterator[Round]:
    """Put into a stock Queue whose reader is held; let it go."""
    with TemporaryDirectory() as folder, floors.queue_child() as (queue, reader, _):
        path = os.path.join(folder, "gate")
        os.mkfifo(path)

        def send() -> None:
            for _ in range(depth):
                queue.put(((1, "add", (1,), {}), False))

        def handled() -> None:
            queue.put(((1, "add", (1,), {}), None))
            reader.recv()

        def once() -> list[float]:
            queue.put(((1, "hold", (path,), {}), False))
            return _sent(send, handled, path, depth, drained)

        yield once


def _sent(
    send: Callable[[], None],
    handled: Callable[[], None],
    path: str,
    depth: int,
    drained: list[float],
) -> list[float]:
    """Send to one that is held; answer the rate of that, and note the rate of the handling."""
    with open(path, "wb") as gate:  # opens when the other side is in its handler

        def drain() -> None:
            gate.close()
            handled()

        sent = rate(send, depth)
        drained += rate(drain, depth)
    return sent


def measure(effort: Effort) -> Curves:
    """Measure both curves."""
    waiting = Curve("depth-send", "Sending to a mailbox that fills", "messages", "messages/s")
    handled = Curve("depth-drain", "Handling what waits in a mailbox", "messages", "messages/s")
    found = Curves("depth", [waiting, handled])
    for depth in DEPTHS[: len(DEPTHS) if effort.share == 1 else 5]:
        rounds = rounds_at(effort, depth > 100_000)
        drained: dict[str, list[float]] = {"stock Queue": [], "tell": []}
        found.measure(
            depth,
            [
                Contender("stock Queue", "messages/s", puts(depth, drained["stock Queue"])),
                Contender("tell", "messages/s", tells(depth, drained["tell"])),
            ],
            rounds,
        )
        for name, rates in drained.items():
            counted = [[each] for each in rates[rounds.warm_up :]]
            if counted:
                handled.add(depth, Series(name, "messages/s", counted))
    return found
