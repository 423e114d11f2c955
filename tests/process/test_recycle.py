"""Recycling: an incarnation makes way for the next one at a message boundary; nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import psutil
import pytest

from procactors import (
    ActorSystem,
    Backoff,
    Delivery,
    ExitKind,
    ExitReason,
    Restart,
    Supervisor,
    spec,
)
from procactors.errors import ActorDied, ActorStopped, SpawnError
from procactors.model.options import Recycle
from procactors.wire.envelope import CALL_ID
from procactors.wire.record import Kind, frame
from tests.support.actors import Recorder, recorded
from tests.support.keepers import (
    BadKeeper,
    Broken,
    Forgetful,
    Gated,
    Keeper,
    Large,
    NoRestore,
    Parent,
    PlainKeeper,
    Sender,
    SlowSnapshot,
)
from tests.support.waiting import CLOCK_TOLERANCE_S, SHORT_S, aside, bytes_waiting, eventually


def recycling(system, messages=None, **options):
    bounds = {name: options.pop(name, None) for name in ("seconds", "memory_growth")}
    return system.options(recycle_after=Recycle(messages, **bounds), **options)


def incarnation(ref, wanted):
    eventually(lambda: ref.status().incarnation == wanted, f"incarnation {wanted}")


def age_s(pid):
    """For how many seconds a process has been there."""
    return time.time() - psutil.Process(pid).create_time()


@pytest.mark.methods
def test_state_goes_over_and_the_hooks_run_in_order(system, tmp_path):
    log = tmp_path / "log"
    ref = recycling(system, 2).spawn(Keeper, log, 10)
    assert [ref.ask(Keeper.add) for _ in range(5)] == [(1, 11), (1, 12), (2, 13), (2, 14), (3, 15)]
    ref.stop()
    end = ["snapshot", "stop recycled"]
    assert log.read_text().splitlines() == [
        *(f"1 {hook}" for hook in ["init", "start", *end]),
        *(f"2 {hook}" for hook in ["init", "restore 12", "start", *end]),
        *(f"3 {hook}" for hook in ["init", "restore 14", "start", "stop stopped"]),
    ]


def test_it_is_no_restart_no_crash_and_no_policy_forbids_it(system, caplog):
    """A temporary actor without a restart to spare and with a long backoff comes back at once."""
    options = {"restart": Restart.TEMPORARY, "max_restarts": 0, "backoff": Backoff(60.0, 60.0)}
    ref = recycling(system, 1, **options).spawn(Forgetful)
    lives = [ref.ask(Forgetful.life) for _ in range(6)]
    assert [life for life, _, _ in lives] == [1, 2, 3, 4, 5, 6]
    assert len({pid for _, pid, _ in lives}) == 6
    incarnation(ref, 7)
    status = ref.status()
    assert (status.restarts, status.recycled, status.last_crash) == (0, 6, None)
    assert ref.is_alive()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert len(system.dead_letters) == 0


@pytest.mark.parametrize("mailbox", [None, 8], ids=["unbounded", "bounded"])
def test_the_runtimes_own_records_are_no_messages(system, mailbox):
    """Those that wake an actor, and those that tell it of a sender's death."""
    ref = recycling(system, 2, mailbox=mailbox).spawn(Forgetful)
    own = [frame(Kind.NUDGE, 0, b""), frame(Kind.FENCE, 0, CALL_ID.pack(1))]
    for life in (1, 1, 2, 2, 3):
        for record in own * 3:
            assert system._endpoint.send_control(ref._actor, record)
        assert ref.ask(Forgetful.life)[0] == life
    eventually(lambda: ref.status().handled == 5, "no more than the five messages")


def test_without_a_snapshot_the_next_life_is_what_the_constructor_makes(system):
    ref = recycling(system, 2).spawn(Forgetful)
    assert ref.ask(Forgetful.take, 1) == 1
    assert ref.ask(Forgetful.life)[2] == 1
    assert ref.ask(Forgetful.life)[::2] == (2, 0)


def test_any_class_may_have_the_hooks(system):
    ref = recycling(system, 1).spawn(PlainKeeper)
    lives = [ref.ask(PlainKeeper.add) for _ in range(4)]
    assert [value for value, _ in lives] == [1, 2, 3, 4]
    assert len({pid for _, pid in lives}) == 4


