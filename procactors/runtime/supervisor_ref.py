"""The ref of a supervisor of a tree: its children seen, added, stopped and started.

Layer: runtime. Runs in: parent and actor.
Owns: nothing: a ref is a value.
Never: talks to a process of its own: a supervisor has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

from procactors.crash import ExitReason
from procactors.errors import ActorStopped, ForeignProcess, InvalidSpec
from procactors.late_dataclass import dataclass
from procactors.model import commands as c
from procactors.model.checks import deadline, patience
from procactors.model.choices import Restart
from procactors.model.tree import ChildSpec, Supervisor
from procactors.runtime.blueprint import plan_of, write_extra
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.wire.transport import transport_of

if TYPE_CHECKING:
    from procactors.runtime.async_supervisor_ref import AsyncSupervisorRef

__all__ = ["Child", "ChildCounts", "SupervisorRef"]


@dataclass(frozen=True)
class Child:
    """One child of a supervisor.

    Attributes:
        name: its name.
        ref: an `ActorRef` or `SupervisorRef`; None while it is down.
        class_name: the actor's class; empty for a supervisor.
        restart: its restart type.
        state: starting, up, stopping, restarting or down.
        significant: whether its own end may end its supervisor.
    """

    name: str
    ref: ActorRef[Any] | SupervisorRef | None
    class_name: str
    restart: Restart
    state: str
    significant: bool

    @property
    def is_supervisor(self) -> bool:
        """Whether the child is a supervisor, not an actor."""
        return not self.class_name


@dataclass(frozen=True)
class ChildCounts:
    """How many children a supervisor has (OTP's `count_children`).

    Attributes:
        specs: children, running or not.
        active: those that run, or are being restarted.
        supervisors, workers: of all children, which kind they are.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


class SupervisorRef:
    """Names one supervisor of a tree. A value: hashable, comparable, picklable.

    All methods block for the supervisor's answer; those that start or stop a child wait for it.
    While a restart is under way they are put off until it is done, also one from above; once it
    stops for good they raise `ActorStopped`.
    """

    __slots__ = ("_ask_timeout", "_runtime_dir", "_supervisor", "name")

    name: str

    def __init__(
        self, runtime_dir: str, supervisor: int, name: str, ask_timeout: float | None = None
    ) -> None:
        self.name = name
        self._runtime_dir = runtime_dir
        self._supervisor = supervisor
        self._ask_timeout = ask_timeout

    def children(self) -> list[Child]:
        """Return the children in start order, those too that are down."""
        rows = self._command(c.ListChildren(self._supervisor))
        return [
            Child(
                row.name,
                None if row.info is None else self._ref(row.info),
                row.class_name,
                row.restart,
                row.state,
                row.significant,
            )
            for row in rows
        ]

    def count_children(self) -> ChildCounts:
        """Return how many children there are, and of which kind."""
        children = self.children()
        supervisors = sum(child.is_supervisor for child in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.state != "down" for child in children),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )

    def start_child(self, *what: Any, **kwargs: Any) -> Any:
        """Start one more child, behind the others; return its ref.

        Takes one spec or `Supervisor`; with ``Strategy.DYNAMIC`` further positional and keyword
        arguments for the class of the one spec.

        Raises:
            SpawnError: it did not start; nothing of it is left. NameTaken: that name is in use.
            InvalidSpec: not what this supervisor takes.
        """
        endpoint = transport_of(self._runtime_dir, self.name)
        if len(what) == 1 and not kwargs and isinstance(what[0], (ChildSpec, Supervisor)):
            info = self._command(c.StartChild(self._supervisor, plan_of(endpoint, what[0])))
            cls = what[0].cls if isinstance(what[0], ChildSpec) else None
            return self._ref(info, cast("type | None", cls))
        extra = write_extra(endpoint, what, kwargs)
        return self._ref(self._command(c.StartChild(self._supervisor, None, extra)))

    def terminate_child(self, child: str | ActorRef[Any] | SupervisorRef | Child) -> ExitReason:
        """Stop a child for good, behind everything sent to it; its spec stays.

        Blocks until it is gone, at most for its ``stop_timeout``. A temporary or dynamic child's
        spec goes with it. One that is down already is no error.

        Raises:
            SupervisionError: no child of that name.
        """
        return cast("ExitReason", self._command(c.TerminateChild(self._supervisor, _name(child))))

    def restart_child(self, child: str | ActorRef[Any] | SupervisorRef | Child) -> Any:
        """Start a child that is down, and return its ref: it is a new actor of the same name.

        Raises:
            SupervisionError: no child of that name, or it is not down. SpawnError: no start.
        """
        return self._ref(self._command(c.RestartChild(self._supervisor, _name(child))))

    def delete_child(self, child: str | ActorRef[Any] | SupervisorRef | Child) -> None:
        """Forget the spec of a child that is down.

        Raises:
            SupervisionError: no child of that name, or it is not down.
        """
        self._command(c.DeleteChild(self._supervisor, _name(child)))

    def stop(self, timeout: float | None = None) -> ExitReason:
        """Stop all children, last first, and then the supervisor; return how it ended.

        Blocks until all are gone: each child has its own ``stop_timeout``; after ``timeout``
        seconds (None: no such bound) all that are left are killed. Stopping twice is no error.
        """
        if timeout is not None:
            timeout = deadline("timeout", timeout)
        return cast("ExitReason", self._command(c.StopSupervisor(self._supervisor, timeout)))

    def wait(self, timeout: float | None = None) -> ExitReason:
        """Wait until the supervisor has ended for good; return how.

        Raises:
            AskTimeout: it still lives after `timeout` seconds.
        """
        limit = patience("timeout", timeout)
        return cast("ExitReason", self._command(c.WaitSupervisor(self._supervisor), limit))

    def is_alive(self) -> bool:
        """Return whether the supervisor has not ended for good."""
        try:
            self._command(c.ListChildren(self._supervisor))
        except (ActorStopped, ForeignProcess):
            return False
        return True

    @property
    def aio(self) -> AsyncSupervisorRef:
        """The same ref for an event loop: what blocks here, is awaited there."""
        from procactors.runtime.async_supervisor_ref import (
            AsyncSupervisorRef,  # only where it is used
        )

        return AsyncSupervisorRef(self)

    if not TYPE_CHECKING:  # a checker would take it for leave to use any name

        def __getattr__(self, name: str) -> NoReturn:
            """Say that a supervisor is no actor."""
            raise AttributeError(
                f"a supervisor's ref has no attribute {name!r}: a supervisor has no mailbox and no "
                f"methods of yours; its actors' refs are in children(), or found by name: "
                f"system[name]",
                name=name,
                obj=self,
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SupervisorRef):
            return NotImplemented
        return (self._runtime_dir, self._supervisor) == (other._runtime_dir, other._supervisor)

    def __hash__(self) -> int:
        return hash((self._runtime_dir, self._supervisor))

    def __repr__(self) -> str:
        return f"<SupervisorRef {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (SupervisorRef, (self._runtime_dir, self._supervisor, self.name))

    def _ref(self, info: Any, cls: type | None = None) -> Any:
        if isinstance(info, c.SupervisorInfo):
            return SupervisorRef(self._runtime_dir, info.supervisor, info.name, self._ask_timeout)
        overflow = info.options.overflow
        return ActorRef[Any](
            self._runtime_dir, info.actor, info.name, overflow, cls, self._ask_timeout
        )

    def _command(self, command: Any, timeout: float | None = None) -> Any:
        return Client(transport_of(self._runtime_dir, self.name)).ask(command, timeout)


def _name(child: Any) -> str:
    name = child if isinstance(child, str) else getattr(child, "name", None)
    if not isinstance(name, str):
        raise InvalidSpec(f"a child is named by its name or its ref, not by {child!r}")
    return name
