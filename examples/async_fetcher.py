"""An actor that awaits: fifty downloads at once in one process, and what a kill leaves of them.

Handlers may be `async def`. With `max_concurrency=n` an actor has up to n messages in hand: while
one awaits, others are begun. The black box knows each of them: killed, every caller is told, or,
with `Delivery.AT_LEAST_ONCE`, each message is handed to the next incarnation.

Run it: procactors examples async_fetcher

Expected on stderr, where the runtime reports the death:

    actor fetcher-1 (incarnation 1, pid ...) ended by signal SIGKILL ..., with ... more in hand ...

Expected output:

    50 pages, one of them: page 7
    begun once: 50, in less than the time of ten
    killed with 50 in hand; pages all the same: 50, begun twice: 50
"""

import asyncio
import os
import signal
import time

from procactors import Actor, AsyncActorSystem, Delivery

PAGE_S = 0.2  # what the server takes for a page


class Fetcher(Actor):
    async def fetch(self, port: int, path: str) -> tuple[str, int]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{path}\n".encode())
        page = await reader.read()
        writer.close()
        return page.decode(), self.context.deliveries

    def pid(self) -> int:
        return os.getpid()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    path = (await reader.readline()).decode().strip()
    await asyncio.sleep(PAGE_S)
    writer.write(f"page {path}".encode())
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, AsyncActorSystem() as system:
        options = system.options(max_concurrency=100, delivery=Delivery.AT_LEAST_ONCE)
        fetcher = await options.spawn(Fetcher)
        began = time.monotonic()
        pages = await asyncio.gather(*(fetcher.ask(Fetcher.fetch, port, str(n)) for n in range(50)))
        took = "less" if time.monotonic() - began < 10 * PAGE_S else "more"
        print(f"{len(pages)} pages, one of them: {pages[7][0]}")
        begun = sum(deliveries for _, deliveries in pages)
        print(f"begun once: {begun}, in {took} than the time of ten")

        replies = [fetcher.submit(Fetcher.fetch, port, str(n)) for n in range(50)]
        pid = await fetcher.ask(Fetcher.pid)  # it comes behind them: all are in hand
        os.kill(pid, signal.SIGKILL)
        twice = [deliveries for _, deliveries in [await reply for reply in replies]]
        print(f"killed with 50 in hand; pages all the same: {len(twice)}, begun twice:", end=" ")
        print(twice.count(2))


asyncio.run(main())
