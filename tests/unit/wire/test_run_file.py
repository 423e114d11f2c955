"""The file of a run keeps whole what was appended, by however many, up to a cut."""

from __future__ import annotations

import multiprocessing
import os

import pytest

from procactors.errors import InvalidSpec
from procactors.wire.run_file import append, create, leave, read_run


@pytest.fixture
def path(tmp_path):
    path = str(tmp_path / "run")
    create(path)
    yield path
    leave(path)


def test_a_file_that_is_cut_anywhere_has_what_stands_before(path):
    entries = [("begin", number, b"x" * number) for number in range(5)]
    ends = []
    for entry in entries:
        append(path, entry)
        ends.append(os.path.getsize(path))
    for size in range(os.path.getsize(path), ends[0] - 1, -1):
        os.truncate(path, size)
        whole = sum(end <= size for end in ends)
        assert list(read_run(path)) == entries[:whole]


def test_a_damaged_file_and_another_one_are_refused(path, tmp_path):
    append(path, ("begin", 1))
    append(path, ("begin", 2))
    at = os.path.getsize(path) - 20
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(InvalidSpec, match="damaged at byte"):
        list(read_run(path))
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(InvalidSpec, match=r"expected .* to begin with"):
        list(read_run(str(other)))


def write_many(path: str, writer: int) -> None:
    for number in range(300):
        append(path, (writer, number, bytes(number * 20)))


def test_entries_of_several_processes_stay_whole_and_in_each_ones_order(path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(path, writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    entries = list(read_run(path))
    for writer in range(3):
        own = [(number, len(data)) for one, number, data in entries if one == writer]
        assert own == [(number, number * 20) for number in range(300)]
