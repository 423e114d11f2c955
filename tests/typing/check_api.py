"""What type checkers must accept and must refuse; checked by mypy and pyright, never run."""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import assert_type

from procactors import (
    Actor,
    ActorRef,
    ActorStatus,
    ActorSystem,
    AsyncActorRef,
    AsyncActorSystem,
    AsyncMapResults,
    AsyncPool,
    AsyncSupervisorRef,
    AsyncTopic,
    Backoff,
    Checkpoint,
    Child,
    ChildCounts,
    ChildFailure,
    ChildSpec,
    Crashed,
    CrashReport,
    Directive,
    Event,
    ExitReason,
    Inbox,
    LaterReply,
    Limits,
    MapResults,
    Message,
    Options,
    Pool,
    Progress,
    Recycle,
    Reply,
    Restart,
    Restarted,
    Routing,
    Shared,
    Started,
    Stopped,
    StopReport,
    Strategy,
    Stream,
    Supervisor,
    SupervisorRef,
    Terminated,
    Timer,
    Topic,
    current_context,
    feed,
    run,
    spec,
)
from procactors.api.actor import Context
from procactors.api.spawner import Worker
from procactors.futures import ActorPoolExecutor
from procactors.observe.subscription import Subscription


@dataclass(frozen=True)
class GetValue(Message[int]):
    pass


@dataclass(frozen=True)
class Increment(Message[None]):
    by: int = 1


@dataclass(frozen=True)
class Note:
    text: str


class Command(enum.Enum):
    RESET = 1


