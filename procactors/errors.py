"""The error tree, split by the caller's question: may I send it again?

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: imports anything for an error that does not come; an error without the facts that explain it.

    ProcActorsError
    ├── SpawnError                     the actor did not start
    │   ├── NameTaken                  another live actor has that name
    │   └── CheckpointError            its checkpoint cannot be read or written, or is another's
    ├── DeliveryError                  not handled, and never will be: sending again is safe
    │   ├── ActorStopped               the actor has stopped for good
    │   ├── MailboxFull                the bounded mailbox had no free place
    │   ├── EncodeError                the message cannot be pickled (also a TypeError)
    │   ├── UnknownMethod              the actor has no such method (also a TypeError)
    │   ├── ForeignProcess             this process does not belong to the actor's system
    │   ├── PoolBroken                 no worker is left (also a BrokenExecutor)
    │   └── StorageFull                no room for a large payload, or no descriptor left
    ├── ReplyError                     may have been handled: sending again may do it twice
    │   ├── AskTimeout                 no reply in time (also a TimeoutError)
    │   ├── ActorDied                  the process ended with the message in hand
    │   │   ├── ItemTimeout            a pool's item took too long (also a TimeoutError)
    │   │   └── Quarantined            a pool's item ended worker after worker
    │   ├── ResultEncodeError          the handler's result cannot be pickled
    │   ├── DecodeError                the message or the reply cannot be unpickled
    │   ├── StreamBroken               a stream ended before its end, or was sent on
    │   └── RemoteError                the handler's exception could not be rebuilt here
    ├── AskCycleError                  the actors would wait for each other for ever
    ├── ShareReleased                  the shared value is gone; of messages it says nothing, since
    │                                  `get` may be called anywhere, also in the midst of a handler
    ├── UnsupportedOnBackend           not where the system's actors run: see docs/backends.md
    └── SupervisionError
        ├── RestartIntensityExceeded   more deaths than the policy allows
        └── InvalidSpec                options or arguments that make no sense (also a ValueError)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from concurrent.futures import BrokenExecutor

    from procactors.crash import CrashReport

__all__ = [
    "ActorDied",
    "ActorStopped",
    "AskCycleError",
    "AskTimeout",
    "CheckpointError",
    "DecodeError",
    "DeliveryError",
    "EncodeError",
    "ForeignProcess",
    "HandlerCancelled",
    "InvalidSpec",
    "ItemTimeout",
    "MailboxFull",
    "NameTaken",
    "PoolBroken",
    "ProcActorsError",
    "Quarantined",
    "RemoteError",
    "RemoteTraceback",
    "ReplyError",
    "RestartIntensityExceeded",
    "ResultEncodeError",
    "ShareReleased",
    "SpawnError",
    "StorageFull",
    "StreamBroken",
    "SupervisionError",
    "UnknownMethod",
    "UnsupportedOnBackend",
]


class ProcActorsError(Exception):
    """Base of every error that the runtime itself raises."""


class SpawnError(ProcActorsError):
    """The actor did not start; its constructor's exception is the ``__cause__``."""


class NameTaken(SpawnError):
    """Another live actor of the system has that name."""


class CheckpointError(SpawnError):
    """An actor's checkpoint cannot be read or written, or belongs to another live actor.

    Of a file, or of room, that is missing while the actor runs, it is the reason of its crash.
    """


class DeliveryError(ProcActorsError):
    """The message was not handled and never will be: sending it again is safe.

    Attributes:
        sent: how many messages of a `tell_many` were sent before the one that was not.
    """

    sent = 0


class ActorStopped(DeliveryError):
    """The actor has stopped for good; it did not handle this message."""


class MailboxFull(DeliveryError):
    """The bounded mailbox had no free place (``overflow=Overflow.RAISE``, or a timeout)."""


class EncodeError(DeliveryError, TypeError):
    """The message cannot be pickled; the text names the path to the part at fault."""


class UnknownMethod(DeliveryError, TypeError):
    """The actor's class has no such method, or takes no such message."""


class ForeignProcess(DeliveryError):
    """This process does not belong to the system that the ref names."""


if TYPE_CHECKING:

    class PoolBroken(DeliveryError, BrokenExecutor):
        """No worker of the pool is left; the text says how the last one ended."""

