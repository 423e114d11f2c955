"""Guests that are killed at any moment leave nothing, and disturb nobody."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys

import pytest

from procactors import ActorSystem, Progress
from procactors.model import commands as c
from procactors.outside.guest import Guest
from tests.support.actors import Counter
from tests.support.programs import environment
from tests.support.waiting import eventually

pytestmark = pytest.mark.stress

#: What guests do: whatever the commands do, without end.
BUSY = """
import contextlib, itertools, sys
from procactors.model import commands as c
from procactors.outside.guest import Guest
from procactors.outside.happenings import Happenings
from procactors.outside.roster import Roster
path = sys.argv[1]
print("up", flush=True)
for _ in itertools.count():
    with Roster(path) as roster, Guest(path) as guest:
        actor = roster.find("counter")
        guest.ask(c.Suspend(actor.id), 30)
        guest.ask(c.Resume(actor.id), 30)
        guest.ask_all([c.Describe(actor.id)] * 5, 30)
        with contextlib.closing(Happenings(path)) as happenings:
            happenings.past()
            list(happenings.listen())
            happenings.next()
"""


def pidfds():
    """The processes that this one watches."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if "pidfd" in os.readlink(f"/proc/self/fd/{fd}"):
                found.append(fd)
    return found


def test_guests_are_killed_at_any_moment(seed, monkeypatch):
    rng = random.Random(seed)
    with ActorSystem() as system:
        path = system._dir.path
        ref = system.options(name="counter").spawn(Counter)
        ref.ask(Counter.increment)
        replies = set(os.listdir(f"{path}/replies"))
        watched = len(pidfds())
        for _ in range(25):
            guest = subprocess.Popen(
                [sys.executable, "-c", BUSY, path], env=environment(), stdout=subprocess.PIPE
            )
            with guest:
                guest.stdout.readline()
                with pytest.raises(subprocess.TimeoutExpired):
                    guest.wait(rng.expovariate(1 / 0.15))
                guest.send_signal(signal.SIGKILL)
            with Guest(path) as one:
                one.ask(None, 30)  # and whoever comes next finds what was left before a command
            with Guest(path) as one:  # the killed one may have left the counter standing still
                one.ask(c.Resume(ref._actor), 30)
            ref.ask(Counter.increment)
            eventually(lambda: not os.listdir(f"{path}/guests"), "locks to be removed")
            eventually(lambda: set(os.listdir(f"{path}/replies")) <= replies, "pipes to go")
        eventually(lambda: not system.events.wants(Progress), "listeners to be forgotten")
        eventually(lambda: len(pidfds()) <= watched + 1, "all but the last guest to be forgotten")
        assert ref.status().incarnation == 1
