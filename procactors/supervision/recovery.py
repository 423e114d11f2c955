"""What a dead actor left: the message in hand, the rest of its mailbox, its files.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the reply sender by which the dead are answered for (`close`).
Never: unpickles a user's message; waits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import struct
import threading
from typing import TYPE_CHECKING

from procactors.crash import CrashReport, ExitKind
from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import (
    ActorDied,
    ActorStopped,
    ProcActorsError,
    StorageFull,
    SupervisionError,
)
from procactors.late import late
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.supervision.backend import Tell
from procactors.supervision.stop_report import Tally
from procactors.wire.endpoint import Endpoint
from procactors.wire.envelope import BATCH_KEY, CALL_ID, STREAM_KEY, Envelope, open_envelope
from procactors.wire.mailbox.black_box import (
    CLOSED,
    DELIVERIES,
    GONE,
    IN_HAND,
    STATE,
    pack_state,
    unpack_state,
)
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.plain import as_pickle
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
from procactors.wire.replies.port import is_port, remove_ports_of
from procactors.wire.replies.sender import ReplySender
from procactors.wire.result_table import remove_result_tables_of
from procactors.wire.shm.segments import sweep_segments
from procactors.wire.shm.share_file import sweep_shares
from procactors.wire.streams.channel import sweep_streams

if TYPE_CHECKING:
    from procactors.supervision import crash_folder
    from procactors.supervision.crash_folder import CrashFolder, InHand
else:
    crash_folder = late("procactors.supervision.crash_folder")  # of systems with a `crash_dir`

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
        store: PayloadStore,
        endpoint: Endpoint,
        letters: DeadLetters,
        crashes: CrashFolder | None = None,
    ) -> None:
        self._store = store
        self._endpoint = endpoint
        self.letters = letters
        #: What a system's stop leaves, for its report.
        self.tally = Tally()
        #: The system ends without finishing what there is to do.
        self.is_abandoned = False
        self._crashes = crashes
        self._replies = ReplySender(store)
        # Guards the sender: besides the supervisor, the main program's feeders answer for what
        # they can no longer deliver.
        self._sending = threading.Lock()

    def answer(self, reply: int, call: int, kind: int, value: object) -> bool:
        """Send an answer; a caller that is gone is no error.

        Returns:
            False: it could not be sent, and an error was instead; or its caller waits no more.
        """
        try:
            return self._answer(reply, call, kind, value)
        except Exception as error:  # noqa: BLE001 - so wide: a caller waits for this answer
            _log.error("could not answer call %d: %s", call, error)
            # A small one has more chances: it needs no room, and has nothing that is refused.
            text = f"the answer could not be sent: {type(error).__name__}: {error}"
            with contextlib.suppress(OSError, ProcActorsError):
                self._answer(reply, call, Kind.VERDICT, SupervisionError(text))
            return False

    def _answer(self, reply: int, call: int, kind: int, value: object) -> bool:
        # Not patient: the supervisor never waits; what does not fit is spilled.
        with self._sending:
            return self._replies.answer(reply, call, kind, value, patient=False)

    def in_hand(self, mailbox: ActorMailbox) -> tuple[str | None, int]:
        """Return (handler, deliveries) of the message in hand of a dead actor."""
        _, offset, in_hand = mailbox.box.recover()
        if not in_hand:
            return None, 0
        kind, _, body = mailbox.record(offset)
        deliveries = mailbox.words[DELIVERIES] + 1
        if kind == Kind.CALL:
            return open_envelope(body).handler, deliveries
        if kind == Kind.EVENT:
            return _EVENT_HOOKS[EVENT.unpack_from(body)[0]], deliveries
        return None, 0

    def at_work(self, mailbox: ActorMailbox) -> str | None:
        """Return the handler that an actor is in now; None: in none, or it has just gone on."""
        word = mailbox.words[STATE]
        if not word & IN_HAND:
            return None
        _, offset, _ = unpack_state(word)
        try:
            kind, _, body = mailbox.record(offset)
            handler = open_envelope(body).handler if kind == Kind.CALL else None
        except (ValueError, struct.error, IndexError):
            return None  # its bytes have changed under our eyes
        return handler if mailbox.words[STATE] == word else None

    def crash_writer(self, mailbox: ActorMailbox) -> Tell:
        """Return what writes a crash to the folder, with a copy of the message now in hand."""
        crashes = self._crashes
        if crashes is None:
            return _nothing
        message = self._copy_in_hand(mailbox)
        return lambda report: crashes.add(report, message)

    def _copy_in_hand(self, mailbox: ActorMailbox) -> InHand | None:
        _, offset, in_hand = mailbox.box.recover()
        if not in_hand:
            return None
        kind, flags, body = mailbox.record(offset)
        if kind != Kind.CALL:
            return None
        envelope = open_envelope(body)
        if envelope.method[:1] == BATCH_KEY:
            return None  # a pool's: it holds references to what the pool keeps
        try:
            seen, views, received = self._store.open(flags, envelope.payload)
        except OSError:
            return None  # its segment is gone, or no descriptor is left: the report must do
        head, buffers = as_pickle(bytes(seen)), tuple(bytes(view) for view in views)
        if received is not None:
            received.leave()
        return crash_folder.InHand(envelope.handler, bool(envelope.method), head, buffers)

    def recover(self, mailbox: ActorMailbox, report: CrashReport, again: bool) -> Tell:
        """Decide on the message in hand of a dead actor, and leave the box readable.

        It stores one word, last: so it may itself be ended and repeated.

        Args:
            mailbox: the dead actor's.
            report: of its death.
            again: hand the message to the next incarnation.

        Returns:
            what answers the message's caller, or keeps it as a dead letter, with the whole report.
        """
        box, words = mailbox.box, mailbox.words
        fill, offset, in_hand = box.recover()
        for at, _ in box.walk(0, offset):
            self._free(mailbox, at)
        if not in_hand:
            return _nothing
        kind, flags, body = mailbox.record(offset)
        if kind == Kind.EVENT:
            # The hook is called once; again only if it was cut off, not if it has raised.
            again = report.reason.kind is not ExitKind.ERROR and report.deliveries < _EVENT_TRIES
            if not again:
                text = "%s is not told of an event again: it %s"
                _log.error(text, mailbox.name, report.reason)
        if kind == Kind.CALL and open_envelope(body).method[:1] == STREAM_KEY:
            again = False  # its reader has had some items already
        tell: Tell = _nothing
        if kind == Kind.CALL and not again:
            tell = self._lose(mailbox, flags, open_envelope(body), report)
        if again or kind not in (Kind.CALL, Kind.EVENT):
            words[DELIVERIES] += kind in (Kind.CALL, Kind.EVENT)
            words[STATE] = pack_state(fill, offset)
        else:
            words[DELIVERIES] = 0
            words[STATE] = pack_state(fill, offset + box.lengths[offset >> 2])
        return tell

    def _lose(
        self, mailbox: ActorMailbox, flags: int, envelope: Envelope, report: CrashReport
    ) -> Tell:
        """Free a message that a death has cut off; return what tells of it."""
        # Not a batch: its payloads are the pool's, which knows the item that is to blame. Nor a
        # stream, whose channel is gone.
        is_batch = envelope.method[:1] in (BATCH_KEY, STREAM_KEY)
        kept: DeadLetter | None = None
        # An ask goes to the file alone, and only if it has killed its actor.
        if not envelope.reply or (self.letters.keeps and _has_killed(report) and not is_batch):
            kept = self._letter(mailbox.name, flags, envelope, mailbox, report=report)
        else:
            self._store.discard(flags, envelope.payload)
        reply, call = envelope.reply, envelope.call
        if reply:
            self.tally.broken(mailbox.name)

        def tell(whole: CrashReport) -> None:
            if reply:
                self.answer(reply, call, Kind.VERDICT, ActorDied(whole.brief(), whole))
            if kept is not None:
                # The crash has been logged: one line of it will do.
                letter = dataclasses.replace(kept, reason=str(whole))
                self._keep(letter, mailbox, None if reply else whole.brief(1))

        return tell

    def close_mailbox(self, mailbox: ActorMailbox, why: str) -> None:
        """Answer everything that is left in the mailbox of an actor that is gone for good."""
        # The mark first: a writer that finds the closed pipe full looks at it.
        mailbox.words[CLOSED] = GONE
        fill, offset, _ = mailbox.box.recover()
        for at, _ in mailbox.box.walk(offset, fill):
            self._refuse(mailbox, *mailbox.record(at), why)
        mailbox.words[STATE] = pack_state(fill, fill)
        for record in mailbox.files.close_for_good():
            self._refuse(mailbox, *parse(record), why)

    def lost(
        self,
        name: str,
        record: bytes,
        why: str,
        mailbox: ActorMailbox | None = None,
        actor: int = 0,
    ) -> None:
        """Answer for one record that its sender could not deliver, or its actor not handle.

        Args:
            name: the actor's.
            record: the whole record.
            why: what is said of it.
            mailbox: the actor's, in the supervisor's thread alone, while it is there.
            actor: the actor's id, where there is no mailbox.
        """
        kind, flags, body = parse(record)
        if kind == Kind.CALL:
            self._refuse_call(name, flags, open_envelope(body), why, mailbox, actor)

    def sweep_after(self, process: int) -> None:
        """Remove segments, shares and reply pipes of a dead process, but for what is on its way."""
        path = self._store.path
        sweep_shares(path, process)
        remove_ports_of(path, process)
        remove_result_tables_of(path, process)
        sweep_streams(path, process)
        for target in sweep_segments(path, process, None):
            fence = frame(Kind.FENCE, 0, CALL_ID.pack(process))
            if is_port(target):
                with self._sending:
                    there = self._replies.send(target, fence, patient=False)
            else:
                there = self._endpoint.send_control(target, fence)
            if not there:
                sweep_segments(path, process, target)

    def close(self) -> None:
        """Close the reply ends."""
        with self._sending:
            self._replies.close()

    def _free(self, mailbox: ActorMailbox, at: int) -> None:
        kind, flags, body = mailbox.record(at)
        if kind == Kind.CALL:
            self._store.discard(flags, open_envelope(body).payload)

    def _refuse(
        self, mailbox: ActorMailbox, kind: int, flags: int, body: memoryview, why: str
    ) -> None:
        if kind == Kind.CALL:
            self._refuse_call(mailbox.name, flags, open_envelope(body), why, mailbox)
        elif kind == Kind.FENCE:
            sweep_segments(self._store.path, CALL_ID.unpack_from(body)[0], mailbox.id)

    def _refuse_call(
        self,
        name: str,
        flags: int,
        envelope: Envelope,
        why: str,
        mailbox: ActorMailbox | None,
        actor: int = 0,
    ) -> None:
        if envelope.reply:
            self.tally.refused(name)
            error = ActorStopped(f"{name} {why}; the message was not handled")
            self.answer(envelope.reply, envelope.call, Kind.VERDICT, error)
            self._store.discard(flags, envelope.payload)
        else:
            letter = self._letter(name, flags, envelope, mailbox, actor)
            self._keep(dataclasses.replace(letter, reason=why), mailbox, why)

    def _keep(self, letter: DeadLetter, mailbox: ActorMailbox | None, why: str | None) -> None:
        """Keep a dead letter; a tell is counted, and logged for that reason."""
        has_blueprint = mailbox is not None and self.letters.keeps
        self.letters.add(letter, mailbox.blueprint if mailbox and has_blueprint else None)
        if why is None:
            return
        self.tally.unhandled(letter.actor)
        # Of a system that was left by an exception, the report of the stop counts them.
        level = logging.DEBUG if self.is_abandoned else logging.ERROR
        _log.log(level, "dead letter: %s of %s: %s", letter.handler, letter.actor, why)

    def _letter(
        self,
        name: str,
        flags: int,
        envelope: Envelope,
        mailbox: ActorMailbox | None,
        actor: int = 0,
        report: CrashReport | None = None,
    ) -> DeadLetter:
        """Return a message as a letter, with a copy of its bytes; its reason comes later."""
        head, buffers = b"", tuple[bytes, ...]()
        with contextlib.suppress(OSError, StorageFull):
            seen, views, received = self._store.open(flags, envelope.payload)
            head, buffers = as_pickle(bytes(seen)), tuple(bytes(view) for view in views)
            if received is not None:
                received.consume()
        at, serial = self.letters.stamp()
        return DeadLetter(
            actor=name,
            handler=envelope.handler,
            reason="",
            deliveries=report.deliveries if report is not None else 0,
            sender=envelope.sender,
            head=head,
            buffers=buffers,
            is_call=bool(envelope.method),
            at=at,
            class_name=mailbox.class_name if mailbox is not None else "",
            killed=report is not None and _has_killed(report),
            asked=bool(envelope.reply),
            method=envelope.method,
            actor_id=mailbox.id if mailbox is not None else actor,
            serial=serial,
        )


def _nothing(_: CrashReport) -> None:
    """Tell of no message: none was in hand, or the next life gets it."""


def _has_killed(report: CrashReport) -> bool:
    """Whether the message in hand is to blame, as far as can be known: not if we ended it."""
    return report.reason.is_abnormal and report.reason.kind is not ExitKind.KILLED
