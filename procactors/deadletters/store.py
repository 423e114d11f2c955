"""A system's dead letters in memory: looking at them, and sending them again.

Layer: deadletters. Runs in: parent; written by the supervisor's thread, read by any thread.
Owns: the letters, up to a bound; older ones go, their number is kept. Subscriptions, with a thread
each, and what writes the letters to a file (`close`).
Never: unpickles a message: that may run, or kill, anything.
"""

from __future__ import annotations

import builtins
import collections
import itertools
import threading
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Protocol

from procactors.deadletters.letter import DeadLetter
from procactors.errors import ActorStopped, InvalidSpec
from procactors.model.checks import flag, patience, plain_function, text
from procactors.observe.subscription import Subscription
from procactors.wire.transport import Transport

__all__ = ["DeadLetters", "LetterSink"]

#: Letters kept in memory; a flood of them must not fill the parent's.
_KEPT = 10_000


class LetterSink(Protocol):
    """Keeps the letters in a file, too; its methods return at once, but for `close`."""

    def keep(self, letter: DeadLetter, blueprint: str | None) -> None:
        """Have a letter written, with its actor's blueprint, if that is still there."""

    def forget(self, serial: int) -> None:
        """Have a letter removed that was sent again."""

    def actor_up(self, name: str) -> None:
        """Note that an actor has come up: letters may be marked for it."""

    def close(self, timeout: float) -> None:
        """Write what waits, within `timeout` seconds, and close the file."""


