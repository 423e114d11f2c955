"""A checkpoint's file: the newest state, checked; what a power cut may leave; who may have it."""

from __future__ import annotations

import fcntl
import os
import struct

import pytest

from procactors.errors import CheckpointError, StorageFull
from procactors.wire import checkpoint_file
from procactors.wire.checkpoint_claim import Claim
from procactors.wire.checkpoint_file import runtime_file, user_file
from tests.support.copies import ended, forked

#: Bytes of states: within a page, over some, the largest in place, and beside; and back again.
SIZES = (0, 1, 100, 5_000, 100, 30_000, 65_000, 65_600, 300_000, 10, 200, 5_000_000, 7)


def state(number, size):
    return bytes([number]) * size


@pytest.fixture(params=["with-the-actor", "file"])
def open_file(request, store, tmp_path):
    """What opens the file, as each life does."""
    os.makedirs(os.path.join(store.path, "actors", "1"))
    opened = []

    def open_one():
        while opened:
            opened.pop().close()
        lasting = request.param == "file"
        opened.append(
            user_file(str(tmp_path / "state")) if lasting else runtime_file(store.path, 1)
        )
        return opened[-1]

    yield open_one
    while opened:
        opened.pop().close()


class Lasting:
    """A user's file, opened by one life after the other."""

    def __init__(self, path):
        self.path = path
        self._opened = []

    def __call__(self):
        self.close()
        self._opened.append(user_file(str(self.path)))
        return self._opened[-1]

    def close(self):
        while self._opened:
            self._opened.pop().close()


@pytest.fixture
def lasting(tmp_path):
    files = Lasting(tmp_path / "state")
    yield files
    files.close()


def test_there_is_no_state_before_the_first_one(open_file):
    for _ in range(2):
        assert open_file().read() is None


