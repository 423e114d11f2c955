"""Timers between the messages of a mailbox, on a clock that is moved by hand."""

from __future__ import annotations

import pytest

from procactors.runner.recycling import Recycler
from procactors.runner.schedule import Schedule
from procactors.runner.source import ENDS, NOTHING
from procactors.runner.timers import Timers
from procactors.wire.envelope import build_message
from procactors.wire.mailbox.black_box import (
    HANDLED,
    IN_HAND,
    PHASE,
    RUNNING,
    STATE,
    STOPPING,
    TIMER,
)
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.reader import MailboxReader, WouldWait
from procactors.wire.mailbox.writer import MailboxWriter
from procactors.wire.record import EVENT, TERMINATED, Kind, frame

NUDGE = frame(Kind.NUDGE, 0, b"")
EVENT_RECORD = frame(Kind.EVENT, 0, EVENT.pack(TERMINATED, 1, 1))


class Bell:
    def ring(self, number=0):
        """Nothing: the test notes the call."""

    def on_idle(self):
        """Nothing."""


class Tower:
    """One mailbox with timers before it, and what was done, in order."""

    def __init__(self, files, store, recycle=None):
        self.now, self.said = 100.0, []
        self.writer = MailboxWriter(files.path, lambda _: None)
        self.reader = MailboxReader(files.path)
        self.message = build_message(store, 1, b":ring", store.encode(((), {})))
        self.words = self.reader.box.words
        self.words[PHASE] = RUNNING
        self.schedule = Schedule(Bell, lambda: self.now)
        self.is_ending = False
        #: By number: what a timer does besides.
        self.acts = {}
        inner = self.reader if recycle is None else Recycler(self.reader, recycle, None, None)
        self.source = Timers(inner, self.schedule, self.reader.box, self)
        self.is_at_work = self.is_full = False

    def run_timer(self, timer):
        assert not self.words[STATE] & IN_HAND, "a timer runs while a message is in hand"
        self.said.append("idle" if timer.method == "on_idle" else timer.args[0])
        return self.acts.get(self.said[-1], lambda: None)() is None

    def ring_after(self, seconds, number):
        self.schedule.after(seconds, Bell.ring, (number,), None)

    def send(self, *records):
        for record in records:
            (self.writer.send if record is self.message else self.writer.send_control)(record)

    def serve(self, count, timeout=0.0, takes=0.0):
        """Serve so many records, as the loop does; each takes so many seconds."""
        at = 0
        for served in range(count):
            # The loop steps behind a message, and says `done` to the runtime's own.
            was_call = served and self.said[-1] == "message"
            at = self.source.step(timeout) if was_call else self.source.advance(timeout)
            if at < 0:
                self.said.append({NOTHING: "nothing", ENDS: "ends"}[at])
                return
            kind = self.reader.box.raw[at + 4]
            self.said.append("message" if kind == Kind.CALL else "own")
            self.now += takes
            if kind != Kind.CALL:
                self.source.done(place=False)
        if self.said[-1] == "message":
            self.source.done(place=True)

    def close(self):
        for end in (self.reader, self.writer):
            end.close()


@pytest.fixture(params=[0, 8], ids=["unbounded", "bounded"])
def make(store, tmp_path, request):
    """Make a tower; one a test."""
    files = MailboxFiles(str(tmp_path / "mailbox"), request.param)
    made = []

    def make(**arguments):
        made.append(Tower(files, store, **arguments))
        return made[-1]

    yield make
    for tower in made:
        tower.close()
    files.close()


@pytest.fixture
def tower(make):
    return make()


def test_what_is_due_comes_before_what_is_queued(tower):
    tower.send(*[tower.message] * 4)
    tower.ring_after(0.0, 0)
    tower.ring_after(1.5, 1)
    tower.serve(4, takes=1.0)
    assert tower.said == [0, "message", "message", 1, "message", "message"]
    assert tower.words[HANDLED] == 4


def test_timers_that_are_always_due_leave_each_message_its_turn(tower):
    """Each takes longer than its period."""
    tower.send(*[tower.message] * 3)
    for number in range(2):
        tower.schedule.every(0.5, Bell.ring, (number,), None, True)
        tower.acts[number] = lambda: setattr(tower, "now", tower.now + 1.0)
    tower.serve(3)
    assert tower.said == [0, 1, "message", 0, "message", 1, "message"]


