"""One peer's process: does what it is told, a line of JSON in, one out.

Measures: the rounds of one peer, when they are asked for.
How: ``open`` a row, ``round`` of it, ``close`` it; what fails is answered as words.
Never: writes anything else to its answers: what a library prints goes to the errors.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

from benchmarks.peers.rows import Peer
from benchmarks.rounds import FULL, QUICK, Absent, Costed, Effort, Round


def main() -> None:
    """Serve until the orders end."""
    name, effort = sys.argv[1], QUICK if sys.argv[2] == "quick" else FULL
    logging.getLogger("procactors").setLevel(logging.CRITICAL)  # crashes are made here on purpose
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    driven = Driven(name, effort)
    for order in sys.stdin:
        print(json.dumps(driven.answer(order.strip())), file=answers)


class Driven:
    """A peer that is given orders.

    Args:
        name: of its module.
        effort: how much a round has.
    """

    def __init__(self, name: str, effort: Effort) -> None:
        self._name = name
        self._effort = effort
        self._peer: Peer = Peer()
        self._opened: AbstractContextManager[Round] = nullcontext(list)

    def answer(self, order: str) -> dict[str, Any]:
        """Carry an order out; answer what came of it, or why nothing did."""
        word, _, row = order.partition(" ")
        try:
            return self._carried_out(word, row)
        except Absent as absence:
            return {"absent": str(absence)}
        except Exception as error:  # noqa: BLE001 - whatever a library does, the others go on
            return {"failed": repr(error)[:200]}

    def _carried_out(self, word: str, row: str) -> dict[str, Any]:
        if word == "begin":
            self._peer = import_module(f"benchmarks.peers.{self._name}").Peer()
            return {"title": self._peer.title, "note": self._peer.note}
        if word == "open":
            self._opened = self._peer.round_of(row, self._effort)
            self._turn = self._opened.__enter__()
        if word == "round":
            gc.collect()  # the garbage of one round is not charged to the next
            found = self._turn()
            return {"samples": found.samples if isinstance(found, Costed) else found}
        if word == "close":
            self._opened.__exit__(None, None, None)
        if word == "end":
            self._peer.close()
        return {}


if __name__ == "__main__":
    main()
