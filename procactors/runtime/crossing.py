"""Refs that travel from one system to another of the same program.

Layer: runtime. Runs in: the program that holds both systems, while a message is pickled or loaded.
Owns: the table of those that stand for others here.
Never: opens a gate itself: the system that the ref is sent to does (`Transport.gate_of`).

Actors that run in the program itself use the ref as it is. Those in other processes cannot reach
the other system; what they get is a ref of their own system, of a mailbox in the program, from
which each message is sent on. On its way home it becomes the ref that it stands for.
"""

from __future__ import annotations

from typing import Any

from procactors.wire.transport import known_transport

__all__ = ["originals", "ref_there"]

#: The refs that others stand for, by the system and the number of those.
originals: dict[tuple[str, int], Any] = {}


def ref_there(ref: Any, path: str) -> Any:
    """Return the ref that stands for one of another system.

    Args:
        ref: of an actor of another system of this program.
        path: of the system that it is sent to.

    Raises:
        UnsupportedOnBackend: the actor runs only while the program waits for its own system.
    """
    here, there = known_transport(ref._runtime_dir), known_transport(path)
    if here is None or there is None:
        return ref  # of a system that has ended, or not of this program: its use says so
    if not here.has_threads:
        from procactors.model.backends import unsupported  # only where it is used

        raise unsupported("crossing", "inline")
    return ref if there.gate_of is None else there.gate_of(ref)
