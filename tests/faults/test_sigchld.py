"""Programs in which other code reaps our processes: SIGCHLD ignored, or a handler for all."""

from __future__ import annotations

import os
import platform
import signal
import subprocess

import pytest

from procactors.process import child as room
from procactors.process.child import Child, reap_by
from tests.support.programs import running

#: Asks an actor to die in several ways, and prints how it ended.
PROGRAM = """
    import os, signal, sys
    from procactors import Actor, ActorSystem, Restart
    from procactors.errors import ActorDied
    from procactors.process import child
    method, who, kernel = sys.argv[1:]
    class Victim(Actor):
        def die(self, how):
            if how == "exit":
                os._exit(7)
            os.kill(os.getpid(), getattr(signal, how))
    def reap(number, frame):  # as gunicorn does
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
    if who != "starter":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if who == "program" else reap)
    if kernel == "old":
        child._GET_INFO, child._TO_GROUP = 0, 1 << 30
    with ActorSystem(start_method=method) as system:
        ref = system.options(restart=Restart.PERMANENT, max_restarts=10).spawn(Victim)
        for how in ("SIGKILL", "exit", "SIGSEGV"):
            try:
                ref.options(timeout=20.0).ask(Victim.die, how)
            except ActorDied as error:
                print(error.report.reason)
"""

TRUE = ["ended by signal SIGKILL", "exited with code 7", "ended by signal SIGSEGV"]
UNKNOWN = (
    "ended in an unknown way (its exit code was taken by this program, which ignores SIGCHLD or "
    "waits for children that are not its own)"
)


def keeps_exit_codes() -> bool:
    """Whether the kernel keeps the exit code of a reaped process for those who have a pidfd."""
    return tuple(map(int, platform.release().split(".")[:2])) >= (6, 15)


def ignored_by_the_starter() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@pytest.mark.parametrize("who", ["starter", "program", "reaper"])
def test_the_true_cause_of_each_death_is_known(start_method, who):
    if start_method != "forkserver" and not keeps_exit_codes():
        pytest.skip("before Linux 6.15, nobody knows what somebody else has reaped")
    options = {"preexec_fn": ignored_by_the_starter} if who == "starter" else {}
    with running(PROGRAM, start_method, who, "new", **options) as program:
        code, out, _ = program.end()
        assert (code, out.splitlines()) == (0, TRUE)
        program.await_nothing_left()


def test_an_old_kernel_makes_nothing_up(start_method):
    """What is not known is said to be unknown, and is no "exit code 0"."""
    with running(PROGRAM, start_method, "program", "old") as program:
        code, out, _ = program.end()
        expected = TRUE if start_method == "forkserver" else [UNKNOWN] * 3
        assert (code, out.splitlines()) == (0, expected)
        program.await_nothing_left()


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "1000"], start_new_session=True)


def number_used_again(pid: int) -> subprocess.Popen[bytes]:
    """Start a process, the leader of its group, whose number is `pid`."""
    for _ in range(20):  # another program may start a process in between
        try:
            with open("/proc/sys/kernel/ns_last_pid", "w") as file:
                file.write(str(pid - 1))
        except OSError:
            pytest.skip("needs leave to choose the next process's number")
        process = sleeper()
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"no process got the number {pid}")


@pytest.mark.parametrize("flag", [room._TO_GROUP, 1 << 30], ids=["by pidfd", "by number"])
def test_a_number_that_is_used_again_is_not_killed(monkeypatch, flag):
    """Neither the process that has it now, nor its group; and its end is not taken for ours."""
    monkeypatch.setattr(room, "_TO_GROUP", flag)
    process = sleeper()
    child = Child(process.pid)
    process.kill()
    process.wait()
    other = number_used_again(process.pid)
    try:
        child.kill_group()
        child.send(signal.SIGKILL)
        assert reap_by(child.pidfd)[0] in (None, -signal.SIGKILL)
        assert not os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    finally:
        child.release()
        other.kill()
        other.wait()


@pytest.mark.parametrize("flag", [room._TO_GROUP, 1 << 30], ids=["by pidfd", "by number"])
def test_the_group_of_a_dead_process_is_killed(monkeypatch, flag):
    monkeypatch.setattr(room, "_TO_GROUP", flag)
    script = "sleep 1000 & echo $!; exec sleep 1000"
    process = subprocess.Popen(
        ["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE, text=True
    )
    helper = os.pidfd_open(int(process.stdout.readline()))
    child = Child(process.pid)
    process.kill()
    assert room.has_ended(child.pidfd, -1)
    child.kill_group()
    assert room.has_ended(helper, 30_000)
    assert reap_by(child.pidfd)[0] == -signal.SIGKILL
    process.returncode = -signal.SIGKILL
    process.stdout.close()
    os.close(helper)
    child.release()