@pytest.mark.parametrize("delivery", list(Delivery), ids=lambda mode: mode.value)
@pytest.mark.parametrize("mailbox", [None, 8], ids=["unbounded", "bounded"])
def test_a_flood_through_recycled_lives_is_handled_once_and_in_order(
    system, tmp_path, delivery, mailbox
):
    """Recycled every ten messages, with two senders at work: no number is missing or twice."""
    path = tmp_path / "numbers"
    ref = recycling(system, 10, delivery=delivery, mailbox=mailbox).spawn(Recorder, path)
    sending = system.spawn(Sender).submit(Sender.send, ref, 1000, 1300)
    for number in range(300):
        ref.tell(Recorder.record, number)
    sending.result()
    assert ref.ask(Recorder.record, -1) == -1
    numbers = recorded(path)
    assert [number for number in numbers if 0 <= number < 1000] == list(range(300))
    assert [number for number in numbers if number >= 1000] == list(range(1000, 1300))
    assert len(numbers) == 601
    incarnation(ref, 61)
    assert ref.status().restarts == 0
    assert len(system.dead_letters) == 0


def test_kills_among_recyclings_lose_at_most_what_was_in_hand(system, tmp_path):
    """With at least once: nothing is missing, and only what was in hand comes again."""
    path = tmp_path / "numbers"
    ref = recycling(
        system, 5, delivery=Delivery.AT_LEAST_ONCE, max_restarts=1000, max_deliveries=1000
    ).spawn(Recorder, path)
    kills = 0
    for number in range(400):
        ref.tell(Recorder.record, number)
        if number % 40 == 20:
            pid = eventually(lambda: ref.status().pid, "a process")
            with contextlib.suppress(ProcessLookupError):  # it has just made way
                os.kill(pid, signal.SIGKILL)
            kills += 1
    assert ref.ask(Recorder.record, 400) == 400
    numbers = recorded(path)
    assert sorted(set(numbers)) == list(range(401))
    assert numbers == sorted(numbers)
    assert len(numbers) - 401 <= kills


