"""An actor that fetches pages: so many a second, and again when a server is busy."""

from __future__ import annotations

from collections import deque

import httpx

from procactors import Actor, ActorRef


class Fetcher(Actor):
    """Has a queue of its own, and a timer that lets one request through at a time."""

    def __init__(self, rate: float, backoff: float) -> None:
        self.client = httpx.Client(timeout=60.0)
        self.queue: deque[tuple[str, ActorRef]] = deque()
        self.rate, self.backoff = rate, backoff
        self.tick = None

    def fetch(self, url: str, to: ActorRef) -> None:
        self.queue.append((url, to))
        if self.tick is None:
            self.tick = self.context.every(1 / self.rate, Fetcher.next, now=True)

    def next(self) -> None:
        if not self.queue:
            self.tick.cancel()
            self.tick = None
            return
        url, to = self.queue.popleft()
        answer = self.client.get(url)
        if answer.status_code == 503:
            self.context.after(self.backoff, Fetcher.fetch, url, to)
        else:
            to.tell((url, answer.text))

    def is_resting(self) -> bool:
        return self.tick is None

    def on_stop(self, reason) -> None:
        self.client.close()