else:

    def __getattr__(name: str) -> type:
        """Make `PoolBroken` when it is asked for: its base loads `concurrent.futures`, 6 ms."""
        if name != "PoolBroken":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from concurrent.futures import BrokenExecutor

        doc = "No worker of the pool is left; the text says how the last one ended."
        body = {"__doc__": doc, "__module__": __name__}
        made = type(name, (DeliveryError, BrokenExecutor), body)
        return globals().setdefault(name, made)  # one class, whichever thread comes first


class StorageFull(DeliveryError):
    """No room is left for a large payload, or this process is out of descriptors."""


class ReplyError(ProcActorsError):
    """No reply: the message may have been handled, so sending it again may do it twice."""


class AskTimeout(ReplyError, TimeoutError):
    """No reply came in time; a message that had not begun by then never will."""


class ActorDied(ReplyError):
    """The actor's process ended with this message in hand.

    Its text has four lines at most; the whole report is ``str(error.report)``.

    Attributes:
        report: what is known of the death: exit reason, handler, incarnation, stacks, last lines
            of its log.
    """

    def __init__(self, text: str, report: CrashReport | None = None) -> None:
        super().__init__(text)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.report))


class ItemTimeout(ActorDied, TimeoutError):
    """An item of a pool took longer than its timeout, and its worker was killed.

    Attributes:
        report: of the worker, with the stacks of all its threads.
    """


class Quarantined(ActorDied):
    """An item of a pool, or loading its function, ended worker after worker: not tried again.

    Attributes:
        report: of the last of these workers.
    """


class HandlerCancelled(ReplyError):
    """The task of an ``async def`` handler was cancelled in the actor: there is no result."""


class ResultEncodeError(ReplyError):
    """The handler ran, but its result (or exception) cannot be pickled."""


class DecodeError(ReplyError):
    """The message could not be unpickled in the actor, or the reply in the caller."""


class StreamBroken(ReplyError):
    """No more items can be read here, though the stream has not come to its end.

    The process that fed it has died, or it was sent on to another process, or a signal's handler
    has raised while items came.
    """


class RemoteError(ReplyError):
    """The handler raised an exception that cannot be rebuilt in this process.

    Attributes:
        type_name: qualified name of the exception's class in the actor.
        text: ``str()`` of the exception in the actor.
        traceback: the formatted traceback from the actor.
        why: what kept it from being rebuilt; empty if that is not known.
    """

    def __init__(self, type_name: str, text: str, traceback: str, why: str = "") -> None:
        sentence = f"{type_name}: {text}"
        super().__init__(f"{sentence} (it could not be rebuilt here: {why})" if why else sentence)
        self.type_name = type_name
        self.text = text
        self.traceback = traceback
        self.why = why

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.type_name, self.text, self.traceback, self.why))


class RemoteTraceback(Exception):
    """The traceback text from the actor; stands as ``__cause__`` of the raised exception."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"in the actor's process:\n{self.text.rstrip()}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.text,))


class AskCycleError(ProcActorsError):
    """This ask would close a cycle of actors that wait for each other for ever."""


class ShareReleased(ProcActorsError):
    """The shared value was released before this `get`.

    Neither a `DeliveryError` nor a `ReplyError`: out of a handler it comes as the handler's own
    exception, and what the handler has done before is done.
    """


class UnsupportedOnBackend(ProcActorsError):
    """Where the actors of this system run, it cannot promise what was asked for.

    Raised at the call, before anything has happened. docs/backends.md lists what each backend does
    not promise, and why.
    """


class SupervisionError(ProcActorsError):
    """A supervision policy was broken or makes no sense."""


class RestartIntensityExceeded(SupervisionError):
    """A tree's root gave up: more deaths than ``max_restarts`` within ``within`` seconds.

    Attributes:
        history: the crash reports of the deaths in that window, oldest first.
    """

    def __init__(self, text: str, history: Sequence[CrashReport] = ()) -> None:
        super().__init__(text)
        self.history = tuple(history)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.history))


class InvalidSpec(SupervisionError, ValueError):
    """Options or arguments that make no sense; the text names the offending one."""
