"""Where an actor is, is seen from another process, whatever it does; it takes no notice."""

from __future__ import annotations

import contextlib
import os
import signal
import threading

import pytest

from procactors import ActorSystem, ExitKind
from procactors.errors import ActorDied
from procactors.outside.stacks import Stacks, stacks_of, stacks_of_parent
from procactors.outside.systems import view_of
from procactors.outside.visit import NotAtHome
from procactors.process.live import LiveProcess
from procactors.process.shield import DOOR, STACK
from procactors.wire.endpoint import actor_path
from tests.support.programs import running
from tests.support.stuck import Somewhere, SomewhereAsync
from tests.support.waiting import SHORT_S, aside, eventually


def folder(ref):
    return actor_path(ref._runtime_dir, ref._actor)


def looked(ref, **options) -> Stacks:
    return stacks_of(folder(ref), SHORT_S, **options)


def main_functions(found):
    (main,) = [stack for stack in found.stacks if stack.is_main]
    return [frame.function.rpartition(".")[2] for frame in main.frames]


@pytest.fixture
def enough(gate):
    """Ends what computes, at the test's end."""
    yield gate
    (gate.folder / "enough").touch()


@pytest.mark.methods
def test_an_idle_actor_shows_the_loop_and_goes_on(system):
    ref = system.spawn(Somewhere)
    found = looked(ref)
    assert found.source == "python"
    assert found.pid == ref.status().pid
    assert "run" in main_functions(found)
    assert ref.ask(Somewhere.count_to, 3) == 3
    assert os.listdir(folder(ref)).count("door") == 0


@pytest.mark.methods
def test_an_actor_at_work_shows_its_handler(system, enough):
    ref = system.spawn(Somewhere)
    reply = ref.submit(Somewhere.compute, enough)
    enough.arrival()
    enough.open()
    found = looked(ref)
    assert "compute" in main_functions(found)
    (enough.folder / "enough").touch()
    assert reply.result(SHORT_S) == 7


@pytest.mark.methods
def test_c_code_that_holds_the_interpreters_lock_is_shown_by_faulthandler(system, gate):
    ref = system.spawn(Somewhere)
    reply = ref.submit(Somewhere.hold_the_lock, gate)
    gate.arrival()
    gate.open()
    # In its last line of Python it may still answer by itself.
    found = eventually(
        lambda: found if (found := looked(ref)).source == "faulthandler" else None, "C code"
    )
    assert "hold_the_lock" in main_functions(found)
    assert "C code" in found.note
    ref.kill()
    with pytest.raises(ActorDied) as died:
        reply.result(SHORT_S)
    # A dump that was asked for is no part of the report.
    assert died.value.report.native_stack == ""


def test_a_fatal_signal_behind_a_dump_is_reported_with_its_own_stacks_alone(system, gate):
    ref = system.spawn(Somewhere)
    reply = ref.submit(Somewhere.hold_the_lock, gate)
    gate.arrival()
    gate.open()
    eventually(lambda: looked(ref).source == "faulthandler", "C code")
    os.kill(ref.status().pid, signal.SIGSEGV)
    with pytest.raises(ActorDied) as died:
        reply.result(SHORT_S)
    text = died.value.report.native_stack
    assert text.startswith("Fatal Python error: Segmentation fault")
    assert text.count("hold_the_lock") == 1


def test_a_hang_that_was_looked_at_is_reported_with_one_stack(start_method, gate):
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(handle_timeout=2.0).spawn(Somewhere)
        reply = ref.submit(Somewhere.hold_the_lock, gate)
        gate.arrival()
        gate.open()
        for _ in range(3):
            with contextlib.suppress(NotAtHome):
                looked(ref)
        with pytest.raises(ActorDied) as died:
            reply.result(SHORT_S)
    report = died.value.report
    assert report.reason.kind is ExitKind.HANG
    assert report.native_stack.count("hold_the_lock") == 1


def test_a_stopped_process_is_said_to_be_stopped(system, monkeypatch):
    monkeypatch.setattr("procactors.outside.py_spy._program", lambda: None)
    ref = system.spawn(Somewhere)
    pid = ref.status().pid
    os.kill(pid, signal.SIGSTOP)
    with LiveProcess(pid) as process:
        eventually(lambda: process.is_suspended, "the stop")
    found = looked(ref)
    assert found.stacks == ()
    assert "stopped" in found.note
    assert "py-spy" in found.note
    os.kill(pid, signal.SIGCONT)
    assert ref.ask(Somewhere.count_to, 3) == 3


def test_one_that_waits_in_an_ask_shows_that(system, enough):
    first, second = system.spawn(Somewhere), system.spawn(Somewhere)
    reply = first.submit(Somewhere.ask_on, second, enough)
    enough.arrival()
    enough.open()
    assert main_functions(looked(first))[:10].count("ask_on") == 1
    (enough.folder / "enough").touch()
    assert reply.result(SHORT_S) == 7


