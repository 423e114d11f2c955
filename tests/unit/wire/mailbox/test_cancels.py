"""The cancel log: the first entry about a call counts, for everybody, and it stays small."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path

import pytest

from procactors.wire.mailbox.black_box import CANCELS
from procactors.wire.mailbox.cancels import (
    AGAIN,
    BEGUN,
    DROP,
    MARK,
    PASSED,
    SKIPPED,
    TAKEN,
    TOLD,
    CancelLog,
    CancelReader,
    first_said,
)
from tests.support.copies import ended, forked

PORT = 7 << 32


class World:
    """One actor's log, its words, and callers."""

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)
        self.path = folder / "cancels"
        self.words = memoryview(bytearray(64 * 8)).cast("Q")
        self.log = CancelLog(self.folder)
        self.gone: set[int] = set()
        self.opened: list[CancelReader] = []

    def reader(self) -> CancelReader:
        self.opened.append(CancelReader(self.folder, self.words, self.gone.__contains__))
        return self.opened[-1]

    def say(self, call: int, *whats: int, port: int = PORT) -> int:
        for what in whats:
            at = self.log.append(port, call, what)
            if what in (MARK, DROP):
                self.words[CANCELS] = at
        return at

    def close(self) -> None:
        self.log.close()
        for reader in self.opened:
            reader.close()


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


def test_nothing_is_to_be_looked_at_where_nothing_is_marked(world):
    reader = world.reader()
    assert reader.calm == world.words[CANCELS] == 0
    assert not reader.skips(PORT, 1, is_again=False)


@pytest.mark.parametrize("said", [(MARK,), (DROP,)])
def test_what_is_passed_on_is_no_matter_here_any_more_and_may_come_back(world, said):
    reader = world.reader()
    world.say(5, *said, PASSED)
    assert not reader.skips(PORT, 5, is_again=False)
    assert reader.calm == world.words[CANCELS]
    world.say(5, MARK, TAKEN)
    assert reader.skips(PORT, 5, is_again=False)


def test_who_is_told_that_a_call_has_begun_elsewhere_begins_it(world):
    reader = world.reader()
    world.say(5, TOLD)
    world.words[CANCELS] += 32
    assert not reader.skips(PORT, 5, is_again=False)
    assert reader.is_marked(PORT, 5)
    assert not reader.is_marked(PORT, 6)
    assert reader.calm == world.words[CANCELS]


def test_what_is_put_aside_does_not_hide_what_a_life_before_has_skipped(world):
    world.say(5, MARK, TAKEN)
    assert world.reader().skips(PORT, 5, is_again=False)
    later = world.reader()  # the life before was killed before its step over it
    assert not later.skips(PORT, 4, is_again=False, is_held=True)
    assert later.skips(PORT, 5, is_again=True)


@pytest.mark.parametrize("said", [(MARK,), (DROP,), (MARK, TAKEN)])
def test_what_is_marked_is_skipped_once_and_then_nothing_is_looked_at(world, said):
    reader = world.reader()
    world.say(5, *said)
    assert reader.calm != world.words[CANCELS]
    assert not reader.skips(PORT, 4, is_again=False)
    assert not reader.skips(PORT + 1, 5, is_again=False)
    assert reader.calm != world.words[CANCELS], "the fifth is still to come"
    assert reader.skips(PORT, 5, is_again=False)
    assert reader.calm == world.words[CANCELS]


def test_whoever_is_first_decides(world):
    reader = world.reader()
    begun = world.say(1, MARK)
    end = world.say(1, BEGUN)
    assert not reader.skips(PORT, 1, is_again=False)
    assert first_said(world.log.read(begun, end), PORT, 1) == BEGUN
    skipped = world.say(2, MARK)
    assert reader.skips(PORT, 2, is_again=False)
    end = world.say(2, BEGUN)
    assert first_said(world.log.read(skipped, end), PORT, 2) == SKIPPED


def test_a_call_that_is_in_hand_once_more_is_begun_unless_it_was_taken_back(world):
    reader = world.reader()
    again = world.say(1, MARK)
    assert not reader.skips(PORT, 1, is_again=True)
    assert first_said(world.log.read(again, world.say(1, TAKEN)), PORT, 1) == AGAIN
    world.say(2, MARK, TAKEN)
    assert reader.skips(PORT, 2, is_again=True)


def test_a_life_that_is_killed_behind_its_entry_skips_in_the_next_one(world):
    world.say(1, MARK)
    assert world.reader().skips(PORT, 1, is_again=False)
    following = world.reader()
    assert following.calm == -1
    assert following.skips(PORT, 1, is_again=True)
    assert not following.skips(PORT, 2, is_again=False)
    assert following.calm == world.words[CANCELS]


