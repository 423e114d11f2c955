"""What is written beside the pipes goes to the overflow directory when there is no room."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from procactors.process.recycling import take_snapshot, write_snapshot
from procactors.wire import storage
from procactors.wire.codec import Encoded
from procactors.wire.home import Home
from procactors.wire.mailbox import MailboxFiles
from procactors.wire.record import Kind
from procactors.wire.reply import ReplyPort, remove_ports_of
from procactors.wire.replysender import ReplySender
from procactors.wire.runtime_dir import RuntimeDir, overflow_of
from procactors.wire.sheet import SheetRoom, open_sheet, remove_sheets_of
from procactors.wire.storage import move_file, read_file, remove_folder, write_file

pytestmark = pytest.mark.skipif(
    not os.path.ismount("/dev/shm"), reason="the overflow must be on another disk"
)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The use of a runtime directory that is full; there is room in its overflow directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = RuntimeDir("/dev/shm")
    monkeypatch.setattr(storage, "has_room", lambda root, _: root != directory.path)
    home = Home(directory.path)
    yield home
    home.close()
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def overflowed(home):
    """Return the names of what is in the overflow directory."""
    return [p.name for p in Path(overflow_of(home.path)).resolve().rglob("*") if p.is_file()]


def test_answers_that_do_not_fit_into_the_pipe_are_spilled_there(home):
    port, sender = ReplyPort(home), ReplySender(home)
    count = 300
    for call in range(count):
        assert sender.answer(port.number, call, Kind.RESULT, bytes(1000), patient=False)
    assert len(overflowed(home)) > count / 2
    seen = []
    while len(seen) < count:
        seen += [number for number, _ in port.answers(port.read())]
    assert sorted(seen) == list(range(count))
    assert overflowed(home) == ["owner"]
    sender.close()
    port.retire()


def test_the_spilled_answers_of_a_dead_process_are_removed_there_too(home):
    port, sender = ReplyPort(home), ReplySender(home)
    for call in range(100):
        sender.answer(port.number, call, Kind.RESULT, bytes(1000), patient=False)
    assert len(overflowed(home)) > 1
    remove_ports_of(home.path, home.process)
    assert overflowed(home) == ["owner"]
    sender.close()
    port.retire()


def test_a_pool_s_sheet_is_made_and_found_there(home):
    room = SheetRoom(home)
    sheet = room.lease()
    assert len(overflowed(home)) == 2
    there = open_sheet(home.path, home.process, sheet.number)
    sheet.prepare(7, 3)
    there.marks[0] = 1
    assert (there.words[0], sheet.done(3)) == (7, 1)
    there.close()
    room.give_back(sheet)
    room.close()
    assert overflowed(home) == ["owner"]
    SheetRoom(home).lease().close()
    remove_sheets_of(home.path, home.process)
    assert overflowed(home) == ["owner"]


def test_a_snapshot_goes_there_and_is_taken_once(home):
    write_snapshot(home.path, 7, Encoded(b"state", ()))
    assert sorted(overflowed(home)) == ["owner", "snapshot"]
    assert b"state" in take_snapshot(home.path, 7)
    assert take_snapshot(home.path, 7) is None


def test_a_blueprint_stays_where_it_is_under_its_actor_s_name(home):
    path = write_file(home.path, "actors/new-1", b"class")
    kept = move_file(home.path, path, "actors/7/blueprint", keep=True)
    moved = move_file(home.path, path, "actors/8/blueprint")
    assert kept == f"{overflow_of(home.path)}/actors/7/blueprint"
    assert not os.path.exists(path)
    assert (Path(kept).read_bytes(), Path(moved).read_bytes()) == (b"class", b"class")
    assert read_file(home.path, "actors/7/blueprint") == b"class"
    remove_folder(home.path, "actors/7")
    remove_folder(home.path, "actors/8")
    assert overflowed(home) == ["owner"]


def test_a_mailbox_that_could_not_be_made_leaves_nothing(home, monkeypatch):
    """It has to be beside the pipes."""

    def full(fd, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        MailboxFiles(os.path.join(home.path, "actors", "7"))
    assert os.listdir(os.path.join(home.path, "actors")) == []
