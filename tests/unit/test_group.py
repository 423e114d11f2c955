"""The policy of a supervisor's children, on a manual clock and against a small model."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from procactors.options import Backoff, Restart
from procactors.supervision import group as g
from procactors.supervision.group import (
    Close,
    Ending,
    Exit,
    Group,
    Member,
    Over,
    Phase,
    Ready,
    Stage,
    Start,
    Stop,
)
from procactors.tree import AutoShutdown, Strategy


def family(count=3, restart=Restart.PERMANENT, **flags):
    members = tuple(
        Member(key, restart=restart, significant=flags.pop(f"significant{key}", False))
        for key in range(count)
    )
    return Group(members=members, **flags)


def running(group):
    """Bring all of a group up."""
    group, orders = g.start(group)
    while orders and isinstance(orders[-1], Start):
        group, orders = g.started(group, orders[-1].key, 0.0)
    assert orders[-1] == Ready()
    return group


def stages(group):
    return [member.stage for member in group.members]


def settle(group, orders, now=1.0):
    """Carry out orders, each with success, until nothing is left; return (group, all orders)."""
    todo, seen = list(orders), []
    while todo:
        order = todo.pop(0)
        seen.append(order)
        if isinstance(order, Start):
            group, more = g.started(group, order.key, now)
        elif isinstance(order, Stop):
            group, more = g.exited(group, order.key, Exit.SHUTDOWN, now)
        else:
            more = ()
        todo = [*more, *todo]
    return group, seen


# -- start and stop -----------------------------------------------------------------------------


def test_children_start_in_order_each_after_the_former():
    group, orders = g.start(family(3))
    assert orders == (Start(0),)
    group, orders = g.started(group, 0, 0.0)
    assert orders == (Start(1),)
    group, orders = g.started(group, 1, 0.0)
    assert orders == (Start(2),)
    group, orders = g.started(group, 2, 0.0)
    assert orders == (Ready(),)
    assert group.phase is Phase.RUNNING
    assert stages(group) == [Stage.UP] * 3


def test_children_stop_in_reverse_order():
    group, orders = settle(*g.stop(running(family(3)), parks=False))
    assert orders == [
        Stop(2, False),
        Close(2),
        Stop(1, False),
        Close(1),
        Stop(0, False),
        Close(0),
        Over(Ending.ORDERED),
    ]
    assert group.phase is Phase.OVER


def test_a_supervisor_without_children_is_up_at_once():
    group, orders = g.start(Group())
    assert orders == (Ready(),)
    _, orders = g.stop(group, parks=False)
    assert orders == (Over(Ending.ORDERED),)


@pytest.mark.parametrize("failing", range(3))
def test_a_start_that_fails_undoes_what_was_started(failing):
    group, orders = g.start(family(3))
    for key in range(failing):
        group, orders = g.started(group, key, 0.0)
    assert orders == (Start(failing),)
    group, orders = settle(*g.exited(group, failing, Exit.ABNORMAL, 0.0))
    assert orders[:-1] == [Stop(key, True) for key in reversed(range(failing))]
    assert orders[-1] == Over(Ending.START_FAILED)


def test_a_start_that_fails_when_the_supervisor_is_restarted_keeps_every_mailbox():
    group = running(family(3, max_restarts=0))
    group, _ = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0))  # gives up
    group, orders = g.start(group)
    group, orders = g.started(group, 0, 2.0)
    assert orders == (Start(1),)
    group, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(0, True), Over(Ending.START_FAILED)]
    assert stages(group) == [Stage.PARKED] * 3
    _, orders = settle(*g.start(group))
    assert orders == [Start(0), Start(1), Start(2), Ready()]


def test_a_start_that_hangs_can_be_stopped():
    group, _ = g.start(family(2))
    group, orders = g.stop(group, parks=False)
    assert orders == (Stop(0, False),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 0.0)
    assert orders == (Close(0), Over(Ending.ORDERED))


def test_a_start_that_is_done_after_the_order_to_stop_changes_nothing():
    group, _ = g.start(family(2))
    group, _ = g.stop(group, parks=False)
    assert g.started(group, 0, 0.0) == (group, ())


# -- {permanent, transient, temporary} x {normal, shutdown, abnormal} ---------------------------


@pytest.mark.parametrize(
    ("restart", "how", "comes_back"),
    [
        (Restart.PERMANENT, Exit.NORMAL, True),
        (Restart.PERMANENT, Exit.SHUTDOWN, False),
        (Restart.PERMANENT, Exit.ABNORMAL, True),
        (Restart.TRANSIENT, Exit.NORMAL, False),
        (Restart.TRANSIENT, Exit.SHUTDOWN, False),
        (Restart.TRANSIENT, Exit.ABNORMAL, True),
        (Restart.TEMPORARY, Exit.NORMAL, False),
        (Restart.TEMPORARY, Exit.SHUTDOWN, False),
        (Restart.TEMPORARY, Exit.ABNORMAL, False),
    ],
)
def test_restart_type_and_exit_decide(restart, how, comes_back):
    group, orders = g.exited(running(family(3, restart)), 1, how, 1.0)
    if comes_back:
        assert orders == (Start(1),)
        assert stages(group) == [Stage.UP, Stage.STARTING, Stage.UP]
    else:
        assert orders == (Close(1),)
        left = [Stage.UP] * 2 if restart is Restart.TEMPORARY else [Stage.UP, Stage.IDLE, Stage.UP]
        assert stages(group) == left  # the spec of a temporary child goes with it
        assert group.restarts == ()


# -- strategies ---------------------------------------------------------------------------------


def test_one_for_one_restarts_the_one():
    group, orders = settle(*g.exited(running(family(3)), 1, Exit.ABNORMAL, 1.0))
    assert orders == [Start(1)]
    assert stages(group) == [Stage.UP] * 3


def test_one_for_one_restarts_two_side_by_side():
    group = running(family(3))
    group, first = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    group, second = g.exited(group, 2, Exit.ABNORMAL, 1.0)
    assert (first, second) == ((Start(1),), (Start(2),))


def test_one_for_all_stops_last_first_and_starts_first_first():
    group = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    group, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Stop(2, True), Stop(0, True), Start(0), Start(1), Start(2)]
    assert stages(group) == [Stage.UP] * 3
    assert len(group.restarts) == 1  # of the group, not one for each child


def test_rest_for_one_leaves_those_before_alone():
    group = running(family(4, strategy=Strategy.REST_FOR_ONE))
    group, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Stop(3, True), Stop(2, True), Start(1), Start(2), Start(3)]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_temporary_child_that_a_restart_stops_does_not_come_back(strategy):
    group = family(3, strategy=strategy)
    members = list(group.members)
    members[2] = replace(members[2], restart=Restart.TEMPORARY)
    group = running(replace(group, members=tuple(members)))
    group, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0))
    assert Start(2) not in orders
    assert orders[0] == Stop(2, False)  # nothing is kept for it
    assert orders[1] == Close(2)
    assert [member.key for member in group.members] == [0, 1]


def test_one_for_all_starts_those_too_that_had_ended_by_themselves():
    """OTP: all child processes are restarted, also a transient one that had ended normally."""
    group = running(family(3, Restart.TRANSIENT, strategy=Strategy.ONE_FOR_ALL))
    group, orders = g.exited(group, 2, Exit.NORMAL, 1.0)
    assert orders == (Close(2),)
    group, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(1, True), Start(0), Start(1), Start(2)]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_another_child_that_dies_while_the_group_is_lowered_is_no_further_restart(strategy):
    group = running(family(3, strategy=strategy))
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(2, True),)
    group, orders = g.exited(group, 1, Exit.ABNORMAL, 1.1)  # not its turn yet
    assert orders == ()
    group, orders = settle(*g.exited(group, 2, Exit.SHUTDOWN, 1.2))
    assert orders == [Start(0), Start(1), Start(2)]
    assert len(group.restarts) == 1


def test_a_child_that_dies_while_the_others_are_raised_is_the_next_restart():
    group = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    group, _ = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    group, _ = g.exited(group, 2, Exit.SHUTDOWN, 1.0)
    group, orders = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(0),)
    group, orders = g.started(group, 0, 1.0)
    assert orders == (Start(1),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.1)  # up already, and dead again
    assert orders == ()
    group, orders = g.started(group, 1, 1.2)
    assert orders == (Start(2),)
    group, orders = g.started(group, 2, 1.3)
    assert orders == (Stop(2, True),)  # the second restart begins
    group, orders = settle(group, orders)
    assert stages(group) == [Stage.UP] * 3
    assert group.phase is Phase.RUNNING
    assert len(group.restarts) == 2


def test_a_child_outside_the_scope_that_dies_meanwhile_is_dealt_with_after():
    group = running(family(3, strategy=Strategy.REST_FOR_ONE))
    group, orders = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(2, True),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    assert orders == ()
    group, orders = settle(*g.exited(group, 2, Exit.SHUTDOWN, 1.0))
    assert stages(group) == [Stage.UP] * 3
    assert len(group.restarts) == 2
    assert orders[0] == Start(1)


def test_a_temporary_child_that_dies_while_the_others_are_raised_is_forgotten():
    members = (Member(0), Member(1))
    group = running(Group(strategy=Strategy.ONE_FOR_ALL, members=members))
    group, _ = g.add(group, Member(2, restart=Restart.TEMPORARY, is_static=False))
    group, _ = g.started(group, 2, 1.0)
    group, _ = g.add(group, Member(3, is_static=False))
    group, _ = g.started(group, 3, 1.0)
    rest = replace(group, strategy=Strategy.REST_FOR_ONE)
    group, orders = g.exited(rest, 3, Exit.ABNORMAL, 1.0)
    assert orders == (Start(3),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)  # out of the scope: to be dealt with
    assert orders == ()
    group, orders = g.exited(group, 2, Exit.ABNORMAL, 1.0)
    group, orders = g.started(group, 3, 1.0)
    assert Close(2) in orders
    group, _ = settle(group, orders)
    assert [member.key for member in group.members] == [0, 1, 3]
    assert stages(group) == [Stage.UP] * 3


def test_a_child_that_is_being_terminated_ends_while_the_others_are_raised():
    group = running(family(3, strategy=Strategy.REST_FOR_ONE))
    group, orders = g.terminate(group, 0)
    assert orders == (Stop(0, False),)
    group, _ = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    group, orders = g.exited(group, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    group, orders = g.exited(group, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)  # and no second start beside the first
    _, orders = settle(*g.started(group, 1, 1.0))
    assert orders == [Start(2)]


def test_a_restart_whose_start_fails_is_one_more_restart_after_a_moment():
    group = running(family(3, strategy=Strategy.REST_FOR_ONE))
    group, _ = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    group, orders = g.exited(group, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    group, orders = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    assert orders == (Start(1, 0.1),)
    assert len(group.restarts) == 2


@pytest.mark.parametrize("restart", list(Restart)[:2])
def test_a_restart_that_fails_again_and_again_ends_in_giving_up(restart):
    group = running(family(2, restart, max_restarts=3))
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    for _ in range(2):
        group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
        assert isinstance(orders[0], Start)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(1, True),)
    group, orders = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Over(Ending.GAVE_UP),)


# -- intensity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.DYNAMIC])
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_one_restart_more_than_allowed_is_giving_up(strategy, allowed):
    group = running(family(3, strategy=strategy, max_restarts=allowed, within=5.0))
    for number in range(allowed):
        group, _ = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0 + number / 10))
        assert group.phase is Phase.RUNNING
    group, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(2, True), Stop(1, True), Over(Ending.GAVE_UP)]
    assert stages(group) == [Stage.PARKED] * 3  # mailboxes wait for the supervisor's own restart


def test_the_window_slides():
    group = running(family(1, max_restarts=2, within=5.0))
    for now in (1.0, 3.0, 6.5, 9.0, 12.0):
        group, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, now))
        assert orders == [Start(0)], now
    group, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, 13.0))
    assert orders == [Over(Ending.GAVE_UP)]


def test_a_supervisor_that_is_restarted_forgets_its_restarts_and_starts_parked_children():
    group = running(family(2, max_restarts=0))
    group, _ = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    group, orders = settle(*g.start(group))
    assert orders == [Start(0), Start(1), Ready()]
    assert group.restarts == ()


def test_the_backoff_grows_and_is_forgotten_after_a_stable_run():
    backoff = Backoff(initial=1.0, maximum=10.0, factor=2.0)
    group = Group(members=(Member(0, backoff=backoff),), max_restarts=10, within=5.0)
    group = running(group)
    waits, now = [], 1.0
    for _ in range(4):
        group, (order,) = g.exited(group, 0, Exit.ABNORMAL, now)
        waits.append(order.wait)
        now += 0.1
        group, _ = g.started(group, 0, now)
    assert waits == [0.0, 1.0, 2.0, 4.0]
    group, (order,) = g.exited(group, 0, Exit.ABNORMAL, now + 5.0)  # as long as the window
    assert order.wait == 0.0


def test_a_group_waits_once_before_its_first_start():
    backoff = Backoff(initial=1.0)
    members = tuple(Member(key, backoff=backoff) for key in range(2))
    group = running(Group(strategy=Strategy.ONE_FOR_ALL, members=members))
    group, _ = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0))
    _, orders = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.5))
    assert orders == [Stop(1, True), Start(0, 1.0), Start(1)]


# -- children that come and go ------------------------------------------------------------------


def test_a_child_is_added_behind_the_others():
    group, orders = g.add(running(family(2)), Member(7, is_static=False))
    assert orders == (Start(7),)
    group, _ = g.started(group, 7, 1.0)
    assert [member.key for member in group.members] == [0, 1, 7]
    _, orders = settle(*g.stop(group, parks=False))
    assert orders[0] == Stop(7, False)


def test_an_added_child_whose_start_fails_is_gone_and_no_restart():
    group, _ = g.add(running(family(2)), Member(7, is_static=False))
    group, orders = g.exited(group, 7, Exit.ABNORMAL, 1.0)
    assert orders == (Close(7),)
    assert [member.key for member in group.members] == [0, 1]
    assert group.restarts == ()


def test_added_children_go_when_the_supervisor_is_restarted():
    """OTP: the supervisor begins anew from its specs."""
    group, _ = g.add(running(family(1, max_restarts=0)), Member(7, is_static=False))
    group, _ = g.started(group, 7, 1.0)
    group, _ = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0))
    group, orders = settle(*g.start(group))
    assert orders == [Close(7), Start(0), Ready()]


def test_a_terminated_child_keeps_its_spec_and_can_be_launched():
    group, orders = g.terminate(running(family(2)), 0)
    assert orders == (Stop(0, False),)
    group, orders = g.exited(group, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert stages(group) == [Stage.IDLE, Stage.UP]
    group, orders = g.launch(group, 0)
    assert orders == (Start(0),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)  # whoever asked is told; no retry
    assert orders == (Close(0),)
    assert stages(group) == [Stage.IDLE, Stage.UP]
    assert [member.key for member in g.remove(group, 0).members] == [1]


@pytest.mark.parametrize("way", ["temporary", "dynamic"])
def test_a_terminated_temporary_or_dynamic_child_is_forgotten(way):
    if way == "temporary":
        group = running(family(1, Restart.TEMPORARY))
    else:
        group, _ = g.add(running(Group(strategy=Strategy.DYNAMIC)), Member(0, is_static=False))
        group, _ = g.started(group, 0, 0.0)
    group, _ = g.terminate(group, 0)
    group, orders = g.exited(group, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert group.members == ()


def test_a_dynamic_child_is_restarted_alone():
    group = running(Group(strategy=Strategy.DYNAMIC))
    for key in range(3):
        group, _ = g.add(group, Member(key, is_static=False))
        group, _ = g.started(group, key, 0.0)
    _, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Start(1)]


# -- significant children -----------------------------------------------------------------------


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
def test_the_first_significant_child_to_end_ends_the_supervisor(restart):
    group = family(3, restart, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant1=True)
    group = running(group)
    group, orders = g.exited(group, 0, Exit.NORMAL, 1.0)  # not significant
    assert orders == (Close(0),)
    group, orders = settle(*g.exited(group, 1, Exit.NORMAL, 1.0))
    # An orderly end: the others finish their mailboxes.
    assert orders == [Close(1), Stop(2, False), Close(2), Over(Ending.AUTO_SHUTDOWN)]


def test_the_last_significant_child_to_end_ends_the_supervisor():
    group = family(
        3,
        Restart.TRANSIENT,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        significant0=True,
        significant1=True,
    )
    group = running(group)
    group, orders = g.exited(group, 0, Exit.NORMAL, 1.0)
    assert orders == (Close(0),)
    group, orders = settle(*g.exited(group, 1, Exit.NORMAL, 1.0))
    assert orders[-1] == Over(Ending.AUTO_SHUTDOWN)


def test_a_significant_child_that_crashes_is_restarted_and_ends_nothing():
    group = family(
        1, Restart.TRANSIENT, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant0=True
    )
    _, orders = g.exited(running(group), 0, Exit.ABNORMAL, 1.0)
    assert orders == (Start(0),)


def test_a_significant_child_that_was_terminated_ends_nothing():
    group = family(
        2, Restart.TRANSIENT, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant0=True
    )
    group, _ = g.terminate(running(group), 0)
    group, orders = g.exited(group, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert group.phase is Phase.RUNNING


# -- orders in odd moments ----------------------------------------------------------------------


def lowered(count=3, **flags):
    """Return a ONE_FOR_ALL group in which the first child's death has lowered all."""
    group = running(family(count, strategy=Strategy.ONE_FOR_ALL, **flags))
    group, _ = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    return group


