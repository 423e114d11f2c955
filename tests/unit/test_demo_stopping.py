"""A stop signal, kept until the job looks."""

from __future__ import annotations

import signal

import pytest

from procactors.demo.stopping import StopAsked, StopRequest


def test_without_a_signal_nothing_happens():
    """The job goes on."""
    StopRequest().check()


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_wakes_and_is_raised_at_the_check(signum):
    """The handler itself raises nothing; the check names the signal."""
    woken = []
    stop = StopRequest()
    stop.on_request(lambda: woken.append(True))
    stop(signum, None)
    assert woken == [True]
    with pytest.raises(StopAsked, match=f"stopped by {signum.name}") as caught:
        stop.check()
    assert caught.value.signum is signum


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_does_not_wait(first):
    """It raises at once, wherever the main thread is."""
    stop = StopRequest()
    stop(first, None)
    with pytest.raises(KeyboardInterrupt):
        stop(signal.SIGINT, None)


def test_a_second_sigterm_changes_nothing():
    """A scheduler may repeat itself; the drain has its deadline already."""
    stop = StopRequest()
    stop(signal.SIGINT, None)
    stop(signal.SIGTERM, None)
    with pytest.raises(StopAsked, match="stopped by SIGINT"):
        stop.check()
