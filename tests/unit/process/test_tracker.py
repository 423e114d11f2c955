"""The resource tracker of all actors: what one of them writes starts it, and it reads that."""

from __future__ import annotations

import os
import select
from multiprocessing import resource_tracker, shared_memory

import psutil
import pytest

from procactors.process.tracker import Tracker
from tests.support.waiting import eventually


@pytest.fixture
def tracker(monkeypatch):
    """A tracker of this process's, which has one already: that one is put back."""
    monkeypatch.setattr(resource_tracker._resource_tracker, "_fd", None)
    monkeypatch.setattr(resource_tracker._resource_tracker, "_pid", None)
    tracker = Tracker()
    yield tracker
    os.close(resource_tracker._resource_tracker._fd)
    for fd in tracker.descriptors:
        os.close(fd)


def children():
    return {child.pid for child in psutil.Process().children()}


def is_readable(fd):
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def test_none_is_started_before_somebody_needs_it(tracker):
    before = children()
    resource_tracker.ensure_running()  # as an actor's code does, which takes it for running
    assert children() == before
    assert is_readable(tracker.fileno())
    assert not tracker.is_started


def test_it_reads_what_was_written_before_its_start_and_removes_what_is_left(tracker):
    memory = shared_memory.SharedMemory(create=True, size=4096)
    memory.close()
    before = children()
    tracker.start()
    assert tracker.is_started
    assert tracker.descriptors == ()
    (started,) = children() - before
    os.close(resource_tracker._resource_tracker._fd)
    resource_tracker._resource_tracker._fd = os.open("/dev/null", os.O_WRONLY)
    process = psutil.Process(started)
    eventually(lambda: process.status() == psutil.STATUS_ZOMBIE, "the tracker's end")
    os.waitpid(started, 0)
    assert not os.path.exists(f"/dev/shm/{memory.name}")
