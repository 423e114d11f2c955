"""The file of dead letters, and the letters in memory: no process, no system."""

from __future__ import annotations

import dataclasses
import logging
import os
import sqlite3
import stat
import threading

import pytest

from procactors.deadletters import file as letterfile
from procactors.deadletters.file import LetterFile, NoSuchLetter, NotLetters, Run
from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import ActorStopped, DecodeError, DeliveryError
from procactors.observe import subscription
from procactors.wire.pickling.codec import encode
from tests.support.waiting import SHORT_S, eventually

LETTER = DeadLetter(
    actor="w",
    handler="Worker.work",
    reason="has stopped",
    deliveries=0,
    sender=0,
    head=encode("", ((1,), {})).head,
    is_call=True,
    method=b"module:Worker.work",
    at="2026-01-02T03:04:05.678+00:00",
    class_name="Worker",
    actor_id=7,
    serial=1,
)


def letter(serial, **facts):
    return dataclasses.replace(LETTER, serial=serial, **facts)


def run_of(tmp_path, name="run"):
    """A run whose system lives."""
    runtime_dir = tmp_path / f"home-{name}"
    runtime_dir.mkdir(exist_ok=True)
    return Run(name, str(runtime_dir), "system", ("/a", "/b"), "/a/script.py")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "letters")


@pytest.fixture
def file(path, tmp_path):
    with LetterFile(path, create=True) as file:
        file.begin(run_of(tmp_path))
        yield file


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_the_file_is_its_owners_alone_whatever_the_umask(path, tmp_path, umask):
    before = os.umask(umask)
    try:
        with LetterFile(path, create=True) as file:
            file.begin(run_of(tmp_path))
            file.add("run", [LETTER])
            modes = {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("letters*")}
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert [one.name for one in tmp_path.glob("letters*")] == ["letters"]


def test_a_file_that_others_may_read_is_refused(path):
    LetterFile(path, create=True).close()
    os.chmod(path, 0o640)
    with pytest.raises(PermissionError, match=r"mode 0600, found user \d+ with mode 0640"):
        LetterFile(path)


def test_a_file_that_is_not_there_is_made_only_when_asked(path, tmp_path):
    with pytest.raises(FileNotFoundError):
        LetterFile(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["empty", "text", "database", "folder"])
def test_something_else_is_refused_and_left_as_it_is(path, tmp_path, kind):
    if kind == "folder":
        os.mkdir(path)
    elif kind == "database":
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE letters (id)")
        db.close()
    else:
        (tmp_path / "letters").write_text("" if kind == "empty" else "dear sir\n" * 500)
    os.chmod(path, 0o700 if kind == "folder" else 0o600)
    before = None if kind == "folder" else (tmp_path / "letters").read_bytes()
    with pytest.raises(NotLetters, match="is no file"):
        LetterFile(path, create=True)
    assert before is None or (tmp_path / "letters").read_bytes() == before


def test_a_letter_comes_back_as_it_was(file):
    buffers = (b"abc", b"", bytes(range(256)) * 100)
    written = [
        letter(1),
        letter(2, method=b"", is_call=False, handler="receive", buffers=buffers, asked=True),
        letter(3, killed=True, deliveries=3, sender=4, reason="one\ntwo"),
    ]
    file.add("run", written)
    assert [file.letter(one.id).letter for one in file.letters()] == written
    assert [one.letter.head for one in file.letters()] == [b""] * 3
    assert file.letter(1).letter.message == ((1,), {})
    assert file.runs()[0].path == ("/a", "/b")


def test_half_a_character_in_a_name_or_reason_does_not_keep_a_letter_out(file):
    file.add("run", [letter(1, actor="w\udc80", reason="no file \udcff")])
    assert file.letter(1).letter.actor == "w\\udc80"
    assert file.letter(1).letter.reason == "no file \\udcff"


def test_a_letter_too_large_for_the_database_is_kept_without_its_content(file, monkeypatch):
    monkeypatch.setattr(letterfile, "_BODY_LIMIT", 1000)
    file.add("run", [letter(1, buffers=(bytes(2000),)), letter(2)])
    assert [one.size > 0 for one in file.letters()] == [False, True]
    with pytest.raises(DecodeError):
        _ = file.letter(1).letter.message
    with pytest.raises(NoSuchLetter, match="content of letter 1 was lost"):
        file.mark([1])


def test_letters_of_one_actor_are_listed_alone(file):
    file.add("run", [letter(1), letter(2, actor="v"), letter(3)])
    assert [one.id for one in file.letters("w")] == [1, 3]
    assert [one.id for one in file.letters("nobody")] == []


