"""The runtime directory: private, and swept only when nobody owns it."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
import threading
from contextlib import suppress

import pytest

from procactors.wire import runtime_dir
from procactors.wire.runtime_dir import PREFIX, RuntimeDir, check_private, overflow_of, sweep
from tests.support.waiting import SHORT_S


@pytest.fixture
def abandoned(tmp_path):
    """A directory whose owner died without a word."""
    home = RuntimeDir(tmp_path)
    home.forget()
    return home.path


def test_it_is_ours_alone_and_goes_with_all_that_is_in_it(tmp_path):
    home = RuntimeDir(tmp_path)
    assert stat.S_IMODE(os.stat(home.path).st_mode) == 0o700
    assert os.path.dirname(home.path) == str(tmp_path)
    (tmp_path / os.path.basename(home.path) / "actors" / "file").write_text("x")
    home.remove()
    assert list(tmp_path.iterdir()) == []
    home.remove()


def test_the_umask_does_not_open_it(tmp_path):
    before = os.umask(0)
    try:
        home = RuntimeDir(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(home.path).st_mode) == 0o700
    for name in os.listdir(home.path):
        assert not os.stat(os.path.join(home.path, name)).st_mode & 0o077
    home.remove()


@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_directory_that_others_may_enter_is_refused(tmp_path, mode):
    path = tmp_path / "open"
    path.mkdir()
    path.chmod(mode)
    with pytest.raises(PermissionError, match=f"with mode {mode:04o}: refusing"):
        check_private(str(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_another_user_is_refused(tmp_path):
    path = tmp_path / "foreign"
    path.mkdir(0o700)
    os.chown(path, 65534, 65534)
    with pytest.raises(PermissionError, match="found user 65534"):
        check_private(str(path))


def test_a_link_is_refused(tmp_path):
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(PermissionError):
        check_private(str(tmp_path / "link"))


def test_what_is_owned_is_not_swept(tmp_path):
    home = RuntimeDir(tmp_path)
    assert sweep(tmp_path) == []
    assert os.path.isdir(home.path)
    home.remove()


def test_what_was_abandoned_is_swept_and_named(tmp_path, abandoned):
    assert sweep(tmp_path) == [abandoned]
    assert list(tmp_path.iterdir()) == []


def test_the_overflow_of_what_was_abandoned_goes_too(tmp_path, abandoned):
    more = overflow_of(abandoned)
    os.mkdir(more, 0o700)
    sweep(tmp_path)
    assert not os.path.exists(more)


def test_a_directory_that_vanishes_under_a_sweep_stops_it_nowhere(tmp_path, monkeypatch):
    """Others start and stop systems meanwhile."""
    real = os.listdir
    left = tmp_path / f"{PREFIX}1-dead"
    left.mkdir(mode=0o700)
    (left / "owner").touch()

    def listdir(place):
        return [f"{PREFIX}0-gone", *real(place)]

    monkeypatch.setattr(os, "listdir", listdir)
    assert sweep(tmp_path) == [str(left)]


def test_nothing_else_is_swept(tmp_path):
    (tmp_path / "something-else").mkdir(0o700)
    (tmp_path / f"{PREFIX}file").write_text("x")
    opened = tmp_path / f"{PREFIX}1-open"
    opened.mkdir()
    (opened / "owner").touch()
    opened.chmod(0o755)
    assert sweep(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_a_directory_that_is_just_being_made_is_not_swept(tmp_path):
    newborn = tmp_path / f"{PREFIX}1-new"
    newborn.mkdir(0o700)
    assert sweep(tmp_path) == []
    os.utime(newborn, (1, 1))
    assert sweep(tmp_path) == [str(newborn)]


def test_a_sweep_at_any_step_of_its_making_leaves_it_alone(tmp_path, monkeypatch):
    """Two systems that start together: one sweeps while the other makes its directory."""
    swept = []

    busy = []
    real = fcntl.flock

    def flock(fd, how):
        if not busy and how == fcntl.LOCK_EX:
            busy.append(1)
            swept.extend(sweep(tmp_path))
            busy.clear()
        return real(fd, how)

    monkeypatch.setattr(runtime_dir.fcntl, "flock", flock)
    home = RuntimeDir(tmp_path)
    assert swept == []
    assert os.path.isdir(home.path)
    home.remove()


def test_a_forked_copy_removes_nothing(tmp_path):
    home = RuntimeDir(tmp_path)
    pid = os.fork()
    if pid == 0:
        home.remove()
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.isdir(home.path)
    home.remove()


def test_a_process_that_still_writes_cannot_keep_it(tmp_path):
    """An actor that is just dying, while the janitor or another program's start sweeps."""
    for _ in range(50):
        home = RuntimeDir(tmp_path)
        ended = threading.Event()

        def write(folder, ended):
            with suppress(FileNotFoundError):
                for number in itertools.count():
                    with open(os.path.join(folder, str(number)), "x"):
                        pass
            ended.set()

        folder = os.path.join(home.path, "actors")
        threading.Thread(target=write, args=(folder, ended)).start()
        home.remove()
        assert ended.wait(SHORT_S)
        sweep(tmp_path)  # what it had opened before the name was gone may have come late
        assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_cut_off_is_finished_by_the_next_sweep(tmp_path, abandoned):
    os.unlink(os.path.join(abandoned, "owner"))
    os.rename(abandoned, abandoned + ".gone")
    assert sweep(tmp_path) == [abandoned + ".gone"]
    assert list(tmp_path.iterdir()) == []
