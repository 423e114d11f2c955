"""The table of goals: which row shows which comparison, and what it says of it."""

from __future__ import annotations

import json

import pytest

from benchmarks import goals
from benchmarks.findings import BOTH, Findings, Series, Target
from benchmarks.goals import GOALS, costs_of, goals_of
from benchmarks.places import ONE
from benchmarks.report import RESULTS, as_markdown


def ask_on_one_core(ours, floor):
    block = "pipes, blocking reads"
    findings = Findings("ask", place=ONE.name)
    findings.series = [Series("ask", "µs", [[ours]]), Series(block, "µs", [[floor]])]
    findings.series += [Series(s.name, "µs", s.rounds, BOTH) for s in findings.series]
    findings.compare("ask / blocking floor", "ask", block, Target(most=2.5, later=1.8))
    findings.compare_costs("ask", block)
    return findings.as_json()


def spawns(rate):
    findings = Findings("spawn", place="free")
    findings.judge(Series("spawn, 50 actors", "starts/s", [[rate]]), Target(least=200, later=300))
    findings.series.append(Series("bare fork Process, 50 of them", "starts/s", [[500.0]]))
    return findings.as_json()


@pytest.mark.parametrize(
    ("ours", "verdict"), [(26.0, "missed"), (25.0, "met"), (18.0, "met, and the next")]
)
def test_a_row_shows_floor_figure_ratio_goal_and_verdict(ours, verdict):
    *_, row = goals_of({"subjects": [ask_on_one_core(ours, 10.0)]})

    assert row == (
        f"| ask p50, both on one core | 10.0 µs | {ours} µs | {ours / 10:.2f} x "
        f"| {ours / 10:.2f} to {ours / 10:.2f} | ≤ 2.5, then 1.8 | {verdict} |"
    )


def test_a_figure_that_is_judged_alone_has_its_floor_beside_it():
    rows = goals_of({"subjects": [spawns(250.0)]})

    assert (
        "| 50 actors, per second | 500 starts/s | 250 starts/s |  | 250 to 250 "
        "| ≥ 200, then 300 | met |"
    ) in rows


def test_a_row_whose_subject_ran_without_it_says_so_and_others_are_left_out():
    rows = goals_of({"subjects": [spawns(250.0)]})

    assert "| spawn to first reply |  | not measured |  |  |  |  |" in rows
    assert not any("tell" in row for row in rows)


def test_processor_time_has_a_table_of_its_own_without_empty_rows():
    *_, row = costs_of({"subjects": [ask_on_one_core(30.0, 10.0)]})

    assert row == "| ask, both on one core | 10.0 µs | 30.0 µs | 3.00 x | 3.00 to 3.00 |"
    assert costs_of({"subjects": [spawns(250.0)]}) == []


def test_each_row_has_a_name_of_its_own():
    assert len({goal.what for goal in GOALS}) == len(GOALS)


@pytest.mark.parametrize("path", sorted(RESULTS.glob("20*.json")), ids=lambda path: path.stem)
def test_a_kept_result_can_be_printed(path, capsys, monkeypatch):
    """Older ones have neither places nor processor times."""
    monkeypatch.setattr("sys.argv", ["goals", str(path)])
    goals.main()
    assert "| what |" in capsys.readouterr().out
    assert as_markdown(json.loads(path.read_text())).startswith("# Measured")
