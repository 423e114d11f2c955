"""A dead letter run again: the stored class and message, in this very process.

Layer: api. Runs in: any process, its main thread (the command line's, as a rule).
Owns: this process's `__main__`, import path and current context while a replay lasts.
Never: reaches the system that the letter came from: it is gone. What the handler tells others is
shown and dropped; what needs an answer is an error.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn, cast

from procactors.api.actor import Context, set_current
from procactors.api.inert_endpoint import NullTransport
from procactors.api.spawner import SystemHandle
from procactors.deadletters.file import LetterFile, Run, StoredLetter
from procactors.errors import ForeignProcess, SpawnError
from procactors.model.choices import Overflow
from procactors.runner.method_table import find_handler, table_of
from procactors.runtime.ref import ActorRef
from procactors.wire.envelope import bare, handler_name
from procactors.wire.pickling.codec import Encoded, decode_joined
from procactors.wire.pickling.definitions import offer, replace_main
from procactors.wire.transport import leave, transport_of

__all__ = ["NotReplayable", "Replay", "surroundings_of"]

_log = logging.getLogger("procactors")

_REPLAY = "this is the replay of a dead letter, outside of any actor system"


class NotReplayable(Exception):
    """The file does not have what it takes to run the letter."""


class Replay:
    """One letter with a fresh actor object of its class, made as each incarnation makes it.

    Args:
        file: where the letter is.
        stored: the letter, with its content.

    Raises:
        NotReplayable: its content, or its actor's class, was not kept.
    """

    def __init__(self, file: LetterFile, stored: StoredLetter) -> None:
        letter = stored.letter
        if not letter.head:
            raise NotReplayable(f"the content of letter {stored.id} was lost")
        blueprint = file.blueprint(stored.run, letter.actor_id)
        if blueprint is None:
            raise NotReplayable(
                f"the class and arguments of {letter.actor} were not kept with letter {stored.id}: "
                f"it was given up behind its actor's end; requeue it instead"
            )
        self._letter = letter
        self._blueprint = blueprint
        self._run = _run_of(file, stored)

    def run(self, call: Callable[..., Any] | None = None) -> Any:
        """Make the actor's object, run `on_start` and then the handler; return its result.

        Unpickles, and runs the user's code: what killed an actor may kill this process. Call it
        inside `surroundings_of`.

        Args:
            call: calls the handler with its arguments; a debugger's ``runcall``, say.

        Raises:
            DecodeError: class, arguments or message do not load. Whatever the code raises.
        """
        set_current(self._context())
        try:
            what = f"class {self._letter.class_name} (or one of its arguments)"
            cls, args, kwargs = decode_joined(self._blueprint, what)
            actor = cls(*args, **kwargs)
            start = getattr(actor, "on_start", None)
            if callable(start):
                start()
            method = bare(self._letter.method)
            _, handler = find_handler(actor, table_of(type(actor)), method)
            message = self._letter.message
            call = call or _plainly
            if method:
                return call(handler, *message[0], **message[1])
            return call(handler, message)
        finally:
            set_current(None)

    def _context(self) -> Context:
        store, letter = self._run.runtime_dir, self._letter
        handle = _NoSystem(transport_of(store, letter.actor), None)
        ref: ActorRef[Any] = ActorRef(store, letter.actor_id, letter.actor, Overflow.BLOCK)
        context = Context(handle, ref, None, 1)
        # What the context asks its loop for: the message is in hand once more.
        loop = SimpleNamespace(deadline=0.0, deliveries=max(1, letter.deliveries), leave=_stay)
        context._loop = cast("Any", loop)
        return context


def _stay() -> None:
    """There is no loop to leave: the actor's one message is in hand."""


def _plainly(handler: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return handler(*args, **kwargs)


@contextlib.contextmanager
def surroundings_of(file: LetterFile, stored: StoredLetter) -> Iterator[None]:
    """Make this process a place in which a letter can be opened; put back what was there.

    The definitions of the letter's `__main__` come from the file, into an empty `__main__`;
    modules are imported by the import path of its program, behind this process's own.
    """
    run = _run_of(file, stored)
    path = list(sys.path)
    names = ("__main__", "__mp_main__")
    mains = {name: sys.modules[name] for name in names if name in sys.modules}
    replace_main(run.main_file)
    sys.path += [place for place in run.path if place and place not in path]
    offer(file.definitions(run.run))
    transport = _Replayed(run.runtime_dir)
    try:
        yield
    finally:
        leave(transport)
        sys.path[:] = path
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(mains)


def _run_of(file: LetterFile, stored: StoredLetter) -> Run:
    return next(run for run in file.runs() if run.run == stored.run)


class _Replayed(NullTransport):
    """What the refs in a letter find in place of their system."""

    def error(self, name: str) -> Exception:
        """Return what says that this is a replay."""
        return ForeignProcess(f"{_REPLAY}: {name} does not answer")

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        """Show what would have been sent."""
        _log.warning("replay: not sent: tell %s to %s", handler_name(method), name)

    def tell_many(
        self,
        actor: int,
        name: str,
        method: bytes,
        messages: Iterable[Encoded],
        timeout: float | None = None,
    ) -> None:
        """Show what would have been sent."""
        for encoded in messages:
            self.tell(actor, name, method, encoded)

    def submit(self, actor: int, name: str, *_: Any, **__: Any) -> NoReturn:
        """Raise: no answer will ever come."""
        raise self.error(name)

    def check_process(self) -> None:
        """Raise nothing: what a handler reports of its progress is dropped."""


class _NoSystem(SystemHandle):
    """The system as the replayed actor sees it."""

    def _spawn(self, *_: Any) -> NoReturn:
        raise SpawnError(f"{_REPLAY}: no actor can be started")
