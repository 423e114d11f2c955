"""Escalation: a supervisor that cannot help gives up, and the one above it takes over.

The inner supervisor allows one restart a minute. With the second death it stops its other
child and gives up; the outer one restarts it as a whole. When the outer one has had enough too,
there is no supervisor above it: the system ends, and says why.

Run it: procactors examples escalation

Expected on stderr, where the runtime reports each death:

    actor fragile (incarnation 1, ...) raised ValueError: on purpose...
    ...supervisor inner gave up: restart number 2 within 60.0 s, allowed are 1...
    ...supervisor outer gave up: restart number 2 within 60.0 s, allowed are 1...

Expected output:

    bystander of inner: incarnation 2
    the system ended: supervisor outer gave up: restart number 2 within 60.0 s, allowed are 1
    actor fragile died 4 times
"""

from procactors import Actor, ActorRef, ActorSystem, Supervisor, spec
from procactors.errors import RestartIntensityExceeded


class Fragile(Actor):
    def fail(self) -> None:
        raise ValueError("on purpose")

    def incarnation(self) -> int:
        return self.context.incarnation


tree = Supervisor(
    Supervisor(
        spec(Fragile).options(name="fragile"),
        spec(Fragile).options(name="bystander"),
        max_restarts=1,
        within=60.0,
        name="inner",
    ),
    max_restarts=1,
    within=60.0,
    name="outer",
)
try:
    with ActorSystem() as system:
        system.supervise(tree)
        fragile: ActorRef[Fragile] = system["fragile"]
        bystander: ActorRef[Fragile] = system["bystander"]
        for _ in range(2):
            fragile.tell(Fragile.fail)
        fragile.ask(Fragile.incarnation)
        print("bystander of inner: incarnation", bystander.ask(Fragile.incarnation))
        for _ in range(2):
            fragile.tell(Fragile.fail)
        system.wait()
except RestartIntensityExceeded as error:
    print("the system ended:", error)
    print(f"actor {error.history[0].actor} died {len(error.history)} times")
