"""What type checkers know of actors with coroutines; checked by mypy and pyright, never run."""

from __future__ import annotations

from typing_extensions import assert_type

from procactors import (
    Actor,
    ActorRef,
    ActorStatus,
    ActorSystem,
    AsyncActorRef,
    AsyncActorSystem,
    AsyncMapResults,
    ChildFailure,
    CrashReport,
    Directive,
    ExitReason,
    MapResults,
    Message,
    MessageInHand,
    Pool,
    Reply,
    Restarted,
    Terminated,
)


class Price(Message[float]):
    pass


class Fetcher(Actor):
    async def on_start(self) -> None:
        self.sites: list[str] = []

    async def on_restart(self, report: CrashReport) -> None:
        assert_type(report.in_hand, tuple[MessageInHand, ...])

    async def on_stop(self, reason: ExitReason) -> None: ...

    async def on_terminated(self, event: Terminated) -> None: ...

    async def on_restarted(self, event: Restarted) -> None: ...

    async def on_child_failure(self, failure: ChildFailure) -> Directive | str | None:
        return "restart"

    async def fetch(self, site: str, *, tries: int = 1) -> str:
        return site

    async def forget(self) -> None:
        self.sites.clear()

    def count(self) -> int:
        return len(self.sites)

    async def receive(self, message: Price) -> float:
        return 1.0


def blocking(system: ActorSystem) -> None:
    ref = system.options(max_concurrency=100).spawn(Fetcher)
    assert_type(ref, ActorRef[Fetcher])
    assert_type(ref.ask(Fetcher.fetch, "site"), str)
    assert_type(ref.ask(Fetcher.fetch, "site", tries=3), str)
    assert_type(ref.ask(Fetcher.count), int)
    assert_type(ref.ask(Price()), float)
    assert_type(ref.submit(Fetcher.fetch, "site"), Reply[str])
    assert_type(ref.submit(Fetcher.count), Reply[int])
    ref.ask(Fetcher.forget)
    ref.tell(Fetcher.fetch, "site")
    ref.tell_many(Fetcher.fetch, [("site",)])
    ref.ask(Fetcher.fetch, 1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType,reportCallIssue]
    assert_type(ref.status(), ActorStatus)
    assert_type(ref.status().in_hand, tuple[MessageInHand, ...])
    pool: Pool[Fetcher] = system.pool(Fetcher)
    assert_type(pool.ask(Fetcher.fetch, "site"), str)
    assert_type(pool.submit(Fetcher.fetch, "site"), Reply[str])
    assert_type(pool.submit(Fetcher.count), Reply[int])
    assert_type(pool.gather(Fetcher.fetch, "site"), list[str])
    assert_type(pool.first(Fetcher.fetch, "site"), str)
    assert_type(pool.map(Fetcher.fetch, ["site"]), MapResults[str])
    assert_type(
        pool.map(Fetcher.fetch, ["site"], on_error="collect"), MapResults[str | BaseException]
    )


async def by_a_loop(system: AsyncActorSystem) -> None:
    ref = await system.options(max_concurrency=100).spawn(Fetcher)
    assert_type(ref, AsyncActorRef[Fetcher])
    assert_type(await ref.ask(Fetcher.fetch, "site"), str)
    assert_type(await ref.ask(Fetcher.count), int)
    assert_type(await ref.submit(Fetcher.fetch, "site"), str)
    await ref.tell(Fetcher.forget)
    pool = await system.pool(Fetcher)
    assert_type(await pool.ask(Fetcher.fetch, "site"), str)
    assert_type(pool.submit(Fetcher.fetch, "site"), Reply[str])
    assert_type(await pool.gather(Fetcher.fetch, "site"), list[str])
    assert_type(pool.map(Fetcher.fetch, ["site"]), AsyncMapResults[str])
