"""One life of an actor that runs in this process, beside others.

Layer: api. Runs in: one process, in the thread that serves the actor just now.
Owns: the actor's object and loop.
Never: ends the process; has an effect once it was killed.

    constructor, restore, on_start ─► ready ─► a message for each step ─► children stop ─► on_stop
"""

from __future__ import annotations

import contextlib
import functools
import math
import pickle
import threading
import weakref
from typing import TYPE_CHECKING, Any, cast

from procactors.api.actor import Context, look_elsewhere
from procactors.api.incarnation import Life, _decides, _exit_code, _hook
from procactors.local.box import LocalReader
from procactors.local.checkpoints import LocalCheckpointReader, keeper_of
from procactors.local.here import Killed, here
from procactors.local.loop import LocalLoop
from procactors.process.order import StartOrder
from procactors.runner.loop import TellFailed, describe
from procactors.runner.method_table import table_of
from procactors.runner.recycling import Recycler
from procactors.runner.schedule import Schedule
from procactors.supervision.backend import Ended, NextLife
from procactors.wire.mailbox.black_box import (
    ENDING,
    FAILED,
    INCARNATION,
    PHASE,
    RECYCLED,
    RECYCLING,
    STARTING,
)
from procactors.wire.mailbox.reader import WouldWait
from procactors.wire.pickling.codec import decode_joined, join

if TYPE_CHECKING:
    from collections.abc import Callable

    from procactors.local.host import LocalHost
    from procactors.runner.checkpoints import CheckpointReader
    from procactors.wire.pickling.codec import Encoded

__all__ = ["LocalLife"]

#: Exit code of a life that an exception ended.
_FAILED_CODE = 1


