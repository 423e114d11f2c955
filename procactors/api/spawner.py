"""The system as seen from any of its processes: spawning, and finding by name.

Layer: api. Runs in: parent and actor.
Owns: nothing: the endpoint belongs to the process.
Never: starts or ends the system: that is `ActorSystem`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from procactors.errors import InvalidSpec
from procactors.late import late
from procactors.model.words import worded

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from procactors.api.async_spawner import AsyncSpawner, AsyncSystemHandle
    from procactors.model import checks, commands as c, options as model, tree as trees
    from procactors.model.options import Options, OptionWords
    from procactors.model.tree import Supervisor
    from procactors.pool.pool import Pool
    from procactors.runtime import (
        blueprint as blueprints,
        client as clients,
        ref as refs,
        shared,
        supervisor_ref as supervisor_refs,
    )
    from procactors.runtime.ref import ActorRef
    from procactors.runtime.shared import Shared
    from procactors.runtime.supervisor_ref import SupervisorRef
    from procactors.runtime.topic import Topic
    from procactors.wire import transport
    from procactors.wire.transport import Transport
else:
    # What a program imports comes first, and has its zygote started; then these.
    checks = late("procactors.model.checks")
    c = late("procactors.model.commands")
    model = late("procactors.model.options")
    trees = late("procactors.model.tree")
    blueprints = late("procactors.runtime.blueprint")
    clients = late("procactors.runtime.client")
    refs = late("procactors.runtime.ref")
    shared = late("procactors.runtime.shared")
    supervisor_refs = late("procactors.runtime.supervisor_ref")
    transport = late("procactors.wire.transport")

__all__ = ["Spawner", "SystemHandle", "Worker"]

T = TypeVar("T")
P = ParamSpec("P")


class Worker:
    """The class of a pool's workers if none is named: they run functions."""


