"""Crash reports: what they tell, and the folder to which they are written on request."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
import pickle
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from procactors import Actor, ActorSystem, Delivery, ExitKind, Restart
from procactors.errors import ActorDied, SpawnError
from tests.support.actors import Crasher, Echo, Sleeper
from tests.support.programs import environment, running
from tests.support.waiting import LONG_S, eventually

MIB = 2**20

chatter = logging.getLogger("tests.chatter")


class Witness(Actor):
    """Says something, takes memory, dies."""

    def say_and_die(self, text, times=1):
        for number in range(times):
            self.context.log.warning("%s %d", text, number)
        chatter.warning("said elsewhere")
        os.kill(os.getpid(), signal.SIGKILL)

    def die_silently(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def die_large(self, size):
        held = b"\1" * size
        os.kill(os.getpid(), signal.SIGKILL)
        return held

    def die_of(self, how, payload=None, *, option=None):
        Crasher().crash(how)

    def die_at(self, gate, payload):
        gate.wait()
        os.kill(os.getpid(), signal.SIGKILL)

    def die_once(self, payload):
        if self.context.deliveries == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return payload

    def receive(self, message):
        os._exit(3)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "reports" / "crashes"


@pytest.fixture
def written(start_method, folder):
    """A system that writes its crashes."""
    with ActorSystem(start_method=start_method, crash_dir=folder) as system:
        yield system


def died(reply):
    """The report that a caller gets."""
    error = reply.exception()
    assert isinstance(error, ActorDied), error
    return error.report


def files(folder, count=1):
    """The reports in the folder, oldest first."""
    found = eventually(
        lambda: found if len(found := sorted(folder.glob("*.json"))) >= count else None,
        f"{count} reports",
    )
    return [(path, json.loads(path.read_text())) for path in found]


def message_of(path, facts):
    return pickle.loads((path.parent / facts["message"]["file"]).read_bytes())


def test_a_report_has_the_last_lines_that_the_actor_logged(system):
    """By the context and by any logger; of this life alone."""
    ref = system.options(name="w").spawn(Witness)
    report = died(ref.submit(Witness.say_and_die, "words", 30))
    lines = report.log.splitlines()
    assert len(lines) == 20
    assert lines[-1].endswith("WARNING tests.chatter: said elsewhere")
    assert lines[-2].endswith("WARNING tests.process.test_crash_reports.Witness: words 29")
    assert "last lines of its log:" in str(report)
    assert died(ref.submit(Witness.die_silently)).log == ""


def test_a_report_says_when_and_how_long_and_how_much_memory(system):
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 64 * MIB
    before = dt.datetime.now(dt.timezone.utc)
    ref = system.spawn(Witness)
    report = died(ref.submit(Witness.die_large, grown))
    at = dt.datetime.fromisoformat(report.at)
    assert before <= at <= dt.datetime.now(dt.timezone.utc)
    assert at.utcoffset() == dt.timedelta(0)
    assert grown < report.peak_memory < grown + 1024 * MIB
    assert report.ran_s > 0
    assert f"peak memory {report.peak_memory / 1e6:.1f} MB" in str(report)


def test_peak_memory_is_of_one_life(system):
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + 64 * MIB
    ref = system.spawn(Witness)
    died(ref.submit(Witness.die_large, grown))
    assert died(ref.submit(Witness.die_silently)).peak_memory < grown


@pytest.mark.methods
def test_the_next_life_and_the_status_have_the_same_report(system):
    ref = system.spawn(Witness)
    report = died(ref.submit(Witness.say_and_die, "words"))
    assert ref.status().last_crash == report


def test_one_lifes_stacks_are_not_the_next_ones(system):
    ref = system.options(restart=Restart.PERMANENT).spawn(Witness)
    assert "Segmentation fault" in died(ref.submit(Witness.die_of, "segfault")).native_stack
    assert died(ref.submit(Witness.die_silently)).native_stack == ""


@pytest.mark.parametrize("how", ["SIGKILL", "segfault", "os._exit(7)", "sys.exit(3)"])
def test_each_crash_is_a_file_with_the_message_in_hand(written, folder, how):
    ref = written.options(name="w/../x y").spawn(Witness)
    report = died(ref.submit(Witness.die_of, how, {"a": [1, 2]}, option="o"))
    ((path, facts),) = files(folder)
    assert path.name.startswith(report.at[:10])
    assert path.name.endswith("Z-w_.._x_y-1.json")
    message = facts.pop("message")
    assert facts.pop("python") == ".".join(map(str, sys.version_info[:3]))
    assert facts == json.loads(report.to_json())
    assert message["stands_alone"] is True
    assert message["needs"] == ["the modules of its classes"]
    assert message_of(path, {"message": message}) == ((how, {"a": [1, 2]}), {"option": "o"})


def test_only_the_user_may_read_what_is_written(written, folder):
    died(written.spawn(Witness).submit(Witness.die_silently))
    files(folder)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert (modes, stat.S_IMODE(folder.stat().st_mode)) == ({0o600}, 0o700)


def test_a_message_for_receive_is_the_pickle_itself(written, folder):
    written.spawn(Witness).tell({"any": "message"})
    ((path, facts),) = files(folder)
    assert facts["message"]["gives"] == "the message"
    assert facts["reason"]["kind"] == "exit"
    assert message_of(path, facts) == {"any": "message"}


@pytest.mark.parametrize("size", [10, 100_000, 3 * MIB])
def test_arrays_and_large_messages_are_written_whole(written, folder, size):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(size, dtype="u1")
    died(written.spawn(Witness).submit(Witness.die_of, "SIGKILL", array))
    ((path, facts),) = files(folder)
    (how, read), _ = message_of(path, facts)
    assert how == "SIGKILL"
    assert (read == array).all()
    read[0] = 7  # writable, as where it was to be handled
    assert facts["message"]["needs"][-1] == "procactors"


def test_a_message_that_is_delivered_again_is_written_and_still_arrives(written, folder):
    payload = bytes(range(256)) * 8192
    options = written.options(delivery=Delivery.AT_LEAST_ONCE)
    assert options.spawn(Witness).ask(Witness.die_once, payload) == payload
    ((path, facts),) = files(folder)
    assert message_of(path, facts) == ((payload,), {})


def test_an_idle_actors_crash_has_no_message(written, folder):
    ref = written.spawn(Echo)
    os.kill(ref.status().pid, signal.SIGSEGV)
    ((path, facts),) = files(folder)
    assert (facts["message"], facts["handler"]) == (None, None)
    assert list(folder.iterdir()) == [path]


def test_a_failed_start_is_a_crash_and_an_ordered_end_is_none(written, folder, gate):
    with pytest.raises(SpawnError):
        written.spawn(Crasher, "__init__")
    ref = written.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    ref.kill()
    written.spawn(Echo).stop()
    written.stop()
    ((_, facts),) = files(folder)
    assert facts["reason"]["kind"] == "start"
    assert "Fault: on purpose" in facts["traceback"]


def test_what_crashed_just_before_the_end_is_written_by_then(start_method, folder):
    with ActorSystem(start_method=start_method, crash_dir=folder) as system:
        refs = [system.options(restart=Restart.TEMPORARY).spawn(Witness) for _ in range(3)]
        for ref in refs:
            ref.tell(Witness.die_silently)
        for ref in refs:
            assert ref.wait().kind is ExitKind.SIGNAL
    assert len(files(folder)) == 3
    assert not [thread for thread in threading.enumerate() if "crashes" in thread.name]


def test_a_folder_that_cannot_be_written_harms_nobody(start_method, folder, caplog):
    """As a full disk: it is logged, callers are told and the actor comes back as ever."""
    with ActorSystem(start_method=start_method, crash_dir=folder) as system:
        folder.rmdir()
        folder.write_text("in the way")
        ref = system.spawn(Witness)
        assert died(ref.submit(Witness.die_silently)).reason.kind is ExitKind.SIGNAL
        assert died(ref.submit(Witness.die_silently)).incarnation == 2
    assert caplog.text.count("crash report not written to") == 2


def test_a_folder_that_cannot_be_made_is_an_error_at_once(tmp_path):
    path = tmp_path / "file"
    path.write_text("in the way")
    with pytest.raises(OSError, match="file"):
        ActorSystem(crash_dir=path)


def test_without_the_keyword_nothing_is_written(system, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    died(system.spawn(Witness).submit(Witness.die_silently))
    assert list(tmp_path.iterdir()) == []


SCRIPT = """
import os, sys
from dataclasses import dataclass
from procactors import ActorSystem, Restart

