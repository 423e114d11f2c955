"""The loop of an actor with coroutines: its main thread runs an event loop, and messages come in.

Layer: runner. Runs in: actor, main thread.
Owns: the event loop's watch over the mailbox, while it runs.
Never: a task of its own: all tasks are the user's, who may cancel each of them.

    mailbox readable ─► take ─► call the handler ─┬─ plain: answer ────────► done
          ▲                                       └─ coroutine: a task ─┐
          └──────────────── a task has ended: answer, done ◄────────────┘

With one message at a time the message in hand is the batch's, as in the plain loop. With more of
them each is held in the hands table, so that the next one can be taken.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

from procactors.errors import EncodeError, HandlerCancelled, StorageFull
from procactors.model.handlers import is_async
from procactors.runner.event_loop import EventLoop, Stepped, awaited, is_awaitable
from procactors.runner.hand import TIMER, Hand, Here, Run, here
from procactors.runner.loop import Loop, TellFailed
from procactors.runner.source import NOTHING, Source
from procactors.wire.envelope import BATCH_KEY, CALLS, TRACE, open_envelope
from procactors.wire.mailbox.black_box import (
    CANCELS,
    CONTROL,
    DELIVERIES,
    HALT,
    HANDS,
    PHASE,
    RUNNING,
    TERMINATE,
)
from procactors.wire.mailbox.hands import FAILED, Slot
from procactors.wire.mailbox.reader import MailboxReader, WouldWait
from procactors.wire.payload_store import PayloadStore
from procactors.wire.record import PADDING_AT, STAMP, Kind, Record, parse

if TYPE_CHECKING:
    from procactors.runner.schedule import Schedule, Timer
    from procactors.runner.timers import Timers

__all__ = ["AsyncLoop"]

H = TypeVar("H", bound=Hand)
T = TypeVar("T")

_log = logging.getLogger("procactors")

_CALL, _EVENT, _STOP, _MOVED = map(int, (Kind.CALL, Kind.EVENT, Kind.STOP, Kind.MOVED))
_RESULT = int(Kind.RESULT)

#: Messages that are begun in one turn of the event loop: then sockets and timers have theirs.
_AT_ONCE = 16
#: Seconds for which one step of a handler may hold up the event loop before it is warned of. Twice
#: what asyncio's debug mode calls slow: a busy machine keeps a process waiting as long.
_BLOCKED_S = 0.2
#: Seconds between two looks whether a call is cancelled whose handler awaits.
_CANCELS_EVERY_S = 0.05
#: Among the names of handlers that were warned of.
_NO_ROOM = ""


class AsyncLoop(Loop):
    """Serves one actor whose handlers may be coroutines.

    Args:
        reader, store, actor, instance, lost: as `Loop`.
        events: the actor's event loop.
        most: messages that may be in hand at once.
    """

    #: The clock by which a handler is found to have held up the event loop.
    clock: Callable[[], float] = monotonic

    def __init__(
        self,
        reader: MailboxReader,
        store: PayloadStore,
        actor: int,
        instance: Any,
        lost: Callable[[bytes, str], None],
        events: EventLoop,
        most: int,
    ) -> None:
        super().__init__(reader, store, actor, instance, lost)
        self._events = events
        self._loop = events.loop
        self._most = most
        #: What is in hand.
        self.hands: set[Hand] = set()
        #: Left by the life before: begun first.
        self._waiting: deque[Slot] = deque()
        self._patience: float | None = None
        # The message in hand in the batch is handled, and to be stepped behind.
        self._is_due = False
        # What is in hand is there in the batch: no other can be begun beside it.
        self._is_alone = False
        # The last handler was no coroutine.
        self._was_plain = False
        # Methods whose handlers were coroutines so far.
        self._awaited: set[bytes] = set()
        # Coroutines were begun whose first steps are due; what is to be begun behind these.
        self._are_due = self._are_more_due = False
        self._behind: Hand | None = None
        # No message more is taken.
        self._is_over = False
        # For it has come to its stop.
        self._is_through = False
        # Nor is one in hand.
        self._is_done = False
        # The batch of a pool that is to be run between two turns of the event loop.
        self._batch: Hand | None = None
        self._failure: BaseException | None = None
        self._is_watching = False
        self._timer: asyncio.TimerHandle | None = None
        self._is_woken = False
        self._outside = contextvars.copy_context()
        self._canceller: asyncio.TimerHandle | None = None
        self._seen_cancels = self._words[CANCELS]
        self._warned: set[str] = set()
        # What runs the actor's timers, once it has any; the runs that go on, the oldest first.
        self._timers: Timers | None = None
        self._runs: list[Run] = []

    # -- what handlers see of their own message -------------------------------------------------

    # What the plain loop has of the one message in hand, each message has for itself.
    deadline: Any = Here("deadline", 0.0)
    payload: Any = Here("received", None)
    is_taken: Any = Here("is_taken", False)
    on_raised: Any = Here("on_raised", None)
    _slot: Any = Here("slot", None)
    _is_put_aside: Any = Here("is_put_aside", False)

    @property
    def record(self) -> bytes:
        """The record of the message here; empty if there is none, or its handler has ended."""
        return super().record if here.get() in self.hands else b""

    @property
    def deliveries(self) -> int:
        """How often the message here has been begun, this time included; 0 in a timer."""
        hand = here.get()
        if hand is None or hand.kind == TIMER:
            return 0
        return (self._words[DELIVERIES] if hand.slot is None else hand.slot.deliveries) + 1

    @property
    def handler(self) -> str:
        """Name of the handler, or of the timer, here; empty if there is none."""
        hand = here.get()
        return hand.name if hand is not None and hand.kind != _EVENT else ""

    # -- the run --------------------------------------------------------------------------------

    def run(self) -> int:
        """Serve until the end; see `Loop.run`."""
        self._begin_all()
        try:
            self._loop.run_forever()
            while not self._is_through_all():
                self._loop.run_forever()
        except BaseException as error:
            self._unwind(error)
            raise
        finally:
            self._reader.is_polled = False
            self._rest()
        return self._end_all()

    def _begin_all(self) -> None:
        """Have the event loop begin with what the life before held, and then the mailbox."""
        self._words[PHASE] = RUNNING
        self._reader.is_polled = True
        if self._words[HANDS]:
            self._let_go_of_owed()
            self.held.unstash()
            self._waiting.extend(self.held.waiting())
        self._loop.call_soon(self._pump)

    def _is_through_all(self) -> bool:
        """The event loop was stopped: return whether that was the end; else it is to go on.

        Raises:
            What ends this life.
        """
        if self._failure is not None:
            raise self._failure
        if self._is_done:
            return True
        batch, self._batch = self._batch, None
        if batch is not None:
            # Outside of the event loop: its items run that, each in its turn.
            self._serve_batch(batch)
        # Else user code has stopped the loop, as its own programs would: it goes on.
        self._loop.call_soon(self._pump)
        return False

    def _end_all(self) -> int:
        """Step behind the last message; return the phase of the end."""
        if self._is_due:
            self.source.done(place=True)
        self._reader.give_back()
        return self._ended()

    def _unwind(self, error: BaseException) -> None:
        """Have the handlers unwind, if it is the supervisor that ends this life by SIGTERM."""
        self._failure = error  # what ends now is not answered: the supervisor answers for it
        tasks = [hand.task for hand in self.hands if hand.task is not None]
        if self._words[CONTROL] == TERMINATE and tasks:
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.wait(tasks))

    def leave(self) -> None:
        """End the actor behind the messages in hand."""
        super().leave()
        self.wake()

    def use(self, source: Source) -> None:
        """Take messages from `source` from now on; see `Loop.use`."""
        super().use(source)
        self.wake()

    def unstash(self) -> int:
        """Have all that was put aside begun, next of all; see `Loop.unstash`."""
        count = self.held.unstash() if self._words[HANDS] else 0
        if count:
            self._waiting = deque(self.held.waiting())
            if self._is_through and not self.is_ending:
                self._is_over = False  # a stop ends what was sent before it, and this was
            self.wake()
        return count

    def wake(self) -> None:
        """Look soon whether there is something to be done. From any thread."""
        if not self._is_woken and not self._loop.is_closed():
            self._is_woken = True
            # Not in the context of the handler that says so: what is begun has its own.
            self._loop.call_soon_threadsafe(self._pump, context=self._outside.copy())

    # -- taking ---------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Take what there is and there is room for; else have the event loop wait for it."""
        self._is_woken = False
        if self._is_done:
            return  # the event loop runs the actor's end by now, which nothing here is to stop
        if self._failure is not None or self._batch is not None or self._behind is not None:
            return
        try:
            self._take_some()
        except BaseException as error:  # noqa: BLE001 - as wide as what a handler may let through
            self._fail_with(error)

    def _take_some(self) -> None:
        for _ in range(_AT_ONCE):
            if self.leaving or self._words[CONTROL] >= HALT:
                self._is_over = True
            if self._is_over:
                self._look_away()  # what still comes stays where it is
                if not self.hands:
                    self._is_done = True
                    self._loop.stop()
                return
            if self.is_full:
                self._keep_running_timers()
                return  # the end of one calls again
            if self._waiting:
                self._begin_held(self._waiting.popleft())
            elif not self._take_next():
                return
            if self._batch is not None or self._behind is not None:
                return  # goes on behind it
            if self._was_plain and self.hands:
                break  # those that await have their turn between two plain ones
        self._loop.call_soon(self._pump)

    def _begin_held(self, slot: Slot) -> None:
        """Begin a message that waits in the hands table."""
        if self._is_due:  # else it would be in hand beside this one
            self._is_due = False
            self.source.done(place=True)
        if not self._is_left_out(slot):
            self._begin(Hand(slot.record, slot))

    def _take_next(self) -> bool:
        """Take the next message, if there is one; else see that the event loop waits for it."""
        is_due, self._is_due = self._is_due, False
        self._reader.is_alone = not self.hands
        try:
            source = self.source
            at = source.step(self._patience) if is_due else source.advance(self._patience)
        except WouldWait as wait:
            self._rest()
            self._wait(wait.seconds)
            if self.is_full:
                self._keep_running_timers()
            return False
        self._rest()
        if at < 0:
            self._is_over, self._is_through = True, at == NOTHING
            return True
        record = self._taken_at(at)
        if record.kind not in (_CALL, _EVENT):
            if record.kind == _STOP:
                self._patience = 0.0
            self._reader.turn(None)
            self._heed(*record)
            self.source.done(place=record.kind == _MOVED)
        elif record.kind == _EVENT or not self._is_skipped(record):
            self._begin(self._hand_of(record, at))
        return True

    def _taken_at(self, at: int) -> Record:
        """Return the record that has just been taken."""
        return parse(self._reader.box.raw, at)

    def _is_skipped(self, record: Record) -> bool:
        """Step behind the message in hand, if nobody wants it any more; return whether it was."""
        envelope = open_envelope(record.body)
        if not envelope.reply or (not envelope.deadline and self._words[CANCELS] == self._calm):
            return False
        if not self._is_unwanted(envelope.reply, envelope.call, envelope.deadline):
            return False
        self._skip(record.flags, record.body)
        return True

    def _hand_of(self, record: Record, at: int) -> Hand:
        """Return the message that has just been taken, held out of the batch if others may come."""
        if self._reader.meter is not None:
            self._have_counted(record, at)
        slot: Slot | None = None
        if self._most > 1:
            try:
                slot = self.held.hold(place=record.kind == _CALL)
            except StorageFull as error:
                # Then it stays in hand in the batch, and is the last one until it is handled.
                self._reader.turn(None)  # counted with those that end beside it
                if _NO_ROOM not in self._warned:
                    self._warned.add(_NO_ROOM)
                    _log.warning("%s", error)
        return Hand(slot.record if slot is not None else record, slot)

    def _have_counted(self, record: Record, at: int) -> None:
        """Have the message that has just been taken be counted, if it stays in the batch."""
        key = open_envelope(record.body).method if record.kind == _CALL else None
        if key is None or key != self._reader.key:
            self._reader.turn(key)
        if key is not None and self._reader.box.raw[at + PADDING_AT] >= STAMP:
            self._reader.waited(at)

    def _wait(self, seconds: float | None) -> None:
        """Have the event loop call when a message comes, or so many seconds are over."""
        if not self._is_watching:
            self._is_watching = True
            self._loop.add_reader(self._reader.fileno(), self._readable)
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._pump)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _readable(self) -> None:
        if not self.is_full:
            self._pump()
            return
        self._look_away()  # there is no room for it now

    def _look_away(self) -> None:
        """Watch the mailbox no more: what is not taken would be reported in each turn."""
        if self._is_watching:
            self._is_watching = False
            self._loop.remove_reader(self._reader.fileno())

    @property
    def is_full(self) -> bool:
        """Whether no message can be begun before one has ended."""
        return self._is_alone or len(self.hands) >= self._most

    # -- handling -------------------------------------------------------------------------------

    def _begin(self, hand: Hand) -> None:
        """Call the handler of a message; a coroutine goes on as a task."""
        if hand.key[:1] == BATCH_KEY:
            self._batch, self._is_alone = hand, True
            self._loop.stop()
            return
        self._is_alone = hand.slot is None
        if self._are_due and hand.key not in self._awaited:
            # A plain handler would run at once, before the first steps of what was sent before it.
            self._behind = hand
            self._loop.call_soon(self._begin_behind)
            return
        self._was_plain = True
        self._run_in(hand, self._call)

    def _begin_behind(self) -> None:
        """Begin what is to be begun behind the first steps of others."""
        hand, self._behind = self._behind, None
        if hand is None or self._failure is not None:
            return
        self._was_plain = True
        try:
            self._run_in(hand, self._call)
        except BaseException as error:  # noqa: BLE001 - as in `_pump`
            self._fail_with(error)
        else:
            self._loop.call_soon(self._pump)

    def _run_in(self, hand: Hand, call: Callable[[Hand], None]) -> None:
        """Call with a message that is begun, in a context of its own."""
        self.hands.add(hand)
        try:
            _in_context(hand, call)
        except TellFailed:
            self._blame(hand)
            raise

    def _call(self, hand: Hand) -> None:
        """Call the handler, in the context of its message; answer, but for a coroutine's result."""
        began = self.clock()
        if hand.kind == _EVENT:
            result = self._hook(hand)
        else:
            try:
                handler = self._bound.get(hand.key) or self._bind(hand.key)
                value = self._opened(hand)
            except Exception as error:  # noqa: BLE001 - whatever unpickling the user's value raised
                body = b"" if hand.flags else hand.body
                self._refuse(error, hand.key, hand.call, hand.reply, body)
                self._end(hand)
                return
            try:
                result = handler(*value[0], **value[1]) if hand.key > CALLS else handler(value)
            except Exception as error:  # noqa: BLE001 - the user's; it goes to the caller
                self._raised(error, hand.key, hand.call, hand.reply)
                self._end(hand)
                return
            del value  # it may be large, and a coroutine has what it needs of it
        if is_awaitable(result):
            self._go_on(hand, result)
            return
        if len(self.hands) > 1:
            self._took(hand, self.clock() - began)
        self._answer_with(hand, result)
        self._end(hand)

    def _hook(self, hand: Hand) -> Any:
        try:
            return self.on_event(hand.flags, memoryview(hand.body))
        except Exception as error:
            raise TellFailed(error) from error

    def _opened(self, hand: Hand) -> Any:
        """Return the value of a message: (args, kwargs), or what `receive` gets."""
        value, received = self._value_of(hand.flags, hand.body)
        if received is not None:
            if hand.slot is None:
                hand.received = received
            else:
                received.leave()  # it is freed with the slot
                self.held.keep(hand.slot)
        hand.body = b""
        return value

    def _go_on(self, hand: Hand, result: Any) -> None:
        """Have the event loop run what a handler has returned to be awaited."""
        self._was_plain = False
        self._start_task(hand, result, self._finished)
        if TRACE not in hand.key:  # of which there are as many as messages
            self._awaited.add(hand.key)
        if self._are_due:
            self._are_more_due = True
        else:
            self._are_due = True
            self._loop.call_soon(self._have_stepped)
        if hand.reply and self._canceller is None:
            self._look_for_cancels()

    def _have_stepped(self) -> None:
        """The first coroutine that was due has had its first step, and maybe the others."""
        self._are_due, self._are_more_due = self._are_more_due, False
        if self._are_due:
            self._loop.call_soon(self._have_stepped)

    def _start_task(
        self, hand: Hand, result: Any, ended: Callable[[Any, asyncio.Task[Any]], None]
    ) -> None:
        inner = result if asyncio.iscoroutine(result) else awaited(result)
        stepped = Stepped(inner, _BLOCKED_S, functools.partial(self._took, hand), self.clock)
        hand.task = task = self._loop.create_task(stepped)
        task.set_name(hand.name)
        task.add_done_callback(functools.partial(ended, hand))

    def _finished(self, hand: Hand, task: asyncio.Task[Any]) -> None:
        """A handler's task has ended: answer, and take what waits for its place."""
        hand.task = None  # its context has the hand: each would keep the other
        if self._failure is not None:
            # This life has ended: the supervisor answers. Asked for, or asyncio would complain.
            _ = task.cancelled() or task.exception()
            return
        try:
            if task.cancelled():
                self._cancelled(hand)
            elif (error := task.exception()) is not None:
                self._failed(hand, error)
            else:
                self._answer_with(hand, task.result())
            self._end(hand)
        except BaseException as error:  # noqa: BLE001 - as wide as what a handler lets through
            self._blame(hand)
            self._fail_with(error)
        else:
            self._pump()

    def _failed(self, hand: Hand, error: BaseException) -> None:
        if not issubclass(type(error), Exception):
            raise error
        if hand.kind != _CALL:
            raise TellFailed(error) from error
        self._raised(cast("Exception", error), hand.key, hand.call, hand.reply)

    def _cancelled(self, hand: Hand) -> None:
        """Answer for a handler that a cancellation has left: by whomever, it was wanted."""
        text = f"{hand.name} was cancelled in the actor: it has no result"
        if hand.is_taken:
            on_raised = self._end_taken()
            if on_raised is None or not on_raised(HandlerCancelled(text)):
                _log.warning("%s", text)
        elif hand.reply:
            self._fail(hand.call, hand.reply, HandlerCancelled(text))
        else:
            _log.warning("%s", text)

    def _answer_with(self, hand: Hand, result: Any) -> None:
        if hand.is_taken:
            self._end_taken()
            return
        if not hand.reply:
            return
        try:
            self._answer(hand.reply, hand.call, _RESULT, result)
        except (EncodeError, StorageFull) as error:
            self._unsendable(hand.key, hand.call, hand.reply, error)

    def _end(self, hand: Hand) -> None:
        """Step behind a message that is handled."""
        self.hands.discard(hand)
        if self._timers is not None:
            self._timers.end_stretch()
        if hand.slot is not None:
            if not hand.is_put_aside:
                self.held.finish(hand.slot)
            return
        self._is_alone = False
        if hand.kind == _EVENT:
            self.source.done(place=False)
        else:
            self._is_due = hand.received is None or not self._step_behind(hand.received)

    def _look_for_cancels(self) -> None:
        """Cancel the tasks whose callers have cancelled their calls; look again while any is left.

        The mailbox is not read while there is no room for a message, so nothing there would tell.
        """
        self._canceller = None
        words = self._words
        if words[CANCELS] != self._seen_cancels:
            self._seen_cancels = words[CANCELS]
            ones = self._unwanted_ones()
            for hand in list(self.hands):
                is_awaited = hand.task is not None and hand.reply
                if is_awaited and ones.is_cancelled(hand.reply, hand.call):
                    # Behind its first step, which is due: a handler that has begun, as its caller
                    # was told, is to see the cancellation, and not to be left out.
                    self._loop.call_soon(cast("asyncio.Task[Any]", hand.task).cancel)
        if any(hand.reply for hand in self.hands):
            self._canceller = self._loop.call_later(_CANCELS_EVERY_S, self._look_for_cancels)

    def _blame(self, hand: Hand) -> None:
        """Note that the handler of a message ends this life."""
        if hand.slot is not None and not hand.is_put_aside:
            hand.slot.state = FAILED

    def _fail_with(self, error: BaseException) -> None:
        self._failure = error
        self._loop.stop()

    def _took(self, hand: Hand, seconds: float) -> None:
        """Warn of a handler that has held up the event loop, once."""
        if seconds <= _BLOCKED_S or hand.name in self._warned:
            return
        self._warned.add(hand.name)
        _log.warning(
            "%s held up its actor's event loop for %.2f s: nothing else ran there meanwhile; "
            "await what blocks (ref.aio.ask for a blocking ask), or give it to asyncio.to_thread",
            hand.name,
            seconds,
        )

    # -- timers ---------------------------------------------------------------------------------

    def keep_time(self, schedule: Schedule) -> None:
        """Run what has come due on a schedule; see `Loop.keep_time`."""
        super().keep_time(schedule)
        self._timers = cast("Timers", self.source)
        # By a handler that goes on meanwhile, while the loop waits for what was next.
        schedule.on_sooner = self.wake

    @property
    def is_at_work(self) -> bool:
        """Whether handlers are under way."""
        return bool(self.hands)

    def _keep_running_timers(self) -> None:
        """Run timers though no message can be begun: those in hand may wait for one."""
        if self._timers is None or self._most == 1:
            return  # one at a time: timers have their turn between two messages
        if not self._timers.run_due():
            self._is_over = True
            self.wake()
            return
        self._rest()
        if (seconds := self._timers.next_in()) is not None:
            self._timer = self._loop.call_later(seconds, self._pump)

    def run_timer(self, timer: Timer) -> bool:
        """Call a timer's method; a coroutine goes on as a task, beside messages if these may."""
        if any(run.timer is timer for run in self._runs):
            return True  # its last run goes on: this instant is left out
        run = Run(timer, self.now_ns())
        self._runs.append(run)
        self._mark()
        try:
            _in_context(run, self._begin_run)
        except BaseException as error:
            self._name(run, has_failed=True)
            if issubclass(type(error), Exception):
                raise TellFailed(error) from error
            raise
        if run.task is None:
            self._end_run(run)
        return run.task is None or self._most > 1

    def _begin_run(self, run: Run) -> None:
        timer = run.timer
        result = getattr(self._instance, timer.method)(*timer.args)
        if is_awaitable(result):
            self.hands.add(run)
            self._start_task(run, result, self._run_finished)

    def _run_finished(self, run: Run, task: asyncio.Task[Any]) -> None:
        """A timer's task has ended: raising ends the actor, as in a tell."""
        run.task = None  # its context has the run: each would keep the other
        error = None if task.cancelled() else task.exception()
        if self._failure is not None:
            return
        self.hands.discard(run)
        if error is not None:
            self._name(run, has_failed=True)
            is_users = issubclass(type(error), Exception)
            self._fail_with(TellFailed(error) if is_users else error)
            return
        if task.cancelled():
            _log.warning("%s was cancelled in the actor", run.name)
        try:
            self._end_run(run)
        except BaseException as failed:  # noqa: BLE001 - as wide as what a hook may let through
            self._fail_with(failed)
        else:
            self._pump()

    def _end_run(self, run: Run) -> None:
        if self._keeper is not None:
            self._keeper.changed()
        self._runs.remove(run)
        self._mark()

    def _mark(self) -> None:
        """Have the box name the oldest run that goes on: if one hangs, it does."""
        if self._runs:
            self._name(self._runs[0])
        else:
            self._reader.box.end_timer()

    def _name(self, run: Run, *, has_failed: bool = False) -> None:
        self._reader.box.begin_timer(run.timer.label, run.since, has_failed=has_failed)

    # -- batches of a pool ----------------------------------------------------------------------

    def _serve_batch(self, hand: Hand) -> None:
        try:
            self._is_due = not _in_context(hand, self._serve_whole)
        finally:
            self._is_alone = False

    def _serve_whole(self, hand: Hand) -> bool:
        return self._serve(hand.key, hand.flags, hand.body, hand.call, hand.reply)

    def _busy(self) -> tuple[Callable[[int], None], bool]:
        hand = here.get()
        if hand is None or hand.slot is None:
            return super()._busy()[0], True
        return hand.slot.busy_since, True

    def _item_handler(self, key: bytes) -> Callable[..., Any]:
        handler = super()._item_handler(key)
        if not is_async(handler):
            return handler
        return lambda *args, **kwargs: self._events.finish(handler(*args, **kwargs))


def _in_context(hand: H, call: Callable[[H], T]) -> T:
    """Call with a message that is begun, or a timer's run, in a context in which it is `here`."""
    context = contextvars.copy_context()
    context.run(here.set, hand)
    return context.run(call, hand)
