"""Pools at the moments at which two things happen at once, or one at a bad time."""

from __future__ import annotations

import functools
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import as_completed, wait
from contextlib import ExitStack
from pathlib import Path

import pytest

from procactors import Actor, ActorSystem, errors
from procactors.model.commands import Condemn
from procactors.pool.calls import PoolReply
from procactors.runtime.blueprint import write_blueprint
from procactors.wire.mailbox.black_box import HANDLED, PID
from tests.support.faults import Fault
from tests.support.gates import ALL, new_gate
from tests.support.poolwork import (
    Tally,
    end_when_looked_at,
    gate_or_square,
    note,
    once_bad,
    square,
    wait_at,
)
from tests.support.programs import running
from tests.support.waiting import SHORT_S, aside, eventually


@pytest.fixture
def pool(system):
    with system.options(size=2).pool(Tally) as pool:
        yield pool


def size_behind_gate(gate, data):
    gate.wait()
    return len(data)


def test_an_answer_is_taken_where_no_descriptor_is_left(pool, gate):
    """The segment of its arguments is let go where the answer is taken."""
    reply = pool.submit(size_behind_gate, gate, bytes(100_000))
    gate.arrival()
    with ExitStack() as taken:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 8, hard))
        taken.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        permits = taken.enter_context(open(gate.folder / "permits", "r+b", buffering=0))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                taken.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        permits.write(ALL)
        assert reply.result(SHORT_S) == 100_000
    assert pool.ask(square, 3) == 9


def test_a_callback_that_exits_keeps_no_other_from_being_called(pool, gate, caplog):
    replies = [pool.submit(wait_at, gate) for _ in range(2)]
    called = threading.Event()
    replies[0].add_done_callback(lambda _: sys.exit(3))
    replies[1].add_done_callback(lambda _: called.set())
    gate.open()
    assert called.wait(SHORT_S)
    eventually(lambda: "a callback of one" in caplog.text, "the word in the log")


def test_results_that_wait_hold_no_descriptors(pool):
    """Nor are they lost for want of them: an item of them has been run."""
    before = len(os.listdir("/proc/self/fd"))
    replies = [pool.submit(bytes, 10_000) for _ in range(200)]
    wait(replies, timeout=SHORT_S)
    assert len(os.listdir("/proc/self/fd")) < before + 50
    assert {len(reply.result()) for reply in replies} == {10_000}


def test_what_lies_behind_a_slow_item_is_taken_over_though_the_limit_came_late(system, tmp_path):
    """The monitor lowers the limit to what it has seen, while the worker goes on."""
    with (
        new_gate(tmp_path / "one") as one,
        new_gate(tmp_path / "two") as two,
        system.options(size=2).pool() as pool,
    ):
        busy = pool.submit(wait_at, one)
        one.arrival()
        items = [*range(10), two, *range(10, 40)]
        results = pool.map(gate_or_square, items, ordered=False, chunk=41)
        two.arrival()
        with pool._dispatcher.lock:
            [batch] = [
                batch
                for slot in pool._dispatcher.slots
                for batch in slot.batches
                if batch.count == 41
            ]
            batch.lower(3, time.monotonic())
        one.open()
        assert busy.result(SHORT_S) > 0
        found = aside(lambda: sorted(itertools.islice(results, 40))).result(SHORT_S)
        assert found == [number * number for number in range(40)]
        two.open()
        assert list(results) == ["gate"]


class Fragile(Actor):
    """Cannot be made anew once the file is there."""

    def __init__(self, path):
        if os.path.exists(path):
            raise Fault("not again")

    def wait(self, gate):
        gate.wait()
        return os.getpid()


def test_nobody_waits_for_workers_that_are_all_on_their_way_out(system, tmp_path, gate):
    """The one that was to stay does not come back, the other one ends what it has and leaves."""
    flag = tmp_path / "flag"
    with system.options(size=2, max_restarts=0).pool(Fragile, str(flag)) as pool:
        stuck = [pool.submit(Fragile.wait, gate) for _ in range(2)]
        pids = {gate.arrival() for _ in stuck}
        shrinking = aside(pool.resize, 1)
        eventually(lambda: pool.size == 1, "the order")
        [stays] = [slot.ref for slot in pool._slots()]
        flag.touch()
        os.kill(stays.status().pid, signal.SIGKILL)
        stays.wait(SHORT_S)
        with pytest.raises(errors.PoolBroken):  # at the call, if the loss has been seen
            pool.submit(square, 3).result(SHORT_S)
        gate.open()
        shrinking.result(SHORT_S)
        ends = [reply.exception(SHORT_S) for reply in stuck]
        assert {type(end) for end in ends} == {type(None), errors.ActorDied}
        assert len(pids) == 2


