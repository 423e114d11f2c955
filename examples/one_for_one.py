"""One for one: each child is restarted for itself.

A supervisor starts its children in order and stops them in reverse order. When one dies, that one
comes back under the same ref; its siblings notice nothing.

Run it: procactors examples one_for_one

Expected on stderr, where the runtime reports each death:

    actor pricing (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    started: orders, pricing
    after the kill: orders in incarnation 1, pricing in incarnation 2
    children: 2 of 2 are active
"""

import os
import signal

from procactors import Actor, ActorRef, ActorSystem, Supervisor, spec


class Service(Actor):
    def process_id(self) -> int:
        return os.getpid()

    def incarnation(self) -> int:
        return self.context.incarnation


with ActorSystem() as system:
    tree = system.supervise(
        Supervisor(
            spec(Service).options(name="orders"),
            spec(Service).options(name="pricing"),
        )
    )
    print("started:", ", ".join(child.name for child in tree.children()))

    orders: ActorRef[Service] = system["orders"]
    pricing: ActorRef[Service] = system["pricing"]
    os.kill(pricing.ask(Service.process_id), signal.SIGKILL)
    lives = pricing.ask(Service.incarnation), orders.ask(Service.incarnation)
    print(f"after the kill: orders in incarnation {lives[1]}, pricing in incarnation {lives[0]}")

    counts = tree.count_children()
    print(f"children: {counts.active} of {counts.specs} are active")
