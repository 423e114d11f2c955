"""Timers through a thousand deaths, and as exact as an idle machine allows."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
from collections import Counter

import pytest

from procactors import Backoff, Delivery
from procactors.errors import ActorDied
from tests.stress.timer_kills import Busy, Mortal
from tests.support.clocks import Clock
from tests.support.notes import notes
from tests.support.waiting import LONG_S, eventually

pytestmark = pytest.mark.stress

#: Seconds by which a timer may be late on an idle machine.
LATE_S = 0.020

LIVES = 1000


def immortal(system, **options):
    backoff = Backoff(initial=0.0)
    return system.options(max_restarts=10**6, within=1e6, backoff=backoff, **options)


def test_a_thousand_restarts_double_no_timer(system, seed, tmp_path):
    path = tmp_path / "notes"
    ref = immortal(system).spawn(Mortal, path, seed)
    eventually(lambda: ref.status().incarnation > LIVES, "a thousand lives", LONG_S / 2)
    ref.stop()
    lines = [line.split() for line in notes(path)]
    lives = [int(life) for life, _, _ in lines]
    assert lives == sorted(lives), "a timer of a dead incarnation has run"
    ticks = Counter()
    for life, what, number in lines:
        if what == "strike":
            # Nineteen were replaced by the twentieth, of the same name.
            assert number == "19"
            continue
        assert int(number) == ticks[life], "a tick twice, or left out"
        ticks[life] += 1
    strikes = Counter(life for life, what, _ in lines if what == "strike")
    assert max(strikes.values(), default=0) <= 1
    assert len(ticks) >= LIVES
    assert max(ticks.values()) < 100


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)
def test_kills_among_timers_and_messages_blame_what_was_at_work(system, seed, tmp_path, delivery):
    """Killed in a timer, no message is lost; killed in a message, its own caller hears of it."""
    path = tmp_path / "numbers"
    ref = immortal(system, delivery=delivery, max_deliveries=1000).spawn(Busy, path)
    over = threading.Event()
    rng = random.Random(seed)

    def kill():
        while not over.wait(rng.random() * 0.02):
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(ref.status().pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    blamed = Counter()
    try:
        for number in range(20_000):
            try:
                assert ref.submit(Busy.record, number).result() == number
            except ActorDied as error:
                blamed[error.report.handler] += 1
            if number >= 3000 and ref.status().restarts > 300:
                break
    finally:
        over.set()
        killer.join()
    assert ref.status().restarts > 100
    if delivery is Delivery.AT_MOST_ONCE:
        assert set(blamed) <= {"Busy.record"}
        assert max(Counter(notes(path)).values()) == 1
    else:
        assert not blamed
        assert [int(line) for line in dict.fromkeys(notes(path))] == list(range(number + 1))


def test_on_an_idle_machine_five_thousand_timers_are_within_20_ms(system, tmp_path):
    """The best of some tries: a busy machine is another's fault."""
    ref = system.spawn(Clock, tmp_path / "notes")
    worst = []
    for _ in range(5):
        ref.ask(Clock.flood, 5000, 2.0)
        ran = eventually(lambda: ref.ask(Clock.have_run, 5000), "5000 timers")
        assert all(one[0] <= other[1] for one, other in itertools.pairwise(ran))
        worst.append(max(at - latest for _, latest, at in ran))
        if worst[-1] < LATE_S:
            return
    pytest.fail(f"the latest of each try: {worst}")
