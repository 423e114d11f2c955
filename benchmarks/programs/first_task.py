"""A program whose first task of a stock executor over the stock fork server has a result."""

from benchmarks.programs.clock import begin, end

begun = begin()


def main() -> None:
    """Submit one call."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from benchmarks.actors import square

    with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as executor:
        executor.submit(square, 2).result()
        end(begun)


if __name__ == "__main__":
    main()
