"""The zygote by itself: a janitor whose parent is gone, and what a whole job is sent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from procactors.process.lifeline import Lifeline
from procactors.process.shield import SHIELDED, held
from procactors.process.zygote import AHEAD, ANSWER, FORK, ORDER, REAP
from procactors.wire.runtime_dir import RuntimeDir, overflow_of
from tests.support.programs import environment
from tests.support.waiting import SHORT_S, eventually

MAIN = "import sys; from procactors.process.zygote import main; main(sys.argv[1:])"


class Parent:
    """The test as a parent: a runtime directory, a lifeline, and a zygote that hangs on them.

    There is no sweep here: what goes is removed by this zygote.
    """

    def __init__(self, base: Path) -> None:
        self.directory = RuntimeDir(base)
        self.runtime_dir = self.directory.path
        self.lifeline = Lifeline(self.runtime_dir)
        self.channel, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.channel.settimeout(SHORT_S)

    def start(self, spares: int = 0, preload: str = "", path: str = "") -> None:
        fd = self.theirs.fileno()
        env = environment()
        env["PYTHONPATH"] += f":{path}"
        with held():  # as the launcher does
            self.zygote = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    MAIN,
                    self.runtime_dir,
                    str(fd),
                    str(spares),
                    "",
                    *preload.split(),
                ],
                pass_fds=[fd],
                env=env,
                start_new_session=True,
            )
        self.theirs.close()

    def order_fork(self) -> None:
        self.channel.send(ORDER.pack(FORK, 1, 1))

    def announce(self) -> None:
        self.channel.send(ORDER.pack(AHEAD, 0, 0))

    def forked(self) -> int:
        """Have it fork; what it forks ends by itself, since there is no such actor."""
        self.order_fork()
        what, actor, start, pid = ANSWER.unpack(self.channel.recv(ANSWER.size))
        assert (what, actor, start) == (FORK, 1, 1)
        self.channel.send(ORDER.pack(REAP, pid, 2))
        assert ANSWER.unpack(self.channel.recv(ANSWER.size))[:3] == (REAP, pid, 2)
        return pid

    def close(self) -> None:
        self.channel.close()
        self.theirs.close()
        self.lifeline.cut()
        self.zygote.kill()
        self.zygote.wait()
        self.directory.remove()


@contextmanager
def parent_at(base):
    parent = Parent(base)
    try:
        yield parent
    finally:
        parent.close()


def end_at_once(parent):
    """As by SIGKILL: it sees both ends at the same time."""
    parent.zygote.send_signal(signal.SIGSTOP)
    parent.channel.close()
    parent.lifeline.cut()
    parent.zygote.send_signal(signal.SIGCONT)


def end_lifeline_first(parent):
    """A thread of the parent is still in the kernel: the socket closes later."""
    parent.lifeline.cut()
    parent.zygote.wait(SHORT_S)
    parent.channel.close()


def end_socket_first(parent):
    parent.channel.close()
    parent.lifeline.cut()


def end_with_an_answer_unread(parent):
    parent.order_fork()
    eventually(lambda: parent.channel.recv(1, socket.MSG_PEEK), "an answer")
    parent.channel.close()
    parent.lifeline.cut()


def end_while_it_forks(parent):
    parent.order_fork()
    parent.channel.close()
    parent.lifeline.cut()


ENDS = [
    end_at_once,
    end_lifeline_first,
    end_socket_first,
    end_with_an_answer_unread,
    end_while_it_forks,
]


@pytest.mark.parametrize("end", ENDS)
def test_when_the_parent_has_ended_the_zygote_removes_its_directory(tmp_path, end):
    with parent_at(tmp_path) as parent:
        parent.start(spares=1)
        parent.forked()
        end(parent)
        assert parent.zygote.wait(SHORT_S) == 0
        assert not os.path.exists(parent.runtime_dir)
        assert [path for path in tmp_path.iterdir() if path.name.startswith("procactors-")] == []


@pytest.mark.parametrize("has_copy", [False, True], ids=["alone", "with a copy"])
def test_a_zygote_whose_parent_ended_before_it_was_up_removes_its_directory(tmp_path, has_copy):
    """Also if the socket is open still: in a copy of the parent, which has no lifeline."""
    with parent_at(tmp_path) as parent:
        if not has_copy:
            parent.channel.close()
        parent.lifeline.cut()
        parent.start()
        assert parent.zygote.wait(SHORT_S) == 0
        assert not os.path.exists(parent.runtime_dir)


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="the overflow must be on another disk")
def test_the_overflow_directory_goes_with_it(tmp_path, monkeypatch):
    base = Path("/dev/shm", f"test-{os.getpid()}")  # where nothing sweeps
    base.mkdir(0o700)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        with parent_at(base) as parent:
            assert os.path.exists(overflow_of(parent.runtime_dir))
            parent.start()
            parent.forked()
            end_at_once(parent)
            assert parent.zygote.wait(SHORT_S) == 0
            assert list(tmp_path.iterdir()) == []
            assert list(base.iterdir()) == []
    finally:
        base.rmdir()


def test_a_process_that_stands_still_when_the_parent_ends_is_ended(tmp_path):
    """Nothing of its own code runs, and it hangs on no lifeline yet."""
    with parent_at(tmp_path) as parent:
        parent.start(spares=1)
        zygote = psutil.Process(parent.zygote.pid)
        (spare,) = eventually(
            lambda: [child for child in zygote.children() if is_spare(child)], "a spare"
        )
        spare.suspend()
        end_at_once(parent)
        assert parent.zygote.wait(SHORT_S) == 0
        assert not spare.is_running()
        assert not os.path.exists(parent.runtime_dir)


# -- signals to the whole job ----------------------------------------------------------------------


def signal_all(process):
    """Send what schedulers send, one after the other, each seen to be dealt with."""
    for number in SHIELDED:
        process.send_signal(number)


def test_what_a_whole_job_is_sent_takes_neither_zygote_nor_spare_along(tmp_path):
    with parent_at(tmp_path) as parent:
        parent.start(spares=1)
        zygote = psutil.Process(parent.zygote.pid)
        signal_all(zygote)  # while it comes up
        for _ in range(2):
            (spare,) = eventually(
                lambda: [child for child in zygote.children() if is_spare(child)], "a spare"
            )
            signal_all(zygote)
            signal_all(spare)
            os.killpg(zygote.pid, signal.SIGTERM)
            assert parent.forked() == spare.pid, "the spare was killed"
        assert parent.zygote.poll() is None


def is_spare(process):
    """Tell whether it is no tracker of multiprocessing's, and is up."""
    with suppress(OSError):
        return Path(f"/proc/{process.pid}/comm").read_text().startswith("actor-spare")
    return False


