"""Which ends bring an actor back, how often and how soon: by itself, and as a tree's child."""

from __future__ import annotations

import itertools

import pytest

from procactors.errors import RestartIntensityExceeded, SpawnError
from procactors.model import commands as c
from procactors.model.options import Backoff, Delivery, Restart
from tests.unit.supervision.plans import actor, tree
from tests.unit.supervision.world import WAITS, World

ENDS = {
    "leave": "ended normally",
    "crash": "raised Fault: on purpose",
    "exits": "exited with code 3",
    "kill": "ended by signal SIGKILL",
}
WHERE = ["alone", "late", "tree"]


def world_with(where, **options):
    """Return a world with one actor `a`, spawned or in a tree."""
    world = World(is_late=where == "late")
    if where == "tree":
        world.supervise(tree(actor("a", **options), max_restarts=options.get("max_restarts", 3)))
    else:
        assert world.spawn("a", **options).name == "a"
    return world


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize(("restart", "end"), list(itertools.product(Restart, ENDS)))
def test_restart_type_and_end_decide(where, restart, end):
    world = world_with(where, restart=restart)
    getattr(world, end)("a")
    abnormal = end != "leave"
    if restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and abnormal):
        assert (world.lives("a"), world.up_names()) == (2, ["a"])
        assert (world.state("a").last_crash is not None) is abnormal
    else:
        assert world.end_of("a") == ENDS[end]
        assert "a" not in world.core.actors


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("restart", Restart)
@pytest.mark.parametrize("order", [c.Stop, c.Kill])
def test_who_is_ordered_to_end_stays_down(where, restart, order):
    world = world_with(where, restart=restart)
    if order is c.Stop:
        assert str(world.stop("a")) == "stopped"
    else:
        assert "killed" in str(world.get(c.Kill(world.id_of("a"))))
    assert world.up_names() == []


@pytest.mark.parametrize("where", WHERE[:2])
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_one_restart_more_than_allowed_is_the_end(where, allowed, caplog):
    world = world_with(where, max_restarts=allowed)
    call = world.ask(c.Wait(world.id_of("a")))
    for life in range(1, allowed + 1):
        world.kill("a")
        assert world.lives("a") == life + 1
    assert world.answers[call] is WAITS
    world.kill("a")
    assert str(world.answers[call]) == "ended by signal SIGKILL"
    text = f"restart number {allowed + 1} within 5.0 s, allowed are {allowed}"
    assert text in caplog.text
    assert text in world.why["a"]
    assert world.failure is None
    assert not world.core.entries


@pytest.mark.parametrize("where", WHERE[:2])
def test_the_window_slides(where):
    world = world_with(where, max_restarts=1, within=2.0)
    for life in range(2, 7):
        world.kill("a")
        assert world.lives("a") == life
        world.wait(2.1)
    world.kill("a")
    world.kill("a")
    assert world.end_of("a") == ENDS["kill"]


@pytest.mark.parametrize("where", WHERE)
def test_the_second_restart_in_a_row_waits_for_its_backoff(where):
    world = world_with(where, backoff=Backoff(1.0, 8.0, 2.0), max_restarts=10)
    world.kill("a")
    assert world.lives("a") == 2
    for life, wait in enumerate((1.0, 2.0, 4.0), 2):
        world.kill("a")
        assert (world.lives("a"), world.state("a").state) == (life, "restarting")
        world.wait(wait - 0.01)
        assert world.lives("a") == life
        world.wait(0.02)
        assert (world.lives("a"), world.up_names()) == (life + 1, ["a"])


@pytest.mark.parametrize("where", WHERE)
def test_an_actor_that_waits_for_its_backoff_can_be_stopped(where):
    world = world_with(where, backoff=Backoff(1.0), max_restarts=10)
    world.kill("a")
    world.kill("a")
    assert "SIGKILL" in str(world.get(c.Stop(world.id_of("a"), None)))
    world.wait(60.0)
    assert world.take_log().count("start a") == 2


@pytest.mark.parametrize("where", WHERE[:2])
def test_a_first_start_that_fails_is_its_spawners_error(where):
    world = World(is_late=where == "late")
    world.broken["a"] = 1
    error = world.spawn("a")
    assert type(error) is SpawnError
    assert str(error) == "Actor (a) did not start: ValueError: broken"
    assert world.spawn("a").name == "a"  # its name is free


