"""Watches, links, and parents that decide."""

from __future__ import annotations

import itertools

import pytest

from procactors.errors import InvalidSpec
from procactors.model import commands as c
from procactors.model.options import Backoff, Restart
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import World


def people(*names, **options):
    world = World()
    for name in names:
        world.spawn(name, **options)
    return world


def watch(world, watcher, name, restarts=False):
    world.get(c.Watch(world.id_of(name), world.id_of(watcher), restarts))


def link(world, one, other):
    return world.get(c.Link(world.id_of(one), world.id_of(other)))


def nothing_is_kept(world):
    watch = world.supervision.death_watch
    return not (watch._watchers or watch._watched or watch._links or watch._pulled)


# -- watches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        ("leave", "ended normally"),
        ("crash", "raised Fault: on purpose"),
        ("kill", "ended by signal SIGKILL"),
        ("stop", "stopped"),
    ],
)
def test_an_end_is_told_once_with_its_reason(end, reason):
    world = people("w", "a", restart=Restart.TEMPORARY)
    watch(world, "w", "a")
    watch(world, "w", "a")
    getattr(world, end)("a")
    assert world.told["w"] == [("terminated", "a", reason)]
    assert nothing_is_kept(world)


@pytest.mark.parametrize("restarts", [False, True])
def test_restarts_are_told_if_that_was_asked_for(restarts):
    world = people("w", "a")
    watch(world, "w", "a", restarts)
    world.kill("a")
    world.recycle("a")
    expected = [("restarted", "a", "ended by signal SIGKILL")] if restarts else []
    expected += [("restarted", "a", "made way for its next incarnation")] if restarts else []
    assert world.told["w"] == expected


def test_a_start_that_fails_in_between_is_not_told():
    world = people("w", "a")
    watch(world, "w", "a", restarts=True)
    world.broken["a"] = 2
    world.kill("a")
    world.wait(1.0)
    assert world.told["w"] == [("restarted", "a", "ended by signal SIGKILL")]


def test_one_that_is_over_already_is_told_of_at_once():
    world = people("w", "a")
    world.stop("a")
    watch(world, "w", "a")
    assert world.told["w"] == [("terminated", "a", "stopped")]


@pytest.mark.parametrize("told_restarts", [False, True])
def test_an_undone_watch_is_told_nothing_more(told_restarts):
    world = people("w", "a")
    watch(world, "w", "a", told_restarts)
    number = world.get(c.Unwatch(world.id_of("a"), world.id_of("w")))
    assert (number > 0) is told_restarts  # what is on its way is not to count any more
    world.stop("a")
    assert [what for what, *_ in world.told["w"]] == ["settled"] * told_restarts
    assert nothing_is_kept(world)


def test_watches_survive_the_watchers_restart_and_end_with_it():
    world = people("w", "a", "b")
    watch(world, "w", "a")
    watch(world, "w", "b")
    world.kill("w")
    world.stop("a")
    assert world.told["w"] == [("terminated", "a", "stopped")]
    world.stop("w")
    assert nothing_is_kept(world)


def test_all_children_of_a_tree_are_watched_like_others():
    world = people("w")
    world.supervise(tree(actor("a"), max_restarts=0))
    watch(world, "w", "a")
    world.kill("a")
    assert world.told["w"] == [("terminated", "a", "ended by signal SIGKILL")]


# -- links ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["leave", "crash", "kill", "stop"])
@pytest.mark.parametrize("which", ["a", "b"])
def test_linked_actors_end_together(end, which):
    world = people("a", "b", restart=Restart.TEMPORARY)
    link(world, "a", "b")
    getattr(world, end)(which)
    (other,) = {"a", "b"} - {which}
    assert world.up_names() == []
    assert world.end_of(other).startswith(f"stopped, being linked to {which}, which ")
    assert nothing_is_kept(world)


def test_a_restart_is_no_end():
    world = people("a", "b")
    link(world, "a", "b")
    world.kill("a")
    assert world.up_names() == ["a", "b"]


def test_an_unlinked_actor_lives_on():
    world = people("a", "b")
    link(world, "a", "b")
    world.get(c.Unlink(world.id_of("b"), world.id_of("a")))
    world.stop("a")
    assert world.up_names() == ["b"]


def test_linked_to_the_dead_an_actor_is_stopped_at_once():
    world = people("a", "b")
    world.stop("a")
    link(world, "b", "a")
    assert world.up_names() == []


def test_a_linked_actor_between_two_lives_gets_none():
    world = people("a", "b", backoff=Backoff(5.0), max_restarts=9)
    link(world, "a", "b")
    world.kill("b")
    world.kill("b")
    world.get(c.Kill(world.id_of("a")))
    world.wait(10.0)
    assert world.end_of("b").startswith("stopped, being linked to a")


