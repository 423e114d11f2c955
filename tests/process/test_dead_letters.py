"""Dead letters: messages that no actor will handle are kept, with the reason."""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sqlite3
import subprocess
import textwrap
import threading

import pytest

from procactors import Actor, ActorSystem, DeadLetter, Delivery, Overflow, Restart
from procactors.deadletters.file import LetterFile
from procactors.deadletters.writer import ring
from procactors.errors import (
    ActorDied,
    ActorStopped,
    DecodeError,
    InvalidSpec,
    MailboxFull,
    SpawnError,
)
from tests.support.actors import (
    Counter,
    Crasher,
    Echo,
    Increment,
    MessageCounter,
    Recorder,
    Sleeper,
    recorded,
)
from tests.support.faults import BreaksWhenLoaded
from tests.support.gates import Gate, new_gate
from tests.support.programs import running, running_python
from tests.support.waiting import SHORT_S, eventually


class Teller(Actor):
    def pass_on(self, ref, value):
        ref.tell(value)


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL)


def letters_of(system, count):
    return eventually(
        lambda: found if len(found := list(system.dead_letters)) >= count else None,
        f"{count} dead letters",
    )


def test_a_tell_that_crashed_its_actor_is_a_dead_letter(system):
    ref = system.options(name="c").spawn(Crasher)
    ref.tell(Crasher.crash, "exception")
    (letter,) = letters_of(system, 1)
    assert (letter.actor, letter.handler) == ("c", "Crasher.crash")
    assert (letter.deliveries, letter.sender) == (1, 0)
    assert "Fault: on purpose" in letter.reason
    assert letter.message == (("exception",), {})
    assert ref.ask(Crasher.pid)


@pytest.mark.methods
def test_a_tell_in_hand_at_a_kill_is_a_dead_letter(system):
    ref = system.spawn(Crasher)
    ref.tell("SIGKILL")
    (letter,) = letters_of(system, 1)
    assert (letter.handler, letter.message) == ("receive", "SIGKILL")
    assert "ended by signal SIGKILL" in letter.reason


def test_an_ask_is_no_dead_letter(system):
    """Its caller is told instead."""
    ref = system.options(restart=Restart.TEMPORARY).spawn(Crasher)
    assert ref.submit(Crasher.crash, "SIGKILL").exception() is not None
    assert len(system.dead_letters) == 0


