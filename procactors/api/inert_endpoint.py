"""A transport that sends nothing: of a system that is inert, or that has long ended.

Layer: api. Runs in: zygote and actor; where a dead letter is replayed.
Owns: nothing: no directory, no descriptor, no thread.
Never: lets a message of a handler vanish without a word.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from time import monotonic
from typing import Any, NoReturn

from procactors.process.nesting import importer
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded
from procactors.wire.replies.port import PendingReply
from procactors.wire.transport import INERT, MAIN, SUPERVISOR, enter, inert_error

__all__ = ["InertEndpoint", "NullTransport"]

_numbers = itertools.count(1)

#: Names what a question to the supervisor was about.
_HERE = "what is used here"


class NullTransport:
    """What refs find in a process in which their system is not; a subclass has the error's words.

    Args:
        path: the system's.
    """

    reply_number = 0
    has_threads = True
    beside: Callable[[Any, str], Callable[[], None]] | None = None
    now: Callable[[], float] = monotonic
    open_stream: Callable[..., Any] | None = None
    refuse: Callable[[str], None] | None = None
    gate_of: Callable[[Any], Any] | None = None
    make_letter: Callable[..., Any] | None = None
    is_abandoned = False
    is_copy = False

    def __init__(self, path: str) -> None:
        self.path = path
        self.actor = MAIN
        self.is_concurrent = False
        self.encode: Callable[..., Encoded] = _nothing
        self.make_lock: Callable[[], Any] = threading.Lock
        self.make_guard: Callable[[], Any] = threading.RLock
        self.make_mutex: Callable[[], Any] = threading.RLock
        self.make_condition: Callable[[Any], Any] = threading.Condition
        self.make_queue: Callable[[], Any] = SimpleQueue
        enter(self)

    def error(self, name: str) -> Exception:
        """Return the error of a message to the actor of that name."""
        raise NotImplementedError

    @property
    def store(self) -> PayloadStore:
        """Raise: there is no directory."""
        raise self.error(_HERE)

    def tell(self, actor: int, name: str, *_: Any, **__: Any) -> None:
        """Raise: it is not sent."""
        raise self.error(name)

    def tell_many(self, actor: int, name: str, *_: Any, **__: Any) -> None:
        """Do what `tell` does, once for all of them."""
        self.tell(actor, name)

    def ask(self, actor: int, name: str, *_: Any, **__: Any) -> NoReturn:
        """Raise at once: no answer will ever come."""
        raise self.error(_HERE if actor == SUPERVISOR else name)

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: PendingReply,
        *_: Any,
        **__: Any,
    ) -> None:
        """Fail the reply and not the call: a module may only want to keep the future."""
        pending.deliver(None, self.error(name))

    def expect(self, pending: Any) -> NoReturn:
        """Say so: no answer comes here."""
        raise self.error("a stream")

    def take_back(self, actor: int, call: int) -> bool | None:
        """Return False: nothing was sent."""
        return False

    def who_answers(self, actor: int, call: int) -> int:
        """Return the actor itself: nothing was sent."""
        return actor

    def want_no_more(self, actor: int, call: int) -> None:
        """Do nothing: nothing was sent."""

    def pass_on(self, actor: int, name: str, *_: Any) -> None:
        """Raise: nothing has come here."""
        raise self.error(name)

    def hurry(self) -> None:
        """Nothing is waited for."""

    look = hurry

    def bring(self, reply: Any) -> None:
        """Nothing is waited for."""

    def stop_in_order(self, actor: int) -> None:
        """Put nothing anywhere; the command that follows is answered with the error."""

    def open(self, answer: Any) -> tuple[bool, Any]:
        """Raise: no answer will ever come."""
        raise self.error(_HERE)

    def discard(self, answer: Any) -> None:
        """Do nothing: an answer that never comes has no payload."""

    def words(self, actor: int) -> memoryview | None:
        """Return None: there is no black box."""
        return None

    def run_callback(self, callback: Callable[[], None]) -> None:
        """Run it at once: there is no thread."""
        callback()

    def begin(self, call: Callable[[], None], name: str) -> None:
        """Begin a call in a thread of its own: it finds what there is to say."""
        threading.Thread(target=call, name=f"procactors-{name}", daemon=True).start()

    def on_close(self, action: Callable[[], None]) -> None:
        """Do nothing: what is not open is not closed."""

    def off_close(self, action: Callable[[], None]) -> None:
        """Do nothing: no action was kept."""

    def check_process(self) -> None:
        """Raise: the system is not there."""
        raise self.error(_HERE)

    def check_copy(self) -> None:
        """Raise nothing: a reply that is waited for has its error already."""


class InertEndpoint(NullTransport):
    """What refs of an inert system find in the process that made it.

    Args:
        module: that was being imported.
    """

    def __init__(self, module: str) -> None:
        super().__init__(f"{INERT}{module}/{os.getpid()}-{next(_numbers)}")
        self.module = module

    def error(self, name: str) -> Exception:
        """Return what says that the system was made while a module was imported."""
        return inert_error(name, self.module)

    def tell(self, actor: int, name: str, *_: Any, **__: Any) -> None:
        """Drop what the module itself tells while it is imported: the program's own has told it."""
        if importer() is None:
            raise self.error(name)


def _nothing(value: Any, what: str = "message", *, hands_over: bool = False) -> Encoded:
    """Encode nothing: no process will read it."""
    return Encoded(b"", ())
