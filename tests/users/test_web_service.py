"""A FastAPI application under uvicorn, as a process of its own, with clients that are real too."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
from collections import Counter

import pytest

from tests.support.gates import new_gate
from tests.support.notes import notes
from tests.support.programs import environment, running_python
from tests.support.waiting import SHORT_S, eventually

pytest.importorskip("uvicorn")
pytest.importorskip("fastapi")
httpx = pytest.importorskip("httpx")

#: Seconds for which a client waits for an answer. One that gets none fails the test.
PATIENCE_S = 60.0

#: What a client is made of. Nothing is encrypted here, and for each new client the certificates of
#: the machine would be read: 30 ms of a processor.
CLIENT = {"timeout": PATIENCE_S, "verify": False}

#: How a server's process ends on SIGTERM: newer ones of uvicorn raise the signal anew at the end.
ENDS = (0, -signal.SIGTERM)


class Service:
    """The running server, as its clients know it."""

    def __init__(self, program, folder, gate):
        self.program, self.folder, self.gate = program, folder, gate
        while not (found := re.search(r"running on http://[\d.]+:(\d+)", line := program.line())):
            assert line, "the server has ended"
        self.port = int(found[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def get(self, path):
        return httpx.get(f"{self.url}{path}", **CLIENT)

    def terminate(self):
        self.program.process.send_signal(signal.SIGTERM)

    def end(self):
        """Wait for its end, and that of all that came of it; return its exit code."""
        code, printed, _ = self.program.end()
        self.printed = printed
        self.program.await_nothing_left(f"procactors-{self.program.process.pid}-")
        return code


@pytest.fixture
def serve(tmp_path):
    """Start a server: one, or with `--workers`, its manager."""
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            gate = stack.enter_context(new_gate(tmp_path / "gate"))
            command = ["-m", "uvicorn", "tests.support.web_service:app", "--port", "0"]
            env = {**environment(), "WEB_SERVICE": str(tmp_path)}
            options = {"stderr": subprocess.STDOUT, "env": env}
            program = stack.enter_context(
                running_python(*command, "--no-access-log", *arguments, **options)
            )
            return Service(program, tmp_path, gate)

        yield start


async def load(service, path, most, outcomes, begun=None):
    """One client: ask again and again, a new connection each time, until it is refused.

    With `begun`, an event, it says when the load is on.
    """
    for _ in range(most):
        try:
            async with httpx.AsyncClient(**CLIENT) as client:
                answer = await client.get(f"{service.url}{path}")
        except httpx.TimeoutException as error:
            raise AssertionError("a request was neither answered nor refused") from error
        except httpx.TransportError as error:
            outcomes[type(error).__name__] += 1
            return
        outcomes[answer.status_code] += 1
        if begun is not None and outcomes[200] >= 50:
            begun.set()


def test_an_endpoint_awaits_an_actor_and_survives_its_death(serve):
    service = serve()
    assert service.get("/square/3").json() == 9.0
    died = service.get("/die")
    assert (died.status_code, died.json()) == (503, {"detail": "the model died: Model.die"})
    assert service.get("/square/4").json() == 16.0
    server, _, incarnation = service.get("/status").json()
    assert (server, incarnation) == (service.program.process.pid, 2)
    service.terminate()
    assert service.end() in ENDS


def test_sigterm_under_load_answers_or_refuses_each_request_and_leaves_nothing(serve):
    service = serve()
    outcomes = Counter()

    async def clients():
        begun = asyncio.Event()
        each = [
            asyncio.create_task(load(service, "/square/3", 10**6, outcomes, begun))
            for _ in range(16)
        ]
        await begun.wait()  # in the middle of it
        service.terminate()
        await asyncio.gather(*each)

    asyncio.run(clients())
    assert service.end() in ENDS
    assert outcomes[200] > 0
    (line,) = notes(service.folder / "counts")
    taken, answered = map(int, line.split())
    assert taken == answered
    # What the server has taken, the client has got: the answer, or that it is over.
    assert outcomes[200] + outcomes[503] == answered
    assert outcomes[200] <= len(notes(service.folder / "begun"))


def test_a_request_in_hand_at_sigterm_is_answered(serve):
    service = serve()

    async def client():
        held = asyncio.create_task(load(service, "/hold", 1, outcomes))
        await asyncio.to_thread(service.gate.arrival)
        service.terminate()
        await asyncio.to_thread(refused, service.port)
        service.gate.open()
        await held

    outcomes = Counter()
    asyncio.run(client())
    assert outcomes == {200: 1}
    assert service.end() in ENDS


def refused(port):
    """Wait until the server takes no connection any more."""

    def is_refused():
        with contextlib.closing(socket.socket()) as one:
            return one.connect_ex(("127.0.0.1", port)) != 0

    eventually(is_refused, "a server that takes nothing more")


def test_a_client_that_goes_away_costs_nobody_else(serve):
    """Its request is at work in the actor, and others wait behind it, some of them gone too."""
    service = serve()
    gone = []
    for path in ("/hold", "/square/1", "/square/2"):
        gone.append(socket.create_connection(("127.0.0.1", service.port)))
        gone[-1].sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if path == "/hold":
            service.gate.arrival()
    for one in gone:
        one.close()
    service.gate.open()
    assert service.get("/square/3").json() == 9.0
    assert service.get("/status").json()[2] == 1
    eventually(lambda: len(notes(service.folder / "begun")) == 4, "what was asked for")
    service.terminate()
    assert service.end() in ENDS


def test_a_generator_is_streamed_to_a_client(serve):
    service = serve()
    assert service.get("/rows/300").text == "".join(f"row {number}\n" for number in range(300))
    assert notes(service.folder / "begun") == ["rows", "closed"]
    service.terminate()
    assert service.end() in ENDS


def test_a_client_that_goes_away_closes_the_generator_and_others_are_served(serve):
    """Some have read one row, some are in the midst of many."""
    service = serve()
    for number in range(6):
        gone = socket.create_connection(("127.0.0.1", service.port))
        gone.sendall(b"GET /rows/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        row, seen = b"row 0\n" if number % 2 else b"row 999\n", b""
        while row not in seen:
            seen = seen[-len(row) :] + gone.recv(1 << 16)
        gone.close()
        # One at a time: it is answered when the generator has been closed.
        assert service.get("/square/3").json() == 9.0
    assert notes(service.folder / "begun") == ["rows", "closed", "square"] * 6
    assert service.get("/status").json()[2] == 1
    service.terminate()
    assert service.end() in ENDS


def test_a_death_in_the_midst_of_a_stream_breaks_the_response_off(serve):
    service = serve()
    got = []
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
        with httpx.stream("GET", f"{service.url}/broken", **CLIENT) as response:
            for line in response.iter_lines():
                got.append(line)
                service.gate.arrival()
                service.gate.open()
    assert got == ["row 0"]
    assert service.get("/square/4").json() == 16.0
    service.terminate()
    assert service.end() in ENDS
    assert "ActorDied" in service.printed


def test_a_stream_without_end_ends_with_the_servers_grace(serve):
    service = serve("--timeout-graceful-shutdown", "1")
    with socket.create_connection(("127.0.0.1", service.port)) as reader:
        reader.sendall(b"GET /rows/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = reader.recv(1 << 16)
        service.terminate()
        while more := reader.recv(1 << 16):
            seen = seen[-10:] + more
    assert not seen.endswith(b"\r\n0\r\n\r\n"), "it is broken off"
    assert service.end() in ENDS
    assert notes(service.folder / "begun") == ["rows", "closed"]


def test_actors_killed_under_load_cost_the_request_in_hand_alone(serve):
    service = serve()
    outcomes = Counter()

    async def clients():
        each = [asyncio.create_task(load(service, "/square/3", 20, outcomes)) for _ in range(8)]
        for _ in range(5):
            killed = await asyncio.to_thread(service.get, "/die")
            outcomes["killed"] += killed.status_code == 503
        await asyncio.gather(*each)

    asyncio.run(clients())
    assert outcomes["killed"] == 5
    # Each request in hand of a dead model was one that killed it: all others are answered.
    assert outcomes[200] == 160
    service.terminate()
    assert service.end() in ENDS


def test_sigkill_of_the_server_leaves_no_actor(serve):
    service = serve()
    assert service.get("/square/3").json() == 9.0
    service.program.process.kill()
    assert service.end() == -signal.SIGKILL


def test_each_worker_of_a_server_has_a_system_of_its_own(serve):
    service = serve("--workers", "2")
    seen = {}

    def both():
        with contextlib.suppress(httpx.TransportError):  # the second comes up later
            server, model, _ = service.get("/status").json()
            seen[server] = model
        return len(seen) == 2

    eventually(both, "an answer of each worker", 2 * SHORT_S)
    assert len(set(seen.values())) == 2
    assert service.program.process.pid not in seen
    os.kill(service.program.process.pid, signal.SIGTERM)
    assert service.end() in ENDS
    assert len(notes(service.folder / "counts")) == 2


def test_what_is_published_on_a_topic_comes_to_each_page_that_listens(serve):
    client = pytest.importorskip("websockets.sync.client")
    closed = pytest.importorskip("websockets.exceptions").ConnectionClosed
    service = serve()
    address = f"{service.url.replace('http', 'ws')}/news"

    def publish(text):
        answer = httpx.post(f"{service.url}/news/{text}", **CLIENT)
        assert answer.json() == 1, "the one inbox of the service"

    with client.connect(address) as stays:
        with client.connect(address) as goes:
            for text in ("one", "two"):
                publish(text)
            assert [goes.recv(PATIENCE_S) for _ in range(2)] == ["one", "two"]
        publish("three")
        assert [stays.recv(PATIENCE_S) for _ in range(3)] == ["one", "two", "three"]
        service.terminate()
        with pytest.raises(closed):
            stays.recv(PATIENCE_S)
    assert service.end() in ENDS
