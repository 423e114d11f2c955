"""Primes on all cores: one actor a CPU, one piece of the numbers at a time.

``submit`` returns a future at once, so every actor is busy while the main program collects.

Run it: procactors examples primes

Expected output:

    ... actors count the primes below 200,000
    found 17,984 primes
"""

import math
from concurrent.futures import as_completed

from procactors import Actor, ActorSystem, usable_cpus

LIMIT = 200_000
STEP = 10_000


class Counter(Actor):
    def count(self, start: int, stop: int) -> int:
        return sum(map(self.is_prime, range(start, stop)))

    def is_prime(self, number: int) -> bool:
        if number < 2:
            return False
        return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


with ActorSystem() as system:
    counters = [system.spawn(Counter) for _ in range(usable_cpus())]
    print(f"{len(counters)} actors count the primes below {LIMIT:,}")

    replies = []
    for number, start in enumerate(range(0, LIMIT, STEP)):
        counter = counters[number % len(counters)]
        replies.append(counter.submit(Counter.count, start, start + STEP))

    found = sum(reply.result() for reply in as_completed(replies))
    print(f"found {found:,} primes")
