"""The restart engine: OTP's rules, spawned actors, backoff; on a manual clock, against a model."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from procactors.model.options import Backoff, Options, Restart
from procactors.model.tree import AutoShutdown, Strategy
from procactors.supervision import engine
from procactors.supervision.engine import (
    ChildState,
    Close,
    Ending,
    Exit,
    Over,
    Phase,
    Ready,
    Stage,
    Start,
    Stop,
    SupervisorState,
)


def family(count=3, restart=Restart.PERMANENT, **flags):
    children = tuple(
        ChildState(key, restart=restart, significant=flags.pop(f"significant{key}", False))
        for key in range(count)
    )
    return SupervisorState(children=children, **flags)


def running(state):
    """Bring all of a state up."""
    state, orders = engine.start(state)
    while orders and isinstance(orders[-1], Start):
        state, orders = engine.started(state, orders[-1].key, 0.0)
    assert orders[-1] == Ready()
    return state


def stages(state):
    return [child.stage for child in state.children]


def settle(state, orders, now=1.0):
    """Carry out orders, each with success, until nothing is left; return (state, all orders)."""
    todo, seen = list(orders), []
    while todo:
        order = todo.pop(0)
        seen.append(order)
        if isinstance(order, Start):
            state, more = engine.started(state, order.key, now)
        elif isinstance(order, Stop):
            state, more = engine.exited(state, order.key, Exit.SHUTDOWN, now)
        else:
            more = ()
        todo = [*more, *todo]
    return state, seen


# -- start and stop -----------------------------------------------------------------------------


def test_children_start_in_order_each_after_the_former():
    state, orders = engine.start(family(3))
    assert orders == (Start(0),)
    state, orders = engine.started(state, 0, 0.0)
    assert orders == (Start(1),)
    state, orders = engine.started(state, 1, 0.0)
    assert orders == (Start(2),)
    state, orders = engine.started(state, 2, 0.0)
    assert orders == (Ready(),)
    assert state.phase is Phase.RUNNING
    assert stages(state) == [Stage.UP] * 3


def test_children_stop_in_reverse_order():
    state, orders = settle(*engine.stop(running(family(3)), parks=False))
    assert orders == [
        Stop(2, False),
        Close(2),
        Stop(1, False),
        Close(1),
        Stop(0, False),
        Close(0),
        Over(Ending.ORDERED),
    ]
    assert state.phase is Phase.OVER


def test_a_supervisor_without_children_is_up_at_once():
    state, orders = engine.start(SupervisorState())
    assert orders == (Ready(),)
    _, orders = engine.stop(state, parks=False)
    assert orders == (Over(Ending.ORDERED),)


@pytest.mark.parametrize("failing", range(3))
def test_a_start_that_fails_undoes_what_was_started(failing):
    state, orders = engine.start(family(3))
    for key in range(failing):
        state, orders = engine.started(state, key, 0.0)
    assert orders == (Start(failing),)
    state, orders = settle(*engine.exited(state, failing, Exit.ABNORMAL, 0.0))
    assert orders[:-1] == [Stop(key, True) for key in reversed(range(failing))]
    assert orders[-1] == Over(Ending.START_FAILED)


def test_a_start_that_fails_when_the_supervisor_is_restarted_keeps_every_mailbox():
    state = running(family(3, max_restarts=0))
    state, _ = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0))  # gives up
    state, orders = engine.start(state)
    state, orders = engine.started(state, 0, 2.0)
    assert orders == (Start(1),)
    state, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(0, True), Over(Ending.START_FAILED)]
    assert stages(state) == [Stage.PARKED] * 3
    _, orders = settle(*engine.start(state))
    assert orders == [Start(0), Start(1), Start(2), Ready()]


def test_a_start_that_hangs_can_be_stopped():
    state, _ = engine.start(family(2))
    state, orders = engine.stop(state, parks=False)
    assert orders == (Stop(0, False),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 0.0)
    assert orders == (Close(0), Over(Ending.ORDERED))


def test_a_start_that_is_done_after_the_order_to_stop_changes_nothing():
    state, _ = engine.start(family(2))
    state, _ = engine.stop(state, parks=False)
    assert engine.started(state, 0, 0.0) == (state, ())


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
    state, orders = engine.exited(running(family(3, restart)), 1, how, 1.0)
    if comes_back:
        assert orders == (Start(1),)
        assert stages(state) == [Stage.UP, Stage.STARTING, Stage.UP]
    else:
        assert orders == (Close(1),)
        left = [Stage.UP] * 2 if restart is Restart.TEMPORARY else [Stage.UP, Stage.IDLE, Stage.UP]
        assert stages(state) == left  # the spec of a temporary child goes with it
        assert state.restarts == ()


# -- strategies ---------------------------------------------------------------------------------


def test_one_for_one_restarts_the_one():
    state, orders = settle(*engine.exited(running(family(3)), 1, Exit.ABNORMAL, 1.0))
    assert orders == [Start(1)]
    assert stages(state) == [Stage.UP] * 3


def test_one_for_one_restarts_two_side_by_side():
    state = running(family(3))
    state, first = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    state, second = engine.exited(state, 2, Exit.ABNORMAL, 1.0)
    assert (first, second) == ((Start(1),), (Start(2),))


def test_one_for_all_stops_last_first_and_starts_first_first():
    state = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    state, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Stop(2, True), Stop(0, True), Start(0), Start(1), Start(2)]
    assert stages(state) == [Stage.UP] * 3
    assert len(state.restarts) == 1  # of the state, not one for each child


def test_rest_for_one_leaves_those_before_alone():
    state = running(family(4, strategy=Strategy.REST_FOR_ONE))
    state, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Stop(3, True), Stop(2, True), Start(1), Start(2), Start(3)]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_a_temporary_child_that_a_restart_stops_does_not_come_back(strategy):
    state = family(3, strategy=strategy)
    children = list(state.children)
    children[2] = replace(children[2], restart=Restart.TEMPORARY)
    state = running(replace(state, children=tuple(children)))
    state, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0))
    assert Start(2) not in orders
    assert orders[0] == Stop(2, False)  # nothing is kept for it
    assert orders[1] == Close(2)
    assert [child.key for child in state.children] == [0, 1]


def test_one_for_all_starts_those_too_that_had_ended_by_themselves():
    """OTP: all child processes are restarted, also a transient one that had ended normally."""
    state = running(family(3, Restart.TRANSIENT, strategy=Strategy.ONE_FOR_ALL))
    state, orders = engine.exited(state, 2, Exit.NORMAL, 1.0)
    assert orders == (Close(2),)
    state, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(1, True), Start(0), Start(1), Start(2)]


@pytest.mark.parametrize("strategy", [Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE])
def test_another_child_that_dies_while_the_group_is_lowered_is_no_further_restart(strategy):
    state = running(family(3, strategy=strategy))
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(2, True),)
    state, orders = engine.exited(state, 1, Exit.ABNORMAL, 1.1)  # not its turn yet
    assert orders == ()
    state, orders = settle(*engine.exited(state, 2, Exit.SHUTDOWN, 1.2))
    assert orders == [Start(0), Start(1), Start(2)]
    assert len(state.restarts) == 1


def test_a_child_that_dies_while_the_others_are_raised_is_the_next_restart():
    state = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    state, _ = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    state, _ = engine.exited(state, 2, Exit.SHUTDOWN, 1.0)
    state, orders = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(0),)
    state, orders = engine.started(state, 0, 1.0)
    assert orders == (Start(1),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.1)  # up already, and dead again
    assert orders == ()
    state, orders = engine.started(state, 1, 1.2)
    assert orders == (Start(2),)
    state, orders = engine.started(state, 2, 1.3)
    assert orders == (Stop(2, True),)  # the second restart begins
    state, orders = settle(state, orders)
    assert stages(state) == [Stage.UP] * 3
    assert state.phase is Phase.RUNNING
    assert len(state.restarts) == 2


def test_a_child_outside_the_scope_that_dies_meanwhile_is_dealt_with_after():
    state = running(family(3, strategy=Strategy.REST_FOR_ONE))
    state, orders = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(2, True),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == ()
    state, orders = settle(*engine.exited(state, 2, Exit.SHUTDOWN, 1.0))
    assert stages(state) == [Stage.UP] * 3
    assert len(state.restarts) == 2
    assert orders[0] == Start(1)


def test_a_temporary_child_that_dies_while_the_others_are_raised_is_forgotten():
    children = (ChildState(0), ChildState(1))
    state = running(SupervisorState(strategy=Strategy.ONE_FOR_ALL, children=children))
    state, _ = engine.add(state, ChildState(2, restart=Restart.TEMPORARY, is_static=False))
    state, _ = engine.started(state, 2, 1.0)
    state, _ = engine.add(state, ChildState(3, is_static=False))
    state, _ = engine.started(state, 3, 1.0)
    rest = replace(state, strategy=Strategy.REST_FOR_ONE)
    state, orders = engine.exited(rest, 3, Exit.ABNORMAL, 1.0)
    assert orders == (Start(3),)
    state, orders = engine.exited(
        state, 0, Exit.ABNORMAL, 1.0
    )  # out of the scope: to be dealt with
    assert orders == ()
    state, orders = engine.exited(state, 2, Exit.ABNORMAL, 1.0)
    state, orders = engine.started(state, 3, 1.0)
    assert Close(2) in orders
    state, _ = settle(state, orders)
    assert [child.key for child in state.children] == [0, 1, 3]
    assert stages(state) == [Stage.UP] * 3


def test_a_child_that_is_being_terminated_ends_while_the_others_are_raised():
    state = running(family(3, strategy=Strategy.REST_FOR_ONE))
    state, orders = engine.terminate(state, 0)
    assert orders == (Stop(0, False),)
    state, _ = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(state, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)  # and no second start beside the first
    _, orders = settle(*engine.started(state, 1, 1.0))
    assert orders == [Start(2)]


def test_a_restart_whose_start_fails_is_one_more_restart_after_a_moment():
    state = running(family(3, strategy=Strategy.REST_FOR_ONE))
    state, _ = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(state, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    state, orders = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    assert orders == (Start(1, 0.1),)
    assert len(state.restarts) == 2


@pytest.mark.parametrize("restart", list(Restart)[:2])
def test_a_restart_that_fails_again_and_again_ends_in_giving_up(restart):
    state = running(family(2, restart, max_restarts=3))
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    for _ in range(2):
        state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
        assert isinstance(orders[0], Start)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(1, True),)
    state, orders = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Over(Ending.GAVE_UP),)


# -- intensity ----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.DYNAMIC])
@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_one_restart_more_than_allowed_is_giving_up(strategy, allowed):
    state = running(family(3, strategy=strategy, max_restarts=allowed, within=5.0))
    for number in range(allowed):
        state, _ = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0 + number / 10))
        assert state.phase is Phase.RUNNING
    state, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(2, True), Stop(1, True), Over(Ending.GAVE_UP)]
    assert stages(state) == [Stage.PARKED] * 3  # mailboxes wait for the supervisor's own restart


def test_the_window_slides():
    state = running(family(1, max_restarts=2, within=5.0))
    for now in (1.0, 3.0, 6.5, 9.0, 12.0):
        state, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, now))
        assert orders == [Start(0)], now
    state, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, 13.0))
    assert orders == [Over(Ending.GAVE_UP)]


def test_a_supervisor_that_is_restarted_forgets_its_restarts_and_starts_parked_children():
    state = running(family(2, max_restarts=0))
    state, _ = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    state, orders = settle(*engine.start(state))
    assert orders == [Start(0), Start(1), Ready()]
    assert state.restarts == ()


def test_the_backoff_grows_and_is_forgotten_after_a_stable_run():
    backoff = Backoff(initial=1.0, maximum=10.0, factor=2.0)
    state = SupervisorState(children=(ChildState(0, backoff=backoff),), max_restarts=10, within=5.0)
    state = running(state)
    waits, now = [], 1.0
    for _ in range(4):
        state, (order,) = engine.exited(state, 0, Exit.ABNORMAL, now)
        waits.append(order.wait)
        now += 0.1
        state, _ = engine.started(state, 0, now)
    assert waits == [0.0, 1.0, 2.0, 4.0]
    state, (order,) = engine.exited(state, 0, Exit.ABNORMAL, now + 5.0)  # as long as the window
    assert order.wait == 0.0


def test_a_group_waits_once_before_its_first_start():
    backoff = Backoff(initial=1.0)
    children = tuple(ChildState(key, backoff=backoff) for key in range(2))
    state = running(SupervisorState(strategy=Strategy.ONE_FOR_ALL, children=children))
    state, _ = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0))
    _, orders = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.5))
    assert orders == [Stop(1, True), Start(0, 1.0), Start(1)]


# -- children that come and go ------------------------------------------------------------------


def test_a_child_is_added_behind_the_others():
    state, orders = engine.add(running(family(2)), ChildState(7, is_static=False))
    assert orders == (Start(7),)
    state, _ = engine.started(state, 7, 1.0)
    assert [child.key for child in state.children] == [0, 1, 7]
    _, orders = settle(*engine.stop(state, parks=False))
    assert orders[0] == Stop(7, False)


def test_an_added_child_whose_start_fails_is_gone_and_no_restart():
    state, _ = engine.add(running(family(2)), ChildState(7, is_static=False))
    state, orders = engine.exited(state, 7, Exit.ABNORMAL, 1.0)
    assert orders == (Close(7),)
    assert [child.key for child in state.children] == [0, 1]
    assert state.restarts == ()


def test_added_children_go_when_the_supervisor_is_restarted():
    """OTP: the supervisor begins anew from its specs."""
    state, _ = engine.add(running(family(1, max_restarts=0)), ChildState(7, is_static=False))
    state, _ = engine.started(state, 7, 1.0)
    state, _ = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0))
    state, orders = settle(*engine.start(state))
    assert orders == [Close(7), Start(0), Ready()]


def test_a_terminated_child_keeps_its_spec_and_can_be_launched():
    state, orders = engine.terminate(running(family(2)), 0)
    assert orders == (Stop(0, False),)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert stages(state) == [Stage.IDLE, Stage.UP]
    state, orders = engine.launch(state, 0)
    assert orders == (Start(0),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)  # whoever asked is told; no retry
    assert orders == (Close(0),)
    assert stages(state) == [Stage.IDLE, Stage.UP]
    assert [child.key for child in engine.remove(state, 0).children] == [1]


@pytest.mark.parametrize("way", ["temporary", "dynamic"])
def test_a_terminated_temporary_or_dynamic_child_is_forgotten(way):
    if way == "temporary":
        state = running(family(1, Restart.TEMPORARY))
    else:
        state, _ = engine.add(
            running(SupervisorState(strategy=Strategy.DYNAMIC)), ChildState(0, is_static=False)
        )
        state, _ = engine.started(state, 0, 0.0)
    state, _ = engine.terminate(state, 0)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert state.children == ()


def test_a_dynamic_child_is_restarted_alone():
    state = running(SupervisorState(strategy=Strategy.DYNAMIC))
    for key in range(3):
        state, _ = engine.add(state, ChildState(key, is_static=False))
        state, _ = engine.started(state, key, 0.0)
    _, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Start(1)]


# -- significant children -----------------------------------------------------------------------


@pytest.mark.parametrize("restart", [Restart.TRANSIENT, Restart.TEMPORARY])
def test_the_first_significant_child_to_end_ends_the_supervisor(restart):
    state = family(3, restart, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant1=True)
    state = running(state)
    state, orders = engine.exited(state, 0, Exit.NORMAL, 1.0)  # not significant
    assert orders == (Close(0),)
    state, orders = settle(*engine.exited(state, 1, Exit.NORMAL, 1.0))
    # An orderly end: the others finish their mailboxes.
    assert orders == [Close(1), Stop(2, False), Close(2), Over(Ending.AUTO_SHUTDOWN)]


def test_the_last_significant_child_to_end_ends_the_supervisor():
    state = family(
        3,
        Restart.TRANSIENT,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        significant0=True,
        significant1=True,
    )
    state = running(state)
    state, orders = engine.exited(state, 0, Exit.NORMAL, 1.0)
    assert orders == (Close(0),)
    state, orders = settle(*engine.exited(state, 1, Exit.NORMAL, 1.0))
    assert orders[-1] == Over(Ending.AUTO_SHUTDOWN)


def test_a_significant_child_that_crashes_is_restarted_and_ends_nothing():
    state = family(
        1, Restart.TRANSIENT, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant0=True
    )
    _, orders = engine.exited(running(state), 0, Exit.ABNORMAL, 1.0)
    assert orders == (Start(0),)


def test_a_significant_child_that_was_terminated_ends_nothing():
    state = family(
        2, Restart.TRANSIENT, auto_shutdown=AutoShutdown.ANY_SIGNIFICANT, significant0=True
    )
    state, _ = engine.terminate(running(state), 0)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(0),)
    assert state.phase is Phase.RUNNING


# -- orders in odd moments ----------------------------------------------------------------------


def lowered(count=3, **flags):
    """Return a ONE_FOR_ALL state in which the first child's death has lowered all."""
    state = running(family(count, strategy=Strategy.ONE_FOR_ALL, **flags))
    state, _ = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    return state