@pytest.mark.methods
def test_an_actor_in_its_constructor_shows_that(system, gate):
    made = aside(system.spawn, Somewhere, gate)
    gate.arrival()
    (number,) = [name for name in os.listdir(f"{system._endpoint.path}/actors") if name != "0"]
    found = stacks_of(f"{system._endpoint.path}/actors/{number}", SHORT_S)
    assert "__init__" in main_functions(found)
    gate.open()
    assert made.result(SHORT_S).ask(Somewhere.count_to, 3) == 3


def test_tasks_are_shown_with_what_they_await(system, gate):
    ref = system.spawn(SomewhereAsync)
    ref.submit(SomewhereAsync.wait, gate)
    gate.arrival()
    gate.open()
    found = eventually(
        lambda: [stack for stack in looked(ref).stacks if stack.is_task and len(stack.frames) > 2],
        "the task",
    )
    names = [frame.function.rpartition(".")[2] for frame in found[0].frames]
    assert names.index("inner") < names.index("wait")
    ref.kill()  # a stop would wait for it


def test_two_that_ask_at_once_both_see_it(system, gate):
    ref = system.spawn(Somewhere)
    ref.submit(Somewhere.hold_the_lock, gate)
    gate.arrival()
    gate.open()
    found = [aside(looked, ref) for _ in range(4)]
    assert all("hold_the_lock" in main_functions(one.result(SHORT_S)) for one in found)
    ref.kill()  # a stop would wait for it


def test_an_actor_that_is_over_is_not_at_home(system):
    ref = system.spawn(Somewhere)
    path = folder(ref)
    ref.stop()
    with pytest.raises(NotAtHome):
        stacks_of(path, 0.1)


def test_spares_and_the_zygote_are_not_mistaken_for_an_actor(start_method):
    with ActorSystem(start_method=start_method, spares=1) as system:
        ref = system.spawn(Somewhere)
        box = f"{folder(ref)}/box"
        parent = ref._runtime_dir.rsplit("-", 2)[1]
        for pid in _descendants(int(parent)):
            if pid != ref.status().pid:
                with pytest.raises(ProcessLookupError):
                    LiveProcess(pid, box)


def test_a_signal_is_not_sent_where_nobody_handles_it():
    with running("print('up', flush=True); input()", stdin=-1) as program:
        assert program.line() == "up"
        with LiveProcess(program.process.pid) as process:
            assert not process.send(DOOR)
            assert not process.send(STACK)
            assert not process.send_to_thread(process.pid, STACK)
            assert not process.has_ended


def test_the_parent_is_told_of_by_its_supervisor(system):
    view = view_of(system._endpoint.path)
    # On a busy machine it may be late, and then faulthandler tells.
    found = eventually(
        lambda: found if (found := stacks_of_parent(view)).source == "python" else None, "it"
    )
    assert found.pid == os.getpid()
    names = [frame.function for frame in found.stacks[0].frames]
    assert any("stacks_of_parent" in name for name in names)


STUCK = """
from procactors import ActorSystem
from tests.support.stuck import Somewhere
with ActorSystem() as system:
    system.spawn(Somewhere)
    print(system._endpoint.path, flush=True)
    def hold():
        sum(range(10**13))
    hold()
"""


def test_a_parent_that_is_stuck_in_c_code_writes_its_stacks(monkeypatch):
    monkeypatch.setattr("procactors.outside.py_spy._program", lambda: None)
    with running(STUCK) as program:
        view = view_of(program.line())
        found = eventually(
            lambda: (
                found
                if (found := stacks_of_parent(view, SHORT_S)).source == "faulthandler"
                else None
            ),
            "the parent to be stuck",
        )
        assert "hold" in main_functions(found)
        assert found.pid == program.process.pid


def test_the_parents_signal_is_the_applications_where_that_has_it(start_method):
    from procactors.process.parent_dump import PARENT_DUMP

    met = threading.Event()
    before = signal.signal(PARENT_DUMP, lambda *_: met.set())
    try:
        with ActorSystem(start_method=start_method) as system:
            system.spawn(Somewhere)
            assert callable(signal.getsignal(PARENT_DUMP))
            signal.raise_signal(PARENT_DUMP)
            assert met.is_set()
        signal.raise_signal(PARENT_DUMP)  # nor did its end take it away
    finally:
        signal.signal(PARENT_DUMP, before)


def test_behind_the_last_system_the_parents_signal_is_as_before(start_method):
    from procactors.process.parent_dump import PARENT_DUMP

    with LiveProcess(os.getpid()) as me:
        with ActorSystem(start_method=start_method) as system:
            system.spawn(Somewhere)
            assert me.catches(PARENT_DUMP)
        eventually(lambda: not me.catches(PARENT_DUMP), "the handler to go")


def _descendants(pid):
    found = []
    with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{pid}/children") as file:
        for child in map(int, file.read().split()):
            found += [child, *_descendants(child)]
    return found
