"""A FastAPI application as users write it, for a server in a process of its own.

Its environment names a folder, WEB_SERVICE: of a gate, and of a file in which it notes at its end
how many requests it has taken, and how many it has answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse

from procactors import AsyncActorSystem, Inbox
from procactors.errors import ActorDied, ActorStopped
from tests.support.notes import note
from tests.support.web_model import Model

FOLDER = Path(os.environ["WEB_SERVICE"])
counts: Counter[str] = Counter()


async def relay(inbox: Inbox, queues: set[asyncio.Queue[str]]) -> None:
    """Give each page that listens what comes of the topic, until the system ends."""
    while True:
        try:
            value = await asyncio.to_thread(inbox.receive)
        except ActorStopped:
            return
        for queue in queues:
            queue.put_nowait(value)


@contextlib.asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncActorSystem(stop_timeout=10.0) as system:
        options = system.options(name="model", max_restarts=1000, within=60.0)
        app.state.model = await options.spawn(Model, FOLDER / "begun")
        app.state.news, app.state.queues = system.topic("news"), set()
        inbox = system.sync.inbox()
        await app.state.news.subscribe(inbox.ref)
        relaying = asyncio.create_task(relay(inbox, app.state.queues))
        yield
    await relaying
    note(FOLDER / "counts", f"{counts['taken']} {counts['answered']}")


app = FastAPI(lifespan=lifespan)


async def ask(method: Any, *args: Any) -> Any:
    counts["taken"] += 1
    try:
        return await app.state.model.ask(method, *args)
    except ActorDied as error:
        raise HTTPException(503, f"the model died: {error.report.handler}") from error
    except ActorStopped as error:
        raise HTTPException(503, "the service ends") from error
    finally:
        counts["answered"] += 1


@app.get("/square/{x}")
async def square(x: float) -> float:
    return await ask(Model.square, x)


@app.get("/hold")
async def hold() -> float:
    return await ask(Model.hold, FOLDER / "gate")


@app.get("/die")
async def die() -> None:
    return await ask(Model.die)


@app.get("/rows/{count}")
async def rows(count: int) -> StreamingResponse:
    return StreamingResponse(app.state.model.stream(Model.rows, count))


@app.get("/broken")
async def broken() -> StreamingResponse:
    return StreamingResponse(app.state.model.stream(Model.broken, FOLDER / "gate"))


@app.post("/news/{text}")
async def publish(text: str) -> int:
    return await app.state.news.publish(text)


@app.websocket("/news")
async def listen(socket: WebSocket) -> None:
    queue: asyncio.Queue[str] = asyncio.Queue()
    app.state.queues.add(queue)
    try:
        await socket.accept()
        sending = asyncio.create_task(send(socket, queue))
        await socket.receive()  # a page sends nothing: it is gone
        sending.cancel()
    finally:
        app.state.queues.discard(queue)


async def send(socket: WebSocket, queue: asyncio.Queue[str]) -> None:
    while True:
        await socket.send_text(await queue.get())


@app.get("/status")
async def status() -> list[Any]:
    found = await app.state.model.status()
    return [os.getpid(), found.pid, found.incarnation]
