"""Shutdown: Ctrl-C, SIGTERM with a drain, forgotten stops, actors with children of their own."""

from __future__ import annotations

import os
import signal
import subprocess

import psutil
import pytest

from procactors import Actor, ExitKind
from tests.support.programs import running, running_python
from tests.support.waiting import eventually


class PoolUser(Actor):
    """Computes in processes of its own."""

    def squares(self, kind):
        import concurrent.futures
        import multiprocessing

        context = multiprocessing.get_context("fork")
        if kind == "Pool":
            with context.Pool(2) as pool:
                return pool.map(abs, range(-5, 0))
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            return list(pool.map(abs, range(-5, 0)))

    def open_pool(self):
        """Keep a pool open; return its processes."""
        import multiprocessing

        self.pool = multiprocessing.get_context("fork").Pool(2)
        self.pool.map(abs, range(5))
        return [child.pid for child in multiprocessing.active_children()]

    def shared_memory(self):
        from multiprocessing import shared_memory

        memory = shared_memory.SharedMemory(create=True, size=4096)
        name = memory.name
        memory.close()
        memory.unlink()
        return name


def test_ctrl_c_of_an_example_is_one_traceback_and_nothing_left():
    """Acceptance case 34: exit 130 from the command line, few lines, no process."""
    with running_python("-m", "procactors", "demo", "--workers", "2") as program:
        while not program.line().startswith("actors at work: "):
            pass
        os.killpg(program.process.pid, signal.SIGINT)
        code, _, errors = program.end()
        assert code == 130
        assert len(errors.splitlines()) <= 5
        program.await_nothing_left()


def test_ctrl_c_in_a_plain_program_ends_it_as_python_does(start_method):
    """Acceptance case 34, without a handler: the actors say nothing, the parent once."""
    code = """
        import sys
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def wait(self):
                import signal
                while True:
                    signal.pause()
        with ActorSystem(start_method=sys.argv[1], stop_timeout=0.5) as system:
            refs = [system.spawn(Worker) for _ in range(4)]
            replies = [ref.submit(Worker.wait) for ref in refs]
            print("ready", flush=True)
            replies[0].result()
    """
    with running(code, start_method) as program:
        assert program.line() == "ready"
        os.killpg(program.process.pid, signal.SIGINT)
        code, _, errors = program.end()
        assert code == -signal.SIGINT
        assert errors.count("Traceback (most recent call last)") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
        program.await_nothing_left()


def test_a_second_ctrl_c_does_not_wait_for_the_stop(start_method, place):
    """KeyboardInterrupt inside stop() ends everything at once."""
    code = """
        import sys, signal
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def wait(self):
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
                while True:
                    signal.pause()
        system = ActorSystem(start_method=sys.argv[1], stop_timeout=0.5)
        ref = system.spawn(Worker)
        ref.tell(Worker.wait)
        while ref.status().state != "busy":
            pass
        print(system.name, flush=True)
        system.stop(3600.0)
    """
    with place.running(code, start_method) as program:
        name = program.line()
        # In the stop, or just before it: either way it must end.
        program.process.send_signal(signal.SIGINT)
        assert program.end()[0] in (-signal.SIGINT, 130, 1)
        program.await_nothing_left(name)


def test_sigterm_drains_with_one_deadline_and_exits_with_143():
    """Acceptance case 35: what is in hand is finished, what is not handled is reported."""
    code = """
        import os, signal, sys, threading
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def work(self, number, stuck):
                if stuck:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    while True:
                        signal.pause()
                return number
        asked = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: asked.set())
        with ActorSystem() as system:
            quick, slow = system.spawn(Worker), system.spawn(Worker)
            done = [quick.submit(Worker.work, n, False) for n in range(100)]
            slow.tell(Worker.work, 0, True)
            for n in range(5):
                slow.tell(Worker.work, n, False)
            print("ready", flush=True)
            while not asked.wait(0.05):
                pass
            system.stop(timeout=1.0)
            handled = sum(reply.exception() is None for reply in done)
            print(handled, len(system.dead_letters), flush=True)
        sys.exit(128 + signal.SIGTERM)
    """
    with running(code) as program:
        assert program.line() == "ready"
        os.killpg(program.process.pid, signal.SIGTERM)  # to every process of the job's group
        code, out, _ = program.end()
        assert (code, out) == (143, "100 6\n")
        program.await_nothing_left()


@pytest.mark.parametrize("kind", ["Pool", "ProcessPoolExecutor"])
def test_a_process_pool_works_inside_an_actor(system, kind):
    """Acceptance case 39: actors are no daemons."""
    ref = system.spawn(PoolUser)
    assert ref.ask(PoolUser.squares, kind) == [5, 4, 3, 2, 1]
    assert ref.stop().kind is ExitKind.STOPPED


@pytest.mark.parametrize("end", ["stop", "kill", "SIGKILL"])
def test_a_pool_that_an_actor_left_open_ends_with_it(system, end):
    """Acceptance case 39: whatever way the actor ends."""
    ref = system.spawn(PoolUser)
    workers = [psutil.Process(pid) for pid in ref.ask(PoolUser.open_pool)]
    assert len(workers) == 2
    if end == "SIGKILL":
        os.kill(ref.status().pid, signal.SIGKILL)
        eventually(lambda: ref.status().incarnation == 2, "the second life")
    else:
        getattr(ref, end)()
    for worker in workers:
        eventually(lambda worker=worker: not worker.is_running(), "the end of the pool")


def test_shared_memory_of_an_actor_makes_no_noise_at_its_end():
    """Its resource tracker is the zygote's: nothing is reported as leaked."""
    code = """
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def use(self):
                from multiprocessing import shared_memory
                memory = shared_memory.SharedMemory(create=True, size=4096)
                memory.close()
                memory.unlink()
                return 1
        with ActorSystem() as system:
            print(system.spawn(Worker).ask(Worker.use))
    """
    with running(code) as program:
        assert program.end() == (0, "1\n", "")


def test_a_program_that_ends_by_os_exit_leaves_nothing(start_method, place):
    """Nothing of Python's own end runs; the lifeline is enough."""
    code = """
        import os, sys
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            pass
        system = ActorSystem(start_method=sys.argv[1])
        system.spawn(Worker)
        print(system.name, flush=True)
        os._exit(9)
    """
    with place.running(code, start_method) as program:
        name = program.line()
        assert program.end()[0] == 9
        program.await_nothing_left(name)


def test_output_of_actors_is_not_lost_at_their_end(start_method):
    code = """
        import sys
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def say(self):
                print("from the actor")
            def leave(self):
                sys.stdout.write("last words")
                self.context.stop()
        with ActorSystem(start_method=sys.argv[1]) as system:
            ref = system.spawn(Worker)
            ref.ask(Worker.say)
            ref.tell(Worker.leave)
            ref.wait()
    """
    with running(code, start_method, stdin=subprocess.DEVNULL) as program:
        assert program.end() == (0, "from the actor\nlast words", "")
