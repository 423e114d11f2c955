"""Two nodes of Ray on this machine, and the check that nothing of them is left."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import leaks
from tests.support.waiting import eventually

#: Where an actor runs is said by a resource that one node has, and the other one has not.
HEAD, OTHER = "head", "other"


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
        self._cluster.add_node(num_cpus=4, resources={HEAD: 100}, **self._words)
        self.address = self._cluster.address

    def add(self) -> Any:
        """Start the other node."""
        return self._cluster.add_node(num_cpus=4, resources={OTHER: 100}, **self._words)

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

    def close(self) -> None:
        self._ray.shutdown()
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def ray_place() -> Iterator[Path]:
    """A directory for Ray's files: no other Ray on this machine is found by it, or finds ours."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: sockets are in it
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = str(folder)
    yield folder
    if before is None:
        del os.environ["RAY_TMPDIR"]
    else:
        os.environ["RAY_TMPDIR"] = before
    shutil.rmtree(folder, ignore_errors=True)


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
        leaks.check(before)


@pytest.fixture(autouse=True)
def nothing_left(nodes: Nodes) -> Iterator[None]:
    """Fail the test when an actor of it is left on the cluster at its end.

    Ray's own idle workers stay for a while: what they leave is looked for at the end of all tests.
    """
    assert nodes.actors() == []
    yield
    eventually(lambda: not nodes.actors(), f"no actor to be left; there are {nodes.actors()}")
