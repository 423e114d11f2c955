"""Signals of schedulers and operators, and those that an actor sends to itself."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from procactors import Actor, ActorSystem, ExitKind, ExitReason
from procactors.errors import ActorDied
from procactors.process.shield import SHIELDED
from tests.support.waiting import eventually

#: Ways in which a program ends itself, all of the same signal.
WAYS = {
    "os.kill": lambda number: os.kill(os.getpid(), number),
    "raise_signal": signal.raise_signal,
    # As libraries in C do: numba, when it is forked with OpenMP running.
    "raise(3)": getattr(ctypes.CDLL(None), "raise"),
    "psutil": lambda number: psutil.Process().send_signal(number),
    "its group": lambda number: os.killpg(0, number),
    "a thread": lambda number: _in_thread(os.kill, os.getpid(), number),
}

#: Prints, of a program, which signals it ignores and which it holds back, as numbers.
SHOW = "grep -E 'Sig(Ign|Blk)' /proc/self/status"


def _in_thread(call, *args):
    thread = threading.Thread(target=call, args=args)
    thread.start()
    thread.join()


def signal_itself(way: str, number: int) -> str:
    """Run in a pool's worker."""
    WAYS[way](number)
    return "went on"


class Worker(Actor):
    def on_start(self):
        self.heard = []

    def signal_itself(self, way, number):
        return signal_itself(way, number)

    def interrupt_itself(self):
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            return "interrupted"
        return "went on"

    def use_up_cpu(self):
        resource.setrlimit(resource.RLIMIT_CPU, (1, 60))
        while True:
            pass

    def hold(self, gate):
        gate.wait()
        return self.context.incarnation

    def life(self):
        return self.context.incarnation

    def signalled_by_a_child(self):
        subprocess.run(["sh", "-c", "kill -TERM $PPID; kill -USR1 $PPID"], check=True)
        return self.context.incarnation

    def run(self, command):
        return subprocess.run(
            command, shell=True, capture_output=True, text=True, check=True
        ).stdout

    def forked(self, number):
        """Return the wait status of a copy of this process that gets a signal."""
        pid = os.fork()
        if not pid:
            while True:
                signal.pause()
        os.kill(pid, number)
        return os.waitpid(pid, 0)[1]

    def handler_in_a_copy(self, number):
        reading, writing = os.pipe()
        if not os.fork():
            os.write(writing, repr(signal.getsignal(number) == self.hear).encode())
            os._exit(0)
        os.wait()
        return os.read(reading, 100).decode()

    def hear(self, number, _frame):
        self.heard.append(number)

    def listen(self, *numbers):
        for number in numbers:
            signal.signal(number, self.hear)

    def what_was_heard(self):
        return self.heard


def one_of(process: psutil.Process) -> None:
    """Send all that schedulers send."""
    for number in SHIELDED:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


@contextlib.contextmanager
def signalling_all_that_starts() -> Iterator[list[int]]:
    """Send every signal again and again to each process that comes, from its very first moment."""
    me, over, numbers = psutil.Process(), threading.Event(), []
    known = {process.pid for process in me.children(recursive=True)}

    def send() -> None:
        while not over.is_set():
            for process in me.children(recursive=True):
                if process.pid not in known:
                    numbers.append(process.pid)
                    one_of(process)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield numbers
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("way", WAYS)
def test_an_actor_ends_by_a_sigterm_that_it_sends_itself(system, way):
    ref = system.spawn(Worker)
    with pytest.raises(ActorDied) as caught:
        ref.ask(Worker.signal_itself, way, signal.SIGTERM)
    assert caught.value.report.reason == ExitReason(ExitKind.SIGNAL, signal.SIGTERM)
    assert caught.value.report.handler == "Worker.signal_itself"
    assert ref.ask(Worker.life) == 2


@pytest.mark.parametrize("number", set(SHIELDED) - {signal.SIGINT})
def test_each_signal_of_its_own_has_its_usual_effect(system, number):
    with pytest.raises(ActorDied) as caught:
        system.spawn(Worker).ask(Worker.signal_itself, "os.kill", number)
    assert caught.value.report.reason == ExitReason(ExitKind.SIGNAL, number)


def test_an_actor_interrupts_itself(system):
    """As a thread does to the main one, for a timeout."""
    assert system.spawn(Worker).ask(Worker.interrupt_itself) == "interrupted"


def test_a_worker_of_a_pool_ends_by_a_sigterm_of_its_own(system):
    with system.options(size=1).pool() as pool:
        items = [("raise(3)", signal.SIGTERM)]
        outcome = list(pool.starmap(signal_itself, items, on_error="collect"))
        assert outcome[0].report.reason == ExitReason(ExitKind.SIGNAL, signal.SIGTERM)
        assert pool.ask(abs, -1) == 1


def test_a_limit_of_cpu_time_ends_an_actor(system):
    """The kernel's SIGXCPU is for this very process, and no scheduler's."""
    with pytest.raises(ActorDied) as caught:
        system.spawn(Worker).ask(Worker.use_up_cpu)
    assert caught.value.report.reason == ExitReason(ExitKind.SIGNAL, signal.SIGXCPU)


