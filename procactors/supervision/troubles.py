"""Crash reports and dead letters for who looks in from outside: lists, and sending again.

Layer: supervision. Runs in: parent, in the supervisor's thread. Loaded when somebody asks.
Owns: nothing: crashes are the core's, letters their store's.
Never: unpickles a letter, or hands out its content; waits for a place in a mailbox.
"""

from __future__ import annotations

from typing import Any

from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import DeliveryError
from procactors.model import commands as c
from procactors.supervision.core import Core

__all__ = ["answer"]

#: Reports in one answer: one may have 16 KiB of log, and the supervisor has others to serve.
_REPORTS = 5
#: Letters in one answer at most, and characters of a reason in it.
_LETTERS, _REASON = 500, 2000


def answer(
    command: c.ListCrashes | c.ListLetters | c.RequeueLetter, core: Core, letters: DeadLetters
) -> Any:
    """Return what one of these commands is answered with.

    Raises:
        DeliveryError: the letter was not sent again, and stays.
    """
    if isinstance(command, c.ListCrashes):
        return _crashes(command, core)
    if isinstance(command, c.ListLetters):
        return _letters(command, core, letters)
    return _requeue(command, letters)


def _crashes(command: c.ListCrashes, core: Core) -> c.CrashList:
    last = core.crashes[-1][0] if core.crashes else 0
    behind = [crash for crash in core.crashes if crash[0] > command.after]
    return c.CrashList(last, tuple(behind[:_REPORTS]))


def _letters(command: c.ListLetters, core: Core, letters: DeadLetters) -> c.LetterList | None:
    # Before the letters: one that comes meanwhile makes the next list another one.
    number = letters.changes
    if number == command.seen:
        return None
    kept = list(letters)
    most = min(command.most, _LETTERS)
    rows = tuple(_row(letter, core) for letter in kept[-most:]) if most > 0 else ()
    return c.LetterList(number, letters.total, len(kept), rows)


def _row(letter: DeadLetter, core: Core) -> c.LetterRow:
    reason = letter.reason
    return c.LetterRow(
        serial=letter.serial,
        at=letter.at,
        actor=letter.actor,
        handler=letter.handler,
        reason=reason if len(reason) <= _REASON else f"{reason[:_REASON]} ...",
        class_name=letter.class_name,
        sender=core.name_of(letter.sender) if letter.sender else "",
        deliveries=letter.deliveries,
        killed=letter.killed,
        has_content=bool(letter.head),
    )


def _requeue(command: c.RequeueLetter, letters: DeadLetters) -> None:
    try:
        letters.requeue(letters.find(command.serial), timeout=0.0)
    except LookupError as error:
        raise DeliveryError(str(error)) from None
