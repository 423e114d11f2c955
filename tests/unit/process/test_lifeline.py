"""The lifeline: whenever the parent ends, those that hang on it end, or see that it has."""

from __future__ import annotations

import errno
import os
import signal
import threading
from contextlib import suppress

import pytest

from procactors.api import incarnation
from procactors.process import lifeline
from procactors.process.child import has_ended
from procactors.process.lifeline import Lifeline, die_with_parent, is_cut, watch
from tests.support.copies import ended, forked
from tests.support.waiting import SHORT_S


@pytest.fixture
def runtime_dir(tmp_path):
    return str(tmp_path)


@pytest.fixture
def parent(runtime_dir):
    """The parent's end; the test is the parent."""
    parent = Lifeline(runtime_dir)
    yield parent
    parent.cut()


@pytest.fixture
def pipes():
    """Two pipes: from the child, and to it."""
    ends = [*os.pipe(), *os.pipe()]
    yield ends
    for fd in ends:
        os.close(fd)


def refused(*_):
    """Stand for a sandbox that lets no process ask for signals."""
    raise OSError(errno.EPERM, "Operation not permitted")


#: The kernel's signal, and the thread that stands in for it.
WAYS = pytest.mark.parametrize("is_refused", [False, True], ids=["signal", "thread"])


def hang_on(runtime_dir, is_refused=False):
    """Run in a child: lead a group, and hang on the parent from now on."""
    os.setpgid(0, 0)
    if is_refused:
        lifeline.fcntl.fcntl = refused
    die_with_parent(runtime_dir)


@WAYS
def test_a_child_whose_parent_has_ended_before_its_first_step_dies_there(
    runtime_dir, parent, is_refused
):
    parent.cut()
    assert ended(forked(hang_on, runtime_dir, is_refused)) == -signal.SIGKILL


@WAYS
def test_a_child_whose_parent_ends_just_before_it_asks_for_its_signal_dies(
    runtime_dir, parent, pipes, is_refused
):
    """It has looked the parent up, and that one lived."""
    seen, tell, hear, answer = pipes

    def hang_on_late():
        real = lifeline.watch

        def watch_and_wait(runtime_dir):
            fd = real(runtime_dir)
            os.write(tell, b"1")
            os.read(hear, 1)
            return fd

        lifeline.watch = watch_and_wait
        hang_on(runtime_dir, is_refused)

    pid = forked(hang_on_late)
    os.read(seen, 1)
    parent.cut()
    os.write(answer, b"1")
    assert ended(pid) == -signal.SIGKILL


@WAYS
def test_a_child_whose_parent_ends_later_dies_and_its_own_children_with_it(
    runtime_dir, parent, pipes, is_refused
):
    seen, tell, _, _ = pipes

    def live():
        hang_on(runtime_dir, is_refused)
        os.write(tell, b"%d\n" % forked(signal.pause))
        while True:
            signal.pause()

    pid = forked(live)
    grandchild = os.pidfd_open(int(os.read(seen, 100)))
    parent.cut()
    assert ended(pid) == -signal.SIGKILL
    try:
        assert has_ended(grandchild, int(SHORT_S * 1000)), "its child lives on"
    finally:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(grandchild, signal.SIGKILL)
        os.close(grandchild)


def test_a_forked_copy_of_the_parent_is_no_parent(runtime_dir, parent, pipes):
    seen, tell, _, _ = pipes

    def stay():
        os.write(tell, b"1")
        signal.pause()

    copy = forked(stay)
    os.read(seen, 1)
    fd = watch(runtime_dir)
    assert not is_cut(fd)
    parent.cut()
    assert is_cut(fd)
    os.close(fd)
    os.kill(copy, signal.SIGKILL)
    ended(copy)


@pytest.mark.parametrize("timeout", [0, None], ids=["a look", "a wait"])
def test_the_end_of_the_parent_is_seen_whether_it_was_before_the_opening_or_behind_it(
    runtime_dir, parent, timeout
):
    behind = watch(runtime_dir)
    assert not is_cut(behind)
    parent.cut()
    before = watch(runtime_dir)
    for fd in (behind, before):
        assert is_cut(fd, timeout)
        os.close(fd)


def test_who_waits_for_the_parents_end_is_woken_by_it(runtime_dir, parent):
    fd = watch(runtime_dir)
    seen = threading.Event()
    waiter = threading.Thread(target=lambda: is_cut(fd, None) and seen.set())
    waiter.start()
    assert not seen.is_set()
    parent.cut()
    waiter.join()
    assert seen.is_set()
    os.close(fd)


def test_a_life_whose_parent_has_ended_touches_nothing(runtime_dir, parent, tmp_path):
    """It dies before it looks for its order: by then another process may have its own there."""
    folder = tmp_path / "actors" / "1"
    folder.mkdir(parents=True)
    parent.cut()

    def live():
        os.setpgid(0, 0)
        incarnation.main([runtime_dir, "1", "1"])

    assert ended(forked(live)) == -signal.SIGKILL
    assert list(folder.iterdir()) == []
