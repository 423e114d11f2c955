"""A debugger in a live actor: it stops there, nobody's patience ends, and the actor goes on."""

from __future__ import annotations

import os
import signal
import time

import pytest

from procactors import ActorSystem
from procactors.errors import AskTimeout
from procactors.outside.attach import attach
from procactors.runner.debug_line import LINE, pack
from procactors.wire.mailbox.black_box import DEBUGGED
from tests.support.debugging import command, sits_at
from tests.support.stuck import Somewhere, hot
from tests.support.waiting import SHORT_S, aside, eventually

#: A line that is never come to.
BREAKPOINT = f"{hot.__code__.co_filename}:{hot.__code__.co_firstlineno + 2}"


def attached(system, ref):
    path = system._endpoint.path
    return sits_at(*command("attach", ref.name, "--system", path))


def is_debugged(system, ref):
    return system._endpoint.words(ref._actor)[DEBUGGED]


@pytest.fixture
def at_work(system, gate):
    """An actor that computes until the file `enough` is there, and its reply."""
    ref = system.spawn(Somewhere)
    reply = ref.submit(Somewhere.compute, gate)
    gate.arrival()
    gate.open()
    yield ref, reply, gate.folder / "enough"
    (gate.folder / "enough").touch()


@pytest.mark.methods
def test_one_looks_and_changes_in_a_live_handler_which_goes_on(system, at_work):
    ref, reply, enough = at_work
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        assert is_debugged(system, ref) == person.pid
        person.types("p self.value")
        assert "7" in person.sees("(Pdb) ")
        person.types("!self.value = 8")
        person.sees("(Pdb) ")
        person.types("w")
        shown = person.sees("(Pdb) ")
        assert "compute" in shown
        assert "zygote.py" not in shown
        person.types("n")
        assert "compute()" in person.sees("(Pdb) ")
        person.types("q")
        person.sees("the actor goes on")
        assert person.ends() == 0
    enough.touch()
    assert reply.result(SHORT_S) == 8
    assert not is_debugged(system, ref)
    assert ref.status().incarnation == 1


@pytest.mark.methods
def test_continue_with_a_breakpoint_stops_there_again_and_ctrl_c_anywhere(system, at_work):
    ref, reply, enough = at_work
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        person.types(f"b {BREAKPOINT}")
        person.sees("(Pdb) ")
        person.types("c")
        person.sees("\n")  # it has been read: Ctrl-C drops what has not
        assert is_debugged(system, ref)
        person.presses_ctrl("c")
        person.sees("(Pdb) ")
        person.types("!while True: pass")
        time.sleep(0.2)  # so that it is in the loop; what follows holds in any case
        person.presses_ctrl("c")
        person.sees("KeyboardInterrupt")
        person.sees("(Pdb) ")
        person.presses_ctrl("c")  # at the prompt
        person.sees("KeyboardInterrupt")
        person.sees("(Pdb) ")
        person.presses_ctrl("d")
        assert person.ends() == 0
    enough.touch()
    assert reply.result(SHORT_S) == 7


@pytest.mark.methods
def test_an_idle_actor_is_debugged_too(system):
    ref = system.spawn(Somewhere)
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        person.types("interact")
        person.sees(">>> ")
        person.types("print(6 * 7)")
        assert "42" in person.sees(">>> ")
        person.presses_ctrl("d")
        person.sees("(Pdb) ")
        person.types("c")
        assert person.ends() == 0
    assert ref.ask(Somewhere.count_to, 3) == 3


class Awaiting(Somewhere):
    async def nothing(self):
        pass


@pytest.mark.methods
@pytest.mark.parametrize("kind", [Somewhere, Awaiting])
def test_between_two_messages_self_is_the_actor(system, kind):
    ref = system.spawn(kind)
    with attached(system, ref) as person:
        assert "<between two messages>" in person.sees("(Pdb) ")
        person.types("p self.value")
        assert "7" in person.sees("(Pdb) ")
        person.types("!self.value = 8")
        person.sees("(Pdb) ")
        person.types("n")
        reply = ref.submit(Somewhere.count_to, 3)
        assert "count_to" in person.sees("(Pdb) ")
        person.types("p self.value")
        assert "8" in person.sees("(Pdb) ")
        person.types("q")
        assert person.ends() == 0
    assert reply.result(SHORT_S) == 3


