"""Choosing a backend, what each does not promise, and platforms without what processes need."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from procactors import ActorSystem, Limits, Recycle, feed
from procactors.errors import DecodeError, InvalidSpec, UnsupportedOnBackend
from procactors.model.backends import BACKENDS, LIMITS, shown
from tests.conformance.actors import Counter, Unreadable
from tests.support import elsewhere
from tests.support.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "backends.md"


def test_the_environment_says_where_actors_run_if_the_program_does_not(monkeypatch):
    monkeypatch.setenv("PROCACTORS_BACKEND", "inline")
    with ActorSystem() as system:
        assert system.name.startswith("inline:")
    with ActorSystem(backend="threads") as system:
        assert system.name.startswith("threads:")
    monkeypatch.setenv("PROCACTORS_BACKEND", "cloud")
    with pytest.raises(InvalidSpec, match=r"variable PROCACTORS_BACKEND is one of .* not 'cloud'"):
        ActorSystem()


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_what_a_backend_does_not_promise_is_an_error_at_the_call(backend):
    with ActorSystem(backend=backend) as system:
        for options in (
            {"limits": Limits(memory=1 << 30)},
            {"limits": Limits(nice=5)},
            {"env": {"A": "1"}},
            {"recycle_after": Recycle(memory_growth=1 << 30)},
        ):
            with pytest.raises(UnsupportedOnBackend, match=f'backend="{backend}" has no'):
                system.options(**options).spawn(Counter)
        counter = system.spawn(Counter)
        assert system.actors() == [counter]


def test_what_other_backends_have_says_so():
    with ActorSystem(backend="processes") as system:
        for name in ("clock", "crash", "history", "run_until_idle"):
            assert not hasattr(system, name)  # as of any name that is not there
            with pytest.raises(AttributeError, match=rf"{name}.*it is there with .*inline"):
                getattr(system, name)
        with pytest.raises(AttributeError, match=r"no attribute 'clocks'$"):
            _ = system.clocks


def test_a_cluster_needs_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InvalidSpec, match=r'pip install "procactors\[ray\]"'):
        ActorSystem(backend="ray")


def test_the_page_shows_the_table():
    assert shown() in PAGE.read_text(), "put there what `python -m procactors.model.backends` says"
    assert {name for limit in LIMITS.values() for name in limit.backends} <= set(BACKENDS)


def test_both_run_where_linux_own_parts_are_missing(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, elsewhere.__file__, str(program)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "inline 1 2 ActorStopped [1, 2, 3] [0, 1]",
        "threads 1 2 ActorStopped [1, 2, 3] [0, 1]",
        "processes SpawnError",
    ]


PROGRAM = """
from procactors import ActorSystem
from procactors.errors import ActorStopped, SpawnError


class Counter:
    def __init__(self):
        self.value = 0

    def increment(self):
        self.value += 1
        return self.value

    def fail(self):
        raise ValueError("on purpose")

    def count(self, to):
        yield from range(to)


def one_more(number):
    return number + 1


for backend in ("inline", "threads"):
    with ActorSystem(backend=backend) as system:
        counter = system.options(name="c").spawn(Counter)
        counter.tell(Counter.increment)
        counter.tell(Counter.fail)
        first = counter.ask(Counter.increment)
        second = system["c"].submit(Counter.increment).result()
        counter.stop()
        try:
            counter.ask(Counter.increment)
        except ActorStopped as error:
            stopped = type(error).__name__
        with system.pool() as pool:
            mapped = list(pool.map(one_more, range(3)))
        streamed = list(system.spawn(Counter).stream(Counter.count, 2))
        print(backend, first, second, stopped, mapped, streamed)
try:
    ActorSystem(backend="processes")
except SpawnError as error:
    print("processes", type(error).__name__)
"""


@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_what_is_over_is_not_kept(backend):
    with ActorSystem(backend=backend) as system:
        counter, adder = system.spawn(Counter), system.spawn(Sums)
        assert [adder.ask(Sums.of_all, feed(range(3))) for _ in range(20)] == [3] * 20
        with pytest.raises(DecodeError):
            counter.ask(Counter.increment, [feed([1]), Unreadable()])
        for _ in range(20):
            assert counter.submit(Counter.get).result(60.0) == 0
        transport = system._endpoint
        store, calls = transport.store, transport.calls
        kept = (transport.channels._open, store._values, store._carried)
        # What a message had with it is let go of behind the answer.
        eventually(lambda: not any(kept), "the end of what the messages had")
        assert not any((calls.pending, calls.alarms, calls.sent))


class Sums:
    def of_all(self, items):
        return sum(items)


def test_threads_share_an_inbox_and_each_message_goes_to_one_of_them():
    with ActorSystem(backend="threads") as system:
        inbox, got = system.inbox(), []

        def receive():
            while (number := inbox.receive(timeout=30.0)) is not None:
                got.append(number)

        readers = [threading.Thread(target=receive) for _ in range(3)]
        for reader in readers:
            reader.start()
        for number in range(300):
            inbox.ref.tell(number)
        for _ in readers:
            inbox.ref.tell(None)
        for reader in readers:
            reader.join()
        assert sorted(got) == list(range(300))
