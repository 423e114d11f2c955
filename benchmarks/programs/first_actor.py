"""A program whose first actor answers: from its first line to the reply."""

from benchmarks.programs.clock import begin, end

begun = begin()


def main() -> None:
    """Spawn one actor and ask it once."""
    from benchmarks.actors import Counter
    from procactors import ActorSystem

    with ActorSystem() as system:
        system.spawn(Counter).ask(Counter.add, 1)
        end(begun)


if __name__ == "__main__":
    main()
