"""Faults of a test, in the actor that they are for: it is killed, or messages come late or not.

Layer: runner. Runs in: actor, in the thread that serves it. Loaded by lives with faults alone.
Owns: nothing that stays open: it counts by the lengths of files, which outlive the process.
Never: goes by chance, or by a clock but to hold a message up; does anything that it has not noted.

What it is to do stands in a file of its own (`write_rules`). Beside it there is one file for each
fault, to which a byte is appended for each message that it is for, and `done`, to which a line is
for each one that it was done to. A line is written before the deed: so a kill is noted, too.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from procactors.errors import DeliveryError
from procactors.light_tuple import NamedTuple
from procactors.runner.source import NOTHING
from procactors.runner.taps import Tap, Tapped
from procactors.wire.envelope import bare, handler_name, open_envelope
from procactors.wire.mailbox.black_box import CONTROL, DELIVERIES, HALT, HANDLED_OWN, IN_HAND, STATE
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.record import Kind, parse

if TYPE_CHECKING:
    from procactors.runner.loop import Loop

__all__ = ["Done", "Entry", "Rule", "read_done", "write_rules"]

_log = logging.getLogger("procactors")

#: Seconds between looks whether an actor that is held up is to end.
_LOOK_S = 0.02
#: Nobody sets it.
_nobody = threading.Event()


class Rule(NamedTuple):
    """One fault.

    Attributes:
        number: its own, from 1.
        what: kill, delay, drop or duplicate.
        messages: which messages it is done to, of those that it is for, from 1; None: all.
        method: name of the method whose messages it is for; None: all messages.
        seconds: of a delay.
        when: of a kill: "taken", "handled" or "answered" (see `Faults.kill_on`).
        times: of a kill: how often one message may do it.
    """

    number: int
    what: str
    messages: list[int] | None
    method: str | None
    seconds: float = 0.0
    when: str = "taken"
    times: int = 1


class Done(NamedTuple):
    """What a fault has done.

    Attributes:
        what: kill, delay, drop or duplicate.
        actor: name of the actor that took the message.
        incarnation: which life of it, from 1.
        handler: the method that the message calls, or ``receive``.
        message: its number among those that the fault is for, from 1.
    """

    what: str
    actor: str
    incarnation: int
    handler: str
    message: int


def write_rules(path: str, rules: list[Rule]) -> None:
    """Write the faults of one actor, whole or not at all; they count from where they were."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump([list(rule) for rule in rules], file)
    os.replace(f"{path}.new", path)


def read_done(folder: str) -> list[Done]:
    """Return what was done by the faults whose files are in a folder, in that order."""
    try:
        with open(os.path.join(folder, "done"), encoding="utf-8") as file:
            return [Done(*json.loads(line)) for line in file]
    except FileNotFoundError:
        return []


