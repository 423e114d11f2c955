"""The runtime directory: private, and swept only when no live process owns it."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
import tempfile
import threading
from contextlib import suppress

import pytest

from procactors.wire import runtime_dir
from procactors.wire.runtime_dir import (
    PREFIX,
    RuntimeDir,
    check_overflow,
    check_private,
    overflow_of,
    sweep,
    temporary_roots,
)
from tests.support.waiting import SHORT_S


@pytest.fixture(autouse=True)
def elsewhere(tmp_path_factory, monkeypatch):
    """The temporary directory of this process: other programs' is not swept, nor in the way."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def abandoned(tmp_path):
    """A directory whose owner died without a word."""
    folder = RuntimeDir(tmp_path)
    folder.forget()
    return folder.path


def test_it_is_ours_alone_and_goes_with_all_that_is_in_it(tmp_path):
    folder = RuntimeDir(tmp_path)
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    assert os.path.dirname(folder.path) == str(tmp_path)
    (tmp_path / os.path.basename(folder.path) / "actors" / "file").write_text("x")
    folder.remove()
    assert list(tmp_path.iterdir()) == []
    folder.remove()


def test_the_umask_does_not_open_it(tmp_path):
    before = os.umask(0)
    try:
        folder = RuntimeDir(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(folder.path).st_mode) == 0o700
    for name in os.listdir(folder.path):
        assert not os.stat(os.path.join(folder.path, name)).st_mode & 0o077
    folder.remove()


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
    folder = RuntimeDir(tmp_path)
    assert sweep(tmp_path) == []
    assert os.path.isdir(folder.path)
    folder.remove()


def test_what_was_abandoned_is_swept_and_named(tmp_path, abandoned):
    assert sweep(tmp_path) == [abandoned]
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_vanishes_under_a_sweep_stops_it_nowhere(tmp_path, monkeypatch):
    """Others start and stop systems meanwhile."""
    real = os.listdir
    left = tmp_path / f"{PREFIX}1-dead"
    left.mkdir(mode=0o700)
    (left / "owner").touch()

    def listdir(folder):
        return [f"{PREFIX}0-gone", *real(folder)]

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
    folder = RuntimeDir(tmp_path)
    assert swept == []
    assert os.path.isdir(folder.path)
    folder.remove()


def test_a_forked_copy_removes_nothing(tmp_path):
    folder = RuntimeDir(tmp_path)
    pid = os.fork()
    if pid == 0:
        folder.remove()
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.path.isdir(folder.path)
    folder.remove()


def test_a_process_that_still_writes_cannot_keep_it(tmp_path):
    """An actor that is just dying, while the janitor or another program's start sweeps."""
    for _ in range(50):
        ours = RuntimeDir(tmp_path)
        ended = threading.Event()

        def write(folder, ended):
            with suppress(FileNotFoundError):
                for number in itertools.count():
                    with open(os.path.join(folder, str(number)), "x"):
                        pass
            ended.set()

        folder = os.path.join(ours.path, "actors")
        threading.Thread(target=write, args=(folder, ended)).start()
        ours.remove()
        assert ended.wait(SHORT_S)
        sweep(tmp_path)  # what it had opened before the name was gone may have come late
        assert list(tmp_path.iterdir()) == []


def test_a_removal_that_was_cut_off_is_finished_by_the_next_sweep(tmp_path, abandoned):
    os.unlink(os.path.join(abandoned, "owner"))
    os.rename(abandoned, abandoned + ".gone")
    assert sweep(tmp_path) == [abandoned + ".gone"]
    assert list(tmp_path.iterdir()) == []


on_two_disks = pytest.mark.skipif(
    not os.path.ismount("/dev/shm"), reason="the overflow must be on another disk"
)


@pytest.fixture
def roomy(elsewhere):
    """A runtime directory with an overflow directory."""
    folder = RuntimeDir("/dev/shm")
    yield folder
    folder.remove()
    runtime_dir.remove_tree(folder.path)


@on_two_disks
def test_each_directory_names_the_other_and_both_go_together(roomy, elsewhere):
    more = elsewhere / f"{os.path.basename(roomy.path)}.more"
    assert os.readlink(overflow_of(roomy.path)) == str(more)
    assert (more / "owner").read_text() == roomy.path
    assert stat.S_IMODE(more.stat().st_mode) == 0o700
    assert check_overflow(roomy.path)
    (more / "segments").mkdir()
    (more / "segments" / "7").write_text("x")
    roomy.remove()
    assert list(elsewhere.iterdir()) == []
    assert not os.path.exists(roomy.path)


