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
_RAY = ("ray",)


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
        "`ask`, or another wait, in a thread of your own",
        ("inline",),
        _ERROR,
        "the order of everything is drawn from the seed, and such a thread runs as it likes",
    ),
    "sleeps": Limit(
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

#: What is by Ray's own nature; where another backend has the same limit, it has another reason.
LIMITS |= {
    "placement": Limit(
        "`options(ray=...)`",
        ("processes", *_LOCAL),
        _ERROR,
        "there is one machine, and nothing to choose",
    ),
    "memory on ray": Limit(
        "`Limits(memory=...)`",
        _RAY,
        _ERROR,
        "Ray reckons with memory when it places a process, and limits none; where a node runs "
        "short, its monitor ends processes by its own rules",
    ),
    "cpus on ray": Limit(
        "`Limits(cpu_affinity=..., nice=...)`",
        _RAY,
        _ERROR,
        'each node numbers its own CPUs; `options(ray={"num_cpus": 2})` says how many',
    ),
    "recycle on ray": Limit(
        "`options(recycle_after=...)`",
        _RAY,
        _ERROR,
        "Ray ends processes of tasks behind so many calls, and none of actors",
    ),
    "checkpoint on ray": Limit(
        "`Checkpoint(file=...)`",
        _RAY,
        _ERROR,
        "Ray chooses the node, each with files of its own; without, the program has the state",
    ),
    "feeds on ray": Limit(
        "`feed(...)` as an argument, and sending a `Stream` on to another actor",
        _RAY,
        _ERROR,
        "Ray's generators go from an actor to its caller, and no other way",
    ),
    "shares on ray": Limit(
        "`system.share(...)`",
        _RAY,
        _ERROR,
        "Ray's object store holds values for calls that name them, not for processes that look",
    ),
    "files on ray": Limit(
        "`ActorSystem(dead_letter_file=..., crash_dir=...)`, `testing.Faults`, `testing.record`",
        _RAY,
        _ERROR,
        "what is kept has to stand alone, and code of the program travels by Ray's pickles; and "
        "actors on other nodes do not write to the program's files",
    ),
    "outside on ray": Limit(
        "`procactors ps` and the other commands that look at a running system",
        _RAY,
        "they do not list it; `ray list actors` does",
        "processes of Ray's are on any node, and have no directory of ours",
    ),
    "counts on ray": Limit(
        "`procactors.metrics`, traces, `ActorSystem(stdout=...)`",
        _RAY,
        "`metrics` is an error; what an actor prints, Ray shows; what it logs comes, as elsewhere",
        "Ray has its own, for all that runs on the cluster",
    ),
    "death on ray": Limit(
        "what is known of a process that was killed from outside",
        _RAY,
        "not the signal. Messages that it was handed count as begun: one, or up to 16 where quick "
        "ones come in a row. What it has just sent may be lost; of a pool's batch all items are "
        "begun again, one by one, to see which one ends its worker. (Not so behind an exception)",
        "Ray sends behind a call's return, and keeps nothing of a process that is gone",
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
    limit = LIMITS.get(f"{key} on {backend}") or LIMITS[key]
    assert backend in limit.backends, f"the table says that {backend} has {limit.what}"
    what = limit.what.replace("`", "")
    return UnsupportedOnBackend(f'backend="{backend}" has no {what}: {limit.why}')


def check_options(backend: str, options: Options) -> None:
    """Refuse options of an actor that its backend does not promise.

    Raises:
        UnsupportedOnBackend: there is one.
    """
    limits = options.limits
    asked = {
        "memory": limits is not None and limits.memory is not None,
        "cpus": limits is not None and (limits.cpu_affinity is not None or limits.nice is not None),
        "env": bool(options.env),
        "growth": options.recycle_after is not None
        and options.recycle_after.memory_growth is not None,
        "checkpoint": options.checkpoint is not None and options.checkpoint.file is not None,
        "recycle": options.recycle_after is not None,
        "placement": options.ray is not None,
    }
    for key, is_asked in asked.items():
        if is_asked and _is_limited(key, backend):
            raise unsupported(key, backend)


def _is_limited(key: str, backend: str) -> bool:
    limit = LIMITS.get(key)
    return f"{key} on {backend}" in LIMITS or (limit is not None and backend in limit.backends)


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
