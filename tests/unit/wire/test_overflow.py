"""What is written beside the pipes goes to the overflow directory when there is no room."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest

from procactors.runner.recycling import take_snapshot, write_snapshot
from procactors.wire import storage
from procactors.wire.endpoint import Endpoint, actor_path
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded
from procactors.wire.pickling.definitions import publish
from procactors.wire.record import Kind
from procactors.wire.replies.port import ReplyPort, remove_ports_of
from procactors.wire.replies.sender import ReplySender
from procactors.wire.result_table import ResultTables, open_result_table, remove_result_tables_of
from procactors.wire.runtime_dir import PREFIX, RuntimeDir, overflow_of
from procactors.wire.storage import move_file, read_file, remove_folder, write_file

pytestmark = pytest.mark.skipif(
    not os.path.ismount("/dev/shm"), reason="the overflow must be on another disk"
)


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The use of a runtime directory that is full; there is room in its overflow directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    directory = RuntimeDir("/dev/shm")
    monkeypatch.setattr(storage, "has_room", lambda root, _: root != directory.path)
    store = PayloadStore(directory.path)
    yield store
    store.close()
    directory.remove()
    assert list(tmp_path.iterdir()) == []


def overflowed(store):
    """Return the names of what is in the overflow directory."""
    return [p.name for p in Path(overflow_of(store.path)).resolve().rglob("*") if p.is_file()]


def test_answers_that_do_not_fit_into_the_pipe_are_spilled_there(store):
    port, sender = ReplyPort(store), ReplySender(store)
    count = 300
    for call in range(count):
        assert sender.answer(port.number, call, Kind.RESULT, bytes(1000), patient=False)
    assert len(overflowed(store)) > count / 2
    seen = []
    while len(seen) < count:
        seen += [number for number, _ in port.answers(port.read())]
    assert sorted(seen) == list(range(count))
    assert overflowed(store) == ["owner"]
    sender.close()
    port.retire()


def test_the_spilled_answers_of_a_dead_process_are_removed_there_too(store):
    port, sender = ReplyPort(store), ReplySender(store)
    for call in range(100):
        sender.answer(port.number, call, Kind.RESULT, bytes(1000), patient=False)
    assert len(overflowed(store)) > 1
    remove_ports_of(store.path, store.process)
    assert overflowed(store) == ["owner"]
    sender.close()
    port.retire()


def test_a_pool_s_sheet_is_made_and_found_there(store):
    room = ResultTables(store)
    result_table = room.lease()
    assert len(overflowed(store)) == 2
    there = open_result_table(store, store.process, result_table.number)
    result_table.prepare(7, 3)
    there.marks[0] = 1
    assert (there.words[0], result_table.done(3)) == (7, 1)
    there.close()
    room.give_back(result_table)
    room.close()
    assert overflowed(store) == ["owner"]
    ResultTables(store).lease().close()
    remove_result_tables_of(store.path, store.process)
    assert overflowed(store) == ["owner"]


def test_a_snapshot_goes_there_and_is_taken_once(store):
    write_snapshot(store.path, 7, Encoded(b"state", ()))
    assert sorted(overflowed(store)) == ["owner", "snapshot"]
    assert b"state" in take_snapshot(store.path, 7)
    assert take_snapshot(store.path, 7) is None


def test_a_blueprint_stays_where_it_is_under_its_actor_s_name(store):
    path = write_file(store.path, "actors/new-1", b"class")
    kept = move_file(store.path, path, "actors/7/blueprint", keep=True)
    moved = move_file(store.path, path, "actors/8/blueprint")
    assert kept == f"{overflow_of(store.path)}/actors/7/blueprint"
    assert not os.path.exists(path)
    assert (Path(kept).read_bytes(), Path(moved).read_bytes()) == (b"class", b"class")
    assert read_file(store.path, "actors/7/blueprint") == b"class"
    remove_folder(store.path, "actors/7")
    remove_folder(store.path, "actors/8")
    assert overflowed(store) == ["owner"]


def test_a_mailbox_that_could_not_be_made_leaves_nothing(store, monkeypatch):
    """It has to be beside the pipes."""

    def full(fd, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match="No space left"):
        MailboxFiles(os.path.join(store.path, "actors", "7"))
    assert os.listdir(os.path.join(store.path, "actors")) == []


# -- whose it is -----------------------------------------------------------------------------------

#: What overflows: each of these makes a file there.
WRITERS = {
    "a payload": lambda store: store.record(Kind.CALL, b"", store.encode(bytes(10_000)), 1),
    "a pool's arguments": lambda store: store.store(store.encode(bytes(10)), 1),
    "a share": lambda store: store.shares.write(store.encode(bytes(9)), "bytes"),
    "a result_table": lambda store: ResultTables(store).lease(),
    "a snapshot": lambda store: write_snapshot(store.path, 7, Encoded(b"state", ())),
    "a blueprint": lambda store: write_file(store.path, "actors/new-1", b"class"),
    "a definition": lambda store: publish(store.path, "version", b"class"),
}


def open_to_others(more):
    more.chmod(0o755)


def give_away(more):
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    os.chown(more, 65534, 65534)


def put_a_link(more):
    more.rename(more.with_name("elsewhere"))
    more.symlink_to(more.with_name("elsewhere"))


def claim(more):
    (more / "owner").write_text("/dev/shm/procactors-1-another")


@pytest.mark.parametrize("how", [open_to_others, give_away, put_a_link, claim])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_an_overflow_directory_that_is_somebody_elses_is_not_written_to(
    store, tmp_path, write, how
):
    more = Path(os.readlink(overflow_of(store.path)))
    how(more)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(PermissionError, match=str(more)):
        write(store)
    assert sorted(path for path in tmp_path.rglob("*")) == before
    # Back, so that it can be removed.
    if more.is_symlink():
        more.unlink()
        more.with_name("elsewhere").rename(more)
    os.chown(more, os.geteuid(), os.getegid())
    more.chmod(0o700)
    (more / "owner").write_text(store.path)


@pytest.mark.parametrize("way", ["tell", "ask", "submit"])
def test_a_message_that_would_go_to_somebody_elses_directory_is_an_error_of_its_sender(
    store, tmp_path, way
):
    files = MailboxFiles(actor_path(store.path, 7))
    endpoint = Endpoint(store.path)
    more = Path(os.readlink(overflow_of(store.path)))
    open_to_others(more)
    pending = (None,) if way == "submit" else ()
    encoded = endpoint.store.encode(bytes(10_000))
    with pytest.raises(PermissionError, match="refusing to use it"):
        getattr(endpoint, way)(7, "the actor", b"", encoded, *pending)
    assert os.read(files.read_end, 1) == b"", "something was sent"
    assert [path.name for path in more.iterdir()] == ["owner"]
    more.chmod(0o700)
    endpoint.close()
    files.close()


def test_a_directory_that_stands_in_its_place_already_is_not_taken(tmp_path, monkeypatch):
    """Another user may guess the name; a system starts without an overflow directory then."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(os, "urandom", bytes)
    more = tmp_path / f"{PREFIX}{os.getpid()}-{bytes(6).hex()}.more"
    more.mkdir(0o755)
    directory = RuntimeDir("/dev/shm")
    assert not os.path.lexists(overflow_of(directory.path))
    assert list(more.iterdir()) == []
    directory.remove()
    assert more.is_dir()
