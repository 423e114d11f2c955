"""Hangs: a handler that does not end is named, dumped, killed, and its actor restarted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from procactors import Actor, ActorSystem, Delivery, ExitKind, Restart
from procactors.errors import ActorDied, ActorStopped
from procactors.process.shield import DUMP
from tests.support.actors import Echo, Sleeper
from tests.support.faults import Fault
from tests.support.programs import running
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually

#: Seconds: long enough for every handler of these tests that does not hang.
LIMIT = 1.0


class Stuck(Actor):
    """Hangs in each of the ways."""

    def spin(self):
        while True:
            pass

    def sleep(self):
        time.sleep(3600)

    def sum(self):
        """In C code that keeps the interpreter lock."""
        return sum(range(10**13))

    def match(self):
        """The same: a pattern that tries everything."""
        return re.match(r"(a+)+$", "a" * 64 + "b")

    def wait_for_ever(self):
        """In a thread of its own it hangs as well; both stacks are of interest."""
        started = threading.Event()
        threading.Thread(target=self.second_thread, args=(started,), daemon=True).start()
        started.wait()
        threading.Event().wait()

    def second_thread(self, started):
        started.set()
        time.sleep(3600)

    def hang_once(self):
        if self.context.deliveries == 1:
            time.sleep(3600)
        return self.context.deliveries

    def end_when_looked_at(self):
        """Takes the signal that asks for stacks, and ends with an error just then."""
        signal.signal(DUMP, self.wake)
        time.sleep(3600)

    def wake(self, number, frame):
        signal.signal(DUMP, signal.SIG_IGN)
        raise Fault("woken")

    def count(self):
        return self.context.incarnation

    def leave(self):
        self.context.stop()


class SlowStart(Actor):
    def __init__(self, gate):
        gate.wait()

    def on_stop(self, reason):
        time.sleep(3 * LIMIT)

    def get(self):
        return self.context.incarnation

    def leave(self):
        self.context.stop()


class SlowParent(Actor):
    """Its end takes long because its child's does."""

    def __init__(self, gate):
        gate.open()
        self.context.spawn(SlowStart, gate)

    def leave(self):
        self.context.stop()


@pytest.fixture
def limited(system):
    return system.options(handle_timeout=LIMIT, max_restarts=10, within=60.0)


@pytest.mark.parametrize("how", ["spin", "sleep", "sum", "match", "wait_for_ever"])
def test_a_handler_that_hangs_is_named_with_its_stacks_and_the_actor_goes_on(limited, how):
    ref = limited.spawn(Stuck)
    pid = ref.status().pid
    in_hand = ref.submit(getattr(Stuck, how))
    behind = ref.submit(Stuck.count)
    with pytest.raises(ActorDied, match=rf"hung \(handle_timeout={LIMIT} s is over\)") as died:
        in_hand.result()
    report = died.value.report
    assert report.reason.kind is ExitKind.HANG
    assert report.reason.signal_name == "SIGKILL"
    assert (report.handler, report.pid, report.incarnation) == (f"Stuck.{how}", pid, 1)
    assert report.busy_s >= LIMIT - CLOCK_TOLERANCE_S
    assert report.peak_memory > 1_000_000
    assert f"in {how}" in report.native_stack
    assert str(report.native_stack.rstrip()) in str(report)
    if how == "wait_for_ever":
        assert "in second_thread" in report.native_stack
    assert behind.result() == 2
    assert ref.status().last_crash == report


def test_a_handler_that_ends_just_then_is_let_off(limited, caplog):
    """To kill its actor would blame the next message; the next hang is seen as ever."""
    ref = limited.spawn(Stuck)
    with pytest.raises(Fault, match="woken"):
        ref.ask(Stuck.end_when_looked_at)
    waits = ref.submit(Stuck.sleep)
    report = waits.exception().report
    assert (report.reason.kind, report.handler, report.incarnation) == (
        ExitKind.HANG,
        "Stuck.sleep",
        1,
    )
    assert "but it went on while it was looked at" in caplog.text


@pytest.mark.methods
def test_a_stopped_actor_with_a_message_in_hand_is_hung(limited, gate):
    ref = limited.spawn(Sleeper)
    in_hand = ref.submit(Sleeper.sleep, gate)
    os.kill(gate.arrival(), signal.SIGSTOP)
    with pytest.raises(ActorDied, match=r"its process is stopped.*no stacks\) in handler Sleeper"):
        in_hand.result()
    assert ref.ask(Sleeper.pid)


