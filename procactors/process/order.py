"""The start order: all that a new incarnation must know, in a file it reads first.

Layer: process. Runs in: parent (writes), actor (reads).
Owns: the file `start` in the actor's directory.
Never: grows with the user's arguments: those are in the blueprint, a file of its own.
"""

from __future__ import annotations

import marshal
import os
import sys
from typing import NamedTuple

from procactors.wire.storage import write_whole

__all__ = ["StartOrder", "read_order", "surroundings", "write_order"]


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
        environ, cwd, path, argv, main_file: the parent's surroundings at this moment.
        recycle: (messages, seconds, bytes of growth) after which it makes way for the next
            incarnation, each None if it does not matter; None: never.
        cpus: CPUs that it runs on; None: as its parent process.
        nice: its niceness; None: as its parent process.
        dumps: have `DUMP` write the stacks of all threads to the fault file.
        seed: the incarnation's seed, of its context.
        reseed: seed the module `random` with it: somebody chose the root.
        makers: files of modules that make systems when they are imported (see `nesting`).
        system: the system's name, for people.
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
    recycle: tuple[int | None, float | None, int | None] | None = None
    cpus: tuple[int, ...] | None = None
    nice: int | None = None
    dumps: bool = False
    seed: int = 0
    reseed: bool = False
    makers: tuple[str, ...] = ()
    system: str = ""


def surroundings() -> tuple[dict[str, str], str, list[str], list[str], str | None]:
    """Return (environ, cwd, path, argv, main file) of this process, for a `StartOrder`."""
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    try:
        cwd = os.getcwd()
    except FileNotFoundError:  # removed under us: the actor then keeps its own
        cwd = ""
    return dict(os.environ), cwd, list(sys.path), list(sys.argv), main_file


def write_order(folder: str, order: StartOrder) -> None:
    """Write the order; it replaces an older one whole."""
    write_whole(os.path.join(folder, "start"), marshal.dumps(tuple(order)))


def read_order(folder: str) -> StartOrder:
    """Read the order of an actor's directory."""
    with open(os.path.join(folder, "start"), "rb") as file:
        return StartOrder(*marshal.load(file))  # noqa: S302 - our own file, in our own directory
