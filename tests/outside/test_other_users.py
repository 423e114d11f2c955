"""Another user of the machine can neither list, nor read, nor order anything."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from procactors.outside.systems import find_systems
from procactors.wire.runtime_dir import RuntimeDir
from tests.support.actors import Counter
from tests.support.programs import environment

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")

#: As another user: what it finds, and what comes of each way in.
TRY = """
import os, sys
from procactors.errors import ProcActorsError
from procactors.outside.systems import Problem, find_systems, is_running, view_of
from procactors.outside.guest import Guest
from procactors.outside.roster import Roster
find_systems()  # what is loaded later may lie where nobody may read
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
path, pid = sys.argv[1:]
print([view for view in find_systems() if view.pid == int(pid)], is_running(path), view_of(path))
for attempt in (
    lambda: Roster(path),
    lambda: Guest(path),
    lambda: open(f"{path}/journal"),
    lambda: os.open(f"{path}/actors/0/pipe", os.O_WRONLY | os.O_NONBLOCK),
    lambda: os.listdir(path),
):
    try:
        attempt()
        print("came in")
    except (Problem, OSError) as error:
        print(type(error).__name__)
"""


def test_another_user_comes_in_nowhere(system):
    ref = system.spawn(Counter)
    done = subprocess.run(
        [sys.executable, "-c", TRY, system._dir.path, str(os.getpid())],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "[] False None",
        "PermissionError",
        "NoSystem",
        *["PermissionError"] * 3,
    ], done.stderr
    assert ref.ask(Counter.increment) == 1


def test_what_another_user_has_made_is_not_believed(tmp_path):
    """It has the right name and a live lock, and says that it is a system."""
    made = RuntimeDir(tmp_path)
    try:
        os.chown(made.path, NOBODY, NOBODY)
        assert not [view for view in find_systems() if view.path == made.path]
    finally:
        os.chown(made.path, 0, 0)
        made.remove()
