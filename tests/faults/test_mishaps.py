"""A fault in the runtime itself, at each of its steps: callers get an error, the rest goes on."""

from __future__ import annotations

import functools
import gc
import os
import signal
import threading

import pytest

import procactors.api.incarnation
from procactors import Actor, ActorSystem, Restart, Supervisor, spec
from procactors.errors import ProcActorsError, SpawnError, SupervisionError
from procactors.model import commands as c
from procactors.process.child import Child, ExecutedChild, ForkedChild, ZygoteChild
from procactors.process.launcher import Launcher
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.supervision.actor_record import ActorRecord
from procactors.supervision.processes import Processes, ProcessHost
from procactors.supervision.recovery import Recovery
from procactors.supervision.supervisor import Supervisor as Thread
from tests.support.actors import Echo
from tests.support.mishaps import Boom, called_in, raising_once
from tests.support.waiting import SHORT_S

#: Those that need processes; the others are gone through without any, in
#: `tests/unit/supervision/test_faults.py`.
ROOMS = (
    *(Thread, Processes, ProcessHost, ActorMailbox, Recovery, Launcher),
    *(Child, ZygoteChild, ForkedChild, ExecutedChild),
)

#: The loop, and what stands around it to catch: a fault in there would be in its own net.
NET = {"_run", "_ready", "_obey", "_load_and_do", "close"}


class Scene:
    """One actor from its spawn to its stop; no time limit helps it out."""

    def __init__(self, system):
        self.system = system
        self.ref = None

    def start(self):
        options = self.system.options(
            restart=Restart.PERMANENT, start_timeout=None, max_restarts=10
        )
        self.ref = options.spawn(Echo)

    def live(self):
        os.kill(self.ref.ask(Echo.pid), signal.SIGKILL)
        return self.ref.ask(Echo.pid)

    def stop(self):
        return self.ref.stop()


class TreeScene(Scene):
    """The same, as the second child of a supervisor."""

    def start(self):
        one, two = (spec(Echo).options(name=name, start_timeout=None) for name in ("one", "two"))
        self.tree = self.system.supervise(Supervisor(one, two, max_restarts=10))
        self.ref = self.system["two"]

    def stop(self):
        return self.tree.stop()


STEPS = ("start", "live", "stop")

#: Tests among which the faults of one step are dealt out, so that none takes long.
PARTS = 4


def answer_to(call):
    """Return what a call returns or raises; fail if it does neither."""
    box = []

    def run():
        try:
            box.append(call())
        except ProcActorsError as error:
            box.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(SHORT_S)
    assert box, f"{call} is still waiting, or has raised something odd"
    return box[0]


@functools.cache
def functions_of(scene_class, start_method, step):
    """Return the functions of the supervisor that run in a step of a scene."""
    with ActorSystem(start_method=start_method) as system:
        scene = scene_class(system)
        for other in STEPS:
            with called_in(ROOMS) as seen:
                getattr(scene, other)()
                system.spawn(Echo).stop()  # behind it, all of that is done
            if other == step:
                found = seen
    return sorted(
        ((cls, name) for cls, name in found if name not in NET),
        key=lambda pair: (pair[0].__name__, pair[1]),
    )


@pytest.mark.parametrize("scene_class", [Scene, TreeScene])
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("part", range(PARTS))
def test_a_fault_in_any_function_of_the_supervisor_is_answered(
    scene_class, step, part, start_method, caplog
):
    faults = functions_of(scene_class, start_method, step)
    assert len(faults) > 12
    with ActorSystem(start_method=start_method) as system:
        for cls, name in faults[part::PARTS]:
            scene = scene_class(system)
            for other in STEPS:
                if other == step:
                    with raising_once(cls, name):
                        print(cls.__name__, name, answer_to(getattr(scene, other)))
                elif scene.ref is not None or other == "start":
                    answer_to(getattr(scene, other))
            # The system is alive, and what the fault has left can be ended.
            for ref in system.actors():
                ref.kill()
            echo = system.spawn(Echo)
            assert echo.ask(Echo.echo, name) == name
            assert str(echo.stop()) == "stopped"
        assert system.failure is None
    # The records hold the tracebacks of the faults, and so what their frames have open.
    caplog.clear()
    gc.collect()


