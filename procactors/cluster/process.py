"""One life's process on a cluster: the Ray actor in which the user's object lives.

Layer: cluster. Runs in: a process that Ray has started for this life alone.
Owns: what waits to be sent to the program.
Never: takes a second message while one is in hand; knows what a message means.

    program ── handle(message) ──────► mailbox ─► the life's thread ──┐
            ◄───────────── its answer, as the call's result ──────────┘
            ── control(...) ─► answers to what the actor has asked, its words, cancelled calls
            ◄─ watch() ─────── what it sends by itself; its end is the process's
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import ray

from procactors.cluster.uplink import Uplink

__all__ = ["GROUPS", "LifeProcess"]

#: Threads beside the one for messages.
GROUPS = {"control": 1, "watch": 1}


class LifeProcess:
    """What Ray makes an actor of.

    Args:
        begin: module and name of what makes the life: called with `facts` and the uplink.
        facts: of the life.
    """

    def __init__(self, begin: tuple[str, str], facts: dict[str, Any]) -> None:
        self._uplink = Uplink()
        module, name = begin
        self._member = getattr(importlib.import_module(module), name)(facts, self._uplink)

    def begin(self) -> None:
        """Begin the life."""
        self._member.begin()

    def turn(self) -> None:
        """Do what there is to do without a message."""
        self._member.turn()

    def handle(self, message: bytes, *more: Any) -> Any:
        """Have a message handled; return what comes of it (see `member.Member.handle`)."""
        return self._member.handle(message, more)

    @ray.method(concurrency_group="control")
    def control(self, what: str, *about: Any) -> Any:
        """Do something beside the messages."""
        return self._member.control(what, *about)

    @ray.method(concurrency_group="watch")
    def watch(self) -> Iterator[Any]:
        """Yield what is for the program, as it comes; the last is that the life is over."""
        yield from self._uplink.items()
