"""The ref of a supervisor as an event loop uses it.

Layer: runtime. Runs in: any process with an event loop.
Owns: nothing: it is a view of a `SupervisorRef`.
Never: blocks the loop.
"""

from __future__ import annotations

from typing import Any

from procactors.crash import ExitReason
from procactors.errors import ActorStopped, ForeignProcess
from procactors.model import commands as c
from procactors.model.checks import deadline, patience
from procactors.runtime.aside import aside
from procactors.runtime.async_ref import AsyncActorRef
from procactors.runtime.awaited import command
from procactors.runtime.ref import ActorRef
from procactors.runtime.supervisor_ref import Child, ChildCounts, SupervisorRef
from procactors.wire.transport import transport_of

__all__ = ["AsyncSupervisorRef"]


class AsyncSupervisorRef:
    """Names one supervisor of a tree, for use in an event loop: the view of a `SupervisorRef`.

    The calls mean what those of `SupervisorRef` mean. Cancelled, they are no longer waited for, and
    what was ordered is done all the same; a child that was started belongs to the tree.

    Attributes:
        name: the supervisor's name.
        sync: the same for code that may block.
    """

    __slots__ = ("name", "sync")

    name: str
    sync: SupervisorRef

    def __init__(self, ref: SupervisorRef) -> None:
        self.sync = ref
        self.name = ref.name

    async def children(self) -> list[Child]:
        """Return the children in start order, those too that are down."""
        return await aside(self.sync.children)

    async def count_children(self) -> ChildCounts:
        """Return how many children there are, and of which kind."""
        return await aside(self.sync.count_children)

    async def start_child(self, *what: Any, **kwargs: Any) -> Any:
        """Start one more child, behind the others; return its asyncio ref."""
        return _view(await aside(lambda: self.sync.start_child(*what, **kwargs)))

    async def terminate_child(self, child: Any) -> ExitReason:
        """Stop a child for good, behind everything sent to it; its spec stays."""
        return await aside(self.sync.terminate_child, _plain(child))

    async def restart_child(self, child: Any) -> Any:
        """Start a child that is down, and return its asyncio ref."""
        return _view(await aside(self.sync.restart_child, _plain(child)))

    async def delete_child(self, child: Any) -> None:
        """Forget the spec of a child that is down."""
        await aside(self.sync.delete_child, _plain(child))

    async def stop(self, timeout: float | None = None) -> ExitReason:
        """Stop all children, last first, and then the supervisor; return how it ended."""
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        reason: ExitReason = await self._command(
            c.StopSupervisor(self.sync._supervisor, timeout), None
        )
        return reason

    async def wait(self, timeout: float | None = None) -> ExitReason:
        """Wait until the supervisor has ended for good; return how.

        Raises:
            AskTimeout: it still lives after `timeout` seconds.
        """
        limit = patience("timeout", timeout)
        reason: ExitReason = await self._command(c.WaitSupervisor(self.sync._supervisor), limit)
        return reason

    async def is_alive(self) -> bool:
        """Return whether the supervisor has not ended for good."""
        try:
            await self._command(c.ListChildren(self.sync._supervisor), None)
        except (ActorStopped, ForeignProcess):
            return False
        return True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AsyncSupervisorRef):
            return NotImplemented
        return self.sync == other.sync

    def __hash__(self) -> int:
        return hash(self.sync)

    def __repr__(self) -> str:
        return f"<AsyncSupervisorRef {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (AsyncSupervisorRef, (self.sync,))

    async def _command(self, what: Any, limit: float | None) -> Any:
        return await command(transport_of(self.sync._runtime_dir, self.name), what, limit)


def _view(ref: ActorRef[Any] | SupervisorRef) -> AsyncActorRef[Any] | AsyncSupervisorRef:
    return AsyncSupervisorRef(ref) if isinstance(ref, SupervisorRef) else AsyncActorRef(ref)


def _plain(child: Any) -> Any:
    """Return the blocking ref of an asyncio one; anything else as it is."""
    return child.sync if isinstance(child, (AsyncActorRef, AsyncSupervisorRef)) else child
