"""The view of a job's progress: what each kind of stream gets to see, and when."""

from __future__ import annotations

import contextlib
import gc
import importlib.machinery
import io
import os
import re
import sys
import threading
import types
from typing import ClassVar

import pytest

from procactors.errors import InvalidSpec
from procactors.observe.progress_bar import open_view
from procactors.observe.progress_view import PlainLines, ProgressView
from procactors.observe.rich_bar import RichBar
from tests.support.terminals import Terminal, screen
from tests.support.waiting import SHORT_S


class Clock:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """An ordinary terminal, wide enough for the whole line."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def terminal():
    with contextlib.closing(Terminal("utf-8")) as terminal:
        yield terminal


@pytest.fixture
def without_rich(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, RichBar.__module__)
    monkeypatch.setitem(sys.modules, "rich", None)


@pytest.fixture
def log(tmp_path):
    """A log file that is open for writing."""
    with open(tmp_path / "log", "w+") as file:
        yield file


def written(file):
    file.flush()
    file.seek(0)
    return file.read().splitlines()


def test_a_file_gets_a_plain_line_for_each_tenth(log, clock):
    with open_view("auto", "squares", 1000, log, clock=clock) as view:
        for done in range(1, 1001):
            clock.now = done / 10
            view.advance(done)
    lines = written(log)
    assert len(lines) == 10
    assert lines[0] == "squares: 100 of 1000, 10 %, 10.0/s, 90 s left"
    assert lines[-1] == "squares: 1000 of 1000, 100 %, 10.0/s, 100 s"


def test_a_job_of_unknown_length_gets_a_plain_line_each_five_seconds(log, clock):
    with open_view("auto", "squares", None, log, clock=clock) as view:
        for done in range(1, 121):
            clock.now = done / 10
            view.advance(done)
    assert written(log) == [
        "squares: 50, 10.0/s, 5.0 s",
        "squares: 100, 10.0/s, 10.0 s",
        "squares: 120, 10.0/s, 12.0 s",
    ]


def test_a_total_that_is_known_later_counts_from_then_on(log, clock):
    with open_view("plain", "squares", None, log, clock=clock) as view:
        view.advance(1)
        view.total(4)
        for done in (2, 3, 4):
            clock.now = float(done)
            view.advance(done)
    shares = [line.split(", ")[1] for line in written(log)]
    assert shares == ["50 %", "75 %", "100 %"]


def test_a_job_that_ends_early_leaves_its_last_state(log, clock):
    with open_view("plain", "squares", 100, log, clock=clock) as view:
        clock.now = 1.0
        view.advance(15, failed=2, note="disk full")
        view.advance(17, failed=3, note="disk full")
    assert written(log) == [
        "squares: 15 of 100, 15 %, 2 failed, 15.0/s, 6 s left, disk full",
        "squares: 17 of 100, 17 %, 3 failed, 17.0/s, 5 s left, disk full",
    ]


def test_a_job_without_items_says_nothing(log):
    for total in (0, None):
        with open_view("plain", "squares", total, log) as view:
            view.advance(0)
    assert written(log) == []


@pytest.mark.parametrize(
    ("done", "seconds", "words"),
    [
        (1, 2.0, "0.5/s, 18 s left"),
        (1, 600.0, "0.1/min, 90 min left"),
        (1, 7200.0, "0.5/h, 18 h left"),
        (1, 86400.0, "0.0/h, 9 days left"),
        (5, 0.001, "5,000/s, 0 s left"),
        (10, 1.0, "10.0/s, 1.0 s"),
        (10, 300.0, "2.0/min, 5 min"),
    ],
)
def test_rates_and_times_are_for_people(clock, done, seconds, words):
    stream = io.StringIO()
    view = open_view("plain", "", 10, stream, unit="files", clock=clock)
    clock.now = seconds
    view.advance(done)
    assert stream.getvalue() == f"{done} of 10 files, {10 * done} %, {words}\n"


@pytest.mark.parametrize("kind", ["pipe", "null", "closed", "text", "none"])
def test_where_nobody_looks_nothing_is_shown(kind, log, monkeypatch):
    with contextlib.ExitStack() as undo:
        stream = io.StringIO()
        if kind == "pipe":
            reading, writing = os.pipe()
            undo.callback(os.close, reading)
            stream = undo.enter_context(open(writing, "w"))
        elif kind == "null":
            stream = undo.enter_context(open(os.devnull, "w"))
        elif kind == "closed":
            stream.close()
        elif kind == "none":
            stream = None
            monkeypatch.setattr(sys, "stderr", None)
        view = open_view("auto", "squares", 1, stream)
        assert type(view) is ProgressView
        with view:
            view.total(2)
            view.advance(2)
            view.say("done")


def test_the_standard_error_of_the_moment_is_meant(log, monkeypatch):
    monkeypatch.setattr(sys, "stderr", log)
    with open_view("auto", "squares", 1, None) as view:
        view.advance(1)
    assert written(log)[0].startswith("squares: 1 of 1, 100 %")


def test_a_mode_that_there_is_not_is_named():
    with pytest.raises(InvalidSpec, match=r"progress is one of .*'plain'.*, not 'bars'"):
        open_view("bars", "squares", 1)


def test_a_terminal_without_rich_gets_plain_lines(terminal, clock, without_rich):
    for mode in ("auto", "bar"):
        with open_view(mode, "squares", 4, terminal.stream, clock=clock) as view:
            assert type(view) is PlainLines
            view.advance(2)
            view.say("half-way")
            view.advance(4)
    assert [line.partition(",")[0] for line in terminal.shown().splitlines()] == [
        "squares: 2 of 4",
        "half-way",
        "squares: 4 of 4",
    ] * 2


def test_with_rich_a_terminal_gets_its_bar_and_our_words(terminal, clock):
    threads = threading.active_count()
    with open_view("auto", "[b]squares", 4, terminal.stream, clock=clock) as view:
        assert type(view) is RichBar
        assert threading.active_count() == threads
        clock.now = 1.0
        view.advance(2)
        view.say("half-way [red]")
        clock.now = 2.0
        view.advance(4)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown())
    assert "━━━ [b]squares: 2 of 4, 50 %, 2.0/s, 1 s left" in text
    assert "half-way [red]\n" in text
    assert text.endswith("━━━ [b]squares: 4 of 4, 100 %, 2.0/s, 2.0 s\n")


def test_redraws_are_limited_and_the_last_state_stands(terminal, clock):
    with open_view("auto", "squares", None, terminal.stream, clock=clock) as view:
        for done in range(1, 1001):
            clock.now = done / 1000
            view.advance(done)
    text = terminal.shown()
    assert text.count("squares: ") <= 14  # the first, ten in a second, and rich's last
    assert "squares: 1000, 1,000/s, 1.0 s" in text


def test_a_terminal_that_cannot_go_back_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    for mode in ("auto", "bar"):
        assert type(open_view(mode, "squares", 4, terminal.stream)) is PlainLines


@pytest.mark.parametrize("rich", [True, False])
def test_a_character_that_the_terminal_lacks_is_escaped(clock, rich, request):
    if not rich:
        request.getfixturevalue("without_rich")
    with contextlib.closing(Terminal("ascii")) as terminal:
        with open_view("auto", "√", 4, terminal.stream, clock=clock) as view:
            view.say("π")
            clock.now = 1.0
            view.advance(4, note="λ")
        text = terminal.shown()
    assert "\\u221a: 4 of 4, 100 %, 4.0/s, 1.0 s, \\u03bb" in text
    assert "\\u03c0\n" in text


@pytest.mark.parametrize("mode", ["auto", "bar", "plain"])
@pytest.mark.parametrize("rich", [True, False])
def test_a_stream_that_fails_turns_the_view_off(terminal, clock, mode, rich, request):
    if not rich:
        request.getfixturevalue("without_rich")
    with open_view(mode, "squares", 10, terminal.stream, clock=clock) as view:
        view.advance(1)
        terminal.stream.close()
        for done in range(2, 11):
            clock.now = float(done)
            view.advance(done)
        view.say("done")
        view.total(11)
    view.close()


def test_closed_a_view_shows_nothing_more(log):
    view = open_view("plain", "squares", 1, log)
    view.close()
    view.advance(1)
    view.say("late")
    assert written(log) == []


class Output:
    """What a notebook's widget shows; stands for ipywidgets'."""

    shown: ClassVar[list[str]] = []

    def clear_output(self, *, wait):
        assert wait

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def show(*things):
    """Show a widget, or what rich has drawn; stands for IPython's."""
    Output.shown += [thing.text for thing in things if hasattr(thing, "text")]