class Entry(Tap):
    """The faults of one actor in one life; the argument is the path of their file."""

    def __init__(self, loop: Loop, life: Tapped, argument: str) -> None:
        self._rules: list[Rule] = []
        #: What is to be done with the message in hand, and its numbers.
        self._at_hand: list[tuple[Rule, int]] = []
        self._handler = ""
        #: Until when the message that is held up is, by the loop's clock; 0: none is.
        self._late_until = 0.0
        #: What is in hand is to be handled once more; it is in hand for that.
        self._is_again = self._is_counted = False
        super().__init__(loop, life, argument)
        self._own_step_behind = loop._step_behind
        loop._step_behind = self._step_behind  # type: ignore[method-assign]

    def change(self, argument: str) -> None:
        """Read the faults anew."""
        self._path = argument
        with open(argument, encoding="utf-8") as file:
            self._rules = [Rule(*values) for values in json.load(file)]

    def remove(self) -> None:
        """Do nothing more."""
        super().remove()
        self._at_hand, self._late_until = [], 0.0
        self._is_again = self._is_counted = False
        self._loop._step_behind = self._own_step_behind  # type: ignore[method-assign]

    # -- the moments ------------------------------------------------------------------------------

    def taken(self, at: int, timeout: float | None) -> int:
        """A record is in hand: count it, and do to it what is to be done before its handler."""
        while at >= 0:
            if not self._is_message(at):
                self._at_hand = []
                return at
            if (self._late_until or self._count()) and not self._is_awaited():
                return NOTHING
            self._do("taken")
            if not self._note_all("drop"):
                self._is_again = any(rule.what == "duplicate" for rule, _ in self._at_hand)
                return at
            self._drop()
            at = self._inner.advance(timeout)
        return at

    def answers(self, reply: int, call: int, kind: int, value: object) -> None:
        """The handler has ended, and its answer is about to go."""
        self._do("handled")

    def ends(self) -> bool:
        """The message in hand is handled, and answered."""
        self._do("handled")  # of a tell, which is not answered
        self._do("answered")
        is_again, self._is_again = self._is_again, False
        self._is_counted = is_again and self._is_here() and self._note_all("duplicate")
        self._at_hand = []  # all was done to it
        return not self._is_counted

    def _is_here(self) -> bool:
        """Whether the message in hand is there still: not put aside, nor given away."""
        return not self._loop.is_ending and parse(self._reader.in_hand()).kind == Kind.CALL

    def _step_behind(self, received: Any) -> bool:
        """Step behind a message with a payload, unless that is needed once more."""
        if not self._is_again:
            return self._own_step_behind(received)
        received.leave()
        return False

    # -- which messages ---------------------------------------------------------------------------

    def _count(self) -> bool:
        """Number the message in hand; return whether it is held up."""
        self._at_hand = []
        if self._is_counted:
            self._is_counted = False  # it is there for the second time
            return False
        envelope = open_envelope(parse(self._reader.in_hand()).body)
        self._handler = handler_name(bare(envelope.method))
        method = self._handler.rpartition(".")[2]
        is_again = bool(self._words[DELIVERIES])
        for rule in self._rules:
            if rule.method in (None, method):
                number = _number(f"{self._path}.{rule.number}", is_again)
                if number and (rule.messages is None or number in rule.messages):
                    self._at_hand.append((rule, number))
        late = sum(rule.seconds for rule, _ in self._at_hand if rule.what == "delay")
        if late and not is_again and self._note_all("delay"):
            self._late_until = self._now() + late
        return self._late_until > 0

    # -- what is done -----------------------------------------------------------------------------

    def _do(self, when: str) -> None:
        """End the life, if that is to be in this moment."""
        for rule, number in self._at_hand:
            if rule.what != "kill" or rule.when != when:
                continue
            times = _number(f"{self._path}.{rule.number}.{number}", False)
            if 0 < times <= rule.times and self._note(rule, number):
                self._life.die()

    def _is_awaited(self) -> bool:
        """Hold the message in hand up: it is in the mailbox still, as far as others can see.

        Returns:
            False: the actor is to end first, and has nothing in hand.

        Raises:
            WouldWait: the loop waits, and asks again.
        """
        reader, words = self._reader, self._words
        while (left := self._late_until - self._now()) > 0:
            if not os.path.exists(self._path):
                break  # the faults are over
            words[STATE] &= ~IN_HAND
            if words[CONTROL] >= HALT:
                return False
            if reader.is_polled:
                raise WouldWait(left)
            _nobody.wait(min(left, _LOOK_S))
        words[STATE] |= IN_HAND
        self._late_until = 0.0
        return True

    def _now(self) -> float:
        return self._loop.now_ns() / 1e9

    def _drop(self) -> None:
        """Step behind the message in hand, unhandled, and say so."""
        loop, record = self._loop, bytes(self._reader.in_hand())
        _, flags, body = parse(record)
        envelope = open_envelope(body)
        why = f"dropped {self._handler}: a fault of the test"
        if not envelope.reply:
            loop._lost(record, why)
        else:
            if not envelope.deadline:  # else its caller gets its timeout, as of a lost message
                error = DeliveryError(f"{self._life.name} {why}, and its caller waits for ever")
                loop._fail(envelope.call, envelope.reply, error)
            loop._store.discard(flags, envelope.payload)
        self._at_hand = []
        self._reader.turn(None)
        self._inner.done(place=True)
        self._words[HANDLED_OWN] += 1  # it was not handled

    def _note_all(self, what: str) -> bool:
        """Note what is done to the message in hand, once; return whether it is to be done."""
        for rule, number in self._at_hand:
            if rule.what == what:
                return self._note(rule, number)
        return False

    def _note(self, rule: Rule, number: int) -> bool:
        """Note a deed; return False if it is not to be done: the faults are over."""
        life = self._life
        done = Done(rule.what, life.name, life.incarnation, self._handler, number)
        path = os.path.join(os.path.dirname(self._path), "done")
        if not _append(path, f"{json.dumps(done)}\n".encode()):
            return False
        _log.info(
            "a fault of the test: %s message %d (%s) of %s",
            rule.what,
            number,
            self._handler,
            life.name,
        )
        return True


def _number(path: str, is_again: bool) -> int:
    """Count one more by the length of a file, unless it is once more the last; return how many."""
    return os.path.getsize(path) if is_again and os.path.exists(path) else _append(path, b".")


def _append(path: str, data: bytes) -> int:
    """Append to a file in one piece, and return its length then; 0: its folder is gone."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    except FileNotFoundError:
        return 0
    try:
        os.write(fd, data)
        return os.lseek(fd, 0, os.SEEK_CUR)
    finally:
        os.close(fd)
