"""What is said of a machine's limits, by files as the kernel has them."""

from __future__ import annotations

import os
import resource

import pytest

from procactors.doctor import machine, versions
from procactors.doctor.finding import Level, amount


@pytest.fixture
def root(tmp_path):
    """A tree of the kernel's files; `write(path, text)` makes one."""

    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        return str(tmp_path)

    return write


def test_few_files_are_told_with_the_number_of_actors_that_they_are_enough_for():
    found = machine.files(256, 512)
    assert found.level is Level.WARN
    assert found.facts["actors"] == 224
    assert "ulimit -Hn" in found.advice
    assert machine.files(1024, 4096).level is Level.OK
    assert machine.files(1024, resource.RLIM_INFINITY).facts["actors"] > 500_000


def test_few_processes_are_told():
    assert machine.processes(1000, 900).level is Level.WARN
    assert machine.processes(100_000, 900).level is Level.OK
    assert machine.processes(resource.RLIM_INFINITY, 900).facts["limit"] is None


@pytest.mark.parametrize(
    ("soft", "hard", "level", "says"),
    [
        (16384, 0, Level.OK, "first 1024"),
        (0, 0, Level.OK, "any number"),
        (1600, 0, Level.WARN, "first 100 "),
        (16384, 32768, Level.WARN, "after 2048 pipes"),
    ],
)
def test_the_size_of_pipes_is_judged(root, soft, hard, level, says):
    root("proc/sys/fs/pipe-max-size", 1048576)
    root("proc/sys/fs/pipe-user-pages-soft", soft)
    found = machine.pipes(root("proc/sys/fs/pipe-user-pages-hard", hard))
    assert found.level is level
    assert says in found.says


def test_what_the_kernel_does_not_tell_is_no_fault(tmp_path):
    assert machine.pipes(str(tmp_path)).level is Level.OK
    assert machine.ptrace(str(tmp_path)).level is Level.OK
    assert machine.clock(str(tmp_path)).facts["source"] == "unknown"


@pytest.mark.parametrize(("scope", "level"), [(0, Level.OK), (1, Level.WARN), (3, Level.WARN)])
def test_what_keeps_py_spy_out_is_told(root, scope, level):
    root("proc/self/status", "Name:\tx\nSeccomp:\t2")
    found = machine.ptrace(root("proc/sys/kernel/yama/ptrace_scope", scope))
    assert found.level is level
    assert "seccomp on" in found.says


@pytest.mark.parametrize(
    ("mask", "ignored"),
    [
        ("0000000001001000", []),
        ("0000000000000002", ["SIGINT"]),
        ("0000000000010000", ["SIGCHLD"]),
        ("0000000000014002", ["SIGINT", "SIGTERM", "SIGCHLD"]),
    ],
)
def test_ignored_signals_are_named(root, mask, ignored):
    found = machine.signals(root("proc/self/status", f"SigIgn:\t{mask}"))
    assert found.facts["ignored"] == ignored
    assert (found.level is Level.WARN) is bool(ignored)
    assert ("exit codes" in found.advice) is ("SIGCHLD" in ignored)


def test_strict_overcommit_is_told(root):
    assert machine.overcommit(root("proc/sys/vm/overcommit_memory", 2)).level is Level.WARN
    assert machine.overcommit(root("proc/sys/vm/overcommit_memory", 0)).level is Level.OK


@pytest.mark.parametrize(
    ("call", "error"), [("pidfd_open", PermissionError(1, "not permitted")), ("pidfd_open", None)]
)
def test_a_sandbox_without_pidfds_fails(monkeypatch, call, error):
    def refuse(*_):
        raise error

    if error is not None:
        monkeypatch.setattr(os, call, refuse)
    assert (machine.pidfds().level is Level.FAIL) is (error is not None)


@pytest.mark.parametrize(
    ("system", "release", "level"),
    [
        ("Linux", "5.10.0-8-amd64", Level.OK),
        ("Linux", "6.18.1", Level.OK),
        ("Linux", "5.4.0", Level.FAIL),
        ("Darwin", "23.1.0", Level.FAIL),
        ("Linux", "rubbish", Level.FAIL),
    ],
)
def test_an_old_kernel_fails(system, release, level):
    assert versions._kernel(system, release).level is level


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (76_000, "76 kB"), (1.5e9, "1.5 GB"), (2e12, "2.0 TB")],
)
def test_bytes_for_people(count, text):
    assert amount(count) == text
