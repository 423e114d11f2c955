"""Supervision under attack: deaths at odd moments, of odd parties, and many at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import psutil
import pytest

from procactors import Actor, ActorSystem, Backoff, Delivery, ExitKind, ExitReason, Restart
from procactors.errors import ActorDied, ActorStopped, SpawnError
from tests.support.actors import Crasher, Echo, Recorder, Sleeper, recorded
from tests.support.waiting import CLOCK_TOLERANCE_S, eventually


class Fragile(Actor):
    """Dies in hand of a message as often as its file of deaths says."""

    def __init__(self, log):
        self.log = log

    def die_until(self, last):
        with self.log.open("a") as file:
            file.write(f"{self.context.deliveries}\n")
        if self.context.deliveries < last:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.context.deliveries

    def fail(self):
        with self.log.open("a") as file:
            file.write(f"{self.context.deliveries}\n")
        raise ValueError("on purpose")

    def echo(self, value):
        return value


class Breeder(Actor):
    def fork(self):
        """Leave a grandchild that holds every descriptor that it inherited."""
        pid = os.fork()
        if pid == 0:
            while True:
                signal.pause()
        return pid

    def pid(self):
        return os.getpid()


class DiesAtTheEnd(Actor):
    def __init__(self, where, log):
        self.where, self.log = where, log

    def on_stop(self, reason):
        with self.log.open("a") as file:
            file.write("on_stop\n")
        Crasher("__init__", self.where)


class DiesWhileStarting(Actor):
    """Its second life waits in on_start until it is let go on."""

    def __init__(self, gate):
        self.gate = gate

    def on_restart(self, report):
        self.gate.wait()

    def life(self):
        return self.context.incarnation


def zygote_of(system):
    # None for the moment in which it is being replaced.
    return eventually(lambda: system._supervisor._launcher._zygote, "a zygote").pid


def test_a_constructor_that_fails_at_every_restart_ends_in_giving_up(system, tmp_path):
    """Acceptance case 25: each failed start is counted, with a wait between them."""
    marker = tmp_path / "marker"
    ref = system.options(max_restarts=3, within=60.0, backoff=Backoff(0.2, 1.0)).spawn(
        Crasher, "__init__", "exception", marker
    )
    marker.touch()
    began = time.monotonic()
    os.kill(ref.status().pid, signal.SIGKILL)
    waiting = ref.submit(Crasher.pid)
    reason = ref.wait()
    # Restarts two and three wait 0.2 s and 0.4 s.
    assert time.monotonic() - began >= 0.6 - CLOCK_TOLERANCE_S
    assert reason.kind is ExitKind.START
    assert "Fault: on purpose" in reason.text
    assert ref.status().incarnation == 4
    with pytest.raises(ActorStopped, match="restart number 4 within"):
        waiting.result()


def test_a_crash_loop_starts_no_more_often_than_allowed(system, tmp_path):
    """Acceptance case 26: the number of starts is bounded by the intensity."""
    path = tmp_path / "starts"
    ref = system.options(max_restarts=5, within=60.0).spawn(CrashesAtOnce, path)
    assert ref.wait().signal_name == "SIGKILL"
    assert len(recorded(path)) == 6


class CrashesAtOnce(Recorder):
    def __init__(self, path):
        super().__init__(path)
        self.record(self.context.incarnation)
        self.context.ref.tell(CrashesAtOnce.crash)

    def crash(self):
        os.kill(os.getpid(), signal.SIGKILL)


def test_at_least_once_delivers_again_and_the_caller_gets_the_answer(system, tmp_path):
    """Acceptance case 29."""
    log = tmp_path / "log"
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Fragile, log)
    assert ref.ask(Fragile.die_until, 2) == 2
    assert log.read_text().split() == ["1", "2"]
    assert ref.ask(Fragile.echo, 1) == 1
    assert len(system.dead_letters) == 0


@pytest.mark.parametrize("kind", ["tell", "ask"])
def test_a_poison_message_is_begun_as_often_as_allowed_and_no_more(system, tmp_path, kind):
    """Acceptance case 30: then a dead letter, or ActorDied; the next message is handled."""
    log = tmp_path / "log"
    ref = system.options(
        delivery=Delivery.AT_LEAST_ONCE, max_deliveries=3, max_restarts=10, within=60.0
    ).spawn(Fragile, log)
    if kind == "tell":
        ref.tell(Fragile.die_until, 100)
    else:
        poisoned = ref.submit(Fragile.die_until, 100)
    assert ref.submit(Fragile.echo, "next").result() == "next"
    assert log.read_text().split() == ["1", "2", "3"]
    if kind == "tell":
        # It may still wait for its report's peak memory: the next life does not.
        eventually(lambda: len(system.dead_letters) == 1, "the dead letter")
        (letter,) = system.dead_letters
        assert (letter.deliveries, letter.message) == (3, ((100,), {}))
    else:
        with pytest.raises(ActorDied, match="SIGKILL") as died:
            poisoned.result()
        assert died.value.report.deliveries == 3
        assert len(system.dead_letters) == 0


def test_an_exception_is_not_delivered_again(system, tmp_path):
    """At least once is about deaths of the process, not about errors of the handler."""
    log = tmp_path / "log"
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Fragile, log)
    ref.tell(Fragile.fail)
    assert ref.ask(Fragile.echo, 1) == 1
    assert log.read_text().split() == ["1"]
    assert ref.status().incarnation == 2


def test_a_grandchild_does_not_hide_its_actors_death(system):
    """Acceptance case 31: noticed at once, and the grandchild goes too."""
    ref = system.spawn(Breeder)
    grandchild = psutil.Process(ref.ask(Breeder.fork))
    first = ref.ask(Breeder.pid)
    os.kill(first, signal.SIGKILL)
    assert ref.ask(Breeder.pid) != first
    eventually(lambda: not grandchild.is_running(), "the grandchild's end")


def test_a_stopped_actor_that_is_killed_is_respawned(system):
    """Acceptance case 32, by hand: SIGSTOP, then SIGKILL."""
    ref = system.spawn(Echo)
    pid = ref.ask(Echo.pid)
    os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGKILL)
    assert ref.ask(Echo.pid) != pid


def test_an_actor_is_killed_while_it_restarts(system, gate):
    ref = system.options(max_restarts=5, within=60.0).spawn(DiesWhileStarting, gate)
    os.kill(ref.status().pid, signal.SIGKILL)
    for _ in range(3):
        os.kill(gate.arrival(), signal.SIGKILL)
    gate.arrival()
    gate.open()
    assert ref.ask(DiesWhileStarting.life) == 5


@pytest.mark.parametrize("how", ["SIGKILL", "os._exit(7)", "exception", "sys.exit(3)"])
def test_an_actor_that_dies_in_on_stop_stays_down(system, tmp_path, how):
    log = tmp_path / "log"
    ref = system.options(restart=Restart.PERMANENT).spawn(DiesAtTheEnd, how, log)
    reason = ref.stop()
    expected = {
        "SIGKILL": ExitReason(ExitKind.SIGNAL, signal.SIGKILL),
        "os._exit(7)": ExitReason(ExitKind.EXIT, 7),
        "sys.exit(3)": ExitReason(ExitKind.EXIT, 3),
    }
    if how == "exception":
        assert reason.kind is ExitKind.ERROR
    else:
        assert reason == expected[how]
    assert log.read_text() == "on_stop\n"
    assert not ref.is_alive()


def test_killed_on_its_way_through_the_mailbox_an_actor_goes_on_to_its_end(system, gate, tmp_path):
    """A crash during a stop does not lose what was sent before it."""
    path = tmp_path / "numbers"
    ref = system.spawn(Recorder, path)
    ref.tell(Recorder.record_at, 0, gate)
    for number in range(1, 20):
        ref.tell(Recorder.record, number)
    pid = gate.arrival()
    ends = []
    stopping = threading.Thread(target=lambda: ends.append(ref.stop()))
    stopping.start()
    eventually(lambda: ref.status().state == "stopping", "the stop")
    os.kill(pid, signal.SIGKILL)
    stopping.join()
    assert ends == [ExitReason(ExitKind.STOPPED)]
    assert recorded(path) == list(range(20))


def test_actors_go_on_without_the_zygote_and_the_next_spawn_works(system, gate):
    ref = system.spawn(Sleeper)
    reply = ref.submit(Sleeper.sleep, gate)
    pid = gate.arrival()
    os.kill(zygote_of(system), signal.SIGKILL)
    second = system.spawn(Sleeper)
    gate.open()
    assert reply.result() == pid
    assert ref.status().incarnation == second.status().incarnation == 1
    assert ref.stop() == second.stop() == ExitReason(ExitKind.STOPPED)


def test_an_actor_that_dies_without_a_zygote_is_respawned(system):
    """How it ended may be unknown; that it ended is not."""
    ref = system.spawn(Echo)
    pid = ref.ask(Echo.pid)
    os.kill(zygote_of(system), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    assert ref.ask(Echo.pid) != pid
    assert ref.status().last_crash.reason.kind in (ExitKind.SIGNAL, ExitKind.UNKNOWN)


def test_an_actor_that_leaves_without_a_zygote_stays_down(system):
    ref = system.spawn(Leaving)
    before = zygote_of(system)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: zygote_of(system) != before, "another zygote")
    ref.tell(Leaving.leave)
    assert ref.wait() == ExitReason(ExitKind.NORMAL)


class Leaving(Actor):
    def leave(self):
        self.context.stop()


def test_the_zygote_is_killed_while_actors_are_being_started(system):
    """At many moments of a start; every spawn ends with an actor that answers."""
    for round_ in range(12):
        refs = []
        thread = threading.Thread(target=lambda refs=refs: refs.append(system.spawn(Echo)))
        thread.start()
        threading.Event().wait(round_ * 0.0005)  # a moment of its own for each round
        os.kill(zygote_of(system), signal.SIGKILL)
        thread.join()
        assert refs[0].ask(Echo.echo, round_) == round_
        refs[0].stop()


def test_the_zygote_dies_together_with_its_actors(system):
    refs = [system.spawn(Echo) for _ in range(10)]
    pids = [ref.ask(Echo.pid) for ref in refs]
    for pid in (zygote_of(system), *pids):
        os.kill(pid, signal.SIGKILL)
    for ref, pid in zip(refs, pids, strict=True):
        assert eventually(lambda ref=ref: ref.status().incarnation == 2, "life two")
        assert ref.ask(Echo.pid) != pid


def test_a_stopped_zygote_does_not_keep_the_system_from_stopping(system):
    ref = system.spawn(Echo)
    os.kill(zygote_of(system), signal.SIGSTOP)
    assert ref.stop() == ExitReason(ExitKind.STOPPED)
    system.stop()


def test_a_stopped_zygote_does_not_keep_a_start_waiting_for_ever(start_method):
    if start_method != "forkserver":
        pytest.skip("only the zygote's own starts can wait for it")
    with ActorSystem(start_method=start_method) as system:
        zygote = psutil.Process(zygote_of(system))
        zygote.suspend()
        ends = []

        def spawn():
            try:
                ends.append(system.options(start_timeout=0.5).spawn(Echo))
            except SpawnError as error:
                ends.append(error)

        thread = threading.Thread(target=spawn)
        thread.start()
        try:
            eventually(lambda: ends, "the end of the spawn", 15.0)
        finally:
            with contextlib.suppress(psutil.NoSuchProcess):
                zygote.resume()
            thread.join()


def _is_dead(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # reaped already
        return True


def test_a_spare_that_was_killed_is_not_taken():
    with ActorSystem(spares=3) as system:
        system.spawn(Echo).stop()
        zygote = psutil.Process(zygote_of(system))
        spares = eventually(
            lambda: s if len(s := zygote.children()) >= 3 else None, "the spares to be there"
        )
        for spare in spares:
            spare.kill()
        for spare in spares:
            eventually(lambda spare=spare: _is_dead(spare), "its death")
        assert [system.spawn(Echo).ask(Echo.echo, n) for n in range(5)] == list(range(5))
