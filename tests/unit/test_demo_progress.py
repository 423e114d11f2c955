"""The progress line on a terminal, and plain lines elsewhere."""

from __future__ import annotations

import io

import pytest

from procactors.demo.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class Narrow(io.StringIO):
    """A stream that can write ASCII alone."""

    encoding = "ascii"


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def wide(monkeypatch):
    """A terminal wide enough for the whole line."""
    monkeypatch.setenv("COLUMNS", "120")


def test_elsewhere_each_tenth_of_the_work_is_a_plain_line(clock):
    """95 files make ten lines, without any control character."""
    stream = io.StringIO()
    progress = Progress(stream, clock=clock)
    progress.begin("actors", 95)
    for done in range(1, 96):
        clock.now = float(done)
        progress.advance(done)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 10
    assert lines[0] == "actors: 10 of 95 files, 10 %, 1.0/s, 85 s left"
    assert lines[-1] == "actors: 95 of 95 files, 100 %, 1.0/s, 95.0 s"
    assert "\r" not in stream.getvalue()


def test_few_files_make_a_line_each():
    """Three files are three lines, not ten."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("actors", 3)
    for done in (1, 2, 3):
        progress.advance(done)
    assert stream.getvalue().count("\n") == 3


def test_on_a_terminal_one_line_is_written_over(wide, clock):
    """Each state begins with a carriage return; a plain line wipes the bar first."""
    stream = Terminal()
    progress = Progress(stream, clock=clock)
    progress.begin("actors", 2)
    clock.now = 1.0
    progress.advance(1)
    clock.now = 2.0
    progress.advance(2)
    progress.say("done")
    first, second, blank, last = stream.getvalue().split("\r")[1:]
    assert first == "[###############...............] actors: 1 of 2 files, 50 %, 1.0/s, 1 s left"
    assert (
        second.rstrip()
        == "[##############################] actors: 2 of 2 files, 100 %, 1.0/s, 2.0 s"
    )
    assert blank == " " * len(second.rstrip())
    assert last == "done\n"


def test_on_a_terminal_redraws_are_limited(wide):
    """A thousand files in no time are drawn twice: the first and the last."""
    stream = Terminal()
    progress = Progress(stream, clock=lambda: 1.0)
    progress.begin("actors", 1000)
    for done in range(1, 1001):
        progress.advance(done)
    assert stream.getvalue().count("\r") == 2


def test_a_narrow_terminal_gets_a_short_line(monkeypatch):
    """A line that wrapped could not be written over."""
    monkeypatch.setenv("COLUMNS", "20")
    stream = Terminal()
    progress = Progress(stream)
    progress.begin("actors", 1)
    progress.advance(1)
    assert len(stream.getvalue().lstrip("\r")) == 19


def test_a_character_that_the_stream_lacks_is_escaped():
    """A parser's message may quote any character; the stream may be ASCII."""
    stream = Narrow()
    Progress(stream).say("invalid character '€'")
    assert stream.getvalue() == "invalid character '\\u20ac'\n"


def test_no_files_make_no_progress():
    """A total of nothing divides nothing by nothing nowhere."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin("actors", 0)
    progress.advance(0)
    assert stream.getvalue() == ""


def test_a_stream_that_nobody_reads_any_more_ends_the_demo():
    """`procactors demo | head` must not analyse files for nobody."""

    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    progress = Progress(Closed())
    progress.begin("actors", 1)
    with pytest.raises(BrokenPipeError):
        progress.advance(1)
