"""The arithmetic of the benchmarks: medians, ratios, targets and the table made of them."""

from __future__ import annotations

from benchmarks.findings import Comparison, Findings, Series, Target
from benchmarks.report import as_markdown
from benchmarks.table import number


def series(name, *rounds):
    return Series(name, "µs", [list(samples) for samples in rounds])


def test_the_median_of_a_series_is_that_of_its_rounds_medians():
    assert series("ask", [1, 2, 30], [4, 5, 60], [7, 8, 90]).median == 5


def test_a_ratio_pairs_rounds_so_that_a_slow_machine_cancels_out():
    ours = series("ask", [10], [100], [1000])
    floor = series("floor", [5], [50], [500])

    assert Comparison.of("ask / floor", ours, floor).ratio == 2


def test_a_target_is_met_up_to_and_including_its_bound():
    assert Target(most=1.5).met(1.5)
    assert not Target(most=1.5).met(1.51)
    assert Target(least=3.0).met(3.0)
    assert not Target(least=3.0).met(2.99)


def test_a_comparison_without_its_series_becomes_a_note():
    findings = Findings("ask", [series("ask", [1])])

    findings.compare("ask / floor", "ask", "floor", Target(most=1.5))

    assert findings.comparisons == []
    assert findings.notes == ["ask / floor: not measured, for want of: floor"]


def test_the_report_shows_every_target_with_its_verdict():
    findings = Findings("ask", [series("ask", [3.0]), series("floor", [1.0])])
    findings.compare("ask / floor", "ask", "floor", Target(most=1.5, later=1.0))
    findings.judge(Series("memory", "MB", [[2.0]]), Target(most=4.0))

    page = as_markdown({"machine": {"cores": "2"}, "subjects": [findings.as_json()]})

    assert "| ask / floor |  | 3.00 x | 3.00 to 3.00 | ≤ 1.5, then 1 | missed |" in page
    assert "| memory |  | 2.00 MB | 2.00 to 2.00 | ≤ 4 | met |" in page


def test_a_figure_keeps_three_digits():
    assert [number(value) for value in (0.123, 12.34, 1234.5)] == ["0.12", "12.3", "1,234"]
