"""A parent decides on its children: resume, restart, stop, escalate."""

from __future__ import annotations

import os
import signal

import pytest

from procactors import Actor, Backoff, ChildFailure, Directive, ExitKind, Restart, errors
from tests.support.actors import Crasher, Recorder, recorded
from tests.support.gates import Gate
from tests.support.waiting import eventually


class Family(Actor):
    """Spawns one child, and answers its failures with the words that it was given."""

    def __init__(self, answers, **options):
        self.answers = list(answers)
        self.options = options
        self.failures: list[ChildFailure] = []

    def on_start(self):
        self.child = self.context.options(name="child", **self.options).spawn(Crasher)

    def on_child_failure(self, failure):
        self.failures.append(failure)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self):
        return self.failures

    def life(self):
        return self.context.incarnation

    def wait_at(self, gate: Gate):
        gate.wait()


def family(system, *answers, **options):
    top = system.options(name="top", max_restarts=100).spawn(Family, answers, **options)
    return top, system["child"]


def crash(child):
    child.tell(Crasher.crash, "exception")


def test_resume_goes_on_without_counting(system):
    top, child = family(system, *["resume"] * 6, max_restarts=1, restart=Restart.TEMPORARY)
    for life in range(2, 8):
        crash(child)
        child.tell(Crasher.pid)
        eventually(lambda life=life: child.status().incarnation == life, "the next life")
    assert child.ask(Crasher.pid) > 0
    assert [failure.restarts for failure in top.ask(Family.told)] == [0] * 6
    # Those that crashed it, nothing else. The last may still wait for its report's peak memory.
    eventually(lambda: len(system.dead_letters) == 6, "the dead letters")


def test_restart_counts_and_gives_up(system):
    top, child = family(system, *[Directive.RESTART] * 3, max_restarts=2)
    for _ in range(3):
        crash(child)
    assert child.wait(20.0).kind is ExitKind.ERROR
    failures = top.ask(Family.told)
    assert [failure.restarts for failure in failures] == [0, 1, 2]
    assert [failure.incarnation for failure in failures] == [1, 2, 3]
    assert all(failure.ref == child for failure in failures)
    assert all("Fault: on purpose" in failure.reason.text for failure in failures)


def test_restart_brings_back_a_temporary_child_too(system):
    _, child = family(system, "restart", restart=Restart.TEMPORARY)
    crash(child)
    eventually(lambda: child.status().incarnation == 2, "the second life")


def test_restart_waits_for_its_backoff(system):
    _, child = family(system, *["restart"] * 2, backoff=Backoff(initial=0.3))
    crash(child)
    eventually(lambda: child.status().incarnation == 2, "the second life")
    crash(child)
    eventually(lambda: child.status().state == "restarting", "the wait")
    eventually(lambda: child.status().incarnation == 3, "the third life")


def test_stop_ends_the_child_and_answers_its_mailbox(system):
    top, child = family(system, "stop", restart=Restart.PERMANENT)
    os.kill(child.status().pid, signal.SIGKILL)
    assert child.wait(20.0).signal_name == "SIGKILL"
    with pytest.raises(errors.ActorStopped):
        child.ask(Crasher.pid)
    assert top.ask(Family.life) == 1


@pytest.mark.parametrize("answer", ["escalate", ValueError("on purpose"), "no such word"])
def test_escalate_and_an_error_in_the_hook_crash_the_parent(system, answer):
    top, child = family(system, answer)
    crash(child)
    assert child.wait(20.0) is not None
    eventually(lambda: top.status().incarnation == 2, "the parent's second life")
    assert top.ask(Family.life) == 2
    crashed = top.status().last_crash
    assert crashed.handler == "on_child_failure"
    expected = {"escalate": "its child child raised", "no such word": "returns a Directive"}
    assert expected.get(str(answer), "ValueError: on purpose") in crashed.reason.text
    assert system["child"] != child  # the new life has a child of its own


@pytest.mark.parametrize(
    ("restart", "comes_back"), [(Restart.TRANSIENT, 1), (Restart.TEMPORARY, 0)]
)
def test_no_answer_leaves_it_to_the_childs_own_policy(system, restart, comes_back):
    _, child = family(system, None, restart=restart)
    crash(child)
    if comes_back:
        eventually(lambda: child.status().incarnation == 2, "the second life")
    else:
        assert child.wait(20.0).kind is ExitKind.ERROR


def test_a_busy_parent_is_waited_for_and_the_mailbox_with_it(system, gate, tmp_path):
    class Keeper(Family):
        def on_start(self):
            child = self.context.options(name="child")
            self.child = child.spawn(Recorder, tmp_path / "record")

    top = system.spawn(Keeper, ["resume"])
    child = system["child"]
    child.ask(Recorder.record, 0)
    top.tell(Keeper.wait_at, gate)
    gate.arrival()
    os.kill(child.status().pid, signal.SIGKILL)
    for number in range(1, 50):
        child.tell(Recorder.record, number)
    eventually(lambda: child.status().state == "restarting", "the question")
    gate.open()
    assert child.ask(Recorder.record, 50) == 50
    assert recorded(tmp_path / "record") == list(range(51))


def test_a_parent_that_dies_before_it_answers_takes_the_child_with_it(system, gate):
    top, child = family(system, "resume")
    top.tell(Family.wait_at, gate)
    gate.arrival()
    os.kill(child.status().pid, signal.SIGKILL)
    eventually(lambda: child.status().state == "restarting", "the question")
    os.kill(top.status().pid, signal.SIGKILL)
    assert child.wait(20.0) is not None
    eventually(lambda: top.status().incarnation == 2, "the parent's second life")
    assert top.ask(Family.told) == []  # what was asked of the life before
    assert system["child"].ask(Crasher.pid) > 0


def test_a_child_that_waits_can_be_stopped(system, gate):
    top, child = family(system, "resume")
    top.tell(Family.wait_at, gate)
    gate.arrival()
    os.kill(child.status().pid, signal.SIGKILL)
    eventually(lambda: child.status().state == "restarting", "the question")
    child.stop()
    assert not child.is_alive()
    gate.open()
    assert len(top.ask(Family.told)) == 1


def test_an_ordered_end_is_no_failure(system):
    top, child = family(system)
    child.stop()
    assert top.ask(Family.told) == []


def test_a_failed_start_is_told_to_the_spawner_alone(system):
    class Spawner(Family):
        def on_start(self):
            pass

        def try_spawn(self):
            try:
                self.context.spawn(Crasher, "__init__")
            except errors.SpawnError:
                return "told"

    top = system.spawn(Spawner, [])
    assert top.ask(Spawner.try_spawn) == "told"
    assert top.ask(Family.told) == []
