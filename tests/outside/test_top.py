"""`procactors top` on a terminal: what is seen, the keys, sizes, and how it leaves the terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading

import pytest

from procactors.cli.screen import _split
from tests.support.actors import Counter, Sleeper
from tests.support.programs import environment
from tests.support.waiting import SHORT_S, eventually

ESCAPE = re.compile(r"\x1b\[\??[0-9;]*[A-Za-z]")


#: The terminal is to be the program's own, for Ctrl-C to reach it.
_AS_ITS_TERMINAL = """
import fcntl, sys, termios
from procactors.cli import main
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.exit(main())
"""


class Shown:
    """A program on a pseudo terminal, and what a person sees there."""

    def __init__(self, *arguments, size=(100, 20)):
        self._master, slave = pty.openpty()
        self.resize(*size)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AS_ITS_TERMINAL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**environment(), "TERM": "xterm"},
            start_new_session=True,
        )
        self.data = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns, lines):
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys):
        os.write(self._master, keys.encode())

    def lines(self):
        """The last whole frame; empty before the first."""
        frames = self.data.decode(errors="replace").split("\x1b[H")[1:]
        whole = [frame for frame in frames if frame.endswith("\x1b[J") or "\x1b[J" in frame]
        text = whole[-1].partition("\x1b[J")[0] if whole else ""
        return [line.rstrip() for line in ESCAPE.sub("", text).split("\r\n")] if text else []

    def names(self):
        return [line.split()[0] for line in self.lines()[3:]]

    def mode(self):
        return termios.tcgetattr(self._slave)

    def close(self):
        self.process.kill()
        self.process.wait(SHORT_S)
        os.close(self._slave)
        self._reader.join()
        os.close(self._master)

    def _read(self):
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                self.data += data


@pytest.fixture
def top(system):
    for name in ("alpha", "beta", "gamma"):
        system.options(name=name).spawn(Counter)
    command = ("top", "--system", str(os.getpid()), "--interval", "0.1", "--sort", "name")
    with contextlib.closing(Shown(*command)) as shown:
        eventually(lambda: shown.names() == ["alpha", "beta", "gamma"], "the first frame")
        yield shown


def test_it_shows_what_is_there_and_what_comes(system, top):
    head = top.lines()
    assert head[0].startswith(f"{system.name} (pid {os.getpid()})")
    assert head[2].split()[:3] == ["NAME", "PID", "STATE"]
    system.options(name="delta").spawn(Counter)
    eventually(lambda: top.names() == ["alpha", "beta", "delta", "gamma"], "the new one")
    system["alpha"].stop()
    eventually(lambda: top.names() == ["beta", "delta", "gamma"], "the end of one")


def test_keys_sort_filter_and_draw_a_tree(top):
    top.type("s")
    eventually(lambda: "by state" in top.lines()[1], "another order")
    top.type("\x1b[D")
    eventually(lambda: "by name" in top.lines()[1], "the order before")
    top.type("/ta")
    eventually(lambda: top.lines()[1].startswith("filter: ta_"), "what was typed")
    eventually(lambda: top.names() == ["beta"], "the rows with that text")
    top.type("\x7f\r")
    eventually(lambda: "with 't'" in top.lines()[1], "the rest of it")
    top.type("/\x1b")
    eventually(lambda: len(top.names()) == 3, "all rows")
    top.type("t")
    eventually(lambda: top.lines()[3].startswith("├─ alpha"), "the tree")


def test_only_rows_that_fit_are_drawn_and_a_new_size_is_seen(top):
    top.resize(60, 5)
    eventually(lambda: top.names() == ["alpha", "beta"], "two rows")
    assert all(len(line) <= 60 for line in top.lines())
    top.type("\x1b[B")
    eventually(lambda: top.names() == ["beta", "gamma"], "the next row")
    top.resize(100, 20)
    eventually(lambda: top.names() == ["alpha", "beta", "gamma"], "all rows")


@pytest.mark.parametrize("how", ["q", "\x03"])
def test_it_leaves_the_terminal_as_it_was(top, how):
    assert top.mode() != top.before
    top.type(how)
    assert top.process.wait(SHORT_S) == (0 if how == "q" else 130)
    assert top.mode() == top.before
    eventually(lambda: b"\x1b[?25h\x1b[?1049l" in top.data, "the screen before")


def test_it_ends_with_the_system_and_says_so(system, top):
    system.stop()
    assert top.process.wait(SHORT_S) == 0
    eventually(lambda: f"{system.name} has ended".encode() in top.data, "the last line")
    assert top.mode() == top.before


def test_a_busy_one_shows_its_handler_and_no_actor_is_asked(system, top, gate):
    counter = system["alpha"]
    sleeper = system.options(name="zeta").spawn(Sleeper)
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    eventually(lambda: any("Sleeper.sleep" in line for line in top.lines()), "the handler")
    frames = top.data.count(b"\x1b[H")
    eventually(lambda: top.data.count(b"\x1b[H") > frames + 3, "more frames")
    assert counter.status().handled == 0
    gate.open()


def test_a_terminal_that_is_killed_leaves_the_system_alone(system, top):
    top.process.send_signal(signal.SIGKILL)
    top.process.wait(SHORT_S)
    assert system["alpha"].ask(Counter.increment) == 1


def test_what_a_terminal_sends_is_taken_apart_into_keys():
    assert _split("a\x1b[A\x1b[5~\x1b\r\x7f") == [
        "a",
        "up",
        "page up",
        "escape",
        "enter",
        "backspace",
    ]
    assert _split("\x1b[1;5Cx") == ["x"]  # a key that means nothing here
