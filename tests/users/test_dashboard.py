"""The dashboard as a user has it: the command, a program to look at, and a real browser."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import signal
import subprocess

import pytest

from tests.support import chromium
from tests.support.programs import environment, running_python
from tests.support.waiting import eventually

httpx = pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

needs_browser = pytest.mark.skipif(chromium.PROGRAM is None, reason="no chromium is installed")


class Shop:
    """The program that is looked at."""

    def __init__(self, program, name):
        self.program, self.name = program, name
        word, pid = program.line().split()
        assert word == "up"
        self.pid = int(pid)

    def order(self, text):
        self.program.process.stdin.write(f"{text}\n")
        self.program.process.stdin.flush()
        assert self.program.line() == "done"


@pytest.fixture
def open_shop(tmp_path):
    """Start the program; all that were started end with the test."""
    os.mkfifo(tmp_path / "gate")
    with contextlib.ExitStack() as stack:

        def start(name=None):
            name = name or f"shop-{secrets.token_hex(4)}"
            env = {**environment(), "SHOP_GATE": str(tmp_path / "gate")}
            options = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL, "env": env}
            command = ["-m", "tests.support.shop", name, tmp_path]
            return Shop(stack.enter_context(running_python(*command, **options)), name)

        yield start


@pytest.fixture
def shop(open_shop):
    return open_shop()


@pytest.fixture
def open_dashboard():
    """Start the command; return its program and the address that it prints."""
    with contextlib.ExitStack() as stack:

        def start(*arguments):
            command = ["-m", "procactors", "dashboard", "--no-browser", *arguments]
            program = stack.enter_context(running_python(*command))
            url = program.line()
            assert url.startswith("http://127.0.0.1:"), program.end()
            return program, url

        yield start


@pytest.fixture
def browser(tmp_path):
    """A browser with a wide window, of a user who prefers light; it must meet no error."""
    browser = chromium.Chromium(tmp_path / "browser")
    try:
        browser.resize(1400, 900)
        browser.prefer("light")
        yield browser
        assert browser.errors == []
    finally:
        browser.close()


def shows(browser, selector, text):
    """Wait until an element has this text."""
    eventually(
        lambda: re.search(text, browser.text(selector)),
        f"{text!r} in {selector}, which has {browser.text(selector)!r}",
    )


def choose(browser, name):
    """Choose an actor in the table."""
    browser.click("tbody tr", f"{name} Worker")  # not who waits for it
    shows(browser, "#detail h2", f"^{name}$")


def confirm(browser, word):
    """Wait for the question, and say yes."""
    shows(browser, "#dialog", word)
    browser.click("#dialog button[value=yes]")


# -- the server -----------------------------------------------------------------------------------


def test_without_the_token_nothing_is_served_and_actions_take_no_get(shop, open_dashboard):
    _, url = open_dashboard("--system", shop.name)
    base = url.partition("?")[0]
    with httpx.Client(follow_redirects=True) as client:
        site = re.match(r"http://[^/]+", base)[0]
        for path in ("", "api/stream", "api/act", "static/main.js", f"?token={'x' * 32}"):
            assert client.get(base + path).status_code == 403
        assert client.get(site).status_code == 403
        entered = client.get(url)
        assert (entered.status_code, str(entered.url)) == (200, base)
        assert client.get(f"{base}static/main.js").status_code == 200
        assert client.get(f"{base}static/../access.py").status_code == 404
        assert client.get(f"{base}static/%2e%2e/access.py").status_code == 404
        assert client.get(f"{base}api/act").status_code == 405
        assert client.get(base, headers={"Host": "evil.example"}).status_code == 403
        post = {"headers": {"Origin": site}, "json": {"system": "x", "action": "kill", "number": 1}}
        assert client.post(f"{base}api/act", **post).status_code == 404
        post["headers"] = {"Origin": "http://evil.example"}
        assert client.post(f"{base}api/act", **post).status_code == 403


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_while_a_page_is_open_and_the_system_goes_on(shop, open_dashboard, number):
    dashboard, url = open_dashboard("--system", str(shop.pid))
    with httpx.Client() as client:
        client.get(url)
        base = url.partition("?")[0]
        with client.stream("GET", f"{base}api/stream") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "event: systems"
            key = re.search(r'"key":"([^"]*)"', next(lines))[1]
            with client.stream("GET", f"{base}api/stream?system={key}") as whole:
                told = whole.iter_lines()
                assert "event: whole" in (line for line in told)
                dashboard.process.send_signal(number)
                assert dashboard.end()[0] == 128 + number
    shop.order("kill ann")


def test_a_system_that_does_not_run_is_named_and_so_is_a_port_that_is_taken(open_dashboard):
    def ended(*arguments):
        command = ["-m", "procactors", "dashboard", "--no-browser", *arguments]
        with running_python(*command) as program:
            code, _, errors = program.end()
            return code, errors

    code, errors = ended("--system", "nobody-is-called-so")
    assert code == 4
    assert "nobody-is-called-so" in errors or "no system" in errors
    _, url = open_dashboard()
    code, errors = ended("--port", re.search(r":(\d+)/", url)[1])
    assert code == 1
    assert "Address already in use" in errors


# -- the page -------------------------------------------------------------------------------------


@needs_browser
def test_the_page_shows_the_tree_and_a_crash_as_it_happens(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "#state", f"running, pid {shop.pid}")
    assert "token" not in browser.run("location.href")
    assert browser.run("document.cookie") == ""
    for name in ("store", "stock", "till", "ann", "bob", "cid"):
        shows(browser, "[role=tree]", name)
    level = "document.querySelector('[role=treeitem][aria-level=\"3\"]').innerText"
    assert "stock" in browser.run(level)
    choose(browser, "till")
    shop.order("kill till")
    browser.click("[role=tab]", "Crashes")
    shows(browser, "#panel-crashes", "till ended by signal SIGKILL")
    shows(browser, "#detail", "(?s)restarted 1 time.*Last crash.*SIGKILL")
    browser.click("[role=tab]", "Events")
    shows(browser, "#panel-events", r"till\s+is up: life 2")


@needs_browser
def test_a_dead_letter_is_sent_again_when_that_is_confirmed(
    shop, open_dashboard, browser, tmp_path
):
    shop.order("lose")
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "#tab-letters", "1")
    browser.click("[role=tab]", "Dead letters")
    shows(browser, "#panel-letters", "(?s)ann.*Worker.need.*FileNotFoundError")
    (tmp_path / "paper").touch()
    browser.click("#panel-letters button", "Send again")
    shows(browser, "#dialog", "Send this letter again")
    browser.press("Escape")
    assert not (tmp_path / "paper.seen").exists()
    browser.click("#panel-letters button", "Send again")
    confirm(browser, "Send this letter again")
    eventually((tmp_path / "paper.seen").exists, "the letter's handler")
    shows(browser, "#panel-letters", "1 so far, 0 kept")


@needs_browser
def test_actors_are_stopped_and_killed_when_that_is_confirmed(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "cid")
    choose(browser, "cid")
    browser.click("#detail button", "Kill")
    shows(browser, "#dialog", "Kill cid")
    browser.click("#dialog button", "Cancel")
    browser.click("#detail button", "Kill")
    confirm(browser, "Kill cid")
    shows(browser, "#toasts", "cid: it is over: it was killed")
    eventually(lambda: "cid" not in browser.text("tbody"), "the row's end")
    browser.press("Escape")
    choose(browser, "bob")
    browser.click("#detail button", "Stop")
    confirm(browser, "Stop bob")
    shows(browser, "#toasts", "bob: it is over: it stopped")
    eventually(lambda: "bob" not in browser.text("[role=tree]"), "the leaf's end")


@needs_browser
def test_a_question_behind_another_has_an_answer_of_its_own(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "cid")
    answers = """(async () => {
        const { confirm } = await import(new URL("static/dialog.js", document.baseURI));
        const ask = (title) => confirm({ title, text: "", yes: "Yes" });
        const dialog = document.querySelector("#dialog");
        const first = ask("one");
        dialog.close("");
        const second = ask("two");
        await new Promise((done) => dialog.addEventListener("close", done, { once: true }));
        dialog.querySelector("button[value=yes]").click();
        return [await first, await second];
    })()"""
    assert browser.run(answers) == [False, True]


@needs_browser
def test_an_actor_is_suspended_and_resumed(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "ann")
    choose(browser, "ann")
    browser.click("#detail button", "Suspend")
    confirm(browser, "Suspend ann")
    shows(browser, "#detail", "suspended")
    shows(browser, "tbody", r"(?s)ann\s+Worker\s+suspended")
    browser.click("#detail button", "Resume")
    confirm(browser, "Resume ann")
    shows(browser, "#detail", "idle")


@needs_browser
def test_who_waits_for_whom_is_shown(shop, open_dashboard, browser):
    shop.order("wait")
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "#tab-waits", "1")
    browser.click("[role=tab]", "Waits")
    shows(browser, "#panel-waits", "(?s)ann.*Worker.call.*bob.*Worker.hold")
    browser.click("[role=tab]", "Actors")
    shows(browser, "tbody", r"(?s)ann.*Worker\.call.*bob")


@needs_browser
def test_the_stacks_of_an_actor_and_the_times_of_its_handlers_are_shown(
    shop, open_dashboard, browser
):
    shop.order("lose")
    shop.order("wait")
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "bob")
    choose(browser, "bob")
    browser.click("#detail button", "Stacks")
    shows(browser, "#detail", r"(?s)shop\.py.*in (Worker\.)?hold.*gate")
    browser.press("Escape")
    choose(browser, "ann")
    shows(browser, "#detail", r"(?s)Methods.*Worker\.ping\s+\d+\s+0\s+[\d.]+ .s")


@needs_browser
def test_what_actors_log_is_shown_as_text(shop, open_dashboard, browser):
    shop.order("lose")
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "ann")
    browser.click("[role=tab]", "Log")
    shows(browser, "#panel-log", r"(?s)WARNING\s+ann\s+looking for <b>paper</b>")
    shop.order("lose")
    eventually(lambda: browser.text("#panel-log").count("looking for") == 2, "the next line")
    browser.press("/", "z", "z")
    shows(browser, "#panel-log", "No line matches")


@needs_browser
def test_all_is_reached_by_keys(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "cid")
    focus = "document.activeElement"
    browser.press("g", "ArrowDown", "ArrowDown")
    assert "stock" in browser.run(f"{focus}.innerText")
    browser.press("ArrowLeft")
    assert "store" in browser.run(f"{focus}.innerText")
    browser.press("ArrowLeft")
    assert browser.run(f"{focus}.ariaExpanded") == "false"
    assert "stock" not in browser.text("[role=tree]")
    browser.press("ArrowRight", "ArrowRight", "End")
    assert "cid" in browser.run(f"{focus}.innerText")
    browser.press("Enter")
    shows(browser, "#detail h2", "cid")
    assert browser.run(f"{focus}.innerText") == "cid"
    browser.press("Escape")
    assert browser.run("document.querySelector('#detail').hidden")
    assert browser.run(f"{focus}.role") == "treeitem"
    browser.press("/", "b", "o")
    eventually(lambda: browser.run("document.querySelectorAll('tbody tr').length") == 1, "one row")
    browser.press("Escape")
    eventually(lambda: browser.run("document.querySelectorAll('tbody tr').length") == 5, "all")
    browser.press("?")
    shows(browser, "#dialog", "Keys")
    browser.press("Escape", "3")
    assert browser.run("document.querySelector('#tab-crashes').ariaSelected") == "true"
    browser.press("1")
    assert browser.run("document.querySelector('#tab-actors').ariaSelected") == "true"


@needs_browser
def test_a_name_of_any_length_leaves_the_other_columns_in_sight(shop, open_dashboard, browser):
    name = "<b>" + 70 * "long"
    shop.order(f"hire {name}")
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", name)
    browser.resize(1000, 700)
    head = "document.querySelector('th[data-column=cpu]').getBoundingClientRect()"
    assert browser.run(f"{head}.right") < 1000


@needs_browser
def test_it_is_light_and_dark_and_fits_a_narrow_screen(shop, open_dashboard, browser):
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "cid")
    ground = "getComputedStyle(document.body).backgroundColor"

    def brightness():
        return sum(map(int, re.findall(r"\d+", browser.run(ground))[:3])) / 3

    assert brightness() > 200
    browser.prefer("dark")
    eventually(lambda: brightness() < 60, "a dark ground")
    browser.press("t")
    assert brightness() > 200
    browser.open("about:blank")
    browser.resize(360, 700, mobile=True)
    browser.run("history.back()")
    shows(browser, "tbody", "cid")
    assert brightness() > 200, "the choice has been kept"
    for tab in ("Tree", "Actors", "Waits", "Crashes", "Dead letters", "Log", "Events"):
        browser.click("[role=tab]", tab)
        assert browser.run("document.documentElement.scrollWidth") == 360, tab
    browser.press("g")
    browser.run("document.querySelector('#tabs').scrollLeft = 0")
    browser.press("7")
    chosen = "document.querySelector('#tab-events').getBoundingClientRect()"
    assert browser.run(f"{chosen}.right") <= 360, "a tab that a key chooses is seen"
    browser.click("[role=tab]", "Tree")
    browser.click("[role=treeitem]", "ann")
    shows(browser, "#detail h2", "ann")
    assert browser.run("document.querySelector('#detail').getBoundingClientRect().width") == 360
    browser.press("Escape")
    shows(browser, "#panel-tree", "bob")


@needs_browser
def test_the_end_of_the_system_is_said_and_its_next_run_is_picked_up(
    open_shop, open_dashboard, browser
):
    shop = open_shop()
    browser.open(open_dashboard("--system", shop.name)[1])
    shows(browser, "tbody", "cid")
    shop.order("kill till")
    browser.click("[role=tab]", "Crashes")
    shows(browser, "#panel-crashes", "till ended by signal SIGKILL")
    shop.order("leave")
    shows(browser, "#state", r"ended at \d\d:\d\d:\d\d")
    assert "till" in browser.text("#panel-crashes")
    again = open_shop(shop.name)
    shows(browser, "#state", f"running, pid {again.pid}")
    shows(browser, "[role=tree]", "cid")
    assert "till" not in browser.text("#panel-crashes")