def test_signals_from_elsewhere_harm_no_actor(system, gate):
    """Busy in a system call or not: what is in hand is finished."""
    busy, idle = system.spawn(Worker), system.spawn(Worker)
    reply = busy.submit(Worker.hold, gate)
    gate.arrival()
    for _ in range(20):
        for ref in (busy, idle):
            one_of(psutil.Process(ref.status().pid))
    gate.open()
    assert reply.result() == 1
    assert idle.ask(Worker.life) == 1
    assert idle.ask(Worker.signalled_by_a_child) == 1


def test_signals_to_every_process_of_a_job_harm_none(start_method, caplog):
    """The zygote and its spare go on, too."""
    me = psutil.Process()
    known = set(me.children(recursive=True))
    with ActorSystem(start_method=start_method, spares=1) as system:
        refs = [system.spawn(Worker) for _ in range(2)]
        job = set(me.children(recursive=True)) - known
        assert len(job) >= 3
        for process in job:
            one_of(process)
        refs.append(system.spawn(Worker))
        assert [ref.ask(Worker.life) for ref in refs] == [1, 1, 1]
        # A zombie is running, too.
        assert [p for p in job if not p.is_running() or p.status() == psutil.STATUS_ZOMBIE] == []
        assert system._supervisor._launcher._zygote.pid in {process.pid for process in job}
    assert caplog.messages == []


def test_signals_that_come_all_at_once_harm_no_actor(system):
    """It was stopped, and finds all of them there: they do not pile up on its signal stack."""
    ref = system.spawn(Worker)
    process = psutil.Process(ref.status().pid)
    for _ in range(3):
        process.suspend()
        eventually(lambda: process.status() == psutil.STATUS_STOPPED, "it to stand still")
        one_of(process)
        process.resume()
        assert ref.ask(Worker.life) == 1
    assert system.spawn(Worker).ask(Worker.life) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_zygotes_group_takes_nobody_along(start_method, caplog, number):
    """As a scheduler sends it, to one process after the other."""
    with ActorSystem(start_method=start_method, spares=1) as system:
        ref = system.spawn(Worker)
        zygote = system._supervisor._launcher._zygote.pid
        os.killpg(zygote, number)
        assert ref.ask(Worker.life) == 1
        assert system.spawn(Worker).ask(Worker.life) == 1
        # By then the zygote has answered, or another one in its place.
        assert system._supervisor._launcher._zygote.pid == zygote
    assert caplog.messages == []


def test_signals_in_the_first_moments_of_a_process_harm_none(start_method, caplog):
    """From its fork on, through exec and imports."""
    with signalling_all_that_starts() as signalled:
        for _ in range(3):
            with ActorSystem(start_method=start_method, spares=1) as system:
                refs = [system.spawn(Worker) for _ in range(3)]
                pids = {ref.status().pid for ref in refs}
                eventually(lambda pids=pids: pids <= set(signalled), "signals to each of them")
                assert [ref.ask(Worker.life) for ref in refs] == [1, 1, 1]
    assert caplog.messages == []


def test_programs_that_an_actor_starts_have_the_defaults(system):
    shown = system.spawn(Worker).ask(Worker.run, SHOW)
    masks = {line[:6]: int(line.split()[1], 16) for line in shown.splitlines()}
    assert masks["SigBlk"] == 0
    assert not any(masks["SigIgn"] & 1 << (number - 1) for number in SHIELDED)


@pytest.mark.parametrize("number", set(SHIELDED) - {signal.SIGINT})
def test_copies_of_an_actor_have_the_defaults(system, number):
    assert os.WTERMSIG(system.spawn(Worker).ask(Worker.forked, number)) == number


def test_a_handler_of_the_users_own_keeps_working(system):
    ref = system.spawn(Worker)
    ref.ask(Worker.listen, signal.SIGUSR1, signal.SIGTERM)
    pid = ref.status().pid
    os.kill(pid, signal.SIGUSR1)
    assert eventually(lambda: ref.ask(Worker.what_was_heard), "the signal") == [signal.SIGUSR1]
    assert ref.ask(Worker.signal_itself, "os.kill", signal.SIGTERM) == "went on"
    assert ref.ask(Worker.what_was_heard) == [signal.SIGUSR1, signal.SIGTERM]
    assert ref.ask(Worker.handler_in_a_copy, signal.SIGTERM) == "True"


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGWINCH])
def test_the_programs_handlers_do_not_run_in_actors(start_method, tmp_path, number):
    """Forked with them, an actor would act for the program, and wake its event loop."""
    ours, theirs = socket.socketpair()
    trace = tmp_path / "trace"
    before = signal.signal(number, lambda *_: trace.touch())
    ours.setblocking(False)
    theirs.setblocking(False)
    wakeup = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    try:
        with ActorSystem(start_method=start_method) as system:
            ref = system.spawn(Worker)
            os.kill(ref.status().pid, number)
            assert ref.ask(Worker.life) == 1
            with pytest.raises(BlockingIOError):
                theirs.recv(1)
    finally:
        signal.set_wakeup_fd(wakeup)
        signal.signal(number, before)
        ours.close()
        theirs.close()
    assert not Path(trace).exists()
