"""An actor's mailbox: a named pipe of whole records that survives its readers and writers.

Here: the black box that the reader keeps its progress in, reader and writer, the tokens of a
bounded mailbox, closing for good, and the `multiprocessing.Queue` that stands on all of it.
Not here: what is in a record beyond its frame (`wire.record`, `wire.envelope`).

Layer: wire. Runs in: any process.
Owns: nothing.
Never: loads what is in it before it is asked for.
"""

from typing import Any

from procactors import stored

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    # It was a module once, and has the name of that: `stored` is not asked for what it had.
    if name != "_open_mailbox":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(stored, name)
