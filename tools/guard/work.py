"""The actor of the guard's programs: it counts what a message costs on its side."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import Any

from tools.guard.allocations import ByteCounter
from tools.guard.calls import CallCounter, inputs_at

#: Longer than any count takes; as milliseconds it is still a C int.
_NEVER_S = 100_000.0


class Nothing:
    """The counter of what is counted from outside."""

    def start(self) -> None:
        """Count nothing."""

    def stop(self) -> None:
        """Return nothing."""


def counter(kind: str, *places: str) -> Any:
    """Return a counter of this kind for the main thread, to which messages come at such places."""
    if kind == "calls":
        inputs = inputs_at(*places)
        return CallCounter(lambda: inputs)
    return ByteCounter() if kind == "bytes" else Nothing()


def settle(kind: str) -> None:
    """Leave out what depends on timing: garbage, looks whether the other side still exists."""
    gc.disable()
    # What a process forked early loads by itself, and a later one has from the zygote.
    importlib.import_module("procactors.runner.batches")
    _set("procactors.wire.replies.port", "_SLICE_S", _NEVER_S)
    if kind == "calls":
        # Threads take turns only where they wait.
        sys.setswitchinterval(_NEVER_S)
    else:
        # Tries before a wait: how many there are depends on how the last ones went. Where calls are
        # counted, each first try finds something.
        _set("procactors.wire.spin:Spin", "comes", lambda *_: False)


def settle_pool() -> None:
    """Have a pool take its input whole, however long it takes, and leave slow items alone."""
    _set("procactors.pool.map", "TARGET_S", _NEVER_S)
    _set("procactors.pool.monitor", "_HOLD_S", _NEVER_S)


def _set(where: str, name: str, value: Any) -> None:
    """Set a name of a module, or of a class in it (``module:Class``)."""
    module, _, cls = where.partition(":")
    there: Any = importlib.import_module(module)
    if cls:
        there = getattr(there, cls)
    if not hasattr(there, name):
        raise LookupError(f"{where} has no {name} any more: by what is that switched off now?")
    setattr(there, name, value)


class Work:
    """Takes messages, and counts what they cost."""

    def __init__(self) -> None:
        self.value = 0
        self._counter: Any = Nothing()
        self._kept: Any = None

    def settle(self, kind: str) -> int:
        """See `settle`; return the process's number."""
        settle(kind)
        return os.getpid()

    def begin(self, kind: str) -> None:
        """Count from now on."""
        self._counter = counter(kind, "/actors/")
        self._counter.start()

    def hold(self, kind: str, arrivals: str, permits: str) -> None:
        """Say that this is in hand, wait until it may go on, and count from then on."""
        with open(arrivals, "wb"):
            pass
        with open(permits, "rb") as file:
            file.read()
        self.begin(kind)

    def keep(self) -> None:
        """Count no more, and keep the counts."""
        self._kept = self._counter.stop()

    def kept(self) -> Any:
        """Return the counts that were kept."""
        return self._kept

    def end(self) -> Any:
        """Count no more; return the counts."""
        return self._counter.stop()

    def add(self, by: int) -> int:
        """Do next to nothing."""
        self.value += by
        return self.value
