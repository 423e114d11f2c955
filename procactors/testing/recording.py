"""Recording a run: who handled which message, in which order, and what came of it, in a file.

Layer: testing. Runs in: parent; what it orders is noted in the actors (`runner.record_tap`).
Owns: the file, until `close`.
Never: changes the run, but for the time that it takes.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from collections.abc import Iterator
from queue import Empty
from time import monotonic_ns, time
from typing import Any

from procactors import Crashed
from procactors.errors import ActorStopped, InvalidSpec
from procactors.model import commands as c
from procactors.model.checks import path as checked_path
from procactors.observe.subscription import Feed
from procactors.runner.record_tap import SINKS
from procactors.wire import run_file

__all__ = ["Recording", "record"]

#: How the supervisor names the class of the main program's inboxes.
_INBOX = "inbox"
_numbers = itertools.count(1)


class Recording:
    """A recording that goes on; as a context manager it ends with the block.

    Attributes:
        file: where it is written.
    """

    def __init__(self, system: Any, file: str | os.PathLike[str]) -> None:
        self._system = system = getattr(system, "sync", system)  # of an asyncio one
        self.file = os.path.abspath(checked_path("file", file))
        self._client = system._client
        self._endpoint: Any = system._endpoint
        others = [info.name for info in self._client.ask(c.ListActors()) if not _is_inbox(info)]
        if others:
            raise InvalidSpec(
                f"{', '.join(others[:3])} had begun before the recording: what it has done cannot "
                f"be played again; begin with record(system, file), before the first spawn"
            )
        run_file.create(self.file)
        self._is_local = not os.path.isdir(self._endpoint.path)
        # Threads of one process write by one descriptor.
        self._turn = threading.Lock()
        self._is_over = False
        name, backend = system.name, self._endpoint.path.partition(":")[0]
        backend = backend if self._is_local else "processes"
        self._write("run", run_file.FORMAT, name, backend, self._endpoint.path, self._now(), time())
        if self._is_local:
            SINKS[self.file] = lambda entry: self._write(*entry)
        self._crashes: Feed[Any] = Feed("a recording", "crashes", latest=False)
        system.events.feed(self._crashes, (Crashed,))
        self._tap = f"record:{next(_numbers)}"
        self._client.ask(c.Tap(0, self._tap, self.file))
        self._endpoint.on_close(self._end)

    def close(self) -> None:
        """End the recording; idempotent. What actors still do is not in it."""
        if self._is_over:
            return
        with contextlib.suppress(ActorStopped):
            self._client.ask(c.Tap(0, self._tap, ""))
        self._endpoint.off_close(self._end)
        self._end()

    def __enter__(self) -> Recording:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _end(self) -> None:
        """Write what is known at the end, and close the file."""
        self._system.events.leave(self._crashes)
        with self._turn:
            if self._is_over:
                return
            self._is_over = True
            SINKS.pop(self.file, None)
            for crash in self._all_crashes():
                run_file.append(self.file, crash)
            run_file.append(self.file, ("end", self._now()))
            run_file.leave(self.file)

    def _all_crashes(self) -> Iterator[tuple[Any, ...]]:
        with contextlib.suppress(Empty):
            while (event := self._crashes.take_now()) is not None:
                kind, text = event.reason.kind.value, event.reason.text
                handler = event.report.handler or ""
                yield "crash", self._now(), event.actor, event.incarnation, kind, text, handler

    def _write(self, *entry: Any) -> None:
        with self._turn:
            if not self._is_over:  # else of a thread that goes on still
                run_file.append(self.file, entry)

    def _now(self) -> int:
        engine = getattr(self._endpoint, "engine", None)
        return int(engine.now_ns()) if engine is not None else monotonic_ns()


def _is_inbox(info: c.ActorInfo) -> bool:
    return info.class_name == _INBOX


def record(system: Any, file: str | os.PathLike[str]) -> Recording:
    """Record a run in a file, from now on, to the end of the block or of the system.

    Begin before the first actor is spawned. Written are, for each actor: its class and its
    arguments, each message that it begins (with its sender, and its content as it is pickled), each
    answer, and each death. An entry is written before the handler runs, in one piece: what a killed
    process had begun is there. `replay` plays the file.

    Args:
        system: on processes or threads; or an inline one.
        file: made anew. It holds pickles: loading it runs code, so keep it as you keep programs.

    Raises:
        InvalidSpec: there are actors already. OSError: the file cannot be written.
    """
    return Recording(system, file)
