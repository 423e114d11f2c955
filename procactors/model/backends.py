"""Where the actors of a system may run, and what each place does not promise: the one table of it.

Layer: model. Runs in: any process.
Owns: nothing.
Never: refuses in the middle: `UnsupportedOnBackend` is raised at the call.

docs/backends.md shows the table, and a test holds both alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from procactors.errors import UnsupportedOnBackend
from procactors.light_tuple import NamedTuple

if TYPE_CHECKING:
    from procactors.model.options import Options

__all__ = ["BACKENDS", "LIMITS", "Limit", "check_options", "shown", "unsupported"]

#: Those that can be named.
BACKENDS = ("processes", "threads", "inline")
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
    "growth": Limit("`Recycle(memory_growth=...)`", _LOCAL, _ERROR, _ONE),
    "io": Limit(
        "sockets, pipes and processes of `asyncio` in an actor's event loop",
        ("inline",),
        _ERROR,
        "what comes from outside comes when it likes, and all that happens is drawn from the seed",
    ),
    "loops": Limit(
        "`feed(...)` of asynchronous items",
        ("inline",),
        _ERROR,
        "they come from an event loop, which stands still while actors run",
    ),
    "threads": Limit(
        "an `ask`, or another wait, in a thread of your own",
        ("inline",),
        _ERROR,
        "the order of everything is drawn from the seed, and such a thread runs as it likes",
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
    "output": Limit(
        "`ActorSystem(stdout=..., log_repeats=...)`, and `logs` other than `'forward'`",
        _LOCAL,
        "what an actor prints or logs, the program does",
        _ONE,
    ),
    "waits": Limit(
        "`procactors.metrics`: how long messages that were told have waited",
        ("inline",),
        "it is not counted",
        "a message waits for no time of the system's, as long as anything runs",
    ),
    "globals": Limit(
        "global state (modules, `random`, the working directory) is each actor's own",
        _LOCAL,
        "actors share it",
        _ONE,
    ),
}


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
    if options.recycle_after is not None and options.recycle_after.memory_growth is not None:
        raise unsupported("growth", backend)


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
