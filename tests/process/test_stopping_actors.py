"""What an actor sees of its own stop, and what becomes of what it tells then."""

from __future__ import annotations

import pytest

from procactors import Actor, ActorSystem, ExitKind, ExitReason, Strategy, Supervisor, spec
from procactors.errors import ActorDied, ActorStopped
from tests.support.actors import Echo
from tests.support.waiting import SHORT_S, eventually

STOPPED = ExitReason(ExitKind.STOPPED)


class Ticker(Actor):
    """Goes on by a message to itself, in the way that the documentation recommends."""

    def __init__(self, log):
        self.log = log

    def on_start(self):
        self.note("start")
        self.context.ref.tell(Ticker.tick, self.context.incarnation)

    def tick(self, life):
        if life != self.context.incarnation:
            return  # of the life before: this one has a loop of its own
        self.note(f"tick {life}")
        self.context.ref.tell(Ticker.tick, life)

    def crash(self):
        raise ValueError("on request")

    def on_stop(self, reason):
        self.context.ref.tell(Ticker.tick, self.context.incarnation)
        self.note(str(reason))

    def note(self, text):
        with self.log.open("a") as file:
            file.write(text + "\n")


class Pinger(Actor):
    """Keeps a ball in the air with another one."""

    def start(self, other):
        self.other = other
        other.tell(Pinger.catch, self.context.ref)

    def catch(self, other):
        other.tell(Pinger.catch, self.context.ref)


class Looker(Actor):
    """Says what it sees of its stop."""

    def __init__(self, log=None):
        self.log = log
        self.seen = []

    def look(self):
        return self.context.stopping

    def work_until_the_stop(self, gate):
        gate.wait()
        while not self.context.stopping:
            pass
        self.seen.append("seen in the handler")

    def leave(self):
        self.context.stop()
        return self.context.stopping

    def tell(self, ref):
        ref.tell(Echo.echo, 1)
        return "told"

    def ask_when_stopping(self, gate, ref):
        gate.wait()
        while not self.context.stopping:
            pass
        ref.tell(Echo.echo, 1)
        for call in (ref.ask, ref.submit):
            try:
                call(Echo.echo, 1)
            except ActorStopped:
                self.seen.append(call.__name__)

    def on_stop(self, reason):
        self.seen.append(f"in on_stop: {self.context.stopping}")
        self.log.write_text("\n".join(self.seen))


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def test_an_actor_that_tells_itself_for_ever_stops_in_order(system, tmp_path, caplog):
    log = tmp_path / "log"
    ref = system.spawn(Ticker, log)
    eventually(lambda: lines(log).count("tick 1") > 3, "ticks")
    assert ref.stop() == STOPPED
    assert lines(log).count("start") == 1
    assert lines(log)[-1] == "stopped"
    # The tick that was told while the stop was under way, if there was one, and that of on_stop.
    assert 1 <= len(system.dead_letters) <= 2
    assert {letter.actor for letter in system.dead_letters} == {ref.name}
    assert not [message for message in caplog.messages if "dead letter" not in message]


def test_a_system_stops_actors_that_tell_themselves_and_each_other(start_method, tmp_path, caplog):
    """Whoever is stopped first, the others are not to blame that their messages do not arrive."""
    log = tmp_path / "log"
    with ActorSystem(start_method=start_method) as system:
        system.spawn(Ticker, log)
        first, second = system.spawn(Pinger), system.spawn(Pinger)
        first.ask(Pinger.start, second)
        eventually(lambda: lines(log).count("tick 1") > 3, "ticks")
    report = system.stop()
    assert [actor.reason for actor in report.actors] == [STOPPED] * 3
    assert lines(log)[-1] == "stopped"
    assert report.refused == report.broken == {}


def test_a_restart_does_not_double_a_loop_that_knows_its_life(system, tmp_path):
    """A restart of all children keeps the mailbox, and in it the tick of the life before."""
    log = tmp_path / "log"
    crasher = spec(Crasher).options(name="crasher")
    system.supervise(Supervisor(spec(Ticker, log), crasher, strategy=Strategy.ONE_FOR_ALL))
    eventually(lambda: lines(log).count("tick 1") > 3, "ticks")
    with pytest.raises(ActorDied):
        system["crasher"].ask(Crasher.crash)
    eventually(lambda: lines(log).count("tick 2") > 50, "ticks of the second life")
    seen = lines(log)
    second = seen[len(seen) - 1 - seen[::-1].index("start") :]
    assert set(second) == {"start", "tick 2"}


class Crasher(Actor):
    def crash(self):
        import os

        os._exit(3)


def test_a_tell_to_a_stopped_actor_is_still_an_error_for_one_that_lives(system):
    other = system.spawn(Echo)
    other.stop()
    with pytest.raises(ActorStopped):
        system.spawn(Looker).ask(Looker.tell, other)
    assert len(system.dead_letters) == 0


def test_a_handler_sees_that_a_stop_was_ordered(system, gate, tmp_path):
    """Before its record comes: behind a long handler, it would come too late."""
    log = tmp_path / "log"
    ref = system.spawn(Looker, log)
    assert ref.ask(Looker.look) is False
    ref.tell(Looker.work_until_the_stop, gate)
    gate.arrival()
    gate.open()
    assert ref.stop(timeout=SHORT_S) == STOPPED
    assert lines(log) == ["seen in the handler", "in on_stop: True"]


def test_an_actor_that_leaves_is_stopping(system, tmp_path):
    log = tmp_path / "log"
    ref = system.spawn(Looker, log)
    assert ref.ask(Looker.leave) is True
    assert ref.wait() == ExitReason(ExitKind.NORMAL)
    assert lines(log) == ["in on_stop: True"]


def test_a_stopping_actor_that_wants_an_answer_is_told_that_there_is_none(system, gate, tmp_path):
    """Only what wants no answer becomes a dead letter."""
    log = tmp_path / "log"
    other = system.spawn(Echo)
    other.stop()
    ref = system.spawn(Looker, log)
    ref.tell(Looker.ask_when_stopping, gate, other)
    gate.arrival()
    gate.open()
    assert ref.stop(timeout=SHORT_S) == STOPPED
    assert lines(log) == ["ask", "submit", "in on_stop: True"]
    assert [letter.actor for letter in system.dead_letters] == [other.name]
