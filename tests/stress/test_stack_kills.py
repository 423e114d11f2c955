"""A thousand looks at an actor that works, is killed and comes back: nobody takes notice."""

from __future__ import annotations

import os
import random
import signal
import threading
import time

import pytest

from procactors import ActorSystem, Delivery
from procactors.errors import ActorDied
from procactors.outside.stacks import dump_of, process_of, stacks_of
from procactors.outside.visit import NotAtHome
from procactors.wire.endpoint import actor_path
from tests.support.stuck import Restless, Somewhere
from tests.support.waiting import LONG_S, SHORT_S

pytestmark = pytest.mark.stress

LOOKS, ASKERS = 1000, 3
DUMPS = 100


def test_no_look_disturbs_an_actor(start_method, seed):
    """Each death is one that was ordered, by its own signal, and reports no stack of a look."""
    chance = random.Random(seed)
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(max_restarts=10**6, delivery=Delivery.AT_MOST_ONCE).spawn(Restless)
        folder = actor_path(ref._runtime_dir, ref._actor)
        looks = Looks(folder, chance.randrange(2**32))
        kills = deaths = 0
        reports = []
        while looks.are_going_on():
            try:
                number, pid = ref.options(timeout=LONG_S).ask(Restless.work, chance.randrange(4))
                assert number >= 0
                if chance.random() < 0.1:
                    number = chance.choice([signal.SIGKILL, signal.SIGSEGV])
                    os.kill(pid, number)
                    kills += 1
            except ActorDied as died:
                deaths += 1
                reports.append(died.report)
            except ProcessLookupError:
                pass
        seen, missed = looks.result()
        print(f"seed {seed}: {seen} seen, {missed} not at home, {kills} kills, {deaths} deaths")
        for report in reports:
            assert abs(report.reason.code) in (signal.SIGKILL, signal.SIGSEGV)
            stack = report.native_stack
            assert stack == "" or stack.startswith("Fatal Python error: Segmentation fault")
        assert seen > LOOKS / 4
        assert ref.status().incarnation <= kills + 1
        ref.ask(Restless.work, 0)
        assert not [name for name in os.listdir(folder) if "door" in name]


def test_threads_that_come_and_go_meanwhile_are_no_danger(system):
    """Each writes its own stack: one that wrote all would read what others free."""
    ref = system.spawn(Somewhere)
    folder = actor_path(ref._runtime_dir, ref._actor)
    ref.ask(Somewhere.churn)
    with process_of(folder, time.monotonic() + LONG_S) as process:
        seen = [dump_of(folder, process, time.monotonic() + SHORT_S) for _ in range(DUMPS)]
    assert sum(len(stacks) > 1 for stacks in seen) > DUMPS / 10
    assert ref.status().incarnation == 1
    assert ref.ask(Somewhere.count_to, 3) == 3


class Looks:
    """Threads that look at an actor again and again."""

    def __init__(self, folder, seed):
        self._folder = folder
        self._left = LOOKS
        self._seen = self._missed = 0
        self._errors = []
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._look, args=(random.Random(seed + number),))
            for number in range(ASKERS)
        ]
        for thread in self._threads:
            thread.start()

    def are_going_on(self):
        return any(thread.is_alive() for thread in self._threads)

    def result(self):
        for thread in self._threads:
            thread.join()
        if self._errors:
            raise self._errors[0]
        return self._seen, self._missed

    def _look(self, chance):
        while not self._errors:
            with self._lock:
                if not self._left:
                    return
                self._left -= 1
            threading.Event().wait(chance.random() * 0.02)
            try:
                found = stacks_of(self._folder, 5.0)
            except NotAtHome:
                with self._lock:
                    self._missed += 1
            except BaseException as error:
                self._errors.append(error)
            else:
                with self._lock:
                    self._seen += bool(found.stacks)
