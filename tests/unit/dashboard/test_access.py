"""Who is let in to the dashboard, and whose requests get no further than its door."""

from __future__ import annotations

import asyncio

import pytest

pytest.importorskip("httpx")
pytest.importorskip("starlette")
import httpx

from procactors.dashboard.access import Door, Keys

KEYS = Keys()
SITE = "http://127.0.0.1:8000"
COOKIE = {"cookie": f"procactors={KEYS.session}"}
#: What a browser sends with a POST of the page.
OURS = {**COOKIE, "origin": SITE, "content-type": "application/json"}


async def inner(scope, receive, send):
    """Answer with the path that has come through."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


def ask(path, method="GET", headers=None, base=KEYS.base, site=SITE):
    async def main():
        transport = httpx.ASGITransport(Door(inner, KEYS))
        async with httpx.AsyncClient(transport=transport, base_url=site) as client:
            return await client.request(method, base + path, headers=headers or {})

    return asyncio.run(main())


def test_the_cookie_lets_in():
    answer = ask("api/x", headers=COOKIE)
    assert (answer.status_code, answer.text) == (200, "/api/x")


def test_the_token_gives_the_cookie_and_leaves_the_address():
    answer = ask(f"?token={KEYS.token}")
    assert (answer.status_code, answer.headers["location"]) == (303, KEYS.base)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"procactors={KEYS.session};")
    for word in ("HttpOnly", "SameSite=strict", f"Path={KEYS.base}"):
        assert word in cookie
    assert KEYS.token not in cookie
    assert ask("", headers=COOKIE).status_code == 200


def test_who_comes_from_another_site_with_the_token_is_led_on_by_a_page_of_ours():
    """A redirect of another site's link would come without the cookie."""
    answer = ask(f"?token={KEYS.token}", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert "set-cookie" in answer.headers
    assert f"url={KEYS.base}" in answer.text


REFUSED = {
    "nothing": ("", {}),
    "no cookie": ("api/x", {}),
    "a wrong token": ("?token=x", {}),
    "an empty token": ("?token=", {}),
    "the session for a token": (f"?token={KEYS.session}", {}),
    "the token beside the door": (f"api/x?token={KEYS.token}", {}),
    "a wrong cookie": ("", {"headers": {"cookie": "procactors=x"}}),
    "an empty cookie": ("", {"headers": {"cookie": "procactors="}}),
    "the token for a cookie": ("", {"headers": {"cookie": f"procactors={KEYS.token}"}}),
    "letters that are no ASCII": ("?token=%C3%A4", {"headers": {"cookie": b"procactors=\xe4"}}),
    "another path": ("", {"headers": COOKIE, "base": "/"}),
    "a path that begins alike": ("", {"headers": COOKIE, "base": KEYS.base[:-1]}),
    "a foreign host": ("", {"headers": {**COOKIE, "host": "evil.example:8000"}}),
    "a host that begins alike": ("", {"headers": {**COOKIE, "host": "127.0.0.1.evil.example"}}),
    "an empty host": ("", {"headers": {**COOKIE, "host": ""}}),
    "a foreign host with the token": (
        f"?token={KEYS.token}",
        {"headers": {"host": "evil.example"}},
    ),
    "a foreign origin": ("", {"headers": {**COOKIE, "origin": "http://evil.example"}}),
    "the origin of another port": ("", {"headers": {**COOKIE, "origin": "http://127.0.0.1:1"}}),
    "no origin at all": ("", {"headers": {**COOKIE, "origin": "null"}}),
    "another site's request": ("", {"headers": {**COOKIE, "sec-fetch-site": "cross-site"}}),
    "another port's request": ("", {"headers": {**COOKIE, "sec-fetch-site": "same-site"}}),
    "a post without an origin": (
        "api/act",
        {"method": "POST", "headers": {**COOKIE, "content-type": "application/json"}},
    ),
    "a post of a form": (
        "api/act",
        {"method": "POST", "headers": {**OURS, "content-type": "text/plain"}},
    ),
    "a post without a cookie": ("api/act", {"method": "POST", "headers": {**OURS, "cookie": ""}}),
    "a post with the token": (
        f"?token={KEYS.token}",
        {"method": "POST", "headers": {**OURS, "cookie": ""}},
    ),
    "another method": ("api/act", {"method": "PUT", "headers": OURS}),
    "a question before a foreign post": ("api/act", {"method": "OPTIONS", "headers": OURS}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_is(what):
    path, how = REFUSED[what]
    answer = ask(path, **how)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_post_of_the_page_comes_through():
    assert ask("api/act", "POST", OURS).status_code == 200


@pytest.mark.parametrize("site", ["http://localhost:1234", "http://[::1]:80", "http://127.0.0.1"])
def test_the_port_may_be_another_one_that_leads_here(site):
    headers = {**COOKIE, "origin": site.removesuffix(":80")}
    assert ask("", headers=headers, site=site).status_code == 200


@pytest.mark.parametrize("path", ["", f"?token={KEYS.token}", "nobody"], ids=range(3))
def test_each_answer_has_the_headers_that_shut_others_out(path):
    for headers in ({}, COOKIE):
        answer = ask(path, headers=headers).headers
        assert answer["content-security-policy"].startswith("default-src 'self';")
        assert "frame-ancestors 'none'" in answer["content-security-policy"]
        assert answer["cache-control"] == "no-store"
        assert answer["referrer-policy"] == "no-referrer"
        assert answer["x-content-type-options"] == "nosniff"


def test_web_sockets_are_closed():
    said = []

    async def send(message):
        said.append(message)

    asyncio.run(Door(inner, KEYS)({"type": "websocket", "path": KEYS.base}, None, send))
    assert said == [{"type": "websocket.close", "code": 1008}]


def test_no_two_dashboards_have_a_secret_in_common():
    one, other = Keys(), Keys()
    assert one.address("127.0.0.1", 1) == f"http://127.0.0.1:1{one.base}?token={one.token}"
    assert one.address("::1", 1).startswith("http://[::1]:1/")
    assert len({one.token, one.session, one.base, other.token, other.session, other.base}) == 6
