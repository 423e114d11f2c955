"""Faults on order: an actor is killed with a certain message in hand, or messages come late or not.

Layer: testing. Runs in: parent; what it orders is done in the actors (`runner.fault_tap`).
Owns: a folder, in which its faults and what they have done are written (`close`).
Never: goes by chance: it counts messages.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, InvalidSpec
from procactors.model import commands as c
from procactors.model.checks import deadline, one_of, whole
from procactors.runner.fault_tap import Done, Rule, read_done, write_rules
from procactors.testing.tapped_system import tapped_system
from procactors.wire.runtime_dir import PREFIX, own

if TYPE_CHECKING:
    from procactors.runtime.async_ref import AsyncActorRef
    from procactors.runtime.ref import ActorRef

__all__ = ["Done", "Faults"]

_WHEN = ("taken", "handled", "answered")


class Faults:
    """Does to actors, and to their messages, what else comes by chance; on each backend but Ray.

    Use it as a context manager: behind the block nothing is done any more. What it orders holds
    from the moment in which the call returns, for messages that are sent from then on by this
    process; it counts those, from 1, of each order by itself, as the actor takes them. It counts
    on in the actor's next lives; a message that is delivered again keeps its number.

    An actor without faults pays nothing for them; one with faults some tens of microseconds a
    message.

    Example::

        with Faults(system) as faults:
            faults.kill_on(account, message=2, when="handled")
            account.ask(Account.deposit, 5)
            with pytest.raises(ActorDied):
                account.ask(Account.deposit, 5)  # it was done, and the answer is lost
    """

    def __init__(self, system: Any) -> None:
        self._system = system = tapped_system(system)
        self._endpoint: Any = system._endpoint
        self._client = system._client
        # In the system's own directory, if it has one: so it goes with that at the latest.
        path: str = self._endpoint.path
        parent = path if os.path.isdir(path) else None
        self._folder = tempfile.mkdtemp(prefix=f"{PREFIX}faults-", dir=parent)
        # By itself it is swept once its owner has died, but not before.
        self._locks = [] if parent is not None else own(self._folder, self._folder)
        self._name = f"faults:{os.path.basename(self._folder)}"
        self._rules: dict[int, list[Rule]] = {}
        self._numbers = itertools.count(1)
        self._done: list[Done] | None = None
        self._endpoint.on_close(self._remove)

    def kill_on(
        self,
        ref: ActorRef[Any] | AsyncActorRef[Any],
        message: int | Iterable[int] = 1,
        *,
        method: Callable[..., Any] | str | None = None,
        when: str = "taken",
        times: int = 1,
    ) -> None:
        """Have an actor's process get SIGKILL exactly while it has a certain message in hand.

        Its supervisor, and its callers, see what they see of each such death. Where an actor has no
        process, its life ends the same way.

        Args:
            ref: of the actor.
            message: number of the message, or several of them.
            method: count messages for this method alone, as in ``Account.deposit``; a name
                (``"receive"`` for messages as values), or None for all.
            when: ``"taken"``: its handler has not begun. ``"handled"``: its handler has ended, and
                nobody knows yet: no answer has gone. ``"answered"``: the answer has gone, and it
                is in hand still. (A tell has no answer: the last two are the same for it.)
            times: how often each message does it, should it be delivered again.

        Raises:
            ActorStopped: the actor has ended. InvalidSpec: an argument that makes no sense; or
                another moment than "taken" for an actor with several messages in hand.
        """
        when = one_of("when", when, _WHEN)
        times = whole("times", times, 1)
        self._add(ref, "kill", message, method, is_alone=when != "taken", when=when, times=times)

    def delay(
        self,
        ref: ActorRef[Any] | AsyncActorRef[Any],
        seconds: float,
        message: int | Iterable[int] | None = None,
        *,
        method: Callable[..., Any] | str | None = None,
    ) -> None:
        """Have an actor take messages so many seconds late; those behind them wait, too.

        Seconds of an inline system are its own. Meanwhile the actor has nothing in hand.

        Args:
            ref: of the actor.
            seconds: for each of the messages.
            message: number of the message, or several of them; None: all.
            method: count messages for this method alone; see `kill_on`.

        Raises:
            ActorStopped, InvalidSpec: as `kill_on`.
        """
        self._add(ref, "delay", message, method, seconds=deadline("seconds", seconds))

    def drop(
        self,
        ref: ActorRef[Any] | AsyncActorRef[Any],
        message: int | Iterable[int] | None = None,
        *,
        method: Callable[..., Any] | str | None = None,
    ) -> None:
        """Have messages to an actor be lost.

        A tell becomes a dead letter that says so. An ask with a timeout raises `AskTimeout`, as
        when it is lost on its way; one without would wait for ever, so it raises `DeliveryError`.

        Args:
            ref: of the actor.
            message: number of the message, or several of them; None: all.
            method: count messages for this method alone; see `kill_on`.

        Raises:
            ActorStopped, InvalidSpec: as `kill_on`.
        """
        self._add(ref, "drop", message, method)

    def duplicate(
        self,
        ref: ActorRef[Any] | AsyncActorRef[Any],
        message: int | Iterable[int] | None = None,
        *,
        method: Callable[..., Any] | str | None = None,
    ) -> None:
        """Have an actor handle messages twice, one time right behind the other.

        The caller of an ask gets the first answer; the second one is dropped.

        Args:
            ref: of the actor.
            message: number of the message, or several of them; None: all.
            method: count messages for this method alone; see `kill_on`.

        Raises:
            ActorStopped, InvalidSpec: as `kill_on`; it must have one message in hand at a time.
        """
        self._add(ref, "duplicate", message, method, is_alone=True)

    @property
    def done(self) -> list[Done]:
        """What was done so far, the first first; all that was done, behind the end."""
        return read_done(self._folder) if self._done is None else list(self._done)

    def close(self) -> None:
        """Do nothing more; idempotent. Messages that wait are spared, too."""
        if self._done is not None:
            return
        self._endpoint.off_close(self._remove)
        self._remove()
        with contextlib.suppress(ActorStopped):  # the system has ended, and they with it
            for actor in self._rules:
                self._client.ask(c.Tap(actor, self._name, ""))

    def __enter__(self) -> Faults:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- how it is done ---------------------------------------------------------------------------

    def _add(
        self,
        ref: Any,
        what: str,
        message: int | Iterable[int] | None,
        method: Callable[..., Any] | str | None,
        *,
        is_alone: bool = False,
        **more: Any,
    ) -> None:
        if self._done is not None:
            raise InvalidSpec("these faults are over: make new ones with Faults(system)")
        actor = self._actor_of(ref)
        name = method if isinstance(method, str) or method is None else _name_of(method)
        rule = Rule(next(self._numbers), what, _messages(message), name, **more)
        rules = self._rules.get(actor, [])
        path = os.path.join(self._folder, str(actor))
        write_rules(path, [*rules, rule])
        try:
            self._client.ask(c.Tap(actor, self._name, path, is_alone))
        except BaseException:
            write_rules(path, rules)
            raise
        self._rules[actor] = [*rules, rule]

    def _actor_of(self, ref: Any) -> int:
        ref = getattr(ref, "sync", ref)
        number = getattr(ref, "_actor", None)
        if not isinstance(number, int) or ref._runtime_dir != self._endpoint.path:
            raise InvalidSpec(f"ref is of an actor of {self._system.name}, not {ref!r}")
        return number

    def _remove(self) -> None:
        """Remove the folder, all at once: from then on nothing is done, nor noted."""
        self._done = self.done
        gone = f"{self._folder}-over"
        with contextlib.suppress(FileNotFoundError):  # with the system's directory
            os.rename(self._folder, gone)
        shutil.rmtree(gone, ignore_errors=True)
        while self._locks:
            os.close(self._locks.pop())


def _messages(message: int | Iterable[int] | None) -> list[int] | None:
    if message is None:
        return None
    try:
        numbers = [message] if isinstance(message, int) else list(message)
    except TypeError:
        raise InvalidSpec(f"message is a number from 1, or several, not {message!r}") from None
    if not numbers:
        raise InvalidSpec("message names at least one message, from 1; None: all")
    return [whole("message", number, 1) for number in numbers]


def _name_of(method: Any) -> str:
    name = getattr(method, "__name__", None)
    if not callable(method) or not isinstance(name, str):
        raise InvalidSpec(f"method is a method of the actor's class, or its name; not {method!r}")
    return name