@on_two_disks
def test_who_cannot_see_a_runtime_directory_leaves_its_overflow_alone(roomy, elsewhere):
    """As in another container, or under another `runtime_dir=`: the lock says that it lives."""
    away = f"/dev/shm/moved-{os.path.basename(roomy.path)}"
    os.rename(roomy.path, away)
    try:
        (more,) = elsewhere.iterdir()
        os.utime(more, (1, 1))  # however old
        assert str(more) not in sweep(elsewhere)
        assert more.is_dir()
        roomy.forget()
        assert str(more) in sweep(elsewhere)
        assert not more.exists()
    finally:
        os.rename(away, roomy.path)


@on_two_disks
def test_a_sweep_under_another_temporary_directory_follows_the_link(
    roomy, elsewhere, tmp_path, monkeypatch
):
    roomy.forget()
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(other))
    assert roomy.path in sweep()
    assert list(elsewhere.iterdir()) == []


@on_two_disks
def test_a_cut_off_removal_of_both_is_finished_by_the_next_sweep(roomy, elsewhere):
    (more,) = elsewhere.iterdir()
    roomy.forget()
    os.rename(more, f"{more}.gone")
    os.rename(roomy.path, f"{roomy.path}.gone")
    sweep()
    assert list(elsewhere.iterdir()) == []
    assert not os.path.exists(f"{roomy.path}.gone")


@on_two_disks
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_an_overflow_directory_of_another_user_is_refused(roomy, elsewhere):
    (more,) = elsewhere.iterdir()
    os.chown(more, 65534, 65534)
    with pytest.raises(PermissionError, match="found user 65534"):
        check_overflow(roomy.path)
    roomy.remove()
    assert more.is_dir()  # nor is it ours to remove
    os.chown(more, 0, 0)


@on_two_disks
def test_a_link_in_the_overflow_directory_s_place_is_refused_and_not_followed(roomy, elsewhere):
    (more,) = elsewhere.iterdir()
    os.rename(more, elsewhere / "real")
    more.symlink_to(elsewhere / "real")
    with pytest.raises(PermissionError, match="refusing to use it"):
        check_overflow(roomy.path)
    roomy.remove()
    assert (elsewhere / "real" / "owner").exists()


@on_two_disks
def test_an_overflow_directory_that_says_it_is_another_s_is_refused(roomy, elsewhere):
    (more,) = elsewhere.iterdir()
    (more / "owner").write_text("/dev/shm/procactors-1-other")
    with pytest.raises(PermissionError, match="belong to /dev/shm/procactors-1-other"):
        check_overflow(roomy.path)


@on_two_disks
def test_a_link_that_leads_elsewhere_takes_nothing_along(roomy, elsewhere, tmp_path):
    """Only a directory of the same name goes with a runtime directory."""
    precious = tmp_path / "precious"
    precious.mkdir(0o700)
    (more,) = elsewhere.iterdir()
    os.unlink(overflow_of(roomy.path))
    os.symlink(precious, overflow_of(roomy.path))
    roomy.remove()
    assert precious.is_dir()
    assert str(more) in sweep(elsewhere)


def test_on_one_disk_there_is_no_overflow(tmp_path, elsewhere):
    folder = RuntimeDir(tmp_path)
    assert not os.path.lexists(overflow_of(folder.path))
    assert not check_overflow(folder.path)
    assert list(elsewhere.iterdir()) == []
    folder.remove()


def test_the_temporary_directory_is_chosen_without_writing(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setenv("TEMP", str(tmp_path))
    before = tmp_path.stat().st_mtime_ns
    assert temporary_roots()[0] == str(tmp_path)
    assert tmp_path.stat().st_mtime_ns == before
    assert tempfile.tempdir is None
    monkeypatch.setattr(tempfile, "tempdir", os.fsencode(tmp_path))  # the application's choice
    assert temporary_roots() == [str(tmp_path)]


def test_a_relative_place_is_made_absolute(tmp_path, monkeypatch):
    """Actors may have another working directory."""
    monkeypatch.chdir(tmp_path)
    folder = RuntimeDir(".")
    assert os.path.dirname(folder.path) == str(tmp_path)
    folder.remove()


def test_without_any_place_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setattr(runtime_dir, "_roots", lambda _: [])
    with pytest.raises(FileNotFoundError, match="set runtime_dir= or TMPDIR"):
        RuntimeDir()
