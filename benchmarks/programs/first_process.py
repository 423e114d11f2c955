"""A program whose first process of the stock fork server answers, through a stock pipe."""

from benchmarks.programs.clock import begin, end

TYPE_CHECKING = False
if TYPE_CHECKING:  # the real one would be charged to the program
    from multiprocessing.connection import Connection

begun = begin()


def serve(requests: "Connection") -> None:
    """Add what comes to a counter, and answer the sum, until None comes."""
    from benchmarks.actors import Counter

    counter = Counter()
    while (by := requests.recv()) is not None:
        requests.send(counter.add(by))


def main() -> None:
    """Start one process and send it one request."""
    from multiprocessing import get_context

    context = get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,))
    process.start()
    ours.send(1)
    ours.recv()
    end(begun)
    ours.send(None)
    process.join()


if __name__ == "__main__":
    main()