HANDLERS = """
import os, signal
for number in {numbers}:
    signal.signal(number, lambda *_: os._exit(9))
signal.pthread_sigmask(signal.SIG_UNBLOCK, {numbers})
"""


@pytest.mark.parametrize("what", ["handlers of its own", "the system's defaults"])
def test_a_preloaded_module_s_handling_of_signals_is_not_the_zygotes(tmp_path, what):
    modules = tmp_path / "modules"
    modules.mkdir()
    code = HANDLERS.format(numbers=[int(number) for number in SHIELDED])
    if what != "handlers of its own":
        code = code.replace("lambda *_: os._exit(9)", "signal.SIG_DFL")
    (modules / "rude.py").write_text(code)
    with parent_at(tmp_path) as parent:
        parent.start(preload="rude", path=str(modules))
        for number in SHIELDED:
            parent.forked()
            os.kill(parent.zygote.pid, number)
        parent.forked()
        assert parent.zygote.poll() is None


# -- processes that are forked ahead ---------------------------------------------------------------


def forked_by(zygote):
    """Return what it has forked that lives: all but the tracker, which runs a program."""
    return [one for one in zygote.children() if is_forked(one)]


def is_forked(process):
    with suppress(OSError, psutil.NoSuchProcess):
        is_gone = process.status() == psutil.STATUS_ZOMBIE
        return not is_gone and Path(f"/proc/{process.pid}/comm").read_text().startswith("actor-")
    return False


def test_a_start_takes_the_process_that_was_forked_ahead_of_it(tmp_path):
    with parent_at(tmp_path) as parent:
        parent.start()
        zygote = psutil.Process(parent.zygote.pid)
        for _ in range(2):
            parent.announce()
            (blank,) = eventually(lambda: forked_by(zygote), "a process ahead")
            assert parent.forked() == blank.pid
        assert parent.forked() != blank.pid, "without one, it is forked at the order"


def test_one_process_is_ahead_at_most(tmp_path):
    """Many starts are being prepared, and none of them may come to anything."""
    with parent_at(tmp_path) as parent:
        parent.start()
        zygote = psutil.Process(parent.zygote.pid)
        for _ in range(5):
            parent.announce()
        parent.channel.send(ORDER.pack(REAP, 1, 0))  # no child of its own; behind the others
        (blank,) = eventually(lambda: forked_by(zygote), "a process ahead")
        assert parent.forked() == blank.pid
        assert forked_by(zygote) == []


def test_a_process_that_no_start_takes_is_dropped(tmp_path):
    with parent_at(tmp_path) as parent:
        parent.start()
        zygote = psutil.Process(parent.zygote.pid)
        parent.announce()
        (blank,) = eventually(lambda: forked_by(zygote), "a process ahead")
        eventually(lambda: not forked_by(zygote), "its end")
        assert not blank.is_running()
        assert parent.forked() != blank.pid


def test_a_process_ahead_that_was_killed_is_not_taken(tmp_path):
    with parent_at(tmp_path) as parent:
        parent.start()
        zygote = psutil.Process(parent.zygote.pid)
        parent.announce()
        (blank,) = eventually(lambda: forked_by(zygote), "a process ahead")
        blank.kill()
        eventually(lambda: not forked_by(zygote), "its end")
        assert parent.forked() != blank.pid


def test_starts_in_a_row_find_a_process_ahead(tmp_path):
    """Of a program that starts many: the next one is forked while the last one comes up."""
    with parent_at(tmp_path) as parent:
        parent.start()
        zygote = psutil.Process(parent.zygote.pid)

        def start_two():
            parent.forked()
            parent.forked()
            return forked_by(zygote)

        (blank,) = eventually(start_two, "a process ahead")
        assert parent.forked() == blank.pid


def test_a_spare_rehearses_and_leaves_nothing(tmp_path):
    with parent_at(tmp_path) as parent:
        parent.start(spares=1)
        zygote = psutil.Process(parent.zygote.pid)
        before = set(os.listdir(parent.runtime_dir))
        (spare,) = eventually(
            lambda: [child for child in zygote.children() if is_spare(child)], "a spare"
        )
        # Asleep in its read: it has come to the end of all that it does by itself.
        eventually(lambda: "pipe" in Path(f"/proc/{spare.pid}/wchan").read_text(), "it to wait")
        assert set(os.listdir(parent.runtime_dir)) - before == set()
        targets = [os.readlink(one) for one in Path(f"/proc/{spare.pid}/fd").iterdir()]
        assert [one for one in targets if "rehearsal" in one] == []
        assert parent.forked() == spare.pid
