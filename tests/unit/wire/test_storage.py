"""Files that go where there is room: whole or not at all, and found again."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from pathlib import Path

import pytest

from procactors.errors import StorageFull
from procactors.wire import storage
from procactors.wire.runtime_dir import RuntimeDir
from procactors.wire.storage import (
    Descriptors,
    create,
    has_room,
    read_file,
    remove_file,
    write_file,
)

MIB = 1024 * 1024

pytestmark = pytest.mark.skipif(
    not os.path.ismount("/dev/shm"), reason="the overflow must be on another disk"
)


@pytest.fixture
def runtime_dir(tmp_path, monkeypatch):
    """A runtime directory on one disk, its overflow directory on another."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = RuntimeDir("/dev/shm")
    yield directory.path
    directory.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full(monkeypatch):
    """Names the roots that have no room."""
    roots: set[str] = set()
    monkeypatch.setattr(storage, "has_room", lambda root, _: root not in roots)
    return roots


@pytest.fixture(params=["unnamed files", "named files"])
def kind(request, monkeypatch):
    """With and without the kernel's files that have no name yet."""
    if request.param == "named files":
        real = os.open

        def refuse(path, flags, *args, **options):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "not here")
            return real(path, flags, *args, **options)

        monkeypatch.setattr(storage.os, "open", refuse)
    return request.param


def files(runtime_dir):
    """Return the names of what has been written into a runtime directory."""
    top = Path(runtime_dir)
    found = [*top.rglob("*"), *(top / "more").rglob("*")]
    return sorted(p.name for p in found if p.is_file() and p.name != "owner")


def test_a_file_is_beside_the_pipes_while_there_is_room(runtime_dir, kind):
    path = write_file(runtime_dir, "defs/one", b"some", memoryview(b""), memoryview(b"thing"))
    assert path == f"{runtime_dir}/defs/one"
    assert read_file(runtime_dir, "defs/one") == b"something"
    assert os.stat(path).st_mode & 0o777 == 0o600
    remove_file(runtime_dir, "defs/one")
    remove_file(runtime_dir, "defs/one")
    with pytest.raises(FileNotFoundError, match="defs/one"):
        read_file(runtime_dir, "defs/one")
    assert files(runtime_dir) == []


def test_without_room_it_is_in_the_overflow_directory(runtime_dir, kind, full, tmp_path):
    full.add(runtime_dir)
    path = write_file(runtime_dir, "actors/7/snapshot", b"state")
    assert os.path.realpath(path).startswith(str(tmp_path))
    assert read_file(runtime_dir, "actors/7/snapshot") == b"state"
    remove_file(runtime_dir, "actors/7/snapshot")
    assert files(runtime_dir) == []


def test_a_file_replaces_the_one_before_wherever_that_is(runtime_dir, kind, full):
    for number, root in enumerate([None, None, runtime_dir, runtime_dir, None]):
        full.clear()
        full.update({root} - {None})
        write_file(runtime_dir, "actors/state", str(number).encode())
        assert read_file(runtime_dir, "actors/state") == str(number).encode()
        assert files(runtime_dir) == ["state"]


def test_without_room_anywhere_the_error_names_both_places_and_what_it_was(
    runtime_dir, full, tmp_path
):
    full.update({runtime_dir, f"{runtime_dir}/more"})
    with pytest.raises(StorageFull) as caught:
        write_file(runtime_dir, "defs/one", b"data", what="the arguments of Model")
    for expected in ("the arguments of Model of 4 bytes", runtime_dir, str(tmp_path)):
        assert expected in str(caught.value)
    assert files(runtime_dir) == []


def test_a_disk_that_fills_up_meanwhile_is_left_as_it_was(runtime_dir, kind, monkeypatch):
    """Another process has taken the room between the look and the last byte."""
    real = os.write

    def write(fd, data):
        if len(data) > 10:
            return real(fd, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage.os, "write", write)
    with pytest.raises(StorageFull):
        write_file(runtime_dir, "defs/one", b"x" * 20)
    assert files(runtime_dir) == []


def test_a_writer_that_is_killed_leaves_no_part(runtime_dir):
    pid = os.fork()
    if pid == 0:
        real = os.write

        def write(fd, data):
            real(fd, data[:10])
            os.kill(os.getpid(), signal.SIGKILL)

        storage.os.write = write
        write_file(runtime_dir, "defs/one", b"x" * 20)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    assert files(runtime_dir) == []


def test_a_file_with_reserved_space_goes_to_the_overflow_directory_too(runtime_dir, full):
    full.add(runtime_dir)
    with Descriptors() as opened:
        path, place = create(opened, runtime_dir, "segments/1", "7", MIB)
        assert (path, place) == (f"{runtime_dir}/more/segments/1/7", 1)
        assert os.fstat(opened[-1]).st_blocks * 512 >= MIB


def test_nothing_comes_into_a_directory_that_is_gone(runtime_dir):
    away = runtime_dir + ".gone"
    os.rename(runtime_dir, away)
    with pytest.raises(FileNotFoundError):
        write_file(runtime_dir, "defs/one", b"x")
    assert not os.path.exists(runtime_dir)
    os.rename(away, runtime_dir)


def test_some_room_is_left_for_what_can_go_nowhere_else(monkeypatch):
    def disk(blocks, free):
        return os.statvfs_result((4096, 4096, blocks, free, free, 0, 0, 0, 0, 255))

    cases = [
        (disk(64 * MIB // 4096, 10 * MIB // 4096), 6 * MIB, True),
        (disk(64 * MIB // 4096, 10 * MIB // 4096), 6 * MIB + 1, False),
        (disk(8 * MIB // 4096, 8 * MIB // 4096), 7 * MIB, True),
        (disk(8 * MIB // 4096, 8 * MIB // 4096), 7 * MIB + 1, False),
        (disk(0, 0), 10**12, True),  # a tmpfs without a limit
    ]
    for found, size, expected in cases:
        monkeypatch.setattr(storage.os, "statvfs", lambda _, found=found: found)
        assert has_room("/dev/shm", size) is expected, (found, size)
