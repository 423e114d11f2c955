"""Orphans: when the parent ends, by whatever signal, nothing of it is left.

Acceptance case 33 and more. Each test runs a program of its own, kills it at a point of interest,
and looks for processes that carry its mark and for its runtime directory.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest

from procactors.process.launcher import _BOOT
from tests.support.programs import running
from tests.support.waiting import eventually

#: A system whose actors are in each of the states in which a parent's death may find them.
TREE = """
    import os, subprocess, sys, threading, time
    from procactors import Actor, ActorSystem

    class Worker(Actor):
        def sleep(self):
            time.sleep(3600)
        def spin(self):
            sum(range(10**12))
        def ask(self, other):
            other.ask(Worker.pid)
        def fork(self):
            if os.fork() == 0:
                time.sleep(3600)
            subprocess.Popen(["sleep", "3600"])
        def big(self, value):
            time.sleep(3600)
        def hire(self):
            self.context.spawn(Worker)
        def pid(self):
            return os.getpid()

    system = ActorSystem(start_method=sys.argv[1], spares=int(sys.argv[2]))
    sleeping, spinning, waiting, forking, receiving, idle, parent = (
        system.spawn(Worker) for _ in range(7)
    )
    forking.ask(Worker.fork)
    parent.ask(Worker.hire)
    sleeping.tell(Worker.sleep)
    spinning.tell(Worker.spin)
    receiving.tell(Worker.big, b"x" * 5_000_000)
    waiting.tell(Worker.ask, sleeping)
    for busy in (sleeping, spinning, receiving, waiting):
        while busy.status().state != "busy":
            pass
    print(system.name, system._supervisor._launcher._zygote.pid, flush=True)
    threading.Event().wait()
"""

#: A parent that ends itself at once, in the middle of a start.
HASTY = """
    import os, signal, sys, threading, time
    from procactors import Actor, ActorSystem

    class Worker(Actor):
        pass

    system = ActorSystem(start_method=sys.argv[1])
    print(system.name, flush=True)
    if sys.argv[2] == "spawning":
        for _ in range(3):
            threading.Thread(target=system.spawn, args=(Worker,), daemon=True).start()
    time.sleep(float(sys.argv[3]))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGKILL, marks=pytest.mark.methods), signal.SIGTERM, signal.SIGSEGV],
)
def test_nothing_is_left_of_a_tree_whose_parent_dies(start_method, number, place):
    """Case 33: actors that sleep, spin in C, wait, receive, have children and grandchildren."""
    with place.running(TREE, start_method, 0) as program:
        system, _ = program.line().split()
        assert len(program.tree()) >= 11
        program.process.send_signal(number)
        assert program.end()[0] == -number
        program.await_nothing_left(system)


def test_nothing_is_left_of_blank_processes(place):
    """Spares hang on the zygote until they are somebody."""
    with place.running(TREE, "forkserver", 3) as program:
        system, _ = program.line().split()
        program.process.kill()
        program.await_nothing_left(system)


def test_actors_live_on_without_their_zygote_and_die_with_their_parent(start_method, place):
    with place.running(TREE, start_method, 2) as program:
        system, zygote = program.line().split()
        actors = {p.pid for p in program.tree()} - {program.process.pid, int(zygote)}
        os.kill(int(zygote), signal.SIGKILL)
        eventually(lambda: not psutil.pid_exists(int(zygote)), "the zygote's end")
        assert len(actors & {p.pid for p in program.tree()}) >= 9
        program.process.kill()
        program.await_nothing_left(system)


