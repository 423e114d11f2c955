"""A fetcher with httpx: pages one after another, at most so many a second, and again if busy.

The actor has a queue of its own, and a timer that lets one request through at a time.

Run it: procactors examples web_fetcher   (needs: pip install httpx)

Expected output:
    9 pages in 12 requests
    at most 20 a second: True
"""

import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

from procactors import Actor, ActorRef, ActorSystem

asked: dict[str, list[float]] = {}


class Site(BaseHTTPRequestHandler):  # every third page is busy when it is asked for first
    def do_GET(self) -> None:
        times = asked.setdefault(self.path, [])
        times.append(time.monotonic())
        self.send_response(503 if int(self.path[1:]) % 3 == 0 and len(times) == 1 else 200)
        self.end_headers()

    def log_message(self, *args: object) -> None: ...


class Fetcher(Actor):
    def __init__(self, rate: float) -> None:
        self.client, self.queue = httpx.Client(), deque[tuple[str, ActorRef[Any]]]()
        self.context.every(1 / rate, Fetcher.next)

    def fetch(self, url: str, to: ActorRef[Any]) -> None:
        self.queue.append((url, to))

    def next(self) -> None:
        if self.queue:
            url, to = self.queue.popleft()
            if (answer := self.client.get(url)).status_code == 503:
                self.context.after(0.2, Fetcher.fetch, url, to)
            else:
                to.tell((url, answer.status_code))


with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server, ActorSystem() as system:
    Thread(target=server.serve_forever).start()
    inbox, fetcher = system.inbox(), system.spawn(Fetcher, rate=20)
    site = f"http://127.0.0.1:{server.server_port}"
    fetcher.tell_many(Fetcher.fetch, [(f"{site}/{page}", inbox.ref) for page in range(9)])
    pages = {inbox.receive() for _ in range(9)}
    requests = sorted(at for times in asked.values() for at in times)
    print(f"{len(pages)} pages in {len(requests)} requests")
    print("at most 20 a second:", requests[-1] - requests[0] > 10 / 20)
    server.shutdown()
