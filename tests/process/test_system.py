"""The system as a whole: its beginning and end, and what is no part of it."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from procactors import Actor, ActorSystem, Supervisor, spec
from procactors.errors import ActorStopped, InvalidSpec, ProcActorsError
from procactors.testing import leaks
from tests.support.actors import Counter, Echo, Sleeper
from tests.support.programs import running

USES = ["spawn", "find", "item", "actors", "inbox"]
USES += ["tell", "ask", "submit", "status", "stop", "wait"]


class Holder(Actor):
    def use(self, ref):
        return ref.ask(Echo.echo, 1)


def test_with_stops_the_system_at_its_end(start_method):
    with ActorSystem(start_method=start_method) as system:
        ref = system.spawn(Counter)
        pid = ref.status().pid
        assert not system.wait(timeout=0.01)
    assert system.wait(timeout=0)
    assert not psutil.pid_exists(pid)
    assert not ref.is_alive()


def test_with_stops_the_system_when_the_block_raises(start_method):
    system = ActorSystem(start_method=start_method)
    with pytest.raises(ZeroDivisionError), system:
        raise ZeroDivisionError
    assert system.wait(timeout=0)


def test_async_with_stops_it_without_blocking_the_loop(start_method):
    async def main():
        async with ActorSystem(start_method=start_method) as system:
            ref = system.spawn(Counter)
            assert await ref.submit(Counter.increment, 2) == 2
        return system

    assert asyncio.run(main()).wait(timeout=0)


def test_stopping_twice_is_no_error(start_method):
    system = ActorSystem(start_method=start_method)
    system.stop()
    system.stop()
    system.kill()
    assert "stopped" in repr(system)


def test_two_threads_stop_it_at_once(start_method):
    system = ActorSystem(start_method=start_method)
    for _ in range(3):
        system.spawn(Echo)
    threads = [threading.Thread(target=system.stop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert system.wait(timeout=0)


def test_kill_ends_everything_at_once(system, gate):
    replies = [system.spawn(Sleeper).submit(Sleeper.sleep, gate) for _ in range(4)]
    for _ in replies:
        gate.arrival()
    system.kill()
    for reply in replies:
        assert "killed by the runtime with SIGKILL" in str(reply.exception())


@pytest.mark.parametrize(
    "use",
    [
        lambda system, ref: system.spawn(Counter),
        lambda system, ref: system.find("one"),
        lambda system, ref: system["one"],
        lambda system, ref: system.actors(),
        lambda system, ref: system.inbox(),
        lambda system, ref: ref.tell(Counter.increment),
        lambda system, ref: ref.ask(Counter.increment),
        lambda system, ref: ref.submit(Counter.increment),
        lambda system, ref: ref.status(),
        lambda system, ref: ref.stop(),
        lambda system, ref: ref.wait(),
    ],
    ids=USES,
)
def test_whatever_is_asked_of_a_stopped_system_says_that_it_was_stopped(start_method, use):
    with ActorSystem(start_method=start_method) as system:
        ref = system.options(name="one").spawn(Counter)
    with pytest.raises(ProcActorsError, match="stopped"):
        use(system, ref)


@pytest.mark.parametrize(
    "options",
    [
        {"backend": "fibers"},
        {"start_method": "vfork"},
        {"spares": -1},
        {"stop_timeout": None},
        {"ask_timeout": "1"},
    ],
    ids=str,
)
def test_a_senseless_option_is_named_before_anything_starts(options):
    (name,) = options
    with pytest.raises(InvalidSpec, match=name):
        ActorSystem(**options)


def test_a_runtime_directory_of_ones_own_is_used_and_emptied(start_method, tmp_path):
    with ActorSystem("mine", start_method=start_method, runtime_dir=tmp_path) as system:
        (inside,) = tmp_path.iterdir()
        assert inside.stat().st_mode & 0o777 == 0o700
        assert system.name == "mine"
        assert system.spawn(Counter, 1).ask(Counter.get_value) == 1
    assert list(tmp_path.iterdir()) == []


def test_two_systems_live_side_by_side(start_method):
    with (
        ActorSystem(start_method=start_method) as one,
        ActorSystem(start_method=start_method) as two,
    ):
        first = one.options(name="same").spawn(Counter, 1)
        second = two.options(name="same").spawn(Counter, 2)
        assert first != second
        assert (first.ask(Counter.get_value), second.ask(Counter.get_value)) == (1, 2)
        one.stop()
        assert second.ask(Counter.get_value) == 2


def test_a_ref_in_another_system_of_the_program_is_used_by_way_of_the_program(start_method):
    with (
        ActorSystem(start_method=start_method) as one,
        ActorSystem(start_method=start_method) as two,
    ):
        stranger = one.spawn(Echo)
        holder = two.spawn(Holder)
        assert holder.ask(Holder.use, stranger) == 1
        assert one.spawn(Holder).ask(Holder.use, stranger) == 1


def test_a_ref_in_a_strange_program_says_that_it_does_not_belong_there(system, tmp_path):
    path = tmp_path / "ref"
    path.write_bytes(pickle.dumps(system.spawn(Echo)))
    code = """
        import pickle, sys
        from procactors.errors import ForeignProcess
        ref = pickle.load(open(sys.argv[1], "rb"))
        assert not ref.is_alive()
        try:
            ref.tell("hello")
        except ForeignProcess as error:
            print(error)
    """
    with running(code, path) as program:
        code, out, errors = program.end()
        assert (code, errors) == (0, "")
        assert "is used outside its system" in out


def test_a_forked_copy_of_the_parent_is_told_that_it_is_one(system):
    """It can neither talk nor stop anything, and what it holds is the parent's still."""
    ref, inbox = system.spawn(Echo), system.inbox()
    inbox.ref.tell("for the parent")
    uses = [
        lambda: ref.ask(Echo.echo, 1),
        lambda: ref.tell(Echo.echo, 1),
        lambda: ref.submit(Echo.echo, 1),
        ref.status,
        lambda: system.spawn(Echo),
        lambda: system.find("x"),
        system.actors,
        system.inbox,
        lambda: inbox.receive(timeout=0.5),
        system.stop,
    ]
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for use in uses:
                try:
                    said = repr(use())
                except BaseException as error:
                    said = f"{type(error).__name__}: {error}"
                os.write(writing, said.replace("\n", " ").encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as file:
        lines = file.read().splitlines()
    os.waitpid(pid, 0)
    assert len(lines) == len(uses)
    for line in lines:
        assert line.startswith(f"ForeignProcess: process {pid} is a forked copy of"), line
    assert inbox.receive(timeout=20.0) == "for the parent"
    assert ref.ask(Echo.echo, 1) == 1


def test_whatever_is_left_of_a_stopped_system_says_that_it_was_stopped(start_method):
    """Of a system of this very process, nothing is taken for another one's."""
    with ActorSystem(start_method=start_method) as system:
        ref, inbox = system.spawn(Echo), system.inbox()
        pool = system.options(size=1).pool()
        root = system.supervise(Supervisor(spec(Echo)))
        shared = system.share(b"x")
        copy = pickle.loads(pickle.dumps(ref))
    uses = [
        lambda: copy.ask(Echo.echo),
        lambda: ref.options(timeout=1).tell(Echo.echo),
        ref.kill,
        lambda: inbox.ref.tell(1),
        inbox.receive,
        lambda: pool.ask(abs, 1),
        lambda: pool.map(abs, [1]),
        lambda: pool.workers()[0].ask(abs, 1),
        lambda: pool.resize(2),
        pool.__enter__,
        root.children,
        root.count_children,
        lambda: root.start_child(spec(Echo)),
        lambda: root.terminate_child("x"),
        root.stop,
        root.wait,
        shared.get,
        lambda: system.supervise(Supervisor()),
        lambda: system.events.subscribe(print),
        lambda: system.dead_letters.subscribe(print),
        lambda: system.dead_letters.requeue_all("x"),
    ]
    for number, use in enumerate(uses):
        with pytest.raises(ActorStopped, match="the system was stopped"):
            raise AssertionError((number, use()))
    assert not ref.is_alive()
    assert not root.is_alive()
    pool.stop()
    shared.release()


@pytest.mark.methods
def test_a_forgotten_stop_ends_by_itself(start_method, place):
    """Acceptance case 36: the program comes to its end, and so do its actors."""
    code = """
        import sys
        from procactors import Actor, ActorSystem, Supervisor, spec
        class Worker(Actor):
            def get(self):
                return 1
        system = ActorSystem(start_method=sys.argv[1])
        print(system.name, flush=True)
        print([system.spawn(Worker).ask(Worker.get) for _ in range(3)])
    """
    with place.running(code, start_method) as program:
        name = program.line()
        assert program.end() == (0, "[1, 1, 1]\n", "")
        program.await_nothing_left(name)


def test_a_forgotten_stop_ends_a_program_that_fails(start_method):
    code = """
        import sys
        from procactors import Actor, ActorSystem, Supervisor, spec
        class Worker(Actor):
            pass
        system = ActorSystem(start_method=sys.argv[1])
        ref = system.spawn(Worker)
        sys.exit(5)
    """
    with running(code, start_method) as program:
        assert program.end() == (5, "", "")
        program.await_nothing_left()


def test_a_signal_handler_may_stop_the_system_that_is_being_stopped():
    """What a SIGTERM handler does first; the inner stop shortens the outer one."""
    code = """
        import os, signal, threading
        from procactors import Actor, ActorSystem, Supervisor, spec
        class Worker(Actor):
            def spin(self):
                while True:
                    signal.pause()
        system = ActorSystem()
        ref = system.spawn(Worker)
        ref.tell(Worker.spin)
        while ref.status().state != "busy":
            pass
        signal.signal(signal.SIGTERM, lambda *_: system.stop(0.2))
        def terminate():
            while ref.status().state != "stopping":
                pass
            os.kill(os.getpid(), signal.SIGTERM)
        threading.Thread(target=terminate).start()
        system.stop(200.0)
        print("stopped")
    """
    with running(code) as program:
        code, out, _ = program.end()
        assert (code, out) == (0, "stopped\n")
        program.await_nothing_left()


def rounds(start_method, count):
    """Start and stop that many systems; return what is left."""
    with ActorSystem(start_method=start_method):
        pass  # what a process opens once
    gc.collect()
    before = leaks.look()
    fds = len(os.listdir("/proc/self/fd"))
    for number in range(count):
        with ActorSystem(start_method=start_method) as system:
            ref = system.spawn(Counter, number)
            assert ref.submit(Counter.increment).result() == number + 1
    gc.collect()
    leaks.check(before)
    return len(os.listdir("/proc/self/fd")) - fds


def test_rounds_of_start_and_stop_leave_nothing(start_method):
    """Acceptance case 38, in few rounds."""
    assert rounds(start_method, 20) == 0


@pytest.mark.stress
def test_hundreds_of_rounds_of_start_and_stop_leave_nothing(start_method):
    """Acceptance case 38."""
    assert rounds(start_method, 300) == 0


def bytes_of(system):
    """Bytes of a system's own files, and of what this process has mapped though it is removed."""
    found = 0
    for root in (leaks.SHARED_MEMORY, Path(tempfile.gettempdir())):
        for top in root.glob(f"{system.name}*"):
            for folder, _, files in os.walk(top):
                for name in files:
                    with suppress(FileNotFoundError):  # on its way out
                        found += os.lstat(os.path.join(folder, name)).st_blocks * 512
    for line in Path("/proc/self/maps").read_text().splitlines():
        if system.name in line and line.endswith("(deleted)"):
            start, end = (int(number, 16) for number in line.split()[0].split("-"))
            found += end - start
    return found


def test_spawning_and_stopping_leaves_no_descriptor_and_no_shared_memory(system):
    """Within one system too: an actor that ended has given everything back."""

    def used():
        return len(os.listdir("/proc/self/fd")), bytes_of(system)

    for _ in range(3):
        system.spawn(Echo).stop()
    fds, size = used()
    for _ in range(50):
        ref = system.spawn(Echo)
        ref.ask(Echo.echo, 1)
        ref.stop()
    after_fds, after_size = used()
    # The writers of ended actors are dropped when there are many, hence the room.
    assert after_fds - fds <= 60
    assert after_size - size < 200_000


def test_signals_of_the_application_stay_its_own(start_method):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ActorSystem(start_method=start_method) as system:
        system.spawn(Echo)
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
