"""What is known of a recorded run before it is played again.

Layer: testing. Runs in: any process.
Owns: nothing.
Never: opens a value of the run.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

__all__ = ["BY_ITSELF", "Run", "ended"]

#: Kinds of ends by what a handler, or a constructor, has done itself.
BY_ITSELF = ("error", "start", "exit")


class Run:
    """What is known of a run before it is played.

    Attributes:
        entries: without the first one.
        is_whole: its recording came to its end.
        names: of actors, by their ids.
        children: ids of those that each actor has spawned, in order.
        seeds: by actor and incarnation.
        crashes: (kind, text, handler), by name and incarnation.
        deadly: with which message a life ended, by the actor and incarnation (`Entry.deadly`).
    """

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        ends = [at for at, entry in enumerate(entries) if entry[0] == "end"]
        self.is_whole = bool(ends)
        # Behind the end some lives may have gone on writing.
        self.entries = entries[1 : ends[0] if ends else None]
        self.names: dict[int, str] = {}
        self.children: dict[int, list[int]] = defaultdict(list)
        self.seeds: dict[tuple[int, int], int] = {}
        self.crashes: dict[tuple[str, int], tuple[str, str, str]] = {}
        self.deadly: dict[tuple[int, int], tuple[int, bool]] = {}
        begun: dict[tuple[int, int], list[Any]] = defaultdict(list)
        answered: set[tuple[int, int, Any]] = set()
        last: dict[int, int] = {}
        for kind, _, *facts in self.entries:
            if kind == "life":
                actor, name, _, life, parent, seed, *_ = facts
                self.names[actor], last[actor], self.seeds[actor, life] = name, life, seed
                if life == 1:
                    self.children[parent].append(actor)
            elif kind == "begin":
                begun[facts[0], facts[1]].append(facts[3])
            elif kind == "answer":
                answered.add((facts[0], facts[1], facts[2]))
            elif kind == "crash":
                self.crashes[facts[0], facts[1]] = tuple(facts[2:5])
        for (actor, life), calls in begun.items():
            crash = self.crashes.get((self.names.get(actor, ""), life))
            is_answered = (actor, life, calls[-1]) in answered
            if crash is not None:
                is_killed = crash[0] not in BY_ITSELF and bool(crash[2])
            else:  # the program itself was killed: what is known of the next life must do
                is_killed = last[actor] > life and calls[-1] != (0, 0) and not is_answered
            if is_killed:
                self.deadly[actor, life] = len(calls), is_answered

    def was_killed(self, actor: int) -> bool:
        """Whether some life of an actor was killed in the midst of a handler."""
        return any(killed == actor for killed, _ in self.deadly)


def ended(crash: tuple[str, ...]) -> str:
    """Return what is said of an end."""
    return f"raised {crash[1]}" if crash[0] == "error" else f"ended ({crash[0]}) {crash[1]}".strip()
