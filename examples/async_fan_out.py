"""One event loop and many processes: a thousand awaits at once, a pool, and a kill among them.

`AsyncActorSystem` is the asyncio half of `ActorSystem`: what blocks there, is awaited here. An
`await` needs no time limit against a death: it ends with `ActorDied`.

Run it: procactors examples async_fan_out

Expected on stderr, where the runtime reports the death:

    actor lookup-1 (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    1000 answers of 4 actors, in sum 499500
    primes below 1000, by a pool: 168
    ActorDied: actor lookup-1 (incarnation 1, pid ...) ended by signal SIGKILL ...
    its next life answers: 7
"""

import asyncio
import os
import signal

from procactors import Actor, AsyncActorSystem
from procactors.errors import ActorDied


class Lookup(Actor):
    def find(self, number: int) -> int:
        return number

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, int(number**0.5) + 1))


async def main() -> None:
    async with AsyncActorSystem() as system:
        lookups = [await system.spawn(Lookup) for _ in range(4)]
        asks = (lookups[n % 4].ask(Lookup.find, n) for n in range(1000))
        print("1000 answers of 4 actors, in sum", sum(await asyncio.gather(*asks)))

        async with system.options(size=2).pool() as pool:
            primes = [is_one async for is_one in pool.map(is_prime, range(1000))]
        print("primes below 1000, by a pool:", sum(primes))

        try:
            await lookups[0].ask(Lookup.die)
        except ActorDied as error:
            print(f"ActorDied: {error}")
        print("its next life answers:", await lookups[0].ask(Lookup.find, 7))


asyncio.run(main())