def test_a_stopped_actor_with_a_message_waiting_is_hung_and_the_message_is_handled(limited):
    ref = limited.spawn(Echo)
    pid = ref.ask(Echo.pid)
    eventually(lambda: ref.status().state == "idle", "the last step")
    os.kill(pid, signal.SIGSTOP)
    assert ref.ask(Echo.incarnation) == 2
    report = ref.status().last_crash
    assert (report.reason.kind, report.handler, report.pid) == (ExitKind.HANG, None, pid)
    assert "messages wait that it does not take; its process is stopped" in str(report)


def test_a_stopped_actor_that_has_nothing_to_do_is_left_alone(limited):
    """And is as it was when it goes on."""
    ref, other = limited.spawn(Echo), limited.spawn(Stuck)
    pid = ref.ask(Echo.pid)
    eventually(lambda: ref.status().state == "idle", "the last step")
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ActorDied):  # by then the watchdog has looked often enough
        other.ask(Stuck.sleep)
    os.kill(pid, signal.SIGCONT)
    assert ref.ask(Echo.pid) == pid


def test_handlers_within_their_time_are_left_alone(limited):
    """However many come, one right behind the other, for longer than one may take."""
    ref = limited.spawn(Echo)
    pid = ref.ask(Echo.pid)
    end = time.monotonic() + 2 * LIMIT
    while time.monotonic() < end:
        assert {reply.result() for reply in [ref.submit(Echo.pid) for _ in range(100)]} == {pid}
    assert ref.status().incarnation == 1


def test_an_idle_actor_is_left_alone(limited):
    ref, other = limited.spawn(Echo), limited.spawn(Stuck)
    pid = ref.ask(Echo.pid)
    with pytest.raises(ActorDied):
        other.ask(Stuck.sleep)
    assert ref.ask(Echo.pid) == pid


def test_start_and_end_are_not_handling(limited, gate):
    """Constructor and `on_stop` have limits of their own, though messages wait meanwhile."""
    other = limited.spawn(Stuck)
    started = threading.Thread(target=lambda: refs.append(limited.spawn(SlowStart, gate)))
    refs = []
    started.start()
    gate.arrival()
    for _ in range(2):
        with pytest.raises(ActorDied):  # a handler's time is over
            other.ask(Stuck.sleep)
    gate.open()
    started.join()
    (ref,) = refs
    assert ref.ask(SlowStart.get) == 1
    ref.tell(SlowStart.leave)
    waits = ref.submit(SlowStart.get)
    with pytest.raises(ActorStopped):
        waits.result()
    assert ref.wait().kind is ExitKind.NORMAL


def test_waiting_for_ones_children_to_end_is_not_handling(limited, gate):
    ref = limited.spawn(SlowParent, gate)
    ref.tell(SlowParent.leave)
    for _ in range(3):
        ref.tell(SlowParent.leave)
    assert ref.wait().kind is ExitKind.NORMAL


def test_a_hang_with_delivery_at_least_once_is_delivered_again(limited, system):
    ref = system.options(handle_timeout=LIMIT, delivery=Delivery.AT_LEAST_ONCE).spawn(Stuck)
    assert ref.ask(Stuck.hang_once) == 2


def test_a_hang_follows_the_restart_policy(system):
    options = system.options(handle_timeout=LIMIT, restart=Restart.TEMPORARY)
    ref = options.spawn(Stuck)
    ref.tell(Stuck.sleep)
    assert ref.wait().kind is ExitKind.HANG
    (letter,) = system.dead_letters
    assert "hung (handle_timeout" in letter.reason


def test_a_hang_on_the_way_to_a_stop_is_over_before_the_stops_deadline(limited):
    ref = limited.spawn(Stuck)
    first, second = ref.submit(Stuck.sleep), ref.submit(Stuck.count)
    assert ref.stop(60.0).kind is ExitKind.STOPPED
    assert isinstance(first.exception(), ActorDied)
    assert second.result() == 2


def test_without_the_option_nothing_is_watched(system, gate):
    """No timer, no handler for the signal, and a handler may take what it takes."""
    ref = system.spawn(Sleeper)
    system.options(handle_timeout=LIMIT).spawn(Echo).stop()
    reply = ref.submit(Sleeper.sleep, gate)
    pid = gate.arrival()
    watchdog = system._supervisor.supervision.watchdog
    eventually(lambda: watchdog._plan is None, "the last look")
    gate.open()
    assert reply.result() == pid
    assert system._supervisor.core.timers == [] or all(
        "_look" not in repr(timer) for timer in system._supervisor.core.timers
    )


