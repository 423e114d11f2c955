"""Rest for one: what was started after a child depends on it, and is restarted with it.

A connection, a cache that is filled over it, a server that answers from the cache: when the cache
dies, the server starts again with it; the connection was there before, and stays.

Run it: procactors examples rest_for_one

Expected on stderr, where the runtime reports each death:

    actor cache (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    connection 1, cache 2, server 2
"""

import os
import signal

from procactors import Actor, ActorRef, ActorSystem, Strategy, Supervisor, spec


class Part(Actor):
    def process_id(self) -> int:
        return os.getpid()

    def incarnation(self) -> int:
        return self.context.incarnation


with ActorSystem() as system:
    names = ("connection", "cache", "server")
    system.supervise(
        Supervisor(
            *(spec(Part).options(name=name) for name in names), strategy=Strategy.REST_FOR_ONE
        )
    )
    refs: list[ActorRef[Part]] = [system[name] for name in names]
    os.kill(refs[1].ask(Part.process_id), signal.SIGKILL)
    refs[1].ask(Part.process_id)  # answered in its second life
    lives = [f"{ref.name} {ref.ask(Part.incarnation)}" for ref in refs]
    print(", ".join(lives))
