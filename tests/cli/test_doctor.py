"""`procactors doctor`: the real command, on this machine and on one that is not well."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from procactors.doctor import costs, disk
from procactors.doctor.finding import Level
from tests.support.programs import environment
from tests.support.waiting import LONG_S, eventually

#: A system that says where it is, and waits to be killed.
WAITS = """
import sys
from procactors import Actor, ActorSystem

class Plain(Actor):
    pass

with ActorSystem(runtime_dir=sys.argv[1] if len(sys.argv) > 1 else None) as system:
    system.spawn(Plain)
    print(system._endpoint.path, flush=True)
    sys.stdin.read()
"""


#: The command, as ``python -c`` runs it.
COMMAND = """
import sys
from procactors.cli import main
sys.exit(main())
"""


def doctor(place, *arguments):
    """Run the command in a place of its own; return its exit code and what it prints."""
    with place.running(COMMAND, "doctor", *arguments) as program:
        said, wrong = program.process.communicate(timeout=LONG_S)
    assert not wrong
    return program.process.returncode, said


def test_it_says_of_each_thing_how_it_is(place):
    code, said = doctor(place)
    assert code == 0, said
    lines = said.splitlines()
    levels = {line[:6].strip() for line in lines[:-1]} - {""}
    assert levels <= {"ok", "warn"}
    for subject in (
        "Python", "kernel", "libraries", "extras", "open files", "processes", "pipes", "overcommit",
        "pidfd", "ptrace", "signals", "clock", "memory", "processors", "pids.max", "shared memory",
        "temporary files", "leftovers", "start (forkserver)",
    ):  # fmt: skip
        assert any(line[6:].startswith(subject) for line in lines), subject
    assert lines[-1].endswith("0 fail")


def test_as_json_it_has_the_numbers(place):
    _, said = doctor(place, "--json", "--start-method", "fork")
    facts = json.loads(said)
    assert facts["ok"] is True
    found = {one["subject"]: one for one in facts["findings"]}
    assert found["open files"]["facts"]["actors"] > 0
    assert 0 < found["start (fork)"]["facts"]["ask_s"] < LONG_S
    assert found["shared memory"]["facts"]["free"] > 0
    assert {"subject", "level", "says", "advice", "facts"} == found["clock"].keys()


def test_what_cannot_start_fails_and_says_why(tmp_path):
    # Too few descriptors for a system, but enough for Python.
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 12; exec {sys.executable} -m procactors doctor"],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
        env=environment(),
    )
    assert done.returncode == 1
    assert "fail  start (forkserver)" in done.stdout
    assert "warn  open files" in done.stdout
    assert "1 fail" in done.stdout.splitlines()[-1]


@pytest.fixture
def dead_and_living(place):
    """Names of the directories of a system whose processes are all dead, and of one that lives."""
    if not place.is_apart:
        pytest.skip("no place of its own is allowed here: a neighbour's start would sweep")
    with (
        place.running(WAITS, stdin=subprocess.PIPE) as living,
        place.running(WAITS, stdin=subprocess.PIPE) as dead,
    ):
        names = os.path.basename(dead.line()), os.path.basename(living.line())
        # Stopped first: nobody is left who would clean up.
        processes = dead.tree()
        for process in processes:
            process.suspend()
        for process in processes:
            process.kill()
        dead.process.wait()
        eventually(lambda: not dead.tree(), "the end of all")
        yield names


def test_leftovers_of_the_dead_are_told_with_their_size(place, dead_and_living):
    dead, _ = dead_and_living
    _, said = doctor(place, "--json")
    [found] = [one for one in json.loads(said)["findings"] if one["subject"] == "leftovers"]
    [directory] = found["facts"]["directories"]
    assert os.path.basename(directory["path"]) == dead
    assert directory["bytes"] > 0
    assert found["level"] == "warn"
    assert "--sweep" in found["advice"]


def test_a_sweep_removes_what_the_dead_left_and_nothing_of_the_living(place, dead_and_living):
    dead, living = dead_and_living
    _, said = doctor(place, "--sweep")
    assert "removed 1 directory of dead systems" in said
    assert dead in said.partition("leftovers")[2]
    _, said = doctor(place, "--sweep", "--json")
    found = {one["subject"]: one["facts"] for one in json.loads(said)["findings"]}
    assert found["leftovers"] == {"removed": []}
    # Neighbours' systems that lie in directories of their own are found by their locks, too.
    shown = [os.path.basename(one["path"]) for one in found["systems"]["systems"]]
    assert living in shown
    assert dead not in shown


def test_little_shared_memory_is_told(monkeypatch, tmp_path):
    found = disk.shared_memory(str(tmp_path / "nothing"))
    assert found.level is Level.WARN

    class Small:
        f_blocks, f_bavail, f_frsize = 16384, 10, 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Small)
    found = disk.shared_memory(str(tmp_path))
    assert found.level is Level.WARN
    assert "--shm-size" in found.advice
    assert found.facts["size"] == 67_108_864


def test_no_place_at_all_fails(monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "temporary_roots", list)
    assert disk.temporary(str(tmp_path / "nothing")).level is Level.FAIL
    assert disk.temporary(str(tmp_path)).level is Level.WARN


@pytest.mark.parametrize("how", costs.START_METHODS)
def test_what_a_start_costs_is_measured(how):
    found = costs.measure(how)
    assert found.level is not Level.FAIL
    assert found.facts["system_s"] > 0
    assert found.facts["spawn_s"] > 0
    assert found.facts["ask_s"] > 0
