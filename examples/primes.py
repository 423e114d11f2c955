"""Primes on all cores: a pool with a worker for each CPU, one piece of the numbers at a time.

`starmap` gives the next piece to a worker that is free. The last pieces take longest; with one
queue for all, none stands idle while there is work left.

Run it: procactors examples primes

Expected output:

    ... workers count the primes below 200,000
    found 17,984 primes
"""

import math

from procactors import ActorSystem

LIMIT = 200_000
STEP = 5_000


def is_prime(number: int) -> bool:
    if number < 2:
        return False
    return all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def count(start: int, stop: int) -> int:
    return sum(map(is_prime, range(start, stop)))


with ActorSystem() as system, system.pool() as pool:
    print(f"{pool.size} workers count the primes below {LIMIT:,}")
    pieces = [(start, start + STEP) for start in range(0, LIMIT, STEP)]
    found = sum(pool.starmap(count, pieces, ordered=False))
    print(f"found {found:,} primes")
