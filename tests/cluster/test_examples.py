"""The examples on a cluster, unchanged: by PROCACTORS_BACKEND=ray, and RAY_ADDRESS."""

from __future__ import annotations

import pytest

from procactors.model.backends import VARIABLE
from tests import test_examples as examples
from tests.cluster.conftest import Nodes

pytestmark = pytest.mark.ray


#: Tests of a user's: they look for what each leaves in the program, where Ray keeps log files
#: open, and record a run, which is for processes and threads.
OF_ONE_MACHINE = {"test_shop"}

#: One of each kind: messages, a death, a tree, a pool, a stream, coroutines.
SAMPLES = {
    "counter_messages",
    "crash_and_respawn",
    "rest_for_one",
    "monte_carlo",
    "stream_pipeline",
    "async_fan_out",
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.sample] if name in SAMPLES else [])
        for name in sorted({*examples.NAMES} - OF_ONE_MACHINE)
    ],
)
def test_each_example_runs_on_a_cluster(nodes: Nodes, name, tmp_path):
    """What it prints is what its header says; what Ray says of a death is Ray's business."""
    surroundings = {"RAY_ADDRESS": nodes.address, VARIABLE: "ray"}
    command = str(examples.FOLDER / f"{name}.py")
    limits = examples.limits_of(name, "ray")
    if not limits:
        ended = examples.ended_by(name, tmp_path, command, **surroundings)
        # What Ray itself has to say of a death.
        printed = "".join(line for line in ended.stdout.splitlines(True) if "(raylet)" not in line)
        examples.assert_matches(name, examples.expected_output(name), printed)
        assert ended.returncode == examples.expected_exit_code(name), ended.stderr
    elif all("UnsupportedOnBackend" in limit.instead for limit in limits):
        ended = examples.ended_by(name, tmp_path, command, **surroundings)
        assert ended.returncode == 1
        assert 'UnsupportedOnBackend: backend="ray" has no' in ended.stderr
