"""What a dead actor left: the message in hand, the rest of its mailbox, its files.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the reply sender by which the dead are answered for (`close`).
Never: unpickles a user's message; waits for anybody.
"""

from __future__ import annotations

import contextlib
import logging
import struct
import threading

from procactors.errors import (
    ActorDied,
    ActorStopped,
    ProcActorsError,
    StorageFull,
    SupervisionError,
)
from procactors.supervision.cell import Cell
from procactors.supervision.crash import CrashReport, ExitKind
from procactors.supervision.crashdir import CrashFolder, InHand
from procactors.supervision.deadletters import DeadLetters
from procactors.supervision.letter import DeadLetter
from procactors.supervision.stopreport import Tally
from procactors.wire.blackbox import DELIVERIES, IN_HAND, STATE, pack_state, unpack_state
from procactors.wire.envelope import BATCH_KEY, CALL_ID, Envelope, open_envelope
from procactors.wire.home import Home
from procactors.wire.payload import sweep_segments
from procactors.wire.record import (
    CHILD_FAILED,
    EVENT,
    RESTARTED,
    SETTLED,
    TERMINATED,
    Kind,
    frame,
    parse,
)
from procactors.wire.reply import is_port, remove_ports_of
from procactors.wire.replysender import ReplySender
from procactors.wire.sharefile import sweep_shares
from procactors.wire.sheet import remove_sheets_of
from procactors.wire.station import Station

__all__ = ["Recovery"]

_log = logging.getLogger("procactors")

#: How often an event may be begun whose hook kills the actor.
_EVENT_TRIES = 3
#: The hook that is for an event, by what has happened.
_EVENT_HOOKS = {
    SETTLED: None,
    RESTARTED: "on_restarted",
    TERMINATED: "on_terminated",
    CHILD_FAILED: "on_child_failure",
}


