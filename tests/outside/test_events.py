"""What happens in a system is told to another terminal: from the journal, and from the parent."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess

import pytest

from procactors import Actor, Progress
from procactors.cli import main
from procactors.outside.happenings import Happenings
from procactors.outside.systems import NoSystem
from procactors.supervision.guest_events import pipe_of
from tests.support.actors import Counter, Sleeper
from tests.support.programs import environment, running_python
from tests.support.waiting import eventually

ME = str(os.getpid())


class Reporter(Actor):
    def report(self, steps):
        for done in range(1, steps + 1):
            self.context.progress(done, steps)


@pytest.fixture
def followed(system):
    with contextlib.closing(Happenings(system._dir.path)) as happenings:
        happenings.past()
        yield happenings


def until(happenings, kind):
    """Follow until something of that kind has happened; return all by then."""
    found = []
    eventually(lambda: found.extend(happenings.next()) or kind in [one.kind for one in found], kind)
    return found


def test_the_turns_of_a_life_are_told_in_order_without_the_parent(system, followed):
    ref = system.options(name="one").spawn(Counter)
    first = ref.status().pid
    os.kill(first, signal.SIGKILL)
    ref.ask(Counter.increment)
    ref.stop()
    found = until(followed, "Stopped")
    assert [one.kind for one in found] == [
        "Started",
        "Crashed",
        "Restarting",
        "Started",
        "Stopped",
    ]
    assert {one.actor for one in found} == {"one"}
    assert found[0].fields == {"incarnation": 1, "pid": first}
    assert found[1].text == "one ended by signal SIGKILL (incarnation 1)"
    assert found == sorted(found, key=lambda one: one.wall)


def test_what_is_not_in_the_journal_is_told_to_who_listens(system, followed):
    assert list(followed.listen()) == []
    ref = system.options(name="one").spawn(Reporter)
    ref.ask(Reporter.report, 3)
    last = until(followed, "Progress")[-1]
    assert (last.actor, last.fields["total"]) == ("one", 3)
    ref.tell(Reporter.report, "no number")
    letter = next(one for one in until(followed, "DeadLettered") if one.kind == "DeadLettered")
    assert letter.fields["handler"] == "Reporter.report"
    assert letter.fields["killed"] is True


def test_nobody_is_told_of_behind_the_last_listeners_end(system, followed):
    assert not system.events.wants(Progress)
    assert list(followed.listen()) == []
    assert system.events.wants(Progress)
    followed.close()  # this process goes on, which is the guest's: but nobody reads the pipe
    ref = system.spawn(Reporter)

    def forgotten():
        ref.ask(Reporter.report, 1)
        return not system.events.wants(Progress)

    eventually(forgotten, "the guest to be forgotten")


def test_a_killed_terminal_is_forgotten(system):
    with running_python("-m", "procactors", "events", "--system", ME, "--json") as program:
        eventually(lambda: system.events.wants(Progress), "it to listen")
        program.process.kill()
        program.end()
        eventually(lambda: not system.events.wants(Progress), "it to be forgotten")
    path = system._dir.path
    eventually(lambda: not os.listdir(f"{path}/guests"), "its lock to be removed")
    assert not [name for name in os.listdir(f"{path}/replies") if name.endswith("-events")]


def test_a_terminal_that_stands_still_loses_events_and_is_told_how_many(system, followed):
    assert list(followed.listen()) == []
    pipe = pipe_of(system._dir.path, followed._guest.process)
    for number in range(2000):  # a pipe of 64 KiB takes some 200
        system.events.publish(Progress(actor="a" * 100, done=number))
    found = []

    def told():
        system.events.publish(Progress(actor="last", done=1))
        found.extend(followed.next())
        return found[-1].actor == "last"

    eventually(told, "the last one")
    come = sum(one.actor == "a" * 100 for one in found)
    missing = sum(one.fields["count"] for one in found if one.kind == "Dropped")
    assert 100 < come < 1500
    assert come + missing >= 2000
    assert os.path.exists(pipe)


def test_a_stopped_terminal_holds_nobody_up(system, gate):
    with running_python("-m", "procactors", "events", "--system", ME) as program:
        eventually(lambda: system.events.wants(Progress), "it to listen")
        program.process.send_signal(signal.SIGSTOP)
        ref = system.spawn(Reporter)
        for _ in range(200):
            ref.ask(Reporter.report, 1)
        ref.stop()


def test_events_are_printed_and_end_with_the_system(system):
    system.options(name="one").spawn(Counter)
    command = ("-m", "procactors", "events", "--system", ME, "--json", "--kind", "Stopped")
    with running_python(*command) as program:
        eventually(lambda: system.events.wants(Progress), "it to listen")
        system.stop()
        code, out, errors = program.end()
    (line,) = map(json.loads, out.splitlines())
    assert (code, line["event"], line["actor"]) == (0, "Stopped", "one")
    assert errors == f"procactors: {system.name} has ended\n"


def test_only_what_has_happened_and_only_so_much_of_it(system, capsys):
    for name in ("one", "two", "three"):
        system.options(name=name).spawn(Counter)
    system.inbox("in")
    assert main(["events", "--system", ME, "--no-follow", "--tail", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1:4] for line in lines] == [
        ["Started", "two", "started"],
        ["Started", "three", "started"],
    ]
    assert main(["events", "--system", ME, "--no-follow", "--filter", "ONE", "--json"]) == 0
    (known,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (known["event"], known["actor"], known["incarnation"]) == ("Started", "one", 1)


def test_one_whose_parent_does_not_answer_shows_the_journal():
    host = """if True:
        import sys
        from procactors import ActorSystem
        from tests.support.actors import Counter
        with ActorSystem("stuck") as system:
            system.options(name="one").spawn(Counter)
            print(system._dir.path, flush=True)
            sys.stdin.read()
    """
    with running_python("-c", host, stdin=subprocess.PIPE, env=environment()) as program:
        path = program.line()
        program.process.send_signal(signal.SIGSTOP)
        with contextlib.closing(Happenings(path)) as happenings:
            assert [one.kind for one in happenings.past()] == ["Started"]
            (problem,) = happenings.listen()
            assert problem.startswith("only the journal is shown: stuck (pid ")
            assert happenings.next() == []
        program.process.send_signal(signal.SIGCONT)


def test_behind_its_end_a_follower_gets_the_last_words_and_then_the_end(system, followed):
    system.options(name="one").spawn(Sleeper)
    system.stop()
    found = until(followed, "Stopped")
    assert [one.kind for one in found] == ["Started", "Stopped"]
    with pytest.raises(NoSystem):
        followed.next()
