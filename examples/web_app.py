"""A web application whose module makes its actors when it is imported, as Flask's and FastAPI's do.

A server imports the module and calls `application`. No guard is needed: the actor imports the same
module to find its class, and there the system that the module makes is inert. Each worker process
of a server has a system of its own; see docs/web-servers.md.

Run it: procactors examples web_app

Expected output:

    /3 -> 200 OK: a triangle of 3 rows has 6 stones
    /x -> 400 Bad Request: invalid literal for int() with base 10: 'x'
    /4 -> 200 OK: a triangle of 4 rows has 10 stones
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procactors import Actor, ActorSystem


class Model(Actor):
    def stones(self, rows: int) -> int:
        return sum(range(1, rows + 1))


system = ActorSystem(name="web_app")
model = system.spawn(Model)


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Answer one request; a server with threads calls this from many at once."""
    try:
        rows = int(environ["PATH_INFO"].strip("/"))
    except ValueError as error:
        start_response("400 Bad Request", [("Content-Type", "text/plain")])
        return [str(error).encode()]
    stones = model.ask(Model.stones, rows)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"a triangle of {rows} rows has {stones} stones".encode()]


def serve(path: str) -> None:
    """Do what a server does with one request."""
    said: list[Any] = []
    body = application({"PATH_INFO": path}, lambda *status: said.extend(status))
    print(f"{path} -> {said[0]}: {b''.join(body).decode()}")


if __name__ == "__main__":
    for path in ("/3", "/x", "/4"):
        serve(path)
