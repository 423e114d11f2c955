"""A program: says which modules are imported by what."""

import sys
from time import sleep


def main(path: str) -> None:
    """Write to a file what `import procactors`, a first actor, and an actor's process import."""
    before = set(sys.modules)
    import procactors

    imported = set(sys.modules)
    with procactors.ActorSystem() as system:
        there = system.spawn(Lister).ask(Lister.modules)
        first = set(sys.modules)
        from procactors.process import zygote

        # The first actors have what the zygote had loaded by then; count one that has it all.
        while not {*zygote._THEN} <= {*there}:
            sleep(0.01)
            there = system.spawn(Lister).ask(Lister.modules)
    found = {
        "import procactors": sorted(imported - before),
        "a program's first actor": sorted(first - before),
        "an actor's process": there,
    }
    import json  # behind all that, since the package might import it

    with open(path, "w", encoding="utf-8") as file:
        json.dump(found, file)


class Lister:
    """Says what is imported where it is."""

    def modules(self) -> list[str]:
        """Return the names of the modules."""
        return sorted(sys.modules)