COMMANDS = [
    (c.Spawn, lambda system, ref: system.spawn(Echo), SpawnError),
    (c.OpenInbox, lambda system, ref: system.inbox(), SpawnError),
    (c.Stop, lambda system, ref: ref.stop(), SupervisionError),
    (c.Kill, lambda system, ref: ref.kill(), SupervisionError),
    (c.Wait, lambda system, ref: ref.wait(), SupervisionError),
    (c.Describe, lambda system, ref: ref.status(), SupervisionError),
    (c.Find, lambda system, ref: system.find("x"), SupervisionError),
    (c.ListActors, lambda system, ref: system.actors(), SupervisionError),
    (c.Supervise, lambda system, ref: system.supervise(Supervisor(spec(Echo))), SpawnError),
]


@pytest.mark.parametrize(("command", "call", "kind"), COMMANDS)
def test_a_fault_in_the_handler_of_a_command_is_its_callers_error(system, command, call, kind):
    ref = system.spawn(Echo)
    handlers = system._supervisor.supervision.handlers
    good = handlers[command]

    def bad(_command, _who):
        handlers[command] = good
        raise Boom("in the handler")

    handlers[command] = bad
    error = answer_to(lambda: call(system, ref))
    assert type(error) is kind
    assert "Boom: in the handler" in str(error)
    if command is c.Stop:  # its record was in the mailbox before
        assert str(ref.wait()) == "stopped"
        return
    assert ref.ask(Echo.echo, 1) == 1
    if command is not c.Kill:
        assert str(ref.stop()) == "stopped"


def test_a_command_that_cannot_be_read_is_its_callers_error(system, monkeypatch):
    """Its class may be missing in the parent: a user's subclass of an option, say."""
    monkeypatch.setattr(c, "Find", Unreadable)
    error = answer_to(lambda: system.find("x"))
    assert "could not be unpickled" in str(error)
    assert system.spawn(Echo).ask(Echo.echo, 1) == 1


class Unreadable:
    def __init__(self, *_args):
        pass

    def __reduce__(self):
        return (Unreadable._raise, ())

    @staticmethod
    def _raise():
        raise Boom("while it is loaded")


def test_an_answer_that_cannot_be_pickled_is_an_error(system, monkeypatch):
    ref = system.spawn(Echo)
    with monkeypatch.context() as patch:
        patch.setattr(ActorRecord, "status", lambda _actor: threading.Lock())
        error = answer_to(ref.status)
    assert "the answer could not be sent: EncodeError" in str(error)
    assert ref.status().state == "idle"


CHILD_STEPS = [
    *("die_with_parent", "read_order", "MeteredReader", "claim_mailbox", "adopt_surroundings"),
    *("set_signals", "watch_faults", "keep_log", "seed_generators", "Endpoint", "SystemHandle"),
    *("Context", "set_current", "Loop", "READY"),
]


class Unlucky(Actor):
    pass


@pytest.mark.parametrize("step", CHILD_STEPS)
def test_a_fault_before_the_users_code_is_a_failed_start_with_its_cause(step, monkeypatch):
    """By `fork`, which takes the fault along into the actor's process."""

    def boom(*_args):
        raise Boom(f"at {step}")

    with ActorSystem(start_method="fork", stop_timeout=2.0) as system:
        with monkeypatch.context() as patch:
            patch.setattr(procactors.api.incarnation, step, boom)
            with pytest.raises(SpawnError) as caught:
                system.options(start_timeout=None).spawn(Unlucky)
            if step != "READY":
                assert f"Boom: at {step}" in str(caught.value)
        assert system.spawn(Echo).ask(Echo.echo, 1) == 1


def test_a_start_that_fails_by_a_fault_counts(system, monkeypatch):
    ref = system.options(restart=Restart.PERMANENT, max_restarts=2).spawn(Echo)

    def boom(_actor):
        raise Boom("again and again")

    monkeypatch.setattr(system._supervisor.supervision.lifecycle, "_next_life", boom)
    os.kill(ref.ask(Echo.pid), signal.SIGKILL)
    reason = answer_to(ref.wait)
    assert str(reason) == "did not start: no process could be started: Boom: again and again"
    assert ref.status().restarts == 2  # and the third would have been one too many
