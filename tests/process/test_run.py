"""`procactors.run`: real programs, real signals, and the exit codes that a scheduler sees."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import textwrap
import threading

import pytest

import procactors
from procactors import Interrupted
from procactors.errors import InvalidSpec
from procactors.model.tree import spec
from tests.support.actors import Echo
from tests.support.programs import environment, running
from tests.support.waiting import CLOCK_TOLERANCE_S

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]

#: What most programs below begin with. `held` blocks until the process is killed: it does not
#: heed SIGTERM. `busy` waits until an actor has its message in hand.
PREFACE = """
    import os, signal, sys, time
    import procactors
    from procactors import Actor, ActorSystem, Interrupted, run
    from procactors.errors import RestartIntensityExceeded
    from procactors.model.tree import Strategy, Supervisor, spec

    class Worker(Actor):
        def work(self, number):
            return number
        def hold(self):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        def on_stop(self, reason):
            print("last words", flush=True)

    def say(*words):
        print(*words, flush=True)

    def busy(ref):
        while ref.status().state != "busy":
            time.sleep(0.01)

    def forever():
        while True:
            signal.pause()
"""


def program(code, *arguments, run=running, **options):
    """Run a program that begins with the preface."""
    return run(textwrap.dedent(PREFACE) + textwrap.dedent(code), *arguments, **options)


# -- without a signal -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "code"), [("None", 0), ("0", 0), ("3", 3), ("True", 1), ("255", 255)]
)
def test_a_function_returns_the_exit_code(returned, code):
    text = f"""
        def main(system):
            ref = system.spawn(Worker)
            say(ref.ask(Worker.work, 7))
            return {returned}
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.end() == (code, "7\nlast words\n", "")


@pytest.mark.parametrize(
    ("argument", "code", "errors"), [("", 0, ""), ("4", 4, ""), ("'no luck'", 1, "no luck\n")]
)
def test_a_function_that_exits_by_itself_names_the_code(argument, code, errors):
    text = f"""
        def main(system):
            system.spawn(Worker)
            sys.exit({argument})
        code = run(main)
        say("behind it")
        sys.exit(code)
    """
    with program(text) as started:
        assert started.end() == (code, "last words\nbehind it\n", errors)


def test_an_error_is_a_traceback_of_the_program_alone_and_exit_code_1():
    text = """
        def main(system):
            system.spawn(Worker)
            deeper()
        def deeper():
            raise ValueError("on purpose")
        sys.exit(run(main))
    """
    with program(text) as started:
        code, out, errors = started.end()
        assert (code, out) == (1, "last words\n")
        assert errors.startswith("Traceback (most recent call last):\n")
        assert errors.endswith("ValueError: on purpose\n")
        assert re.findall(r"in (\w+)$", errors, re.MULTILINE) == ["main", "deeper"]


def test_a_function_that_raises_does_not_finish_what_it_has_begun():
    """As the block of a system that is left by an exception."""
    text = """
        def main(system):
            ref = system.spawn(Worker)
            ref.tell(Worker.hold)
            busy(ref)
            ref.tell(Worker.work, 1)
            raise ValueError("boom")
        sys.exit(run(main, stop_timeout=3600.0))
    """
    with program(text) as started:
        code, _, errors = started.end()
        assert code == 1
        assert errors.count("Traceback") == 1
        assert "waiting up to 1.0 s for worker-1 (in Worker.hold)" in errors
        started.await_nothing_left()


def test_a_result_that_is_no_exit_code_is_an_error():
    text = """
        def main(system):
            return "done"
        sys.exit(run(main))
    """
    with program(text) as started:
        code, _, errors = started.end()
        assert code == 1
        assert "main returned 'done': a program's function returns its exit code" in errors


