"""Two nodes of Ray on this machine, and the check that nothing of them is left."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from procactors.testing import leaks
from tests.support import rays
from tests.support.waiting import eventually

#: What each node has a hundred of: an actor that takes some of it may be on either.
PLACE = {"place": 100}

#: How the leak check calls what may not be left.
OURS = ("process", "shared memory", "runtime directory")


class Nodes:
    """A cluster of a head and another node, each with processes of its own.

    Attributes:
        address: as RAY_ADDRESS names it.
    """

    def __init__(self, ray: Any) -> None:
        from ray.cluster_utils import Cluster

        self._ray = ray
        self._cluster = Cluster()
        # No dashboard, and stores as small as may be: it is the actors that are looked at.
        self._words = {"include_dashboard": False, "object_store_memory": 80 * 1024 * 1024}
        # Ray's own 10 s and more until it takes a node for dead are no matter of ours.
        config = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
        config["health_check_failure_threshold"] = 3
        self._cluster.add_node(num_cpus=4, resources=PLACE, _system_config=config, **self._words)
        self.address = self._cluster.address

    def add(self) -> Any:
        """Start the other node."""
        return self._cluster.add_node(num_cpus=4, resources=PLACE, **self._words)

    def kill(self, node: Any) -> None:
        """End a node as a power cut does: all its processes by SIGKILL, and no goodbye."""
        self._cluster.remove_node(node, allow_graceful=False)

    def actors(self) -> list[str]:
        """Name the actors that the cluster has: alive, starting or pending."""
        states = self._cluster.global_state.actor_table(None)
        return [
            f"{found['Name'] or found['ActorClassName']} ({found['State']})"
            for found in states.values()
            if found["State"] != "DEAD"
        ]

    def busy(self, node: Any) -> int:
        """Count the actors that are alive on a node."""
        states = self._cluster.global_state.actor_table(None).values()
        return sum(
            found["State"] == "ALIVE" and found["Address"]["NodeID"] == node.node_id
            for found in states
        )

    def close(self) -> None:
        self._ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def ray_place() -> Iterator[Path]:
    """A directory for Ray's files."""
    with rays.place() as folder:
        yield folder


@pytest.fixture(scope="session")
def nodes(ray_place: Path) -> Iterator[Nodes]:
    """The cluster of all tests here: starting one takes seconds."""
    ray = pytest.importorskip("ray")
    before = leaks.look()
    cluster = Nodes(ray)
    try:
        yield cluster
    finally:
        cluster.close()
        _check(before)


@pytest.fixture(autouse=True)
def nothing_left(nodes: Nodes) -> Iterator[None]:
    """Fail the test when an actor of it is left on the cluster at its end.

    Ray's own idle workers stay for a while: what they leave is looked for at the end of all tests.
    """
    assert nodes.actors() == []
    yield
    eventually(lambda: not nodes.actors(), "no actor to be left on the cluster")


def _check(before: leaks.Snapshot) -> None:
    """Fail if a process or a file of the cluster's is left.

    What Ray keeps in a program that was connected (descriptors, a thread) is no loss of ours.
    """
    left: list[str] = []

    def is_gone() -> bool:
        left[:] = [one for one in leaks.left_since(before) if one.startswith(OURS)]
        return not left

    try:
        eventually(is_gone, "nothing of the cluster to be left")
    except AssertionError as error:
        raise AssertionError("\n  ".join(["left of the cluster:", *left])) from error
