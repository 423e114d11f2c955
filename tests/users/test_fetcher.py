"""A fetcher with httpx against a real server: it keeps its rate, and tries again what was busy."""

from __future__ import annotations

import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.waiting import LONG_S, eventually

pytest.importorskip("httpx")
from tests.support.fetcher import Fetcher

#: Requests a second.
RATE = 40


class Pages(BaseHTTPRequestHandler):
    """Pages whose path is their text; every third is busy the first time."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[float, str]]
    lock: threading.Lock

    def do_GET(self):
        with self.lock:
            is_first = self.path not in [path for _, path in self.asked]
            self.asked.append((time.monotonic(), self.path))
        is_busy = is_first and int(self.path.strip("/")) % 3 == 0
        text = b"" if is_busy else self.path.encode()
        self.send_response(503 if is_busy else 200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    """The site's address, and when it was asked for what."""
    handler = type("Handler", (Pages,), {"asked": [], "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", handler.asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_fetcher_keeps_its_rate_and_gets_every_page(system, site):
    url, asked = site
    inbox = system.inbox()
    fetcher = system.spawn(Fetcher, RATE, 0.1)
    fetcher.tell_many(Fetcher.fetch, [(f"{url}/{number}", inbox.ref) for number in range(60)])
    pages = dict(inbox.receive(LONG_S) for _ in range(60))
    assert pages == {f"{url}/{number}": f"/{number}" for number in range(60)}
    assert set(Counter(path for _, path in asked).values()) == {1, 2}
    assert len(asked) == 80
    eventually(lambda: fetcher.ask(Fetcher.is_resting), "a timer that has ended itself")
    # The instants of a grid, each met at most once, and late by no more than one has been late: of
    # any requests one behind the other, no more than these are in one span of time.
    instants = sorted(at for at, _ in asked)
    for first in range(0, 80, 10):
        for last in range(first + 10, 80, 10):
            span = instants[last] - instants[first]
            assert last - first <= RATE * span + 1 + RATE * late(instants)
    fetcher.stop()
    inbox.close()


def late(instants):
    """By how much a request came too late for an even row of them, at most."""
    return max(at - instants[0] - number / RATE for number, at in enumerate(instants))
