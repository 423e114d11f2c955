"""A topic as an event loop uses it: what blocks there, is awaited here.

Layer: runtime. Runs in: any process with an event loop.
Owns: nothing: it is a view of a `Topic`.
Never: blocks the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

from procactors.runtime.aside import aside
from procactors.runtime.async_ref import AsyncActorRef
from procactors.runtime.ref import ActorRef
from procactors.runtime.topic import Topic
from procactors.wire.payload_store import LARGE
from procactors.wire.pickling.weight import weighs_less

__all__ = ["AsyncTopic"]

A = TypeVar("A")


class AsyncTopic:
    """Names one topic of a system, for use in an event loop: the asyncio view of a `Topic`.

    Attributes:
        name: the topic's.
        sync: the same for code that may block.
    """

    def __init__(self, topic: Topic) -> None:
        self.sync = topic
        self.name = topic.name

    @overload
    async def subscribe(
        self, ref: AsyncActorRef[A] | ActorRef[A], method: Callable[[A, Any], Any], /
    ) -> None: ...
    @overload
    async def subscribe(self, ref: AsyncActorRef[Any] | ActorRef[Any], /) -> None: ...
    async def subscribe(self, ref: Any, method: Any = None, /) -> None:
        """Have an actor told what is published from now on; see `Topic.subscribe`."""
        self.sync.subscribe(_plain(ref), method)

    async def unsubscribe(self, ref: AsyncActorRef[Any] | ActorRef[Any], /) -> None:
        """Have an actor told no more; see `Topic.unsubscribe`."""
        self.sync.unsubscribe(_plain(ref))

    async def publish(self, value: Any, /) -> int:
        """Tell each subscriber; return how many were told. See `Topic.publish`.

        Waits, without blocking the loop, for those whose full mailbox blocks. A value of a megabyte
        or more is pickled and copied in a thread. Order holds for a task that awaits one before the
        next. Cancelled, those that were not told yet may be told or not.
        """
        if not weighs_less(value, LARGE):
            return await aside(self.sync.publish, value)
        publication = self.sync.begin(value)
        if publication.tell_now():
            await aside(publication.tell_rest)
        return publication.told

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncTopic):
            return NotImplemented
        return self.sync == other.sync

    def __hash__(self) -> int:
        return hash(self.sync)

    def __repr__(self) -> str:
        return f"<AsyncTopic {self.name}>"


def _plain(ref: Any) -> Any:
    return ref.sync if isinstance(ref, AsyncActorRef) else ref
