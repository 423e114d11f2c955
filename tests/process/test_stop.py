"""Stopping: what is still done, in which order, and who makes it end by its deadline."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from procactors import (
    Actor,
    ActorSystem,
    ExitKind,
    ExitReason,
    Restart,
    StopOutcome,
    Supervisor,
    spec,
)
from procactors.errors import ActorStopped, AskCycleError, AskTimeout
from procactors.model import commands
from procactors.runtime.client import Client
from procactors.wire.mailbox import closing as sealing
from procactors.wire.mailbox.closing import peek
from tests.support.actors import Counter, Crasher, Echo, Recorder, Relay, recorded
from tests.support.gates import new_gate
from tests.support.segments import in_use
from tests.support.waiting import SHORT_S, aside, bytes_waiting, eventually, within

STOPPED = ExitReason(ExitKind.STOPPED)
KILLED = ExitReason(ExitKind.KILLED, signal.SIGKILL)
TERMINATED = ExitReason(ExitKind.KILLED, signal.SIGTERM)


class Stubborn(Actor):
    """Will not end when it is asked to."""

    def __init__(self, log=None):
        self.log = log

    def hold(self, gate):
        gate.wait()

    def hold_against_sigterm(self, gate):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gate.wait()

    def hold_in_spite_of_exit(self, gate):
        try:
            gate.wait()
        except SystemExit:
            self.log.write_text("asked to exit")
            raise

    def start_thread(self):
        threading.Thread(target=threading.Event().wait).start()
        return self.context.incarnation

    def start_process(self):
        import multiprocessing

        context = multiprocessing.get_context("fork")
        context.Process(target=signal.pause).start()

    def leave(self):
        self.context.stop()

    def crash(self):
        Crasher().crash("exception")


class Leaver(Actor):
    def __init__(self, log=None, fail=False):
        self.log, self.fail = log, fail

    def leave(self):
        self.context.stop()
        return "bye"

    def on_stop(self, reason):
        if self.log is not None:
            with self.log.open("a") as file:
                file.write(f"{self.context.ref.name} {reason}\n")
        if self.fail:
            raise ValueError("in on_stop")

    def leave_in(self, gate):
        self.context.stop()
        gate.wait()

    def echo(self, value):
        return value


class SlowEnd(Actor):
    """Its way out goes by a gate."""

    def __init__(self, gate):
        self.gate = gate

    def hold(self, gate):
        gate.wait()

    def echo(self, value=None):
        return value

    def on_stop(self, reason):
        self.gate.wait()


class Suicide(Actor):
    def stop_itself(self):
        self.context.ref.stop()


class StopsOther(Actor):
    def stop_other(self, ref):
        return ref.stop()


@pytest.mark.methods
def test_stop_finishes_what_was_sent_before_it(system, gate, tmp_path):
    path = tmp_path / "numbers"
    ref = system.spawn(Recorder, path)
    ref.tell(Recorder.record_at, 0, gate)
    for number in range(1, 500):
        ref.tell(Recorder.record, number)
    gate.arrival()
    gate.open()
    assert ref.stop() == STOPPED
    assert recorded(path) == list(range(500))
    assert len(system.dead_letters) == 0


def test_what_is_sent_after_the_stop_is_refused(system):
    ref = system.spawn(Echo)
    ref.stop()
    for send in (ref.tell, ref.ask, ref.submit):
        with pytest.raises(ActorStopped, match=f"{ref.name} has stopped; the message was not"):
            send(Echo.echo, 1)


@pytest.mark.parametrize("end", ["stop", "stop bounded", "kill", "crash", "tree"])
def test_a_send_in_the_moment_of_the_end_is_refused_at_once(start_method, monkeypatch, end):
    """While its pipe is closed for good: a sender that met it full would else wait in a queue."""
    outcomes = []

    def send_and_peek(read_end):
        """What was written is copied now: nothing more can be."""
        outcomes.extend(aside(ref.tell, "late").exception(SHORT_S) for _ in range(2))
        return peek(read_end)

    with ActorSystem(start_method=start_method) as system:
        mailbox = 8 if "bounded" in end else None
        if end == "tree":
            system.supervise(Supervisor(spec(Echo).options(name="leaf")))
            ref = system["leaf"]
        else:
            ref = system.options(mailbox=mailbox, restart=Restart.TEMPORARY).spawn(Echo)
        ref.tell("early")  # opens its end
        monkeypatch.setattr(sealing, "peek", send_and_peek)
        if end == "crash":
            os.kill(ref.status().pid, signal.SIGKILL)
            ref.wait(SHORT_S)
        elif end == "kill":
            ref.kill()
        elif "stop" in end:
            ref.stop()
    assert [type(outcome) for outcome in outcomes] == [ActorStopped] * 2


def test_asks_queued_behind_a_stop_are_answered_as_stopped(system, gate, tmp_path):
    """Sent by another process while the stop was on its way: never silence."""
    ref = system.spawn(Recorder, tmp_path / "numbers")
    ref.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    stopping = threading.Thread(target=ref.stop)
    stopping.start()
    eventually(lambda: ref.status().state == "stopping", "the stop to be ordered")
    behind = [ref.submit(Recorder.record, number) for number in range(1, 6)]
    gate.open()
    stopping.join()
    outcomes = [reply.exception() for reply in behind]
    # Handled or refused, in order: nothing is handled behind a refusal.
    kinds = [outcome is None for outcome in outcomes]
    assert kinds == sorted(kinds, reverse=True)
    assert all(isinstance(outcome, ActorStopped) for outcome in outcomes if outcome is not None)
    assert len(recorded(tmp_path / "numbers")) == 1 + sum(kinds)


def refuses(ref, relay):
    """Check that an actor takes nothing more, from nobody and in no way, and says so at once."""
    for body in (1, b"x" * 10_000):
        for send in (ref.tell, ref.submit, ref.options(timeout=SHORT_S).ask):
            with pytest.raises(ActorStopped, match=f"{ref.name} has stopped; the message was not"):
                send(SlowEnd.echo, body)
        with pytest.raises(ActorStopped):
            relay.options(timeout=SHORT_S).ask(Relay.tell, SlowEnd.echo, body)
    eventually(lambda: not in_use(ref._runtime_dir), "the refused messages to take no room")


@pytest.mark.parametrize("mailbox", [None, 8], ids=["unbounded", "bounded"])
@pytest.mark.parametrize("is_behind", [False, True], ids=["in on_stop", "behind the stop"])
def test_senders_are_refused_as_soon_as_an_actor_has_come_to_its_stop(
    system, gate, tmp_path, mailbox, is_behind
):
    """While it finishes what stands behind that, and in its last hook: not told later, or twice."""
    with new_gate(tmp_path / "end") as end:
        ref = system.options(mailbox=mailbox).spawn(SlowEnd, end)
        relay = system.spawn(Relay, ref)
        assert relay.ask(Relay.ask, SlowEnd.echo, 1) == 1  # both ways in are open
        ref.tell(SlowEnd.hold, gate)
        gate.arrival()
        before = bytes_waiting(ref)
        stop = aside(ref.stop, SHORT_S)
        eventually(lambda: bytes_waiting(ref) > before, "the stop")
        if is_behind:
            ref.tell(SlowEnd.hold, gate)
            behind = ref.submit(SlowEnd.echo, "behind")
            gate.let_pass()
            gate.arrival()
            refuses(ref, relay)
            gate.let_pass()
            assert behind.result() == "behind"
        else:
            gate.let_pass()
        end.arrival()
        refuses(ref, relay)
        end.open()
        assert stop.result() == STOPPED
        refuses(ref, relay)
    assert len(system.dead_letters) == 0


def test_stopping_twice_gives_the_same_end(system):
    ref = system.spawn(Echo)
    assert ref.stop() == STOPPED
    assert ref.stop() == STOPPED
    assert ref.kill() == STOPPED
    assert ref.wait() == STOPPED
    assert not ref.is_alive()


def test_two_threads_stop_the_same_actor(system, gate):
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    ends = []
    threads = [threading.Thread(target=lambda: ends.append(ref.stop())) for _ in range(4)]
    for thread in threads:
        thread.start()
    gate.open()
    for thread in threads:
        thread.join()
    assert ends == [STOPPED] * 4


def test_a_handler_that_does_not_end_is_terminated_by_the_deadline(system, gate, tmp_path):
    log = tmp_path / "log"
    ref = system.spawn(Stubborn, log)
    reply = ref.submit(Stubborn.hold_in_spite_of_exit, gate)
    gate.arrival()
    assert ref.stop(timeout=1.0) == TERMINATED
    assert log.read_text() == "asked to exit"
    assert "killed by the runtime with SIGTERM" in str(reply.exception())


@pytest.mark.methods
def test_a_handler_that_ignores_sigterm_is_killed_at_the_deadline(system, gate):
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold_against_sigterm, gate)
    gate.arrival()
    began = time.monotonic()
    assert ref.stop(timeout=0.5) == KILLED
    assert time.monotonic() - began >= 0.4


def test_a_stopped_process_is_killed_at_the_deadline(system):
    """Acceptance case 32, the part of stop: SIGSTOP keeps SIGTERM away, not SIGKILL."""
    ref = system.spawn(Echo)
    os.kill(ref.status().pid, signal.SIGSTOP)
    assert ref.stop(timeout=0.5).kind is ExitKind.KILLED


def test_a_stop_with_no_time_kills_at_once(system, gate):
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    assert ref.stop(timeout=0).kind is ExitKind.KILLED


def test_a_later_and_shorter_stop_shortens_the_first(system, gate):
    ref = system.spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    first = threading.Thread(target=ref.stop, args=(250.0,))
    first.start()
    eventually(lambda: ref.status().state == "stopping", "the first stop")
    assert ref.stop(timeout=0.2).kind is ExitKind.KILLED
    first.join()


def test_the_actors_own_stop_timeout_is_used(system, gate):
    ref = system.options(stop_timeout=0.2).spawn(Stubborn)
    ref.tell(Stubborn.hold, gate)
    gate.arrival()
    assert ref.stop().kind is ExitKind.KILLED


def test_kill_ends_at_once_and_for_good(system, gate):
    ref = system.options(restart=Restart.PERMANENT).spawn(Stubborn)
    in_hand = ref.submit(Stubborn.hold, gate)
    behind = ref.submit(Stubborn.leave)
    gate.arrival()
    assert ref.kill() == KILLED
    assert "killed by the runtime with SIGKILL" in str(in_hand.exception())
    assert isinstance(behind.exception(), ActorStopped)
    assert ref.status().state == "stopped"


def test_wait_returns_the_end_and_times_out_before_it(system):
    ref = system.spawn(Leaver)
    with pytest.raises(AskTimeout):
        ref.wait(timeout=0.05)
    ref.tell(Leaver.leave)
    assert ref.wait() == ExitReason(ExitKind.NORMAL)


def test_an_actor_leaves_after_the_message_in_hand(system, gate, tmp_path):
    """The reply is sent, on_stop runs, and what is left in the mailbox is answered."""
    log = tmp_path / "log"
    ref = system.options(name="leaver").spawn(Leaver, log)
    in_hand = ref.submit(Leaver.leave_in, gate)
    gate.arrival()
    behind = ref.submit(Leaver.echo, 1)
    ref.tell(Leaver.echo, 2)
    gate.open()
    assert in_hand.result() is None
    assert isinstance(behind.exception(), ActorStopped)
    assert ref.wait() == ExitReason(ExitKind.NORMAL)
    assert log.read_text() == "leaver ended normally\n"
    assert [letter.message for letter in system.dead_letters] == [((2,), {})]


def test_an_actor_that_stops_itself_by_its_ref_is_told_how(system):
    ref = system.spawn(Suicide)
    with pytest.raises(AskCycleError, match=r"use self\.context\.stop\(\)"):
        ref.ask(Suicide.stop_itself)


def test_an_actor_stops_another(system):
    target = system.spawn(Echo)
    assert system.spawn(StopsOther).ask(StopsOther.stop_other, target) == STOPPED


def test_a_stop_between_two_lives_needs_no_third(system, tmp_path):
    """Stopped while it waits to be restarted: it stays down."""
    marker = tmp_path / "marker"
    ref = system.options(max_restarts=100, within=1000.0).spawn(
        Crasher, "on_start", "exception", marker
    )
    marker.touch()
    os.kill(ref.status().pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation > 2, "a few failed starts")
    assert ref.stop().kind in (ExitKind.START, ExitKind.STOPPED)
    assert not ref.is_alive()


def test_on_stop_runs_once_even_if_it_raises(system, tmp_path):
    """An actor that was told to stop is not brought back to be told again."""
    log = tmp_path / "log"
    ref = system.options(name="leaver").spawn(Leaver, log, True)
    reason = ref.stop()
    assert reason.kind is ExitKind.ERROR
    assert "in on_stop" in reason.text
    assert log.read_text() == "leaver stopped\n"


@pytest.mark.parametrize(
    "helper", [Stubborn.start_thread, Stubborn.start_process], ids=["thread", "process"]
)
def test_a_crash_is_a_crash_though_a_helper_of_the_actor_runs_on(system, helper):
    """A thread or a child that nobody ends does not keep a dead actor half alive."""
    ref = system.spawn(Stubborn)
    ref.ask(helper)
    ref.tell(Stubborn.crash)
    assert ref.options(timeout=20.0).ask(Stubborn.start_thread) == 2
    ref.kill()


@pytest.mark.parametrize(
    "helper", [Stubborn.start_thread, Stubborn.start_process], ids=["thread", "process"]
)
def test_an_actor_leaves_though_a_helper_of_it_runs_on(system, helper):
    ref = system.spawn(Stubborn)
    ref.ask(helper)
    ref.tell(Stubborn.leave)
    assert ref.wait(timeout=20.0) == ExitReason(ExitKind.NORMAL)


def test_a_system_stops_the_latest_started_first(start_method, tmp_path):
    log = tmp_path / "log"
    with ActorSystem(start_method=start_method) as system:
        for name in ("first", "second", "third"):
            system.options(name=name).spawn(Leaver, log)
    assert [line.split()[0] for line in log.read_text().splitlines()] == [
        "third",
        "second",
        "first",
    ]


def test_last_words_to_an_earlier_actor_arrive(start_method, tmp_path):
    """What an actor sends in on_stop is handled by those that were there before it."""
    with ActorSystem(start_method=start_method) as system:
        recorder = system.spawn(Recorder, tmp_path / "numbers")
        for number in range(3):
            system.spawn(LastWords, recorder, number)
    assert recorded(tmp_path / "numbers") == [2, 1, 0]


class LastWords(Actor):
    def __init__(self, to, number):
        self.to, self.number = to, number

    def on_stop(self, reason):
        self.to.tell(Recorder.record, self.number)


#: Seconds of an actor's own. A stop that gives it these does not end while its test does.
OWN = 600.0


class Patron(Stubborn):
    """Has a child that will not end, nor will it itself."""

    def hire(self, gate):
        child = self.context.options(stop_timeout=OWN).spawn(Stubborn)
        child.tell(Stubborn.hold_against_sigterm, gate)
        return child


def patient_actors(system, gate):
    """Stubborn actors of each kind that have more time than their system; return their refs."""
    own = system.options(stop_timeout=OWN)
    under_way, patron, *others = (own.spawn(Patron) for _ in range(4))
    child = patron.ask(Patron.hire, gate)
    tree = Supervisor(
        *(spec(Stubborn).options(name=name, stop_timeout=OWN) for name in ("first", "last"))
    )
    system.supervise(tree)
    leaves = [system["first"], system["last"]]
    for ref in (under_way, patron, *others, *leaves):
        ref.tell(Stubborn.hold_against_sigterm, gate)
    refs = [under_way, patron, child, *others, *leaves]
    for _ in refs:
        gate.arrival()
    aside(under_way.stop, OWN)
    eventually(lambda: under_way.status().state == "stopping", "a stop with a time of its own")
    return refs


def test_a_system_stop_ends_by_one_deadline_for_all(start_method, gate):
    """No actor's longer time counts: not its option, nor that of a stop which is under way."""
    system = ActorSystem(start_method=start_method)
    refs = patient_actors(system, gate)
    report = within(system.stop, 0.5)
    assert [actor.how for actor in report.actors] == [StopOutcome.KILLED] * len(refs)