def test_a_child_that_is_to_end_for_good_is_not_raised_with_the_others():
    group, orders = g.terminate(lowered(), 2)
    assert orders == ()  # it is being stopped already
    group, orders = settle(*g.exited(group, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Close(2), Stop(1, True), Start(0), Start(1)]
    assert stages(group) == [Stage.UP, Stage.UP, Stage.IDLE]


def test_a_child_that_somebody_has_stopped_before_its_turn_is_not_raised():
    group, orders = g.exited(lowered(), 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(1),)
    group, orders = settle(*g.exited(group, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Start(0), Start(2)]


def test_a_parked_child_that_somebody_stops_is_not_raised():
    group, orders = g.terminate(lowered(), 0)
    assert orders == (Close(0),)
    _, orders = settle(*g.exited(group, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Stop(1, True), Start(1), Start(2)]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RAISING])
def test_a_child_that_somebody_stops_while_it_is_raised_is_not_started_again(phase):
    if phase is Phase.RAISING:
        group, orders = g.exited(lowered(), 2, Exit.SHUTDOWN, 1.0)
        group, orders = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    else:
        group, orders = g.start(family(3))
    assert (group.phase, orders) == (phase, (Start(0),))
    group, orders = settle(*g.exited(group, 0, Exit.SHUTDOWN, 1.0))
    assert [order for order in orders if order != Ready()] == [Close(0), Start(1), Start(2)]
    assert stages(group) == [Stage.IDLE, Stage.UP, Stage.UP]


def test_a_start_that_was_asked_for_and_fails_in_a_restart_keeps_nobody_waiting():
    group = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    group, _ = settle(*g.terminate(group, 1))
    group, orders = g.launch(group, 1)
    assert orders == (Start(1),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    group, orders = g.exited(group, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Stop(1, True),)
    group, orders = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    group, orders = g.started(group, 0, 1.0)
    assert orders == (Start(1),)
    group, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Close(1), Start(2)]
    assert group.phase is Phase.RUNNING


def test_a_start_that_was_asked_for_is_one_of_all_once_the_supervisor_is_restarted():
    group = running(family(2, max_restarts=0))
    group, _ = settle(*g.terminate(group, 1))
    group, _ = g.launch(group, 1)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(1, True),)
    group, _ = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    group, orders = g.start(group)
    group, orders = g.started(group, 0, 2.0)
    assert orders == (Start(1),)
    _, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(0, True), Over(Ending.START_FAILED)]


