"""Taking turns: who is left out, and what a round says of processor time."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from benchmarks.findings import BOTH, CALLER, OTHER, Findings
from benchmarks.rounds import Absent, Contender, Costed, Effort, installed, take_turns


@contextmanager
def opened(turn):
    yield turn


def absent():
    raise Absent("this procactors has no such call")


def test_a_round_with_processor_time_gives_a_series_for_each_side():
    findings = Findings("ask")
    turn = Contender("ask", "µs", opened(lambda: Costed([5.0, 7.0], 3.0, 2.0)))

    take_turns(findings, [turn], Effort(rounds=2))

    assert {each.side: each.rounds for each in findings.series} == {
        "": [[5.0, 7.0], [5.0, 7.0]],
        CALLER: [[3.0], [3.0]],
        OTHER: [[2.0], [2.0]],
        BOTH: [[5.0], [5.0]],
    }


def test_who_is_absent_is_left_out_with_a_note_and_the_others_go_on():
    findings = Findings("tell")
    turns = [
        Contender("tell", "1/s", opened(lambda: [1.0])),
        Contender("tell_many", "1/s", opened(absent)),
    ]

    take_turns(findings, turns, Effort(rounds=1))

    assert [each.name for each in findings.series] == ["tell"]
    assert findings.notes == ["tell_many: left out: this procactors has no such call"]


def test_rounds_go_around_in_a_rotating_order_behind_the_warm_up():
    order = []
    turns = [
        Contender(name, "µs", opened(lambda name=name: order.append(name) or [1.0]))
        for name in "ab"
    ]

    take_turns(Findings("ask"), turns, Effort(rounds=2, warm_up=0))

    assert "".join(order) == "abba"


def test_a_library_that_is_not_installed_is_absent():
    with pytest.raises(Absent, match="no library_of_nobody is installed"):
        installed("library_of_nobody")


def test_the_best_of_some_is_the_one_with_the_highest_median():
    findings = Findings("pool")
    turns = [
        Contender(name, "items/s", opened(lambda rate=rate: [rate]))
        for name, rate in (("slow", 1.0), ("fast", 3.0), ("ours", 9.0))
    ]
    take_turns(findings, turns, Effort(rounds=1))

    assert findings.best(["slow", "fast", "gone"]) == "fast"
