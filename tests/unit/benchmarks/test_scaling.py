"""The simulation of many nodes: its parts by numbers, its table by the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scaling import (
    LOCAL,
    PLANS,
    RAY,
    Costs,
    Line,
    Plan,
    Simulation,
    busy,
    lookup_s,
    recovered_s,
    shown,
    started_s,
)

PAGE = Path(__file__).parents[3] / "docs" / "scaling.md"

ROUND = Costs(order=0.01, start=1.0, notice=2.0, lookup=0.001, message=0.001)


def test_a_line_does_one_thing_after_the_other_and_a_wide_one_several():
    for width, ends in ((1, [1.0, 2.0, 3.0]), (2, [1.0, 1.0, 2.0])):
        simulation, seen = Simulation(), []
        line = Line(simulation, width)
        for _ in range(3):
            line.give(1.0, lambda: seen.append(simulation.now))  # noqa: B023 - run at once
        assert simulation.run() == ends[-1]
        assert seen == ends


def test_starts_are_held_up_by_the_supervisor_and_by_nothing_else():
    plan = Plan(10)  # 320 actors, a core for each: the last is ordered at 3.2 s, and starts in 1 s
    assert started_s(plan, ROUND, ROUND) == pytest.approx(3.2 + 1.0 + 3 * 0.001)


def test_a_nodes_actors_come_back_one_order_after_the_other():
    back, wait = recovered_s(Plan(10), ROUND, ROUND)
    assert back == pytest.approx(2.0 + 32 * 0.01 + 1.0)  # nine nodes have cores enough
    assert 0.0 <= wait <= 32 * 0.01 + 0.001


def test_a_directory_stops_where_it_is_asked_more_than_it_can_answer():
    assert lookup_s(Plan(100), ROUND, ROUND) is not None  # 320 a second, of 1,000
    assert lookup_s(Plan(400), ROUND, ROUND) is None  # 1,280


@pytest.mark.parametrize(
    ("work_s", "share"), [(0.01, 0.01 / 0.32), (0.16, 0.5), (0.64, 0.64 / 0.641)]
)
def test_a_driver_feeds_so_many_workers_and_no_more(work_s, share):
    assert busy(Plan(10), ROUND, ROUND, work_s) == pytest.approx(share, rel=0.02)


def test_the_page_shows_what_the_simulation_says():
    """Those plans that are quickly done; the header says of each column which it is."""
    _, _, text = PAGE.read_text().partition("## What that makes of")
    page = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    column = {cell.strip(): at for at, cell in enumerate(page[0])}
    rows = {cells[0].strip(): [cell.strip() for cell in cells] for cells in page}
    quick = [plan for plan in PLANS if plan.actors <= 4_000]
    assert len(quick) == 3
    titles, _, *lines = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in shown(tuple(quick))
    )
    for what, *cells in lines:
        for title, cell in zip(titles[1:], cells, strict=True):
            assert rows[what][column[title]] == cell, (what, title)
    assert RAY.message > LOCAL.message