def test_what_is_left_at_a_kill_becomes_dead_letters_in_order(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(5):
        ref.tell(Sleeper.pid)
    ref.kill()
    letters = letters_of(system, 6)
    assert [letter.handler for letter in letters] == ["Sleeper.sleep", *["Sleeper.pid"] * 5]
    assert [letter.deliveries for letter in letters] == [1, 0, 0, 0, 0, 0]


def test_the_sender_is_named(system, gate):
    target = system.spawn(Sleeper)
    target.tell(Sleeper.sleep, gate)
    gate.arrival()
    teller = system.spawn(Teller)
    counter = system.spawn(MessageCounter)
    teller.ask(Teller.pass_on, counter, "not a message it knows")
    teller.ask(Teller.pass_on, counter, Increment(2))
    target.kill()
    assert letters_of(system, 1)[0].sender == 0
    unknown = system.spawn(Crasher)
    teller.ask(Teller.pass_on, unknown, "SIGKILL")
    assert letters_of(system, 2)[1].sender == teller._actor


def test_a_message_that_does_not_load_is_a_dead_letter_and_the_actor_lives(system):
    ref = system.spawn(MessageCounter)
    pid = ref.status().pid
    ref.tell(BreaksWhenLoaded("exception"))
    (letter,) = letters_of(system, 1)
    assert "could not be unpickled" in letter.reason
    assert ref.status().pid == pid
    with pytest.raises(DecodeError, match="on purpose"):
        _ = letter.message


class Several(Actor):
    def wait(self, gate: Gate) -> None:
        gate.wait()

    def take(self, *values: int) -> int:
        return len(values)


def test_a_large_message_is_kept_whole(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    value = bytes(range(256)) * 4096
    ref.tell(Sleeper.sleep, value)
    ref.kill()
    assert letters_of(system, 2)[1].message == ((value,), {})


@pytest.mark.parametrize("count", [1, 5_000])  # in the pipe; too many for it
def test_plain_arguments_are_kept_as_a_pickle(system, gate, count):
    ref = system.spawn(Several)
    ref.tell(Several.wait, gate)
    gate.arrival()
    ref.tell(Several.take, *range(count))
    ref.kill()
    letter = letters_of(system, 2)[1]
    assert pickle.loads(letter.head) == letter.message == (tuple(range(count)), {})


def test_what_a_full_mailbox_drops_is_a_dead_letter(system, gate):
    ref = system.options(mailbox=1, overflow=Overflow.DROP, name="small").spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(3):
        ref.tell(Sleeper.pid)
    letters = letters_of(system, 2)
    assert {letter.handler for letter in letters} == {"Sleeper.pid"}
    assert all("is full" in letter.reason for letter in letters)


def test_the_letters_are_counted_and_can_be_read_while_they_come(system, gate):
    ref = system.spawn(Counter)
    ref.stop()
    assert repr(system.dead_letters) == "<DeadLetters: 0 kept of 0>"
    other = system.spawn(Sleeper)
    other.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(20):
        other.tell(Sleeper.pid)
    other.kill()
    letters_of(system, 21)
    assert (len(system.dead_letters), system.dead_letters.total) == (21, 21)
    assert all(isinstance(letter, DeadLetter) for letter in system.dead_letters)


def test_the_letters_stay_readable_when_the_system_has_stopped(system, gate):
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    ref.tell(Sleeper.pid)
    system.stop(0.2)
    assert [letter.message for letter in system.dead_letters][1] == ((), {})


class Poisoned(Actor):
    """Dies of the number 0, and notes the others."""

    def __init__(self, path):
        self.recorder = Recorder(path)

    def work(self, number):
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.recorder.record(number)

    def receive(self, number):
        return self.work(number)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "letters"


@pytest.fixture
def keeping(start_method, path):
    """A system that keeps its letters in a file."""
    with ActorSystem(start_method=start_method, dead_letter_file=path) as system:
        yield system


def stored(path):
    with LetterFile(str(path)) as file:
        return [file.letter(one.id) for one in file.letters()]


def mark(path, *ids):
    """As the command line does it; return whether a running system was told."""
    with LetterFile(str(path)) as file:
        file.mark(list(ids) or None)
        return [ring(run.runtime_dir) for run in file.runs()]


def in_file(path, count):
    return eventually(
        lambda: found if len(found := stored(path)) >= count else None, f"{count} letters"
    )


# -- subscriptions and counts -------------------------------------------------------------------


def test_subscribers_get_each_letter_in_threads_of_their_own(system):
    seen, threads = [], set()

    def first(letter):
        threads.add(threading.current_thread())
        seen.append(letter)

    def second(letter):
        threads.add(threading.current_thread())

    system.dead_letters.subscribe(first)
    system.dead_letters.subscribe(second)
    ref = system.spawn(Crasher)
    for _ in range(2):
        ref.tell(Crasher.crash, "exception")
    letters = letters_of(system, 2)
    eventually(lambda: seen == letters and len(threads) == 2, "both subscribers to see both")
    assert threads.isdisjoint({threading.main_thread(), system._supervisor.thread})


def test_a_subscriber_that_blocks_does_not_hold_up_the_system(system):
    turn, entered = threading.Event(), threading.Event()

    def stuck(_):
        entered.set()
        assert turn.wait(SHORT_S)

    system.dead_letters.subscribe(stuck)
    ref = system.spawn(Crasher)
    ref.tell(Crasher.crash, "exception")
    assert entered.wait(SHORT_S)
    assert system.spawn(Counter).ask(Counter.increment) == 1
    ref.tell(Crasher.crash, "exception")
    letters_of(system, 2)
    turn.set()


def test_a_subscriber_sees_the_letters_of_the_stop(system, gate):
    seen = []
    system.dead_letters.subscribe(seen.append)
    ref = system.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(5):
        ref.tell(Sleeper.pid)
    system.kill()
    assert [letter.handler for letter in seen] == ["Sleeper.sleep", *["Sleeper.pid"] * 5]


def test_letters_name_time_class_and_whether_they_killed(system, gate):
    ref = system.options(name="c").spawn(Crasher)
    ref.tell(Crasher.crash, "SIGKILL")
    ref.tell(Crasher.crash, "exception")
    letters_of(system, 2)
    ref.tell(Crasher.crash_at, "exception", gate)
    gate.arrival()
    ref.tell(Crasher.pid)
    ref.kill()
    letters = letters_of(system, 4)
    assert [letter.killed for letter in letters] == [True, True, False, False]
    assert {letter.class_name for letter in letters} == {"Crasher"}
    assert [letter.at for letter in letters] == sorted(letter.at for letter in letters)
    assert system.dead_letters.counts() == {"c": 4}
    assert system.dead_letters.count("c", killed=True) == 2
    assert "method" not in repr(letters[0])


# -- sending again ------------------------------------------------------------------------------


def test_a_letter_is_sent_again_to_the_live_actor_of_its_name(system, tmp_path):
    ref = system.options(name="r", restart=Restart.TEMPORARY).spawn(Poisoned, tmp_path / "a")
    ref.tell(0)
    (letter,) = letters_of(system, 1)
    ref.wait()  # the letter comes before the end
    with pytest.raises(ActorStopped, match="no live actor is named 'r'"):
        system.dead_letters.requeue(letter)
    assert list(system.dead_letters) == [letter]
    mine = system.options(name="r").spawn(Echo)  # the name counts, not the class
    system.dead_letters.requeue(letter)
    assert mine.ask(Echo.echo, 1) == 1
    assert (len(system.dead_letters), system.dead_letters.total) == (0, 1)
    with pytest.raises(LookupError):
        system.dead_letters.requeue(letter)


def test_calls_messages_and_large_ones_are_sent_again_whole_and_in_order(system, gate, tmp_path):
    class Keeper(Recorder):
        def long(self, number, text):
            self.record(number + len(text))

        def receive(self, number):
            self.record(number)

    make = system.options(name="k")
    first = make.spawn(Sleeper)
    first.tell(Sleeper.sleep, gate)
    gate.arrival()
    there = system.find("k")  # a ref that does not know the class
    there.tell(Recorder.record, 1)
    there.tell(Keeper.long, 2, "x" * 1_000_000)
    there.tell(Keeper.long, 3, number_of_lines := "y" * 10_000)
    first.kill()
    letters_of(system, 4)
    second = make.spawn(Keeper, tmp_path / "numbers")
    gate.open()
    held, *others = system.dead_letters
    for letter in others:
        system.dead_letters.requeue(letter)
    second.ask(Keeper.record, 0)
    assert recorded(tmp_path / "numbers") == [1, 1_000_002, 3 + len(number_of_lines), 0]
    assert list(system.dead_letters) == [held]


def test_a_full_mailbox_leaves_the_letter_where_it_is(system, gate):
    options = system.options(name="s", mailbox=2)  # the message in hand has a place, too
    ref = options.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    ref.tell(Sleeper.pid)
    ref.kill()
    letters = letters_of(system, 2)
    ref = options.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    system.dead_letters.requeue(letters[1])
    with pytest.raises(MailboxFull):
        system.dead_letters.requeue(letters[0], timeout=0.05)
    assert list(system.dead_letters) == [letters[0]]
    gate.open()
    assert system.dead_letters.requeue_all("s") == 1
    assert ref.ask(Sleeper.pid)  # behind the letter


# -- the file -----------------------------------------------------------------------------------


def test_a_poison_message_is_quarantined_and_the_next_one_handled(keeping, path, tmp_path):
    options = {"delivery": Delivery.AT_LEAST_ONCE, "max_deliveries": 3, "max_restarts": 9}
    ref = keeping.options(name="p", **options).spawn(Poisoned, tmp_path / "numbers")
    for number in (1, 0, 2):
        ref.tell(Poisoned.work, number)
    assert ref.ask(Poisoned.work, 3) == 3
    assert recorded(tmp_path / "numbers") == [1, 2, 3]
    # It may still wait for its report's peak memory: the next life does not.
    eventually(lambda: len(keeping.dead_letters) == 1, "the dead letter")
    (letter,) = keeping.dead_letters
    assert (letter.killed, letter.deliveries, letter.message) == (True, 3, ((0,), {}))
    assert letter.reason.startswith("actor p (incarnation 3, pid ")
    assert "ended by signal SIGKILL in handler Poisoned.work" in letter.reason
    (kept,) = in_file(path, 1)
    assert kept.letter == letter


def test_an_ask_that_killed_its_actor_is_in_the_file_alone(keeping, path, tmp_path):
    """Its caller has been told, so it is not among the messages that nobody will handle."""
    ref = keeping.options(name="p").spawn(Poisoned, tmp_path / "numbers")
    with pytest.raises(ActorDied):
        ref.ask(Poisoned.work, 0)
    (kept,) = in_file(path, 1)
    assert (kept.letter.asked, kept.letter.killed, kept.letter.deliveries) == (True, True, 1)
    assert kept.letter.message == ((0,), {})
    assert (len(keeping.dead_letters), keeping.dead_letters.total) == (0, 0)


def test_an_ask_in_hand_of_an_actor_that_we_killed_is_nowhere(keeping, path, gate):
    ref = keeping.spawn(Sleeper)
    reply = ref.submit(Sleeper.sleep, gate)
    gate.arrival()
    ref.tell(Sleeper.pid)
    ref.kill()
    assert isinstance(reply.exception(), ActorDied)
    assert [(one.letter.handler, one.letter.killed) for one in in_file(path, 1)] == [
        ("Sleeper.pid", False)
    ]
    keeping.stop()
    assert len(stored(path)) == 1


def test_a_stop_writes_the_letters_that_it_makes(keeping, path, gate):
    ref = keeping.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(700):
        ref.tell(Sleeper.pid)
    keeping.kill()
    assert len(stored(path)) == 701
    assert [file.name for file in path.parent.glob("letters*")] == ["letters"]


def test_a_letter_that_is_sent_again_leaves_the_file(keeping, path, tmp_path):
    options = keeping.options(name="p")
    ref = options.spawn(Poisoned, tmp_path / "numbers")
    ref.tell(0)
    in_file(path, 1)
    ref.stop()
    options.spawn(Echo)
    assert keeping.dead_letters.requeue_all() == 1
    eventually(lambda: not stored(path), "the letter to leave the file")


def test_ten_thousand_letters_are_all_kept(keeping, path, gate):
    ref = keeping.spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    for _ in range(10_000):
        ref.tell(Sleeper.pid)
    ref.kill()
    in_file(path, 10_001)
    assert keeping.dead_letters.total == 10_001


def test_what_is_in_the_file_survives_a_sigkill_of_the_program(start_method, path):
    code = f"""
        import threading
        from procactors import ActorSystem
        from tests.support.actors import Crasher
        system = ActorSystem(start_method={start_method!r}, dead_letter_file={str(path)!r})
        ref = system.options(name="c", max_restarts=50).spawn(Crasher)
        for _ in range(20):
            ref.tell("exception")
            ref.tell("SIGKILL")
        print("told", flush=True)
        threading.Event().wait()
    """
    with running(code, cwd=os.getcwd(), stderr=subprocess.DEVNULL) as program:
        assert program.line() == "told"
        in_file(path, 20)
        program.process.kill()
        program.end()
        program.await_nothing_left()
    left = stored(path)
    assert len(left) >= 20
    assert [one.letter.message for one in left] == (["exception", "SIGKILL"] * 20)[: len(left)]
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


def test_a_file_of_another_kind_is_refused_and_nothing_is_left(tmp_path, start_method):
    (tmp_path / "notes").write_text("dear sir")
    os.chmod(tmp_path / "notes", 0o600)
    with pytest.raises(InvalidSpec, match=r"dead_letter_file: .*notes is no file of dead letters"):
        ActorSystem(start_method=start_method, dead_letter_file=tmp_path / "notes")
    with pytest.raises(FileNotFoundError):
        ActorSystem(start_method=start_method, dead_letter_file=tmp_path / "no" / "letters")


def test_two_systems_keep_their_letters_in_one_file(start_method, path):
    with (
        ActorSystem(start_method=start_method, dead_letter_file=path) as one,
        ActorSystem(start_method=start_method, dead_letter_file=path) as two,
    ):
        for system in (one, two):
            ref = system.options(name="c", max_restarts=50).spawn(Crasher)
            for _ in range(10):
                ref.tell("exception")
        kept = in_file(path, 20)
    assert len({letter.run for letter in kept}) == 2
    assert [len(one.dead_letters), len(two.dead_letters)] == [10, 10]


def test_while_another_process_writes_the_letters_wait_and_nobody_else(keeping, path):
    """The supervisor goes on: it never waits for the file."""
    with LetterFile(str(path)) as busy:
        busy._db.execute("BEGIN IMMEDIATE")
        ref = keeping.options(max_restarts=50).spawn(Crasher)
        for _ in range(5):
            ref.tell("exception")
        letters_of(keeping, 5)
        assert ref.ask(Crasher.pid)
        assert busy.letters() == []
        busy._db.execute("COMMIT")
    in_file(path, 5)


def test_a_stop_does_not_wait_for_ever_for_the_file(keeping, path, caplog):
    with LetterFile(str(path)) as busy:
        busy._db.execute("BEGIN IMMEDIATE")
        ref = keeping.options(max_restarts=50).spawn(Crasher)
        ref.tell("exception")
        letters_of(keeping, 1)
        caplog.set_level(logging.ERROR)
        keeping.kill()
        busy._db.execute("COMMIT")
    assert any("1 dead letters are missing in" in record.message for record in caplog.records)
    assert stored(path) == []


# -- handing over -------------------------------------------------------------------------------


def letters_for(name, path, start_method, numbers):
    """Leave letters with numbers to an actor of that name in the file."""
    with ActorSystem(start_method=start_method, dead_letter_file=path) as system:
        ref = system.options(name=name).spawn(Sleeper)
        with new_gate(path.with_name(f"gate-{name}")) as gate:
            ref.tell(Sleeper.sleep, gate)
            gate.arrival()
            there = system.find(name)
            for number in numbers:
                there.tell(Recorder.record, number)
            ref.kill()
    with LetterFile(str(path)) as file:
        return [one.id for one in file.letters(name) if one.letter.handler != "Sleeper.sleep"]


def test_a_marked_letter_is_for_the_next_actor_of_its_name(start_method, path, tmp_path):
    first, *others = letters_for("r", path, start_method, [1, 2, 3])
    mark(path, first, others[1])
    with ActorSystem(start_method=start_method, dead_letter_file=path) as system:
        system.options(name="other").spawn(Recorder, tmp_path / "other")
        system.options(name="r").spawn(Recorder, tmp_path / "numbers")
        eventually(lambda: recorded(tmp_path / "numbers") == [1, 3], "the marked letters")
    left = [one.letter.message[0] for one in stored(path)]
    assert left[1:] == [(2,)]
    assert recorded(tmp_path / "other") == []


def test_a_live_actor_gets_marked_letters_at_once(keeping, path, tmp_path):
    ref = keeping.options(name="p").spawn(Poisoned, tmp_path / "numbers")
    ref.tell(0)
    in_file(path, 1)
    assert mark(path) == [True]
    # It kills its actor again, and makes a new letter.
    eventually(lambda: keeping.dead_letters.total == 2, "the second death")
    eventually(lambda: [one.id for one in stored(path)] == [2], "its letter, in the place of 1")
    (again,) = stored(path)
    assert again.letter.deliveries == 1
    assert [letter.serial for letter in keeping.dead_letters] == [again.letter.serial]


def test_of_two_systems_one_alone_hands_a_letter_over(start_method, path, tmp_path):
    numbers = list(range(600))  # more than one batch
    ids = letters_for("r", path, start_method, numbers)
    with (
        ActorSystem(start_method=start_method, dead_letter_file=path) as one,
        ActorSystem(start_method=start_method, dead_letter_file=path) as two,
    ):
        for system, name in ((one, "one"), (two, "two")):
            system.options(name="r").spawn(Recorder, tmp_path / name)

        def handled():
            return recorded(tmp_path / "one") + recorded(tmp_path / "two")

        assert mark(path, *ids) == [False, True, True]  # the first system is gone
        eventually(lambda: len(handled()) >= len(numbers), "all letters")
        one.stop()
        two.stop()
        assert sorted(handled()) == numbers
    assert recorded(tmp_path / "one") == sorted(recorded(tmp_path / "one"))


def test_marked_letters_wait_for_a_place_in_a_full_mailbox(start_method, path, tmp_path, gate):
    mark(path, *letters_for("r", path, start_method, [1, 2, 3, 4]))
    with ActorSystem(start_method=start_method, dead_letter_file=path) as system:
        ref = system.options(name="r", mailbox=1).spawn(Recorder, tmp_path / "numbers")
        ref.tell(Recorder.record_at, 9, gate)
        gate.open()
        eventually(lambda: len(recorded(tmp_path / "numbers")) == 5, "all letters")
    assert [one for one in recorded(tmp_path / "numbers") if one != 9] == [1, 2, 3, 4]


def test_an_actor_that_does_not_come_up_is_handed_nothing(start_method, path):
    ids = letters_for("c", path, start_method, [1])
    mark(path, *ids)
    with (
        ActorSystem(start_method=start_method, dead_letter_file=path) as system,
        pytest.raises(SpawnError),
    ):
        system.options(name="c").spawn(Crasher, "on_start")
    with LetterFile(str(path)) as file:
        assert [file.letter(one).state for one in ids] == ["marked"]


PROGRAM = textwrap.dedent(
    """
    import sys
    import threading
    from dataclasses import dataclass
    from procactors import Actor, ActorSystem

    @dataclass(frozen=True)
    class Job:
        number: int

    def answer(number):
        ANSWER

    class Worker(Actor):
        def receive(self, message):
            assert type(message) is Job, "a class of an earlier program"
            print("handled", answer(message.number), flush=True)

    with ActorSystem(start_method=METHOD, dead_letter_file=sys.argv[1]) as system:
        worker = system.options(name="worker").spawn(Worker)
        if sys.argv[2] == "tell":
            worker.tell(Job(7))
            print("told", flush=True)
        threading.Event().wait()
    """
)


def test_a_letter_of_a_main_program_is_for_the_program_of_today(start_method, path, tmp_path):
    """Its classes are today's: a program that was mended handles what it could not before."""

    def run(answer, what):
        script = tmp_path / "script.py"
        script.write_text(f"METHOD = {start_method!r}\n" + PROGRAM.replace("ANSWER", answer))
        return running_python(script, path, what)

    with run("return number / 0", "tell") as program:
        assert program.line() == "told"
        in_file(path, 1)
        program.process.kill()
        program.await_nothing_left()
    mark(path)
    with run("return number * 2", "wait") as program:
        assert program.line() == "handled 14"
        eventually(lambda: not stored(path), "the letter to leave the file")
        program.process.kill()
        program.await_nothing_left()
