"""FastAPI under uvicorn: an endpoint that streams an actor's generator to its client.

A client that goes away closes the generator in the midst of it, and the actor is free again.

Run it: procactors examples web_stream   (needs: pip install fastapi httpx uvicorn)

Expected output:
    three rows: ['row 0', 'row 1', 'row 2']
    of very many: row 0
    generators that were closed: 2
"""

import asyncio
import socket
import time
from collections.abc import Iterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx import AsyncClient
from uvicorn import Config, Server

from procactors import Actor, AsyncActorSystem


class Table(Actor):
    closed = 0

    def rows(self, count: int) -> Iterator[str]:
        try:
            for number in range(count):
                time.sleep(0.01)  # it takes some work
                yield f"row {number}\n"
        finally:
            self.closed += 1

    def count_closed(self) -> int:
        return self.closed


async def main() -> None:
    async with AsyncActorSystem() as system:
        table = await system.spawn(Table)

        @app.get("/rows/{count}")
        async def rows(count: int) -> StreamingResponse:
            return StreamingResponse(table.stream(Table.rows, count))

        serving = asyncio.create_task(server.serve([listener]))
        async with AsyncClient(base_url=url) as client:
            print("three rows:", (await client.get("/rows/3")).text.splitlines())
            async with client.stream("GET", "/rows/1000000000") as answer:
                print("of very many:", await anext(answer.aiter_lines()))
            print("generators that were closed:", await table.ask(Table.count_closed))
        server.should_exit = True
        await serving


app, listener = FastAPI(), socket.create_server(("127.0.0.1", 0))
server = Server(Config(app, log_level="warning"))
url = "http://{}:{}".format(*listener.getsockname())
asyncio.run(main())
