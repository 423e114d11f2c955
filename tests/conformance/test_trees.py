"""Supervision trees with all strategies, on each backend."""

from __future__ import annotations

import pytest

from procactors import Actor, Restart, Strategy, Supervisor, spec
from procactors.errors import RestartIntensityExceeded, SpawnError
from tests.conformance.actors import Broken, Counter, Keeper


class Member(Actor):
    """Notes its lives."""

    def __init__(self, keeper=None):
        if keeper is not None:
            keeper.tell(Keeper.keep, f"{self.context.ref.name} {self.context.incarnation}")

    def incarnation(self):
        return self.context.incarnation

    def fail(self):
        raise ValueError("on purpose")


def _lives(system, names="abc"):
    return [system[name].ask(Member.incarnation) for name in names]


def _tree(strategy, **options):
    children = [spec(Member).options(name=name) for name in "abc"]
    return Supervisor(*children, strategy=strategy, **options)


@pytest.mark.parametrize(
    ("strategy", "lives"),
    [
        (Strategy.ONE_FOR_ONE, [1, 2, 1]),
        (Strategy.ONE_FOR_ALL, [2, 2, 2]),
        (Strategy.REST_FOR_ONE, [1, 2, 2]),
    ],
)
@pytest.mark.sample
def test_the_strategy_says_who_is_restarted_together(world, strategy, lives):
    world.system.supervise(_tree(strategy))
    assert _lives(world.system) == [1, 1, 1]
    second = world.system["b"]
    second.tell(Member.fail)
    world.eventually(lambda: second.status().incarnation == 2, "the restart")
    world.eventually(lambda: _lives(world.system) == lives, f"the lives {lives}")


def test_children_start_in_order(world):
    keeper = world.system.spawn(Keeper)
    children = [spec(Member, keeper).options(name=name) for name in "abc"]
    world.system.supervise(Supervisor(*children))
    assert keeper.ask(Keeper.take) == ["a 1", "b 1", "c 1"]


def test_a_tree_whose_child_does_not_start_leaves_nothing(world):
    with pytest.raises(SpawnError, match="never made"):
        world.system.supervise(Supervisor(spec(Member).options(name="a"), spec(Broken)))
    assert world.system.find("a") is None


@pytest.mark.sample
def test_a_supervisor_that_gives_up_hands_on_to_the_one_above(world):
    inner = Supervisor(
        spec(Member).options(name="a"), name="inner", max_restarts=0, restart=Restart.PERMANENT
    )
    world.system.supervise(
        Supervisor(inner, spec(Member).options(name="b"), max_restarts=3, within=60.0)
    )
    first = world.system["a"]
    first.tell(Member.fail)
    world.eventually(lambda: first.status().incarnation == 2, "the new inner tree")
    assert _lives(world.system, "ab") == [2, 1]


def test_a_root_that_gives_up_ends_the_system(backend):
    from procactors import ActorSystem
    from tests.conformance.conftest import World

    with pytest.raises(RestartIntensityExceeded), ActorSystem(backend=backend) as system:
        system.supervise(_tree(Strategy.ONE_FOR_ONE, max_restarts=0))
        system["a"].tell(Member.fail)
        World(system, backend).eventually(lambda: system.wait(0.1), "the end")


@pytest.mark.sample
def test_a_dynamic_supervisor_starts_copies(world):
    pool = world.system.supervise(
        Supervisor(spec(Counter, 5), strategy=Strategy.DYNAMIC, name="copies")
    )
    first, second = pool.start_child(), pool.start_child()
    assert first.ask(Counter.increment) == second.ask(Counter.increment) == 6
    first.tell(Counter.fail)
    world.eventually(lambda: first.status().incarnation == 2, "the restart")
    assert first.ask(Counter.get) == 5
    assert len(pool.children()) == 2
    pool.terminate_child(first)
    assert not first.is_alive()


def test_a_tree_is_stopped_as_one(world):
    tree = world.system.supervise(_tree(Strategy.ONE_FOR_ALL))
    members = [world.system[name] for name in "abc"]
    tree.stop()
    assert [member.wait().kind.value for member in members] == ["stopped"] * 3
