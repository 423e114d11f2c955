"""WebSockets that listen to a topic: what one page says, each page hears.

Run it: procactors examples web_chat   (needs: pip install fastapi uvicorn websockets)

Expected output:
    first: welcome / welcome
    then: hello / hello
"""

import asyncio
import socket
from collections.abc import AsyncIterator

from fastapi import FastAPI, WebSocket
from uvicorn import Config, Server
from websockets import connect

from procactors import Actor, AsyncActorSystem


class Hall(Actor):  # subscribes for all pages, and streams to each what it hears
    def __init__(self) -> None:
        self.pages: set[asyncio.Queue[str]] = set()

    def hear(self, text: str) -> None:
        for page in self.pages:
            page.put_nowait(text)

    async def listen(self) -> AsyncIterator[str]:
        page = asyncio.Queue[str]()
        self.pages.add(page)
        try:
            yield "welcome"  # from now on it misses nothing
            while True:
                yield await page.get()
        finally:
            self.pages.remove(page)


async def send(words: AsyncIterator[str], page: WebSocket) -> None:
    async for text in words:
        await page.send_text(text)


async def main() -> None:
    async with AsyncActorSystem() as system:
        hall, topic = await system.options(max_concurrency=100).spawn(Hall), system.topic("hall")
        await topic.subscribe(hall, Hall.hear)

        @app.websocket("/")
        async def talk(page: WebSocket) -> None:
            await page.accept()
            async with hall.stream(Hall.listen) as words:
                sending = asyncio.create_task(send(words, page))
                async for text in page.iter_text():  # until the page goes away
                    await topic.publish(text)
                sending.cancel()

        serving = asyncio.create_task(server.serve([listener]))
        async with connect(url) as ada, connect(url) as bob:
            print("first:", await ada.recv(), "/", await bob.recv())
            await ada.send("hello")
            print("then:", await ada.recv(), "/", await bob.recv())
        server.should_exit = True
        await serving


app, listener = FastAPI(), socket.create_server(("127.0.0.1", 0))
server = Server(Config(app, log_level="warning"))
url = "ws://{}:{}".format(*listener.getsockname())
asyncio.run(main())
