"""The cluster that tests share, and what a test may not leave on it."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.waiting import eventually

#: As Ray calls the processes of lives.
TITLE = "ray::LifeProcess"


@contextmanager
def place() -> Iterator[Path]:
    """Have a directory for Ray's files: no other Ray on this machine is found, or finds ours."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: sockets are in it
    before = os.environ.get("RAY_TMPDIR")
    os.environ["RAY_TMPDIR"] = str(folder)
    try:
        yield folder
    finally:
        if before is None:
            del os.environ["RAY_TMPDIR"]
        else:
            os.environ["RAY_TMPDIR"] = before
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def local_cluster() -> Iterator[None]:
    """Run a cluster of this machine alone."""
    import ray  # an extra

    with place():
        # Ray keeps as many idle processes as there are CPUs; an actor takes none once it runs.
        ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
        try:
            yield
        finally:
            ray.shutdown()


def lives() -> list[int]:
    """Return the processes of lives that are below this one."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if " ".join(process.cmdline()).startswith(TITLE):
                found.append(process.pid)
    return found


@contextmanager
def nothing_left_on_it() -> Iterator[None]:
    """Fail if a life's process or a thread of ours is left behind."""
    before = {*threading.enumerate()}
    yield
    eventually(lambda: not lives(), "the processes of lives to be gone")
    ours = lambda: [  # noqa: E731 - of one line
        thread.name
        for thread in {*threading.enumerate()} - before
        if thread.name.startswith("procactors")
    ]
    eventually(lambda: not ours(), "the threads of the system to be gone")