def test_giving_up_is_told_with_its_history_and_without_a_traceback():
    text = """
        def main(system):
            error = RestartIntensityExceeded("the tree gave up: 4 restarts within 5 s")
            text = "ValueError: one line\\nand another"
            trace = '  File "/a.py", line 1, in work\\n    fail()\\n'
            reason = ExitReason(ExitKind.ERROR, None, text)
            first = CrashReport("a", 1, 2, reason, "A.work", traceback=trace, log="much")
            second = CrashReport("b", 1, 3, ExitReason(ExitKind.EXIT, 3))
            error.history = (first, second)
            raise error
        from procactors import CrashReport, ExitKind, ExitReason
        sys.exit(run(main))
    """
    with program(text) as started:
        code, out, errors = started.end()
        assert (code, out) == (1, "")
        assert errors.splitlines() == [
            "procactors: the tree gave up: 4 restarts within 5 s",
            "  actor a (incarnation 1, pid 2) raised ValueError: one line ...",
            '    File "/a.py", line 1, in work',
            "      fail()",
            "  actor b (incarnation 1, pid 3) exited with code 3 while idle",
        ]


def test_the_options_are_the_systems():
    text = """
        def main(system):
            say(system.name, system.spawn(Worker).ask(Worker.work, 1))
        sys.exit(run(main, name="mine", start_method="spawn", stop_timeout=5.0))
    """
    with program(text) as started:
        assert started.end() == (0, "mine 1\nlast words\n", "")


def test_what_makes_no_sense_is_an_error_before_anything_is_started():
    async def coroutine(system):
        pass

    for target, complaint in [
        (3, "run takes a Supervisor, or a function of the system, not 3"),
        (Echo, "run takes a Supervisor, or a function of the system, not <class"),
        (spec(Echo), "run takes a Supervisor, or a function of the system, not ChildSpec"),
        (lambda: None, "must take the actor system as its one argument: too many positional"),
        (lambda a, b: None, "must take the actor system as its one argument: missing a required"),
        (coroutine, r"coroutine is an async function: run takes a plain one"),
    ]:
        with pytest.raises(InvalidSpec, match=complaint):
            procactors.run(target)
    for grace in (-1, "5", True, float("nan")):
        with pytest.raises(InvalidSpec, match="grace is a number of seconds from 0 on"):
            procactors.run(lambda system: None, grace=grace)
    with pytest.raises(TypeError, match="no_such_option"):
        procactors.run(lambda system: None, no_such_option=1)


