"""The main job: same totals with actors and without, whoever is killed on the way."""

from __future__ import annotations

import io
import os
import re
import signal

import pytest

from procactors import ActorSystem
from procactors.cli import main
from procactors.demo import corpus, job
from procactors.demo.analysis import Failure, Totals, analyse, total
from procactors.demo.progress import Progress
from procactors.demo.stopping import StopAsked, StopRequest
from procactors.errors import ActorStopped


class Hook(Progress):
    """Calls a function once, when a number of files is done."""

    def __init__(self, when, call):
        super().__init__(io.StringIO())
        self.when = when
        self.call = call
        self.is_called = False

    def advance(self, done):
        super().advance(done)
        # Once: after the gatherer's death the same number comes again.
        if done == self.when and not self.is_called:
            self.is_called = True
            self.call()


@pytest.fixture(scope="module")
def paths():
    """Files enough that a kill meets work, few enough for a test."""
    return corpus.sample(corpus.source_files(corpus.stdlib_folder()), 60)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A standard library of three files, one of which does not parse."""
    (tmp_path / "good.py").write_text("def f():\n    pass\n")
    (tmp_path / "bad.py").write_text("def f(:\n")
    (tmp_path / "other.py").write_text("class C: pass\n")
    monkeypatch.setattr(corpus, "stdlib_folder", lambda: str(tmp_path))
    return tmp_path


def shown(path):
    """A file as the report shows it."""
    return re.escape(os.path.relpath(path, corpus.stdlib_folder()))


def kill(system, name):
    """What the kernel does to an actor that takes too much memory."""
    os.kill(system[name].status().pid, signal.SIGKILL)


def kill_for_good(system, name):
    """What a user does to an actor that must not come back."""
    system[name].kill()


def test_the_demo_kills_an_actor_and_still_gets_equal_totals(capsys):
    """Exit code 0; the kill, the new incarnation and the verdict are printed."""
    assert main(["demo", "--limit", "60", "--workers", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    killed = lines.index(next(line for line in lines if "SIGKILL; going on" in line))
    assert re.fullmatch(
        r"killed (worker-[12]) \(pid (\d+), with a file in hand\) with SIGKILL; going on",
        lines[killed],
    )
    given_again = next(line for line in lines[killed:] if line.startswith("its file is not lost"))
    path = given_again.rpartition(": ")[2]
    assert os.path.isfile(path)
    assert any(
        re.search(
            rf" was killed after \d+ files, with {shown(path)} in hand, analysed again$", line
        )
        for line in lines
    )
    assert any(re.search(r"came back as incarnation 2 .*, restarts: 1$", line) for line in lines)
    assert lines[-1] == "totals of the actors and of one process: equal"


@pytest.mark.parametrize("number", range(3))
def test_the_kill_always_meets_a_file_in_hand(number, library):
    """Though the files are short, and a worker is done with one between a look and a kill."""
    paths = []
    for name in range(100):
        path = library / f"short_{name}.py"
        path.write_text("x = [1, 2, 3]\n" * 300)
        paths.append(str(path))
    outcome = job.run_with_actors(paths, Progress(io.StringIO()), StopRequest(), workers=2)
    assert outcome.totals == total(map(analyse, paths))
    assert outcome.killing.lost in paths


def test_without_the_kill_no_actor_is_respawned(capsys):
    """`--no-kill` is a plain comparison."""
    assert main(["demo", "--limit", "10", "--workers", "1", "--no-kill"]) == 0
    printed = capsys.readouterr().out
    assert "killed" not in printed
    assert printed.endswith("one process: equal\n")


def test_one_file_is_enough(library, capsys):
    """Half of one file is none: the kill comes first, and the file is analysed all the same."""
    assert main(["demo", "--limit", "1", "--workers", "1"]) == 0
    assert "restarts: 1" in capsys.readouterr().out


def test_a_file_that_fails_to_parse_is_listed_with_its_error(library, capsys):
    """Paths are relative to the library."""
    assert main(["demo", "--workers", "1", "--no-kill"]) == 0
    printed = capsys.readouterr().out
    assert "files that failed to parse: 1\n  bad.py: SyntaxError: " in printed


def test_totals_that_differ_end_with_1(library, capsys, monkeypatch):
    """The verdict is the exit code."""
    monkeypatch.setattr(job, "run_serially", lambda *_: job.Outcome(Totals(files=2), 1.0))
    assert main(["demo", "--workers", "1", "--no-kill"]) == 1
    assert "one process: DIFFERENT in files" in capsys.readouterr().out


def test_a_library_without_source_ends_with_1(tmp_path, capsys, monkeypatch):
    """An interpreter may come without its source files; the message says where it looked."""
    monkeypatch.setattr(corpus, "stdlib_folder", lambda: str(tmp_path))
    assert main(["demo"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_totals_are_equal_under_every_start_method(start_method, paths):
    """The kill's report names the file that was analysed again, or that none was in hand."""
    progress = Progress(io.StringIO())
    actors = job.run_with_actors(
        paths, progress, StopRequest(), workers=2, start_method=start_method
    )
    assert actors.totals == job.run_serially(paths, progress, StopRequest()).totals
    assert (actors.killing.incarnation, actors.killing.restarts) == (2, 1)
    assert actors.killing.pid != actors.killing.new_pid
    assert actors.killing.lost in paths


