"""Actors with coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import time
from typing import Any

from procactors import Actor, ActorRef, ExitReason, Restarted, Terminated, current_context
from tests.support.gates import Gate

NAME = contextvars.ContextVar("NAME", default="nobody's")


class Waiter(Actor):
    """Waits in handlers, by its event loop."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.ended: list[Any] = []
        self.doors: dict[Any, asyncio.Event] = {}

    async def on_start(self) -> None:
        self.loop = asyncio.get_running_loop()

    async def wait(self, key: Any, body: bytes = b"") -> Any:
        """Wait until `open(key)`; begun again, return how often it was begun."""
        if self.context.deliveries > 1:
            return self.context.deliveries
        self.begun.append(key)
        door = self.doors.setdefault(key, asyncio.Event())
        try:
            await door.wait()
        finally:
            self.ended.append(key)
        return key

    def open(self, key: Any) -> None:
        self.doors.setdefault(key, asyncio.Event()).set()

    def all_begun(self) -> list[Any]:
        return self.begun

    def all_ended(self) -> list[Any]:
        return self.ended

    async def echo(self, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    async def note(self, value: Any) -> None:
        self.begun.append(value)
        await asyncio.sleep(0)

    async def sleep(self, seconds: float, value: Any = None) -> Any:
        await asyncio.sleep(seconds)
        return value

    async def fail(self, text: str) -> None:
        await asyncio.sleep(0)
        raise ValueError(text)

    async def exit(self, code: int) -> None:
        raise SystemExit(code)

    async def raise_base(self) -> None:
        raise Unusual

    def plain(self, value: Any = 0) -> Any:
        return value

    def pid(self) -> int:
        return os.getpid()

    async def unsendable(self) -> Any:
        return open(os.devnull)  # noqa: ASYNC230 - it is closed with the actor

    async def hold_up(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for

    async def limited(self, seconds: float) -> str:
        try:
            await asyncio.wait_for(asyncio.Event().wait(), seconds)
        except asyncio.TimeoutError:
            return "over"
        return "never"

    async def cancel_itself(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    def cancel_all(self) -> int:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        return len(tasks)

    async def facts(self, name: str) -> tuple[Any, ...]:
        """Return what is this message's own, looked at before and after others had their turn."""
        before = NAME.get()
        NAME.set(name)
        found = []
        for _ in range(2):
            context = current_context()
            found.append((NAME.get(), context.deadline, context.deliveries, context._handler()))
            await asyncio.sleep(0.02)
        assert found[0] == found[1]
        return (before, *found[0])

    async def ask_other(self, other: ActorRef[Any], value: Any) -> Any:
        return await other.aio.ask(Waiter.echo, value)

    async def leave(self, key: Any) -> Any:
        self.context.stop()
        return await self.wait(key)

    async def tick(self, what: str) -> None:
        self.begun.append(what)
        await asyncio.sleep(0.01)
        self.ended.append(what)

    async def set_timers(self) -> None:
        self.context.after(0.02, Waiter.tick, "once")
        self.ticker = self.context.every(0.02, Waiter.tick, "again")
        await asyncio.sleep(0)

    def stop_ticking(self) -> None:
        self.ticker.cancel()

    async def stop_when_cancelled(self) -> str:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            assert self.context.cancelled
            self.ended.append("cancelled")
            raise
        return "never"

    async def put_off(self, raises: bool = False) -> str:
        """Answer later, from a task."""
        later = self.context.reply_later()
        self.later = asyncio.ensure_future(self._answer(later))
        await asyncio.sleep(0)
        if raises:
            raise ValueError("put off")
        return "not sent"

    async def _answer(self, later: Any) -> None:
        await asyncio.sleep(0.02)
        later.send("later")

    async def pass_on(self, body: bytes) -> str:
        await asyncio.sleep(0)
        self.context.forward(self.other)
        return "not sent"

    async def set_other(self, other: ActorRef[Any]) -> None:
        self.other = other

    async def put_aside(self, number: int, body: bytes = b"") -> int:
        await asyncio.sleep(0)
        if len(self.ended) < 3:
            self.ended.append(number)
            self.context.stash()
        return number

    async def take_up(self) -> int:
        return self.context.unstash_all()

    async def turn(self) -> None:
        self.context.become(self._turned)

    async def _turned(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return "turned", message

    async def kill_itself(self) -> None:
        await asyncio.sleep(0)
        os.kill(os.getpid(), signal.SIGKILL)

    def receive(self, message: Any) -> Any:
        return message

    async def size(self, body: bytes) -> int:
        await asyncio.sleep(0)
        return len(body)


class Unusual(BaseException):
    """No error, and no exit."""


class Receiver(Actor):
    async def receive(self, message: Any) -> Any:
        await asyncio.sleep(0)
        return message


class Hooked(Actor):
    """Every hook is a coroutine, and notes that it ran to its end."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def note(self, *what: Any) -> None:
        await asyncio.sleep(0)
        with open(self.path, "a") as file:  # noqa: ASYNC230 - some bytes
            file.write(" ".join(map(str, what)) + "\n")

    async def on_start(self) -> None:
        self.background = asyncio.ensure_future(self._run())
        await self.note("on_start")

    async def on_restart(self, report: Any) -> None:
        await self.note("on_restart", report.reason.kind.name)

    async def on_stop(self, reason: ExitReason) -> None:
        await self.note("on_stop", reason.kind.name)

    async def on_terminated(self, event: Terminated) -> None:
        await self.note("on_terminated", event.reason.kind.name)

    async def on_restarted(self, event: Restarted) -> None:
        await self.note("on_restarted", event.incarnation)

    async def on_child_failure(self, failure: Any) -> str:
        await self.note("on_child_failure", failure.reason.kind.name)
        return "restart"

    async def snapshot(self) -> str:
        await self.note("snapshot")
        return "state"

    async def restore(self, state: str) -> None:
        await self.note("restore", state)

    async def _run(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await self.note("the background task is over")

    async def watch(self, other: ActorRef[Any]) -> None:
        await asyncio.to_thread(self.context.watch, other, restarts=True)

    async def hire(self) -> ActorRef[Waiter]:
        return (await self.context.options().aio.spawn(Waiter)).sync

    async def pid(self) -> int:
        return os.getpid()


class Stubborn(Actor):
    """Notes that its handlers were unwound."""

    async def wait(self, path: str, gate: Gate) -> None:
        try:
            gate.wait()
            await asyncio.sleep(3600)
        finally:
            with open(path, "a") as file:  # noqa: ASYNC230 - some bytes
                file.write("unwound\n")
