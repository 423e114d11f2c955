"""A program: says which modules are imported by what."""

import sys


def main(path: str) -> None:
    """Write to a file what `import procactors`, a first actor, and an actor's process import."""
    before = set(sys.modules)
    import procactors

    imported = set(sys.modules)
    with procactors.ActorSystem() as system:
        there = system.spawn(Lister).ask(Lister.modules)
        first = set(sys.modules)
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