def test_a_start_without_a_process_is_its_spawners_error():
    world = World()
    world.refuses["a"] = 1
    assert "no process could be started: [Errno 24]" in str(world.spawn("a"))
    assert not world.core.actors


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("way", ["refuses", "broken"])
def test_a_restart_that_fails_is_tried_again_after_a_moment_and_counts(where, way):
    world = world_with(where, max_restarts=3)
    getattr(world, way)["a"] = 2
    world.kill("a")
    for _ in range(2):
        assert world.up_names() == []
        world.wait(0.11)
    assert (world.lives("a"), world.up_names()) == (4, ["a"])
    world.kill("a")
    world.wait(1.0)
    assert world.up_names() == []


@pytest.mark.parametrize("where", WHERE)
def test_a_start_that_hangs_is_killed_by_its_timeout(where):
    world = World(is_late=where == "late")
    world.slow.add("a")
    if where == "tree":
        call = world.ask(c.Supervise(tree(actor("a", start_timeout=3.0))))
    else:
        call = world.ask(c.Spawn("", "Actor", actor("a", start_timeout=3.0).options, 0))
    world.wait(2.9)
    assert world.answers[call] is WAITS
    world.wait(0.2)
    assert "its on_start took longer than start_timeout=3.0 s" in str(world.answers[call])


def test_a_start_whose_process_never_comes_has_the_backend_renewed():
    world = World(is_late=True)
    call = world.ask(c.Spawn("", "Actor", actor("a", start_timeout=3.0).options, 0))
    world.events.clear()
    world.wait(8.5)
    assert (world.take_log(), world.answers[call]) == (["start a", "overdue"], WAITS)
    world.supervision.event(lambda: world.supervision.lifecycle.start_lost(1))
    world.run()
    assert world.answers[call].name == "a"
    assert world.lives("a") == 1


@pytest.mark.parametrize("pooled", [False, True])
def test_what_ends_a_pools_worker_with_an_item_in_hand_is_not_counted(pooled):
    world = World()
    world.spawn("a", pooled=pooled, max_restarts=1)
    for _ in range(5):
        if world.end_of("a") is None:
            world.hosts["a"].work("Worker.batch")
            world.kill("a")
    assert (world.end_of("a") is None) is pooled
    if pooled:
        assert world.lives("a") == 6
        world.kill("a")
        world.kill("a")  # idle: that is its own
        assert world.end_of("a") == ENDS["kill"]


def test_a_temporary_worker_is_not_brought_back():
    world = World()
    world.spawn("a", pooled=True, restart=Restart.TEMPORARY)
    world.hosts["a"].work("Worker.batch")
    world.kill("a")
    assert world.end_of("a") == ENDS["kill"]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_message_is_begun_as_often_as_allowed(most):
    world = World()
    world.spawn("a", delivery=Delivery.AT_LEAST_ONCE, max_deliveries=most, max_restarts=10)
    for delivery in range(1, most + 1):
        assert world.broken_off == []
        world.hosts["a"].work("H.poison")
        world.kill("a")
        assert world.state("a").last_crash.deliveries == delivery
    ((name, handler, report),) = world.broken_off
    assert (name, handler, report.deliveries) == ("a", "H.poison", most)


def test_an_exception_is_not_delivered_again():
    world = World()
    world.spawn("a", delivery=Delivery.AT_LEAST_ONCE)
    world.hosts["a"].work("H.raises")
    world.crash("a")
    assert len(world.broken_off) == 1


@pytest.mark.parametrize("where", WHERE)
def test_a_recycling_is_no_restart(where):
    world = world_with(where, max_restarts=0)
    for life in range(2, 6):
        world.recycle("a")
        status = world.state("a")
        assert (status.incarnation, status.restarts, status.recycled) == (life, 0, life - 1)
        assert world.hosts["a"].life.report is None
    world.kill("a")
    assert world.up_names() == []


def test_a_recycling_does_not_begin_a_new_story():
    """A run as long as the window does, over all the lives that made way."""
    world = World()
    world.spawn("a", backoff=Backoff(1.0), max_restarts=10, within=4.0)
    world.kill("a")
    for _ in range(5):
        world.wait(1.0)
        world.recycle("a")
    world.kill("a")
    assert world.up_names() == ["a"]  # at once: it ran for five seconds
    world.wait(1.0)
    world.recycle("a")
    world.kill("a")
    assert world.up_names() == []  # but now for one


def test_an_actor_that_makes_way_while_it_is_stopped_goes_on_with_its_mailbox():
    world = World()
    world.spawn("a")
    world.stubborn.add("a")
    call = world.ask(c.Stop(world.id_of("a"), 5.0))
    world.stubborn.clear()
    world.recycle("a")
    assert str(world.answers[call]) == "stopped"
    assert world.lives("a") == 2


