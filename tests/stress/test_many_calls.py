"""Very many calls at once."""

from __future__ import annotations

import pytest

from tests.support.scripts import run_source
from tests.support.waiting import LONG_S

OUTSTANDING = """
import sys
from procactors import ActorSystem
from tests.support.actors import Echo, Sleeper
from tests.support.gates import new_gate
from pathlib import Path
with new_gate(Path(sys.argv[2])) as gate, ActorSystem(start_method=sys.argv[1]) as system:
    echo, held = system.spawn(Echo), system.spawn(Sleeper)
    held.tell(Sleeper.sleep, gate)
    gate.arrival()
    pids = [held.submit(Sleeper.pid) for _ in range(100_000)]
    replies = [echo.submit(Echo.echo, number) for number in range(100_000)]
    assert [reply.result() for reply in replies] == list(range(100_000))
    assert not any(reply.done() for reply in pids)
    gate.open()
    assert len({reply.result() for reply in pids}) == 1
print("done")
"""


@pytest.mark.stress
def test_a_hundred_thousand_calls_may_be_outstanding_with_few_descriptors(start_method, tmp_path):
    folder = str(tmp_path / "gate")
    limits = ["-n 1024"]
    assert run_source(OUTSTANDING, start_method, folder, limits=limits, timeout=LONG_S) == "done\n"