def test_a_child_that_is_to_end_for_good_is_not_raised_with_the_others():
    state, orders = engine.terminate(lowered(), 2)
    assert orders == ()  # it is being stopped already
    state, orders = settle(*engine.exited(state, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Close(2), Stop(1, True), Start(0), Start(1)]
    assert stages(state) == [Stage.UP, Stage.UP, Stage.IDLE]


def test_a_child_that_somebody_has_stopped_before_its_turn_is_not_raised():
    state, orders = engine.exited(lowered(), 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(1),)
    state, orders = settle(*engine.exited(state, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Start(0), Start(2)]


def test_a_parked_child_that_somebody_stops_is_not_raised():
    state, orders = engine.terminate(lowered(), 0)
    assert orders == (Close(0),)
    _, orders = settle(*engine.exited(state, 2, Exit.SHUTDOWN, 1.0))
    assert orders == [Stop(1, True), Start(1), Start(2)]


@pytest.mark.parametrize("phase", [Phase.STARTING, Phase.RAISING])
def test_a_child_that_somebody_stops_while_it_is_raised_is_not_started_again(phase):
    if phase is Phase.RAISING:
        state, orders = engine.exited(lowered(), 2, Exit.SHUTDOWN, 1.0)
        state, orders = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    else:
        state, orders = engine.start(family(3))
    assert (state.phase, orders) == (phase, (Start(0),))
    state, orders = settle(*engine.exited(state, 0, Exit.SHUTDOWN, 1.0))
    assert [order for order in orders if order != Ready()] == [Close(0), Start(1), Start(2)]
    assert stages(state) == [Stage.IDLE, Stage.UP, Stage.UP]


def test_a_start_that_was_asked_for_and_fails_in_a_restart_keeps_nobody_waiting():
    state = running(family(3, strategy=Strategy.ONE_FOR_ALL))
    state, _ = settle(*engine.terminate(state, 1))
    state, orders = engine.launch(state, 1)
    assert orders == (Start(1),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(state, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Stop(1, True),)
    state, orders = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    state, orders = engine.started(state, 0, 1.0)
    assert orders == (Start(1),)
    state, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Close(1), Start(2)]
    assert state.phase is Phase.RUNNING


def test_a_start_that_was_asked_for_is_one_of_all_once_the_supervisor_is_restarted():
    state = running(family(2, max_restarts=0))
    state, _ = settle(*engine.terminate(state, 1))
    state, _ = engine.launch(state, 1)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Stop(1, True),)
    state, _ = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    state, orders = engine.start(state)
    state, orders = engine.started(state, 0, 2.0)
    assert orders == (Start(1),)
    _, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 2.0))
    assert orders == [Stop(0, True), Over(Ending.START_FAILED)]


