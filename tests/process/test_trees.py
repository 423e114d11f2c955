"""Supervision trees over real processes: OTP's rules, by name."""

from __future__ import annotations

import os
import signal
from concurrent.futures import TimeoutError as FutureTimeout

import pytest

from procactors import (
    Actor,
    ActorSystem,
    AutoShutdown,
    Backoff,
    Delivery,
    ExitKind,
    Restart,
    Strategy,
    Supervisor,
    errors,
    spec,
)
from tests.support.actors import Counter, Crasher, Echo, Recorder, Sleeper, recorded
from tests.support.gates import new_gate
from tests.support.notes import note, notes
from tests.support.waiting import SHORT_S, aside, bytes_waiting, eventually


class Diary(Actor):
    """Writes its starts and its orderly ends into one file, which all of a tree share."""

    def __init__(self, path, name):
        self.path, self.name = path, name

    def on_start(self):
        note(self.path, f"+{self.name}")

    def on_stop(self, reason):
        note(self.path, f"-{self.name}")

    def leave(self):
        self.context.stop()

    def fail(self):
        raise ValueError("on purpose")

    def pid(self):
        return os.getpid()

    def add(self, number):
        note(self.path, str(number))


def diary(path):
    return notes(path)


def diarists(path, names="abc", **options):
    return [spec(Diary, path, name).options(name=name, **options) for name in names]


def kill(ref):
    os.kill(ref.status().pid, signal.SIGKILL)


def incarnations(system, names="abc"):
    return [system[name].status().incarnation for name in names]


def all_up(tree):
    return all(child.state == "up" for child in tree.children())


# -- start and stop -----------------------------------------------------------------------------


def test_a_tree_starts_in_order_and_stops_in_reverse(system, tmp_path):
    path = tmp_path / "diary"
    inner = Supervisor(*diarists(path, "bc"), name="inner")
    tree = system.supervise(Supervisor(*diarists(path, "a"), inner, *diarists(path, "d")))
    assert diary(path) == ["+a", "+b", "+c", "+d"]
    assert [child.name for child in tree.children()] == ["a", "inner", "d"]
    assert tree.stop().kind is ExitKind.STOPPED
    assert diary(path)[4:] == ["-d", "-c", "-b", "-a"]
    assert system.actors() == []
    assert not tree.is_alive()


def test_the_end_of_the_system_stops_a_tree_in_reverse(start_method, tmp_path):
    path = tmp_path / "diary"
    with ActorSystem(start_method=start_method) as system:
        first = system.spawn(Diary, path, "first")
        inner = Supervisor(*diarists(path, "bc"), strategy=Strategy.ONE_FOR_ALL)
        system.supervise(Supervisor(*diarists(path, "a"), inner))
        system.spawn(Diary, path, "last")
        assert first.is_alive()
    assert diary(path)[5:] == ["-last", "-c", "-b", "-a", "-first"]


def test_a_failing_start_undoes_what_was_started(system, tmp_path):
    path = tmp_path / "diary"
    tree = Supervisor(*diarists(path, "ab"), Supervisor(spec(Crasher, "on_start", "exception")))
    with pytest.raises(errors.SpawnError, match=r"^Crasher .*Fault: on purpose") as caught:
        system.supervise(tree)
    assert "commit(self.how)" in str(caught.value.__cause__)
    assert diary(path) == ["+a", "+b", "-b", "-a"]
    assert system.actors() == []
    assert system.supervise(Supervisor(*diarists(path, "ab"))).count_children().active == 2


def test_a_constructor_that_hangs_ends_by_its_start_timeout(system):
    class Hangs(Actor):
        def on_start(self):
            signal.pause()

    tree = Supervisor(spec(Echo), spec(Hangs).options(start_timeout=0.3))
    with pytest.raises(errors.SpawnError, match="start_timeout"):
        system.supervise(tree)
    assert system.actors() == []


def test_a_wrong_argument_is_found_before_anything_starts(system, tmp_path):
    with pytest.raises(TypeError, match="Counter"):
        system.supervise(Supervisor(spec(Echo), spec(Counter, 1, 2, 3)))
    assert system.actors() == []
    assert not [n for n in os.listdir(system._endpoint.path + "/actors") if n.startswith("new-")]


def test_a_taken_name_is_the_error_of_the_start(system):
    system.options(name="taken").spawn(Echo)
    with pytest.raises(errors.NameTaken, match="'taken'"):
        system.supervise(Supervisor(spec(Echo), spec(Echo).options(name="taken")))
    assert [ref.name for ref in system.actors()] == ["taken"]