class LocalLife(Life):
    """One life, as a task of the engine.

    Attributes:
        actor: the actor's id.
        transport: the system's.
        is_dead: it was killed, or is over: it has no effect any more.
        is_concurrent: others of its messages go on while one awaits.
        waits_for: what it waits for just now, if it does.
        thread_id: of the thread that serves it.
    """

    is_queued = is_running = False
    bell: object = None

    def __init__(
        self,
        transport: Any,
        history: Callable[[Any], None] | None,
        host: LocalHost,
        life: NextLife,
    ) -> None:
        look_elsewhere(_context_of)
        self.transport: Any = transport
        self.actor = host.id
        self.host = host
        self.words = host.words
        self.loop: Any = None
        #: What the actor does beside its handlers, and may wait (`local.aside.Beside`).
        self.beside: dict[Any, None] = {}
        self.waits_for: Any = None
        self.thread_id: int | None = None
        self._is_dead = False
        self._history = history
        self._instance: Any = None
        self._options = options = life.options
        self.is_concurrent = options.max_concurrency > 1
        super().__init__(_order_of(host, life), host.folder, self._make_reader(), self.transport)
        self._context._new_schedule = functools.partial(_Schedule, self, transport.engine.now)
        self.words[INCARNATION], self.words[PHASE] = life.incarnation, STARTING

    def _make_reader(self) -> Any:
        make: Any = LocalReader if self._options.checkpoint is None else LocalCheckpointReader
        host = self.host
        return make(self.transport.path, host.box, host.mail, host.now_ns)

    # -- a step -----------------------------------------------------------------------------------

    def run(self) -> float | None:  # type: ignore[override]  # a step of it, not all
        """Take a step; see `Task.run`."""
        here.life = self
        if self._is_dead:
            self._let_go()
            return None
        try:
            loop = self.loop
            if loop is None:
                self._begin()
                return 0.0
            if loop.serve():
                return math.inf if loop.is_quiet else 0.0
            self._end()
        except WouldWait as wait:
            return math.inf if wait.seconds is None else wait.seconds
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - nothing leaves it but by its report
            self._failed(error)
        finally:
            here.life = None
        self._let_go()
        return None

    def _let_go(self) -> None:
        """End what goes on beside its handlers: the life is over for everybody."""
        here.life = self
        try:
            self._end_beside()
            if self._events is not None:
                self._events.abandon()
        finally:
            here.life = None

    def _end_beside(self) -> None:
        for beside in list(self.beside):
            beside.kill()

    def _begin(self) -> None:
        """Construct the actor; from here on it serves its mailbox."""
        self.thread_id = threading.get_ident()
        self._find_taps()
        self._instance = instance = self._construct()
        loop = self._make_loop(instance)
        if self._context._leaving:
            loop.leave()
        self._context._serve_with(loop)
        loop.now_ns = self.host.now_ns
        loop.on_event = functools.partial(self._happened, instance)
        if self._keeper is not None:
            self._keeper.serve(cast("CheckpointReader", self._reader), loop.replies, instance)
            loop.keep_by(self._keeper)
        recycle = self._options.recycle_after
        if recycle is not None:
            now, reader = self.transport.engine.now, self._reader
            bounds = recycle.messages, recycle.seconds, recycle.memory_growth
            loop.recycler = recycler = Recycler(reader, *bounds, now)
            loop.use(recycler)
        if self._context._schedule is not None:
            loop.keep_time(self._context._schedule)
        self._serve_taps(loop)
        self.loop = loop
        self._check_alive()
        self.host.ready(self._order.start, _decides(type(instance)))

    def _make_loop(self, instance: Any) -> Any:
        about = self.host, self._reader, self.transport, instance, self._refused, self._history
        if self._events is None:
            return LocalLoop(*about)
        from procactors.local.async_loop import LocalAsyncLoop  # only where it is used

        events: Any = self._events
        return LocalAsyncLoop(*about, events, self._options.max_concurrency)

    def _construct(self) -> Any:
        cls, args, kwargs = self._load_blueprint()
        if table_of(cls).is_async:
            from procactors.local.events import LocalEvents  # only where it is used

            self._events = self.bell = LocalEvents(self.transport.engine, self)
        self._context._class = cls
        make: Any = cls.__new__
        is_plain = make is object.__new__
        # Noted before its constructor, whose threads may ask for the context.
        instance = make(cls) if is_plain else cls(*args, **kwargs)
        _note_instance(instance, self)
        if is_plain:
            instance.__init__(*args, **kwargs)
        if self._options.checkpoint is not None:
            store, engine = self.transport.store, self.transport.engine
            name = self._order.class_name
            about = store, self.actor, name, self._options, engine.now
            self._keeper = keeper_of(self.host.state, self._reader, *about)
            self._keeper.restore(instance)
        elif self._options.recycle_after is not None:
            self._restore(instance)
        self._ended(_hook(instance, "on_start"))
        if self._order.report:
            self._ended(_hook(instance, "on_restart", pickle.loads(self._order.report)))
        return instance

    def _load_blueprint(self) -> tuple[type, tuple[Any, ...], dict[str, Any]]:
        what = f"class {self._order.class_name} (or one of its arguments)"
        store = self.transport.store
        cls, args, kwargs = decode_joined(store.read(self._order.blueprint), what)
        if self._order.extra:
            more_args, more_kwargs = decode_joined(store.read(self._order.extra), what)
            args, kwargs = (*args, *more_args), {**kwargs, **more_kwargs}
        return cls, args, kwargs

    def _end(self) -> None:
        """End an orderly life."""
        assert self.loop is not None
        phase = self.loop._ended()
        if phase == RECYCLED or self._keeper is not None:
            self.words[PHASE] = RECYCLING if phase == RECYCLED else ENDING
            self._leave_state(self._instance)
        self._finish(self._instance, self.loop, phase)
        self.host.over(self, Ended(0))

    def _write_snapshot(self, encoded: Encoded) -> None:
        self.host.leave_snapshot(self, join(encoded))

    def _take_snapshot(self) -> bytes | None:
        return self.host.take_snapshot()

    def _failed(self, error: BaseException) -> None:
        """Note what ended this life."""
        if isinstance(error, TellFailed):
            error = error.error
        if isinstance(error, SystemExit):
            self.host.over(self, Ended(_exit_code(error)))
            return
        if not self._is_dead and self.words[PHASE] not in (STARTING, ENDING):
            self.words[PHASE] = FAILED
        text, trace = describe(error)
        self.host.over(self, Ended(_FAILED_CODE, text=text, trace=trace))

    # -- its end from outside ---------------------------------------------------------------------

    @property
    def is_dead(self) -> bool:
        """Whether it has no effect any more."""
        return self._is_dead

    @is_dead.setter
    def is_dead(self, is_dead: bool) -> None:
        self._is_dead = self._reader.is_dead = is_dead  # type: ignore[attr-defined]

    def kill(self) -> None:
        """Have what it is in end, if that waits for something of the system."""
        waiter = self.waits_for
        if waiter is not None:
            waiter.kill()
        self._end_beside()
        self.transport.engine.wake(self)

    def _now_ns(self) -> int:
        return self.host.now_ns()

    def _read_blueprint(self) -> tuple[bytes, bytes]:
        store = self.transport.store
        paths = (self._order.blueprint, self._order.extra)
        blueprint, extra = (store.read(path) if path else b"" for path in paths)
        return blueprint, extra

    def _die(self) -> None:
        """End this life, as whoever kills it does."""
        self.host.crash()
        raise Killed

    def _check_alive(self) -> None:
        if self._is_dead:
            raise Killed

    # -- for the transport ------------------------------------------------------------------------

    def is_stopping(self) -> bool:
        """Whether it is being stopped."""
        return self._context.stopping

    @property
    def context(self) -> Context:
        """What the actor sees."""
        return self._context

    @property
    def owe(self) -> Callable[[bytes], Callable[[], None]] | None:
        """See `Answering.owe`."""
        return None if self.loop is None else self.loop.owe

    @property
    def on_taken_over(self) -> Callable[[int, int], None]:
        """See `Answering.on_taken_over`."""
        return self._taken_over