def test_a_call_for_one_worker_and_no_other_is_refused_when_it_has_just_gone(pool):
    gone = pool._slots()[0]
    gone.ref.stop()
    assert pool.ask(square, 2) == 4
    eventually(lambda: pool.ask(square, 2) == 4 and pool.size == 1, "the loss to be seen")
    reply = PoolReply(pool._transport, pool.name)
    pool._call(reply, square, (3,), {}, gone)
    assert isinstance(reply.exception(SHORT_S), errors.ActorStopped)


class Slow:
    """Is made when the gate lets it."""

    def __init__(self, gate):
        gate.wait()


def test_workers_that_come_up_behind_the_pools_end_are_ended(system, gate):
    gate.let_pass()
    pool = system.options(size=1).pool(Slow, gate)
    gate.arrival()
    growing = aside(pool.resize, 3)
    for _ in range(2):
        gate.arrival()
    pool.stop()
    gate.open()
    assert isinstance(growing.exception(SHORT_S), errors.ActorStopped)
    assert system.actors() == []


def test_a_pool_of_which_not_all_can_be_ordered_leaves_none(system, monkeypatch):
    """As where the room for the arguments of the third is gone."""
    blueprints = itertools.count(1)

    def write(*args):
        if next(blueprints) == 3:
            raise errors.StorageFull("no room")
        return write_blueprint(*args)

    monkeypatch.setattr("procactors.pool.workers.write_blueprint", write)
    with pytest.raises(errors.StorageFull, match="no room"):
        system.options(size=3).pool(Tally)
    assert system.actors() == []


def test_a_cancelled_reply_is_done_for_those_who_wait_for_several(pool, gate):
    stuck = [pool.submit(Tally.wait, gate) for _ in range(2)]
    waiting = pool.submit(square, 3)
    assert waiting.cancel()
    assert waiting.cancel()
    assert wait([waiting], SHORT_S).done == {waiting}
    asked = pool.workers()[0].submit(Tally.pid)
    assert asked.cancel()
    assert list(as_completed([asked], SHORT_S)) == [asked]
    gate.open()
    for reply in stuck:
        reply.result(SHORT_S)


@pytest.mark.parametrize("rules", [{"retries": None}, {"retry_on": [3]}, {"retry_on": 3}], ids=str)
def test_a_map_with_rules_that_make_no_sense_is_not_begun(pool, rules):
    with pytest.raises(errors.InvalidSpec, match="retr"):
        pool.map(square, [1], **rules)


def stored(pool):
    """How many segments this process has written that nobody has let go."""
    return sum(one.words[0] != one.words[1] for one in pool._transport.store._segments._kept)


def test_a_map_that_nobody_begins_is_closed_and_leaves_no_segment(pool):
    table = list(range(50_000))
    results = pool.map(lambda at: table[at], itertools.count())
    assert stored(pool) == 1
    del results
    eventually(lambda: not pool._dispatcher.is_busy(), "the end of what was in hand")
    assert stored(pool) == 0


def test_a_call_that_cannot_be_made_leaves_no_segment(pool):
    table = list(range(50_000))
    with pytest.raises(errors.EncodeError):
        pool.submit(lambda at: table[at], threading.Lock())
    with pytest.raises(errors.InvalidSpec, match="an iterable of its arguments, not 5"):
        pool.map(lambda at: table[at], 5)
    assert stored(pool) == 0


@pytest.mark.parametrize("closed_first", [True, False])
def test_a_closed_map_whose_items_turn_out_unreadable_leaves_no_segment(system, gate, closed_first):
    with system.options(size=1).pool() as pool:
        results = pool.map(len, [bytes(50_000), LoadsBehind(gate), b"x"], chunk=3)
        gate.arrival()
        if closed_first:
            results.close()
        gate.let_pass()
        eventually(lambda: not pool._dispatcher.is_busy(), "the answer")
        results.close()
        assert stored(pool) == 0


class LoadsBehind:
    """Cannot be loaded, and says so when the gate lets it."""

    def __init__(self, gate):
        self.gate = gate

    def __reduce__(self):
        return _wait_and_break, (self.gate,)


def _wait_and_break(gate):
    gate.wait()
    raise Fault("cannot be loaded")