def test_a_restart_that_fails_while_the_supervisor_stops_is_not_tried_again():
    state = running(family(2))
    state, _ = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    state, orders = engine.stop(state, parks=False)
    assert orders == (Stop(1, False),)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Close(0),)
    _, orders = engine.exited(state, 1, Exit.SHUTDOWN, 1.0)
    assert orders == (Close(1), Over(Ending.ORDERED))


def test_an_added_child_that_is_down_goes_when_the_supervisor_is_restarted():
    state, _ = engine.add(running(family(1, max_restarts=0)), ChildState(7, is_static=False))
    state, _ = engine.started(state, 7, 1.0)
    state, _ = settle(*engine.terminate(state, 7))
    state, _ = settle(*engine.exited(state, 0, Exit.ABNORMAL, 1.0))
    _, orders = settle(*engine.start(state))
    assert orders == [Close(7), Start(0), Ready()]


def test_a_temporary_child_that_died_before_the_supervisor_gave_up_stays_away():
    state = family(3, strategy=Strategy.REST_FOR_ONE, max_restarts=1)
    children = list(state.children)
    children[0] = replace(children[0], restart=Restart.TEMPORARY)
    state = running(replace(state, children=tuple(children)))
    state, _ = engine.exited(state, 1, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(
        state, 0, Exit.ABNORMAL, 1.0
    )  # to be dealt with after the restart
    assert orders == ()
    state, orders = engine.exited(state, 2, Exit.SHUTDOWN, 1.0)
    assert orders == (Start(1),)
    state, orders = settle(*engine.exited(state, 1, Exit.ABNORMAL, 1.0))
    assert orders == [Close(0), Over(Ending.GAVE_UP)]
    assert [child.key for child in state.children] == [1, 2]


# -- a spawned actor: the one child of a supervisor of its own -----------------------------------

CRASHES = [Exit.ABNORMAL, Exit.FAULTLESS]


def spawned(now=0.0, **options):
    """Return the supervisor of a spawned actor that is up."""
    state, orders = engine.alone(Options(**options))
    assert orders == (Start(0),)
    state, orders = engine.started(state, 0, now)
    assert orders == ()
    return state


@pytest.mark.parametrize(("restart", "how"), list(itertools.product(Restart, Exit)))
def test_the_restart_table_of_a_spawned_actor_is_otps(restart, how):
    wanted = restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and how in CRASHES)
    _, orders = engine.exited(spawned(restart=restart), 0, how, 1.0)
    assert orders == ((Start(0),) if wanted and how is not Exit.SHUTDOWN else (Close(0),))