def test_a_later_and_shorter_stop_of_the_system_is_the_one_deadline(start_method, gate):
    system = ActorSystem(start_method=start_method)
    refs = patient_actors(system, gate)
    first = aside(system.stop, OWN)
    eventually(lambda: system["last"].status().state == "stopping", "the first of them")
    within(system.stop, 0.5)
    report = first.result(SHORT_S)
    assert [actor.how for actor in report.actors] == [StopOutcome.KILLED] * len(refs)


def test_a_system_stops_while_actors_are_being_restarted(start_method, tmp_path):
    marker = tmp_path / "marker"
    with ActorSystem(start_method=start_method) as system:
        refs = [
            system.options(max_restarts=1000, within=1000.0).spawn(
                Crasher, "__init__", "exception", marker
            )
            for _ in range(4)
        ]
        marker.touch()
        for ref in refs:
            os.kill(ref.status().pid, signal.SIGKILL)
        eventually(lambda: all(ref.status().incarnation > 1 for ref in refs), "failing starts")


def test_a_system_stops_while_it_spawns(start_method):
    """Whoever spawns then gets an error; nothing is left."""
    system = ActorSystem(start_method=start_method)
    started, errors = threading.Event(), []

    def spawn():
        try:
            while True:
                system.spawn(Counter)
                started.set()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=spawn) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    system.stop()
    for thread in threads:
        thread.join()
    assert len(errors) == 3
    assert all("stop" in str(error) for error in errors), errors


@pytest.mark.parametrize("is_done", [True, False])
def test_an_end_that_is_confirmed_late_is_an_end(monkeypatch, is_done):
    """On a busy machine to clear up behind many takes longer than an answer is waited for."""
    asked = []

    def ask(client, command, timeout=None):
        if isinstance(command, commands.StopAll):
            asked.append(command.timeout)
            if is_done:
                answer(client, command, timeout)
            raise AskTimeout("as if it had come too late")
        return answer(client, command, timeout)

    answer = Client.ask
    monkeypatch.setattr(Client, "ask", ask)
    system = ActorSystem()
    ref = system.spawn(Counter)
    pid = ref.status().pid
    report = system.stop(1.0)
    # As long as there are fewer than before it is waited for, and a stuck one is done without.
    assert asked == [pytest.approx(1.0, abs=0.5), *[0.0] * is_done]
    assert report.clean is is_done
    assert not os.path.exists(f"/proc/{pid}")
    assert not os.path.exists(system._dir.path)