def test_an_outcome_that_nobody_wants_is_gone_at_once_and_opened_by_no_reader(
    pool, tmp_path, gate, caplog
):
    log = str(tmp_path / "log")
    pool.submit(raise_loud, gate, log)
    gate.open()
    eventually(lambda: "never looked at" in caplog.text, "the word in the log")
    lines = Path(log).read_text().split("\n")
    assert [line for line in lines if line.startswith(f"{os.getpid()} ")] == [
        f"{os.getpid()} procactors-callbacks"
    ]


class Loud(Exception):
    """Says in which thread it is loaded."""

    def __reduce__(self):
        return _load_loud, self.args


def _load_loud(log):
    note(log, f"{os.getpid()} {threading.current_thread().name}")
    return Loud(log)


def raise_loud(gate, log):
    gate.wait()
    raise Loud(log)


def test_a_forked_copy_of_the_program_is_refused_and_harms_nothing(pool, gate):
    """A fork while a pool is at work, and the copy leaves by the way that the program would."""
    stuck = pool.submit(wait_at, gate)
    results = pool.map(square, itertools.count(), in_flight=10)
    assert next(results) == 0
    gate.arrival()
    report, child = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(child, " ".join(map(_outcome, _uses_of(pool, results, stuck))).encode())
        del results
        os._exit(0)
    os.close(child)
    with open(report) as file:
        assert set(file.read().split()) == {"ForeignProcess"}
    os.waitpid(pid, 0)
    assert list(itertools.islice(results, 100)) == [n * n for n in range(1, 101)]
    gate.open()
    assert stuck.result(SHORT_S) > 0
    assert pool.size == 2


def _uses_of(pool, results, reply):
    return (
        functools.partial(pool.submit, square, 2),
        functools.partial(pool.map, square, [2]),
        functools.partial(next, results),
        functools.partial(reply.result, 0.1),
        functools.partial(pool.resize, 1),
        pool.stop,
        pool.kill,
    )


def _outcome(call):
    try:
        return repr(call())
    except Exception as error:
        return type(error).__name__


