"""This side of a peer's process: orders out, answers in, and an end whatever happens.

Measures: nothing.
How: a line of JSON each way, with a limit on how long an answer may take; a session of its own, so
that a peer that is given up takes its servers along.
Never: raises for what a peer did: that is a note.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Any

import psutil

#: Seconds that an answer may take: a server's start and 50 slow actors included.
LIMIT_S = 60.0


class Driver:
    """A peer's process.

    Args:
        name: of the peer's module.
        quick: whether it shall do with less.
    """

    def __init__(self, name: str, *, quick: bool) -> None:
        self.name = name
        self.title = name
        environment = dict(os.environ)
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # as in `benchmarks.checkout`
        command = [sys.executable, "-m", "benchmarks.peers.driver", name]
        self._process = subprocess.Popen(
            [*command, "quick" if quick else "full"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
            cwd=Path(__file__).resolve().parents[2],
        )
        self._reasons: dict[str, list[str]] = {}

    @property
    def notes(self) -> list[str]:
        """What the peer could not do: one sentence a reason, with the orders it stands for."""
        return [
            f"{self.title}: {why} ({', '.join(dict.fromkeys(orders))})"
            for why, orders in self._reasons.items()
        ]

    @property
    def alive(self) -> bool:
        """Say whether it can be told anything."""
        return self._process.poll() is None

    def ask(self, order: str) -> dict[str, Any] | None:
        """Give an order; answer what came, or None if it failed, which is noted then."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self.alive:
            return None
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()
        # One order, one line: nothing is left in the stream's buffer for select to miss.
        if not select([self._process.stdout], [], [], LIMIT_S)[0]:
            self.give_up()
            return self._noted(order, f"no answer in {LIMIT_S:g} s: given up")
        line = self._process.stdout.readline()
        if not line:
            return self._noted(order, f"its process ended ({self._process.wait()}): given up")
        found: dict[str, Any] = json.loads(line)
        if "absent" in found:
            return self._noted(order, str(found["absent"]))
        if "failed" in found:
            return self._noted(order, f"left out after {found['failed']}")
        return found

    def _noted(self, order: str, why: str) -> dict[str, Any] | None:
        """Note why an order came to nothing; answer that nothing."""
        self._reasons.setdefault(why, []).append(order.partition(" ")[2] or order)
        return None

    def end(self) -> None:
        """Let it end its servers, then end it."""
        self.ask("end")
        self.give_up()

    def give_up(self) -> None:
        """End it with all that it has started, servers in sessions of their own included."""
        below = []
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(self._process.pid).children(recursive=True)
        with suppress(ProcessLookupError):  # it and all its children have gone
            os.killpg(self._process.pid, signal.SIGKILL)
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