@given(
    most=st.integers(0, 5),
    within=st.floats(0.5, 20),
    gaps=st.lists(st.floats(0.01, 10), max_size=30),
)
def test_no_window_ever_holds_more_restarts_than_allowed(most, within, gaps):
    """Against a model: all restarts so far, of which those inside the window are counted."""
    state, now, restarts = spawned(max_restarts=most, within=within), 0.0, []
    for gap in gaps:
        now += gap
        inside = [at for at in restarts if now - at <= within]
        state, orders = engine.exited(state, 0, Exit.ABNORMAL, now)
        if len(inside) >= most:
            assert orders == (Close(0), Over(Ending.GAVE_UP))
            assert engine.too_many(state).startswith(f"restart number {len(inside) + 1} within")
            return
        assert orders == (Start(0),)
        restarts.append(now)
        assert list(state.restarts) == [*inside, now]
        state, _ = engine.started(state, 0, now)


def test_an_orderly_end_of_a_spawned_actor_is_not_counted():
    state = spawned(restart=Restart.PERMANENT, max_restarts=1)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.0)
    assert (orders, state.restarts) == ((Close(0),), ())


def test_the_first_restart_does_not_wait_and_the_next_wait_longer_and_longer():
    state = spawned(max_restarts=100, within=60.0, backoff=Backoff(0.1, 1.0, 2.0))
    waits = []
    for number in range(7):
        state, (order,) = engine.exited(state, 0, Exit.ABNORMAL, float(number))
        state, _ = engine.started(state, 0, float(number))
        waits.append(round(order.wait, 6))
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


