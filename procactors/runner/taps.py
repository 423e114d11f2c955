"""Taps: what stands before an actor's mailbox in a test, and has a hand in, or notes, its messages.

Layer: runner. Runs in: actor, in the thread that serves it. Loaded by lives that are tapped alone.
Owns: nothing.
Never: costs an actor anything that no test looks at: it is a source like timers and bounds.

    supervisor ─ start order, or a record TAP ─► Taps ─► a Tap stands between loop and mailbox
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from procactors.light_tuple import NamedTuple
from procactors.wire.record import KIND_AT, Kind

if TYPE_CHECKING:
    from procactors.runner.loop import Loop
    from procactors.runner.source import Source

__all__ = ["Tap", "Tapped", "Taps"]

#: By the first part of a tap's name: the module with its class `Entry`.
_MODULES = {
    "faults": "procactors.runner.fault_tap",
    "record": "procactors.runner.record_tap",
    "replay": "procactors.runner.replay_tap",
}

_CALL = int(Kind.CALL)


class Tapped(NamedTuple):
    """The life that is tapped.

    Attributes:
        actor: the actor's id.
        name: the actor's.
        class_name: its class's qualified name.
        incarnation: which life it is, from 1.
        parent: id of the actor that has spawned it; 0 is the main program.
        seed: the incarnation's.
        options: the actor's, pickled.
        path: of the system.
        now_ns: the clock by which it goes, in nanoseconds.
        blueprint: returns what its class and arguments are written in, and further arguments.
        draw_from: gives the life, which has not constructed its actor, another seed.
        die: ends the life as SIGKILL does; does not return.
    """

    actor: int
    name: str
    class_name: str
    incarnation: int
    parent: int
    seed: int
    options: bytes
    path: str
    now_ns: Callable[[], int]
    blueprint: Callable[[], tuple[bytes, bytes]]
    draw_from: Callable[[int], None]
    die: Callable[[], None]


class Tap:
    """A source that passes on what comes from the one behind it.

    Args:
        loop: the actor's, in which it takes its place.
        life: whose that is.
        argument: what it is told; by a text of its own form.
    """

    def __init__(self, loop: Loop, life: Tapped, argument: str) -> None:
        self._loop = loop
        self._life = life
        self._reader: Any = loop._reader
        self._words = self._reader.box.words
        self._inner: Source = loop.source
        self._answer = loop._answer
        self._is_on = True
        loop.use(self)
        loop._answer = self.answer
        self.change(argument)

    @classmethod
    def begins(cls, life: Tapped, argument: str) -> None:
        """A life is about to construct its actor, and has no loop yet."""

    def change(self, argument: str) -> None:
        """Heed what it is told anew."""

    def remove(self) -> None:
        """Have no hand in anything any more."""
        self._is_on = False
        # Where another one has come to stand before it, it stays and passes on.
        if self._loop.source is self:
            self._loop.use(self._inner)
        if self._loop._answer == self.answer:
            self._loop._answer = self._answer

    # -- as a source ----------------------------------------------------------------------------

    def advance(self, timeout: float | None) -> int:
        """Mark the next record as in hand; see `Source`."""
        at = self._inner.advance(timeout)
        return at if at < 0 or not self._is_on else self.taken(at, timeout)

    def step(self, timeout: float | None) -> int:
        """Step behind the message in hand, and then `advance`."""
        if not self._is_on or self.ends():
            self._inner.done(place=True)
        return self.advance(timeout)

    def done(self, *, place: bool) -> None:
        """Step behind the record in hand; or leave it there, for the next `advance`."""
        if not self._is_on or self.ends():
            self._inner.done(place=place)

    def answer(self, reply: int, call: int, kind: int, value: object, *more: Any) -> bool:
        """Answer the message in hand; see `ReplySender.answer`."""
        if self._is_on:
            self.answers(reply, call, kind, value)
        return self._answer(reply, call, kind, value, *more)

    # -- what a tap does ------------------------------------------------------------------------

    def taken(self, at: int, timeout: float | None) -> int:
        """A record is in hand, at that offset; return that of the one to be handled."""
        return at

    def ends(self) -> bool:
        """What is in hand was handled; return False if it is to be handled once more."""
        return True

    def answers(self, reply: int, call: int, kind: int, value: object) -> None:
        """The message in hand is about to be answered."""

    def _is_message(self, at: int) -> bool:
        """Whether the record at an offset is a message."""
        return bool(self._reader.box.raw[at + KIND_AT] == _CALL)


class Taps:
    """The taps of one life, by their names.

    Args:
        life: whose they are.
        ordered: (name, argument) of those that it has from its beginning; its constructor is next.
    """

    def __init__(self, life: Tapped, ordered: Iterable[tuple[str, str]] = ()) -> None:
        self._life = life
        self._ordered = list(ordered)
        self._taps: dict[str, Tap] = {}
        for name, argument in self._ordered:
            _entry(name).begins(life, argument)

    def serve(self, loop: Loop) -> None:
        """Stand before the mailbox of a loop from now on."""
        self._loop = loop
        for name, argument in self._ordered:
            self.put(name, argument)

    def heed(self, body: bytes) -> None:
        """Do what a record of kind TAP says."""
        name, _, argument = body.decode().partition("\n")
        self.put(name, argument)

    def put(self, name: str, argument: str) -> None:
        """Have a tap of that name; without an argument, have it no more."""
        there = self._taps.get(name)
        if not argument:
            if there is not None:
                del self._taps[name]
                there.remove()
        elif there is not None:
            there.change(argument)
        else:
            self._taps[name] = _entry(name)(self._loop, self._life, argument)


def _entry(name: str) -> type[Tap]:
    """Return the class of the taps of a name."""
    entry: type[Tap] = import_module(_MODULES[name.partition(":")[0]]).Entry
    return entry
