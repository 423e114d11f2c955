"""State that survives: a counter whose process is killed, and which counts each message once.

With a checkpoint behind each message, and `Delivery.AT_LEAST_ONCE`, a message that was in hand at
a kill is handed to the next life. If the state has it already, it is not run again, and its caller
gets the answer that was kept with the state: the total is exact, whenever the kill comes.

Run it: procactors examples kept_counter

Expected on stderr, where the runtime reports each death:

    actor counter-1 (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    killed 5 times
    told 500 times, asked 500 times, counted 1000
    each ask had an answer of its own: True
"""

import os
import signal

from procactors import Actor, ActorSystem, Checkpoint, Delivery


class Counter(Actor):
    def __init__(self) -> None:
        self.count = 0

    def add(self) -> int:
        self.count += 1
        return self.count

    def pid(self) -> int:
        return os.getpid()

    def snapshot(self) -> int:
        return self.count

    def restore(self, state: int) -> None:
        self.count = state


with ActorSystem() as system:
    counter = system.options(
        checkpoint=Checkpoint(messages=1), delivery=Delivery.AT_LEAST_ONCE, max_restarts=5
    ).spawn(Counter)
    answers = []
    for _ in range(5):
        pid = counter.ask(Counter.pid)
        for number in range(100):
            counter.tell(Counter.add)
            answers.append(counter.submit(Counter.add))
            if number == 50:
                os.kill(pid, signal.SIGKILL)  # in the midst of its work

    numbers = [answer.result() for answer in answers]
    print(f"killed {counter.status().restarts} times")
    print(f"told 500 times, asked 500 times, counted {counter.ask(Counter.add) - 1}")
    print(f"each ask had an answer of its own: {len(set(numbers)) == len(numbers)}")