@pytest.mark.parametrize(("ran_s", "wait"), [(10.0, 0.0), (9.9, 0.1)])
def test_a_stable_run_begins_a_new_story(ran_s, wait):
    state = spawned(max_restarts=100, within=10.0, backoff=Backoff(0.1, 1.0))
    state, _ = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    state, _ = engine.started(state, 0, 2.0)
    _, orders = engine.exited(state, 0, Exit.ABNORMAL, 2.0 + ran_s)
    assert orders == (Start(0, wait),)


def test_the_first_start_that_fails_is_not_tried_again():
    state, _ = engine.alone(Options(restart=Restart.PERMANENT))
    _, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0)
    assert orders == (Close(0),)


@pytest.mark.parametrize("backoff", [None, Backoff(0.01, 0.05), Backoff(5.0, 5.0)])
def test_a_restart_that_fails_is_counted_and_never_repeated_at_once(backoff):
    state, _ = engine.exited(spawned(max_restarts=2, backoff=backoff), 0, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.1)
    assert orders == (
        Start(0, 5.0 if backoff == Backoff(5.0, 5.0) else engine.START_FAILED_WAIT_S),
    )
    _, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.3)
    assert orders == (Close(0), Over(Ending.GAVE_UP))


@pytest.mark.parametrize(("restart", "comes_back"), [(r, r is Restart.PERMANENT) for r in Restart])
def test_an_actor_that_leaves_while_it_comes_up_again_has_left(restart, comes_back):
    """Its process may be seen to have ended before its report is read that it was ready."""
    state = spawned(restart=restart)
    state, _ = engine.exited(state, 0, Exit.ABNORMAL, 1.0, held=True)
    state, _ = engine.decided(state, 0, "resume", Exit.ABNORMAL, 1.0)
    _, orders = engine.exited(state, 0, Exit.NORMAL, 1.1)
    assert isinstance(orders[0], Start if comes_back else Close)