def test_a_restart_that_fails_while_the_supervisor_stops_is_not_tried_again():
    group = running(family(2))
    group, _ = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    group, orders = g.stop(group, parks=False)
    assert orders == (Stop(1, False),)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Close(0),)
    _, orders = g.exited(group, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(1), Over(Ending.ORDERED))


def test_an_added_child_that_is_down_goes_when_the_supervisor_is_restarted():
    group, _ = g.add(running(family(1, max_restarts=0)), Member(7, is_static=False))
    group, _ = g.started(group, 7, 1.0)
    group, _ = settle(*g.terminate(group, 7))
    group, _ = settle(*g.exited(group, 0, Exit.ABNORMAL, 1.0))
    _, orders = settle(*g.start(group))
    assert orders == [Close(7), Start(0), Ready()]


def test_a_temporary_child_that_died_before_the_supervisor_gave_up_stays_away():
    group = family(3, strategy=Strategy.REST_FOR_ONE, max_restarts=1)
    members = list(group.members)
    members[0] = replace(members[0], restart=Restart.TEMPORARY)
    group = running(replace(group, members=tuple(members)))
    group, _ = g.exited(group, 1, Exit.ABNORMAL, 1.0)
    group, orders = g.exited(group, 0, Exit.ABNORMAL, 1.0)  # to be dealt with after the restart
    assert orders == ()
    group, orders = g.exited(group, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    group, orders = settle(*g.exited(group, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Close(0), Over(Ending.GAVE_UP)]
    assert [member.key for member in group.members] == [1, 2]


# -- anything, in any order ---------------------------------------------------------------------


class AnySupervisor(RuleBasedStateMachine):
    """Random events against a model that knows only which children run and which are asked for."""

    @initialize(
        strategy=st.sampled_from([s for s in Strategy if s is not Strategy.DYNAMIC]),
        restarts=st.lists(st.sampled_from(list(Restart)), min_size=1, max_size=5),
        allowed=st.integers(0, 4),
        auto=st.sampled_from(list(AutoShutdown)),
        significant=st.sets(st.integers(0, 4)),
    )
    def begin(self, strategy, restarts, allowed, auto, significant):
        members = tuple(
            Member(
                key,
                restart=restart,
                significant=key in significant and restart is not Restart.PERMANENT,
            )
            for key, restart in enumerate(restarts)
        )
        self.now = 0.0
        self.keys = itertools.count(len(members))
        self.alive: set[int] = set()  # has a process
        self.to_start: list[int] = []  # ordered to start
        self.to_stop: list[int] = []
        self.over: Ending | None = None
        self.stopped = False
        self.crashes: list[float] = []
        group = Group(
            strategy=strategy,
            members=members,
            max_restarts=allowed,
            within=5.0,
            auto_shutdown=auto,
        )
        self.group = group
        self.take(g.start(group))

    def take(self, step):
        self.group, orders = step
        for order in orders:
            assert self.over is None, "an order after the end"
            if isinstance(order, Start):
                assert order.key not in self.alive, "a start of a child that runs"
                assert order.key not in self.to_start, "two starts of one child"
                self.to_start.append(order.key)
            elif isinstance(order, Stop):
                assert order.key in self.alive or order.key in self.to_start
                assert order.key not in self.to_stop, "two stops of one child"
                self.to_stop.append(order.key)
            elif isinstance(order, Close):
                assert order.key not in self.alive, "a close of a child that runs"
            elif isinstance(order, Over):
                assert not self.alive, "over with children that run"
                assert not self.to_start
                self.over = order.ending

    @rule(later=st.floats(0.01, 3.0))
    def time_passes(self, later):
        self.now += later

    @precondition(lambda self: self.to_start)
    @rule(
        pick=st.randoms(use_true_random=False),
        works=st.booleans(),
        how=st.sampled_from([Exit.ABNORMAL, Exit.SHUTDOWN]),
    )
    def a_start_ends(self, pick, works, how):
        key = pick.choice(self.to_start)
        self.to_start.remove(key)
        if works:
            self.alive.add(key)
            self.take(g.started(self.group, key, self.now))
        else:
            if key in self.to_stop:
                self.to_stop.remove(key)
            self.take(g.exited(self.group, key, how, self.now))

    @precondition(lambda self: self.alive)
    @rule(pick=st.randoms(use_true_random=False), how=st.sampled_from(list(Exit)))
    def a_child_ends(self, pick, how):
        key = pick.choice(sorted(self.alive))
        self.alive.remove(key)
        if key in self.to_stop:
            self.to_stop.remove(key)
        self.take(g.exited(self.group, key, how, self.now))

    @precondition(lambda self: self.over is None and self.group.phase is Phase.RUNNING)
    @rule(restart=st.sampled_from(list(Restart)))
    def a_child_is_added(self, restart):
        self.take(g.add(self.group, Member(next(self.keys), restart=restart, is_static=False)))

    @precondition(lambda self: self.over is None and self.group.phase is Phase.RUNNING)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_is_terminated(self, pick):
        up = [m.key for m in self.group.members if m.stage in (Stage.UP, Stage.STARTING)]
        if up:
            self.take(g.terminate(self.group, pick.choice(up)))

    @precondition(lambda self: self.over is None)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_that_is_stopped_or_parked_is_to_end_for_good(self, pick):
        down = [m.key for m in self.group.members if m.stage in (Stage.STOPPING, Stage.PARKED)]
        if down:
            key = pick.choice(down)
            self.take(g.terminate(self.group, key))

    @precondition(lambda self: self.over is None and self.group.phase is Phase.RUNNING)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_is_launched(self, pick):
        idle = [m.key for m in self.group.members if m.stage is Stage.IDLE]
        if idle:
            self.take(g.launch(self.group, pick.choice(idle)))

    @rule(parks=st.booleans())
    def it_is_stopped(self, parks):
        if self.over is None:
            self.take(g.stop(self.group, parks=parks))

    @precondition(lambda self: self.over not in (None, Ending.ORDERED))
    @rule()
    def it_is_restarted(self):
        self.over = None
        self.take(g.start(self.group))

    @invariant()
    def stages_tell_the_truth(self):
        for member in self.group.members:
            key = member.key
            if member.stage is Stage.UP:
                assert key in self.alive
            if member.stage in (Stage.IDLE, Stage.PARKED):
                assert key not in self.alive
            if member.stage is Stage.STARTING:
                assert key in self.to_start
            if member.stage is Stage.STOPPING:
                assert key in self.to_stop
        assert self.alive <= {member.key for member in self.group.members}

    @invariant()
    def something_is_always_under_way_or_done(self):
        """Whatever it is doing, an outcome is awaited that brings it on: it never gets stuck."""
        if self.group.phase not in (Phase.RUNNING, Phase.OVER):
            assert self.to_start or self.to_stop

    @invariant()
    def a_running_group_has_no_child_in_between(self):
        if self.group.phase is Phase.RUNNING:
            assert all(m.stage is not Stage.PARKED for m in self.group.members)
            assert not self.group.pending

    @invariant()
    def no_more_restarts_than_allowed(self):
        if self.group.phase in (Phase.RUNNING, Phase.LOWERING, Phase.RAISING):
            recent = [at for at in self.group.restarts if self.now - at <= self.group.within]
            assert len(recent) <= self.group.max_restarts


TestAnySupervisor = AnySupervisor.TestCase
TestAnySupervisor.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
