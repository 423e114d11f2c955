"""Where the actors of a system may run, and what each place does not promise: the one table of it.

Layer: model. Runs in: any process.
Owns: nothing.
Never: refuses in the middle: `UnsupportedOnBackend` is raised at the call.

docs/backends.md shows the table, and a test holds both alike.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from procactors.errors import UnsupportedOnBackend
from procactors.light_tuple import NamedTuple
from procactors.model.checks import one_of

if TYPE_CHECKING:
    from procactors.model.options import Options

__all__ = [
    "BACKENDS",
    "LIMITS",
    "VARIABLE",
    "Limit",
    "check_options",
    "chosen_backend",
    "shown",
    "unsupported",
]

#: The environment variable that says where the actors run of programs that do not say.
VARIABLE = "PROCACTORS_BACKEND"

#: Those that can be named.
BACKENDS = ("processes", "threads", "inline", "ray")
_LOCAL = ("threads", "inline")


class Limit(NamedTuple):
    """Something that a backend does not promise.

    Attributes:
        what: as users call it.
        backends: that do not promise it.
        instead: what comes of it: an error at the call, or what happens.
        why: the reason.
    """

    what: str
    backends: tuple[str, ...]
    instead: str
    why: str


_ERROR = "`UnsupportedOnBackend`"
_ONE = "all actors are in one process, whose memory, environment and CPUs they share"

LIMITS: dict[str, Limit] = {
    "memory": Limit("`Limits(memory=...)`", _LOCAL, _ERROR, _ONE),
    "cpus": Limit("`Limits(cpu_affinity=..., nice=...)`", _LOCAL, _ERROR, _ONE),
    "env": Limit("`options(env=...)`", _LOCAL, _ERROR, _ONE),
    "checkpoint": Limit(
        "`Checkpoint(file=...)`",
        _LOCAL,
        _ERROR,
        "a state that outlives the program has to stand alone; here it is kept in memory",
    ),
    "recycle": Limit(
        "`options(recycle_after=...)`",
        _LOCAL,
        _ERROR,
        "it is against memory that a process does not give back, and here there is one process",
    ),
    "io": Limit(
        "sockets, pipes and processes of `asyncio` in an actor's event loop",
        ("inline",),
        _ERROR,
        "what comes from outside comes when it likes, and all that happens is drawn from the seed",
    ),
    "feeds": Limit(
        "`feed(...)` as an argument",
        _LOCAL,
        _ERROR,
        "the caller's iterable would be read in the caller's thread, which waits or goes on",
    ),
    "moving": Limit(
        "sending a `Stream` on to another actor",
        _LOCAL,
        _ERROR,
        "its reader is the one who has opened it",
    ),
    "bounds": Limit(
        "a pool's `size=(least, most)` and `autoscale`, and `timeout=` for an item",
        ("inline",),
        _ERROR,
        "a thread beside the pool looks at the load and at slow items, and there is none",
    ),
    "shares": Limit(
        "`system.share(...)`",
        _LOCAL,
        _ERROR,
        "a share is a file in shared memory; in one process, hand on what is immutable",
    ),
    "files": Limit(
        "`ActorSystem(dead_letter_file=..., crash_dir=...)`",
        _LOCAL,
        _ERROR,
        "what is kept has to stand alone, and what is sent here does not",
    ),
    "threads": Limit(
        "an `ask`, or another wait, in a thread of your own",
        ("inline",),
        _ERROR,
        "the order of everything is drawn from the seed, and such a thread runs as it likes",
    ),
    "waits": Limit(
        "`time.sleep`, a socket, a lock: waits of other kinds than the system's let others go on",
        ("inline",),
        "everything stands still meanwhile, the system's clock too",
        "one thing is done at a time, and what comes next is drawn from the seed",
    ),
    "joblib": Limit(
        "`procactors.joblib`",
        ("inline",),
        _ERROR,
        "joblib waits for results in a loop of its own, which lets no actor run",
    ),
    "crossing": Limit(
        "sending a ref of it to an actor of another system",
        ("inline",),
        _ERROR,
        "its actors run while the program waits for them, and not when another system's send",
    ),
    "kill": Limit(
        "`kill`, a `handle_timeout` or a stop's deadline ends what a handler does",
        _LOCAL,
        "the actor is gone at once, and answered for; its handler goes on, without any effect on "
        "the system, to where it next uses it, and ends there",
        "Python stops no thread",
    ),
    "exit": Limit(
        "`os._exit`, a fatal signal or an exhausted memory in a handler ends that actor alone",
        _LOCAL,
        "the whole program ends",
        _ONE,
    ),
    "outside": Limit(
        "`procactors ps` and the other commands that look at a running system",
        _LOCAL,
        "they do not list it",
        "it has no directory in which other processes find it",
    ),
    "counts": Limit(
        "`procactors.metrics`, forwarding of logs and output, traces",
        _LOCAL,
        "nothing is counted; what an actor logs or prints, the program does",
        "they are read from a process's black box, and go from a process to its parent",
    ),
    "globals": Limit(
        "global state (modules, `random`, the working directory) is each actor's own",
        _LOCAL,
        "actors share it",
        _ONE,
    ),
}


def chosen_backend(named: Any = None) -> str:
    """Return the backend that is named, else the environment's, else processes.

    Raises:
        InvalidSpec: there is no such backend.
    """
    if named is not None:
        return one_of("backend", named, BACKENDS)
    found = os.environ.get(VARIABLE)
    if not found:
        return "processes"
    return one_of(f"the environment variable {VARIABLE}", found, BACKENDS)


def unsupported(key: str, backend: str) -> UnsupportedOnBackend:
    """Return the error that says that a backend does not promise something of the table."""
    limit = LIMITS[key]
    assert backend in limit.backends, f"the table says that {backend} has {limit.what}"
    what = limit.what.replace("`", "")
    return UnsupportedOnBackend(f'backend="{backend}" has no {what}: {limit.why}')


def check_options(backend: str, options: Options) -> None:
    """Refuse options of an actor that its backend does not promise.

    Raises:
        UnsupportedOnBackend: there is one.
    """
    limits = options.limits
    if limits is not None and limits.memory is not None:
        raise unsupported("memory", backend)
    if limits is not None and (limits.cpu_affinity is not None or limits.nice is not None):
        raise unsupported("cpus", backend)
    if options.env:
        raise unsupported("env", backend)
    if options.checkpoint is not None and options.checkpoint.file is not None:
        raise unsupported("checkpoint", backend)
    if options.recycle_after is not None:
        raise unsupported("recycle", backend)


def shown() -> str:
    """Return the table as docs/backends.md shows it."""
    rows = ["| what | not on | instead | why |", "|---|---|---|---|"]
    rows += [
        f"| {limit.what} | {', '.join(f'`{one}`' for one in limit.backends)} | {limit.instead} "
        f"| {limit.why} |"
        for limit in LIMITS.values()
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    import sys

    sys.stdout.write(shown() + "\n")