def test_a_linked_actor_that_will_not_stop_is_killed_by_its_own_deadline():
    world = people("a", "b", stop_timeout=2.0)
    world.stubborn.add("b")
    link(world, "a", "b")
    world.kill("a")
    world.stop("a")
    world.wait(2.1)
    assert world.end_of("b").endswith("it had to be killed")


@pytest.mark.parametrize("shape", ["chain", "ring", "star", "all"])
@pytest.mark.parametrize("first", range(6))
def test_what_is_linked_together_ends_together_and_once(shape, first):
    names = [f"n{number}" for number in range(6)]
    world = people(*names)
    pairs = {
        "chain": itertools.pairwise(names),
        "ring": zip(names, names[1:] + names[:1], strict=True),
        "star": ((names[0], other) for other in names[1:]),
        "all": itertools.combinations(names, 2),
    }[shape]
    for one, other in list(pairs):
        link(world, one, other)
    world.get(c.Kill(world.id_of(names[first])))
    assert world.up_names() == []
    assert len(world.ends) == 6
    assert nothing_is_kept(world)


def test_a_tree_does_not_bring_back_a_child_that_its_link_has_ended():
    world = people("a")
    world.supervise(tree(actor("b")))
    link(world, "a", "b")
    world.stop("a")
    assert world.up_names() == []
    assert world.failure is None


def test_a_system_that_stops_stops_linked_actors_in_their_turn():
    world = people("a", "b", "c")
    link(world, "a", "c")
    world.stop_all()
    world.run()
    assert dict(world.ends) == dict.fromkeys("abc", "stopped")


def test_an_inbox_cannot_be_linked():
    world = people("a")
    inbox = world.get(c.OpenInbox("box"))
    error = world.get(c.Link(world.id_of("a"), inbox.actor))
    assert type(error) is InvalidSpec


# -- parents that decide --------------------------------------------------------------------------


def parent(directive, **options):
    """Return a world with `top`, which says so of each death of its child `child`."""
    world = World()
    world.decisions["top"] = directive
    world.spawn("top")
    world.spawn("child", parent="top", **options)
    return world


@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("directive", ["resume", "restart", "stop", "escalate", ""])
@pytest.mark.parametrize("end", ["crash", "kill", "exits"])
def test_a_parents_word_is_done(restart, directive, end):
    world = parent(directive, restart=restart)
    getattr(world, end)("child")
    by_policy = directive == "" and restart is not Restart.TEMPORARY
    comes_back = directive in ("resume", "restart") or by_policy
    assert (world.lives("child"), world.end_of("child") is None) == (1 + comes_back, comes_back)
    assert len(world.asked) == 1


def test_resuming_counts_nothing_and_restarting_does():
    world = parent("resume", max_restarts=1)
    for life in range(2, 7):
        world.crash("child")
        assert world.lives("child") == life
    assert [facts[-2] for facts in world.asked] == [0] * 5
    world.decisions["top"] = "restart"
    world.crash("child")
    world.crash("child")
    assert "raised" in world.end_of("child")
    assert [facts[-2] for facts in world.asked[5:]] == [0, 1]


def test_a_restart_that_a_parent_orders_waits_for_its_backoff():
    world = parent("restart", backoff=Backoff(1.0), max_restarts=9)
    world.crash("child")
    world.crash("child")
    assert world.lives("child") == 2
    world.wait(1.01)
    assert world.lives("child") == 3


@pytest.mark.parametrize("end", ["leave", "stop"])
def test_an_orderly_end_is_no_failure(end):
    world = parent("restart", restart=Restart.TRANSIENT)
    getattr(world, end)("child")
    assert (world.asked, world.end_of("child") is not None) == ([], True)


def test_a_first_start_that_fails_is_told_to_the_spawner_alone():
    world = parent("restart")
    world.broken["new"] = 1
    assert "did not start" in str(world.spawn("new", parent="top"))
    assert world.asked == []


@pytest.mark.parametrize("order", ["stop", "kill"])
def test_a_child_whose_parent_is_asked_can_be_ended(order):
    world = parent(None)
    world.crash("child")
    assert world.state("child").state == "restarting"
    if order == "stop":
        world.get(c.Stop(world.id_of("child"), None))
    else:
        world.get(c.Kill(world.id_of("child")))
    assert world.end_of("child") is not None
    world.decide("child", "resume")  # too late
    world.run()
    assert world.up_names() == ["top"]


def test_a_parent_that_dies_before_it_answers_takes_its_child_along():
    world = parent(None)
    world.crash("child")
    world.kill("top")
    assert world.end_of("child") is not None
    assert world.lives("top") == 2


def test_a_word_on_a_life_that_is_past_changes_nothing():
    world = parent(None)
    world.crash("child")
    world.decisions["top"] = None
    stale = c.DecideOnChild(world.id_of("child"), 7, "stop")
    world.get(stale)
    assert world.end_of("child") is None
