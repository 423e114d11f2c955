"""A real browser without a screen, driven over its own protocol (DevTools) through two pipes."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
from time import monotonic

from tests.support.waiting import SHORT_S

#: Where the browser is; None: nowhere.
PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")

#: Keys that are no letters: their key codes.
KEYS = {
    "Enter": 13,
    "Escape": 27,
    "Tab": 9,
    "Home": 36,
    "End": 35,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}


class Chromium:
    """A browser with one page.

    Attributes:
        errors: what the page has thrown, or has been refused.
    """

    def __init__(self, folder):
        orders, self._out = os.pipe()
        self._in, answers = os.pipe()
        # Out of the way of 3 and 4, which the browser expects.
        theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (orders, answers)]
        self._process = subprocess.Popen(
            [
                PROGRAM,
                "--headless=new",
                "--remote-debugging-pipe",
                f"--user-data-dir={folder}",
                "--no-sandbox",  # as root, in a container
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--force-color-profile=srgb",
                "--hide-scrollbars",
                "about:blank",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=(3, 4),
            preexec_fn=lambda: [os.dup2(fd, number) for number, fd in enumerate(theirs, 3)],  # noqa: PLW1509 - no locks
        )
        for fd in (orders, answers, *theirs):
            os.close(fd)
        self._buffer, self._number, self._session = b"", 0, None
        self.errors = []
        target = self._order("Target.createTarget", url="about:blank")["targetId"]
        attached = self._order("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._order(f"{domain}.enable")

    def close(self):
        with contextlib.suppress(OSError, AssertionError):
            self._session = None
            self._order("Browser.close")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(SHORT_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, 9)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    # -- the page -------------------------------------------------------------------------------

    def open(self, url):
        """Go to an address, as if it were typed."""
        self._order("Page.navigate", url=url)

    def run(self, code):
        """Return the value of an expression in the page."""
        order = {"expression": code, "awaitPromise": True, "returnByValue": True}
        try:
            answer = self._order("Runtime.evaluate", **order)
        except AssertionError as error:
            if "navigated" not in str(error):
                raise
            answer = self._order("Runtime.evaluate", **order)  # the page before has just gone
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector):
        """Return what is shown of the first element; empty if there is none."""
        return self.run(f"document.querySelector({selector!r})?.innerText ?? ''")

    def click(self, selector, text=""):
        """Click into the middle of the first element that has this text; it must be seen."""
        place = self.run(
            f"""(() => {{
                const found = [...document.querySelectorAll({selector!r})].filter(
                    (one) => one.innerText.includes({text!r}) && one.checkVisibility());
                if (!found.length) return null;
                found[0].scrollIntoView({{ block: "nearest", inline: "nearest" }});
                const box = found[0].getBoundingClientRect();
                const at = [box.x + box.width / 2, box.y + box.height / 2];
                const hit = document.elementFromPoint(...at);
                return found[0].contains(hit) ? at : `hidden behind ${{hit?.outerHTML}}`;
            }})()"""
        )
        assert isinstance(place, list), f"{selector} {text}: {place}"
        for kind in ("mousePressed", "mouseReleased"):
            self._order(
                "Input.dispatchMouseEvent",
                type=kind,
                x=place[0],
                y=place[1],
                button="left",
                clickCount=1,
            )

    def press(self, *keys):
        """Press keys one by one."""
        for key in keys:
            facts = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
            text = "\r" if key == "Enter" else "" if key in KEYS else key
            self._order("Input.dispatchKeyEvent", type="keyDown", text=text, **facts)
            self._order("Input.dispatchKeyEvent", type="keyUp", **facts)

    def resize(self, width, height, mobile=False):
        """Give the page so much room."""
        self._order(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )

    def prefer(self, scheme):
        """Have the user prefer light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self._order("Emulation.setEmulatedMedia", features=features)

    def picture(self, path):
        """Write what is seen to a file, as PNG."""
        data = self._order("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    # -- the protocol ---------------------------------------------------------------------------

    def _order(self, method, **parameters):
        self._number += 1
        number = self._number
        order = {"id": number, "method": method, "params": parameters}
        if self._session:
            order["sessionId"] = self._session
        os.write(self._out, json.dumps(order).encode() + b"\0")
        deadline = monotonic() + SHORT_S
        while True:
            said = self._next(deadline)
            if said.get("id") == number:
                assert "error" not in said, f"{method}: {said['error']}"
                return said["result"]
            self._note(said)

    def _note(self, said):
        """Keep what the page complains of."""
        if said.get("method") == "Runtime.exceptionThrown":
            self.errors.append(said["params"]["exceptionDetails"])
        if said.get("method") == "Log.entryAdded" and said["params"]["entry"]["level"] == "error":
            self.errors.append(said["params"]["entry"])

    def _next(self, deadline):
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - monotonic()))
            assert ready, "the browser does not answer"
            data = os.read(self._in, 1 << 20)
            assert data, "the browser has ended"
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)
