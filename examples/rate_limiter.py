"""A rate limiter: an actor that lets so many requests a second through, and queues the others.

A bucket of tokens, which a timer fills; a request takes one, or waits in the actor for the next.

Run it: procactors examples rate_limiter

Expected output:
    all 15 went, in order: True
    never more than 3 and 20 a second: True
"""

import time
from collections import deque

from procactors import Actor, ActorRef, ActorSystem


class Target(Actor):
    def __init__(self) -> None:
        self.seen: list[tuple[int, float]] = []

    def request(self, number: int) -> None:
        self.seen.append((number, time.monotonic()))

    def report(self) -> list[tuple[int, float]]:
        return self.seen


class Limiter(Actor):
    def __init__(self, target: ActorRef[Target], rate: float, burst: int) -> None:
        self.target, self.burst = target, burst
        self.tokens, self.queue = burst, deque[int]()
        self.context.every(1 / rate, Limiter.fill)

    def request(self, number: int) -> None:
        self.queue.append(number)
        self.let_through()

    def fill(self) -> None:
        self.tokens = min(self.tokens + 1, self.burst)
        self.let_through()

    def let_through(self) -> None:
        while self.queue and self.tokens:
            self.tokens -= 1
            self.target.tell(Target.request, self.queue.popleft())


with ActorSystem() as system:
    target = system.spawn(Target)
    began = time.monotonic()
    limiter = system.spawn(Limiter, target, rate=20, burst=3)
    limiter.tell_many(Limiter.request, [(number,) for number in range(15)])
    while len(seen := target.ask(Target.report)) < 15:
        time.sleep(0.05)
    print("all 15 went, in order:", [number for number, _ in seen] == list(range(15)))
    within = [number < 3 + 20 * (at - began) for number, at in seen]
    print("never more than 3 and 20 a second:", all(within))
