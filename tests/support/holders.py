"""An actor that holds messages out of its batch, as those do that have several in hand."""

from __future__ import annotations

import os
import signal
from typing import Any

from procactors import Actor
from procactors.wire.mailbox import hands


class Putter:
    """A source that holds the message in hand, if its handler has said so, and goes on."""

    def __init__(self, loop: Any, reader: Any) -> None:
        self.loop, self.reader = loop, reader
        self.state: int | None = None

    def advance(self, timeout: float | None) -> int:
        return self.reader.advance(timeout)

    def step(self, timeout: float | None) -> int:
        state, self.state = self.state, None
        if state is None:
            return self.reader.step(timeout)
        self.hold(state)
        return self.reader.advance(timeout)

    def done(self, *, place: bool) -> None:
        state, self.state = self.state, None
        if state is None:
            self.reader.done(place=place)
        else:
            self.hold(state)

    def hold(self, state: int) -> None:
        self.loop.is_held = self.loop.is_taken = False
        self.loop.held.hold().state = state


class Holder(Actor):
    """Holds what comes, and says which it has begun."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.putter: Putter | None = None

    def on_start(self) -> None:
        self.putter = None

    def hold(self, what: Any, how: str = "RUNNING") -> int:
        """Leave this message held in that state; begun anew, answer how often it was begun."""
        self.begun.append(what if isinstance(what, int) else len(what))
        loop = self.context._loop
        if self.context.deliveries > 1 or (self.putter is None and loop._slot is not None):
            return self.context.deliveries
        if self.putter is None:
            self.putter = Putter(loop, loop._reader)
            loop.use(self.putter)
        self.putter.state = getattr(hands, how)
        loop.is_taken = loop.is_held = True
        return 0

    def all_begun(self) -> list[Any]:
        return self.begun

    def pid(self) -> int:
        return os.getpid()

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)
