"""The pages of peers, of curves, and of an older checkout beside this one."""

from __future__ import annotations

from benchmarks.against import as_markdown as beside
from benchmarks.curves.curve import Curve, rounds_at
from benchmarks.curves.report import as_markdown as grown, as_table
from benchmarks.findings import Comparison, Findings, Series
from benchmarks.peers.report import as_markdown as among, best_peer, sorted_gain
from benchmarks.rounds import FULL


def row(fewer, **medians):
    series = {name: Series(name, "u", [[value], [value]]) for name, value in medians.items()}
    return {
        "name": "row",
        "what": "a row",
        "fewer": fewer,
        "series": {name: each.as_json() for name, each in series.items()},
        "ratios": {
            name: Comparison.of("row", series["ours"], each).as_json()
            for name, each in series.items()
            if name != "ours"
        },
    }


def test_the_best_peer_is_neither_the_floor_nor_a_library_of_threads():
    times = row(True, ours=20.0, bare=5.0, pykka=1.0, uactor=30.0, ray=900.0)
    rates = row(False, ours=20.0, bare=90.0, pykka=80.0, uactor=30.0, ray=10.0)

    assert best_peer(times) == best_peer(rates) == "uactor"
    assert best_peer(row(True, ours=1.0, bare=1.0)) is None


def test_better_is_less_time_and_more_a_second():
    assert sorted_gain(row(True, ours=20.0, uactor=30.0), "uactor") == (1.5, 1.5, 1.5)
    assert sorted_gain(row(False, ours=30.0, uactor=20.0), "uactor") == (1.5, 1.5, 1.5)


def test_the_page_of_the_peers_ranks_them_and_says_who_is_first():
    page = among(
        {
            "machine": {"cores": "2"},
            "rows": [row(True, ours=20.0, uactor=30.0, ray=900.0)],
            "notes": ["Ray: no ray is installed"],
        }
    )

    assert "| a row | 20.0 u | uactor 30.0 u | 1.50 x | 1.50 to 1.50 | first |" in page
    assert page.index("| ours | 20.0 u") < page.index("| uactor | 30.0") < page.index("| ray |")
    assert "- Ray: no ray is installed" in page


def test_an_older_checkout_stands_beside_this_one_with_what_only_one_has():
    older = Findings("tell", [Series("tell", "1/s", [[10.0]])], notes=["tell_many: left out"])
    newer = Findings("tell", [Series(name, "1/s", [[20.0]]) for name in ("tell", "tell_many")])

    lines = beside({"subjects": [older.as_json()]}, {"subjects": [newer.as_json()]})

    assert "| tell, tell | 10.0 1/s | 20.0 1/s | 2.00 x |" in lines
    assert "| tell, tell_many |  | 20.0 1/s |  |" in lines
    assert "- before: tell_many: left out" in lines


def test_a_curve_is_a_table_with_a_line_a_point_and_a_plot_above():
    curve = Curve("payload", "An argument that grows", "bytes", "µs")
    curve.add(10, Series("ask", "µs", [[1.0], [2.0], [4.0]]))
    curve.add(1_000, Series("ask", "µs", [[3.0]]))
    curve.add(10, Series("pipe", "µs", [[0.5]]))

    assert curve.lines["ask"][0] == (10, 2.0, 1.0, 4.0)
    assert as_table(vars(curve)) == [
        "| bytes | ask, µs | pipe, µs |",
        "| --- | ---: | ---: |",
        "| 10 | 2.00 | 0.50 |",
        "| 1,000 | 3.00 |  |",
    ]
    result = {"machine": {}, "subjects": [{"curves": [vars(curve)], "notes": []}]}
    assert "![An argument that grows](payload.svg)" in grown(result, {"payload": "payload.svg"})


def test_a_point_whose_rounds_are_long_has_one():
    assert (rounds_at(FULL, long=True).rounds, rounds_at(FULL, long=True).warm_up) == (1, 0)
    assert (rounds_at(FULL, long=False).rounds, rounds_at(FULL, long=False).warm_up) == (3, 1)