class Counter(Actor):
    def __init__(self, value: int = 0) -> None:
        self.value = value

    def on_restart(self, report: CrashReport) -> None:
        assert_type(self.context.incarnation, int)
        assert_type(self.context.seed, int)
        assert_type(report.seed, int)

    def on_stop(self, reason: ExitReason) -> None:
        self.context.log.info("%s", reason)

    def increment(self, by: int = 1) -> int:
        self.value += by
        return self.value

    def get_value(self) -> int:
        return self.value

    def names(self, *, upper: bool) -> list[str]:
        return ["A" if upper else "a"]

    def hire(self) -> ActorRef[Counter]:
        child = self.context.spawn(Counter, 1)
        assert_type(child, ActorRef[Counter])
        return child

    def receive(self, message: Increment | GetValue) -> int | None:
        return None

    def look_after(self, other: ActorRef[Other]) -> None:
        assert_type(self.context.watch(other), None)
        self.context.watch(other, restarts=True)
        self.context.unwatch(other)
        self.context.link(other)
        self.context.unlink(other)
        self.context.watch(other, True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        self.context.watch("other")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def on_terminated(self, event: Terminated) -> None:
        assert_type(event.reason, ExitReason)
        assert_type(event.incarnation, int)
        self.context.unlink(event.ref)

    def on_restarted(self, event: Restarted) -> None:
        assert_type(event.reason, ExitReason)

    def snapshot(self) -> dict[str, int]:
        return {"value": self.value}

    def restore(self, state: dict[str, int]) -> None:
        self.value = state["value"]


class Special(Counter):
    def extra(self) -> bytes:
        return b""


class Other:
    """No actor by inheritance: any class will do."""

    def __init__(self, word: str) -> None:
        self.word = word

    def get(self) -> str:
        return self.word


def spawning(system: ActorSystem) -> None:
    assert_type(system.spawn(Counter), ActorRef[Counter])
    assert_type(system.spawn(Counter, 10), ActorRef[Counter])
    assert_type(system.spawn(Counter, value=10), ActorRef[Counter])
    assert_type(system.spawn(Other, "x"), ActorRef[Other])
    assert_type(system.options(name="one").spawn(Counter, 10), ActorRef[Counter])
    system.spawn(Counter, "ten")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    system.spawn(Counter, 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    system.spawn(Other)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def talking(counter: ActorRef[Counter]) -> None:
    assert_type(counter.ask(Counter.get_value), int)
    assert_type(counter.ask(Counter.increment, 5), int)
    assert_type(counter.ask(Counter.increment, by=5), int)
    assert_type(counter.ask(Counter.names, upper=True), list[str])
    assert_type(counter.ask(Counter.hire), ActorRef[Counter])
    assert_type(counter.options(timeout=1.0).ask(Counter.get_value), int)
    assert_type(counter.submit(Counter.get_value), Reply[int])
    assert_type(counter.submit(Counter.get_value).result(), int)
    assert_type(counter.submit(Counter.get_value).cancel(), bool)
    assert_type(counter.submit(Counter.get_value).cancel(kill=True), bool)
    counter.submit(Counter.get_value).cancel(True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(counter.status().expired, int)
    counter.tell(Counter.increment, 5)
    counter.tell(Counter.increment, "5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.ask(Counter.increment, "5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.ask(Counter.get_value, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.submit(Counter.names)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.tell_many(Counter.increment, [(5,), (6,)])
    counter.tell_many(Counter.get_value, [()] * 3)
    counter.tell_many(Counter.increment, ((number,) for number in range(3)))
    counter.tell_many(Counter.increment, [("5",)])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    counter.tell_many(Other.get, [()])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    counter.tell(Other.get)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.ask(Special.extra)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.ask(Counter.missing)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    counter.increment()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


def messages(counter: ActorRef[Counter]) -> None:
    assert_type(counter.ask(GetValue()), int)
    counter.ask(Increment(3))
    assert_type(counter.submit(GetValue()), Reply[int])
    counter.tell(Increment(3))
    counter.tell(Note("x"))
    counter.tell(Command.RESET)
    counter.tell("text")
    counter.tell(None)
    counter.tell({"a": [1, 2]})
    counter.tell([1, 2])
    counter.tell(counter)
    counter.ask(object())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def proxies(counter: ActorRef[Counter]) -> None:
    handle = counter.proxy()
    assert_type(handle, Counter)
    assert_type(handle.increment(2), int)
    handle.submit.increment(2)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    handle.increment("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def variance(special: ActorRef[Special]) -> None:
    base: ActorRef[Counter] = special
    assert_type(special.ask(Counter.get_value), int)
    assert_type(special.ask(Special.extra), bytes)
    back: ActorRef[Special] = base  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del back


def life(counter: ActorRef[Counter], system: ActorSystem) -> None:
    assert_type(counter.stop(), ExitReason)
    assert_type(counter.kill(), ExitReason)
    assert_type(counter.wait(timeout=1.0), ExitReason)
    assert_type(counter.is_alive(), bool)
    assert_type(counter.status(), ActorStatus)
    assert_type(counter.name, str)
    assert_type(system.inbox(), Inbox)
    assert_type(system.wait(1.0), bool)
    assert_type(system.stop(), StopReport)
    assert_type(system.stop().clean, bool)
    assert_type(counter.status().last_crash, CrashReport | None)
    assert_type(counter.status().recycled, int)
    inbox = system.inbox()
    inbox.watch(counter, restarts=True)
    inbox.unwatch(counter)
    assert_type(Options(recycle_after=Recycle(messages=10)).recycle_after, Recycle | None)
    checkpoint = Checkpoint(messages=1, seconds=0.5, file=Path("state"))
    assert_type(Options(checkpoint=checkpoint).checkpoint, Checkpoint | None)
    assert_type(system.options(checkpoint=checkpoint).spawn(Counter), ActorRef[Counter])
    Checkpoint(messages="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def trees(system: ActorSystem) -> None:
    assert_type(spec(Counter, 10), ChildSpec[Counter])
    assert_type(spec(Counter, value=10).options(name="c"), ChildSpec[Counter])
    spec(Counter, "ten")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    spec(Counter, 1, 2)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    tree = Supervisor(
        spec(Counter, 1), Supervisor(spec(Other, "two")), strategy=Strategy.ONE_FOR_ALL
    )
    Supervisor(Counter)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    root = system.supervise(tree)
    assert_type(root, SupervisorRef)
    assert_type(root.children(), list[Child])
    assert_type(root.count_children(), ChildCounts)
    assert_type(root.terminate_child("counter"), ExitReason)
    assert_type(root.stop(), ExitReason)


def sharing(system: ActorSystem) -> None:
    assert_type(system.share(1), Shared[int])
    assert_type(system.share(1).get(), int)
    assert_type(system.shares(), list[Shared[Any]])
    with system.share(["a"]) as words:
        assert_type(words.get(), list[str])
        assert_type(words.nbytes, int)
    wider: Shared[object] = words
    narrower: Shared[list[str]] = wider  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    del narrower


class SharingActor(Actor):
    def make(self) -> Shared[bytes]:
        return self.context.system.share(b"")

    def read(self, shared: Shared[bytes]) -> int:
        return len(shared.get())


class Parent(Actor):
    def on_child_failure(self, failure: ChildFailure) -> Directive:
        assert_type(failure.reason, ExitReason)
        return Directive.RESTART


def executors(system: ActorSystem) -> None:
    with ActorPoolExecutor(2, initializer=print, initargs=("hello",), system=system) as executor:
        assert_type(executor.submit(pow, 2, 3), Reply[int])
        assert_type(executor.submit(len, "four").result(), int)
        executor.submit(len, 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        assert_type(executor.map(len, ["a", "b"], buffersize=4), Iterator[int])
        executor.shutdown(wait=False, cancel_futures=True)
    standard: Executor = ActorPoolExecutor(2)
    standard.submit(len, "four").add_done_callback(print)
    ActorPoolExecutor("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def what_is_logged() -> None:
    with ActorSystem(logs="none", stdout="files", log_repeats=None) as system:
        assert_type(system.flush_logs(timeout=1.0), bool)


async def awaiting(counter: ActorRef[Counter]) -> None:
    assert_type(await counter.submit(Counter.get_value), int)
    async with ActorSystem() as system:
        assert_type(system, ActorSystem)


def program(system: ActorSystem) -> int:
    return 0


def silent_program(system: ActorSystem) -> None:
    pass


async def async_program(system: ActorSystem) -> int:
    return 0


def in_an_actor() -> None:
    assert_type(current_context(), Context)
    assert_type(current_context().incarnation, int)
    assert_type(Options(seed=7).seed, int | None)
    current_context().progress(1, 2)
    current_context().progress(done=1)
    current_context().progress(0.5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Session(Actor):
    def beat(self) -> None:
        assert_type(self.context.every(0.1, Session.beat), Timer)
        assert_type(self.context.after(1, Session.expire, "why", name="expire"), Timer)
        assert_type(self.context.after(1, Session.expire, "why", 3).cancel(), bool)
        self.context.every(0.1, Session.beat, name=None, now=True)
        self.context.idle_after(5.0)
        self.context.idle_after(None)
        self.context.after(1, Session.expire)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after(1, Session.expire, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after(1, Session.beat, 3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after(1, self.beat)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after(1, "beat")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after("1", Session.beat)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.every(0.1, Session.expire)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        self.context.after(1, Session.beat, now=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]

    def expire(self, why: str, times: int = 1) -> None:
        assert_type(self.context.after(0, Session.beat).name, str | None)


def shown(event: Progress) -> None:
    assert_type(event.actor, str)
    assert_type(event.done, int)
    assert_type(event.total, int | None)
    assert_type(event.time, float)
    event.done = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


def counted(event: Event) -> None:
    assert_type(event.actor, str)


def events(system: ActorSystem) -> None:
    assert_type(system.events.subscribe(shown, (Progress,)), Subscription[Progress])
    assert_type(system.events.subscribe(counted), Subscription[Event])
    assert_type(system.events.subscribe(counted, (Progress,)).dropped, int)
    with system.events.subscribe(shown, [Progress]) as subscription:
        subscription.close()
    for event in system.events:
        assert_type(event, Event)
    system.events.publish(Progress(actor="w", done=1))
    system.events.subscribe(shown)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    system.events.subscribe(shown, (int,))  # type: ignore[arg-type, type-var]  # pyright: ignore[reportArgumentType, reportCallIssue]


def programs() -> None:
    assert_type(run(program, grace=5.0), int)
    assert_type(run(silent_program), int)
    run(async_program)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def halve(number: int) -> float:
    return number / 2


def add(left: int, right: str) -> bytes:
    return b""


def options(system: ActorSystem, counter: ActorRef[Counter]) -> None:
    system.options(name="x", mailbox=5, restart=Restart.PERMANENT, within=3, env={"A": Path()})
    system.options(limits=Limits(nice=1), backoff=Backoff(), handle_timeout=None, size=(1, 4))
    system.options(nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    system.options(name=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    system.options(restart="permanent")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    system.options(size="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(spec(Counter).options(name="x", significant=True), ChildSpec[Counter])
    spec(Counter).options(nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    spec(Counter).options(max_restarts="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    counter.options(timeout=None)
    counter.options(timeout="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    counter.options(name="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    context = current_context()
    assert_type(context.options(name="x").spawn(Counter), ActorRef[Counter])
    context.options(nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    context.options(seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.system.options(overflow=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(Options().replace(name="x"), Options)
    Options().replace(nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Options().replace(seed="x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    run(program, stop_timeout=5.0, name="x")
    run(program, stop_timeot=5.0)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    run(program, spares="2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def names_that_are_not_there(
    counter: ActorRef[Counter], pool: Pool[Counter], root: SupervisorRef, shared: Shared[bytes]
) -> None:
    """What says so at run time is an error for a checker all the same."""
    counter.incremnt()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    pool.imap()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    root.ask()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    shared.split()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    pool.map(halve, [1], [2])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def pools(system: ActorSystem) -> None:
    with system.options(size=2, routing=Routing.RANDOM).pool(Counter, 3) as pool:
        assert_type(pool, Pool[Counter])
        assert_type(pool.ask(Counter.increment, 2), int)
        assert_type(pool.submit(Counter.get_value), Reply[int])
        assert_type(pool.ask(halve, 3), float)
        assert_type(pool.submit(add, 1, right="x"), Reply[bytes])
        assert_type(pool.tell(Counter.increment, by=2), None)
        assert_type(pool.gather(Counter.get_value), list[int])
        assert_type(pool.first(halve, 1), float)
        assert_type(pool.broadcast(Counter.increment), None)
        assert_type(pool.by_key("a"), ActorRef[Counter])
        assert_type(pool.workers(), list[ActorRef[Counter]])
        assert_type(pool.map(Counter.increment, [1, 2]), MapResults[int])
        assert_type(pool.map(halve, range(3)), MapResults[float])
        assert_type(list(pool.map(halve, range(3), ordered=False, retries=2)), list[float])
        for value in pool.map(halve, range(3), on_error="collect"):
            assert_type(value, float | BaseException)
        assert_type(pool.starmap(add, [(1, "a")], on_error="skip"), MapResults[bytes])
        pool.ask(Counter.increment, "x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        pool.map(halve, ["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
        pool.map(halve, [1], on_error="ignore")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert_type(system.pool(Counter, value=1), Pool[Counter])
    assert_type(system.pool().ask(halve, 1), float)
    system.pool(Counter, "x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def async_system() -> None:
    async with AsyncActorSystem("name", spares=1, ask_timeout=1.0) as system:
        assert_type(system, AsyncActorSystem)
        counter = await system.spawn(Counter, 10)
        assert_type(counter, AsyncActorRef[Counter])
        assert_type(await system.spawn(Other, "x"), AsyncActorRef[Other])
        assert_type(await system.options(name="one").spawn(Counter, 10), AsyncActorRef[Counter])
        assert_type(await system.find("one"), AsyncActorRef[Any] | None)
        assert_type(await system.actors(), list[AsyncActorRef[Any]])
        assert_type(await system.supervise(Supervisor()), AsyncSupervisorRef)
        assert_type(await system.share(b""), Shared[bytes])
        assert_type(await system.stop(), StopReport)
        assert_type(await system.wait(1.0), bool)
        assert_type(system.sync, ActorSystem)
        assert_type(system.sync.aio, AsyncActorSystem)
        await system.spawn(Counter, "ten")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        await system.spawn(Other)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
        system.options(nam="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    assert_type(await AsyncActorSystem(), AsyncActorSystem)
    AsyncActorSystem(spares="1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def async_talking(counter: AsyncActorRef[Counter]) -> None:
    assert_type(await counter.ask(Counter.get_value), int)
    assert_type(await counter.ask(Counter.increment, by=5), int)
    assert_type(await counter.ask(Counter.names, upper=True), list[str])
    assert_type(await counter.ask(GetValue()), int)
    assert_type(await counter.options(timeout=1.0).ask(Counter.get_value), int)
    assert_type(counter.submit(Counter.get_value), Reply[int])
    assert_type(await counter.submit(GetValue()), int)
    assert_type(await counter.tell(Counter.increment, 5), None)
    await counter.tell(Increment(3))
    await counter.tell("text")
    await counter.tell_many(Counter.increment, ((number,) for number in range(3)))
    await counter.tell_many(Counter.increment, [("5",)])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(await counter.stop(), ExitReason)
    assert_type(await counter.kill(), ExitReason)
    assert_type(await counter.wait(timeout=1.0), ExitReason)
    assert_type(await counter.is_alive(), bool)
    assert_type(await counter.status(), ActorStatus)
    assert_type(counter.name, str)
    assert_type(counter.sync, ActorRef[Counter])
    assert_type(counter.sync.aio, AsyncActorRef[Counter])
    await counter.tell(Counter.increment, "5")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await counter.ask(Counter.get_value, 5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await counter.ask(Other.get)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    await counter.ask(object())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    counter.increment()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def async_pools(system: AsyncActorSystem) -> None:
    async with system.options(size=2).pool(Counter, 3) as pool:
        assert_type(pool, AsyncPool[Counter])
        assert_type(await pool.ask(Counter.increment, 2), int)
        assert_type(await pool.ask(halve, 3), float)
        assert_type(await pool.submit(add, 1, right="x"), bytes)
        assert_type(await pool.tell(Counter.increment, by=2), None)
        assert_type(await pool.gather(Counter.get_value), list[int])
        assert_type(await pool.first(halve, 1), float)
        assert_type(pool.by_key("a"), AsyncActorRef[Counter])
        assert_type(pool.workers(), list[AsyncActorRef[Counter]])
        assert_type(pool.map(Counter.increment, [1, 2]), AsyncMapResults[int])
        assert_type([value async for value in pool.map(halve, range(3), retries=2)], list[float])
        async for value in pool.map(halve, range(3), on_error="collect"):
            assert_type(value, float | BaseException)
        assert_type(pool.starmap(add, [(1, "a")], on_error="skip"), AsyncMapResults[bytes])
        assert_type(pool.sync, Pool[Counter])
        assert_type(pool.sync.aio, AsyncPool[Counter])
        await pool.ask(Counter.increment, "x")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
        pool.map(halve, ["x"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    assert_type(await system.pool(), AsyncPool[Worker])


class AsyncParent(Actor):
    async def _views(self) -> None:
        assert_type(await self.context.options(name="c").aio.spawn(Counter), AsyncActorRef[Counter])
        assert_type(await self.context.system.aio.find("c"), AsyncActorRef[Any] | None)
        assert_type(self.context.ref.aio, AsyncActorRef[Any])


class Rows(Actor):
    def rows(self, path: str, limit: int = 0) -> Iterator[tuple[str, int]]:
        yield path, limit

    async def lines(self, path: str) -> AsyncIterator[str]:
        yield path

    def total(self, numbers: Iterator[int]) -> int:
        return sum(numbers)

    def plain(self) -> int:
        return 0


def streams(rows: ActorRef[Rows]) -> None:
    stream = rows.stream(Rows.rows, "path", limit=2)
    assert_type(stream, Stream[tuple[str, int]])
    for name, number in rows.options(buffer=10, timeout=1.0).stream(Rows.rows, "path"):
        assert_type(name, str)
        assert_type(number, int)
    assert_type(rows.stream(Rows.lines, "path"), Stream[str])
    with stream as opened:
        assert_type(next(opened), tuple[str, int])
    assert_type(rows.ask(Rows.total, feed([1, 2])), int)
    rows.ask(Rows.total, feed(["a"]))  # type: ignore[call-overload]
    rows.stream(Rows.plain)  # type: ignore[call-overload]
    rows.stream(Rows.rows)  # type: ignore[call-overload]
    rows.stream(Rows.rows, 5)  # type: ignore[call-overload]


async def async_streams(rows: AsyncActorRef[Rows], words: AsyncIterator[int]) -> None:
    async for name, number in rows.stream(Rows.rows, "path"):
        assert_type(name, str)
        assert_type(number, int)
    async with rows.options(buffer=1).stream(Rows.lines, "path") as stream:
        assert_type(await anext(stream), str)
    assert_type(await rows.ask(Rows.total, feed(words)), int)
    rows.stream(Rows.plain)  # type: ignore[call-overload]


def heard(event: Crashed) -> None:
    assert_type(event.actor, str)
    assert_type(event.time, float)
    assert_type(event.reason, ExitReason)
    assert_type(event.report, CrashReport)


async def events_of_a_loop(system: AsyncActorSystem) -> None:
    async for event in system.events:
        assert_type(event, Event)
    assert_type(system.events.subscribe(heard, (Crashed,)), Subscription[Crashed])
    async for other in system.events.stream((Started, Stopped), bound=10):
        assert_type(other, Event)
    system.events.subscribe(heard)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


def topics(system: ActorSystem, counter: ActorRef[Counter], inbox: ActorRef[Any]) -> None:
    topic = system.topic("t")
    assert_type(topic, Topic)
    topic.subscribe(counter, Counter.increment)
    topic.subscribe(inbox)
    topic.unsubscribe(counter)
    assert_type(topic.publish([1, 2]), int)
    topic.subscribe(counter, "increment")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    topic.subscribe(counter, Other.get)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def topics_of_a_loop(system: AsyncActorSystem, counter: AsyncActorRef[Counter]) -> None:
    topic = system.topic("t")
    assert_type(topic, AsyncTopic)
    await topic.subscribe(counter, Counter.increment)
    await topic.subscribe(counter.sync, Counter.increment)
    assert_type(await topic.publish(1), int)


def with_a_message(context: Context, counter: ActorRef[Counter]) -> None:
    context.forward(counter)
    later = context.reply_later()
    assert_type(later, LaterReply)
    later.send(1)
    later.fail(ValueError())
    with later as same:
        assert_type(same, LaterReply)
    context.stash()
    assert_type(context.unstash_all(), int)
    context.become(len)
    context.unbecome()
    context.forward("counter")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    later.fail("no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.become("open")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
