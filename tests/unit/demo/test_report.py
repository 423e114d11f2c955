"""What the demo prints at the end."""

from __future__ import annotations

import dataclasses

from procactors.demo.analysis import Failure, Function, Totals
from procactors.demo.job import Killing, Measured
from procactors.demo.report import render

TOTALS = Totals(
    files=1700,
    lines=123456,
    functions=2000,
    classes=300,
    branches=4000,
    longest=Function(671, "test_factory", "/lib/test/test_abc.py", 15),
    failures=(Failure("/lib/test/bad.py", "SyntaxError: no (line 3)"),),
)
KILLING = Killing("worker-1", 41, 850, "/lib/io.py", new_pid=44, incarnation=2, restarts=1)
ACTORS = Measured(TOTALS, 5.0, workers=2, killing=KILLING)
SERIAL = Measured(TOTALS, 9.0)


def test_the_whole_report():
    """Table, speed, restart, longest function, failures and verdict, in this order."""
    assert render("/lib", ACTORS, SERIAL, cpus=2).splitlines() == [
        "",
        "                  2 actors  one process",
        "----------------  --------  -----------",
        "files                1,700        1,700",
        "failed to parse          1            1",
        "lines              123,456      123,456",
        "functions            2,000        2,000",
        "classes                300          300",
        "branches             4,000        4,000",
        "longest function       671          671",
        "seconds               5.00         9.00",
        "",
        "2 actors on 2 usable CPUs, start and stop included: 1.80 times as fast as one process",
        "worker-1 (pid 41) was killed after 850 files, with io.py in hand, analysed again",
        "worker-1 came back as incarnation 2 (pid 44), restarts: 1",
        "",
        "longest function: test_factory, 671 lines (test/test_abc.py, line 15)",
        "files that failed to parse: 1",
        "  test/bad.py: SyntaxError: no (line 3)",
        "",
        "totals of the actors and of one process: equal",
    ]


def test_without_a_kill_there_is_no_line_about_one():
    """With --no-kill the report is silent about restarts."""
    text = render("/lib", dataclasses.replace(ACTORS, killing=None), SERIAL, cpus=2)
    assert "killed" not in text
    assert "incarnation" not in text


def test_totals_that_differ_are_named():
    """The verdict says which figures differ."""
    lost = dataclasses.replace(TOTALS, files=1699, lines=123000)
    text = render("/lib", dataclasses.replace(ACTORS, totals=lost), SERIAL, cpus=2)
    assert text.endswith("one process: DIFFERENT in files, lines")


def test_totals_that_differ_in_no_figure_still_differ():
    """Equal counts of failures with different reasons are not equal."""
    other = dataclasses.replace(TOTALS, failures=(Failure("/lib/test/bad.py", "ValueError"),))
    text = render("/lib", dataclasses.replace(ACTORS, totals=other), SERIAL, cpus=2)
    assert "DIFFERENT in details" in text
