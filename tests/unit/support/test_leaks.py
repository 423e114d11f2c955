"""The leak check sees each kind of leak, and complains about nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from procactors.testing import leaks

#: Seconds to wait for what will not go away.
HASTY = 0.05

BLOCK = "import sys; sys.stdin.read()"


def complaint(before: leaks.Snapshot) -> str:
    with pytest.raises(AssertionError, match="left behind") as caught:
        leaks.check(before, HASTY)
    return str(caught.value)


@pytest.fixture
def before() -> leaks.Snapshot:
    return leaks.look()


def test_nothing_left_passes(before):
    leaks.check(before)


def test_an_open_descriptor_is_a_leak(before, tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert f"descriptor {fd}: {tmp_path}" in complaint(before)
    finally:
        os.close(fd)
    leaks.check(before)


def test_a_second_descriptor_of_the_same_file_is_a_leak(tmp_path):
    with open(tmp_path / "file", "w") as file:
        before = leaks.look()
        copy = os.dup(file.fileno())
        try:
            assert f"descriptor {copy}" in complaint(before)
        finally:
            os.close(copy)


def test_a_descriptor_that_moved_is_no_leak(tmp_path):
    first = os.open(tmp_path, os.O_RDONLY)
    before = leaks.look()
    second = os.dup(first)
    os.close(first)
    try:
        leaks.check(before)
    finally:
        os.close(second)


def test_a_running_thread_is_a_leak(before):
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="straggler")
    thread.start()
    try:
        assert "thread straggler" in complaint(before)
    finally:
        end.set()
        thread.join()
    leaks.check(before)


def test_what_ends_in_time_is_no_leak(before):
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    # The check is the first to look again: the thread ends while it waits.
    threading.Timer(2 * HASTY, end.set).start()
    leaks.check(before)
    assert not thread.is_alive()


def test_a_running_child_is_a_leak(before):
    with subprocess.Popen([sys.executable, "-c", BLOCK], stdin=subprocess.PIPE) as child:
        assert f"process {child.pid} " in complaint(before)
    leaks.check(before)


def test_a_dead_child_that_nobody_joined_is_a_leak(before):
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert f"process {pid} (zombie)" in complaint(before)
    os.waitpid(pid, 0)
    leaks.check(before)


def test_an_orphan_is_a_leak_though_it_is_nobodys_child(before):
    script = (
        "import subprocess, sys\n"
        f"orphan = [sys.executable, '-c', {BLOCK!r}]\n"
        "print(subprocess.Popen(orphan, stdout=subprocess.DEVNULL).pid)\n"
    )
    kept, end = os.pipe()
    parent = [sys.executable, "-c", script]
    orphan = int(subprocess.run(parent, stdin=kept, stdout=subprocess.PIPE, check=True).stdout)
    os.close(kept)
    try:
        assert f"process {orphan} " in complaint(before)
    finally:
        os.close(end)  # its standard input ends, and so does it
    leaks.check(before)


def test_strays_are_killed(before):
    with subprocess.Popen([sys.executable, "-c", BLOCK], stdin=subprocess.PIPE) as child:
        leaks.kill_strays(before)
        assert not psutil.pid_exists(child.pid)


@pytest.mark.parametrize("name", ["procactors-1-left", "psm_left"])
def test_a_file_in_shared_memory_is_a_leak(before, name):
    path = leaks.SHARED_MEMORY / f"{name}-{os.getpid()}"
    path.touch()
    try:
        assert f"shared memory {path}" in complaint(before)
    finally:
        path.unlink()
    leaks.check(before)


def test_a_runtime_directory_is_a_leak(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = leaks.look()
    (tmp_path / "procactors-1-left").mkdir()
    (tmp_path / "other").mkdir()
    found = complaint(before)
    assert "procactors-1-left" in found
    assert "other" not in found


def test_what_a_stranger_has_open_is_his(before):
    path = leaks.SHARED_MEMORY / f"procactors-stranger-{os.getpid()}"
    path.mkdir()
    code = "import os, sys; os.open(sys.argv[1], os.O_RDONLY); print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline()
        now = leaks.look()
        assert not leaks._used_by_strangers({path}, now)
        assert leaks._used_by_strangers({path}, leaks.Snapshot({}, {}, {}, {})) == {path}
    path.rmdir()


def test_the_fixture_fails_the_leaking_test_and_spares_the_next(tmp_path):
    tests = tmp_path / "test_two.py"
    tests.write_text(
        "import os, threading\n"
        "def test_leaks(): os.open('/', os.O_RDONLY)\n"
        "def test_is_tidy(): pass\n"
    )
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", f"--settle={HASTY}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *options, f"--rootdir={tmp_path}", str(tests)],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "2 passed, 1 error" in run.stdout
    assert "descriptor" in run.stdout
