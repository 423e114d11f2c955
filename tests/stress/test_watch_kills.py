"""Death watch under attack, and its promise of time."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from procactors import ActorSystem, Restart
from procactors.errors import ActorStopped
from tests.stress.watch_kills import run
from tests.support.watchers import Linked

pytestmark = pytest.mark.stress


def test_hundreds_of_ends_are_told_once_each_while_watchers_are_killed(system, tmp_path, seed):
    outcome = run(system, tmp_path, rounds=150, seed=seed)
    print(outcome)
    assert outcome.told + outcome.dropped == outcome.ended
    assert outcome.again == 0
    assert outcome.kills > 100
    watch = system._supervisor.supervision.death_watch
    assert (watch._watchers, watch._watched, watch._links, watch._pulled) == ({}, {}, {}, {})


@pytest.mark.parametrize("how", ["SIGKILL", "exception", "stop", "kill"])
def test_the_news_comes_within_a_second(start_method, how):
    with ActorSystem(start_method=start_method) as system:
        inbox = system.inbox()
        refs = [system.options(restart=Restart.TEMPORARY).spawn(Linked) for _ in range(20)]
        for ref in refs:
            inbox.watch(ref)
        for ref in refs:
            began = time.monotonic()
            if how == "SIGKILL":
                os.kill(ref.status().pid, signal.SIGKILL)
            elif how == "exception":
                with contextlib.suppress(ActorStopped):  # over before the sender has looked
                    ref.tell(Linked.crash, "exception")
            else:
                getattr(ref, how)()
            assert inbox.receive(timeout=30.0).ref == ref
            assert time.monotonic() - began < 1.0
