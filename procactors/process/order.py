"""The start order: all that a new incarnation must know, in a file it reads first.

Layer: process. Runs in: parent (writes), actor (reads).
Owns: the file `start` in the actor's directory.
Never: grows with the user's arguments: those are in the blueprint, a file of its own.
"""

from __future__ import annotations

import marshal
import os
import sys
from typing import TYPE_CHECKING, Any

from procactors.late import late
from procactors.light_tuple import NamedTuple
from procactors.process.import_path import import_path, text_of
from procactors.wire.storage import write_whole

if TYPE_CHECKING:
    import multiprocessing
else:
    multiprocessing = late("multiprocessing")

__all__ = [
    "FILES",
    "INHERIT",
    "LOG_MODES",
    "OUTPUT_MODES",
    "PREFIX",
    "SILENT",
    "StartOrder",
    "Surroundings",
    "read_order",
    "surroundings",
    "trace_starts",
    "write_order",
]


#: What may become of what actors log.
LOG_MODES = ("forward", "inherit", "none")
#: And of what they print; an order has a folder's path instead of FILES.
PREFIX, INHERIT, SILENT, FILES = OUTPUT_MODES = ("prefix", "inherit", "none", "files")


class StartOrder(NamedTuple):
    """One start of one actor.

    Plain values only: they are marshalled, since unpickling a class or two would touch so many of
    the zygote's pages, each to be copied, that a start took a tenth longer.

    Attributes:
        actor: the actor's id.
        start: number of this start in the system; an incarnation with another number is late.
        name: the actor's name.
        incarnation: which life it is, from 1.
        blueprint: file with the encoded class and arguments.
        extra: file with further arguments; empty for none.
        class_name: the class's qualified name.
        parent: id of the actor that spawned it; 0 is the main program.
        overflow: what a send to its full mailbox does, for its own ref.
        stop_timeout: seconds for which an orderly end may go on writing what waits to be sent.
        report: the pickled crash report of the life before; empty for the first.
        environ, cwd, path, argv, main_file, authkey: the parent's surroundings at this moment.
        recycle: (messages, seconds, bytes of growth) after which it makes way for the next
            incarnation, each None if it does not matter; None: never.
        checkpoint: (messages, seconds, file, whether the answer is kept with the state) of its
            checkpoints; file empty: in the runtime directory; None: it makes none.
        cpus: CPUs that it runs on; None: as its parent process.
        nice: its niceness; None: as its parent process.
        dumps: have `DUMP` write the stacks of all threads to the fault file.
        seed: the incarnation's seed, of its context.
        reseed: seed the module `random` with it: the program chose the root.
        makers: files of modules that make systems when they are imported (see `nesting`).
        system: the system's name, for people.
        concurrency: messages that may be in hand at once.
        metrics: it counts what it handles.
        logs: what becomes of what it logs: forward, inherit or none.
        levels: of the program's loggers (see `wire.log_levels`), if it forwards.
        output: what becomes of what it prints (see `process.output`).
        is_traced: make spans from the beginning (see `procactors.tracing`).
        taps: what a test has it do with its messages (see `runner.taps`): names and arguments.
        options: the actor's, pickled, if there are taps: a recording keeps them.
    """

    actor: int
    start: int
    name: str
    incarnation: int
    blueprint: str
    extra: str
    class_name: str
    parent: int
    overflow: str
    stop_timeout: float
    report: bytes
    environ: dict[str, str]
    cwd: str
    path: list[str]
    argv: list[str]
    main_file: str | None
    authkey: bytes
    recycle: tuple[int | None, float | None, int | None] | None = None
    checkpoint: tuple[int | None, float | None, str, bool] | None = None
    cpus: tuple[int, ...] | None = None
    nice: int | None = None
    dumps: bool = False
    seed: int = 0
    reseed: bool = False
    makers: tuple[str, ...] = ()
    system: str = ""
    concurrency: int = 1
    metrics: bool = True
    logs: str = "inherit"
    levels: tuple[int, int, dict[str, int]] = (0, 0, {})
    output: str = "inherit"
    is_traced: bool = False
    taps: tuple[tuple[str, str], ...] = ()
    options: bytes = b""


class Surroundings(NamedTuple):
    """What an actor takes over from the parent: see `StartOrder`."""

    environ: dict[str, str]
    cwd: str
    path: list[str]
    argv: list[str]
    main_file: str | None
    authkey: bytes
    is_traced: bool = False


def surroundings() -> Surroundings:
    """Return the surroundings of this process, for a `StartOrder`.

    Raises:
        TypeError: the environment holds what is no string.
    """
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        cwd = os.getcwd()
    except OSError:  # removed under us, or out of reach: the actor then keeps its own
        cwd = ""
    argv = getattr(sys, "argv", None)  # not there where Python is embedded
    return Surroundings(
        environ=_environ(),
        cwd=cwd,
        path=import_path(),
        argv=[""] if argv is None else [text_of(argument) for argument in argv],
        main_file=None if main_file is None else text_of(main_file),
        # Proxies of a `multiprocessing.Manager` show it: in the actor too they are the parent's.
        authkey=bytes(multiprocessing.current_process().authkey),
        is_traced=_is_traced,
    )


#: Whether actors that this process starts are to make spans from their beginning.
_is_traced = False


def trace_starts(is_traced: bool) -> None:
    """Have the actors that are started from now on trace from their beginning, or not."""
    global _is_traced  # noqa: PLW0603 - as the environment is
    _is_traced = is_traced


def write_order(folder: str, order: StartOrder) -> None:
    """Write the order; it replaces an older one whole.

    Raises:
        ValueError: it has a value that is not plain.
    """
    write_whole(os.path.join(folder, "start"), marshal.dumps(tuple(order)))


def read_order(folder: str) -> StartOrder:
    """Read the order of an actor's directory."""
    with open(f"{folder}/start", "rb") as file:
        # In one piece: from the file itself, `marshal` would read each value by a call of its own.
        return StartOrder(*marshal.loads(file.read()))  # noqa: S302 - our own file


#: What the environment was when it was looked at last: as `os` keeps it, and as plain strings.
_seen: tuple[dict[Any, Any], dict[str, str]] = {}, {}


def _environ() -> dict[str, str]:
    """Return the environment as plain strings; it is not to be changed."""
    global _seen  # noqa: PLW0603 - as the environment is
    # Past `os.environ`, which decodes every variable anew: that would be most of an order's time.
    # It may be a dictionary of the program's own by now.
    is_a_stranger = not isinstance(os.environ, type(os.environb))
    kept = None if is_a_stranger else getattr(os.environ, "_data", None)
    if not isinstance(kept, dict):
        return {_variable(name): _variable(value) for name, value in os.environ.items()}
    if kept != _seen[0]:
        now = kept.copy()
        _seen = now, {os.fsdecode(name): os.fsdecode(value) for name, value in now.items()}
    return _seen[1]


def _variable(value: Any) -> str:
    """Return a name or a value of the environment as a plain string."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"expected strings alone in the environment, found {value!r}")
    return text_of(value)