def test_the_last_state_of_any_size_is_read_by_each_later_life(open_file):
    file = open_file()
    assert file.read() is None
    for number, size in enumerate(SIZES):
        for again in range(4):
            file.write(state(number, size // 2), memoryview(state(again, size)))
            written = state(number, size // 2) + state(again, size)
        file = open_file()
        assert bytes(file.read()) == written, size


def test_a_life_goes_on_behind_the_state_that_it_has_found(open_file):
    for number in range(20):
        file = open_file()
        found = file.read()
        assert (None if found is None else bytes(found)) == (
            state(number - 1, 9) if number else None
        )
        file.write(state(number, 9))


def test_small_states_do_not_grow_the_file_and_leave_nothing_beside_it(lasting):
    file = lasting()
    file.write(b"first")
    size = lasting.path.stat().st_size
    inode = lasting.path.stat().st_ino
    for number in range(100):
        file.write(state(number, 1000))
    assert (lasting.path.stat().st_size, lasting.path.stat().st_ino) == (size, inode)
    assert os.listdir(lasting.path.parent) == ["state"]


def test_what_a_killed_writer_left_beside_it_is_removed(lasting):
    lasting().write(b"a state")
    beside = lasting.path.with_name("state.new")
    beside.write_bytes(b"half of")
    assert bytes(lasting().read()) == b"a state"
    assert not beside.exists()


def heads(path):
    """Return by slot (version, bytes) of a file that is written in place."""
    data = path.read_bytes()
    _, stride, slots = struct.unpack_from("=8sQQ", data)
    return [struct.unpack_from("=QQ", data, 4096 + slot * stride) for slot in range(slots)], stride


def tear_newest(path):
    """Flip a byte of the newest state."""
    found, stride = heads(path)
    newest = max(range(len(found)), key=lambda slot: found[slot][0])
    with path.open("r+b") as file:
        file.seek(4096 + newest * stride + 25)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))


def written(lasting, count=5):
    file = lasting()
    file.read()
    for number in range(count):
        file.write(state(number, 100))
    lasting.close()


def test_a_damaged_state_is_an_error_that_names_the_file_and_no_older_one_is_taken(lasting):
    written(lasting)
    tear_newest(lasting.path)
    file = lasting()
    with pytest.raises(CheckpointError, match=f"{lasting.path} is damaged.*move it away"):
        file.read()


def test_behind_a_power_cut_the_last_whole_state_counts_and_that_is_said(
    lasting, monkeypatch, caplog
):
    written(lasting)
    tear_newest(lasting.path)
    monkeypatch.setattr(
        checkpoint_file, "_boot_id", lambda: b"another start of the machine........"
    )
    file = lasting()
    assert bytes(file.read()) == state(3, 100)
    assert "torn, as by a power cut" in caplog.text
    file.write(state(9, 100))
    lasting.close()
    assert bytes(lasting().read()) == state(9, 100)
    lasting.close()
    tear_newest(lasting.path)  # since then it is no power cut any more
    with pytest.raises(CheckpointError):
        lasting().read()


def test_the_state_that_is_on_the_disk_for_sure_is_not_overwritten(lasting, monkeypatch):
    """However many states are written before the next time that one is forced there."""
    now = [0.0]
    monkeypatch.setattr(checkpoint_file, "monotonic", lambda: now[0])
    forced = []
    monkeypatch.setattr(
        os,
        "fdatasync",
        lambda _: forced.append(max(version for version, _ in heads(lasting.path)[0])),
    )
    file = lasting()
    file.read()
    file.write(b"0")  # written beside, and forced
    forced.append(1)
    for number in range(30):
        now[0] += 0.3
        file.write(state(number, 10))
        versions = [version for version, _ in heads(lasting.path)[0]]
        assert forced[-1] in versions
        assert max(versions) == number + 2
    assert len(forced) > 5


@pytest.mark.parametrize(
    "data", [b"", b"x", b"PACKEEP1", b"x" * 20_000], ids=["empty", "short", "cut", "foreign"]
)
def test_another_file_is_refused_and_left_alone(lasting, data):
    lasting.path.write_bytes(data)
    file = lasting()
    with pytest.raises(CheckpointError, match="expected a checkpoint in"):
        file.read()
    lasting.close()
    assert lasting.path.read_bytes() == data


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused(lasting, mode):
    lasting().write(b"state")
    lasting.close()
    lasting.path.chmod(mode)
    with pytest.raises(CheckpointError, match="chmod 600"):
        lasting()


def test_a_file_waits_for_the_process_that_is_still_being_killed(lasting, monkeypatch):
    """And says so if that takes too long."""
    monkeypatch.setattr(checkpoint_file, "_CLAIM_S", 0.05)
    held = lasting()
    held.write(b"state")
    with pytest.raises(CheckpointError, match="locked by another process"):
        user_file(str(lasting.path))
    monkeypatch.setattr(checkpoint_file, "_CLAIM_S", 30.0)
    read_end, write_end = os.pipe()

    def live():
        file = user_file(str(lasting.path))
        os.write(write_end, b"!")
        file.write(b"by the copy")
        file.close()

    lasting.close()
    fd = os.open(lasting.path, os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_EX)
    pid = forked(live)
    os.set_blocking(read_end, False)
    with pytest.raises(BlockingIOError):
        os.read(read_end, 1)
    fcntl.flock(fd, fcntl.LOCK_UN)
    assert ended(pid) == 0
    assert bytes(lasting().read()) == b"by the copy"
    for one in (fd, read_end, write_end):
        os.close(one)


def test_a_file_that_was_replaced_while_it_was_waited_for_is_opened_anew(lasting, monkeypatch):
    lasting().write(b"old")
    lasting.close()
    lock = checkpoint_file._lock

    def lock_late(fd, path):
        monkeypatch.setattr(checkpoint_file, "_lock", lock)
        last = user_file(path)
        last.read()
        last.write(b"new" * 100_000)
        last.close()
        lock(fd, path)

    monkeypatch.setattr(checkpoint_file, "_lock", lock_late)
    assert bytes(lasting().read()) == b"new" * 100_000


def test_a_full_disk_leaves_the_state_that_was_there(open_file, monkeypatch):
    file = open_file()
    file.read()
    file.write(b"whole")

    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr(os, "write", full)
    with pytest.raises((OSError, StorageFull)):
        file.write(bytes(1_000_000))
    monkeypatch.undo()
    assert bytes(open_file().read()) == b"whole"
    assert "state.new" not in os.listdir(os.path.dirname(file.path))


def test_a_claim_keeps_a_file_for_one_actor_and_says_whose_it_is(tmp_path):
    path = str(tmp_path / "state")
    claim = Claim(path, "counter")
    with pytest.raises(CheckpointError, match=f"actor counter of process {os.getpid()}, which is"):
        Claim(path, "other")
    claim.release()
    claim.release()
    assert os.listdir(tmp_path) == []
    other = Claim(path, "other")
    other.release()


def test_a_claim_that_is_removed_under_another_is_taken_anew(tmp_path, monkeypatch):
    """Its last holder unlinks the file between the other's opening and its lock."""
    path = str(tmp_path / "state")
    first = Claim(path, "first")
    flock, calls = fcntl.flock, []

    def flock_late(fd, how):
        if not calls:
            calls.append(1)
            first.release()
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    second = Claim(path, "second")
    assert os.path.exists(f"{path}.lock")
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="second"):
        Claim(path, "third")
    second.release()


def test_a_claim_of_a_dead_process_is_free(tmp_path):
    path = str(tmp_path / "state")
    assert ended(forked(lambda: Claim(path, "dead"))) == 0
    assert os.path.exists(f"{path}.lock")
    Claim(path, "alive").release()
    assert os.listdir(tmp_path) == []