#: Its actor is in its handler for longer than `handle_timeout`, and goes on until it may end. The
#: second hang is there to be found: by then the watchdog has looked at everybody.
PROGRAM = """
import os, sys, time
from pathlib import Path
from procactors import Actor, ActorSystem
from procactors.errors import ActorDied

class Waiter(Actor):
    def wait(self, path):
        began = time.monotonic()
        say("handling")
        while time.monotonic() - began < 3.0:
            time.sleep(0.01)
        say("over its time")
        while not Path(path).exists():
            time.sleep(0.01)
        return self.context.incarnation

    def hang(self):
        time.sleep(3600)

    def get(self):
        return self.context.incarnation

def say(*words):
    # In one piece: two processes write to one pipe, unbuffered perhaps.
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

with ActorSystem(start_method=sys.argv[1]) as system:
    spawner = system.options(handle_timeout=2.0)
    busy, idle = spawner.spawn(Waiter), spawner.spawn(Waiter)
    hasty = system.options(handle_timeout=0.3).spawn(Waiter)
    reply = busy.submit(Waiter.wait, sys.argv[2])
    say(idle.ask(Waiter.get), *(ref.status().pid for ref in (busy, idle, hasty)))
    sys.stdin.readline()
    try:
        hasty.ask(Waiter.hang)
    except ActorDied:
        say("looked")
    print(reply.exception() or reply.result(), idle.ask(Waiter.get), flush=True)
"""


def begun(program):
    """Wait until its handler is at work; return the numbers of its processes, its own first."""
    lines = sorted([program.line(), program.line()])
    assert lines[1] == "handling"
    assert lines[0].startswith("1 ")
    return [program.process.pid, *map(int, lines[0].split()[1:])]


def go_on(program):
    """Tell it that it has been awakened."""
    program.process.stdin.write("\n")
    program.process.stdin.flush()


def ends_with_one_hang(program):
    """The one that is there to be found."""
    code, out, errors = program.end()
    assert (code, out) == (0, "")
    assert re.findall(r"actor (\S+) .* was killed as hung", errors) == ["waiter-3"]


def test_nobody_is_blamed_for_the_time_for_which_the_parent_was_stopped(start_method, tmp_path):
    """Longer than `handle_timeout`: the handler has its full time again from the awakening."""
    path = tmp_path / "go"
    with running(PROGRAM, start_method, path, stdin=subprocess.PIPE) as program:
        begun(program)
        os.kill(program.process.pid, signal.SIGSTOP)
        assert program.line() == "over its time"
        os.kill(program.process.pid, signal.SIGCONT)
        go_on(program)
        assert program.line() == "looked"
        path.touch()
        assert program.line() == "1 1"
        ends_with_one_hang(program)


def test_all_of_a_program_may_be_stopped_for_a_while(system, start_method, tmp_path):
    """As a cgroup freezer, or a sleeping laptop, does it: with the actors."""
    path = tmp_path / "go"
    awake = system.options(handle_timeout=3.0).spawn(Stuck)
    with running(PROGRAM, start_method, path, stdin=subprocess.PIPE) as program:
        pids = begun(program)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(ActorDied):  # elsewhere, a longer time than theirs is over
            awake.ask(Stuck.sleep)
        for pid in pids:  # the parent first: it sees the others still stopped
            os.kill(pid, signal.SIGCONT)
        go_on(program)
        assert sorted([program.line(), program.line()]) == ["looked", "over its time"]
        path.touch()
        assert program.line() == "1 1"
        ends_with_one_hang(program)


def test_a_stopped_zygote_does_not_keep_a_death_from_being_seen(start_method):
    """The peak memory that it would tell is then unknown."""
    if start_method != "forkserver":
        pytest.skip("only the zygote's own children wait for its word")
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(restart=Restart.TEMPORARY).spawn(Echo)
        zygote = system._launcher._zygote.pid
        os.kill(zygote, signal.SIGSTOP)
        os.kill(ref.status().pid, signal.SIGKILL)
        assert ref.wait().kind is ExitKind.SIGNAL
        assert ref.status().last_crash.peak_memory == 0
        os.kill(zygote, signal.SIGCONT)
