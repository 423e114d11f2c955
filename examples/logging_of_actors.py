"""What actors log comes to the program's loggers, at the program's levels, and says whose it is.

Nothing is set up in the actors. Lines that repeat are counted; what is printed has a name, too.

Run it: procactors examples logging_of_actors

Expected output:
    INFO ann Worker.work: work 1
    INFO ann Worker.work: work 2
    DEBUG ann Worker.work: in detail
    INFO bob Worker.retry: no answer
    INFO bob Worker.retry: no answer
    INFO bob Worker.retry: no answer (repeated 998 times)
    [ann] printed
"""

import logging
import sys

from procactors import Actor, ActorSystem

log = logging.getLogger("shop")


class Worker(Actor):
    def work(self, number: int) -> None:
        log.info("work %d", number)
        log.debug("in detail")

    def retry(self) -> None:
        for _ in range(1000):
            log.info("no answer")

    def show(self) -> None:
        print("printed")


if __name__ == "__main__":  # an actor that imported this would else have a handler of its own
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(levelname)s %(actor)s %(handler)s: %(message)s"))
    log.addHandler(handler)
    log.propagate = False
    log.setLevel(logging.INFO)

    with ActorSystem(log_repeats=2) as system:
        ann, bob = (system.options(name=name).spawn(Worker) for name in ("ann", "bob"))
        ann.ask(Worker.work, 1)
        log.setLevel(logging.DEBUG)  # holds in actors that run, from their next record on
        ann.ask(Worker.work, 2)
        bob.ask(Worker.retry)

    with ActorSystem(stdout="prefix") as system:
        system.options(name="ann").spawn(Worker).ask(Worker.show)