def test_the_kernel_ends_the_actors_when_zygote_and_parent_die_together(start_method, place):
    """Nobody is left to remove the directory: the next start sweeps it."""
    with place.running(TREE, start_method, 0) as program:
        system, zygote = program.line().split()
        os.kill(int(zygote), signal.SIGSTOP)  # it cannot do its janitor's work any more
        program.process.kill()
        os.kill(int(zygote), signal.SIGKILL)
        program.await_nothing_left()
        assert program.directories_of(system) != [] or not place.is_apart
        with place.running("from procactors import ActorSystem; ActorSystem().stop()") as other:
            assert other.end() == (0, "", "")
        assert program.directories_of(system) == []


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
@pytest.mark.parametrize("doing", ["nothing", "spawning"])
def test_nothing_is_left_of_a_parent_that_dies_while_it_starts(start_method, doing, delay, place):
    """Zygote and actors come up, look for their parent, and find that it is gone."""
    with place.running(HASTY, start_method, doing, delay) as program:
        system = program.line()
        code, _, errors = program.end()
        assert (code, errors) == (-signal.SIGKILL, "")
        program.await_nothing_left(system)


def test_a_process_whose_system_was_swept_before_its_first_line_ends_without_a_word(tmp_path):
    """Its parent died at once, and another program's start removed the directory."""
    command = [sys.executable, "-c", _BOOT, str(tmp_path / "swept"), "procactors.process.zygote"]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_a_forked_copy_of_the_parent_does_not_keep_its_actors_alive(start_method, place):
    """The lifeline's write end is the parent's alone."""
    code = """
        import os, sys, time
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            pass
        system = ActorSystem(start_method=sys.argv[1])
        ref = system.spawn(Worker)
        copy = os.fork()
        if copy == 0:
            time.sleep(3600)
        print(system.name, ref.status().pid, copy, flush=True)
        time.sleep(3600)
    """
    with place.running(code, start_method) as program:
        system, actor, copy = program.line().split()
        program.process.kill()
        eventually(lambda: not psutil.pid_exists(int(actor)), "the actor's end")
        eventually(lambda: [p.pid for p in program.tree()] == [int(copy)], "the others' end")
        eventually(lambda: not program.directories_of(system), "the directory's removal")


def test_a_stopped_parents_actors_wait_for_it(start_method, place):
    """SIGSTOP is no death: the actors are there when it goes on."""
    code = """
        import os, sys
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def get(self):
                return os.getpid()
        with ActorSystem(start_method=sys.argv[1]) as system:
            ref = system.spawn(Worker)
            print(ref.ask(Worker.get), flush=True)
            sys.stdin.readline()
            print(ref.ask(Worker.get), flush=True)
    """
    with place.running(code, start_method, stdin=-1) as program:
        pid = program.line()
        program.process.send_signal(signal.SIGSTOP)
        eventually(
            lambda: psutil.Process(program.process.pid).status() == psutil.STATUS_STOPPED,
            "the parent to stand still",
        )
        assert psutil.pid_exists(int(pid))
        program.process.send_signal(signal.SIGCONT)
        code, out, errors = program.end()
        assert (code, out, errors) == (0, f"{pid}\n", "")


#: A parent with a large message on its way, in a place of its own.
APART = """
    import sys, threading
    from procactors import Actor, ActorSystem

    class Worker(Actor):
        def wait(self, _):
            print("received", flush=True)
            threading.Event().wait()

    system = ActorSystem(start_method=sys.argv[1], runtime_dir=sys.argv[2], spares=1)
    refs = [system.spawn(Worker) for _ in range(2)]
    refs[0].tell(Worker.wait, b"x" * 1_000_000)
    threading.Event().wait()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_directory_of_a_dead_parent_is_removed_though_nobody_sweeps(
    start_method, tmp_path, number
):
    """Where no other system looks: its own zygote sees to it."""
    with running(APART, start_method, tmp_path) as program:
        assert program.line() == "received"
        (runtime_dir,) = tmp_path.iterdir()
        program.process.send_signal(number)
        assert program.end()[0] == -number
        program.await_nothing_left()
        eventually(lambda: not runtime_dir.exists(), "the directory's removal")
        assert list(tmp_path.iterdir()) == []