def test_each_child_has_its_own_time_to_stop(system, gate):
    stuck = spec(Sleeper).options(name="stuck", stop_timeout=0.3)
    tree = system.supervise(Supervisor(spec(Echo), stuck))
    reply = system["stuck"].submit(Sleeper.sleep, gate)
    gate.arrival()
    assert tree.stop().kind is ExitKind.STOPPED
    assert isinstance(reply.exception(), errors.ActorDied)


def test_a_stop_with_a_timeout_kills_what_is_left(system, gate):
    tree = system.supervise(Supervisor(spec(Sleeper).options(name="stuck"), spec(Echo)))
    reply = system["stuck"].submit(Sleeper.sleep, gate)
    gate.arrival()
    tree.stop(timeout=0.2)
    assert isinstance(reply.exception(), errors.ActorDied)


# -- {permanent, transient, temporary} x {normal, shutdown, exception, SIGKILL} -----------------


def end_normal(ref, tree):
    ref.tell(Diary.leave)


def end_shutdown(ref, tree):
    ref.stop()


def end_exception(ref, tree):
    ref.tell(Diary.fail)


def end_sigkill(ref, tree):
    kill(ref)


@pytest.mark.parametrize(
    ("restart", "end", "comes_back"),
    [
        # Each type and each end once; all of them are in `tests/unit/supervision/test_trees.py`.
        (Restart.PERMANENT, end_normal, True),
        (Restart.TRANSIENT, end_sigkill, True),
        (Restart.TRANSIENT, end_shutdown, False),
        (Restart.TEMPORARY, end_exception, False),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "value", value)),
)
def test_restart_type_and_end_decide(system, tmp_path, restart, end, comes_back):
    tree = system.supervise(Supervisor(*diarists(tmp_path / "diary", "ab", restart=restart)))
    ref, bystander = system["a"], system["b"]
    end(ref, tree)
    if comes_back:
        eventually(lambda: ref.status().incarnation == 2, "the second life")
        assert ref.ask(Diary.pid) > 0
        assert [child.name for child in tree.children()] == ["a", "b"]
    else:
        ref.wait()
        names = ["b"] if restart is Restart.TEMPORARY else ["a", "b"]
        assert [child.name for child in tree.children()] == names
        assert tree.count_children().active == 1
    assert bystander.status().incarnation == 1


# -- strategies ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (Strategy.ONE_FOR_ONE, [1, 2, 1]),
        (Strategy.ONE_FOR_ALL, [2, 2, 2]),
        (Strategy.REST_FOR_ONE, [1, 2, 2]),
    ],
)
def test_a_strategy_says_who_is_restarted(system, tmp_path, strategy, expected):
    """Acceptance case 27."""
    path = tmp_path / "diary"
    tree = system.supervise(Supervisor(*diarists(path), strategy=strategy))
    before = {name: system[name].ask(Diary.pid) for name in "abc"}
    kill(system["b"])
    eventually(lambda: incarnations(system) == expected and all_up(tree), "the restart")
    after = {name: system[name].ask(Diary.pid) for name in "abc"}
    changed = [name for name in "abc" if before[name] != after[name]]
    assert changed == [name for name, life in zip("abc", expected, strict=True) if life == 2]
    orders = {
        Strategy.ONE_FOR_ONE: ["+b"],
        Strategy.ONE_FOR_ALL: ["-c", "-a", "+a", "+b", "+c"],
        Strategy.REST_FOR_ONE: ["-c", "+b", "+c"],
    }
    assert diary(path)[3:] == orders[strategy]


