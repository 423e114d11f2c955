"""The loop of an actor with coroutines in this process.

Layer: local. Runs in: one process, in the thread that serves the actor just now.
Owns: nothing: the event loop is the life's.
Never: does with a message anything else than `runner.async_loop` does.

    one thread an actor: the whole life is one step, in which the event loop runs
    deterministic:       each step is what is ready in the event loop, until others are ready, too
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.here import Killed
from procactors.local.serving import Serving
from procactors.runner.async_loop import AsyncLoop
from procactors.runner.hand import Hand
from procactors.wire.envelope import WHOLE
from procactors.wire.mailbox.black_box import CONTROL, HALT
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.record import Kind, Record, parse

if TYPE_CHECKING:
    from procactors.local.event_loop import EngineLoop
    from procactors.local.events import LocalEvents
    from procactors.local.host import LocalHost
    from procactors.local.transport import LocalTransport

__all__ = ["LocalAsyncLoop"]

_CALL = int(Kind.CALL)


class LocalAsyncLoop(Serving, AsyncLoop):
    """Serves one life of an actor with coroutines.

    Args:
        host, reader, transport, instance, lost, history: as `LocalLoop`.
        events: the actor's event loop.
        most: messages that may be in hand at once.
    """

    is_quiet = False

    def __init__(
        self,
        host: LocalHost,
        reader: Any,
        transport: LocalTransport,
        instance: Any,
        lost: Callable[[bytes, str], None],
        history: Callable[[Any], None] | None,
        events: LocalEvents,
        most: int,
    ) -> None:
        super().__init__(reader, transport.store, host.id, instance, lost, events, most)
        self._settle(host, transport, history)
        self._is_stepped = transport.engine.is_virtual
        #: Calls whose handlers were told to leave: once, since they may await on their way out.
        self._leaving: set[int] = set()
        self.clock = transport.engine.now
        events.wake = self.wake

    def serve(self) -> bool:
        """Run the event loop until others are ready; return False: this life comes to its end.

        Raises:
            WouldWait: nothing is ready. What ends this life.
        """
        if not self._is_stepped:
            self.run()
            return False
        loop: EngineLoop = self._loop  # type: ignore[assignment]
        try:
            if not self._is_begun:
                self._is_begun = True
                self._begin_all()
            elif self._has_news() and not self._is_woken:
                self._is_woken = True
                loop.call_soon(self._pump, context=self._outside.copy())
            loop.turn()
            is_over = loop.was_stopped() and self._is_through_all()
        except BaseException as error:
            self._unwind(error)
            raise
        if is_over:
            self._rest()
            self._end_all()
            return False
        if not loop.is_ready:
            raise WouldWait(loop.next_in())
        return True

    def _has_news(self) -> bool:
        reader: Any = self._reader  # in a replay it takes what is let through
        return bool(reader.records) or self._words[CONTROL] >= HALT or self._is_dead

    def cancel(self, call: int) -> None:
        """Have the handler of a call in hand leave, if it awaits. From any thread."""
        with contextlib.suppress(RuntimeError):  # it is being closed
            self._loop.call_soon_threadsafe(self._cancel_call, call)

    def _cancel_call(self, call: int) -> None:
        for hand in list(self.hands):
            if hand.reply and hand.call == call and hand.task is not None:
                self._have_leave(hand)

    def _go_on(self, hand: Hand, result: Any) -> None:
        super()._go_on(hand, result)
        if hand.reply and hand.call in self._host.cancelled:  # before it had a task
            self._have_leave(hand)

    def _have_leave(self, hand: Hand) -> None:
        if hand.call not in self._leaving and hand.task is not None:
            self._leaving.add(hand.call)
            # Behind its first step, as over processes.
            self._loop.call_soon(hand.task.cancel)

    @property
    def _is_dead(self) -> bool:
        reader: Any = self._reader
        return bool(reader.is_dead)

    # -- what is done with pipes there ------------------------------------------------------------

    def _pump(self) -> None:
        if self._is_dead:
            self._fail_with(Killed())
        else:
            super()._pump()

    def _taken_at(self, at: int) -> Record:
        return parse(self._box.current)

    def _hand_of(self, record: Record, at: int) -> Hand:
        if self._history is not None and record.kind == _CALL:
            whole = WHOLE.unpack_from(self._box.current)
            key = self._box.current[WHOLE.size : WHOLE.size + whole[-1]]
            self._history((self._now(), self._actor_name, key, whole[6]))
        return super()._hand_of(record, at)

    def _wait(self, seconds: float | None) -> None:
        """Have the event loop look when so many seconds are over; who sends has it look, too."""
        if seconds is not None:
            self._timer = self._loop.call_later(seconds, self._pump)

    def _look_away(self) -> None:
        """Nothing is watched: who sends has the loop look."""

    def _look_for_cancels(self) -> None:
        """Nothing is looked for: who cancels says so (`cancel`)."""
