"""What a dead actor left: the messages in hand, the rest of its mailbox, its files.

Layer: supervision. Runs in: parent, in the supervisor's thread.
Owns: the reply sender by which the dead are answered for (`close`).
Never: unpickles a user's message; waits.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import threading
from typing import TYPE_CHECKING

from procactors.crash import CrashReport, ExitKind
from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import (
    ActorDied,
    ActorStopped,
    ProcActorsError,
    ReplyError,
    StorageFull,
    SupervisionError,
)
from procactors.late import late
from procactors.supervision.actor_mailbox import ActorMailbox
from procactors.supervision.backend import Tell
from procactors.supervision.mishaps import quietly
from procactors.supervision.stop_report import Tally
from procactors.wire.endpoint import Endpoint
from procactors.wire.envelope import BATCH_KEY, CALL_ID, CALLS, STREAM_KEY, Envelope, open_envelope
from procactors.wire.mailbox.black_box import (
    CLOSED,
    DELIVERIES,
    GONE,
    STATE,
    UNTOLD,
    pack_state,
)
from procactors.wire.mailbox.looks import is_call
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.plain import as_pickle
from procactors.wire.record import (
    Kind,
    Record,
    frame,
    parse,
)
from procactors.wire.replies.port import is_port, remove_ports_of
from procactors.wire.replies.sender import ReplySender
from procactors.wire.result_table import remove_result_tables_of
from procactors.wire.shm.segments import sweep_segments
from procactors.wire.shm.share_file import sweep_shares

if TYPE_CHECKING:
    from procactors.supervision import crash_folder
    from procactors.supervision.announcements import Announcements
    from procactors.supervision.crash_folder import CrashFolder, InHand
    from procactors.wire.mailbox import hands as table
    from procactors.wire.mailbox.hands import Slot
    from procactors.wire.streams import channel
else:
    crash_folder = late("procactors.supervision.crash_folder")  # of systems with a `crash_dir`
    channel = late("procactors.wire.streams.channel")  # of systems with streams
    table = late("procactors.wire.mailbox.hands")  # of actors with more than one in hand

__all__ = ["Recovery"]

_log = logging.getLogger("procactors")

#: How often an event may be begun whose hook kills the actor.
_EVENT_TRIES = 3


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
        #: Publishes what happens; None while nobody has listened yet.
        self.announce: Announcements | None = None
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

    def crash_writer(self, mailbox: ActorMailbox) -> Tell:
        """Return what writes a crash to the folder, with a copy of the message now in hand."""
        crashes = self._crashes
        if crashes is None:
            return _nothing
        message = self._copy_in_hand(mailbox)
        return lambda report: crashes.add(report, message)

    def _copy_in_hand(self, mailbox: ActorMailbox) -> InHand | None:
        record = mailbox.first_in_hand()
        if record is None or record.kind != Kind.CALL:
            return None
        _, flags, body = record
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
        return crash_folder.InHand(envelope.handler, envelope.method > CALLS, head, buffers)

    def recover(
        self,
        mailbox: ActorMailbox,
        report: CrashReport,
        most: int,
        unwanted: tuple[int, int] | None = None,
    ) -> Tell:
        """Decide on the messages in hand of a dead actor, and leave its box readable.

        It stores one word for each, last: so it may itself be ended and repeated.

        Args:
            mailbox: the dead actor's.
            report: of its death.
            most: how often a message may be begun in all; with fewer, the next life gets it. 0: it
                gets none.
            unwanted: reply pipe and id of the call for whose sake it was killed: that is lost.

        Returns:
            what answers the callers of the lost, or keeps these as dead letters, with the whole
            report.
        """
        mailbox.settle()
        self._free_handled(mailbox)
        # The slots' messages came before the batch's.
        tells = [
            self._recover_held(mailbox, slot, report, 0 if _is_for(slot.record, unwanted) else most)
            for slot in mailbox.slots()
        ]
        tells.append(self._recover_batch(mailbox, report, most, unwanted))
        told = [tell for tell in tells if tell is not _nothing]
        if len(told) < 2:
            return told[0] if told else _nothing
        return lambda whole: quietly(*(functools.partial(tell, whole) for tell in told))

    def _free_handled(self, mailbox: ActorMailbox) -> None:
        """Free what the records hold that the dead actor had stepped behind."""
        # Not of those that it held out of the batch, or that went elsewhere: they are MOVED.
        for at, _ in mailbox.box.walk(0, mailbox.box.recover()[1]):
            self._free(*mailbox.record(at))

    def _recover_batch(
        self,
        mailbox: ActorMailbox,
        report: CrashReport,
        most: int,
        unwanted: tuple[int, int] | None,
    ) -> Tell:
        box, words = mailbox.box, mailbox.words
        fill, offset, in_hand = box.recover()
        box.end_timer()  # the next life begins without any
        if not in_hand:
            return _nothing
        record = mailbox.record(offset)
        deliveries = words[DELIVERIES] + 1
        most = 0 if _is_for(record, unwanted) else most
        has_raised = report.reason.kind is ExitKind.ERROR
        again = self._begins_again(mailbox, record, report, deliveries, most, has_raised=has_raised)
        tell: Tell = _nothing
        if record.kind == Kind.CALL and not again:
            tell = self._lose(mailbox, record, report, deliveries, _has_killed(report))
        if again or record.kind not in (Kind.CALL, Kind.EVENT):
            words[DELIVERIES] += record.kind in (Kind.CALL, Kind.EVENT)
            words[STATE] = pack_state(fill, offset)
        else:
            words[DELIVERIES] = 0
            words[STATE] = pack_state(fill, offset + box.lengths[offset >> 2])
        return tell

    def _recover_held(
        self, mailbox: ActorMailbox, slot: Slot, report: CrashReport, most: int
    ) -> Tell:
        """Decide on a message that the dead actor held out of the batch."""
        record, state = slot.record, slot.state
        if state == table.DONE or record.kind == Kind.MOVED:
            self._free(*record)
            slot.release()
            return _nothing
        if state in (table.STASHED, table.WAITING):
            # Put aside, or not begun by this life: the next one has it, as all that still waits.
            slot.state = table.WAITING
            return _nothing
        deliveries = slot.deliveries + 1
        has_raised = state == table.FAILED
        most = 0 if state == table.OWED else most  # another actor's message
        if self._begins_again(mailbox, record, report, deliveries, most, has_raised=has_raised):
            slot.deliveries = deliveries
            slot.state = table.WAITING
            return _nothing
        tell: Tell = _nothing
        if record.kind == Kind.CALL:
            is_error = report.reason.kind is ExitKind.ERROR
            at_work = state not in (table.LATER, table.OWED)
            if not at_work and not report.reason.is_abnormal:
                self._break_off(mailbox, record, "has stopped")
                slot.release()
                return _nothing
            may_have_killed = at_work and (has_raised or not is_error)
            killed = may_have_killed and _has_killed(report)
            tell = self._lose(mailbox, record, report, deliveries, killed)
        slot.release()
        return tell

    def _begins_again(
        self,
        mailbox: ActorMailbox,
        record: Record,
        report: CrashReport,
        deliveries: int,
        most: int,
        *,
        has_raised: bool,
    ) -> bool:
        """Whether the next life gets a message; `has_raised`: its handler has ended this one."""
        if record.kind == Kind.CALL and open_envelope(record.body).method[:1] == STREAM_KEY:
            return False  # its reader has had some items already
        if record.kind != Kind.EVENT:
            # An exception is no process's crash.
            return not has_raised and deliveries < most
        # The hook is called once; again only if it was cut off, not if it has raised.
        again = not has_raised and deliveries < _EVENT_TRIES
        if not again:
            _log.error("%s is not told of an event again: it %s", mailbox.name, report.reason)
        return again

    def _lose(
        self,
        mailbox: ActorMailbox,
        record: Record,
        report: CrashReport,
        deliveries: int,
        killed: bool,
    ) -> Tell:
        """Free a message that a death has cut off; return what tells of it.

        Args:
            mailbox: the dead actor's.
            record: the message.
            report: of the death.
            deliveries: how often the message was begun.
            killed: it is to blame for the death, as far as can be known.
        """
        _, flags, body = record
        envelope = open_envelope(body)
        # Not a batch: its payloads are the pool's, which knows the item that is to blame. Nor a
        # stream, whose channel is gone.
        is_batch = envelope.method[:1] in (BATCH_KEY, STREAM_KEY)
        kept: DeadLetter | None = None
        # An ask goes to the file alone, and only if it has killed its actor.
        if not envelope.reply or (self.letters.keeps and killed and not is_batch):
            letter = self._letter(mailbox.name, flags, envelope, mailbox)
            kept = dataclasses.replace(letter, deliveries=deliveries, killed=killed)
        else:
            self._store.discard(flags, envelope.payload)
        reply, call = envelope.reply, envelope.call
        if reply:
            self.tally.broken(mailbox.name)
        # Before it vanishes from box or table: who cancels it looks for it there, or for this.
        mailbox.words[UNTOLD] += 1

        def tell(whole: CrashReport) -> None:
            if reply:
                self.answer(reply, call, Kind.VERDICT, ActorDied(whole.brief(), whole))
            with contextlib.suppress(ValueError):  # its box is closed by now
                mailbox.words[UNTOLD] -= 1
            if kept is not None:
                # The crash has been logged: one line of it will do.
                letter = dataclasses.replace(kept, reason=str(whole))
                self._keep(letter, mailbox, None if reply else whole.brief(1))

        return tell

    def close_mailbox(self, mailbox: ActorMailbox, why: str) -> None:
        """Answer everything that is left in the mailbox of an actor that is gone for good."""
        # The mark first: a writer that finds the closed pipe full looks at it.
        mailbox.words[CLOSED] = GONE
        mailbox.settle()
        for slot in mailbox.slots():
            if slot.state == table.DONE:
                self._free(*slot.record)
            elif slot.state in (table.LATER, table.OWED):
                self._break_off(mailbox, slot.record, why)
            else:
                self._refuse(mailbox, *slot.record, why)
            slot.release()
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
        if os.path.isdir(os.path.join(path, "streams")):  # made with the first one
            channel.sweep_streams(path, process)
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

    def _break_off(self, mailbox: ActorMailbox, record: Record, why: str) -> None:
        """Answer for a message whose handler has ended, and whose answer was to come later."""
        envelope = open_envelope(record.body)
        self.tally.broken(mailbox.name)
        text = f"{mailbox.name} {why}, and had not sent the answer that {envelope.handler} put off"
        self.answer(envelope.reply, envelope.call, Kind.VERDICT, ReplyError(text))
        self._free(*record)

    def _free(self, kind: int, flags: int, body: memoryview) -> None:
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
        if self.announce is not None and not letter.asked:
            self.announce.dead_lettered(letter)
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
            deliveries=0,
            sender=envelope.sender,
            head=head,
            buffers=buffers,
            is_call=envelope.method > CALLS,
            at=at,
            class_name=mailbox.class_name if mailbox is not None else "",
            killed=False,
            asked=bool(envelope.reply),
            method=envelope.method,
            actor_id=mailbox.id if mailbox is not None else actor,
            serial=serial,
        )


def _is_for(record: Record, unwanted: tuple[int, int] | None) -> bool:
    return unwanted is not None and is_call(record, *unwanted)


def _nothing(_: CrashReport) -> None:
    """Tell of no message: none was in hand, or the next life gets it."""


def _has_killed(report: CrashReport) -> bool:
    """Whether the message in hand is to blame, as far as can be known: not if we ended it."""
    return report.reason.is_abnormal and report.reason.kind is not ExitKind.KILLED
