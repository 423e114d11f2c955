"""A guest gives the supervisor commands, and leaves nothing, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import replace

import pytest

from procactors import ActorSystem
from procactors.errors import ActorStopped
from procactors.model import commands as c
from procactors.outside.guest import Guest, NoAnswer, OtherVersion, check_version
from procactors.outside.systems import NoSystem, view_of
from procactors.process.live import LiveProcess
from tests.support.actors import Counter
from tests.support.programs import running
from tests.support.waiting import eventually

#: A system, which prints its directory and waits for its input to end.
HOST = """
import sys
from procactors import ActorSystem
from tests.support.actors import Counter
with ActorSystem("host") as system:
    system.options(name="one").spawn(Counter)
    print(system._dir.path, flush=True)
    sys.stdin.read()
"""


def left_of_guests(path):
    """Names of what guests have in a runtime directory; the parent has one reply pipe."""
    guests = os.listdir(f"{path}/guests")
    return guests + os.listdir(f"{path}/replies")[1:]


def end(program):
    """End a host, by the end of its input; a second time does nothing."""
    stdin, program.process.stdin = program.process.stdin, None
    if stdin is not None:
        stdin.close()
        assert program.end()[0] == 0


@pytest.fixture
def host():
    with running(HOST, stdin=subprocess.PIPE) as program:
        path = program.line()
        yield program, path
        end(program)


def test_it_asks_and_leaves_nothing(host):
    _, path = host
    with Guest(path) as guest:
        assert guest.ask(None) is None
        (info,) = guest.ask(c.ListActors())
        assert info.name == "one"
        assert guest.ask(c.Describe(info.actor)).state == "idle"
        with pytest.raises(ActorStopped, match="nothing is known of actor 99"):
            guest.ask(c.Describe(99))
        assert guest.ask(c.Find("one")) == info  # it goes on behind an error
        assert left_of_guests(path)
    assert not left_of_guests(path)


def test_what_a_killed_one_leaves_is_removed(host):
    _, path = host
    code = """
        import os, sys
        from procactors.outside.guest import Guest
        guest = Guest(sys.argv[1])
        guest.ask(None)
        print("asked", flush=True)
        os.kill(os.getpid(), 9)
    """
    with running(code, path) as program:
        assert program.line() == "asked"
        program.end()
    eventually(lambda: not left_of_guests(path), "what it left to be removed")


def test_one_that_was_killed_before_its_first_command_is_found_by_the_next(host):
    _, path = host
    code = """
        import os, sys
        from procactors.outside.guest import Guest
        Guest(sys.argv[1])
        os.kill(os.getpid(), 9)
    """
    with running(code, path) as program:
        program.end()
    assert len(left_of_guests(path)) == 1
    with Guest(path) as guest:
        guest.ask(None)
    assert not left_of_guests(path)


def test_a_parent_that_is_stopped_does_not_answer_nor_do_it_later(host):
    program, path = host
    with Guest(path) as guest:
        (info,) = guest.ask(c.ListActors())
        program.process.send_signal(signal.SIGSTOP)
        with LiveProcess(program.process.pid) as process:
            eventually(lambda: process.is_suspended, "the stop")
        try:
            with pytest.raises(NoAnswer, match=r"did not answer within 0.3 s.*is stopped"):
                guest.ask(c.Kill(info.actor), 0.3)
        finally:
            program.process.send_signal(signal.SIGCONT)
        assert guest.ask(c.Describe(info.actor)).state == "idle"


def test_a_system_that_ends_meanwhile_is_an_error(host):
    program, path = host
    with Guest(path) as guest:
        end(program)
        with pytest.raises(NoSystem, match="host has ended"):
            guest.ask(None)
    with pytest.raises(NoSystem, match="no system of this user runs in"):
        Guest(path)


def test_a_guest_in_the_systems_own_process_disturbs_nothing_of_it():
    with ActorSystem() as system:
        ref = system.spawn(Counter)
        with Guest(system._dir.path) as guest:
            assert [info.name for info in guest.ask(c.ListActors())] == [ref.name]
        assert ref.ask(Counter.increment) == 1
        for _ in range(3):
            with Guest(system._dir.path) as guest:
                guest.ask(None)
        # Each that comes has those forgotten that have left: this process itself does not end.
        assert len(system._supervisor._guests._pidfds) == 1


def test_another_version_is_refused_with_a_hint():
    with ActorSystem("mine") as system:
        view = view_of(system._dir.path)
    check_version(view)
    with pytest.raises(OtherVersion, match=r"mine \(pid \d+\) runs procactors 0.0.9 under.*use /"):
        check_version(replace(view, version="0.0.9"))
    with pytest.raises(OtherVersion, match=r"under Python 2.7"):
        check_version(replace(view, python="2.7.18"))
    with pytest.raises(OtherVersion, match="runs an older procactors"):
        check_version(replace(view, version="", executable=""))