def test_a_next_life_knows_what_is_marked(world):
    world.say(1, MARK, TAKEN)
    world.say(2, MARK)
    world.say(3, MARK, BEGUN)
    world.reader()
    following = world.reader()
    assert [following.skips(PORT, n, is_again=False) for n in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_handler_sees_that_it_is_cancelled(world):
    reader = world.reader()
    assert not reader.is_marked(PORT, 1)
    world.say(1, MARK)
    assert reader.is_marked(PORT, 1)
    world.say(1, BEGUN)
    world.words[CANCELS] += 1
    assert reader.is_marked(PORT, 1)
    assert not reader.is_marked(PORT, 2)


def test_a_mark_that_comes_late_is_nothing_to_look_for(world):
    reader = world.reader()
    world.say(1, DROP)
    assert reader.skips(PORT, 1, is_again=False)
    world.say(1, MARK, TAKEN)
    reader.read()
    assert reader.calm == world.words[CANCELS]


def test_without_room_what_was_perhaps_promised_is_kept(world, monkeypatch):
    reader = world.reader()
    world.say(1, MARK)

    def full(*_: object) -> int:
        raise OSError(28, "no space left")

    monkeypatch.setattr(CancelLog, "append", full)
    assert reader.skips(PORT, 1, is_again=False)


@pytest.mark.parametrize("count", [10_000, pytest.param(1_000_000, marks=pytest.mark.stress)])
def test_many_cancellations_leave_a_small_file(world, count):
    reader = world.reader()
    for call in range(count):
        world.say(call, MARK, TAKEN)
        assert reader.skips(PORT, call, is_again=False)
    assert os.stat(world.path).st_blocks * 512 <= 4 * 65_536
    assert len(reader._open) == len(reader._needed) == len(reader._asked) == 0


def test_marks_of_callers_that_are_gone_do_not_keep_the_file_from_being_freed(world):
    reader = world.reader()
    world.say(1, MARK, port=PORT + 9)
    world.gone.add(PORT + 9)
    for call in range(30_000):
        world.say(call, MARK, TAKEN)
        assert reader.skips(PORT, call, is_again=False)
    assert os.stat(world.path).st_blocks * 512 <= (1 << 20) + 4 * 65_536
    assert reader._needed == {}


def test_a_mark_of_a_living_caller_stays_however_much_comes_behind_it(world):
    reader = world.reader()
    world.say(7_000_000, MARK, TAKEN)
    for call in range(12_000):
        world.say(call, MARK, TAKEN)
        assert reader.skips(PORT, call, is_again=False)
    assert world.reader().skips(PORT, 7_000_000, is_again=False)


def test_entries_wait_until_their_caller_has_read_them(world):
    reader = world.reader()
    mark = world.say(1, MARK)
    assert reader.skips(PORT, 1, is_again=False)
    for call in range(2, 5000):
        world.say(call, MARK, TAKEN)
        assert reader.skips(PORT, call, is_again=False)
    end = world.say(1, BEGUN)
    assert first_said(world.log.read(mark, end), PORT, 1) == SKIPPED


@pytest.mark.stress
def test_thousands_of_claims_by_many_have_one_winner_each(world, seed):
    chance = random.Random(seed)
    reader = world.reader()
    said: dict[int, int] = {}

    def claim(call: int) -> None:
        log = CancelLog(world.folder)
        try:
            mark = log.append(PORT, call, MARK)
            world.words[CANCELS] = mark
            end = log.append(PORT, call, chance.choice((TAKEN, BEGUN)))
            said[call] = first_said(log.read(mark, end), PORT, call)
        finally:
            log.close()

    for start in range(0, 8000, 8):
        calls = range(start, start + 8)
        threads = [threading.Thread(target=claim, args=(call,)) for call in calls]
        for thread in threads:
            thread.start()
        skipped = {call: reader.skips(PORT, call, is_again=False) for call in calls}
        for thread in threads:
            thread.join()
        for call in calls:
            if skipped[call]:
                assert said[call] in (TAKEN, SKIPPED)
            else:  # it was begun before the mark, which the caller finds by a look, or by the log
                assert said[call] in (TAKEN, BEGUN)


def test_a_caller_killed_at_any_moment_leaves_whole_entries(world):
    def mark_for_ever() -> None:
        log = CancelLog(world.folder)
        call = os.getpid() << 32
        while True:
            call += 1
            log.append(PORT, call, MARK)

    for _ in range(10):
        pid = forked(mark_for_ever)
        size = os.stat(world.path).st_size
        while os.stat(world.path).st_size < size + 320:
            pass
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL
    assert os.stat(world.path).st_size % 32 == 0
    reader = world.reader()
    assert len(reader._open) == os.stat(world.path).st_size // 32