class Recovery:
    """Answers for the dead of one system."""

    def __init__(
        self,
        home: Home,
        station: Station,
        letters: DeadLetters,
        crashes: CrashFolder | None = None,
    ) -> None:
        self._home = home
        self._station = station
        self.letters = letters
        #: What a system's stop leaves, for its report.
        self.tally = Tally()
        #: The system ends without finishing what there is to do.
        self.is_abandoned = False
        self._crashes = crashes
        self._replies = ReplySender(home)
        # Guards the sender: besides the supervisor, the main program's feeders answer for what
        # they can no longer deliver.
        self._sending = threading.Lock()

    def answer(self, reply: int, call: int, kind: int, value: object) -> bool:
        """Send an answer; a caller that is gone is no trouble of ours.

        Returns:
            False: it could not be sent, and an error was instead; or nobody waits for it any more.
        """
        try:
            return self._answer(reply, call, kind, value)
        except Exception as error:  # noqa: BLE001 - so wide: he waits for this answer
            _log.error("could not answer call %d: %s", call, error)
            # A small one has more chances: it needs no room, and has nothing that is refused.
            text = f"the answer could not be sent: {type(error).__name__}: {error}"
            with contextlib.suppress(OSError, ProcActorsError):
                self._answer(reply, call, Kind.VERDICT, SupervisionError(text))
            return False

    def _answer(self, reply: int, call: int, kind: int, value: object) -> bool:
        # Not patient: the supervisor waits for nobody; what does not fit is spilled.
        with self._sending:
            return self._replies.answer(reply, call, kind, value, patient=False)

    def in_hand(self, cell: Cell) -> tuple[str | None, int]:
        """Return (handler, deliveries) of the message in hand of a dead actor."""
        fill, offset, in_hand = cell.box.recover()
        for at, _ in cell.box.walk(offset, fill):
            kind, _, body = parse(cell.box.batch, at)
            if in_hand and kind == Kind.CALL:
                return open_envelope(body).handler, cell.words[DELIVERIES] + 1
            if in_hand and kind == Kind.EVENT:
                return _EVENT_HOOKS[EVENT.unpack_from(body)[0]], cell.words[DELIVERIES] + 1
            break
        return None, 0

    def at_work(self, cell: Cell) -> str | None:
        """Return the handler that an actor is in now; None: in none, or it has just gone on."""
        word = cell.words[STATE]
        if not word & IN_HAND:
            return None
        _, offset, _ = unpack_state(word)
        try:
            kind, _, body = parse(cell.box.batch, offset)
            handler = open_envelope(body).handler if kind == Kind.CALL else None
        except (ValueError, struct.error, IndexError):
            return None  # its bytes have changed under our eyes
        return handler if cell.words[STATE] == word else None

    def keep_crash(self, cell: Cell, report: CrashReport) -> None:
        """Have a crash written to the folder, if there is one; before the message is settled."""
        if self._crashes is not None:
            self._crashes.add(report, self._copy_in_hand(cell))

    def _copy_in_hand(self, cell: Cell) -> InHand | None:
        _, offset, in_hand = cell.box.recover()
        if not in_hand:
            return None
        kind, flags, body = parse(cell.box.batch, offset)
        if kind != Kind.CALL:
            return None
        envelope = open_envelope(body)
        if envelope.method[:1] == BATCH_KEY:
            return None  # a pool's: it holds references to what the pool keeps
        try:
            seen, views, received = self._home.open(flags, envelope.payload)
        except OSError:
            return None  # its segment is gone, or no descriptor is left: the report must do
        head, buffers = bytes(seen), tuple(bytes(view) for view in views)
        if received is not None:
            received.leave()
        return InHand(envelope.handler, bool(envelope.method), head, buffers)

    def settle(self, cell: Cell, report: CrashReport, again: bool) -> None:
        """Decide the fate of the message in hand of a dead actor, and leave the box readable.

        Reports first, then stores one word: so it may itself be ended and repeated.

        Args:
            cell: the dead actor.
            report: what is said of the message.
            again: hand it to the next incarnation.
        """
        box, words = cell.box, cell.words
        fill, offset, in_hand = box.recover()
        for at, _ in box.walk(0, offset):
            self._free(cell, at)
        if not in_hand:
            return
        kind, flags, body = parse(cell.box.batch, offset)
        if kind == Kind.EVENT:
            # Told once: again only if the hook was cut off, not if it has raised.
            again = report.reason.kind is not ExitKind.ERROR and report.deliveries < _EVENT_TRIES
            if not again:
                _log.error("%s is not told of an event again: it %s", cell.name, report.reason)
                words[DELIVERIES] = 0
                words[STATE] = pack_state(fill, offset + box.lengths[offset >> 2])
                return
            words[DELIVERIES] += 1
            words[STATE] = pack_state(fill, offset)
            return
        if kind != Kind.CALL or again:
            words[DELIVERIES] += kind == Kind.CALL
            words[STATE] = pack_state(fill, offset)
            return
        envelope = open_envelope(body)
        if envelope.reply:
            died = ActorDied(report.brief(), report)
            self.answer(envelope.reply, envelope.call, Kind.VERDICT, died)
            self.tally.broken(cell.name)
            # Not a batch: its payloads are the pool's, which knows the item that is to blame.
            is_batch = envelope.method[:1] == BATCH_KEY
            if self.letters.keeps and _has_killed(report) and not is_batch:
                self._quarantine(flags, envelope, report, cell)
            else:
                self._home.discard(flags, envelope.payload)
        else:
            self._bury(cell.name, flags, envelope, str(report), report, cell)
        words[DELIVERIES] = 0
        words[STATE] = pack_state(fill, offset + box.lengths[offset >> 2])

    def close_mailbox(self, cell: Cell, why: str) -> None:
        """Answer everything that is left in the mailbox of an actor that is gone for good."""
        # The mark first: a writer that finds the sealed pipe full looks at it.
        cell.mark_gone()
        fill, offset, _ = cell.box.recover()
        for at, _ in cell.box.walk(offset, fill):
            self._refuse(cell, *parse(cell.box.batch, at), why)
        cell.words[STATE] = pack_state(fill, fill)
        for record in cell.files.close_for_good():
            self._refuse(cell, *parse(record), why)

    def lost(
        self, name: str, record: bytes, why: str, cell: Cell | None = None, actor: int = 0
    ) -> None:
        """Answer for one record that its sender could not deliver, or its actor not handle.

        Args:
            name: the actor's.
            record: the whole record.
            why: what is said of it.
            cell: the actor's, in the supervisor's thread alone, while it is there.
            actor: the actor's id, for whoever has no cell.
        """
        kind, flags, body = parse(record)
        if kind == Kind.CALL:
            self._refuse_call(name, flags, open_envelope(body), why, cell, actor)

    def sweep_after(self, process: int) -> None:
        """Remove segments, shares and reply pipes of a dead process, but for what is on its way."""
        path = self._home.path
        sweep_shares(path, process)
        remove_ports_of(path, process)
        remove_sheets_of(path, process)
        for target in sweep_segments(path, process, None):
            fence = frame(Kind.FENCE, 0, CALL_ID.pack(process))
            if is_port(target):
                with self._sending:
                    there = self._replies.send(target, fence, patient=False)
            else:
                there = self._station.send_control(target, fence)
            if not there:
                sweep_segments(path, process, target)

    def close(self) -> None:
        """Close the reply ends."""
        with self._sending:
            self._replies.close()

    def _free(self, cell: Cell, at: int) -> None:
        kind, flags, body = parse(cell.box.batch, at)
        if kind == Kind.CALL:
            self._home.discard(flags, open_envelope(body).payload)

    def _refuse(self, cell: Cell, kind: int, flags: int, body: memoryview, why: str) -> None:
        if kind == Kind.CALL:
            self._refuse_call(cell.name, flags, open_envelope(body), why, cell)
        elif kind == Kind.FENCE:
            sweep_segments(self._home.path, CALL_ID.unpack_from(body)[0], cell.actor)

    def _refuse_call(
        self,
        name: str,
        flags: int,
        envelope: Envelope,
        why: str,
        cell: Cell | None,
        actor: int = 0,
    ) -> None:
        if envelope.reply:
            self.tally.refused(name)
            self.answer(
                envelope.reply,
                envelope.call,
                Kind.VERDICT,
                ActorStopped(f"{name} {why}; the message was not handled"),
            )
            self._home.discard(flags, envelope.payload)
        else:
            self._bury(name, flags, envelope, why, None, cell, actor)

    def _bury(
        self,
        name: str,
        flags: int,
        envelope: Envelope,
        why: str,
        report: CrashReport | None,
        cell: Cell | None,
        actor: int = 0,
    ) -> None:
        """Keep a tell as a dead letter, with a copy of its bytes."""
        letter = self._letter(name, flags, envelope, why, report, cell, actor)
        self.tally.unhandled(name)
        self.letters.add(letter, self._blueprint(cell))
        # Of a system that was left by an exception, the report of the stop counts them.
        level = logging.DEBUG if self.is_abandoned else logging.ERROR
        said = why if report is None else report.brief(1)  # the crash has been told of
        _log.log(level, "dead letter: %s of %s: %s", envelope.handler, name, said)

    def _quarantine(self, flags: int, envelope: Envelope, report: CrashReport, cell: Cell) -> None:
        """Keep an ask that killed its actor in the file; its caller has been told."""
        letter = self._letter(cell.name, flags, envelope, str(report), report, cell)
        self.letters.add(letter, self._blueprint(cell))

    def _blueprint(self, cell: Cell | None) -> str | None:
        if cell is None or not self.letters.keeps:
            return None
        return cell.blueprint

    def _letter(
        self,
        name: str,
        flags: int,
        envelope: Envelope,
        why: str,
        report: CrashReport | None,
        cell: Cell | None,
        actor: int = 0,
    ) -> DeadLetter:
        head, buffers = b"", tuple[bytes, ...]()
        with contextlib.suppress(OSError, StorageFull):
            seen, views, received = self._home.open(flags, envelope.payload)
            head, buffers = bytes(seen), tuple(bytes(view) for view in views)
            if received is not None:
                received.consume()
        at, serial = self.letters.stamp()
        return DeadLetter(
            actor=name,
            handler=envelope.handler,
            reason=why,
            deliveries=report.deliveries if report is not None else 0,
            sender=envelope.sender,
            head=head,
            buffers=buffers,
            is_call=bool(envelope.method),
            at=at,
            class_name=cell.class_name if cell is not None else "",
            killed=report is not None and _has_killed(report),
            asked=bool(envelope.reply),
            method=envelope.method,
            actor_id=cell.actor if cell is not None else actor,
            serial=serial,
        )


def _has_killed(report: CrashReport) -> bool:
    """Whether the message in hand is to blame, as far as can be known: not if we ended it."""
    return report.reason.is_abnormal and report.reason.kind is not ExitKind.KILLED
