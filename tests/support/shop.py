"""A program with something to see: a tree, a crash, a circle, a dead letter, as its input orders.

Run as ``python -m tests.support.shop NAME FOLDER``; prints a line when it is up, and one for each
order that is done. It ends with its input.
"""

from __future__ import annotations

import logging
import os
import sys

from procactors import Actor, ActorSystem, Supervisor, spec


class Worker(Actor):
    """Works, fails, or waits."""

    def ping(self):
        return os.getpid()

    def need(self, path):
        """Fail unless there is a file of that name; else note that it was there."""
        logging.getLogger("shop").warning("looking for <b>%s</b>", os.path.basename(path))
        with open(path), open(f"{path}.seen", "w"):
            pass

    def call(self, other, then=None):
        """Wait for another one, which may wait for a third one."""
        return other.ask(Worker.call, then) if then is not None else other.ask(Worker.hold)

    def hold(self):
        """Wait until there is nothing to wait for."""
        with open(os.environ["SHOP_GATE"]) as gate:
            gate.read()


def main(name, folder):
    tree = Supervisor(
        spec(Worker).options(name="stock"),
        spec(Worker).options(name="till"),
        name="store",
        max_restarts=100,
    )
    with ActorSystem(name) as system:
        system.supervise(tree)
        workers = [
            system.options(name=name, max_restarts=100).spawn(Worker)
            for name in ("ann", "bob", "cid")
        ]
        print("up", os.getpid(), flush=True)
        for order in sys.stdin:
            word = order.strip()
            if word == "lose":
                workers[0].tell(Worker.need, os.path.join(folder, "paper"))
                workers[0].ask(Worker.ping)
            elif word == "wait":
                workers[0].submit(Worker.call, workers[1])
            elif word.startswith("hire "):
                system.options(name=word.partition(" ")[2]).spawn(Worker)
            elif word.startswith("kill "):
                os.kill(system[word.partition(" ")[2]].ask(Worker.ping), 9)
            print("done", flush=True)
            if word == "leave":
                break
        system.kill()


if __name__ == "__main__":
    main(*sys.argv[1:])
