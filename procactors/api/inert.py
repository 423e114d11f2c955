"""What stands for a system that a module makes while it is imported only to be looked into.

Layer: api. Runs in: zygote and actor.
Owns: nothing: no process, thread, descriptor or file.
Never: starts anything; keeps a caller waiting.

The module's own code goes on: it makes a system, actors, pools and trees, and gets objects of the
usual types. Using one of them raises `ForeignProcess`, which says what it is: in an ask or a map,
and in anything that a handler does with it. Why: `procactors.process.nesting`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, cast

from procactors.api.inbox import Inbox
from procactors.api.inert_endpoint import InertEndpoint
from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.model.checks import text
from procactors.model.events import Event
from procactors.model.options import Options
from procactors.model.tree import Supervisor
from procactors.observe.events import BOUND, Events
from procactors.observe.subscription import Feed, Subscription
from procactors.pool.batch import WorkerSlot
from procactors.pool.calls import PoolReply
from procactors.pool.pool import Pool
from procactors.process.nesting import importer, note_inert
from procactors.runner.method_table import table_of
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.runtime.shared import Shared
from procactors.runtime.supervisor_ref import SupervisorRef
from procactors.runtime.topic import Topic
from procactors.supervision.stop_report import StopReport
from procactors.wire.result_table import FAILURE, Sealed
from procactors.wire.shm.share_file import Share

if TYPE_CHECKING:
    from procactors.pool.dispatch import Dispatcher

__all__ = ["become_inert"]


def become_inert(system: Any, module: str, name: str | None, ask_timeout: float | None) -> None:
    """Make a system that is just being constructed inert.

    Its class is changed, so that no method of a live system has to ask which of both it is.

    Args:
        system: an instance of `ActorSystem`, or of a class of the user's below it.
        module: that is being imported.
        name: the system's; None: it has none.
        ask_timeout: the system's.
    """
    cls = type(system)
    system.__class__ = type(cls.__name__, (_InertSystem, cls), {"__module__": cls.__module__})
    system.name = name or f"system of {module}"
    system.events = _InertEvents()
    system.dead_letters = _InertLetters()
    system.failure = None
    system._endpoint = InertEndpoint(module)
    system._client = Client(system._endpoint)
    system._ask_timeout = ask_timeout
    system._ids = itertools.count(1)
    note_inert(module)


class _InertSystem:
    """The methods that an inert system has instead of an `ActorSystem`'s."""

    name: str
    _endpoint: InertEndpoint
    _ask_timeout: float | None
    _ids: itertools.count[int]

    def supervise(self, tree: Supervisor) -> SupervisorRef:
        number = self._number("supervise")
        return SupervisorRef(self._endpoint.path, number, tree.name or "supervisor")

    def find(self, name: str) -> ActorRef[Any] | None:
        return self._ref_of(self._number("find"), name)

    def actors(self) -> list[ActorRef[Any]]:
        self._number("actors")
        return []

    def share(self, value: Any) -> Shared[Any]:
        self._number("share")
        return _InertShared(self._endpoint, type(value).__name__)

    def shares(self) -> list[Shared[Any]]:
        self._number("shares")
        return []

    def inbox(self, name: str | None = None) -> Inbox:
        number = self._number("inbox")
        return _InertInbox(self._endpoint, self._ref_of(number, name or f"inbox-{number}"))

    def topic(self, name: str) -> Topic:
        return _InertTopic(self._endpoint, text("a topic's name", name))

    def _enter(self) -> Any:
        return self

    def _break_off(self, error: BaseException) -> None:
        pass

    def stop(self, timeout: float | None = None) -> StopReport:
        return StopReport(0.0)

    def wait(self, timeout: float | None = None) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<ActorSystem {self.name} (inert: made while a module was imported)>"

    def _spawn(
        self,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        number = self._number("spawn")
        return self._ref_of(number, options.name or f"{cls.__name__.lower()}-{number}", cls)

    def _pool(
        self,
        options: Options,
        parent: int,
        cls: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Pool[Any]:
        number = self._number("pool")
        name = options.name or f"{cls.__name__.lower()}-pool-{number}"
        return _InertPool(self._endpoint, name, cls, options)

    def _number(self, what: str) -> int:
        """Return a number for what is made now; outside of the import, say that it is not made."""
        if importer() is None:
            raise self._endpoint.error(f"{self.name}, asked to {what},")
        return next(self._ids)

    def _ref_of(self, number: int, name: str, cls: type | None = None) -> ActorRef[Any]:
        path, overflow = self._endpoint.path, Options().overflow
        return ActorRef(path, number, name, overflow, cls, self._ask_timeout)


class _InertPool(Pool[Any]):
    """A pool without workers."""

    _transport: InertEndpoint

    def __init__(self, transport: InertEndpoint, name: str, cls: type, options: Options) -> None:
        # Nothing of the base class's: there are no workers, no monitor and no queue.
        self.name = name
        self._dispatcher = cast("Dispatcher", self)  # replies ask it for its name alone
        self._transport = transport
        self._table = table_of(cls)
        self._options = options

    @property
    def size(self) -> int:
        return 0

    def workers(self) -> list[ActorRef[Any]]:
        return []

    def resize(self, size: int) -> None:
        self._options.replace(size=size)

    def autoscale(self, least: int, most: int) -> None:
        self._options.replace(size=(least, most))

    def stop(self, timeout: float | None = None) -> None:
        pass

    def kill(self) -> None:
        pass

    def _call(
        self,
        reply: PoolReply[Any] | None,
        what: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        slot: WorkerSlot | None,
        wait_s: float | None = None,
    ) -> None:
        if reply is not None:
            reply.resolve(Sealed(FAILURE, self._error()))
        elif importer() is None:
            raise self._error()

    def _slots(self) -> list[WorkerSlot]:
        raise self._error()

    def _check_open(self) -> None:
        raise self._error()

    def _error(self) -> Exception:
        return self._transport.error(self.name)


class _InertInbox(Inbox):
    """An inbox to which nothing comes."""

    _endpoint: InertEndpoint

    def __init__(self, endpoint: InertEndpoint, ref: ActorRef[Any]) -> None:
        self.ref = ref
        self._endpoint = endpoint

    def close(self) -> None:
        pass

    def _watches(self) -> Any:
        raise self._endpoint.error(self.ref.name)


class _InertTopic(Topic):
    """A topic that nobody hears of."""

    _transport: InertEndpoint

    def subscribe(self, ref: ActorRef[Any], method: Any = None, /) -> None:
        self._check_import()

    def unsubscribe(self, ref: ActorRef[Any], /) -> None:
        self._check_import()

    def publish(self, value: Any, /) -> int:
        self._check_import()
        return 0

    def _check_import(self) -> None:
        if importer() is None:
            raise self._transport.error(f"the topic {self.name}")


class _InertShared(Shared[Any]):
    """A handle of nothing."""

    __slots__ = ("_endpoint",)

    def __init__(self, endpoint: InertEndpoint, kind: str) -> None:
        super().__init__(Share(endpoint.path, 0, 0, 0, 0), 0, kind, sent=True)
        self._endpoint = endpoint

    def get(self) -> Any:
        raise self._endpoint.error(f"this shared {self._kind}")

    def release(self) -> None:
        pass


class _InertEvents(Events):
    """Nothing happens."""

    def subscribe(
        self,
        callback: Callable[[Any], object],
        kinds: Iterable[type[Event]] | None = None,
        *,
        bound: int = BOUND,
    ) -> Subscription[Any]:
        return _InertSubscription(callback)

    def feed(self, feed: Feed[Event], kinds: Iterable[type[Event]] | None = None) -> None:
        feed.end()


class _InertLetters(DeadLetters):
    """No message is lost."""

    def subscribe(self, callback: Callable[[DeadLetter], object]) -> Callable[[], None]:
        return lambda: None


class _InertSubscription(Subscription[Any]):
    """One without a thread: the zygote must have none."""

    def __init__(self, callback: Callable[[Any], object]) -> None:
        self.feed = Feed(callback, "events", latest=True)

    def close(self) -> None:
        pass
