"""A system on a cluster beside others in one program: refs travel both ways."""

from __future__ import annotations

import pytest

from procactors import ActorSystem
from tests.cluster.conftest import Nodes
from tests.local.test_several_systems import Caller, check_travels

pytestmark = [pytest.mark.ray, pytest.mark.sample]


def test_refs_travel_between_a_cluster_and_processes_and_threads(nodes: Nodes):
    with (
        ActorSystem(backend="ray", address=nodes.address) as ray,
        ActorSystem(backend="processes") as processes,
        ActorSystem(backend="threads") as threads,
    ):
        for mine, other in (
            (ray, processes),
            (processes, ray),
            (ray, threads),
            (threads, ray),
        ):
            check_travels(mine, other)
        far = ray.spawn(Caller)
        assert processes.spawn(Caller, far).ask(Caller.pass_on, 3) == 3