def test_no_caller_waits_longer_than_a_start(system):
    """Tokens of a bounded mailbox come along: nobody waits until an idle reader finds them."""
    ref = recycling(system, 3, mailbox=16).spawn(Forgetful)
    replies = [ref.submit(Forgetful.take, 1) for _ in range(120)]
    lives = [reply.result() for reply in replies]
    assert lives == [1 + number // 3 for number in range(120)]
    assert ref.ask(Forgetful.take, 1) == 41


def test_seconds_recycle_an_idle_actor_too(system, tmp_path):
    log = tmp_path / "log"
    began = time.monotonic()
    ref = recycling(system, seconds=0.3).spawn(Keeper, log, 5)
    incarnation(ref, 3)
    assert time.monotonic() - began >= 0.6 - CLOCK_TOLERANCE_S
    assert ref.ask(Keeper.add)[1] == 6


def test_seconds_that_pass_inside_a_handler_recycle_behind_it(system, gate):
    ref = recycling(system, seconds=0.2).spawn(Gated)
    reply = ref.submit(Gated.hold, gate)
    gate.arrival()
    younger = recycling(system, seconds=0.2).spawn(Forgetful)
    eventually(lambda: younger.status().recycled, "the end of a life that began later")
    held = ref.status().incarnation
    gate.open()
    assert reply.result() == held
    incarnation(ref, held + 1)


def test_the_shortest_life_handles_a_message_while_some_wait(system):
    ref = recycling(system, seconds=1e-9).spawn(Forgetful)
    replies = [ref.submit(Forgetful.life) for _ in range(5)]
    lives = [reply.result()[0] for reply in replies]
    assert lives == sorted(set(lives))
    ref.kill()


def test_memory_that_grew_is_given_back_by_a_new_life(system):
    ref = recycling(system, memory_growth=64 * 2**20).spawn(Forgetful)
    assert ref.ask(Forgetful.take, 2**20) == 1
    assert ref.ask(Forgetful.life)[0] == 1
    assert ref.ask(Forgetful.take, 80 * 2**20) == 1
    assert ref.ask(Forgetful.life)[::2] == (2, 0)


def test_a_snapshot_is_used_once_and_a_crash_starts_afresh(system, tmp_path):
    log = tmp_path / "log"
    ref = recycling(system, 2).spawn(Keeper, log, 0)
    assert [ref.ask(Keeper.add) for _ in range(3)] == [(1, 1), (1, 2), (2, 3)]
    with pytest.raises(ActorDied):
        ref.ask(Keeper.crash, "SIGKILL")
    assert [ref.ask(Keeper.add) for _ in range(3)] == [(3, 1), (3, 2), (4, 3)]
    told = [line for line in log.read_text().splitlines() if " rest" in line]
    assert told == ["2 restore 2", "3 restart after 2", "4 restore 2"]
    assert (ref.status().restarts, ref.status().recycled) == (1, 2)


@pytest.mark.parametrize("how", ["exception", "unpicklable", "SIGKILL"])
def test_a_snapshot_that_fails_is_a_crash_with_that_error(system, tmp_path, caplog, how):
    marker = tmp_path / "marker"
    marker.touch()
    ref = recycling(system, 1).spawn(BadKeeper, "snapshot", how, marker)
    assert ref.ask(Forgetful.life)[0] == 1
    assert ref.ask(Forgetful.life)[::2] == (2, 0)
    status = ref.status()
    assert status.restarts == 1
    text = {"exception": "Fault: on purpose", "unpicklable": "snapshot", "SIGKILL": "SIGKILL"}
    assert text[how] in str(status.last_crash)
    assert text[how] in caplog.text


def test_a_snapshot_that_fails_ends_a_temporary_actor(system, tmp_path):
    marker = tmp_path / "marker"
    marker.touch()
    ref = recycling(system, 1, restart=Restart.TEMPORARY).spawn(
        BadKeeper, "snapshot", "exception", marker
    )
    ref.ask(Forgetful.life)
    reason = ref.wait()
    assert reason.kind is ExitKind.ERROR
    assert "Fault: on purpose" in reason.text


@pytest.mark.parametrize("how", ["exception", "SIGKILL"])
def test_a_restore_that_fails_is_a_start_that_failed_and_is_not_tried_again(system, tmp_path, how):
    marker = tmp_path / "marker"
    marker.touch()
    ref = recycling(system, 1).spawn(BadKeeper, "restore", how, marker)
    assert ref.ask(Forgetful.life)[0] == 1
    assert ref.ask(Forgetful.life)[::2] == (3, 0)
    crash = ref.status().last_crash
    kind = ExitKind.START if how == "exception" else ExitKind.SIGNAL
    assert (crash.reason.kind, crash.incarnation) == (kind, 2)


def test_a_snapshot_waits_for_the_first_life_that_comes_to_restore_it(system, tmp_path):
    """The constructor fails once behind a recycling: the state is not lost for that."""
    marker = tmp_path / "marker"
    marker.touch()
    ref = recycling(system, 1).spawn(BadKeeper, "init", "exception", marker)
    assert ref.ask(Forgetful.life)[::2] == (1, 0)
    assert ref.ask(Forgetful.life)[::2] == (3, 1)
    assert ref.status().last_crash.reason.kind is ExitKind.START


@pytest.mark.parametrize("how", ["exception", "SIGKILL"])
def test_a_crash_between_snapshot_and_end_starts_afresh(system, tmp_path, how):
    marker = tmp_path / "marker"
    marker.touch()
    ref = recycling(system, 1).spawn(BadKeeper, "on_stop", how, marker)
    assert ref.ask(Forgetful.life)[::2] == (1, 0)
    assert ref.ask(Forgetful.life)[::2] == (2, 0)
    assert ref.ask(Forgetful.life)[::2] == (3, 1)
    assert ref.status().restarts == 1


def test_a_snapshot_without_a_restore_is_an_error_that_says_so(system):
    ref = recycling(system, 1).spawn(NoRestore)
    ref.ask(Forgetful.life)
    ref.ask(Forgetful.life)
    assert "NoRestore has snapshot(), so it needs restore(state)" in str(ref.status().last_crash)


def test_an_ordered_stop_wins(system, tmp_path, gate):
    """Once it is ordered, the mailbox is finished in one life."""
    path = tmp_path / "numbers"
    ref = recycling(system, 2).spawn(Recorder, path)
    ref.tell(Recorder.record_at, 0, gate)
    for number in range(1, 20):
        ref.tell(Recorder.record, number)
    gate.arrival()
    ends = []
    stopping = threading.Thread(target=lambda: ends.append(ref.stop()))
    stopping.start()
    eventually(lambda: ref.status().state == "stopping", "the stop")
    gate.open()
    stopping.join()
    assert ends == [ExitReason(ExitKind.STOPPED)]
    assert recorded(path) == list(range(20))
    assert ref.status().incarnation == 1


def test_stops_at_any_moment_of_a_recycling_finish_the_mailbox(system, tmp_path):
    for round_ in range(15):
        path = tmp_path / f"numbers-{round_}"
        ref = recycling(system, 1).spawn(Recorder, path)
        for number in range(6):
            ref.tell(Recorder.record, number)
        threading.Event().wait(round_ * 0.002)  # a moment of its own for each round
        assert ref.stop() == ExitReason(ExitKind.STOPPED)
        assert recorded(path) == list(range(6))


def test_a_stop_of_a_trees_child_while_it_makes_way_finishes_the_mailbox(system, gate):
    """The stop comes from outside, not from its supervisor, which would end it there."""
    options = {"name": "child", "recycle_after": Recycle(2)}
    system.supervise(Supervisor(spec(SlowSnapshot, gate).options(**options)))
    ref = system["child"]
    replies = [ref.submit(SlowSnapshot.number, number) for number in range(2)]
    gate.arrival()
    replies += [ref.submit(SlowSnapshot.number, number) for number in range(2, 8)]
    waiting = bytes_waiting(ref)
    stop = aside(ref.stop)
    eventually(lambda: bytes_waiting(ref) > waiting, "the stop behind the messages")
    gate.open()
    assert stop.result(SHORT_S).kind is ExitKind.STOPPED
    assert [reply.result(SHORT_S) for reply in replies] == list(range(8))


def test_a_kill_at_any_moment_of_a_recycling_is_final(system):
    for round_ in range(15):
        ref = recycling(system, 1).spawn(Forgetful)
        for _ in range(20):
            ref.tell(Forgetful.life)
        threading.Event().wait(round_ * 0.001)
        assert ref.kill() == ExitReason(ExitKind.KILLED, signal.SIGKILL)
        with pytest.raises(ActorStopped):
            ref.ask(Forgetful.life)


def test_a_system_stops_while_actors_are_recycled(start_method):
    with ActorSystem(start_method=start_method) as system:
        refs = [recycling(system, 1).spawn(Forgetful) for _ in range(5)]
        for ref in refs:
            for _ in range(10):
                ref.tell(Forgetful.life)
    assert len(system.dead_letters) == 0


def test_leaving_wins_over_a_recycling(system, tmp_path):
    ref = recycling(system, 1).spawn(Keeper, tmp_path / "log")
    assert ref.ask(Keeper.leave) == 1
    assert ref.wait() == ExitReason(ExitKind.NORMAL)


def test_children_end_with_the_life_that_started_them(system):
    ref = recycling(system, 1).spawn(Parent)
    first, life = ref.ask(Parent.get)
    assert life == 1
    second, life = ref.ask(Parent.get)
    assert life == 2
    assert first.wait() == ExitReason(ExitKind.PARENT_GONE)
    assert second != first


def test_a_stable_run_goes_on_over_recyclings(system):
    """The backoff of a crash looks at the time since the last crash, not since the recycling."""
    ref = recycling(system, 1, backoff=Backoff(30.0, 30.0), within=0.5, max_restarts=10).spawn(
        Forgetful
    )
    for wanted in (1, 3):
        assert ref.ask(Forgetful.life)[0] == wanted
        incarnation(ref, wanted + 1)
        eventually(lambda: ref.status().state == "idle", "the next life to be up")
        pid = eventually(lambda: ref.status().pid, "a process")
        stable = age_s(pid) + 0.5 + CLOCK_TOLERANCE_S
        eventually(lambda: age_s(pid) > stable, "a stable run")  # noqa: B023
        os.kill(pid, signal.SIGKILL)
    assert ref.ask(Forgetful.life)[0] == 5


def test_a_large_state_goes_over(system):
    ref = recycling(system, 1).spawn(Large)
    assert [ref.ask(Large.grow) for _ in range(3)] == [2**20, 2**21, 2**22]


def test_a_first_start_that_fails_is_the_spawners_as_ever(system, tmp_path):
    with pytest.raises(SpawnError, match="on purpose"):
        recycling(system, 1).spawn(Broken)


def test_the_zygote_dies_in_the_middle_of_recyclings(system, tmp_path):
    """Starts that went with it are made anew, and the state is still there."""
    ref = recycling(system, 1).spawn(Keeper, tmp_path / "log")
    for number in range(1, 31):
        if number % 10 == 5:
            launcher = system._supervisor._launcher
            zygote = eventually(lambda: launcher._zygote, "a zygote")  # noqa: B023
            os.kill(zygote.pid, signal.SIGKILL)
        assert ref.ask(Keeper.add)[1] == number
