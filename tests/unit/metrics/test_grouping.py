"""Groups: names that a program gives stay apart, names that are numbered go together."""

from __future__ import annotations

import pytest

from procactors.metrics.grouping import group_of, method_name
from procactors.metrics.histogram import Histogram
from procactors.metrics.values import ActorMetrics, GroupMetrics, MethodMetrics, Metrics, merged

PLAIN, BATCH = b"module:Class.method", b"*module:function"


@pytest.mark.parametrize(
    ("actor", "name", "keys", "group"),
    [
        (7, "counter-7", [PLAIN], "counter-*"),
        (7, "counter-17", [PLAIN], "counter-17"),
        (7, "web", [PLAIN], "web"),
        (7, "shard-3", [PLAIN], "shard-3"),
        (9, "render-2", [PLAIN, BATCH], "render-*"),
        (9, "worker-pool-4-2", [BATCH], "worker-pool-*"),
        (9, "render-pool-2", [BATCH], "render-pool-*"),
        (0, "", [], ""),
    ],
)
def test_an_actor_is_counted_under_its_own_name_if_it_has_one(actor, name, keys, group):
    assert group_of(actor, name, keys) == group


@pytest.mark.parametrize(
    ("key", "name"),
    [(PLAIN, "Class.method"), (b"", "receive"), (BATCH, "function"), (b":other", "other")],
)
def test_a_method_is_called_as_people_know_it(key, name):
    assert method_name(key) == name


def method(name, count, errors=0):
    return MethodMetrics(name, errors, 0, Histogram(1.0 * count, (count,)), Histogram())


def test_versions_of_one_method_are_one():
    (found,) = merged([method("a", 1), method("a", 2, errors=3)])
    assert (found.handled, found.errors, found.handling.sum_s) == (3, 3, 3.0)


def test_a_group_has_the_live_and_those_that_are_over():
    live = ActorMetrics(1, "a-1", "A", "a-*", 100, 3, 5, 1, 2, (method("A.go", 5),))
    over = GroupMetrics("a-*", "A", 0, 4, 2, 0, (method("A.go", 7), method("A.stay", 1)))
    found = Metrics("/path", 0.0, (live,), (over,), (), 0)
    (group,) = found.groups()
    assert (group.actors, group.restarts, group.expired, group.mailbox) == (1, 6, 3, 2)
    assert {one.name: one.handled for one in group.methods} == {"A.go": 12, "A.stay": 1}
    assert group.method("go").handled == found.method("A.go").handled == 12
    assert found.method("nobody") is None
    assert found.actor("a-1") is live