class Spawner:
    """A system with options for what it spawns next."""

    def __init__(self, handle: SystemHandle, options: Options, parent: int) -> None:
        self._handle = handle
        self._options = options
        self._parent = parent

    def spawn(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]:
        """Start an actor of `cls` in a process of its own; return its ref.

        Blocks until its constructor and `on_start` are done. Class and arguments are pickled
        before this returns, and again unpickled for each incarnation.

        Raises:
            SpawnError: they raised (the remote traceback is the ``__cause__``), or no process
                could be started. NameTaken: another live actor has the name.
            TypeError: the constructor does not take these arguments.
            EncodeError: an argument cannot be pickled.
        """
        ref: ActorRef[T] = self._handle._spawn(self._options, self._parent, cls, args, kwargs)
        return ref

    @overload
    def pool(self, cls: type[Worker] = ..., /) -> Pool[Worker]: ...
    @overload
    def pool(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pool[T]: ...
    def pool(self, cls: Any = Worker, /, *args: Any, **kwargs: Any) -> Pool[Any]:
        """Start a pool: `size` actors of `cls` that share the work; see `Pool`.

        Blocks until all of them are up. Class and arguments may be left out: then its workers
        run functions only.

        Raises:
            What `spawn` raises; then nothing is left of the others either.
        """
        return self._handle._pool(self._options, self._parent, cls, args, kwargs)

    @property
    def aio(self) -> AsyncSpawner:
        """The same for an event loop."""
        from procactors.api.async_spawner import AsyncSpawner  # only where it is used

        return AsyncSpawner(self)


class SystemHandle:
    """What main program and actors can do with the system alike."""

    def __init__(self, endpoint: Transport, ask_timeout: float | None) -> None:
        self._endpoint = endpoint
        self._client = clients.Client(endpoint)
        self._ask_timeout = ask_timeout

    def spawn(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]:
        """Start an actor; see `Spawner.spawn`."""
        return self.options().spawn(cls, *args, **kwargs)

    @overload
    def pool(self, cls: type[Worker] = ..., /) -> Pool[Worker]: ...
    @overload
    def pool(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Pool[T]: ...
    def pool(self, cls: Any = Worker, /, *args: Any, **kwargs: Any) -> Pool[Any]:
        """Start a pool of one worker for each usable CPU; see `Spawner.pool`."""
        return self.options().pool(cls, *args, **kwargs)

    @worded
    def options(self, **options: Unpack[OptionWords]) -> Spawner:
        """Return a spawner with options (see `Options`).

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        return Spawner(self, model.DEFAULTS.replace(**options), transport.MAIN)

    @property
    def aio(self) -> AsyncSystemHandle:
        """The same for an event loop: what blocks here, is awaited there."""
        from procactors.api.async_spawner import AsyncSystemHandle  # only where it is used

        return AsyncSystemHandle(self)

    def find(self, name: str) -> ActorRef[Any] | None:
        """Return the live actor of that name, or None.

        Raises:
            InvalidSpec: no name.
        """
        info = self._client.ask(c.Find(checks.text("an actor's name", name)))
        return None if info is None else self._ref(info)

    def __getitem__(self, name: str) -> ActorRef[Any]:
        found = self.find(name)
        if found is None:
            raise KeyError(f"no live actor is named {name!r}")
        return found

    def actors(self) -> list[ActorRef[Any]]:
        """Return the live actors in start order."""
        return [self._ref(info) for info in self._client.ask(c.ListActors())]

    def supervise(self, tree: Supervisor) -> SupervisorRef:
        """Start a supervision tree; return the ref of its root supervisor.

        Blocks until all of it is up: children start in order, each after the former's `on_start`.

        Raises:
            SpawnError: a child did not start (its exception is the ``__cause__``); what was
                started before it has been stopped again. NameTaken: a name of the tree is.
            InvalidSpec: no `Supervisor`.
        """
        return self._supervisor_ref(self._client.ask(self._supervise_order(tree)))

    def share(self, value: T) -> Shared[T]:
        """Write a value into shared memory, once, for any number of readers; see `Shared`.

        Blocks for the copy. What has buffers goes there as it is and is mapped by its readers:
        arrays of NumPy, frames and series of pandas, tables of pyarrow, frames and series of polars
        (through pyarrow, if it is installed), memoryviews, and whatever supports protocol 5 of
        pickle, at any depth in the value. The rest is pickled, and each `get` unpickles it: bytes,
        bytearrays and `array.array` too, whose types own their memory (share a `memoryview` of
        them instead).

        Raises:
            EncodeError: something in the value cannot be pickled; the text names the path to it.
            StorageFull: neither the runtime directory nor the temporary one has room.
        """
        self._endpoint.check_process()
        return shared.share_in(self._endpoint.store, value)

    def shares(self) -> list[Shared[Any]]:
        """Return handles of what is shared at this moment, by any process of the system."""
        self._endpoint.check_process()
        return shared.shared_in(self._endpoint.store)

    def topic(self, name: str) -> Topic:
        """Return the topic of that name: what is published there, each subscriber is told.

        Needs not be made, and is the same in every process of the system.

        Raises:
            InvalidSpec: no name.
        """
        from procactors.runtime.topic import Topic  # only where it is used

        return Topic(self._endpoint, checks.text("a topic's name", name))

    def child_spawner(self, options: OptionWords) -> Spawner:
        """Return a spawner whose actors are children of this process's actor."""
        return Spawner(self, model.DEFAULTS.replace(**options), self._endpoint.actor)

    def _spawn(
        self,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        info = self._client.ask(self._spawn_order(options, parent, cls, args, kwargs))
        return self._ref(info, cls)

    def _spawn_order(
        self,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> c.Spawn:
        """Return the command that starts an actor, its blueprint written.

        Raises:
            What `Spawner.spawn` raises before there is a process.
        """
        blueprints.check_options(options, cls)
        self._expect_start()
        blueprint = blueprints.write_blueprint(self._endpoint, cls, args, kwargs)
        return c.Spawn(blueprint, cls.__qualname__, options, parent)

    def _supervise_order(self, tree: Supervisor) -> c.Supervise:
        """Return the command that starts a tree, its blueprints written.

        Raises:
            What `supervise` raises before there is a process.
        """
        self._endpoint.check_process()
        if not isinstance(tree, trees.Supervisor):
            raise InvalidSpec(
                f"supervise takes a tree, as in Supervisor(spec(Class, ...), ...), not {tree!r}"
            )
        return c.Supervise(blueprints.plan_of(self._endpoint, tree))

    def _expect_start(self) -> None:
        """Have a process ready, where that is possible, for a start that is being prepared."""

    def _pool(
        self,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Pool[Any]:
        from procactors.pool.pool import open_pool  # only where it is used

        events = getattr(self, "events", None)  # an actor's part of the system has none
        timeout = self._ask_timeout
        return open_pool(self._client, events, options, parent, timeout, cls, args, kwargs)

    def __reduce__(self) -> Any:
        raise TypeError(
            f"{self!r} belongs to its process and cannot be sent; in an actor, self.context.system "
            f"is the system, and in a function that runs in one, current_context().system"
        )

    def _ref(self, info: c.ActorInfo, cls: type | None = None) -> ActorRef[Any]:
        return refs.ActorRef(
            self._endpoint.path,
            info.actor,
            info.name,
            info.options.overflow,
            cls,
            self._ask_timeout,
        )

    def _supervisor_ref(self, info: c.SupervisorInfo) -> SupervisorRef:
        return supervisor_refs.SupervisorRef(
            self._endpoint.path, info.supervisor, info.name, self._ask_timeout
        )
