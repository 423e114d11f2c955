"""Many actors, many deaths, for long: marked stress."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time

import psutil
import pytest

from procactors import Actor, ActorSystem, Backoff
from tests.support.actors import Crasher, Echo
from tests.support.waiting import LONG_S, eventually

pytestmark = pytest.mark.stress


class Parent(Actor):
    def hire(self, count):
        return [self.context.spawn(Echo) for _ in range(count)]


def test_a_thousand_actors_answer_and_stop(start_method):
    """One system, a thousand processes; then nothing is left."""
    count = 1000 if start_method != "spawn" else 100
    with ActorSystem(start_method=start_method, stop_timeout=120.0) as system:
        refs = [system.spawn(Echo) for _ in range(count)]
        replies = [ref.submit(Echo.echo, number) for number, ref in enumerate(refs)]
        assert [reply.result() for reply in replies] == list(range(count))


def test_hundreds_of_actors_killed_at_the_same_instant_come_back(start_method):
    count = 400 if start_method != "spawn" else 50
    with ActorSystem(start_method=start_method, stop_timeout=60.0) as system:
        refs = [system.spawn(Echo) for _ in range(count)]
        for ref in refs:
            os.kill(ref.status().pid, signal.SIGKILL)
        for ref in refs:
            eventually(lambda ref=ref: ref.status().incarnation == 2, "life two", LONG_S)
            assert ref.ask(Echo.echo, 1) == 1


def test_a_crash_loop_costs_the_parent_nearly_nothing(start_method, tmp_path):
    """Acceptance case 26: under 5 % of one processor, with backoff."""
    marker = tmp_path / "marker"
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(max_restarts=100_000, within=1000.0, backoff=Backoff(0.1, 0.5)).spawn(
            Crasher, "__init__", "exception", marker
        )
        marker.touch()
        os.kill(ref.status().pid, signal.SIGKILL)
        process = psutil.Process()
        before, began = process.cpu_times(), time.monotonic()
        eventually(lambda: time.monotonic() - began > 10.0, "ten seconds", LONG_S)
        after, passed = process.cpu_times(), time.monotonic() - began
        used = after.user + after.system - before.user - before.system
        assert used / passed < 0.05
        assert ref.status().incarnation > 10
        ref.kill()


def test_random_kills_of_everything_leave_a_system_that_works(start_method, seed):
    """Actors, parents of actors and the zygote, at random moments; then all answer, or are over."""
    draw = random.Random(seed)
    with ActorSystem(start_method=start_method) as system:
        options = {"max_restarts": 100_000, "within": 1000.0}
        parents = [system.options(**options).spawn(Parent) for _ in range(4)]
        echoes = [system.options(**options).spawn(Echo) for _ in range(8)]
        done = threading.Event()

        def kill():
            while not done.wait(draw.random() * 0.02):
                victims = [status.pid for ref in system.actors() if (status := look(ref))]
                zygote = system._supervisor._launcher._zygote
                if zygote is not None:  # else it is just being replaced
                    victims.append(zygote.pid)
                pid = draw.choice(victims)
                if pid and draw.random() < 0.9:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        until = time.monotonic() + 15.0
        while time.monotonic() < until:
            for parent in parents:
                parent.submit(Parent.hire, 2).exception()
            for echo in echoes:
                echo.submit(Echo.echo, 1).exception()
        done.set()
        killer.join()
        for echo in echoes:
            assert eventually(lambda echo=echo: echo.submit(Echo.echo, 2).exception() is None, "x")
        for parent in parents:
            assert len(parent.ask(Parent.hire, 1)) == 1


def look(ref):
    try:
        return ref.status()
    except Exception:
        return None