def test_what_a_worker_dies_of_by_its_items_fault_is_never_counted():
    state = spawned(max_restarts=0, backoff=Backoff(1.0))
    for now in range(1, 6):
        state, orders = engine.exited(state, 0, Exit.FAULTLESS, float(now))
        assert orders == (Start(0),)
        state, _ = engine.started(state, 0, now + 0.5)
    assert state.restarts == ()
    _, orders = engine.exited(state, 0, Exit.ABNORMAL, 10.0)
    assert orders == (Close(0), Over(Ending.GAVE_UP))


def test_an_actor_that_is_stopped_between_two_lives_stays_down():
    state, _ = engine.exited(spawned(backoff=Backoff(1.0)), 0, Exit.ABNORMAL, 1.0)
    state, orders = engine.exited(state, 0, Exit.SHUTDOWN, 1.1)
    assert orders == (Close(0),)


def held(up_again=True, **options):
    """Return a spawned actor's supervisor whose parent is asked about its death."""
    state = spawned(**options)
    if not up_again:
        state, _ = engine.exited(state, 0, Exit.ABNORMAL, 0.5)
    state, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0, held=True)
    assert (orders, stages(state)) == ((), [Stage.PARKED])
    return state


@pytest.mark.parametrize(
    ("restart", "directive", "comes_back", "counted"),
    [
        (Restart.TEMPORARY, "resume", True, 0),
        (Restart.TEMPORARY, "restart", True, 1),
        (Restart.PERMANENT, "stop", False, 0),
        (Restart.PERMANENT, "escalate", False, 0),
        (Restart.TRANSIENT, "", True, 1),
        (Restart.TEMPORARY, "", False, 0),
    ],
)
def test_a_parents_word_is_done(restart, directive, comes_back, counted):
    state, orders = engine.decided(held(restart=restart), 0, directive, Exit.ABNORMAL, 2.0)
    assert orders == ((Start(0),) if comes_back else (Close(0),))
    assert len(state.restarts) == counted


