"""The journal: what is written is read, whatever the disk and the size do in between."""

from __future__ import annotations

import contextlib
import errno
import os

import pytest

from procactors.outside.journal import JournalReader
from procactors.outside.systems import NoSystem
from procactors.wire import journal as j


@pytest.fixture
def timers():
    """What is to be done later, for the test to do."""
    return []


@pytest.fixture
def journal(tmp_path, timers):
    journal = j.Journal(str(tmp_path), lambda _seconds, action: timers.append(action), most=4096)
    yield journal
    journal.close()


@pytest.fixture
def reader(tmp_path, journal):
    reader = JournalReader(str(tmp_path))
    yield reader
    reader.close()


def made(journal, actor, name="worker"):
    journal.note(j.MADE, actor, name, "Worker", "actor", 0, 0, False, 0, "transient")


def state_of(turns):
    """The last line of each actor that holds, as a reader of the state takes them."""
    found = {}
    for turn in turns:
        if turn.kind == j.ANEW:
            found.clear()
        elif turn.kind == j.STOPPED:
            found.pop(turn.actor, None)
        else:
            found[turn.actor] = turn.kind
    return found


def test_each_turn_is_read_once_and_in_order(journal, reader):
    made(journal, 1, "ümläut \n'\"")
    first = reader.read()
    journal.note(j.UP, 1, 1, 0, 4711)
    journal.note(j.STOPPED, 1, "stopped", "stopped")
    assert [turn.kind for turn in first] == [j.ANEW, j.MADE]
    assert first[1].values[0] == "ümläut \n'\""
    assert [(turn.kind, turn.values) for turn in reader.read()] == [
        (j.UP, (1, 0, 4711)),
        (j.STOPPED, ("stopped", "stopped")),
    ]
    assert reader.read() == []


def test_it_does_not_grow_without_end_and_a_reader_misses_nothing(tmp_path, journal, reader):
    made(journal, 1, "stays")
    journal.note(j.UP, 1, 1, 0, 10)
    journal.note(j.CRASHED, 1, 1, "exited with code 3", "all of it", None)
    turns, largest = reader.read(), 0
    for number in range(2, 400):
        made(journal, number)
        journal.note(j.STOPPED, number, "stopped", "stopped")
        largest = max(largest, os.stat(tmp_path / "journal").st_size)
        turns += reader.read()
    news = {turn.number: turn for turn in turns if turn.kind != j.ANEW}
    assert sum(turn.kind == j.STOPPED for turn in news.values()) == 398
    assert largest < 3 * 65536
    assert state_of(turns) == {1: j.CRASHED}
    with contextlib.closing(JournalReader(str(tmp_path))) as late:
        now = late.read()
    assert state_of(now) == {1: j.CRASHED}
    begins = max(at for at, turn in enumerate(now) if turn.kind == j.ANEW)
    assert [turn.kind for turn in now[begins:] if turn.actor == 1] == [j.MADE, j.UP, j.CRASHED]


def test_a_line_that_was_cut_off_costs_itself_and_all_is_written_anew(
    tmp_path, journal, reader, timers, monkeypatch
):
    made(journal, 1)
    reader.read()
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:20]))
    journal.note(j.UP, 1, 1, 0, 10)
    monkeypatch.undo()
    assert len(timers) == 1
    made(journal, 2, "meanwhile")
    assert state_of(reader.read()) == {}
    timers.pop()()
    assert state_of(reader.read()) == {1: j.UP, 2: j.MADE}


def test_a_full_disk_fails_nobody_and_is_tried_again(journal, reader, timers, monkeypatch):
    reader.read()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    made(journal, 1)
    timers.pop()()
    assert len(timers) == 1
    monkeypatch.undo()
    timers.pop()()
    assert state_of(reader.read()) == {1: j.MADE}
    assert timers == []


def test_behind_its_end_a_reader_says_so(tmp_path, journal, reader):
    made(journal, 1)
    reader.read()
    os.unlink(tmp_path / "journal")
    with pytest.raises(NoSystem, match="has ended"):
        reader.read()


def test_another_format_is_named(tmp_path, journal):
    (tmp_path / "journal").write_text("(1, 0.0, 0.0, 'anew', 0, 99)\n")
    reader = JournalReader(str(tmp_path))
    with contextlib.closing(reader), pytest.raises(NoSystem, match="format 99"):
        reader.read()


def test_no_turn_is_in_the_future(journal, reader, monkeypatch):
    """Else what is still to be waited for would be longer than what was ordered."""
    monkeypatch.setattr(j, "monotonic", lambda: 1.0006)
    made(journal, 1)
    assert reader.read()[-1].clock <= 1.0006