class _Schedule(Schedule):
    """A timetable of an actor that several threads may serve, one after the other."""

    def __init__(self, life: LocalLife, clock: Callable[[], float], cls: type) -> None:
        super().__init__(cls, clock)
        self._life = life

    def _check_thread(self, verb: str) -> None:
        if here.life is not self._life:
            raise RuntimeError(
                f"{verb} was called outside of the actor's handlers: timers are set and given up "
                f"by those; from elsewhere, tell the actor (context.ref.tell) to do it"
            )


def _order_of(host: LocalHost, life: NextLife) -> StartOrder:
    """Return a start order, without what is for a process."""
    return StartOrder(
        actor=host.id,
        start=life.start,
        name=host.name,
        incarnation=life.incarnation,
        blueprint=host.blueprint,
        extra=life.extra,
        class_name=host.class_name,
        parent=life.parent,
        overflow=life.options.overflow.value,
        stop_timeout=life.stop_timeout,
        report=b"" if life.report is None else pickle.dumps(life.report),
        environ={},
        cwd="",
        path=[],
        argv=[],
        main_file=None,
        authkey=b"",
        seed=life.seed,
        concurrency=life.options.max_concurrency,
        taps=tuple(host.taps.items()),
        options=pickle.dumps(life.options) if host.taps else b"",
    )


#: By the number of an instance: its life, for what threads of the actor's own ask of it.
_by_id: dict[int, LocalLife] = {}


def _note_instance(instance: Any, life: LocalLife) -> None:
    """Note whose an instance is, if that is possible."""
    number = id(instance)
    # Where it cannot be referred to weakly, its own threads do not find its context.
    with contextlib.suppress(TypeError):
        weakref.finalize(instance, _by_id.pop, number, None).atexit = False
        _by_id[number] = life


def _context_of(instance: Any) -> Context | None:
    """Return the context of an instance; of None, that of what the calling thread serves."""
    life = here.life
    if life is None and instance is not None:
        life = _by_id.get(id(instance))
    return None if life is None else life._context
