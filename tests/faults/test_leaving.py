"""A block that is left by an exception or Ctrl-C is not drained, and ends soon."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import textwrap

import pytest

from procactors import Actor, ActorSystem, StopOutcome
from procactors.errors import ActorDied, ActorStopped
from procactors.futures import ActorPoolExecutor
from tests.support.actors import Recorder, recorded
from tests.support.programs import running
from tests.support.waiting import LONG_S

#: A drain would take as long as this: then the test fails by its time limit.
HOUR = 3600.0


class Worker(Actor):
    def __init__(self, log=None):
        self.log = log

    def hold(self, gate):
        try:
            gate.wait()
        except SystemExit:
            self.log.write_text("unwound")
            raise

    def hold_against_sigterm(self, gate):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gate.wait()

    def echo(self, value):
        return value

    def on_stop(self, reason):
        self.log.write_text(f"on_stop: {reason}")


def hold_against_sigterm(gate):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gate.wait()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_system_left_by_an_exception_unwinds_what_runs(
    start_method, gate, tmp_path, caplog, error
):
    system = ActorSystem(start_method=start_method, stop_timeout=HOUR)
    logs = [tmp_path / name for name in ("idle", "busy", "stubborn")]
    with pytest.raises(error), system:
        idle, busy, stubborn = (system.options(name=p.name).spawn(Worker, p) for p in logs)
        in_hand = busy.submit(Worker.hold, gate)
        stubborn.tell(Worker.hold_against_sigterm, gate)
        gate.arrival()
        gate.arrival()
        behind = busy.submit(Worker.echo, 1)
        stubborn.tell(Worker.echo, 2)
        raise error(1)
    report = system.stop()
    assert {actor.name: actor.how for actor in report.actors} == {
        "idle": StopOutcome.FINISHED,
        "busy": StopOutcome.TERMINATED,
        "stubborn": StopOutcome.KILLED,
    }
    assert [path.read_text() for path in logs[:2]] == ["on_stop: stopped", "unwound"]
    assert isinstance(in_hand.exception(), ActorDied)
    assert isinstance(behind.exception(), ActorStopped)
    assert report.unhandled == {"stubborn": 2}
    del in_hand, behind  # whoever leaves so looks at no reply, and need not
    line, headline = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert headline == report.headline
    assert "busy (in Worker.hold), stubborn (in Worker.hold_against_sigterm)" in line
    assert idle.name not in line


@pytest.mark.parametrize("code", [None, 0])
def test_an_exit_with_code_0_is_no_exception(start_method, tmp_path, code):
    """So end programs that are done: what they have sent is handled."""
    with pytest.raises(SystemExit), ActorSystem(start_method=start_method) as system:
        ref = system.spawn(Recorder, tmp_path / "numbers")
        for number in range(100):
            ref.tell(Recorder.record, number)
        sys.exit(code)
    assert recorded(tmp_path / "numbers") == list(range(100))


def test_an_async_block_is_not_drained_either(start_method, gate):
    async def main(system):
        async with system:
            system.spawn(Worker).tell(Worker.hold_against_sigterm, gate)
            gate.arrival()
            raise ValueError

    system = ActorSystem(start_method=start_method, stop_timeout=HOUR)
    with pytest.raises(ValueError):
        asyncio.run(main(system))
    assert [actor.how for actor in system.stop().actors] == [StopOutcome.KILLED]


def test_an_exception_that_breaks_a_stop_off_ends_its_patience(start_method, gate):
    """As Ctrl-C does, or an alarm: SIGTERM now, SIGKILL a second later, and then it is raised."""

    def ring(_number, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    system = ActorSystem(start_method=start_method)
    system.spawn(Worker).tell(Worker.hold_against_sigterm, gate)
    gate.arrival()
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(TimeoutError):
            system.stop(HOUR)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert [actor.how for actor in system.stop().actors] == [StopOutcome.KILLED]


def test_a_pool_left_by_an_exception_unwinds_what_runs(system, gate, caplog):
    with pytest.raises(ValueError), system.options(size=1, stop_timeout=HOUR).pool() as pool:
        in_hand, behind = pool.submit(hold_against_sigterm, gate), pool.submit(abs, -1)
        gate.arrival()
        raise ValueError
    assert in_hand.exception().report.reason.code == signal.SIGKILL
    assert isinstance(behind.exception(), ActorStopped)
    assert len([message for message in caplog.messages if "waiting up to" in message]) == 1


def test_an_executor_left_by_an_exception_finishes_its_calls(start_method, gate, caplog):
    """As the standard library's do; but it says for what it waits."""
    with pytest.raises(ValueError), ActorPoolExecutor(1, start_method=start_method) as executor:
        calls = [executor.submit(gate.wait), executor.submit(abs, -1)]
        gate.arrival()
        gate.open()
        raise ValueError
    assert [call.result() for call in calls] == [None, 1]
    assert len([m for m in caplog.messages if "left by an exception, and waits" in m]) <= 1


#: Each leaves a handler that does not heed SIGTERM running, and waits for what it never returns.
BLOCKS = {
    "system": """
        with ActorSystem(start_method=sys.argv[1]) as system:
            ref = system.spawn(Worker)
            ref.ask(Worker.hold)
    """,
    "stop": """
        system = ActorSystem(start_method=sys.argv[1])
        system.spawn(Worker).tell(Worker.hold_once_stopping)
        system.stop(3600.0)
    """,
    "drain": """
        with ActorSystem(start_method=sys.argv[1], stop_timeout=3600.0) as system:
            system.spawn(Worker).tell(Worker.hold_once_stopping)
    """,
    "pool": """
        with ActorSystem(start_method=sys.argv[1]) as system:
            with system.options(size=2).pool() as pool:
                list(pool.map(hold, range(2)))
    """,
    "executor": """
        with ActorPoolExecutor(2, start_method=sys.argv[1]) as executor:
            executor.submit(hold, 1).result()
    """,
}

#: What the end waits for without another Ctrl-C takes an hour here.
HEAD = """
import os, signal, sys
import procactors.api.system, procactors.pool.workers
from procactors import Actor, ActorSystem
from procactors.futures import ActorPoolExecutor
procactors.api.system.UNWIND_S = procactors.pool.workers.UNWIND_S = 3600.0
def hold(_=None):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"holding\\n")
    while True:
        signal.pause()
class Worker(Actor):
    def hold(self):
        hold()
    def hold_once_stopping(self):
        while not self.context.stopping:
            pass
        hold()
"""


@pytest.mark.parametrize("block", BLOCKS)
def test_a_second_ctrl_c_kills_at_once_with_one_traceback(start_method, block):
    with running(HEAD + textwrap.dedent(BLOCKS[block]), start_method) as program:
        assert program.line() == "holding"
        program.process.send_signal(signal.SIGINT)
        line = program.process.stderr.readline()
        assert "wait" in line
        program.process.send_signal(signal.SIGINT)
        code, _, errors = program.end()
        assert code == -signal.SIGINT
        assert errors.count("Traceback (most recent call last)") == 1
        assert "KeyboardInterrupt" in errors.splitlines()
        program.await_nothing_left()


@pytest.mark.parametrize("block", BLOCKS)
def test_many_ctrl_c_in_a_row_end_the_program(start_method, block):
    """At whatever moment of the end they come: thousands, more than anybody's fingers bring."""
    with running(HEAD + textwrap.dedent(BLOCKS[block]), start_method) as program:
        assert program.line() == "holding"
        while program.process.poll() is None:
            program.process.send_signal(signal.SIGINT)
            os.sched_yield()
        program.process.communicate(timeout=LONG_S)
        program.await_nothing_left()