@pytest.mark.parametrize("is_sent", [True, False])
def test_a_call_is_made_once_where_nobody_knows_whether_it_was_sent(
    pool, tmp_path, monkeypatch, is_sent
):
    """Ctrl-C may come behind the write of a batch, or before it."""
    submit = pool._transport.submit

    def interrupted(*args):
        monkeypatch.undo()
        if is_sent:
            submit(*args)
            pool._transport._replies.pending.pop(max(pool._transport._replies.pending), None)
        raise KeyboardInterrupt

    for number, call in enumerate((once_bad, note_at)):
        reply = PoolReply(pool._transport, pool.name)
        monkeypatch.setattr(pool._transport, "submit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            pool._call(reply, call, (str(tmp_path / str(number)),), {}, None)
        if call is once_bad:
            assert type(reply.exception(SHORT_S)) is errors.ActorDied
        else:
            assert reply.result(SHORT_S) == "done"
    assert (tmp_path / "1").read_text() == "done\n"


def note_at(path):
    return note(path, "done")


def test_a_worker_that_has_gone_on_is_not_condemned_for_what_it_does_next(system, gate):
    with system.options(size=1).pool() as pool:
        [ref] = pool.workers()
        stuck = pool.submit(wait_at, gate)
        gate.arrival()
        words = pool._transport.words(ref._actor)
        late = Condemn(ref._actor, words[PID], words[HANDLED] - 1, "for the one before")
        assert system._client.ask(late) is False
        gate.open()
        assert stuck.result(SHORT_S) > 0
        assert ref.status().incarnation == 1


def test_the_item_behind_one_that_ends_at_the_last_moment_is_not_blamed_for_it(
    system, gate, caplog
):
    """What lies behind an item that is over its time is held back before its worker is killed."""
    with system.options(size=1).pool() as pool:
        items = ["over its time", gate]
        results = aside(
            list,
            pool.map(end_when_looked_at, items, timeout=1.5, chunk=2, on_error="collect"),
        )
        gate.arrival()
        eventually(lambda: "but it went on" in caplog.text or results.done(), "the last look")
        gate.open()
        late, good = results.result(SHORT_S)
    assert type(late) is Fault
    assert good == "gate"


def test_the_import_of_a_functions_module_is_no_items_time(system, tmp_path, monkeypatch):
    (tmp_path / "large_module.py").write_text(
        f"import os, time\nif os.getpid() != {os.getpid()}: time.sleep(1.0)\n"
        "def same(item): return item\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import large_module

    with system.options(size=1).pool() as pool:
        assert list(pool.map(large_module.same, [1, 2], timeout=0.3)) == [1, 2]


#: Its item takes longer than its time, and goes on until it may end. The second map's item is there
#: to be found: by then the pool has looked at all of its workers.
PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from procactors import ActorSystem

def work(path):
    if path == "hang":
        time.sleep(3600)
    say(os.getpid())
    began = time.monotonic()
    while time.monotonic() - began < 3.0:
        time.sleep(0.01)
    say("over its time")
    while not Path(path).exists():
        time.sleep(0.01)
    return "good"

def say(word):
    # In one piece: two processes write to one pipe, unbuffered perhaps.
    os.write(1, f"{word}\\n".encode())

def consume():
    say(*pool.map(work, [sys.argv[2]], timeout=2.0, on_error="collect"))

with ActorSystem(start_method=sys.argv[1]) as system, system.options(size=2).pool() as pool:
    thread = threading.Thread(target=consume)
    thread.start()
    sys.stdin.readline()
    [error] = pool.map(work, ["hang"], timeout=0.3, on_error="collect")
    say(type(error).__name__)
    thread.join()
"""


@pytest.mark.parametrize("stopped", ["program", "worker too"])
def test_no_item_is_blamed_for_the_time_for_which_its_pool_was_stopped(
    start_method, tmp_path, stopped
):
    path = tmp_path / "go"
    with running(PROGRAM, start_method, path, stdin=subprocess.PIPE) as program:
        worker = int(program.line())
        os.kill(program.process.pid, signal.SIGSTOP)
        assert program.line() == "over its time"
        if stopped == "worker too":
            os.kill(worker, signal.SIGSTOP)
        os.kill(program.process.pid, signal.SIGCONT)
        program.process.stdin.write("\n")
        program.process.stdin.flush()
        assert program.line() == "ItemTimeout"
        if stopped == "worker too":
            os.kill(worker, signal.SIGCONT)
        path.touch()
        assert program.line() == "good"
        code, out, _ = program.end()
        assert (code, out) == (0, "")


@pytest.mark.parametrize("ordered", [True, False])
def test_stopping_does_not_wait_for_the_end_of_an_endless_map(system, ordered):
    pool = system.options(size=2).pool()
    results = pool.map(square, itertools.count(), ordered=ordered)
    begun = threading.Event()

    def consume():
        for _ in results:
            begun.set()

    consuming = aside(consume)
    assert begun.wait(SHORT_S)
    aside(pool.stop).result(SHORT_S)
    assert isinstance(consuming.exception(SHORT_S), errors.ActorStopped)


def test_a_bounded_queue_is_no_longer_than_that_with_many_callers(system, gate):
    with system.options(size=1, mailbox=2).pool(Tally) as pool:
        stuck = pool.submit(Tally.wait, gate)
        gate.arrival()
        calls = [aside(pool.submit, square, number) for number in range(20)]
        eventually(lambda: sum(call.done() for call in calls) == 2, "the first two")
        with pool._dispatcher.lock:
            assert len(pool._dispatcher.queue) == 2
        gate.open()
        assert [call.result(SHORT_S).result(SHORT_S) for call in calls] == [
            number * number for number in range(20)
        ]
        stuck.result(SHORT_S)


def interrupt_when(condition, what):
    """Have Ctrl-C come to the main thread once something is so."""

    def wait_and_interrupt():
        eventually(condition, what)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    return aside(wait_and_interrupt)


def test_interrupted_while_they_leave_the_workers_stay(pool, gate):
    stuck = [pool.submit(Tally.wait, gate) for _ in range(2)]
    for _ in stuck:
        gate.arrival()
    interrupt_when(lambda: pool.size == 1, "the order")
    with pytest.raises(KeyboardInterrupt):
        pool.resize(1)
    assert pool.size == 2
    gate.open()
    for reply in stuck:
        reply.result(SHORT_S)
    pool.resize(1)
    assert len(pool.workers()) == pool.size == 1


def test_interrupted_while_they_start_no_workers_are_left(system, gate):
    interrupt_when(gate.arrival, "the first of them")
    with pytest.raises(KeyboardInterrupt):
        system.options(size=2).pool(Slow, gate)
    gate.open()
    eventually(lambda: system.actors() == [], "their end")


def test_a_stop_that_comes_together_with_the_systems_is_no_error(start_method):
    with ActorSystem(start_method=start_method) as system:
        pool = system.options(size=2).pool()
        slots = pool._slots()
        stopping = aside(system.stop)
        while not stopping.done():
            pool._workers._end(slots, 0.0)
        pool._workers._end(slots, 0.0)
    pool.stop()