def test_writers_at_once_lose_nothing(path, tmp_path):
    """Four connections, each in a thread of its own, as four systems would have."""
    LetterFile(path, create=True).close()

    def write(name):
        with LetterFile(path) as file:
            file.begin(run_of(tmp_path, name))
            for serial in range(50):
                file.add(name, [letter(serial)])

    threads = [threading.Thread(target=write, args=(f"run-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SHORT_S)
    with LetterFile(path) as file:
        found = sorted((one.run, one.letter.serial) for one in file.letters())
    assert found == [(f"run-{n}", serial) for n in range(4) for serial in range(50)]


def test_systems_that_make_the_file_at_once_share_it(path, tmp_path):
    start = threading.Barrier(8)

    def make(name):
        start.wait()
        with LetterFile(path, create=True) as file:
            file.begin(run_of(tmp_path, name))
            file.add(name, [letter(1)])

    threads = [threading.Thread(target=make, args=(f"run-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SHORT_S)
    with LetterFile(path) as file:
        assert len(file.letters()) == 8
    assert [one.name for one in tmp_path.glob("letters*")] == ["letters"]


def test_a_mark_on_a_letter_that_is_not_there_marks_none(file):
    file.add("run", [letter(1)])
    with pytest.raises(NoSuchLetter, match="has no letter 9"):
        file.mark([1, 9])
    assert file.marked() == frozenset()


def test_all_leaves_out_asks_and_what_has_no_content(file):
    letters = [letter(1), letter(2, asked=True), letter(3, head=b""), letter(4, actor="v")]
    file.add("run", letters)
    assert file.mark(None, "w") == 1
    assert file.mark(None) == 1
    assert [one.state for one in file.letters()] == ["marked", "kept", "kept", "marked"]
    assert file.mark([2]) == 1  # an ask, but by name


def test_a_marked_letter_is_taken_by_one_system_alone(path, file):
    file.add("run", [letter(serial) for serial in range(10)])
    file.mark(None)
    taken = []

    def take():
        with LetterFile(path) as mine:
            while some := mine.take("w", 1):
                taken.extend(one.id for one in some)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SHORT_S)
    assert sorted(taken) == list(range(1, 11))
    assert {one.state for one in file.letters()} == {"taken"}


def test_what_was_sent_goes_and_what_was_not_stays_marked(file):
    file.add("run", [letter(serial) for serial in range(4)])
    file.mark([1, 2, 3])
    assert [one.id for one in file.take("w", 3)] == [1, 2, 3]
    file.handed_over([1], [2, 3])
    assert [(one.id, one.state) for one in file.letters()] == [
        (2, "marked"),
        (3, "marked"),
        (4, "kept"),
    ]
    assert file.marked() == {"w"}


def test_a_run_goes_with_its_last_letter(file, tmp_path):
    file.add("run", [letter(1)])
    file.add_blueprint("run", 7, b"blueprint")
    file.add_definitions("run", {"token": b"definition"})
    (tmp_path / "home-run").rmdir()
    file.begin(run_of(tmp_path, "second"))
    assert file.blueprint("run", 7) == b"blueprint"
    file.forget("run", [1])
    file.begin(run_of(tmp_path, "third"))
    assert [run.run for run in file.runs()] == ["second", "third"]
    assert file.blueprint("run", 7) is None
    assert file.definitions("run") == {}


def test_a_run_without_letters_stays_while_its_system_lives(file, tmp_path):
    file.begin(run_of(tmp_path, "second"))
    assert [run.run for run in file.runs()] == ["run", "second"]
    file.end("run")
    assert [run.run for run in file.runs()] == ["second"]


def test_actors_that_were_made_alike_share_a_blueprint(file, path):
    for actor in range(5):
        file.add_blueprint("run", actor, b"same" * 100)
    file.add_blueprint("run", 9, b"other")
    assert file.blueprint("run", 4) == b"same" * 100
    assert file.blueprint("run", 9) == b"other"
    db = sqlite3.connect(path)
    assert db.execute("SELECT count(*) FROM blueprints").fetchone() == (2,)
    db.close()


# -- in memory ----------------------------------------------------------------------------------


class Wire:
    """Stands for an endpoint: notes what is told, and may refuse."""

    def __init__(self):
        self.told = []
        self.error = None
        self.turn = threading.Event()
        self.turn.set()

    def check_process(self):
        pass

    def tell(self, actor, name, method, encoded, timeout):
        assert self.turn.wait(SHORT_S)
        if self.error is not None:
            raise self.error
        self.told.append((actor, method, encoded.head))


@pytest.fixture
def wire():
    return Wire()


def add(letters, **facts):
    """Add a letter as the runtime does; return it."""
    at, serial = letters.stamp()
    one = dataclasses.replace(LETTER, at=at, serial=serial, **facts)
    letters.add(one)
    return one


@pytest.fixture
def letters(wire):
    letters = DeadLetters()
    letters.connect(wire, {"w": 3}.get)
    yield letters
    letters.close(SHORT_S)


def test_a_letter_gets_time_and_number(letters):
    add(letters)
    add(letters)
    assert [one.serial for one in letters] == [1, 2]
    assert all(one.at.endswith("+00:00") and one.at != LETTER.at for one in letters)


def test_the_list_is_bounded_and_the_total_is_not(letters):
    for _ in range(10_010):
        add(letters)
    assert (len(letters), letters.total) == (10_000, 10_010)
    assert next(iter(letters)).serial == 11


def test_letters_are_counted_and_chosen(letters):
    add(letters)
    add(letters, actor="v", killed=True, reason="ended by signal SIGKILL")
    add(letters, actor="v")
    assert letters.counts() == {"v": 2, "w": 1}
    assert (letters.count(), letters.count("v"), letters.count("u")) == (3, 2, 0)
    assert letters.count(reason="SIGKILL") == letters.count(killed=True) == 1
    assert [one.serial for one in letters.list("v", killed=False)] == [3]


def test_an_ask_is_not_counted_as_lost(letters):
    add(letters, asked=True, killed=True)
    assert (len(letters), letters.total) == (0, 0)


def test_a_letter_is_sent_again_once(letters, wire):
    add(letters)
    (one,) = letters
    letters.requeue(one)
    assert wire.told == [(3, LETTER.method, LETTER.head)]
    assert (len(letters), letters.total) == (0, 1)
    with pytest.raises(LookupError, match="sent again already"):
        letters.requeue(one)
    assert len(wire.told) == 1


def test_two_threads_do_not_send_the_same_letter(letters, wire):
    add(letters)
    (one,) = letters
    wire.turn.clear()
    first = threading.Thread(target=letters.requeue, args=(one,))
    first.start()
    eventually(lambda: one.serial in letters._leaving, "the first thread to be sending")
    with pytest.raises(LookupError):
        letters.requeue(one)
    wire.turn.set()
    first.join(SHORT_S)
    assert len(wire.told) == 1


def test_a_letter_that_cannot_be_sent_stays_and_may_be_tried_again(letters, wire):
    add(letters)
    add(letters, actor="nobody")
    add(letters, head=b"")
    one, two, three = letters
    wire.error = ActorStopped("w has stopped")
    with pytest.raises(ActorStopped, match="w has stopped"):
        letters.requeue(one)
    with pytest.raises(ActorStopped, match="no live actor is named 'nobody'"):
        letters.requeue(two)
    wire.error = None
    with pytest.raises(DeliveryError, match="content of this letter to w was lost"):
        letters.requeue(three)
    assert list(letters) == [one, two, three]
    letters.requeue(one)
    assert list(letters) == [two, three]


def test_all_that_can_be_sent_is_sent_in_order(letters, wire):
    for serial in range(5):
        add(letters, head=encode("", serial).head)
    add(letters, actor="nobody")
    assert letters.requeue_all() == 5
    assert [head for _, _, head in wire.told] == [encode("", n).head for n in range(5)]
    assert letters.requeue_all() == 0
    with pytest.raises(ActorStopped, match="'nobody'"):
        letters.requeue_all("nobody")


# -- subscriptions ------------------------------------------------------------------------------


def test_a_subscriber_that_is_too_slow_misses_letters_and_holds_up_nobody(
    letters, monkeypatch, caplog
):
    monkeypatch.setattr(subscription, "_WAITING", 3)
    seen, turn, entered = [], threading.Event(), threading.Event()

    def slow(one):
        entered.set()
        assert turn.wait(SHORT_S)
        seen.append(one.serial)

    letters.subscribe(slow)
    add(letters)
    assert entered.wait(SHORT_S)
    for _ in range(9):
        add(letters)
    assert letters.missed == 6
    assert sum("is too slow" in record.message for record in caplog.records) == 1
    turn.set()
    eventually(lambda: seen == [1, 2, 3, 4], "the letters that fitted")
    add(letters)
    eventually(lambda: seen[-1:] == [11], "the first letter behind the gap")
    assert letters.missed == 6


def test_an_exception_of_a_subscriber_is_logged_and_the_next_letter_comes(letters, caplog):
    seen = []

    def picky(one):
        seen.append(one.serial)
        if one.serial == 1:
            raise ValueError("not this one")

    letters.subscribe(picky)
    add(letters)
    add(letters)
    eventually(lambda: seen == [1, 2], "both letters")
    (record,) = [one for one in caplog.records if "raised over one dead letter" in one.message]
    assert "not this one" in str(record.exc_info[1])


def test_a_subscriber_may_end_its_own_subscription(letters):
    seen = []

    def once(one):
        seen.append(one.serial)
        unsubscribe()

    unsubscribe = letters.subscribe(once)
    add(letters)
    add(letters)
    names = {"procactors-dead-letters"}
    eventually(lambda: not names & {one.name for one in threading.enumerate()}, "no thread")
    add(letters)
    unsubscribe()
    assert seen == [1]


def test_the_end_shows_what_waits():
    letters, seen = DeadLetters(), []
    letters.subscribe(seen.append)
    for _ in range(100):
        add(letters)
    letters.close(SHORT_S)
    assert len(seen) == 100
    with pytest.raises(ActorStopped):
        letters.subscribe(seen.append)


def test_the_end_does_not_wait_for_ever(caplog):
    letters, seen, turn = DeadLetters(), [], threading.Event()

    def stuck(one):
        seen.append(one)
        assert turn.wait(SHORT_S)

    letters.subscribe(stuck)
    for _ in range(3):
        add(letters)
    eventually(lambda: seen, "the first letter")
    caplog.set_level(logging.ERROR)
    letters.close(0.1)
    turn.set()
    (record,) = [one for one in caplog.records if "did not return in time" in one.message]
    assert "about 2 dead letters" in record.message