@dataclass
class Inner:
    value: int

@dataclass
class Order:
    inner: Inner
    def double(self):
        return Order(Inner(2 * self.inner.value))

class Worker:
    def work(self, order, function):
        os._exit(3)

def helper(order):
    return order.double()

with ActorSystem(start_method=sys.argv[1], crash_dir=sys.argv[2]) as system:
    worker = system.options(restart=Restart.TEMPORARY).spawn(Worker)
    print(worker.submit(Worker.work, Order(Inner(21)), helper).exception().report.reason)
"""

READER = """
import pickle, sys
((order, helper), kwargs) = pickle.load(open(sys.argv[1], "rb"))
print(type(order).__name__, helper(order).inner, kwargs)
"""


def test_a_message_of_a_scripts_own_classes_can_be_loaded_when_the_script_is_gone(
    start_method, folder
):
    """It carries the definitions that it needs."""
    with running(SCRIPT, start_method, folder) as program:
        code, out, errors = program.end()
    assert (code, out) == (0, "exited with code 3\n"), errors
    ((path, facts),) = files(folder)
    message = facts["message"]
    assert (message["stands_alone"], message["has_code"]) == (True, True)
    assert message["needs"][-1] == f"Python {sys.version_info[0]}.{sys.version_info[1]}"
    read = subprocess.run(
        [sys.executable, "-c", READER, path.parent / message["file"]],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=True,
    )
    assert read.stdout == "Order Inner(value=42) {}\n"


def test_reports_of_many_that_die_at_once_are_all_written(written, folder):
    refs = [written.spawn(Witness) for _ in range(10)]
    replies = [ref.submit(Witness.die_of, "SIGKILL", Path("x")) for ref in refs]
    reports = [died(reply) for reply in replies]
    found = files(folder, 10)
    assert {facts["actor"] for _, facts in found} == {report.actor for report in reports}
    assert all(message_of(path, facts) for path, facts in found)


class Deep(Actor):
    def fall(self, depth: int) -> None:
        if depth:
            self.fall(depth - 1)
        raise ValueError("bottom\nof\nmany\nlines")

    def kill(self, depth: int) -> None:
        if depth:
            self.kill(depth - 1)
        os.kill(os.getpid(), signal.SIGSEGV)


def test_the_error_of_a_death_is_short_and_its_report_whole(system):
    deep = system.spawn(Deep)
    with pytest.raises(ActorDied) as died:
        deep.ask(Deep.kill, 50)
    assert 2 <= len(str(died.value).splitlines()) <= 4
    assert str(died.value.report).count("in kill") > 50
    with system.options(size=1).pool() as pool, pytest.raises(ActorDied) as died:
        pool.ask(kill_deeply, 50)
    assert len(str(died.value).splitlines()) <= 4
    assert str(died.value.report).count("in kill_deeply") > 50


def kill_deeply(depth):
    if depth:
        kill_deeply(depth - 1)
    os.kill(os.getpid(), signal.SIGSEGV)


LOUD = """
import sys
from procactors import ActorSystem
from tests.process.test_crash_reports import Deep
with ActorSystem(start_method=sys.argv[1]) as system:
    deep = system.options(max_restarts=100).spawn(Deep)
    for _ in range(5):
        deep.tell(Deep.fall, 50)
"""


def test_stderr_shows_a_crash_in_few_lines_and_counts_those_alike(start_method):
    done = subprocess.run(
        [sys.executable, "-c", LOUD, start_method], capture_output=True, text=True, check=True
    )
    lines = done.stderr.splitlines()
    letters = [line for line in lines if line.startswith("dead letter: Deep.fall of deep-1: ")]
    more = [line for line in lines if line.startswith("… ")]
    crash = lines[: lines.index(letters[0])]
    assert len(crash) + 1 <= 8
    assert crash[0].startswith("actor deep-1 (incarnation 1, pid ")
    assert 'raise ValueError("bottom' in crash[-1]
    # One line or more, as the restarts take their time.
    assert sum(int(line.split()[1]) for line in more) == 4
    rest = [line for line in lines if line not in [*crash, *letters, *more]]
    assert [line for line in rest if not line.startswith("stopped 1 actor in ")] == []


def test_a_killed_process_did_not_lack_memory(system):
    with pytest.raises(ActorDied, match="SIGKILL") as died:
        system.spawn(Witness).ask(Witness.die_silently)
    assert "lack of memory" not in str(died.value.report)