@pytest.mark.methods
def test_a_group_restart_keeps_mailboxes_and_order(system, tmp_path):
    """Each sibling is stopped behind its message in hand; what waits is for its next life."""
    path, record = tmp_path / "gate", tmp_path / "record"
    tree = Supervisor(
        spec(Recorder, record).options(name="recorder"),
        spec(Echo).options(name="echo"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    system.supervise(tree)
    recorder = system["recorder"]
    with new_gate(path) as gate:
        recorder.tell(Recorder.record_at, 0, gate)
        gate.arrival()
        for number in range(1, 200):
            recorder.tell(Recorder.record, number)
        answer = recorder.submit(Recorder.record, 200)
        kill(system["echo"])
        eventually(lambda: recorder.status().state == "stopping", "the order to stop")
        gate.open()
        assert answer.result() == 200
    assert recorder.status().incarnation == 2
    assert recorded(record) == list(range(201))
    assert len(system.dead_letters) == 0


def test_a_sibling_that_will_not_stop_is_killed_and_its_message_reported(system, gate):
    tree = Supervisor(
        spec(Sleeper).options(name="stuck", stop_timeout=0.3),
        spec(Echo).options(name="echo"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    system.supervise(tree)
    reply = system["stuck"].submit(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["echo"])
    assert isinstance(reply.exception(), errors.ActorDied)
    assert system["stuck"].ask(Sleeper.pid) > 0
    assert system["stuck"].status().incarnation == 2


def test_a_sibling_killed_in_a_group_restart_gets_its_message_again(system, gate, tmp_path):
    record = tmp_path / "record"
    tree = Supervisor(
        spec(Recorder, record).options(
            name="stuck", stop_timeout=0.3, delivery=Delivery.AT_LEAST_ONCE
        ),
        spec(Echo).options(name="echo"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    system.supervise(tree)
    reply = system["stuck"].submit(Recorder.record_at, 1, gate)
    gate.arrival()
    kill(system["echo"])
    gate.arrival()
    gate.open()
    assert reply.result() == 1
    assert recorded(record) == [1, 1]


def lowered_at_gate(system, gate, **options):
    """Start two that restart together, which waits for the one at the gate; return that one."""
    tree = Supervisor(
        spec(Sleeper).options(name="sleeper", **options),
        spec(Echo).options(name="echo"),
        strategy=Strategy.ONE_FOR_ALL,
    )
    supervisor = system.supervise(tree)
    sleeper = system["sleeper"]
    sleeper.tell(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["echo"])
    eventually(lambda: sleeper.status().state == "stopping", "the order to stop")
    return supervisor, sleeper


def test_a_stop_in_the_middle_of_a_group_restart_keeps_its_deadline(system, gate):
    """The message in hand outlasts it, and so would those that its next life goes on with."""
    supervisor, sleeper = lowered_at_gate(system, gate)
    for _ in range(10):
        sleeper.tell(Sleeper.sleep, gate)
    waiting = bytes_waiting(sleeper)
    stop = aside(sleeper.stop, 1.0)
    eventually(lambda: bytes_waiting(sleeper) > waiting, "the stop behind the messages")
    gate.let_pass()
    assert stop.result(SHORT_S).kind is ExitKind.KILLED
    assert not sleeper.is_alive()
    supervisor.stop()


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_another_child_that_dies_during_the_restart_ends_in_a_consistent_state(
    system, tmp_path, strategy
):
    """Acceptance case 28."""
    tree = system.supervise(
        Supervisor(*diarists(tmp_path / "diary", "abcd"), strategy=strategy, max_restarts=10)
    )
    pids = [system[name].status().pid for name in "abcd"]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: all_up(tree) and incarnations(system, "d") > [1], "all to be up")
    eventually(
        lambda: [system[name].ask(Diary.pid) for name in "abcd"] and all_up(tree), "an answer"
    )


def test_thirty_children_killed_at_once_all_come_back(system):
    tree = system.supervise(Supervisor(*[spec(Echo) for _ in range(30)], max_restarts=30))
    refs = [child.ref for child in tree.children()]
    for pid in [ref.status().pid for ref in refs]:
        os.kill(pid, signal.SIGKILL)
    assert [ref.ask(Echo.incarnation) for ref in refs] == [2] * 30


def test_the_backoff_of_a_child_is_waited(system):
    backoff = Backoff(initial=0.3)
    system.supervise(Supervisor(spec(Crasher).options(name="crasher", backoff=backoff)))
    ref = system["crasher"]
    kill(ref)
    eventually(lambda: ref.status().incarnation == 2 and ref.status().pid, "the second life")
    kill(ref)
    eventually(lambda: ref.status().state == "restarting", "the wait")
    assert ref.ask(Crasher.pid) > 0
    assert ref.status().incarnation == 3


# -- intensity and escalation -------------------------------------------------------------------


def test_the_roots_giving_up_ends_the_system(start_method):
    with pytest.raises(errors.RestartIntensityExceeded, match="allowed are 1") as caught:
        with ActorSystem(start_method=start_method) as system:
            system.supervise(Supervisor(spec(Crasher).options(name="c"), max_restarts=1))
            ref = system["c"]
            waiting = system.spawn(Echo)
            for _ in range(2):
                ref.tell(Crasher.crash, "exception")
            with pytest.raises(errors.RestartIntensityExceeded):
                system.wait(20.0)
            with pytest.raises(errors.DeliveryError):
                waiting.ask(Echo.echo)
    history = caught.value.history
    assert [report.reason.kind for report in history] == [ExitKind.ERROR] * 2
    assert "Fault: on purpose" in history[0].reason.text
    assert system.failure is caught.value


def test_giving_up_escalates_to_the_supervisor_above_which_restarts(system, tmp_path):
    path = tmp_path / "diary"
    inner = Supervisor(*diarists(path, "bc"), name="inner", max_restarts=1)
    system.supervise(Supervisor(*diarists(path, "a"), inner, *diarists(path, "d")))
    ref = system["b"]
    for life in (1, 2):
        eventually(lambda life=life: ref.status().incarnation == life, "the life")
        ref.ask(Diary.pid)
        kill(ref)
    # The inner one has given up, and was restarted as a whole: the refs are still good.
    assert ref.ask(Diary.pid) > 0
    assert system["c"].ask(Diary.pid) > 0
    assert incarnations(system, "abcd") == [1, 3, 2, 1]
    assert diary(path)[4:] == ["+b", "-c", "+b", "+c"]


def test_escalation_to_one_for_all_restarts_the_siblings_of_the_supervisor(system, tmp_path):
    path = tmp_path / "diary"
    inner = Supervisor(*diarists(path, "bc"), max_restarts=0)
    tree = Supervisor(*diarists(path, "a"), inner, strategy=Strategy.ONE_FOR_ALL)
    system.supervise(tree)
    kill(system["c"])
    eventually(lambda: incarnations(system) == [2, 2, 2], "the restart of all")
    assert system["c"].ask(Diary.pid) > 0
    assert diary(path)[3:] == ["-b", "-a", "+a", "+b", "+c"]


def test_escalation_goes_up_level_by_level_to_the_root(start_method):
    tree = Supervisor(spec(Crasher).options(name="leaf"), max_restarts=0, name="level-0")
    for level in range(1, 5):
        tree = Supervisor(spec(Echo), tree, max_restarts=0, name=f"level-{level}")
    with pytest.raises(errors.RestartIntensityExceeded, match="level-4"):
        with ActorSystem(start_method=start_method) as system:
            system.supervise(tree)
            kill(system["leaf"])
            system.wait(20.0)


def test_queued_messages_survive_an_escalation(system, gate, tmp_path):
    record = tmp_path / "record"
    inner = Supervisor(
        spec(Recorder, record).options(name="recorder"),
        spec(Crasher).options(name="crasher"),
        max_restarts=0,
    )
    system.supervise(Supervisor(inner))
    recorder = system["recorder"]
    recorder.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    for number in range(1, 50):
        recorder.tell(Recorder.record, number)
    kill(system["crasher"])
    eventually(lambda: recorder.status().state == "stopping", "the order to stop")
    gate.open()
    assert recorder.ask(Recorder.record, 50) == 50
    assert recorded(record) == list(range(51))
    assert recorder.status().incarnation == 2


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TRANSIENT])
def test_a_command_waits_for_the_supervisor_to_be_restarted_or_to_end(system, gate, restart):
    inner = Supervisor(
        spec(Sleeper).options(name="sleeper"),
        spec(Crasher).options(name="crasher"),
        name="inner",
        max_restarts=0,
        restart=restart,
    )
    (child,) = system.supervise(Supervisor(inner)).children()
    system["sleeper"].tell(Sleeper.sleep, gate)
    gate.arrival()
    kill(system["crasher"])
    eventually(lambda: system["sleeper"].status().state == "stopping", "the order to stop")
    adding = aside(child.ref.start_child, spec(Echo))
    with pytest.raises(FutureTimeout):
        adding.result(0.2)
    gate.open()
    if restart is Restart.PERMANENT:
        assert adding.result(SHORT_S).ask(Echo.echo, 1) == 1
    else:
        assert isinstance(adding.exception(SHORT_S), errors.ActorStopped)


def test_a_transient_supervisor_that_gives_up_stays_down(system, gate):
    """OTP: giving up is an orderly end of the supervisor."""
    inner = Supervisor(
        spec(Crasher).options(name="c"), max_restarts=0, restart=Restart.TRANSIENT, name="inner"
    )
    tree = system.supervise(Supervisor(spec(Echo).options(name="e"), inner))
    ref = system["c"]
    queued = ref.submit(Crasher.crash_at, "SIGKILL", gate), ref.submit(Crasher.pid)
    gate.open()
    assert isinstance(queued[0].exception(), errors.ActorDied)
    assert isinstance(queued[1].exception(), errors.ActorStopped)
    assert [child.state for child in tree.children()] == ["up", "down"]
    again = tree.restart_child("inner")
    assert [child.name for child in again.children()] == ["c"]
    assert system["c"].ask(Crasher.pid) > 0


def test_a_failing_restart_is_tried_again_until_the_window_is_full(start_method, tmp_path):
    marker = tmp_path / "broken"
    with pytest.raises(errors.RestartIntensityExceeded):
        with ActorSystem(start_method=start_method) as system:
            breaks = spec(Crasher, "__init__", "exception", marker).options(name="c")
            system.supervise(Supervisor(breaks, max_restarts=2))
            marker.touch()
            kill(system["c"])
            system.wait(20.0)
    assert [r.reason.kind for r in system.failure.history] == [
        ExitKind.SIGNAL,
        ExitKind.START,
        ExitKind.START,
    ]


def test_a_failing_restart_that_heals_goes_on(system, tmp_path):
    marker = tmp_path / "broken"
    breaks = spec(Crasher, "on_start", "exception", marker).options(name="c")
    system.supervise(Supervisor(breaks, max_restarts=100))
    ref = system["c"]
    marker.touch()
    kill(ref)
    eventually(lambda: ref.status().incarnation > 3, "failing starts")
    marker.unlink()
    assert ref.ask(Crasher.pid) > 0


def test_a_restart_loop_with_a_hanging_start_can_be_stopped(system, tmp_path):
    class HangsLater(Actor):
        def __init__(self, marker):
            if marker.exists():
                signal.pause()
            marker.touch()

        def pid(self):
            return os.getpid()

    hangs = spec(HangsLater, tmp_path / "m").options(name="h", stop_timeout=0.3)
    tree = system.supervise(Supervisor(spec(Echo), hangs, strategy=Strategy.ONE_FOR_ALL))
    kill(system["h"])
    eventually(lambda: system["h"].status().incarnation == 2, "the start that hangs")
    assert tree.stop().kind is ExitKind.STOPPED
    assert system.actors() == []


# -- children that come and go ------------------------------------------------------------------


def test_children_are_added_terminated_restarted_and_deleted(system):
    tree = system.supervise(Supervisor(spec(Counter, 1).options(name="one")))
    two = tree.start_child(spec(Counter, 2).options(name="two"))
    assert two.ask(Counter.get_value) == 2
    inner = tree.start_child(Supervisor(spec(Counter, 3).options(name="three"), name="inner"))
    assert [child.name for child in inner.children()] == ["three"]
    counts = tree.count_children()
    assert (counts.specs, counts.active, counts.supervisors, counts.workers) == (3, 3, 1, 2)

    two.tell(Counter.increment)
    assert tree.terminate_child("two").kind is ExitKind.STOPPED
    assert [child.state for child in tree.children()] == ["up", "down", "up"]
    with pytest.raises(errors.ActorStopped):
        two.ask(Counter.get_value)
    assert tree.restart_child("two").ask(Counter.get_value) == 2
    with pytest.raises(errors.SupervisionError, match=r"'two'.*to be down, but it is up"):
        tree.delete_child("two")
    with pytest.raises(errors.SupervisionError, match="to be down"):
        tree.restart_child("two")
    tree.terminate_child(system["two"])
    tree.delete_child("two")
    assert [child.name for child in tree.children()] == ["one", "inner"]
    tree.terminate_child(inner)
    assert system.find("three") is None
    assert tree.restart_child("inner").children()[0].ref.ask(Counter.get_value) == 3


def test_wrong_orders_about_children_are_told_so(system):
    tree = system.supervise(Supervisor(spec(Echo).options(name="e")))
    for action in (tree.terminate_child, tree.restart_child, tree.delete_child):
        with pytest.raises(errors.SupervisionError, match=r"no child 'x'; it has \['e'\]"):
            action("x")
        with pytest.raises(errors.InvalidSpec, match="by its name or its ref"):
            action(7)
    with pytest.raises(errors.NameTaken):
        tree.start_child(spec(Echo).options(name="e"))
    with pytest.raises(errors.InvalidSpec, match=r"start_child takes spec\(Class"):
        tree.start_child(1, 2)
    with pytest.raises(errors.SpawnError, match="Fault"):
        tree.start_child(spec(Crasher, "__init__"))
    assert tree.count_children().specs == 1
    tree.stop()
    with pytest.raises(errors.ActorStopped, match="supervisor has ended"):
        tree.children()
    assert tree.stop().kind is ExitKind.STOPPED


def test_dynamic_children_are_copies_of_one_spec(system):
    template = spec(Counter).options(name="n", restart=Restart.TRANSIENT)
    tree = system.supervise(Supervisor(template, strategy=Strategy.DYNAMIC))
    assert tree.children() == []
    refs = [tree.start_child(value) for value in (1, 2)] + [tree.start_child(value=3)]
    assert [ref.ask(Counter.get_value) for ref in refs] == [1, 2, 3]
    assert len({ref.name for ref in refs}) == 3
    assert all(ref.name.startswith("n-") for ref in refs)
    refs[1].ask(Counter.increment)
    kill(refs[1])
    assert refs[1].ask(Counter.get_value) == 2  # a fresh life, with its own arguments
    tree.terminate_child(refs[0])
    assert [child.name for child in tree.children()] == [refs[1].name, refs[2].name]
    with pytest.raises(errors.InvalidSpec, match="further arguments"):
        tree.start_child(spec(Counter))
    with pytest.raises(errors.SpawnError):
        tree.start_child("x", "y", "z")
    assert tree.count_children().active == 2


def test_an_actor_may_use_a_supervisors_ref(system):
    class Foreman(Actor):
        def hire(self, tree, value):
            return tree.start_child(value)

    tree = system.supervise(Supervisor(spec(Counter), strategy=Strategy.DYNAMIC))
    worker = system.spawn(Foreman).ask(Foreman.hire, tree, 5)
    assert worker.ask(Counter.get_value) == 5
    assert tree.count_children().active == 1


def test_what_a_tree_has_written_goes_with_it(system):
    folder = system._endpoint.path + "/actors"
    system.spawn(Echo).stop()
    before = sorted(os.listdir(folder))
    tree = system.supervise(
        Supervisor(spec(Counter), Supervisor(spec(Counter), strategy=Strategy.DYNAMIC, name="d"))
    )
    dynamic = tree.children()[1].ref
    for value in range(3):
        dynamic.start_child(value)
    tree.start_child(spec(Counter).options(name="x"))
    tree.terminate_child("x")
    tree.delete_child("x")
    tree.stop()
    assert sorted(os.listdir(folder)) == before


# -- significant children -----------------------------------------------------------------------


def test_the_end_of_a_significant_child_ends_the_tree(system, tmp_path):
    path = tmp_path / "diary"
    marked = spec(Diary, path, "b").options(name="b", significant=True, restart=Restart.TRANSIENT)
    tree = system.supervise(
        Supervisor(*diarists(path, "a"), marked, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    )
    system["b"].tell(Diary.leave)
    assert tree.wait(20.0).kind is ExitKind.NORMAL
    assert diary(path)[2:] == ["-b", "-a"]
    assert system.failure is None


def test_all_significant_children_must_end(system, tmp_path):
    marked = diarists(tmp_path / "diary", "ab", restart=Restart.TEMPORARY)
    marked = [child.options(significant=True) for child in marked]
    tree = system.supervise(
        Supervisor(*marked, spec(Echo), auto_shutdown=AutoShutdown.ALL_SIGNIFICANT)
    )
    kill(system["a"])
    eventually(lambda: tree.count_children().active == 2, "the first end")
    system["b"].tell(Diary.leave)
    assert tree.wait(20.0).kind is ExitKind.NORMAL


def test_siblings_finish_their_mailboxes_when_a_significant_child_ends_the_tree(
    system, gate, tmp_path
):
    record = tmp_path / "record"
    (marked,) = diarists(tmp_path / "diary", "a", restart=Restart.TRANSIENT)
    tree = system.supervise(
        Supervisor(
            spec(Recorder, record).options(name="recorder"),
            marked.options(significant=True),
            auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
        )
    )
    recorder = system["recorder"]
    recorder.tell(Recorder.record_at, 0, gate)
    gate.arrival()
    for number in range(1, 20):
        recorder.tell(Recorder.record, number)
    system["a"].tell(Diary.leave)
    eventually(lambda: recorder.status().state == "stopping", "the order to stop")
    gate.open()
    assert tree.wait(20.0).kind is ExitKind.NORMAL
    assert recorded(record) == list(range(20))