@pytest.mark.parametrize("where", ["alone", "tree"])
def test_an_actor_that_crashes_on_its_way_to_a_stop(where):
    """By itself it comes back to finish its mailbox; a tree's child stays down."""
    world = world_with(where)
    world.stubborn.add("a")
    call = world.ask(c.Stop(world.id_of("a"), 5.0))
    world.hosts["a"].stop()
    world.stubborn.clear()
    world.kill("a")
    assert (str(world.answers[call]), world.lives("a")) == {
        "alone": ("stopped", 2),
        "tree": ("ended by signal SIGKILL", 1),
    }[where]


def test_a_peak_that_comes_late_completes_the_report_and_holds_up_no_life():
    world = World()
    world.spawn("a")
    world.hosts["a"].work("H.large")
    world.hosts["a"].exit(-9, peak_comes=True)
    world.run()
    assert world.up_names() == ["a"]
    assert (world.broken_off, world.crashes) == ([], [])
    world.supervision.event(lambda: world.supervision.lifecycle.peak_known(1, 7_000_000))
    assert world.broken_off[0][2].peak_memory == world.crashes[0].peak_memory == 7_000_000
    assert world.state("a").last_crash == world.crashes[0]


@pytest.mark.parametrize("restart", [Restart.PERMANENT, Restart.TEMPORARY])
@pytest.mark.parametrize("comes_late", [False, True])
def test_what_a_process_had_open_is_swept_behind_the_answer_for_its_message(restart, comes_late):
    """With that answer a pool reads what the process had finished."""
    world = World()
    world.spawn("a", restart=restart)
    world.hosts["a"].work("H.large")
    world.hosts["a"].exit(-9, peak_comes=comes_late)
    world.wait(0.3)
    assert world.swept == [("a", 1)]


def test_an_end_for_good_waits_for_the_peak_so_that_all_are_told_it():
    world = World()
    world.spawn("a", restart=Restart.TEMPORARY)
    call = world.ask(c.Wait(world.id_of("a")))
    world.hosts["a"].exit(-9, peak_comes=True)
    world.run()
    assert (world.answers[call], world.state("a").state) == (WAITS, "stopping")
    world.ask(c.Kill(world.id_of("a")))  # changes nothing
    world.supervision.event(lambda: world.supervision.lifecycle.peak_known(1, 7_000_000))
    assert str(world.answers[call]) == ENDS["kill"]
    assert world.state("a").last_crash.peak_memory == 7_000_000


def test_a_peak_that_does_not_come_is_unknown():
    world = World()
    world.spawn("a", restart=Restart.TEMPORARY)
    world.hosts["a"].exit(-9, peak_comes=True)
    world.wait(0.3)
    assert world.end_of("a") == ENDS["kill"]
    assert world.state("a").last_crash.peak_memory == 0


def test_the_root_of_a_tree_that_gives_up_ends_the_system():
    world = world_with("tree", max_restarts=1)
    world.kill("a")
    assert world.failure is None
    world.kill("a")
    assert isinstance(world.failure, RestartIntensityExceeded)
    assert [str(death.reason) for death in world.failure.history] == [ENDS["kill"]] * 2


@pytest.mark.parametrize("most", [1, 3])
def test_each_of_several_messages_in_hand_is_handed_again_as_often_as_is_allowed(most):
    world = World()
    world.spawn("a", delivery=Delivery.AT_LEAST_ONCE, max_deliveries=most)
    host = world.hosts["a"]
    host.work("A.oldest")
    host.hold("A.next")
    for begun in range(1, most + 1):
        assert [message.deliveries for message in world.state("a").in_hand] == [begun, begun]
        world.kill("a")
        report = world.state("a").last_crash
        assert (report.handler, report.deliveries) == ("A.oldest", begun)
        assert [message.handler for message in report.in_hand] == ["A.oldest", "A.next"]
        host.work("A.oldest")
    assert [handler for _, handler, _ in world.broken_off] == ["A.oldest", "A.next"]


def test_without_delivery_again_each_of_several_messages_in_hand_is_lost():
    world = World()
    world.spawn("a")
    world.hosts["a"].work("A.oldest")
    world.hosts["a"].hold("A.next")
    world.kill("a")
    assert [handler for _, handler, _ in world.broken_off] == ["A.oldest", "A.next"]
    assert world.lives("a") == 2
