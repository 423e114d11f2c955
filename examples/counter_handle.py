"""The counter, spoken to through its methods and a handle.

``Counter.increment`` names the method to call in the actor's process, so that a type checker
sees arguments and result. ``proxy()`` gives a handle that looks like a ``Counter``: each call
on it is an ``ask``.

Run it: procactors examples counter_handle

Expected output:

    the counter stands at 12
    and then at 11
    the handle says 14
    the counter is stopped
    the last answer was 54
    after the stop: ActorStopped
"""

from procactors import Actor, ActorSystem
from procactors.errors import ActorStopped


class Counter(Actor):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    def decrement(self, by: int = 1) -> int:
        self.value -= by
        return self.value

    def get_value(self) -> int:
        return self.value


with ActorSystem() as system:
    # At most 100 messages wait; the next sender then waits for a free place.
    counter = system.options(mailbox=100).spawn(Counter, 10)

    counter.tell(Counter.increment, 2)  # fire and forget
    print("the counter stands at", counter.ask(Counter.get_value))  # waits for the reply
    print("and then at", counter.ask(Counter.decrement))

    handle = counter.proxy()
    print("the handle says", handle.increment(by=3))

    for _ in range(40):
        counter.tell(Counter.increment)
    last = counter.submit(Counter.get_value)  # a future: its reply comes later
    print("the counter is", counter.stop())  # what is in the mailbox is handled first
    print("the last answer was", last.result())

    try:
        handle.get_value()
    except ActorStopped as error:
        print("after the stop:", type(error).__name__)
