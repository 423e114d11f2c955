"""Who waits for whom, and who stands below whom, among views."""

from __future__ import annotations

from procactors.outside.forest import forest_of
from procactors.outside.roster import ActorView
from procactors.outside.waits import cycle_of, waits_of


def view(number, name, waits_for=0, **known):
    facts = {
        "id": number,
        "name": name,
        "class_name": "Worker",
        "kind": "actor",
        "parent": 0,
        "supervisor": 0,
        "state": "idle",
        "pid": 1,
        "incarnation": 1,
        "restarts": 0,
        "handled": 0,
        "mailbox": 0,
        "cpu_s": 0.0,
        "memory": 0,
        "in_hand": (),
        "waiting_on": None,
        "last_crash": None,
        "suspended": False,
        "pooled": False,
    }
    return ActorView(**{**facts, **known, "waiting_for": waits_for})


def waits(**pairs):
    """Return the names that `a` waits for, and those of the circle, with these waits."""
    names = {name: number for number, name in enumerate(sorted(pairs), 1)}
    views = {
        number: view(number, name, names.get(pairs[name], 0)) for name, number in names.items()
    }
    chain = waits_of(views, views[names["a"]])
    return [one.name for one in chain], [one.name for one in cycle_of(views[names["a"]], chain)]


def test_a_chain_ends_with_one_that_waits_for_nobody():
    assert waits(a="", b="") == ([], [])
    assert waits(a="b", b="c", c="") == (["b", "c"], [])


def test_a_circle_is_found_whether_one_is_in_it_or_waits_for_it():
    assert waits(a="b", b="a") == (["b", "a"], ["a", "b"])
    assert waits(a="b", b="c", c="b") == (["b", "c", "b"], ["b", "c"])
    assert waits(a="a") == (["a"], ["a"])


def shape(nodes):
    return [(node.name, shape(node.below)) for node in nodes]


def test_children_stand_below_their_parents_and_workers_below_their_pool():
    views = [
        view(1, "root", kind="supervisor"),
        view(2, "leaf", supervisor=1),
        view(3, "child", parent=2),
        view(4, "many-1", pooled=True),
        view(5, "many-2", pooled=True),
        view(6, "own-1", pooled=True, parent=2),
        view(7, "orphan", parent=99),
    ]
    assert shape(forest_of(views)) == [
        ("root", [("leaf", [("child", []), ("own", [("own-1", [])])])]),
        ("many", [("many-1", []), ("many-2", [])]),
        ("orphan", []),
    ]