@pytest.mark.parametrize("name", ["worker-1", "gatherer"])
def test_a_kill_by_somebody_else_costs_time_and_no_file(name, paths):
    """Even the gatherer may lose its memory: the driver has the missing files done again."""
    with ActorSystem() as system:
        progress = Hook(when=20, call=lambda: kill(system, name))
        driver = job.Driver(system, progress, StopRequest(), workers=2)
        totals = driver.run(paths, kill=False)
        assert system[name].status().restarts == 1
    assert totals == total(map(analyse, paths))


def test_an_actor_that_stays_down_leaves_its_work_to_the_others(paths):
    """What waited in its mailbox is given to the actors that are left."""
    with ActorSystem() as system:
        progress = Hook(when=20, call=lambda: kill_for_good(system, "worker-1"))
        driver = job.Driver(system, progress, StopRequest(), workers=2)
        assert driver.run(paths, kill=False) == total(map(analyse, paths))


def test_without_the_gatherer_the_job_fails_in_its_name(paths):
    """No actor that parses is blamed for it."""
    with ActorSystem() as system:
        progress = Hook(when=5, call=lambda: kill_for_good(system, "gatherer"))
        driver = job.Driver(system, progress, StopRequest(), workers=2)
        with pytest.raises(ActorStopped, match="gatherer"):
            driver.run(paths, kill=False)
        assert [system[f"worker-{number}"].is_alive() for number in (1, 2)] == [True, True]


def test_without_any_actor_left_the_job_fails(paths):
    """It says so instead of waiting."""
    with ActorSystem() as system:
        progress = Hook(when=5, call=lambda: kill_for_good(system, "worker-1"))
        driver = job.Driver(system, progress, StopRequest(), workers=1)
        with pytest.raises(ActorStopped):
            driver.run(paths, kill=False)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_signal_ends_the_run_with_actors(signum, paths):
    """Between two files, after the system has stopped."""
    stop = StopRequest()
    with pytest.raises(StopAsked) as caught:
        job.run_with_actors(paths, Hook(10, lambda: stop(signum, None)), stop, workers=2)
    assert caught.value.signum is signum


def test_a_stop_signal_ends_the_serial_run(paths):
    """It looks after each file."""
    stop = StopRequest()
    progress = Hook(10, lambda: stop(signal.SIGINT, None))
    with pytest.raises(StopAsked):
        job.run_serially(paths, progress, stop)
    assert progress.done == 10


def test_the_gatherer_counts_a_path_once(library):
    """A file that is analysed twice, because of a kill, counts once."""
    bad = str(library / "bad.py")
    gatherer = job.Gatherer()
    gatherer.add(analyse(bad))
    gatherer.add(analyse(bad))
    missing, totals = gatherer.report([bad, "other"])
    assert missing == ["other"]
    assert (totals.files, totals.failures) == (1, (Failure(bad, analyse(bad).error),))