class ZMQInteractiveShell:
    """By this class's name a kernel's shell is known."""


@pytest.fixture
def notebook(monkeypatch):
    """Has the program be a kernel: called in the test; the stream that its cells show."""
    Output.shown = []
    for name, members in {
        "IPython": {"get_ipython": ZMQInteractiveShell},
        "IPython.display": {"display": show},
        "ipywidgets": {"Output": Output},
    }.items():
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        vars(module).update(members)
        monkeypatch.setitem(sys.modules, name, module)

    def use():
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return use


def test_a_notebook_gets_a_bar_and_its_prints_stay_where_they_are(notebook, clock):
    cells = notebook()
    with open_view("auto", "squares", 4, clock=clock) as view:
        assert sys.stderr is cells
        clock.now = 1.0
        view.advance(4)
    assert re.search("━━━.* squares: 4 of 4, 100 %", "".join(Output.shown))
    assert cells.getvalue() == ""


@pytest.mark.parametrize("missing", ["ipywidgets", RichBar.__module__])
def test_a_notebook_without_what_draws_bars_gets_plain_lines(notebook, missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    cells = notebook()
    with open_view("auto", "squares", 1) as view:
        view.advance(1)
    assert cells.getvalue().startswith("squares: 1 of 1, 100 %")


def test_a_terminal_with_ipython_is_no_notebook(terminal, notebook, monkeypatch):
    class TerminalInteractiveShell:
        pass

    notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", TerminalInteractiveShell)
    assert type(open_view("auto", "squares", 1)) is ProgressView


@pytest.fixture
def printing(terminal, monkeypatch):
    """Has the program print on a terminal: called in the test, since pytest sets them before."""

    def use():
        for name in ("stdout", "stderr"):
            monkeypatch.setattr(sys, name, terminal.stream)
        return terminal

    return use


def test_what_a_program_prints_meanwhile_goes_above_the_bar(printing, clock):
    terminal = printing()
    before = sys.stdout, sys.stderr
    with open_view("auto", "squares", 5, clock=clock) as view:
        for number in range(1, 6):
            clock.now += 1
            view.advance(number)
            print("result", number)
            print("warning", number, file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    *above, bar, last = screen(terminal.shown())
    assert above == [f"{word} {n}" for n in range(1, 6) for word in ("result", "warning")]
    assert "squares: 5 of 5, 100 %" in bar
    assert last == ""


def test_a_line_that_is_printed_in_pieces_stays_in_one_piece(printing, clock):
    terminal = printing()
    with open_view("auto", "squares", 5, clock=clock) as view:
        for number in range(1, 6):
            print(number, end=" ")
            clock.now += 1
            view.advance(number)
        view.say("a word of the runtime")
        print("half")
        print("the rest", end="")
    lines = screen(terminal.shown())
    assert lines[:3] == ["1 2 3 4 5", "a word of the runtime", "half"]
    assert lines[3] == "the rest"
    assert "squares: 5 of 5" not in "".join(lines[:4])


def test_a_long_line_is_printed_as_it_is(printing, clock):
    terminal = printing()
    with open_view("auto", "squares", 5, clock=clock):
        print("[b]word " * 40, "\x1b[1mbold\x1b[0m")
    assert "[b]word " * 40 + " \x1b[1mbold\x1b[0m\n" in terminal.shown()


def test_the_bar_stands_below_what_was_printed_last(printing, clock):
    terminal = printing()
    with open_view("auto", "squares", 5, clock=clock) as view:
        clock.now += 1
        view.advance(2)
        print("result")
        lines = screen(terminal.shown())
        assert lines[0] == "result"
        assert "squares: 2 of 5" in lines[1]


def test_a_stream_that_was_kept_goes_on_behind_the_bar(printing, clock):
    """A logging handler keeps the stream that it found."""
    terminal = printing()
    with open_view("auto", "squares", 5, clock=clock):
        kept = sys.stderr
        assert kept.encoding == "utf-8"
        assert kept.isatty()
    kept.writelines(["kept\n"])
    assert screen(terminal.shown())[-2:] == ["kept", ""]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_bars_are_shown_and_give_the_streams_back_whichever_ends_first(printing, clock, order):
    terminal = printing()
    before = sys.stdout, sys.stderr
    bars = [open_view("auto", label, 5, clock=clock) for label in ("squares", "cubes")]
    for number in order:
        print("still one")
        bars[number].close()
    print("behind")
    assert (sys.stdout, sys.stderr) == before
    shown = terminal.shown()
    assert re.search(r"squares: 0 of 5.*\n.*cubes: 0 of 5", shown)
    lines = screen(shown)
    assert lines.count("still one") == 2
    assert lines[-2:] == ["behind", ""]


def test_a_bar_that_is_dropped_leaves_the_streams_in_use(printing, clock):
    terminal = printing()
    open_view("auto", "squares", 5, clock=clock)
    gc.collect()
    print("still there")
    assert "still there" in screen(terminal.shown())[-2]


def test_what_goes_elsewhere_is_not_touched(terminal, clock, monkeypatch):
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    with open_view("auto", "squares", 5, clock=clock):
        assert sys.stdout is pipe
        print("result")
    assert pipe.getvalue() == "result\n"


def test_a_forked_copy_draws_no_bar(printing, clock):
    terminal = printing()
    with open_view("auto", "squares", 5, clock=clock) as view:
        with view._lock:  # the copy's thread has it not, and no other thread ever will
            pid = os.fork()
            if pid == 0:
                other = threading.Thread(target=print, args=("from the copy",), daemon=True)
                other.start()
                other.join(SHORT_S)
                os._exit(other.is_alive())
        assert os.waitpid(pid, 0)[1] == 0
        assert terminal.shown().count("squares: ") == 1
