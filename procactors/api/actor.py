"""What an actor sees from inside: the base class with its hooks, and the context.

Layer: api. Runs in: actor, main thread.
Owns: nothing.
Never: is needed: any class will do as an actor; this one adds hooks and `context`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from procactors.errors import InvalidSpec
from procactors.late import late
from procactors.model.words import worded

if TYPE_CHECKING:
    import logging

    from typing_extensions import TypeVarTuple, Unpack  # for the type checker alone

    from procactors.api.spawner import Spawner, SystemHandle
    from procactors.crash import CrashReport, ExitReason
    from procactors.model.options import OptionWords
    from procactors.runner.loop import Loop
    from procactors.runner.schedule import Schedule, Timer
    from procactors.runtime.child_failure import ChildFailure, Directive
    from procactors.runtime.later_reply import LaterReply
    from procactors.runtime.ref import ActorRef
    from procactors.runtime.terminated import Restarted, Terminated
    from procactors.runtime.watches import Watching

    Ts = TypeVarTuple("Ts")
else:
    logging = late("logging")

__all__ = ["Actor", "Context", "context_here", "current_context", "look_elsewhere", "set_current"]

T = TypeVar("T")
P = ParamSpec("P")


class Context:
    """The actor's view of itself and of its system; valid inside the actor only.

    Attributes:
        ref: the actor's own ref, to be sent to others.
        parent: ref of the actor that spawned this one; None if the main program did.
        system: the system: find others by name.
        incarnation: which life this is, from 1.
        seed: this life's seed, of 128 bits: no other life of any actor has it, unless
            `Options.seed` says so. For ``random.Random`` and ``numpy.random.default_rng``.
    """

    #: What messages as values are given to, the latest last; `receive` if it is empty.
    _handlers: tuple[Callable[[Any], Any], ...] = ()
    #: Makes the timetable, where that is not by the process's clock and thread.
    _new_schedule: Callable[[type], Schedule] | None = None

    def __init__(
        self,
        handle: SystemHandle,
        ref: ActorRef[Any],
        parent: ActorRef[Any] | None,
        incarnation: int,
        seed: int = 0,
    ) -> None:
        self.ref = ref
        self.parent = parent
        self.system = handle
        self.incarnation = incarnation
        self.seed = seed
        self._loop: Loop | None = None
        self._children = False
        self._leaving = False
        #: Whether an end was ordered from outside.
        self._is_ordered: Callable[[], bool] = lambda: False
        self._watching: Watching | None = None
        #: The actor's class, from before its constructor on.
        self._class: type = object
        self._schedule: Schedule | None = None
        self._report: Callable[[int, int | None], None] = self._first_report

    @property
    def log(self) -> logging.Logger:
        """The logger named after the actor's class, as in ``shop.orders.Worker``.

        Its records reach the program's logger of that name (``ActorSystem(logs="forward")``), with
        the actor's name, incarnation and handler.
        """
        return logging.getLogger(f"{self._class.__module__}.{self._class.__qualname__}")

    def spawn(self, cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ActorRef[T]:
        """Start a child: it is stopped with this actor, and before its next life.

        Blocks until the child's `on_start` is done.

        Raises:
            SpawnError: its constructor or `on_start` raised.
        """
        return self.options().spawn(cls, *args, **kwargs)

    @worded
    def options(self, **options: Unpack[OptionWords]) -> Spawner:
        """Return a spawner of children with options (see `Options`).

        Raises:
            InvalidSpec: an unknown option or a value that makes no sense.
        """
        self._children = True
        return self.system.child_spawner(options)

    def watch(self, ref: ActorRef[Any], *, restarts: bool = False) -> None:
        """Have `on_terminated` called, once, when the actor of `ref` has ended for good.

        If it is over already, at once. The event comes through the mailbox, in its turn, and
        takes no place in a bounded one. The watch belongs to this actor, not to one incarnation
        of it: it survives restarts and ends with this actor. Watching twice is watching once.
        Blocks until the supervisor has taken note.

        Args:
            ref: of the actor or inbox to watch: any of this system but this actor.
            restarts: have `on_restarted` called for each new incarnation too; the latest call
                for one actor counts.

        Raises:
            InvalidSpec: `ref` is no ref, or this actor's own. ForeignProcess: of another system.
        """
        self._watches().watch(ref, restarts)

    def unwatch(self, ref: ActorRef[Any]) -> None:
        """Undo `watch`: once this returns, this incarnation hears no more of that actor.

        Blocks until the supervisor has taken note. Unwatching what is not watched is no error.
        """
        self._watches().unwatch(ref)

    def link(self, ref: ActorRef[Any]) -> None:
        """Bind this actor and another: when one ends for good, the other is stopped too.

        For whatever reason it ends; a restart or recycling is no end. The stop is a graceful one,
        with the ``stop_timeout`` of the one that is stopped; its exit reason is of kind LINKED and
        names the other, and no restart policy brings it back. Linked to an actor that is over
        already, this one is stopped at once. Blocks until the supervisor has taken note.

        Raises:
            InvalidSpec: `ref` is no ref, this actor's own, or an inbox's. ForeignProcess: of
                another system.
        """
        self._watches().link(ref)

    def unlink(self, ref: ActorRef[Any]) -> None:
        """Undo `link`, whichever of the two actors made it."""
        self._watches().unlink(ref)

    def progress(self, done: int, total: int | None = None) -> None:
        """Report how far the work in hand is: subscribers of ``system.events`` get a `Progress`.

        Does not block, and may be called as often as is convenient, from plain functions too
        (`current_context`): the first report goes at once, then at most ten a second, and the one
        that completes the total always. With no subscriber, nothing is sent. A report tells
        of a moment: the last ones of an incarnation that is killed may be missing.

        Args:
            done: steps that are done, from 0 on.
            total: steps that there are; None if that is not known.

        Raises:
            ValueError: no whole numbers from 0 on, or more done than there is.
        """
        self._report(done, total)

    def _first_report(self, done: int, total: int | None) -> None:
        from procactors.runtime.progress import (
            throttle_of,  # only where it is used: starts are short
        )

        self._report = throttle_of(self.system._endpoint, self._handler).report
        self._report(done, total)

    def _handler(self) -> str:
        return self._loop.handler if self._loop is not None else ""

    def _watches(self) -> Watching:
        if self._watching is None:
            from procactors.runtime.watches import (
                Watching,  # only where it is used: starts are short
            )

            self._watching = Watching(self.system._endpoint, self.ref)
        return self._watching

    # -- the message in hand, and what is done with it instead of an answer ---------------------

    def forward(self, ref: ActorRef[Any]) -> None:
        """Hand the message in hand on to another actor, which answers its caller.

        What goes on is the message as it came: its bytes, sender, caller and deadline. There the
        method of the same name is called, or `receive`. What this handler returns is not sent;
        what it still raises ends this actor, as in a tell. Blocks for a place in a bounded mailbox,
        and for room in a full pipe. Killed in here, this actor may have handed it on, and the
        caller is told of the death all the same: the first answer counts.

        Args:
            ref: of another actor of this system.

        Raises:
            DeliveryError: the other has stopped, or its mailbox is full; the message is still in
                hand. RuntimeError: no message is in hand, or it was forwarded, stashed or put off
                before. InvalidSpec: `ref` is no ref, or this actor's own.
        """
        from procactors.runtime.forwarding import forward  # only where it is used

        forward(self._loop, self.system._endpoint, ref)

    def reply_later(self) -> LaterReply:
        """Put the answer to the message in hand off; return what sends it.

        What this handler returns is not sent. What it raises is, unless the answer was sent before.
        See `LaterReply`.

        Raises:
            RuntimeError: no message is in hand; it was told, so nobody waits; it was forwarded,
                stashed or put off before; or it is an item of a pool. StorageFull: no room.
        """
        from procactors.runtime.later_reply import reply_later  # only where it is used

        return reply_later(self._loop, self.system._endpoint, self.ref.name)

    def stash(self) -> None:
        """Put the message in hand aside, until `unstash_all`.

        It keeps its caller, its deadline and its order, and takes no place in a bounded mailbox.
        If this actor is killed, the next incarnation begins it again, before what is in the
        mailbox; when it ends for good, it is refused. 1 000 messages may be put aside.

        Raises:
            MailboxFull: as many are. RuntimeError: no message is in hand, or it was forwarded,
                stashed or put off before. StorageFull: no room.
        """
        from procactors.runtime.stashing import stash  # only where it is used

        stash(self._loop, self.system._endpoint, self.ref.name)

    def unstash_all(self) -> int:
        """Have all that was put aside begun again, before all other messages; return how many.

        In the order in which it came. They are begun behind the message in hand.

        Raises:
            ForeignProcess: this is a forked copy of the actor.
        """
        self.system._endpoint.check_copy()
        return self._loop.unstash() if self._loop is not None else 0

    def become(self, handler: Callable[[Any], Any]) -> None:
        """Have `handler` called with each message as a value from now on, instead of `receive`.

        What it returns is the answer. Calls of methods are not affected. `unbecome` goes back one
        step. What an actor has become goes with the incarnation: the next one begins anew.

        Args:
            handler: a plain function or bound method that takes the message; an ``async def`` one,
                if the class has ``async def`` handlers.

        Raises:
            InvalidSpec: it cannot be called with the message alone, is a generator, or async where
                nothing awaits it; or the class has no `receive`.
        """
        from procactors.runtime.stashing import check_handler  # only where it is used

        self._handlers = (*self._handlers, check_handler(handler, self._class))
        if self._loop is not None:
            self._loop.become(handler)

    def unbecome(self) -> None:
        """Undo the last `become`; with none left, `receive` is called, and this is no error."""
        self._handlers = self._handlers[:-1]
        if self._loop is not None:
            self._loop.become(self._handlers[-1] if self._handlers else None)

    def _serve_with(self, loop: Loop) -> None:
        self._loop = loop
        if self._handlers:
            loop.become(self._handlers[-1])

    # -- timers

    def after(
        self,
        seconds: float,
        method: Callable[[Any, Unpack[Ts]], Any],
        /,
        *args: Unpack[Ts],
        name: str | None = None,
    ) -> Timer:
        """Call a method of this actor once, with `args`, so many seconds from now.

        Returns at once. The method runs between two messages, as soon as it is due, before all
        that is queued; of several that are due, in the order of their instants. Raising crashes
        the actor, as in a tell. It does not run once the actor has come to its stop, nor in
        another incarnation than this one.

        Args:
            seconds: from 0 on; of the monotonic clock, which stands still while the machine sleeps.
            method: of the actor's class, by the class: ``Clock.tick``, private ones too.
            args: its positional arguments, as they are: they are not copied.
            name: a timer of this actor that has the same name is given up.

        Raises:
            InvalidSpec: no such number of seconds. UnknownMethod: the class has no such method.
            TypeError: the method does not take these arguments, or is none. RuntimeError: in
                another thread than the actor's own.
        """
        return self._timetable().after(seconds, method, args, name)

    def every(
        self,
        seconds: float,
        method: Callable[[Any, Unpack[Ts]], Any],
        /,
        *args: Unpack[Ts],
        name: str | None = None,
        now: bool = False,
    ) -> Timer:
        """Call a method of this actor again and again, once in so many seconds; else as `after`.

        The instants are whole periods from this call on, so that it does not drift. One that
        comes late (a handler was at work) is run once; those that have passed meanwhile are left
        out.

        Args:
            seconds: from 0.001 on.
            method: of the actor's class, by the class.
            args: its positional arguments.
            name: a timer of this actor that has the same name is given up.
            now: call it for the first time as soon as possible, not after a first period.
        """
        return self._timetable().every(seconds, method, args, name, now)

    def idle_after(self, seconds: float | None) -> None:
        """Have `on_idle` called when no message has come for so many seconds, and so on.

        From the end of the last message on (of a hook of death watch too, not of a timer), or
        from this call, or from the end of the last `on_idle`.

        Args:
            seconds: from 0.001 on; None: no more.

        Raises:
            InvalidSpec: no such number, or the actor's class has no `on_idle`.
        """
        hook = getattr(self._class, "on_idle", None)
        if seconds is not None and (not callable(hook) or hook is Actor.on_idle):
            cls = self._class.__qualname__
            raise InvalidSpec(f"idle_after has on_idle() called, and {cls} has none: define it")
        self._timetable().idle_after(seconds)

    def _timetable(self) -> Schedule:
        endpoint = self.system._endpoint
        endpoint.check_process()  # in a forked copy, nobody would look at it
        if self._schedule is None:
            from procactors.runner.schedule import Schedule  # only where it is used

            self._schedule = (self._new_schedule or Schedule)(self._class)
            if self._loop is not None:
                self._loop.keep_time(self._schedule)
        return self._schedule

    # -- its end

    def stop(self) -> None:
        """Stop this actor after the message in hand; it ends as `normal`.

        What is left in its mailbox is answered with `ActorStopped` or becomes dead letters,
        unless its restart policy is PERMANENT: then the next incarnation handles it.
        """
        self._leaving = True
        if self._loop is not None:
            self._loop.leave()

    @property
    def stopping(self) -> bool:
        """Whether this actor is about to stop: a handler that works for long looks here, and ends.

        True from the moment in which a stop is ordered, from anywhere, though messages that were
        sent before it are still to be handled, and to the end of `on_stop`. What the actor tells
        then to itself, or to others that have been stopped with it, becomes a dead letter.
        Recycling is no stop.
        """
        return self._leaving or self._is_ordered()

    @property
    def deadline(self) -> float | None:
        """Monotonic instant until which the caller of the message in hand waits; None: for ever."""
        return (self._loop.deadline or None) if self._loop is not None else None

    @property
    def cancelled(self) -> bool:
        """Whether the caller of the message in hand has cancelled it: work for long looks here.

        A handler may then return, or raise, what it likes: a caller that used `Reply.cancel` gets
        it, one whose awaiting task was cancelled does not look. In a function that a pool runs
        it is about that call. It may be asked in any thread and as often as is convenient: it costs
        a look into shared memory, and a file is read only where something was cancelled.
        """
        return self._loop.is_cancelled if self._loop is not None else False

    @property
    def deliveries(self) -> int:
        """How often the message in hand has been begun: 1 unless it was redelivered."""
        return self._loop.deliveries if self._loop is not None else 0


class Actor:
    """Optional base class of actors: hooks, and `self.context`.

    All hooks run in the actor's process, in its main thread, and may be left out. In a class with
    ``async def`` handlers they may be ``async def`` too, and run in the actor's event loop.
    """

    @property
    def context(self) -> Context:
        """The actor's context, from the constructor on.

        Raises:
            RuntimeError: this object is not an actor, but an instance made by hand.
        """
        context = _current if _elsewhere is None else _elsewhere(self) or _current
        if context is None:
            raise RuntimeError(
                f"{type(self).__name__} was made by calling its class, so it has no context; "
                f"system.spawn({type(self).__name__}, ...) makes an actor"
            )
        return context

    def on_start(self) -> Awaitable[None] | None:
        """Run before the first message of each incarnation; raising makes the start fail."""

    def on_restart(self, report: CrashReport) -> Awaitable[None] | None:
        """Run after `on_start` in every incarnation but the first, with the last one's death."""

    def on_stop(self, reason: ExitReason) -> Awaitable[None] | None:
        """Run after the last message of an orderly end; not after a crash or a kill."""

    def on_idle(self) -> Awaitable[None] | None:
        """Run when no message has come for as long as `Context.idle_after` says, as a timer is."""

    def on_terminated(self, event: Terminated) -> Awaitable[None] | None:
        """Run when a watched actor has ended for good (see `Context.watch`), as for a message.

        Raising crashes this actor, as in a tell, and the event does not come again. If a signal
        kills it in here, the next incarnation gets the event again, up to three times in all.
        """
        self.context.log.debug("nobody hears that %s %s", event.ref.name, event.reason)
        return None

    def on_restarted(self, event: Restarted) -> Awaitable[None] | None:
        """Run when an actor watched with ``restarts=True`` is up again; else as `on_terminated`."""
        self.context.log.debug("nobody hears that %s was restarted", event.ref.name)
        return None

    def on_child_failure(
        self, failure: ChildFailure
    ) -> Directive | str | Awaitable[Directive | str | None] | None:
        """Say what is to follow from the death of a child (of `Context.spawn`), in its turn.

        Called like a message for each crash, hang or kill of a child that had been up; not for
        an end that was ordered. Until it returns, the child's mailbox waits. Return a
        `Directive` or its word: resume, restart, stop, escalate; None leaves it to the child's
        own options, as does leaving this hook out. Raising crashes this actor.
        """
        return None

    def snapshot(self) -> Any:
        """Return the state that goes over to the next incarnation.

        With `Options.checkpoint`, called between two messages, as often as that says. Else called
        at the end of a life that `Options.recycle_after` ends, before its children stop and
        `on_stop` runs. The value is pickled. Raising, or a value that cannot be pickled, crashes
        the actor with that error: what follows is up to the restart policy. Leave it out, and the
        next life begins with what the constructor makes.
        """
        return None

    def restore(self, state: Any) -> None:
        """Take over what `snapshot` returned; run between the constructor and `on_start`.

        With `Options.checkpoint` in each life that has a state to go on from. Else only in one that
        follows a recycling, and only once for each snapshot: after a crash the actor starts afresh
        from its constructor. Raising makes the start fail.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has snapshot(), so it needs restore(state): nobody takes it"
        )


#: This process's context: a process is one actor.
_current: Context | None = None
#: Returns the context of an instance, or of what the calling thread serves if it is given None,
#: where actors run beside each other in one process; None: no system of this process has such.
_elsewhere: Callable[[Any], Context | None] | None = None


def current_context() -> Context:
    """Return the context of the actor that this process is: for functions that run in one.

    Raises:
        RuntimeError: this process is no actor: the main program, say, or a test.
    """
    context = context_here()
    if context is None:
        raise RuntimeError(
            "this process is no actor, so there is no context: current_context() is for functions "
            "that an actor calls; in the main program, use the ActorSystem itself"
        )
    return context


def set_current(context: Context | None) -> None:
    """Make `context` the one that this process's actor sees; None: there is none any more."""
    global _current  # noqa: PLW0603 - one process is one actor
    _current = context


def context_here() -> Context | None:
    """Return the context of the actor that this process, or thread, is; None if it is none."""
    return _current if _elsewhere is None else _elsewhere(None) or _current


def look_elsewhere(find: Callable[[Any], Context | None]) -> None:
    """Look for contexts by `find` first, from now on: actors run in this process."""
    global _elsewhere  # noqa: PLW0603 - as the one below
    _elsewhere = find
