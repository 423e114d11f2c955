"""Death watch and links: actors that learn of each other's ends, or end together.

A watcher gets one message when an actor has ended for good, however it ended, and also if that
was before it began to watch; if it asks for them, one for each restart too. Actors that are linked
end together: a restart is no end, but when one is gone for good, the other is stopped.

Run it: procactors examples death_watch

Expected on stderr, where the runtime reports each death:

    actor left (incarnation 1, pid ...) ended by signal SIGKILL...
    left is gone for good...
    … 1 more like this; the last: actor left (incarnation 2, pid ...) ended by signal...

Expected output:

    left is back as incarnation 2, since it ended by signal SIGKILL
    left is gone: ended by signal SIGKILL
    right: stopped, being linked to left, which ended by signal SIGKILL
    watched too late: right stopped, being linked to left, which ended by signal SIGKILL
"""

import os
import signal
from typing import Any

from procactors import Actor, ActorRef, ActorSystem, Restarted, Terminated


class Worker(Actor):
    def pair_with(self, other: "ActorRef[Worker]") -> None:
        self.context.link(other)


class Manager(Actor):
    def __init__(self, to: ActorRef[Any]) -> None:
        self.to = to

    def look_after(self, worker: ActorRef[Worker]) -> None:
        self.context.watch(worker, restarts=True)

    def on_restarted(self, event: Restarted) -> None:
        self.to.tell(
            f"{event.ref.name} is back as incarnation {event.incarnation}, since it {event.reason}"
        )

    def on_terminated(self, event: Terminated) -> None:
        self.to.tell(f"{event.ref.name} is gone: {event.reason}")


with ActorSystem() as system:
    inbox = system.inbox()
    manager = system.spawn(Manager, inbox.ref)
    left = system.options(name="left", max_restarts=1, within=60.0).spawn(Worker)
    right = system.options(name="right").spawn(Worker)
    left.ask(Worker.pair_with, right)
    manager.ask(Manager.look_after, left)

    for _ in range(2):  # the first time it is restarted, the second time it is gone for good
        pid = left.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        print(inbox.receive())
    print(f"right: {right.wait()}")

    inbox.watch(right)  # the main program watches with its inbox; here it comes too late
    event = inbox.receive()
    print("watched too late:", event.ref.name, event.reason)
