"""How a process sends to the actors of a system: what each kind of endpoint does alike.

Layer: wire. Runs in: parent and actor.
Owns: the table of this process's transports by their systems' paths.
Never: says how bytes travel: `endpoint` does, over pipes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from procactors.errors import ActorStopped, ForeignProcess
from procactors.wire.copies import in_copies
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, systems
from procactors.wire.replies.port import Answer, PendingReply

__all__ = [
    "INERT",
    "MAIN",
    "SUPERVISOR",
    "Answering",
    "Transport",
    "enter",
    "inert_error",
    "known_transport",
    "leave",
    "transport_of",
    "transports",
]

#: Actor ids with a meaning of their own: the main program as a sender, and the supervisor.
MAIN = SUPERVISOR = 0

#: How the path of a system begins that is inert and has no directory (`api.inert_endpoint`). It is
#: no path of a file, so that no other is mistaken for it.
INERT = "inert:/"


class Transport(Protocol):
    """A process's sending end in one system; thread-safe.

    Attributes:
        path: names the system, in this process and in the refs that it sends.
        actor: id of the actor that this process is; `MAIN` for the main program.
        is_concurrent: it is an actor that goes on with others while one of its handlers awaits.
        is_abandoned: the program has broken off what it did here and looks at no reply any more.
        encode: pickles a value for the system's other processes: `PayloadStore.encode`. An
            attribute, so that a message costs no call more. Plain arguments do without it
            (`pickling.plain`): so what `tell` and its like are given is a pickle or that.
        make_lock: makes the lock on which a thread waits that waits for a reply.
        make_guard: makes the lock that guards a reply's state, and reentrant ones like it.
        make_condition: makes a condition on such a lock.
        make_queue: makes what one thread puts into, and another one waits at.
        make_mutex: makes a lock that is held while something is waited for; reentrant.
        has_threads: threads run side by side; else one thing at a time.
        now: the clock of its timeouts, in seconds.
        beside: has a task's steps taken beside the rest, and returns what has the next one taken
            (`local.engine.Task`); None: a thread is begun for that.
        open_stream: opens the stream of a ref's generator, where that is not by pipes; None: it is.
        refuse: refuses what the backend does not promise, by its name in `model.backends`; None: it
            promises all.
        gate_of: in the main program, where actors are in other processes: returns a ref of this
            system's that stands for one of another system; None: its actors use that one as it is.
        make_letter: makes what feeds are sent with, where that is not by pipes; None: it is.
    """

    path: str
    actor: int
    is_concurrent: bool
    is_abandoned: bool
    encode: Callable[..., Encoded]
    make_lock: Callable[[], Any]
    make_guard: Callable[[], Any]
    make_condition: Callable[[Any], Any]
    make_queue: Callable[[], Any]
    make_mutex: Callable[[], Any]
    now: Callable[[], float]
    has_threads: bool
    beside: Callable[[Any, str], Callable[[], None]] | None
    open_stream: Callable[..., Any] | None
    refuse: Callable[[str], None] | None
    gate_of: Callable[[Any], Any] | None
    make_letter: Callable[..., Any] | None

    @property
    def store(self) -> PayloadStore:
        """Where payloads lie that other processes of the system map."""

    @property
    def is_copy(self) -> bool:
        """Whether this is a forked copy: nothing here is its own, and no thread goes on."""

    @property
    def reply_number(self) -> int:
        """Number of the way on which the answers to this process's submits come."""

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        """Put a message that wants no answer into an actor's mailbox.

        Raises:
            DeliveryError: it was not sent.
        """

    def tell_many(
        self,
        actor: int,
        name: str,
        method: bytes,
        messages: Iterable[Encoded],
        timeout: float | None = None,
    ) -> None:
        """Put messages that want no answer into an actor's mailbox, in order.

        Raises:
            DeliveryError: some were not sent, as its `sent` says. Whatever `messages` raises, when
                those before it are put.
        """

    def ask(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> Any:
        """Put a message and wait for its answer, up to `timeout` seconds (None: for ever).

        Raises:
            DeliveryError: it was not sent. ReplyError: no answer. Whatever the handler raised.
        """

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: PendingReply,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> None:
        """Put a message whose answer is handed to `pending`, in a thread of the transport's.

        Raises:
            DeliveryError: it was not sent, and nothing is delivered to `pending`.
        """

    def expect(self, pending: PendingReply) -> tuple[int, int]:
        """Expect an answer to no call; return the (reply, call) that it is to be sent to."""

    def take_back(self, actor: int, call: int) -> bool | None:
        """Cancel a call of a submit; return True: it has not begun, and never will.

        False: it has begun, and its handler is told, if it still runs. None: that could not be
        found out, for want of room. Waits for part of a millisecond, as a rule.
        """

    def who_answers(self, actor: int, call: int) -> int:
        """Return the actor that is to answer a call of a submit to `actor` now."""

    def want_no_more(self, actor: int, call: int) -> None:
        """Cancel a call of a submit, whose answer nobody waits for; does not wait."""

    def pass_on(self, actor: int, name: str, record: bytes, timeout: float | None = None) -> None:
        """Put a message that has come here into another actor's mailbox, for good.

        Raises:
            DeliveryError: it was not sent, and is still this process's.
        """

    def hurry(self) -> None:
        """Have answers to submits handed over as they come: somebody waits for one."""

    def look(self) -> None:
        """Somebody looks whether an answer has come: do what `hurry` does."""

    def bring(self, reply: Any) -> None:
        """Somebody is to wait for a reply among others: do what `hurry` does."""

    def stop_in_order(self, actor: int) -> None:
        """Put a stop behind everything that this process has sent to the actor so far."""

    def open(self, answer: Answer) -> tuple[bool, Any]:
        """Return (True, the result that an answer carries) or (False, the exception)."""

    def discard(self, answer: Answer) -> None:
        """Let go of an answer's payload, unread."""

    def words(self, actor: int) -> memoryview | None:
        """Return the words of an actor's black box; None if it is gone."""

    def run_callback(self, callback: Callable[[], None]) -> None:
        """Run a user's callback in the thread for callbacks, so that it may submit again."""

    def begin(self, call: Callable[[], None], name: str) -> None:
        """Begin a call that may wait for what is in this system, beside what runs here."""

    def on_close(self, action: Callable[[], None]) -> None:
        """Run `action` when the transport is closed, unless it is taken back before."""

    def off_close(self, action: Callable[[], None]) -> None:
        """Take an action back: what it belongs to has ended, and is not to be kept by it."""

    def check_process(self) -> None:
        """Raise ForeignProcess in a forked copy of this process, ActorStopped after the end."""

    def check_copy(self) -> None:
        """Raise ForeignProcess in a forked copy of this process."""


class Answering(Protocol):
    """A transport by which answers that were put off can change hands.

    Attributes:
        path: names the system.
        actor: id of the actor that this process is.
        owe: in an actor: takes the record of a message that it is to answer in another's stead, and
            returns what is to be called when it has; None elsewhere.
        on_taken_over: in an actor: called with number and turn of a slot of its hands table that is
            answered.
    """

    path: str
    actor: int
    owe: Callable[[bytes], Callable[[], None]] | None
    on_taken_over: Callable[[int, int], None] | None

    @property
    def store(self) -> PayloadStore:
        """Where payloads lie."""

    def send_control(self, actor: int, record: bytes) -> bool:
        """Put a record of the runtime's own into a mailbox; return whether that is still there."""

    def on_close(self, action: Callable[[], None]) -> None:
        """Run `action` when the transport is closed."""


_transports: dict[str, Transport] = {}
#: Systems of this process that were stopped: some ref of them may still be held.
_ended: set[str] = set()
#: Those of the process from which this one was forked.
_forked: dict[str, Transport] = {}


#: Returns this process's transport of the system at a path, or None, when `transport_of` says why.
known_transport = _transports.get


def enter(transport: Transport) -> None:
    """Have the refs of a system find this transport in this process."""
    _transports[transport.path] = transport
    systems.are_several = len(_transports) > 1
    in_copies(_forget_in_child)


def transports() -> list[Transport]:
    """Return those of the systems that are up in this process."""
    return list(_transports.values())


def leave(transport: Transport) -> None:
    """Have the refs of a system raise `ActorStopped` from now on."""
    if _transports.get(transport.path) is transport:
        del _transports[transport.path]
        systems.are_several = len(_transports) > 1
    _ended.add(transport.path)


def transport_of(path: str, name: str) -> Transport:
    """Return this process's transport of a system.

    Args:
        path: the system's.
        name: the actor that is to be sent something, for the error.

    Raises:
        ForeignProcess: this process does not belong to that system.
    """
    transport = _transports.get(path)
    if transport is None:
        if path in _ended:
            raise ActorStopped(f"the system was stopped: {name} is gone with it")
        if path.startswith(INERT):
            raise inert_error(name, path.split("/")[1])
        if path in _forked:
            _forked[path].check_process()
        raise ForeignProcess(
            f"the ref of {name} is used outside its system: process {os.getpid()} neither started "
            f"the system at {path} nor is one of its actors"
        )
    return transport


def inert_error(name: str, module: str) -> ForeignProcess:
    """Return what is raised where a thing is used that a module made inert.

    Args:
        name: the thing's.
        module: that made it while it was imported.
    """
    return ForeignProcess(
        f"{name} is inert: the module {module} made it while an actor's process imported it, and "
        f"at import nothing is started there, or each actor would start all of it again; send the "
        f"program's own ref to the actor, as an argument of spawn or in a message, or make what "
        f"an actor needs for itself in its constructor or handler"
    )


def _forget_in_child() -> None:
    _forked.update(_transports)
    _transports.clear()
    systems.are_several = False
