"""Messages that nobody will handle, and why.

Layer: supervision. Runs in: parent; written by the supervisor's thread, read by anybody.
Owns: the letters, up to a bound; older ones go, their number is kept.
Never: unpickles a message by itself: that may run, or kill, anything.
"""

from __future__ import annotations

import collections
import dataclasses
import threading
from collections.abc import Iterator
from typing import Any

from procactors.wire.codec import decode

__all__ = ["DeadLetter", "DeadLetters"]

#: Letters kept; a flood of them must not fill the parent's memory.
_KEPT = 10_000


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """A message that was not handled to its end.

    Attributes:
        actor: name of the actor that it was sent to.
        handler: name of the method, or ``receive``.
        reason: why nobody will handle it, in words.
        deliveries: how often its handling was begun.
        sender: id of the actor that sent it; 0 is the main program.
    """

    actor: str
    handler: str
    reason: str
    deliveries: int
    sender: int
    head: bytes = dataclasses.field(repr=False)
    buffers: tuple[bytes, ...] = dataclasses.field(default=(), repr=False)
    is_call: bool = dataclasses.field(default=False, repr=False)

    @property
    def message(self) -> Any:
        """The message, unpickled now, in this process; for a method ``(args, kwargs)``.

        Raises:
            DecodeError: it cannot be unpickled here.
        """
        return decode(self.head, [bytearray(buffer) for buffer in self.buffers])


class DeadLetters:
    """The system's dead letters, oldest first: iterable, with a length.

    Attributes:
        total: how many there have been, those no longer kept included.
    """

    def __init__(self) -> None:
        self._letters: collections.deque[DeadLetter] = collections.deque(maxlen=_KEPT)
        # Guards letters and count against a reader that copies while the supervisor adds.
        self._lock = threading.Lock()
        self.total = 0

    def add(self, letter: DeadLetter) -> None:
        """Keep a letter."""
        with self._lock:
            self._letters.append(letter)
            self.total += 1

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        with self._lock:
            return iter(tuple(self._letters))

    def __repr__(self) -> str:
        return f"<DeadLetters: {len(self)} kept of {self.total}>"
