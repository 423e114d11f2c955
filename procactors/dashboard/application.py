"""The page's web application: what is asked for below the base path, and what it is answered.

Layer: dashboard. Runs in: the dashboard's process, in its event loop.
Owns: the observatory, from its start-up to its shutdown.
Never: answers anybody whom `access` has not let in; changes anything for a GET.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from procactors.dashboard import actions, sse, stacks
from procactors.dashboard.access import Door, Keys
from procactors.dashboard.feed import Feed
from procactors.dashboard.observatory import Observatory
from procactors.outside.systems import Elsewhere, check_near
from procactors.outside.visit import NotAtHome

__all__ = ["Page"]

_STATIC = Path(__file__).parent / "static"
#: Bytes of a request's body at most: all are a few numbers and names.
_BODY = 4096


class _Refused(Exception):
    """A request that makes no sense, or is about something that is not there."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Page:
    """The dashboard as an ASGI application.

    Args:
        keys: the secrets that let a browser in.
        observatory: what is shown.

    Attributes:
        app: the application, with its door.
    """

    def __init__(self, keys: Keys, observatory: Observatory) -> None:
        self._observatory = observatory
        self._closing = asyncio.Event()
        routes = [
            Route("/", self._index),
            Route("/api/stream", self._stream),
            Route("/api/history", _answered(self._history)),
            Route("/api/latencies", _answered(self._latencies)),
            Route("/api/log", _answered(self._log)),
            Route("/api/act", _answered(self._act), methods=["POST"]),
            Route("/api/stacks", _answered(self._stacks), methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ]
        self.app = Door(Starlette(routes=routes, lifespan=self._lifespan), keys)

    def close(self) -> None:
        """End all streams, so that the server can end."""
        self._closing.set()

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await self._observatory.open()
        try:
            yield
        finally:
            await self._observatory.close()

    async def _index(self, _: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    async def _stream(self, request: Request) -> Response:
        """Answer with all that changes, until the page goes; of one system, if one is named."""
        sources = [self._observatory.changes()]
        key = request.query_params.get("system", "")
        if key:
            sources.append(self._observatory.changes_of(key))
        return StreamingResponse(self._merged(sources), media_type=sse.TYPE)

    async def _merged(self, sources: list[AsyncIterator[bytes]]) -> AsyncIterator[bytes]:
        # One place: a page that is slow holds up its own sources alone.
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(1)

        async def pump(source: AsyncIterator[bytes]) -> None:
            async for data in source:
                await queue.put(data)

        async def end() -> None:
            await self._closing.wait()
            await queue.put(None)

        tasks = [asyncio.create_task(pump(source)) for source in sources]
        tasks.append(asyncio.create_task(end()))
        try:
            while (data := await queue.get()) is not None:
                yield data
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _history(self, request: Request) -> dict[str, Any]:
        """Return an actor's last minutes."""
        feed = self._feed(request.query_params)
        return feed.watch.history.of(_whole(request.query_params, "actor"))

    async def _latencies(self, request: Request) -> dict[str, Any]:
        """Return how long an actor's handlers take."""
        feed = self._feed(request.query_params)
        return feed.latencies.of(_whole(request.query_params, "actor"))

    async def _log(self, request: Request) -> dict[str, Any]:
        """Return what the actors have logged since the record that the page has."""
        feed = self._feed(request.query_params)
        return {"lines": await feed.log_after(_whole(request.query_params, "after"))}

    async def _stacks(self, request: Request) -> dict[str, Any]:
        """Return where an actor is. A POST: its process is disturbed for a moment."""
        wanted = await _body(request)
        feed, number = self._feed(wanted), _whole(wanted, "number")
        try:
            check_near(feed.view)
            return {"text": await asyncio.to_thread(stacks.text_of, feed.view.path, number)}
        except (NotAtHome, Elsewhere, OSError) as error:
            raise _Refused(409, str(error)) from None

    async def _act(self, request: Request) -> dict[str, Any]:
        """Do what the page's user has confirmed."""
        wanted = await _body(request)
        feed = self._feed(wanted)
        action, number = wanted.get("action"), _whole(wanted, "number")
        if action not in actions.ACTIONS:
            raise _Refused(400, f"there is no action {action!r}")
        if feed.has_ended:
            raise _Refused(409, "the system has ended")
        try:
            said = await asyncio.to_thread(actions.act, feed.view.path, action, number)
        except actions.Failed as error:
            raise _Refused(409, str(error)) from None
        return {"says": said}

    def _feed(self, wanted: Any) -> Feed:
        feed = self._observatory.feed(str(wanted.get("system", "")))
        if feed is None:
            raise _Refused(404, "no such system is looked at")
        return feed


def _answered(
    handler: Callable[[Request], Awaitable[dict[str, Any]]],
) -> Callable[[Request], Awaitable[Response]]:
    """Return an endpoint that answers with JSON what a handler returns, or why it refuses."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(await handler(request))
        except _Refused as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)

    return endpoint


async def _body(request: Request) -> dict[str, Any]:
    data = b""
    async for part in request.stream():
        data += part
        if len(data) > _BODY:
            raise _Refused(413, f"more than {_BODY} bytes")
    try:
        wanted = json.loads(data)
    except ValueError:
        raise _Refused(400, "not JSON") from None
    if not isinstance(wanted, dict):
        raise _Refused(400, "not a JSON object")
    return wanted


def _whole(wanted: Any, name: str) -> int:
    text = str(wanted.get(name, ""))
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise _Refused(400, f"{name} is a whole number")
    return int(text)