def test_without_messages_it_waits_for_no_longer_than_it_may(tower):
    tower.ring_after(10.0, 0)
    tower.serve(1, timeout=0.0)
    tower.now += 10.0
    tower.serve(1, timeout=0.0)
    assert tower.said == ["nothing", 0, "nothing"]


def test_a_stop_is_the_last_of_all_timers(tower):
    tower.ring_after(0.0, 0)
    tower.send(tower.message, tower.message)
    tower.words[PHASE] = STOPPING
    tower.serve(3)
    assert tower.said == ["message", "message", "nothing"]


def test_an_end_by_a_timer_leaves_the_others_and_the_mailbox(tower):
    tower.send(tower.message)
    tower.acts[0] = lambda: setattr(tower, "is_ending", True)
    for number in range(3):
        tower.ring_after(0.0, number)
    tower.serve(2)
    assert tower.said == [0, "ends"]
    assert tower.words[HANDLED] == 0


def test_an_end_by_the_idle_hook_is_one(tower):
    tower.schedule.idle_after(1.0)
    tower.now += 1
    tower.acts["idle"] = lambda: setattr(tower, "is_ending", True)
    tower.serve(1)
    assert tower.said == ["idle", "ends"]


def test_idle_is_told_when_no_message_is_there_and_again(tower):
    tower.schedule.idle_after(1.0)
    tower.send(tower.message)
    tower.now += 5.0  # behind a slow timer, say: a message waits
    tower.serve(2)
    tower.now += 0.9
    tower.serve(1)
    tower.now += 0.2
    tower.serve(1)
    tower.serve(1)
    tower.now += 1.0
    tower.serve(1)
    idle = ["idle", "nothing"]
    assert tower.said == ["message", "nothing", "nothing", *idle, "nothing", *idle]


@pytest.mark.parametrize(("own", "told"), [(NUDGE, True), (EVENT_RECORD, False)])
def test_the_runtimes_own_records_end_no_idle_stretch_but_an_event_does(tower, own, told):
    tower.schedule.idle_after(1.0)
    tower.now += 0.6
    tower.send(own)
    tower.serve(2)
    tower.now += 0.6
    tower.serve(1)
    assert ("idle" in tower.said) == told


def test_recycling_behind_timers_ends_the_life(make):
    tower = make(recycle=2)
    tower.schedule.every(1.0, Bell.ring, (0,), None, False)
    tower.send(*[tower.message] * 4)
    tower.now += 1
    tower.serve(4)
    assert tower.said == [0, "message", "message", "ends"]
    tower.now += 1
    tower.serve(1)
    assert tower.said[-2:] == [0, "ends"]


def test_a_timer_whose_coroutine_goes_on_keeps_others_and_messages_waiting(tower):
    """As an event loop's host does, one message at a time."""

    def go_on():
        tower.is_full = tower.is_at_work = True
        return "goes on"

    tower.acts[0] = go_on
    for number in range(2):
        tower.schedule.every(1.0, Bell.ring, (number,), None, True)
    tower.send(tower.message)
    with pytest.raises(WouldWait):
        tower.serve(1)
    assert tower.said == [0]
    tower.is_full = tower.is_at_work = False
    tower.serve(1)
    assert tower.said == [0, 1, "message"]
    tower.now += 1
    tower.acts.clear()
    tower.serve(1)
    assert tower.said[3:] == [0, 1, "nothing"]


def test_while_handlers_are_under_way_it_is_not_idle(tower):
    tower.schedule.idle_after(1.0)
    tower.is_at_work = True
    tower.now += 1.5
    tower.serve(1)
    tower.is_at_work = False
    tower.now += 0.5
    tower.serve(1)
    assert tower.said == ["nothing", "nothing"]
    tower.now += 0.5
    tower.serve(1)
    assert tower.said[2:] == ["idle", "nothing"]


def test_a_long_name_is_cut_and_harms_nothing(tower):
    name = "\N{BELL}" * 1000
    before = bytes(tower.reader.box.batch)
    tower.reader.box.begin_timer(f"timer {name}".encode(), 8)
    assert tower.reader.box.timer.startswith("timer \N{BELL}")
    assert bytes(tower.reader.box.batch) == before
    tower.reader.box.begin_timer(b"timer ring", 7, has_failed=True)
    assert tower.reader.box.has_timer_failed
    tower.reader.box.begin_timer(b"timer ring", 7)
    assert (tower.reader.box.timer, tower.reader.box.has_timer_failed) == ("timer ring", False)
    tower.reader.box.end_timer()
    assert (tower.reader.box.timer, tower.words[TIMER]) == ("", 0)
