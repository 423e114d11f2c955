"""Actors as rows: what counts as a change, rates, loads."""

from __future__ import annotations

from types import SimpleNamespace

from procactors.dashboard.rows import Rows, totals


def view(number, **facts):
    return SimpleNamespace(
        **{
            "id": number,
            "name": f"actor-{number}",
            "class_name": "Actor",
            "kind": "actor",
            "parent": 0,
            "supervisor": 0,
            "state": "idle",
            "suspended": False,
            "pooled": False,
            "pid": 100 + number,
            "incarnation": 1,
            "restarts": 0,
            "handled": 0,
            "mailbox": 0,
            "cpu_s": 0.0,
            "memory": 1000,
            "in_hand": (),
            "waiting_on": None,
            "last_crash": None,
            **facts,
        }
    )


def update(rows, now, *views):
    changed, gone = rows.update({view.id: view for view in views}, now)
    return [row["id"] for row in changed], gone


def test_only_what_has_changed_is_told():
    rows = Rows()
    assert update(rows, 1.0, view(1), view(2)) == ([1, 2], [])
    assert update(rows, 2.0, view(1), view(2)) == ([], [])
    assert update(rows, 3.0, view(1), view(2, state="busy")) == ([2], [])
    assert update(rows, 4.0, view(2, state="busy")) == ([], [1])
    assert list(rows.rows) == [2]


def test_a_message_in_hand_has_the_instant_of_its_begin_which_does_not_tremble():
    rows = Rows()
    update(rows, 100.0, view(1, state="busy", in_hand=(("A.work", 2.0),)))
    assert rows.rows[1]["in_hand"] == [["A.work", 98.0]]
    assert update(rows, 101.0, view(1, state="busy", in_hand=(("A.work", 3.1),))) == ([], [])
    update(rows, 102.0, view(1, state="busy", in_hand=(("A.work", 0.5),)))
    assert rows.rows[1]["in_hand"] == [["A.work", 101.5]]


def test_the_rate_and_the_load_come_from_one_look_to_the_next():
    rows = Rows()
    for second in range(20):
        update(rows, float(second), view(1, handled=50 * second, cpu_s=0.3 * second))
    assert abs(rows.rows[1]["rate"] - 50) < 0.1
    assert abs(rows.rows[1]["cpu"] - 30) < 0.1
    for second in range(20, 60):
        update(rows, float(second), view(1, handled=950, cpu_s=5.7))
    assert (rows.rows[1]["rate"], rows.rows[1]["cpu"]) == (0.0, 0.0)


def test_the_next_life_begins_with_no_load():
    rows = Rows()
    update(rows, 1.0, view(1, cpu_s=50.0))
    update(rows, 2.0, view(1, cpu_s=60.0, pid=7))
    update(rows, 3.0, view(1, cpu_s=0.0, pid=None))
    assert rows.rows[1]["cpu"] == 0.0
    assert rows.rows[1]["pid"] is None


def test_the_sums_are_of_the_actors():
    rows = Rows()
    update(
        rows,
        1.0,
        view(1, state="busy", mailbox=3, restarts=2),
        view(2, kind="inbox", mailbox=4, memory=0),
        view(3, kind="supervisor", mailbox=0, memory=0),
    )
    assert totals(rows.rows) == {
        "actors": 1,
        "busy": 1,
        "restarts": 2,
        "rate": 0,
        "mailbox": 7,
        "cpu": 0,
        "memory": 1000,
    }


def test_what_is_not_known_of_a_process_is_no_number():
    rows = Rows()
    for at in (1.0, 2.0):
        update(rows, at, view(1, cpu_s=None, memory=None), view(2))
    assert (rows.rows[1]["cpu"], rows.rows[1]["memory"]) == (None, None)
    assert (totals(rows.rows)["cpu"], totals(rows.rows)["memory"]) == (0.0, 1000)