@pytest.mark.parametrize("directive", ["restart", ""])
def test_a_parent_cannot_restart_more_often_than_allowed(directive):
    state = held(max_restarts=0)
    _, orders = engine.decided(state, 0, directive, Exit.ABNORMAL, 2.0)
    assert orders == (Close(0), Over(Ending.GAVE_UP))


@pytest.mark.parametrize("directive", ["restart", ""])
def test_a_parent_that_is_asked_about_a_failed_restart_has_it_wait(directive):
    _, orders = engine.decided(held(up_again=False), 0, directive, Exit.ABNORMAL, 2.0)
    assert orders == (Start(0, engine.START_FAILED_WAIT_S),)


def test_a_parents_word_that_comes_too_late_changes_nothing():
    state, orders = engine.terminate(held(), 0)
    assert orders == (Close(0),)
    assert engine.decided(state, 0, "resume", Exit.ABNORMAL, 2.0) == (state, ())
    state = spawned()
    assert engine.decided(state, 0, "stop", Exit.ABNORMAL, 2.0) == (state, ())


def test_a_parent_is_not_asked_about_a_first_start_that_failed():
    state, _ = engine.alone(Options())
    _, orders = engine.exited(state, 0, Exit.ABNORMAL, 1.0, held=True)
    assert orders == (Close(0),)


@given(
    initial=st.floats(0, 10),
    maximum=st.floats(0, 100),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
    in_a_row=st.integers(1, 10_000),
    draw=st.floats(0, 1),
)
def test_a_backoff_is_never_negative_nor_beyond_its_maximum(
    initial, maximum, factor, jitter, in_a_row, draw
):
    backoff = Backoff(initial, maximum, factor, jitter)
    wait = engine.backoff_wait(backoff, in_a_row, draw)
    assert 0.0 <= wait <= maximum
    assert engine.backoff_wait(backoff, in_a_row, 0.0) >= wait


