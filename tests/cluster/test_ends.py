"""However a program ends, it leaves no actor on the cluster."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.cluster.conftest import Nodes
from tests.support.programs import environment
from tests.support.waiting import LONG_S, eventually

pytestmark = [pytest.mark.ray, pytest.mark.sample]

PROGRAM = """
import sys, time
from procactors import Actor, ActorSystem

class Worker(Actor):
    def on_start(self):
        self.context.spawn(Child)
    def work(self):
        time.sleep(1000)

class Child(Actor):
    pass

with ActorSystem(backend="ray", address=sys.argv[1]) as system:
    workers = [system.spawn(Worker) for _ in range(2)]
    replies = [worker.submit(Worker.work) for worker in workers]
    print("at work", flush=True)
    replies[0].result()
"""


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_signal_to_the_program_ends_its_actors(nodes: Nodes, signum, code, tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, "program.py", nodes.address]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "at work\n"
        eventually(lambda: len(nodes.actors()) == 4, "two workers and their children", LONG_S)
        program.send_signal(signum)
        _, errors = program.communicate(timeout=LONG_S)
    assert program.returncode == code, errors
    if signum == signal.SIGINT:
        assert errors.count("KeyboardInterrupt") >= 1
    eventually(lambda: not nodes.actors(), "no actor to be left on the cluster", LONG_S)
