"""One peer's process: does what it is told, a line of JSON in, one out.

Measures: the rounds of one peer, when they are asked for.
How: ``open`` a row, ``round`` of it, ``close`` it; what fails is answered as words.
Never: writes anything else to its answers: what a library prints goes to the errors.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import import_module
from typing import Any

from benchmarks.peers.rows import Peer
from benchmarks.rounds import FULL, QUICK, Absent, Costed, Round


def main() -> None:
    """Serve until the orders end."""
    name, effort = sys.argv[1], replace(QUICK if sys.argv[2] == "quick" else FULL)
    logging.getLogger("procactors").setLevel(logging.CRITICAL)  # crashes are made here on purpose
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    served = _served(name, effort)
    next(served)
    for order in sys.stdin:
        try:
            said: Any = served.send(order.strip())
        except StopIteration:
            return
        print(json.dumps(said), file=answers)


def _served(name: str, effort: Any) -> Iterator[Any]:
    """Take orders, answer each: samples, or why there are none."""
    peer: Peer | None = None
    opened: AbstractContextManager[Round] | None = None
    turn: Round | None = None
    order = yield None
    while True:
        answer: dict[str, Any] = {}
        word, _, row = order.partition(" ")
        try:
            if word == "begin":
                peer = import_module(f"benchmarks.peers.{name}").Peer()
                answer = {"title": peer.title, "note": peer.note}
            elif word == "open":
                opened = peer.round_of(row, effort)
                turn = opened.__enter__()
            elif word == "round":
                found = turn()
                answer = {"samples": found.samples if isinstance(found, Costed) else found}
            elif word == "close":
                opened.__exit__(None, None, None)
            elif word == "end":
                peer.close()
        except Absent as absence:
            answer = {"absent": str(absence)}
        except Exception as error:  # noqa: BLE001 - whatever a library does, the others go on
            answer = {"failed": repr(error)[:200]}
        order = yield answer


if __name__ == "__main__":
    main()