@pytest.mark.methods
def test_when_the_terminal_is_killed_the_actor_goes_on(system, at_work):
    ref, reply, enough = at_work
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        person.kill()
    enough.touch()
    assert reply.result(SHORT_S) == 7
    eventually(lambda: not is_debugged(system, ref), "the debugger to go")


def test_when_the_terminal_is_killed_behind_continue_the_actor_goes_on(system, at_work):
    ref, reply, enough = at_work
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        person.types(f"b {BREAKPOINT}")
        person.sees("(Pdb) ")
        person.types("c")
        person.kill()
    eventually(lambda: not is_debugged(system, ref), "the debugger to go")
    enough.touch()
    assert reply.result(SHORT_S) == 7


def test_an_ordered_stop_ends_the_debugger(system):
    ref = system.spawn(Somewhere)
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        ended = aside(ref.stop)
        person.sees("the actor is to stop")
        assert person.ends() == 0
        assert str(ended.result(SHORT_S).kind.name) == "STOPPED"


def test_a_killed_actor_ends_the_terminal(system):
    ref = system.spawn(Somewhere)
    with attached(system, ref) as person:
        person.sees("(Pdb) ")
        ref.kill()
        person.types("p 1")
        person.sees("has ended")
        assert person.ends() == 1


def test_a_second_debugger_is_sent_away(system):
    ref = system.spawn(Somewhere)
    with attached(system, ref) as first:
        first.sees("(Pdb) ")
        # Its main thread is at the first one's prompt, and opens its door there, too.
        with attached(system, ref) as second:
            second.sees("somebody debugs this actor already")
            second.ends()
        first.types("q")
        assert first.ends() == 0


def test_a_stopped_actor_cannot_be_debugged(system):
    ref = system.spawn(Somewhere)
    pid = ref.status().pid
    os.kill(pid, signal.SIGSTOP)
    try:
        with attached(system, ref) as person:
            person.sees("stopped")
            assert person.ends() == 1
    finally:
        os.kill(pid, signal.SIGCONT)


def test_the_watchdog_and_callers_wait_while_one_debugs(start_method, gate):
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(handle_timeout=1.0).spawn(Somewhere)
        other = system.spawn(Somewhere)
        reply = ref.submit(Somewhere.sleep_a_little)
        with attached(system, ref) as person:
            person.sees("(Pdb) ")
            asked = aside(ref.options(timeout=0.5).ask, Somewhere.count_to, 3)
            through = aside(other.options(timeout=0.5).ask, Somewhere.ask_count, ref)
            submitted = ref.options(timeout=0.5).submit(Somewhere.count_to, 4)
            until = time.monotonic() + 3.0
            eventually(lambda: time.monotonic() > until, "three times the limit")
            assert not asked.done()
            assert not submitted.done()
            assert not through.done()
            person.types("q")
            assert person.ends() == 0
        assert reply.result(SHORT_S) == 7
        assert asked.result(SHORT_S) == 3
        assert submitted.result(SHORT_S) == 6
        assert through.result(SHORT_S) == 3
        assert ref.status().incarnation == 1


def test_behind_the_debugger_patience_ends_as_ever(start_method, gate):
    with ActorSystem(start_method=start_method) as system:
        ref = system.spawn(Somewhere)
        ref.tell(Somewhere.sleep, gate)
        gate.arrival()
        with attached(system, ref) as person:
            person.sees("(Pdb) ")
            asked = aside(ref.options(timeout=0.3).ask, Somewhere.count_to, 3)
            eventually(lambda: not asked.done(), "the ask")
            person.types("q")
            assert person.ends() == 0
        with pytest.raises(AskTimeout):
            asked.result(SHORT_S)
        ref.kill()


def test_a_constructor_has_all_its_time_while_it_is_debugged(start_method, gate):
    """By the terminal's own means: a command would take a good part of the time to come up."""
    with ActorSystem(start_method=start_method) as system:
        made = aside(system.options(start_timeout=3.0).spawn, Somewhere, gate)
        gate.arrival()
        path = system._endpoint.path
        (number,) = [name for name in os.listdir(f"{path}/actors") if name != "0"]
        with attach(f"{path}/actors/{number}", print) as connection:
            until = time.monotonic() + 4.5
            eventually(lambda: time.monotonic() > until, "more than the limit")
            gate.open()
            connection.sendall(pack(LINE, "q\n"))
            assert made.result(SHORT_S).status().incarnation == 1