class DeadLetters:
    """The system's dead letters, oldest first: iterable, with a length.

    The last 10 000 are kept in memory. They stay readable after the system's end.

    Attributes:
        total: how many there have been, those no longer kept included.
        changes: how often a letter has come or gone, from 1.
    """

    def __init__(self) -> None:
        self._letters: collections.OrderedDict[int, DeadLetter] = collections.OrderedDict()
        # Guards letters, count and subscriptions against a reader that copies while the
        # supervisor adds. Reentrant: a signal handler of the application may stop the system.
        self._lock = threading.RLock()
        self._serials = itertools.count(1)
        #: Letters that are being sent, or were: no other thread must send them too.
        self._leaving: set[int] = set()
        self._subscriptions: list[Subscription[DeadLetter]] = []
        self._missed = 0
        self._closed = False
        self._file: LetterSink | None = None
        self._endpoint: Transport | None = None
        self._address_of: Callable[[str], int | None] = lambda _name: None
        self.total = 0
        self.changes = 1
        #: Called with the total when it has grown.
        self.on_total: Callable[[int], None] = lambda _total: None

    # -- looking ------------------------------------------------------------------------------

    def list(
        self, actor: str | None = None, *, reason: str = "", killed: bool | None = None
    ) -> builtins.list[DeadLetter]:
        """Return the letters in memory, oldest first.

        Args:
            actor: only letters to the actor of that name.
            reason: only letters whose reason has this text in it.
            killed: only letters that killed their actor (True), or that did not (False).

        Raises:
            InvalidSpec: an argument that makes no sense.
        """
        if actor is not None:
            actor = text("an actor's name", actor)
        if not isinstance(reason, str):
            raise InvalidSpec(f"reason is a string, not {reason!r}")
        if killed is not None:
            killed = flag("killed", killed)
        return [
            letter
            for letter in self
            if (actor is None or letter.actor == actor)
            and reason in letter.reason
            and (killed is None or letter.killed is killed)
        ]

    def count(
        self, actor: str | None = None, *, reason: str = "", killed: bool | None = None
    ) -> int:
        """Return how many letters in memory `list` would give."""
        return len(self.list(actor, reason=reason, killed=killed))

    def find(self, serial: int) -> DeadLetter:
        """Return the letter of that number in this system.

        Raises:
            LookupError: it is not in memory (any more).
        """
        letter = self._letters.get(serial)
        if letter is None:
            raise LookupError(f"letter {serial} is not in the list: it was sent again, or dropped")
        return letter

    def counts(self) -> dict[str, int]:
        """Return the number of letters in memory by actor, most first."""
        return dict(collections.Counter(letter.actor for letter in self).most_common())

    def subscribe(self, callback: Callable[[DeadLetter], object]) -> Callable[[], None]:
        """Have `callback` called with each letter from now on; return what ends that.

        Each subscription has a thread of its own, in which its letters come in order. An
        exception in the callback is logged. A callback that is slow holds up no other: beyond
        10 000 letters that wait for it the next ones are counted (`missed`) and logged, not shown.
        When the system stops, the callback gets what is left within the stop's deadline.

        Raises:
            ActorStopped: the system was stopped. InvalidSpec: a callback that is no plain function.
        """
        callback = plain_function("callback", callback)
        with self._lock:
            if self._closed:
                raise ActorStopped("the system was stopped: there will be no dead letter")
            subscription = Subscription(callback, "dead letter", latest=False, on_close=self._leave)
            self._subscriptions.append(subscription)
        return subscription.close

    def _leave(self, subscription: Subscription[DeadLetter]) -> None:
        with self._lock:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
                self._missed += subscription.dropped

    @property
    def missed(self) -> int:
        """How many letters were not shown to a subscriber that was too slow, in sum."""
        with self._lock:
            return self._missed + sum(one.dropped for one in self._subscriptions)

    # -- sending again ------------------------------------------------------------------------

    def requeue(self, letter: DeadLetter, timeout: float | None = None) -> None:
        """Send a letter again, as a tell, to the live actor of that name; it leaves the list.

        It goes behind what waits in the mailbox, and its deliveries start anew. Blocks only for a
        free place in a bounded mailbox, up to `timeout` seconds (None: for ever).

        Raises:
            ActorStopped: no live actor has that name; the letter stays.
            LookupError: the letter is not in this list (any more).
            DeliveryError: its content was lost, or the mailbox is full; the letter stays.
        """
        if not isinstance(letter, DeadLetter):
            raise InvalidSpec(f"requeue takes a letter of this list, not {letter!r}")
        timeout = patience("timeout", timeout)
        if self._endpoint is not None:
            self._endpoint.check_process()
        known = self._letters.get(letter.serial) is letter
        if not known or not self.begin_leaving(letter.serial):
            raise LookupError(
                f"this letter to {letter.actor} is not in the list: it was sent again already, or "
                f"is another system's"
            )
        gone = False
        try:
            self._send(letter, timeout)
            gone = True
        finally:
            self.end_leaving(letter.serial, gone)
        if self._file is not None:
            self._file.forget(letter.serial)

    def requeue_all(self, actor: str | None = None, timeout: float | None = None) -> int:
        """Send all letters again (see `requeue`), oldest first; return how many were sent.

        Letters whose actor does not live stay, and so do those without content.

        Args:
            actor: only letters to the actor of that name.
            timeout: seconds for which each may wait for a free place; None waits for ever.

        Raises:
            ActorStopped: `actor` names no live actor. MailboxFull: no place came free in time.
        """
        timeout = patience("timeout", timeout)
        if self._endpoint is not None:
            self._endpoint.check_process()
        if actor is not None and self._address_of(text("an actor's name", actor)) is None:
            raise _no_live_actor(actor)
        sent = 0
        for letter in self.list(actor):
            if letter.head and self._address_of(letter.actor) is not None:
                try:
                    self.requeue(letter, timeout)
                except (ActorStopped, LookupError):  # stopped, or sent by another thread, meanwhile
                    continue
                sent += 1
        return sent

    def _send(self, letter: DeadLetter, timeout: float | None) -> None:
        actor = self._address_of(letter.actor)
        if actor is None or self._endpoint is None:
            raise _no_live_actor(letter.actor)
        self._endpoint.tell(actor, letter.actor, letter.method, letter.encoded, timeout)

    # -- the runtime's side -------------------------------------------------------------------

    @property
    def keeps(self) -> bool:
        """Whether letters go to a file too."""
        return self._file is not None

    def connect(self, endpoint: Transport, address_of: Callable[[str], int | None]) -> None:
        """Set the endpoint by which letters are sent again, and what finds their actors' ids."""
        self._endpoint, self._address_of = endpoint, address_of

    def keep_in(self, file: LetterSink) -> None:
        """Have all that comes from now on kept in a file, too."""
        self._file = file

    def stamp(self) -> tuple[str, int]:
        """Return (time, number) for the next letter."""
        # Imported here: actors import this module too, and never come here.
        import datetime as dt

        now = dt.datetime.now(dt.timezone.utc).isoformat(timespec="milliseconds")
        return now, next(self._serials)

    def add(self, letter: DeadLetter, blueprint: str | None = None) -> None:
        """Keep a letter.

        Args:
            letter: with time and number from `stamp`.
            blueprint: path of its actor's blueprint; None if that is gone.
        """
        with self._lock:
            if not letter.asked:  # else its caller knows: it is not lost without a word
                self._letters[letter.serial] = letter
                if len(self._letters) > _KEPT:
                    self._letters.popitem(last=False)
                self.total += 1
                self.changes += 1
                self.on_total(self.total)
                for subscription in self._subscriptions:
                    subscription.feed.offer(letter)
            if self._file is not None:
                self._file.keep(letter, blueprint)

    def begin_leaving(self, serial: int) -> bool:
        """Claim a letter for sending it; False if another thread has done so."""
        with self._lock:
            if serial in self._leaving:
                return False
            self._leaving.add(serial)
            return True

    def end_leaving(self, serial: int, gone: bool) -> None:
        """Say whether a letter that was claimed has been sent."""
        with self._lock:
            if gone:
                self._letters.pop(serial, None)
                self.changes += 1
            else:
                self._leaving.discard(serial)

    def actor_up(self, name: str) -> None:
        """Note that an actor of that name is up: letters may wait for it."""
        if self._file is not None:
            self._file.actor_up(name)

    def close(self, timeout: float) -> None:
        """Write and show what is left, within `timeout` seconds; end the threads."""
        deadline = monotonic() + timeout
        with self._lock:
            self._closed = True
            subscriptions = list(self._subscriptions)
        if self._file is not None:
            self._file.close(timeout)
        for subscription in subscriptions:
            subscription.finish()
        for subscription in subscriptions:
            subscription.join(max(0.0, deadline - monotonic()))

    def __len__(self) -> int:
        return len(self._letters)

    def __iter__(self) -> Iterator[DeadLetter]:
        with self._lock:
            return iter(tuple(self._letters.values()))

    def __repr__(self) -> str:
        return f"<DeadLetters: {len(self)} kept of {self.total}>"


def _no_live_actor(name: str) -> ActorStopped:
    return ActorStopped(
        f"no live actor is named {name!r}; spawn one with options(name={name!r}) first"
    )
