"""The main job: same totals with actors and without, whatever is killed on the way."""

from __future__ import annotations

import os
import re
import signal

import pytest

from procactors import ActorSystem, run
from procactors.cli import main
from procactors.demo import corpus
from procactors.demo.analysis import Totals, analyse, total
from procactors.demo.job import Job, Measured
from procactors.errors import PoolBroken


def kill_for_good(system):
    """What a user does to an actor that must not come back."""
    system["worker-1"].kill()


class HookedJob(Job):
    """Calls a function once, when a number of files is done."""

    def __init__(self, paths, when, call):
        super().__init__(paths, lambda text: None)
        self.when = when
        self.call = call

    def advance(self):
        super().advance()
        if self.done == self.when:
            self.call()


def job_of(paths):
    return Job(paths, lambda text: None)


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
    with ActorSystem() as system:
        actors = job_of(paths).run_with_actors(system, 2, kill=True)
    assert actors.totals == total(map(analyse, paths))
    assert actors.killing.lost in paths


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
    monkeypatch.setattr(Job, "run_serially", lambda self: Measured(Totals(files=2), 1.0))
    assert main(["demo", "--workers", "1", "--no-kill"]) == 1
    assert "one process: DIFFERENT in files" in capsys.readouterr().out


def test_a_library_without_source_ends_with_1(tmp_path, capsys, monkeypatch):
    """An interpreter may come without its source files; the message says where it looked."""
    monkeypatch.setattr(corpus, "stdlib_folder", lambda: str(tmp_path))
    assert main(["demo"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_totals_are_equal_under_every_start_method(start_method, paths):
    """The kill's report names the file that was analysed again."""
    job = job_of(paths)
    with ActorSystem(start_method=start_method) as system:
        actors = job.run_with_actors(system, 2, kill=True)
    assert actors.totals == job.run_serially().totals
    assert (actors.killing.incarnation, actors.killing.restarts) == (2, 1)
    assert actors.killing.pid != actors.killing.new_pid
    assert actors.killing.lost in paths


def test_a_kill_by_somebody_else_costs_time_and_no_file(paths):
    """Whatever the worker had in hand is analysed again."""
    with ActorSystem() as system:
        job = HookedJob(paths, 20, lambda: os.kill(system["worker-1"].status().pid, 9))
        assert job.run_with_actors(system, 2, kill=False).totals == total(map(analyse, paths))


def test_an_actor_that_stays_down_leaves_its_work_to_the_others(paths):
    """What waited in its mailbox is given to the actors that are left."""
    with ActorSystem() as system:
        job = HookedJob(paths, 20, lambda: kill_for_good(system))
        assert job.run_with_actors(system, 2, kill=False).totals == total(map(analyse, paths))


def test_without_any_actor_left_the_job_fails(paths):
    """It says so instead of waiting."""
    with ActorSystem() as system:
        job = HookedJob(paths * 20, 5, lambda: kill_for_good(system))
        with pytest.raises(PoolBroken):
            job.run_with_actors(system, 1, kill=False)


def test_a_file_that_ends_each_worker_is_a_failure_like_any_other(library, monkeypatch):
    """It costs no other file; a parser may crash."""
    deadly = str(library / "bad.py")
    paths = [str(library / "good.py"), deadly, str(library / "other.py")]

    def die(path):
        if path == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return analyse(path)

    monkeypatch.setattr("procactors.demo.job.analyse", die)
    with ActorSystem(start_method="fork") as system:
        totals = job_of(paths).run_with_actors(system, 1, kill=False).totals
    assert totals.files == 3
    assert [failure.path for failure in totals.failures] == [deadly]
    assert "SIGKILL" in totals.failures[0].error


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("serially", [False, True], ids=["actors", "one process"])
def test_a_stop_signal_ends_a_run_between_two_files(signum, serially, paths):
    job = HookedJob(paths, 10, lambda: signal.raise_signal(signum))

    def program(system):
        if serially:
            job.run_serially()
        else:
            job.run_with_actors(system, 2, kill=False)

    assert run(program) == 128 + signum
    assert job.done == 10


def test_on_threads_no_actor_is_killed_and_a_wrong_backend_is_a_mistake(
    library, capsys, monkeypatch
):
    """A SIGKILL would end the whole program there; the variable is named where it is wrong."""
    monkeypatch.setenv("PROCACTORS_BACKEND", "threads")
    assert main(["demo", "--workers", "2"]) == 0
    out = capsys.readouterr().out
    assert "no actor is killed: on threads the whole program ends with it" in out
    assert "SIGKILL" not in out
    monkeypatch.setenv("PROCACTORS_BACKEND", "thread")
    assert main(["demo"]) == 2
    assert "the environment variable PROCACTORS_BACKEND is one of" in capsys.readouterr().err
