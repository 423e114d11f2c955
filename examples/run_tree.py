"""A supervision tree from a TOML file, run as a program until it ends by itself.

tree.toml names the actors below. They are started in its order, and stopped in reverse order. The
source is significant: when it has sent everything and stops, the tree is over.

Run it: procactors examples run_tree
   or:  cd examples && procactors run tree.toml     (and: procactors tree tree.toml)

Expected output:

    2
    4
    6
    sink: stopped after 3 numbers
"""

import sys
from pathlib import Path

from procactors import Actor, ExitReason, load_tree, run


class Sink(Actor):
    def __init__(self) -> None:
        self.count = 0

    def show(self, number: int) -> None:
        self.count += 1
        print(number, flush=True)

    def on_stop(self, reason: ExitReason) -> None:
        print(f"sink: {reason} after {self.count} numbers", flush=True)


class Doubler(Actor):
    def __init__(self, to: str) -> None:
        self.sink = self.context.system[to]  # it is up: it comes first in the file

    def double(self, number: int) -> None:
        self.sink.tell(Sink.show, 2 * number)


class Source(Actor):
    def __init__(self, numbers: list[int], to: str) -> None:
        self.numbers = numbers
        self.doubler = self.context.system[to]

    def on_start(self) -> None:
        self.context.ref.tell(Source.send)

    def send(self) -> None:
        for number in self.numbers:
            self.doubler.tell(Doubler.double, number)
        self.context.stop()


if __name__ == "__main__":  # the classes are imported from this file, by their names in tree.toml
    folder = Path(__file__).parent
    sys.path.insert(0, str(folder))  # `procactors run` does so with the current directory
    sys.exit(run(load_tree(folder / "tree.toml")))