def test_handlers_are_put_back_and_the_system_is_over():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    during, systems = [], []

    def main(system):
        during.extend((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        systems.append(system)
        return 5

    assert procactors.run(main) == 5
    assert before[0] not in during
    assert before[1] not in during
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert systems[0].wait(0)


def test_another_thread_runs_a_program_without_touching_the_handlers():
    before = signal.getsignal(signal.SIGTERM)
    results = []

    def main(system):
        results.append(signal.getsignal(signal.SIGTERM))
        return system.spawn(Echo).ask(Echo.echo, 6)

    thread = threading.Thread(target=lambda: results.append(procactors.run(main)))
    thread.start()
    thread.join()
    assert results == [before, 6]


def test_an_interruption_is_a_value():
    import pickle

    error = pickle.loads(pickle.dumps(Interrupted(15)))
    assert isinstance(error, KeyboardInterrupt)
    assert error.signum is signal.SIGTERM
    assert str(error) == "stopped by SIGTERM"


# -- the first signal -----------------------------------------------------------------------------


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_signal_ends_a_function_and_its_actors_finish_their_mailboxes(start_method, signum, code):
    text = """
        def main(system):
            ref = system.spawn(Worker)
            for number in range(100):
                ref.tell(Worker.work, number)
            say("ready")
            forever()
        sys.exit(run(main, start_method=sys.argv[1]))
    """
    with program(text, start_method) as started:
        assert started.line() == "ready"
        os.killpg(started.process.pid, signum)  # as a terminal or a scheduler sends it
        assert started.end() == (code, "last words\n", "")
        started.await_nothing_left()


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_function_hears_of_the_signal_and_may_still_ask(signum, code):
    text = """
        def main(system):
            ref = system.spawn(Worker)
            try:
                say("ready")
                forever()
            except Interrupted as error:
                say(str(error), ref.ask(Worker.work, 42))
                raise
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.send_signal(signum)
        name = signal.Signals(signum).name
        assert started.end() == (code, f"stopped by {name} 42\nlast words\n", "")


def test_a_function_that_waits_for_an_actor_is_interrupted_too():
    text = """
        def main(system):
            ref = system.spawn(Worker)
            reply = ref.submit(Worker.hold)
            busy(ref)
            say("ready")
            ref.ask(Worker.work, 1)
        sys.exit(run(main, grace=0.5))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        code, out, errors = started.end()
        assert (code, out) == (143, "")
        assert "Traceback" not in errors
        assert "stopped 1 actor in " in errors
        assert "1 killed" in errors
        started.await_nothing_left()


def test_a_function_that_catches_the_signal_decides_on_the_exit_code():
    text = """
        def main(system):
            try:
                say("ready")
                forever()
            except KeyboardInterrupt:
                return 0
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        assert started.end() == (0, "", "")


def test_an_error_on_the_way_out_is_shown_and_the_signals_code_stays():
    text = """
        def main(system):
            try:
                say("ready")
                forever()
            finally:
                raise ValueError("in the clean-up")
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        code, _, errors = started.end()
        assert code == 143
        assert errors.endswith("ValueError: in the clean-up\n")


def test_the_deadline_covers_the_whole_tree_of_actors():
    """Ten that will not stop, and may take an hour each: what they left is reported."""
    text = """
        def main(system):
            patient = system.options(stop_timeout=3600.0)
            refs = [patient.spawn(Worker) for _ in range(10)]
            for ref in refs:
                ref.tell(Worker.hold)
                ref.tell(Worker.work, 1)
            for ref in refs:
                busy(ref)
            say("ready")
            forever()
        sys.exit(run(main, grace=1.0))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        code, _, errors = started.end()
        assert code == 143
        (line,) = [line for line in errors.splitlines() if line.startswith("stopped 10 actors")]
        assert float(re.search(r"in ([\d.]+) s", line)[1]) >= 1.0 - CLOCK_TOLERANCE_S
        assert re.search(r"10 killed \(.*; and others\), 20 messages not handled", line)
        started.await_nothing_left()


def test_a_function_that_does_not_return_does_not_keep_its_actors_beyond_the_deadline():
    """It swallows the signal and goes on; its actors end all the same, and then it hears of it."""
    text = """
        def main(system):
            ref = system.spawn(Worker)
            try:
                say("ready")
                forever()
            except Interrupted:
                ref.wait()
                say("the actor is gone")
                return 9
        sys.exit(run(main, grace=0.3))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        code, out, _ = started.end()
        assert code in (9, 143)  # the wait is answered, or finds the system gone
        assert "last words" not in out


def test_a_signal_during_the_start_ends_the_program_before_it_begins(tmp_path):
    """It is noted while the system is being made, and the function is never called."""
    text = """
        import procactors.api.program as module
        class Slow(ActorSystem):
            def __init__(self, **options):
                super().__init__(**options)
                signal.raise_signal(signal.SIGTERM)
                say("made")
        module.ActorSystem = Slow
        sys.exit(run(lambda system: say("called")))
    """
    with program(text) as started:
        assert started.end() == (143, "made\n", "")
        started.await_nothing_left()


def test_an_ignored_signal_stays_ignored():
    """A shell starts background jobs with SIGINT ignored."""
    text = """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        def main(system):
            signal.raise_signal(signal.SIGINT)
            say("still here")
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.end() == (0, "still here\n", "")


def test_a_keyboard_interrupt_raised_by_hand_is_130():
    text = """
        def main(system):
            raise KeyboardInterrupt
        sys.exit(run(main))
    """
    with program(text) as started:
        assert started.end() == (130, "", "")


def test_a_program_in_a_program_keeps_its_signal_to_itself():
    text = """
        def inner(system):
            signal.raise_signal(signal.SIGTERM)
            say("not reached")
        def outer(system):
            say(run(inner))
            return 0
        sys.exit(run(outer))
    """
    with program(text) as started:
        assert started.end() == (0, "143\n", "")


# -- the second signal ----------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "code"), SIGNALS)
@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_second_signal_while_it_stops_kills_at_once(first, code, second, place):
    """The code is the first signal's: that one asked."""
    text = """
        def main(system):
            ref = system.spawn(Worker)
            ref.tell(Worker.hold)
            busy(ref)
            say(system.name)
            try:
                say("ready")
                forever()
            finally:
                say("stopping")
        sys.exit(run(main, grace=3600.0))
    """
    with program(text, run=place.running) as started:
        name = started.line()
        assert started.line() == "ready"
        started.process.send_signal(first)
        assert started.line() == "stopping"
        started.process.send_signal(second)
        ended, out, errors = started.end()
        assert (ended, out) == (code, "")
        assert "Traceback" not in errors
        assert re.search(r"1 killed \(.*\), 1 message not handled", errors)
        started.await_nothing_left(name)


def test_a_second_signal_reaches_a_function_that_is_still_cleaning_up():
    text = """
        def main(system):
            ref = system.spawn(Worker)
            ref.tell(Worker.hold)
            try:
                say("ready")
                forever()
            finally:
                say("cleaning up")
                ref.ask(Worker.work, 1)  # never: the actor is held
        sys.exit(run(main, grace=3600.0))
    """
    with program(text) as started:
        assert started.line() == "ready"
        started.process.terminate()
        assert started.line() == "cleaning up"
        started.process.terminate()
        code, out, _ = started.end()
        assert (code, out) == (143, "")
        started.await_nothing_left()


def test_many_signals_at_once_end_it_cleanly(place):
    """However they fall into the main thread: one exit code, nothing left."""
    text = """
        def main(system):
            ref = system.spawn(Worker)
            ref.tell(Worker.hold)
            say(system.name)
            forever()
        sys.exit(run(main, grace=3600.0))
    """
    for _ in range(5):
        with program(text, run=place.running) as started:
            name = started.line()
            with contextlib.suppress(ProcessLookupError):
                while started.process.poll() is None:
                    started.process.terminate()
            # Those that come behind `run` meet the default action.
            assert started.end()[0] in (143, -signal.SIGTERM)
            started.await_nothing_left(name)


# -- the service manager --------------------------------------------------------------------------


@pytest.fixture
def manager(tmp_path):
    """A socket that listens as systemd does, and the environment that names it."""
    address = tmp_path / "notify"
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(address))
        listener.settimeout(30.0)
        yield listener, {**environment(), "NOTIFY_SOCKET": str(address)}


def test_a_service_tells_ready_and_stopping_and_its_actors_know_nothing(manager):
    listener, env = manager
    text = """
        class Nosy(Actor):
            def variable(self):
                return os.environ.get("NOTIFY_SOCKET")
        def main(system):
            say(system.spawn(Nosy).ask(Nosy.variable), os.environ.get("NOTIFY_SOCKET"))
            forever()
        code = run(main)
        say("NOTIFY_SOCKET" in os.environ)
        sys.exit(code)
    """
    with program(text, env=env) as started:
        assert listener.recv(4096) == b"READY=1\nSTATUS=running"
        assert started.line() == "None None"
        started.process.terminate()
        assert listener.recv(4096) == b"STOPPING=1\nSTATUS=stopping: stopped by SIGTERM"
        assert started.end() == (143, "True\n", "")
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        listener.recv(4096)  # nobody has said anything else


def test_stopping_is_told_when_the_signal_comes_not_when_the_function_has_returned(manager):
    listener, env = manager
    text = """
        def main(system):
            try:
                say("inside")
                forever()
            except Interrupted:
                sys.stdin.readline()
                raise
        sys.exit(run(main, grace=3600.0))
    """
    with program(text, env=env, stdin=subprocess.PIPE) as started:
        assert listener.recv(4096).startswith(b"READY=1")
        assert started.line() == "inside"
        started.process.terminate()
        assert listener.recv(4096).startswith(b"STOPPING=1")  # it has not returned yet
        assert started.process.poll() is None
        started.process.stdin.write("go on\n")
        started.process.stdin.flush()
        assert started.end()[0] == 143


def test_a_program_that_ends_by_itself_tells_so(manager):
    listener, env = manager
    text = """
        def main(system):
            raise ValueError("on purpose")
        sys.exit(run(main))
    """
    with program(text, env=env) as started:
        assert started.end()[0] == 1
    assert [listener.recv(4096) for _ in range(3)] == [
        b"READY=1\nSTATUS=running",
        b"STATUS=failed: ValueError: on purpose",
        b"STOPPING=1\nSTATUS=stopping: the program has ended",
    ]


# -- trees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signum", "code"), SIGNALS)
def test_a_tree_runs_until_a_signal_and_stops_in_reverse_order(start_method, signum, code, manager):
    listener, env = manager
    text = """
        class Named(Actor):
            def on_stop(self, reason):
                say(self.context.ref.name, reason)
        tree = Supervisor(
            spec(Named).options(name="first"),
            Supervisor(spec(Named).options(name="second"), spec(Named).options(name="third")),
            spec(Named).options(name="fourth"),
        )
        sys.exit(run(tree, start_method=sys.argv[1]))
    """
    with program(text, start_method, env=env) as started:
        assert listener.recv(4096).startswith(b"READY=1")
        started.process.send_signal(signum)
        names = ["fourth", "third", "second", "first"]
        assert started.end() == (code, "".join(f"{name} stopped\n" for name in names), "")
        started.await_nothing_left()


def test_a_tree_that_shuts_down_by_itself_ends_its_program_with_0():
    text = """
        from procactors import Restart
        from procactors.model.tree import AutoShutdown
        class Task(Actor):
            def on_start(self):
                self.context.ref.tell(Task.work)
            def work(self):
                say("done")
                self.context.stop()
        tree = Supervisor(
            spec(Worker),
            spec(Task).options(restart=Restart.TRANSIENT, significant=True),
            auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
        )
        sys.exit(run(tree))
    """
    with program(text) as started:
        assert started.end() == (0, "done\nlast words\n", "")
        started.await_nothing_left()


def test_a_tree_that_gives_up_ends_its_program_with_1_and_tells_its_history():
    text = """
        class Crashing(Actor):
            def on_start(self):
                self.context.ref.tell(Crashing.work)
            def work(self):
                raise ValueError("on purpose")
        sys.exit(run(Supervisor(spec(Crashing).options(name="bad"), max_restarts=2)))
    """
    with program(text) as started:
        code, _, errors = started.end()
        assert code == 1
        told = errors[errors.index("procactors: ") :]
        assert told.count("ValueError: on purpose") >= 1
        assert "bad" in told
        started.await_nothing_left()


def test_a_tree_that_does_not_start_is_a_traceback_and_exit_code_1():
    text = """
        class Broken(Actor):
            def on_start(self):
                raise ValueError("on purpose")
        sys.exit(run(Supervisor(spec(Worker), spec(Broken))))
    """
    with program(text) as started:
        code, out, errors = started.end()
        assert (code, out) == (1, "last words\n")  # what was started is undone
        assert "ValueError: on purpose" in errors
        assert "SpawnError" in errors
        started.await_nothing_left()


def test_a_signal_while_a_tree_starts_ends_it(tmp_path):
    text = """
        class Slow(Actor):
            def on_start(self):
                say("starting")
                forever()
        sys.exit(run(Supervisor(spec(Worker), spec(Slow)), grace=2.0))
    """
    with program(text) as started:
        assert started.line() == "starting"
        started.process.terminate()
        code, out, _ = started.end()
        assert code == 143
        assert out == "last words\n"
        started.await_nothing_left()
