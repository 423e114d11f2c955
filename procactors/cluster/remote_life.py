"""One life's process, and one message there, as the program sees them.

Layer: cluster. Runs in: the program.
Owns: Ray's handle of the process.
Never: says what becomes of either: `host` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from procactors.cluster.uplink import Downlink

__all__ = ["LifeHost", "RemoteLife", "Sent"]


class RemoteLife:
    """One life's process, as the program sees it.

    Attributes:
        start: number of its start.
        ray_actor: Ray's handle of it.
        is_dead: it counts no more.
    """

    is_queued = False
    thread_id = None

    def __init__(self, start: int, ray_actor: Any) -> None:
        self.start = start
        self.ray_actor = ray_actor
        self.handle = ray_actor.handle.remote
        self.control = ray_actor.control.remote
        self.is_dead = False
        #: It has done its `on_start`.
        self.is_ready = False
        #: What its process sends by itself; set when it begins.
        self.downlink: Downlink
        #: Messages that were in hand at its end, by its own word; None: it has said nothing.
        self.in_hand: list[int] | None = None


class Sent(NamedTuple):
    """A message that was handed over, and whose result its sender takes itself.

    Attributes:
        host: of its actor.
        life: that has it.
        number: the message's.
        result: Ray's reference.
    """

    host: LifeHost
    life: RemoteLife
    number: int
    result: Any


class LifeHost(Protocol):
    """One actor's mailbox in the program, as far as it is for what its lives' processes send.

    Attributes:
        id: the actor's.
        words: of its black box.
        life: the one that counts; None: there is none.
    """

    id: int
    words: Any
    life: RemoteLife | None

    def order(self, what: str, *about: Any) -> None:
        """Have the life's process do something beside the messages."""

    def at_item(self, key: bytes, since: int) -> None:
        """Note since when the generator of a stream is at its next item."""

    def listen(self, sent: Sent) -> None:
        """Have the result of a message taken when it is there."""

    def take_result(self, life: RemoteLife, number: int, value: Any) -> None:
        """Take what has come of a message."""

    def lost(self, life: RemoteLife, error: BaseException) -> None:
        """The process of a life is gone, and has not said why."""
