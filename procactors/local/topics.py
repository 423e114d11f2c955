"""The subscribers of one topic, in memory; see `wire.topic_table`.

Layer: local. Runs in: one process, any thread.
Owns: the list of them.
Never: changes a list that somebody may be going through.
"""

from __future__ import annotations

import threading

from procactors.wire.topic_table import Subscriber

__all__ = ["LocalTopicTable"]


class LocalTopicTable:
    """One topic of one system."""

    def __init__(self, runtime_dir: str, name: str) -> None:
        self._all: tuple[Subscriber, ...] = ()
        # Held to change the list.
        self._lock = threading.Lock()

    def add(self, subscriber: Subscriber) -> None:
        """Have an actor told, from now on."""
        with self._lock:
            others = tuple(one for one in self._all if one.actor != subscriber.actor)
            self._all = (*others, subscriber)

    def remove(self, actor: int) -> bool:
        """Have an actor told no more; return whether it was."""
        with self._lock:
            left = tuple(one for one in self._all if one.actor != actor)
            was, self._all = self._all, left
        return len(left) < len(was)

    def subscribers(self) -> tuple[Subscriber, ...]:
        """Return who is told now."""
        return self._all

    def close(self) -> None:
        """Nothing is mapped."""
