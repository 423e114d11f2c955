"""The counter, spoken to in typed messages with a one-shot reply.

Each message is a value, and its class says what the reply will be: ``Message[int]`` makes
``ask`` return an int, ``Message[None]`` is for messages that are only told.

Run it: procactors examples counter_messages

Expected output:

    the counter stands at 12
    and then at 11
    the counter is stopped
    the last answer was 51
    after the stop: ActorStopped
"""

from __future__ import annotations

from dataclasses import dataclass

from procactors import Actor, ActorSystem, Message
from procactors.errors import ActorStopped


@dataclass(frozen=True)
class Increment(Message[None]):
    by: int = 1


@dataclass(frozen=True)
class Decrement(Message[None]):
    by: int = 1


@dataclass(frozen=True)
class GetValue(Message[int]):
    pass


class Counter(Actor):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def receive(self, message: Increment | Decrement | GetValue) -> int | None:
        match message:
            case Increment(by):
                self.value += by
            case Decrement(by):
                self.value -= by
            case GetValue():
                return self.value
        return None


with ActorSystem() as system:
    # At most 100 messages wait; the next sender then waits for a free place.
    counter = system.options(mailbox=100).spawn(Counter, 10)

    counter.tell(Increment(2))  # fire and forget
    print("the counter stands at", counter.ask(GetValue()))  # waits for the reply
    counter.tell(Decrement())
    print("and then at", counter.ask(GetValue()))

    for _ in range(40):
        counter.tell(Increment())
    last = counter.submit(GetValue())  # a future: its reply comes later
    print("the counter is", counter.stop())  # what is in the mailbox is handled first
    print("the last answer was", last.result())

    try:
        counter.ask(GetValue())
    except ActorStopped as error:
        print("after the stop:", type(error).__name__)