def test_jitter_takes_away_its_share():
    backoff = Backoff(8.0, 10.0, jitter=0.5)
    assert engine.backoff_wait(backoff, 1, 0.0) == 8.0
    assert engine.backoff_wait(backoff, 1, 1.0) == 4.0


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
        children = tuple(
            ChildState(
                key,
                restart=restart,
                significant=key in significant and restart is not Restart.PERMANENT,
            )
            for key, restart in enumerate(restarts)
        )
        self.now = 0.0
        self.keys = itertools.count(len(children))
        self.alive: set[int] = set()  # has a process
        self.to_start: list[int] = []  # ordered to start
        self.to_stop: list[int] = []
        self.over: Ending | None = None
        self.held: set[int] = set()  # a parent is asked about it
        state = SupervisorState(
            strategy=strategy,
            children=children,
            max_restarts=allowed,
            within=5.0,
            auto_shutdown=auto,
        )
        self.state = state
        self.take(engine.start(state))

    def take(self, step):
        self.state, orders = step
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
            self.take(engine.started(self.state, key, self.now))
        else:
            if key in self.to_stop:
                self.to_stop.remove(key)
            self.take(engine.exited(self.state, key, how, self.now))

    @precondition(lambda self: self.alive)
    @rule(pick=st.randoms(use_true_random=False), how=st.sampled_from(list(Exit)))
    def a_child_ends(self, pick, how):
        key = pick.choice(sorted(self.alive))
        self.alive.remove(key)
        if key in self.to_stop:
            self.to_stop.remove(key)
        self.take(engine.exited(self.state, key, how, self.now))

    @precondition(lambda self: self.alive)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_ends_that_its_parent_decides_on(self, pick):
        key = pick.choice(sorted(self.alive))
        self.alive.remove(key)
        is_stopped = key in self.to_stop
        if is_stopped:
            self.to_stop.remove(key)
        was_running = self.state.phase is Phase.RUNNING
        self.take(engine.exited(self.state, key, Exit.ABNORMAL, self.now, held=True))
        if was_running and not is_stopped:
            assert self.state.child(key).stage is Stage.PARKED
            self.held.add(key)

    @precondition(lambda self: self.over is None)
    @rule(
        pick=st.randoms(use_true_random=False),
        directive=st.sampled_from(["resume", "restart", "stop", "escalate", ""]),
    )
    def a_parent_decides(self, pick, directive):
        if self.held:
            key = pick.choice(sorted(self.held))
            self.held.discard(key)
            self.take(engine.decided(self.state, key, directive, Exit.ABNORMAL, self.now))

    @precondition(lambda self: self.over is None and self.state.phase is Phase.RUNNING)
    @rule(restart=st.sampled_from(list(Restart)))
    def a_child_is_added(self, restart):
        self.take(
            engine.add(self.state, ChildState(next(self.keys), restart=restart, is_static=False))
        )

    @precondition(lambda self: self.over is None and self.state.phase is Phase.RUNNING)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_is_terminated(self, pick):
        up = [m.key for m in self.state.children if m.stage in (Stage.UP, Stage.STARTING)]
        if up:
            self.take(engine.terminate(self.state, pick.choice(up)))

    @precondition(lambda self: self.over is None)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_that_is_stopped_or_parked_is_to_end_for_good(self, pick):
        down = [m.key for m in self.state.children if m.stage in (Stage.STOPPING, Stage.PARKED)]
        if down:
            key = pick.choice(down)
            self.take(engine.terminate(self.state, key))

    @precondition(lambda self: self.over is None and self.state.phase is Phase.RUNNING)
    @rule(pick=st.randoms(use_true_random=False))
    def a_child_is_launched(self, pick):
        idle = [m.key for m in self.state.children if m.stage is Stage.IDLE]
        if idle:
            self.take(engine.launch(self.state, pick.choice(idle)))

    @rule(parks=st.booleans())
    def it_is_stopped(self, parks):
        if self.over is None:
            self.take(engine.stop(self.state, parks=parks))

    @precondition(lambda self: self.over not in (None, Ending.ORDERED))
    @rule()
    def it_is_restarted(self):
        self.over = None
        self.take(engine.start(self.state))

    @invariant()
    def stages_tell_the_truth(self):
        for child in self.state.children:
            key = child.key
            if child.stage is Stage.UP:
                assert key in self.alive
            if child.stage in (Stage.IDLE, Stage.PARKED):
                assert key not in self.alive
            if child.stage is Stage.STARTING:
                assert key in self.to_start
            if child.stage is Stage.STOPPING:
                assert key in self.to_stop
        assert self.alive <= {child.key for child in self.state.children}

    @invariant()
    def something_is_always_under_way_or_done(self):
        """Whatever it is doing, an outcome is awaited that brings it on: it never gets stuck."""
        if self.state.phase not in (Phase.RUNNING, Phase.OVER):
            assert self.to_start or self.to_stop

    @invariant()
    def a_running_group_has_no_child_in_between(self):
        if self.state.phase is Phase.RUNNING:
            parked = {m.key for m in self.state.children if m.stage is Stage.PARKED}
            assert parked <= self.held
            assert not self.state.pending

    @invariant()
    def no_more_restarts_than_allowed(self):
        if self.state.phase in (Phase.RUNNING, Phase.LOWERING, Phase.RAISING):
            recent = [at for at in self.state.restarts if self.now - at <= self.state.within]
            assert len(recent) <= self.state.max_restarts


TestAnySupervisor = AnySupervisor.TestCase
TestAnySupervisor.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
