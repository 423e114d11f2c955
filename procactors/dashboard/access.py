"""Who is let in: the token, the cookie that takes its place, and whose requests are refused.

Layer: dashboard. Runs in: the dashboard's process.
Owns: the secrets, in memory alone.
Never: lets a request reach the page before all checks are passed; says why one was refused.

The printed address has the token. The first visit with it gets a cookie instead, and the address
without it. What is refused, and what against:

- a request without cookie or token: other users of the machine, who can all reach the port;
- a foreign Host: a name of the attacker's that leads to this machine (DNS rebinding);
- a foreign Origin, or a request that another site made: pages that the user looks at meanwhile;
- a POST that does not say its origin, or does not carry JSON: forms and links.

Cookies know no ports: another user's server on another port of this machine would be sent ours. So
the cookie is bound to a path that nobody can guess, below which all of the page lies.
"""

from __future__ import annotations

import hmac
import re
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Door", "Keys"]

#: Names by which this machine may be called; any port, since one may be forwarded (ssh -L).
_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?")

#: The page loads from here alone, and nothing frames it. Nothing is kept in the browser's cache.
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Keys:
    """The secrets of one dashboard.

    Attributes:
        token: in the address that is printed.
        session: in the cookie.
        base: the path below which everything is, with slashes around it.
    """

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(24)
        self.session = secrets.token_urlsafe(24)
        self.base = f"/{secrets.token_hex(8)}/"

    def address(self, host: str, port: int) -> str:
        """Return the address that lets a browser in."""
        name = f"[{host}]" if ":" in host else host
        return f"http://{name}:{port}{self.base}?token={self.token}"


class Door:
    """An ASGI application before another one, whose requests it checks.

    Args:
        inner: the page's application; it gets paths without the base.
        keys: the secrets.
    """

    #: What the cookie is called.
    COOKIE = "procactors"

    def __init__(self, inner: ASGIApp, keys: Keys) -> None:
        self._inner, self._keys = inner, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here speaks through web sockets
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        answer = self._checked(scope)
        if answer is None:
            scope["path"] = scope["path"].removeprefix(self._keys.base.rstrip("/"))
            scope["raw_path"] = scope["path"].encode()
            await self._inner(scope, receive, guarded)
        else:
            await answer(scope, receive, guarded)

    def _checked(self, scope: Scope) -> Response | None:
        """Return the answer to a request that goes no further; None: it may."""
        headers = Headers(scope=scope)
        host = headers.getlist("host")
        if len(host) != 1 or not _HOST.fullmatch(host[0]):
            return _refusal()
        if any(origin != f"http://{host[0]}" for origin in headers.getlist("origin")):
            return _refusal()
        if not scope["path"].startswith(self._keys.base):
            return _refusal()
        if scope["method"] in ("GET", "HEAD"):
            if entry := self._entry(scope, headers):
                return entry
        elif scope["method"] != "POST" or not _is_of_the_page(headers):
            return _refusal()
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            return _refusal()
        return None if self._has_cookie(headers) else _refusal()

    def _entry(self, scope: Scope, headers: Headers) -> Response | None:
        """Let in who has the token: the cookie, and on to the address without it."""
        if scope["path"] != self._keys.base:
            return None
        token = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if not _same(token[0], self._keys.token):
            return None
        answer: Response
        if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
            answer = RedirectResponse(self._keys.base, 303)
        else:
            # Led here by another site's page, whose redirects carry no such cookie. A page of
            # ours that leads on does.
            onward = f'<meta http-equiv="refresh" content="0; url={self._keys.base}">'
            answer = HTMLResponse(f'{onward}<a href="{self._keys.base}">go on</a>')
        answer.set_cookie(
            self.COOKIE, self._keys.session, path=self._keys.base, httponly=True, samesite="strict"
        )
        return answer

    def _has_cookie(self, headers: Headers) -> bool:
        cookies = [cookie_parser(text).get(self.COOKIE, "") for text in headers.getlist("cookie")]
        return any(_same(cookie, self._keys.session) for cookie in cookies)


def _is_of_the_page(headers: Headers) -> bool:
    """Whether a POST says that it comes from our own page; a browser lets no other say so."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return "origin" in headers and kind == "application/json"


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _refusal() -> Response:
    return PlainTextResponse(
        "403: open the address that `procactors dashboard` has printed.\n", status_code=403
    )
