"""Events for guests: each has a pipe, into which what it listens to is written as lines.

Layer: supervision. Runs in: parent: in the supervisor's thread, and in one for each guest that
listens. Loaded with the first one.
Owns: the writing ends, and the guests' subscriptions (`end`, `close`).
Never: waits for a guest: what its pipe does not take is dropped, and counted.

A line is a tuple of plain values, as in the journal: class of the event, actor, instant on the
monotonic clock, the event as a sentence, its fields. (DROPPED, n): n events are missing.
"""

from __future__ import annotations

import dataclasses
import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.crash import CrashReport
from procactors.model import commands as c, events as model, life_events
from procactors.model.events import Event
from procactors.observe.events import Events

if TYPE_CHECKING:
    from procactors.observe.subscription import Subscription

__all__ = ["DROPPED", "GuestEvents", "pipe_of"]

#: In the place of a class: some events are missing.
DROPPED = "dropped"
#: Events that wait for a guest's thread.
_BOUND = 1_000
#: Characters of a field, and of the sentence.
_LONGEST = 400


def pipe_of(runtime_dir: str, process: int) -> str:
    """Return the path of a guest's pipe for events.

    It stands among its reply pipes, with a name of that kind: so it goes with them when the guest
    was killed.
    """
    return os.path.join(runtime_dir, "replies", f"{process & 0x7FFFFFFF:08x}-events")


class GuestEvents:
    """All guests that listen to a system's events.

    Args:
        events: the system's hub.
        runtime_dir: where the pipes are.
    """

    def __init__(self, events: Events, runtime_dir: str) -> None:
        self._events = events
        self._runtime_dir = runtime_dir
        self._listeners: dict[int, tuple[_Pipe, Subscription[Event]]] = {}

    def listen(self, command: c.Listen) -> None:
        """Have a guest told of events from now on.

        Raises:
            OSError: its pipe is not there, or nobody reads it. ValueError: no such kind of event.
        """
        kinds = [_kind(name) for name in command.kinds]
        self.end(command.process)
        pipe = _Pipe(pipe_of(self._runtime_dir, command.process))
        try:
            subscription = self._events.subscribe(pipe.put, kinds, bound=_BOUND)
        except BaseException:
            pipe.close()
            raise
        pipe.on_gone, pipe.dropped = subscription.close, lambda: subscription.dropped
        self._listeners[command.process] = pipe, subscription

    def end(self, process: int) -> None:
        """A guest has ended, or listens no more."""
        pipe, subscription = self._listeners.pop(process, (None, None))
        if pipe is not None and subscription is not None:
            subscription.close()
            pipe.close()

    def close(self) -> None:
        """Tell nobody any more."""
        for process in list(self._listeners):
            self.end(process)


class _Pipe:
    """The writing end of one guest's pipe."""

    def __init__(self, path: str) -> None:
        # Guards the descriptor: one thread writes, another closes.
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._missing = self._dropped = 0
        #: Called when nobody reads it any more.
        self.on_gone: Callable[[], None] = lambda: None
        #: How many events were dropped before they came here.
        self.dropped: Callable[[], int] = lambda: 0

    def put(self, event: Event) -> None:
        """Write an event, unless there is no room."""
        lines = _line(event)
        with self._lock:
            if self._fd < 0:
                return
            before, self._dropped = self._dropped, self.dropped()
            self._missing += self._dropped - before
            if self._missing:
                lines = f"{(DROPPED, self._missing)!a}\n".encode("ascii") + lines
            try:
                os.write(self._fd, lines)
                self._missing = 0
            except BlockingIOError:
                self._missing += 1
            except OSError:  # it has no reader
                self.on_gone()

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)


def _kind(name: str) -> type[Event]:
    for module in (life_events, model):
        kind = getattr(module, name, None)
        if isinstance(kind, type) and issubclass(kind, Event):
            return kind
    raise ValueError(f"no event is called {name!r}")


def _line(event: Event) -> bytes:
    """Return an event as one line, which the kernel writes whole or not at all."""
    name, text = type(event).__name__, str(event)[:_LONGEST]
    fields = {
        field.name: _plain(getattr(event, field.name))
        for field in dataclasses.fields(event)
        if field.name not in ("actor", "time")
    }
    # Half: room for the line before it that says how many are missing.
    for known in (fields, {}):
        line = f"{(name, event.actor[:_LONGEST], event.time, text, known)!a}\n".encode("ascii")
        if len(line) <= select.PIPE_BUF // 2:
            return line
    return f"{(name, '', event.time, '', {})!a}\n".encode("ascii")


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, CrashReport):
        return value.summary[:_LONGEST]
    return str(value)[:_LONGEST]
