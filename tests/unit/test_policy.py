"""The restart policy: every cell of OTP's table, the window against a model, the backoff."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, strategies as st

from procactors import Backoff, ExitKind, ExitReason, Options, Restart
from procactors.supervision.policy import GiveUp, History, Respawn, StayDown, backoff_wait, decide

CRASH = ExitReason(ExitKind.SIGNAL, 9)
ORDERLY = {
    ExitKind.NORMAL,
    ExitKind.STOPPED,
    ExitKind.RESTARTED,
    ExitKind.LINKED,
    ExitKind.RECYCLED,
    ExitKind.PARENT_GONE,
}


def after(options: Options, reason: ExitReason = CRASH, history: History | None = None, **more):
    given_ = {"now": 100.0, "ran_s": 0.0, "draw": 0.0} | more
    return decide(options, reason, history or History(), **given_)


@pytest.mark.parametrize(("restart", "kind"), list(itertools.product(Restart, ExitKind)))
def test_the_restart_table_is_otps(restart, kind):
    wanted = restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and kind not in ORDERLY)
    follows = after(Options(restart=restart), ExitReason(kind))
    assert isinstance(follows, Respawn if wanted else StayDown)


@given(
    most=st.integers(0, 5),
    within=st.floats(0.5, 20),
    gaps=st.lists(st.floats(0.01, 10), max_size=30),
)
def test_no_window_ever_holds_more_restarts_than_allowed(most, within, gaps):
    """Against a model: all restarts so far, of which those inside the window are counted."""
    options = Options(max_restarts=most, within=within)
    history, now, restarts = History(), 0.0, []
    for gap in gaps:
        now += gap
        inside = [at for at in restarts if now - at <= within]
        follows = decide(options, CRASH, history, now, 0.0, 0.0)
        if len(inside) >= most:
            assert follows == GiveUp(len(inside) + 1)
            return
        assert isinstance(follows, Respawn)
        history = follows.history
        restarts.append(now)
        assert list(history.restarts) == [*inside, now]


def test_zero_restarts_give_up_at_the_first_crash():
    assert after(Options(max_restarts=0)) == GiveUp(1)


def test_an_orderly_end_is_not_counted():
    history = History((99.0, 99.5, 99.9), 3)
    assert after(Options(), ExitReason(ExitKind.NORMAL), history) == StayDown()
    assert after(Options(), CRASH, history) == GiveUp(4)


def test_without_a_backoff_a_restart_comes_at_once():
    assert after(Options()) == Respawn(0.0, History((100.0,), 1))


def test_the_first_restart_does_not_wait_and_the_next_wait_longer_and_longer():
    options = Options(max_restarts=100, within=60.0, backoff=Backoff(0.1, 1.0, 2.0))
    history, waits = History(), []
    for number in range(7):
        follows = after(options, CRASH, history, now=float(number))
        waits.append(round(follows.wait, 6))
        history = follows.history
    assert waits == [0.0, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_a_stable_run_begins_a_new_story():
    options = Options(max_restarts=100, within=10.0, backoff=Backoff(0.1, 1.0))
    history = History((99.0,), 5)
    assert after(options, CRASH, history, ran_s=10.0) == Respawn(0.0, History((99.0, 100.0), 1))
    assert after(options, CRASH, history, ran_s=9.9).wait == 1.0


def test_a_failed_start_is_never_repeated_at_once():
    assert after(Options(), ExitReason(ExitKind.START)).wait > 0


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
    wait = backoff_wait(backoff, in_a_row, draw)
    assert 0.0 <= wait <= maximum
    assert backoff_wait(backoff, in_a_row, 0.0) >= wait


def test_jitter_takes_away_its_share():
    backoff = Backoff(8.0, 10.0, jitter=0.5)
    assert backoff_wait(backoff, 1, 0.0) == 8.0
    assert backoff_wait(backoff, 1, 1.0) == 4.0
