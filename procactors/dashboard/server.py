"""The dashboard as a process: its port, its browser, its end.

Layer: dashboard. Runs in: the dashboard's process, in the main thread.
Owns: the listening socket; the file by which the browser finds the page, while it starts.
Never: listens on an address that other machines reach; shows the token in a command line, where
other users of the machine would see it.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import os
import shutil
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from types import FrameType

import uvicorn

from procactors.dashboard.access import Keys
from procactors.dashboard.application import Page
from procactors.dashboard.observatory import Observatory
from procactors.process.signals import SIGNAL_BASE, handled_by

__all__ = ["serve"]


def serve(
    wanted: str | None,
    host: str,
    port: int,
    announce: Callable[[str], object],
    *,
    browser: bool,
) -> None:
    """Serve the page until a signal ends it.

    Blocks.

    Args:
        wanted: a name or process id; None: all systems of this user.
        host: an address of this machine's loopback.
        port: 0: any that is free.
        announce: called with the page's address, which has the token in it.
        browser: also show the page in a browser, if there is a screen.

    Raises:
        OSError: the port is taken. SystemExit: a signal has ended it, with the shell's code for it.
    """
    with handled_by(_leave), _listening(host, port) as listener:
        keys = Keys()
        address = keys.address(host, listener.getsockname()[1])
        announce(address)
        page = Page(keys, Observatory(wanted))
        config = uvicorn.Config(
            page.app,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            loop="asyncio",
            timeout_graceful_shutdown=2,
        )
        server = _Server(config, page)
        with _shown(address) if browser else contextlib.nullcontext():
            asyncio.run(server.serve(sockets=[listener]))


class _Server(uvicorn.Server):
    """Ends the streams with the first signal: the server would wait for them."""

    def __init__(self, config: uvicorn.Config, page: Page) -> None:
        super().__init__(config)
        self._page = page

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._page.close()
        super().handle_exit(sig, frame)


def _leave(signum: int, _: FrameType | None) -> None:
    """Leave by a signal; the server raises it once more, when its streams are over."""
    raise SystemExit(SIGNAL_BASE + signum)


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen()  # before the address is told: whoever has it may come at once
        yield listener


@contextlib.contextmanager
def _shown(address: str) -> Iterator[None]:
    """Show the page in a browser, by a file that only this user can read.

    The name of its folder is such that the next start of a system removes it, should this process
    be killed before it has done so.
    """
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        yield  # no screen: the user opens the address
        return
    folder = tempfile.mkdtemp(prefix="procactors-browser-")
    try:
        path = os.path.join(folder, "dashboard.html")
        with open(path, "w", encoding="utf-8") as file:
            link = html.escape(address)
            file.write(f'<meta http-equiv="refresh" content="0; url={link}">')
        webbrowser.open(f"file://{path}")
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
