"""A program made of actors, from its start to its exit code: procactors.run.

`run` starts the system, calls the function, and stops everything. On SIGTERM or Ctrl-C the function
is interrupted as by Ctrl-C, may still talk to its actors, and all ends within the grace time. Here
the program sends the signal to itself, as a scheduler would.

Run it: procactors examples run_program
   or:  cd examples && procactors run run_program:main

Exit code: 143

Expected output:

    counted to 3
    stopped by SIGTERM: 1003 counted
    counter stopped
"""

import os
import signal
import sys

from procactors import Actor, ActorSystem, ExitReason, Interrupted, run


class Counter(Actor):
    def __init__(self) -> None:
        self.value = 0

    def increment(self) -> int:
        self.value += 1
        return self.value

    def on_stop(self, reason: ExitReason) -> None:
        print("counter", reason, flush=True)


def main(system: ActorSystem) -> None:
    counter = system.spawn(Counter)
    try:
        for _ in range(2):
            counter.tell(Counter.increment)
        print("counted to", counter.ask(Counter.increment), flush=True)
        for _ in range(999):
            counter.tell(Counter.increment)
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()  # a program that would go on for ever
    except Interrupted as signalled:
        print(f"{signalled}: {counter.ask(Counter.increment)} counted", flush=True)
        raise  # so that the exit code is 128 + SIGTERM; a number returned would be the code


if __name__ == "__main__":  # `procactors run run_program:main` imports this file
    sys.exit(run(main, grace=20.0))
