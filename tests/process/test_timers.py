"""Timers run between two messages, in order, and are reported as handlers when they fail."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time

import pytest

from procactors import ActorSystem, Delivery, ExitKind, Limits, Progress, Recycle, Restart
from procactors.errors import ActorDied, ActorStopped, InvalidSpec, PoolBroken
from procactors.model.options import Backoff
from tests.support.clocks import BadChild, Clock, FailingIdler, Idler
from tests.support.notes import notes
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually


@pytest.fixture
def path(tmp_path):
    return tmp_path / "notes"


def count(path, line):
    return notes(path).count(line)


@pytest.mark.methods
def test_timers_of_constructor_and_start_run_and_go_on(system, path):
    ref = system.spawn(Clock, path, 0.02, 0.03)
    eventually(lambda: count(path, "1 init") >= 3 and count(path, "1 start") >= 3, "both")
    assert ref.ask(Clock.give_up) == (True, False)
    before = count(path, "1 init")
    starts = count(path, "1 start")
    eventually(lambda: count(path, "1 start") >= starts + 3, "the other one")
    assert count(path, "1 init") == before


def test_what_is_due_comes_before_what_is_queued_in_its_order(system, path, gate):
    ref = system.spawn(Clock, path)
    held = ref.submit(Clock.wait_at, gate)
    gate.arrival()
    ref.tell(Clock.tick, "queued before")
    ref.tell(Clock.arm, 0.6, "second")
    ref.tell(Clock.arm, 0.3, "first")
    ref.tell(Clock.wait_at, gate, "holds")
    ref.tell(Clock.tick, "queued behind")
    gate.let_pass()
    held.result()
    gate.arrival()
    time.sleep(0.6)  # the subject: both come due while the handler runs
    gate.open()
    eventually(lambda: len(notes(path)) == 6, "all")
    assert [line[2:] for line in notes(path)] == [
        "message",
        "queued before",
        "holds",
        "first",
        "second",
        "queued behind",
    ]


def test_thousands_in_one_actor_run_in_order_and_none_early(system, path):
    ref = system.spawn(Clock, path)
    ref.ask(Clock.flood, 5000, 0.5)
    ran = eventually(lambda: ref.ask(Clock.have_run, 5000), "5000 timers")
    # Each was due between two instants: the clock was read before the call that set it, and behind.
    assert all(one[0] <= other[1] for one, other in itertools.pairwise(ran))
    assert all(at >= earliest for earliest, _, at in ran)


def test_a_name_is_one_timer_and_none_runs_twice(system, path):
    ref = system.spawn(Clock, path)
    for number in range(10):
        ref.tell(Clock.arm, 0.5, f"flush {number}", "flush")
    ref.tell(Clock.arm, 0.5, "end")
    eventually(lambda: count(path, "1 end"), "the end")
    assert notes(path) == ["1 flush 9", "1 end"]


@pytest.mark.methods
@pytest.mark.parametrize(
    ("how", "kind", "said"),
    [
        ("exception", ExitKind.ERROR, "raised tests.support.faults.Fault: on purpose"),
        ("base exception", ExitKind.ERROR, "BaseFault: on purpose"),
        ("sys.exit(3)", ExitKind.EXIT, "exited with code 3"),
        ("os._exit(0)", ExitKind.EXIT, "exited with code 0"),
        ("SIGKILL", ExitKind.SIGNAL, "ended by signal SIGKILL"),
        ("segfault", ExitKind.SIGNAL, "ended by signal SIGSEGV"),
    ],
)
def test_a_death_in_a_timer_names_it_and_costs_no_message(system, path, caplog, how, kind, said):
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Clock, path)
    ref.tell(Clock.commit_after, 0.01, how, "bomb")
    eventually(lambda: ref.status().last_crash, "the crash")
    report = ref.status().last_crash
    assert (report.reason.kind, report.handler) == (kind, "timer commit (bomb)")
    assert report.deliveries == 0
    assert said in str(report.reason)
    assert "in handler timer commit (bomb) after" in report.summary
    eventually(lambda: "in handler timer commit (bomb)" in caplog.text, "the log")
    if how == "exception":
        assert "in commit" in report.traceback
        assert "timers.py" not in report.traceback
    assert ref.ask(Clock.incarnation) == 2
    assert ref.status().restarts == 1
    eventually(lambda: ref.status().state == "idle", "the last step")
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation == 3, "the next life")
    assert ref.status().last_crash.handler is None
    assert len(system.dead_letters) == 0


def test_messages_behind_a_timer_that_kills_are_handled_by_the_next_life(system, path, gate):
    ref = system.spawn(Clock, path)
    ref.tell(Clock.hang_after, 0.0, gate)
    pid = gate.arrival()
    replies = [ref.submit(Clock.incarnation) for _ in range(5)]
    status = ref.status()
    assert (status.state, status.mailbox) == ("busy", 5)
    assert status.busy_s > 0
    os.kill(pid, signal.SIGKILL)
    assert [reply.result() for reply in replies] == [2] * 5
    report = ref.status().last_crash
    assert (report.handler, report.reason.signal_name) == ("timer hang", "SIGKILL")


def test_a_timer_that_hangs_is_killed_with_its_stacks(system, path, gate):
    limit = 0.5
    ref = system.options(handle_timeout=limit).spawn(Clock, path)
    ref.tell(Clock.hang_after, 0.0, gate)
    behind = ref.submit(Clock.incarnation)
    assert behind.result() == 2
    report = ref.status().last_crash
    assert (report.reason.kind, report.handler) == (ExitKind.HANG, "timer hang")
    assert report.busy_s >= limit - CLOCK_TOLERANCE_S
    assert "in hang" in report.native_stack


def test_many_short_timers_are_no_hang(system, path):
    ref = system.options(handle_timeout=1.0).spawn(Clock, path, 0.01)
    pid = ref.status().pid
    eventually(lambda: count(path, "1 init") > 150, "more than a second of ticks")
    assert ref.status().pid == pid


def test_a_timer_over_the_memory_limit_is_named(system, path):
    limits = Limits(memory=300 << 20)
    ref = system.options(limits=limits).spawn(Clock, path)
    ref.tell(Clock.fill_after, 0.0)
    eventually(lambda: ref.status().last_crash, "the crash")
    report = ref.status().last_crash
    assert (report.reason.kind, report.handler) == (ExitKind.MEMORY, "timer fill")


def test_no_timer_runs_behind_the_stop(system, path, gate):
    ref = system.spawn(Clock, path, 0.001)
    eventually(lambda: notes(path), "ticks")
    held = ref.submit(Clock.wait_at, gate)
    gate.arrival()
    ref.tell(Clock.tick, "sent before")
    gate.open()
    assert str(ref.stop()) == "stopped"
    held.result()
    lines = notes(path)
    assert lines[-1] == "1 stop stopped"
    assert "1 sent before" in lines
    assert "1 late" not in lines


def test_an_actor_may_leave_by_a_timer_and_what_is_due_behind_it_does_not_run(system, path):
    ref = system.options(restart=Restart.TRANSIENT).spawn(Clock, path)
    ref.tell(Clock.leave_after, 0.0)
    eventually(lambda: ref.status().state == "stopped", "its end")
    assert str(ref.status().reason) == "ended normally"
    assert notes(path) == ["1 stop normal"]


def test_a_stop_that_finds_a_timer_at_work_waits_and_then_kills(start_method, path, gate, caplog):
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(stop_timeout=0.5).spawn(Clock, path)
        ref.tell(Clock.hang_after, 0.0, gate)
        gate.arrival()
        waits = ref.submit(Clock.incarnation)
        reason = ref.stop()
        assert reason.kind is ExitKind.KILLED
        with pytest.raises(ActorStopped):
            waits.result()


def test_timers_end_with_their_incarnation(system, path):
    ref = system.spawn(Clock, path)
    ref.ask(Clock.repeat, 0.01, "old", None, True)
    ref.ask(Clock.arm, 0.3, "old one")
    eventually(lambda: count(path, "1 old"), "a tick")
    os.kill(ref.status().pid, signal.SIGKILL)
    assert ref.ask(Clock.incarnation) == 2
    ref.ask(Clock.arm, 0.5, "new one")
    eventually(lambda: count(path, "2 new one"), "the timer of the second life")
    lines = notes(path)
    assert not [line for line in lines if line.startswith("2 old")]


def test_recycling_begins_anew_with_the_timers_of_the_constructor(system, path):
    """Bounds on a life and timers are both between loop and mailbox."""
    ref = system.options(recycle_after=Recycle(3)).spawn(Clock, path, 0.005)
    lives = [ref.ask(Clock.incarnation) for _ in range(9)]
    assert lives == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    ref = system.options(recycle_after=Recycle(seconds=0.2)).spawn(Clock, path, 0.01)
    eventually(lambda: count(path, "3 init") > 2, "ticks of the third life")
    assert ref.status().restarts == 0


def test_a_timer_has_no_caller_and_its_progress_names_it(system, path):
    seen = []
    with system.events.subscribe(seen.append, (Progress,)):
        ref = system.spawn(Clock, path)
        ref.options(timeout=60.0).ask(Clock.report_after, 0.0)
        assert ref.ask(Clock.get_facts) == (None, 0)
        eventually(lambda: seen, "progress")
    assert seen[0].what == "timer report (meter)"


def test_a_worker_whose_timer_kills_it_again_and_again_is_given_up(system):
    """It is no item that has done it: else the pool would start it for ever."""
    backoff = Backoff(initial=0.0)
    child = system.options(max_restarts=2, within=60.0, size=1, backoff=backoff)
    with pytest.raises(PoolBroken, match="gone for good"), child.pool(BadChild) as pool:
        while True:
            with contextlib.suppress(ActorDied):
                pool.ask(BadChild.get)


def test_idle_is_told_after_each_stretch_without_a_message(system, path):
    ref = system.spawn(Idler, path, 0.02)
    ref.ask(Idler.idle_after, 0.15)
    eventually(lambda: count(path, "1 idle") >= 2, "two stretches")
    ref.ask(Idler.idle_after, None)
    told = count(path, "1 idle")
    ticks = count(path, "1 init")
    eventually(lambda: count(path, "1 init") > ticks + 10, "time to pass")
    assert count(path, "1 idle") == told


def test_messages_keep_an_actor_from_being_idle(system, path):
    ref = system.spawn(Idler, path)
    ref.ask(Idler.idle_after, 30.0)
    for _ in range(20):
        ref.ask(Idler.incarnation)
    ref.ask(Idler.idle_after, 0.05)
    eventually(lambda: count(path, "1 idle"), "the notice")


def test_an_idle_hook_that_raises_is_a_crash_by_its_name(system, path):
    ref = system.spawn(FailingIdler, path)
    ref.tell(FailingIdler.idle_after, 0.01)
    eventually(lambda: ref.status().last_crash, "the crash")
    assert ref.status().last_crash.handler == "on_idle"


def test_mistakes_are_errors_of_the_call_that_makes_them(system, path):
    ref = system.spawn(Clock, path)
    with pytest.raises(InvalidSpec, match=r"idle_after has on_idle\(\) called, and Clock has none"):
        ref.ask(Clock.idle_without_hook)
    with pytest.raises(InvalidSpec, match="seconds of after is a number"):
        ref.ask(Clock.arm, -1, "never")
    (said,) = ref.ask(Clock.set_from_thread)
    assert "from a thread, tell the actor" in said
    assert ref.ask(Clock.set_in_copy) == "ForeignProcess"
    assert ref.ask(Clock.incarnation) == 1
    assert notes(path) == []
