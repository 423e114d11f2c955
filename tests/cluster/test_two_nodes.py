"""Two nodes, one of which is killed: who was there comes back on the other, and nobody waits."""

from __future__ import annotations

import threading
import time
from concurrent.futures import wait

import pytest

from procactors import Actor, ActorSystem, Supervisor, spec
from procactors.errors import ActorDied
from tests.cluster.conftest import Nodes
from tests.support.waiting import LONG_S, eventually

pytestmark = [pytest.mark.ray, pytest.mark.sample]

#: Seconds in which Ray itself notices that a node has gone, and a process is up elsewhere.
NOTICED_S = 60.0


class Worker(Actor):
    def node(self):
        import ray

        return ray.get_runtime_context().get_node_id()

    def work(self, number):
        time.sleep(0.02)  # of quick ones in a row, more than one would be in hand
        return number

    def lives(self):
        return self.context.incarnation


#: A place for an actor, on the node that has more of them left.
ANYWHERE = {"num_cpus": 0, "resources": {"place": 1}, "scheduling_strategy": "SPREAD"}
SIZE = 6


def test_a_node_that_is_killed_costs_what_was_in_hand_there_and_nothing_else(nodes: Nodes):
    other = nodes.add()
    with ActorSystem(backend="ray", address=nodes.address) as system:
        specs = [spec(Worker).options(name=f"worker-{n}", ray=ANYWHERE) for n in range(SIZE)]
        system.supervise(Supervisor(*specs, max_restarts=3 * SIZE, within=300.0))
        workers = [system[f"worker-{n}"] for n in range(SIZE)]
        before = [worker.ask(Worker.node) for worker in workers]
        lost = before.count(other.node_id)
        assert 0 < lost < SIZE

        ends: list[object] = []
        is_over = threading.Event()

        def call(worker):
            while not is_over.is_set():
                replies = [worker.submit(Worker.work, number) for number in range(20)]
                ended, late = wait(replies, timeout=NOTICED_S)
                ends.append(len(late))
                ends.extend(reply.exception() for reply in ended)

        callers = [threading.Thread(target=call, args=(worker,)) for worker in workers]
        for caller in callers:
            caller.start()
        eventually(lambda: len(ends) > 60, "calls to be answered", LONG_S)
        nodes.kill(other)
        eventually(
            lambda: other.node_id not in {worker.ask(Worker.node) for worker in workers},
            "all to be on the node that is left",
            NOTICED_S,
        )
        is_over.set()
        for caller in callers:
            caller.join(LONG_S)
            assert not caller.is_alive()
        lives = [worker.ask(Worker.lives) for worker in workers]
        pairs = zip(lives, before, strict=True)
        # Twice, where Ray began the second one on the node that it did not know to be dead.
        assert all((life > 1) == (node == other.node_id) for life, node in pairs)
        assert not [end for end in ends if isinstance(end, int) and end]  # nobody has waited
        errors = [end for end in ends if isinstance(end, BaseException)]
        assert {type(error) for error in errors} == {ActorDied}
        assert len(errors) <= lost  # what was in hand: one of each
        assert "node" in str(errors[0])
