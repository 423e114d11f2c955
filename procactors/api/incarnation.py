"""One life of an actor: from the first line in its process to the last.

Layer: api. Runs in: actor, main thread.
Owns: the process's endpoint and loop, closed at the end of an orderly life.
Never: returns: what an end leaves in hand is reported as such.

    claim the mailbox, hang on the lifeline ─► surroundings, signals ─► class and arguments
    ─► constructor, restore, on_start ─► Ready ─► loop ─► snapshot ─► children stop ─► on_stop
    ─► flush, exit code 0
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import pickle
import signal
import sys
import threading
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, NoReturn, cast

from procactors.api.actor import Actor, Context, set_current
from procactors.api.spawner import SystemHandle
from procactors.errors import ProcActorsError, SupervisionError
from procactors.late import late
from procactors.model.choices import Overflow
from procactors.process.lifeline import die_with_parent
from procactors.process.limits import bind
from procactors.process.nesting import ACTOR, become, note_threads
from procactors.process.order import INHERIT, StartOrder, read_order
from procactors.process.streams import print_by_lines
from procactors.process.title import show
from procactors.runner.log_forward import LogForwarder, forward_logs, leave_alone
from procactors.runner.log_tail import keep_log
from procactors.runner.loop import Loop, TellFailed, describe
from procactors.runner.method_table import table_of
from procactors.runner.setup import (
    adopt_surroundings,
    claim_mailbox,
    seed_generators,
    set_signals,
    watch_faults,
)
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.wire.endpoint import Endpoint, actor_path
from procactors.wire.mailbox.black_box import (
    CLOSED,
    CONTROL,
    ENDING,
    FAILED,
    HALTED,
    INCARNATION,
    LEFT,
    PARENT_GONE,
    PHASE,
    PROCESS,
    RECYCLED,
    RECYCLING,
    STARTING,
    STOP_ORDERED,
    STOPPED,
)
from procactors.wire.mailbox.meter import Meter
from procactors.wire.mailbox.metered import MeteredReader
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.pickling.codec import decode_joined
from procactors.wire.record import CHILD_FAILED, EVENT, READY, TAKEN_OVER, Kind, frame
from procactors.wire.storage import write_whole
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from procactors import crash
    from procactors.model import commands as c
    from procactors.runner.checkpoints import CheckpointReader, Keeper
    from procactors.runner.event_loop import EventLoop
    from procactors.runner.taps import Taps
    from procactors.runtime.child_failure import ChildFailure
    from procactors.wire.pickling.codec import Encoded
else:
    c = late("procactors.model.commands")
    crash = late("procactors.crash")

_log = logging.getLogger("procactors")

__all__ = ["Life", "main"]

#: Exit code of an incarnation that an exception ended; the exception is in the file `error`.
_FAILED_CODE = 1

#: Most seconds for the end of a life that did not come to know its order.
_END_S = 1.0

#: Loaded in a process that is a copy of the parent.
_FORKING = "procactors.process.forking"

#: What `on_stop` gets for each orderly end: a name of `ExitKind`.
_KINDS = {STOPPED: "STOPPED", LEFT: "NORMAL", HALTED: "RESTARTED", RECYCLED: "RECYCLED"}


def main(argv: list[str], *, stood_by: bool = False) -> None:
    """Live one life.

    Args:
        argv: the runtime directory, the actor's id and the start's number.
        stood_by: it was forked ahead of its order, and hangs on the lifeline already.
    """
    runtime_dir, actor, start = argv[0], int(argv[1]), int(argv[2])
    folder = actor_path(runtime_dir, actor)
    try:
        claimed = _claim(runtime_dir, folder, start, stood_by)
    except Exception as error:  # noqa: BLE001 - whatever it is, the caller of the start gets it
        _note(folder, start, error)
        _end(_FAILED_CODE, _END_S)
    if claimed is None:
        sys.exit(0)
    order, reader = claimed
    words = reader.box.words
    words[INCARNATION], words[PHASE] = order.incarnation, STARTING
    endpoint = None
    code = 0
    try:
        forwarder = _set_up(order, runtime_dir, folder, words)
        endpoint = _open_endpoint(runtime_dir, actor, reader)
        if order.metrics:
            endpoint.measure(order.name, order.class_name)
        if order.is_traced:
            _trace(runtime_dir, actor)
        Life(order, folder, reader, endpoint, forwarder).run()
    except BaseException as error:  # noqa: BLE001 - nothing leaves this process but by its report
        code = _leave(order, folder, endpoint, words, error)
    _end(code, order.stop_timeout)


def _claim(
    runtime_dir: str, folder: str, start: int, stood_by: bool
) -> tuple[StartOrder, MailboxReader] | None:
    """Become the one that serves this mailbox; None: another process does, or none is to."""
    try:
        if not stood_by:
            die_with_parent(runtime_dir)
        order = read_order(folder)
        if order.start != start:
            return None  # this start was given up; another incarnation has the mailbox
        reader = _open_reader(folder, order)
        return (order, reader) if claim_mailbox(folder, reader.box.words, start) else None
    except FileNotFoundError:
        return None  # the system, or the actor, ended while this process came up


def _open_reader(folder: str, order: StartOrder) -> MailboxReader:
    meter = Meter(folder, order.name, order.class_name) if order.metrics else None
    if order.checkpoint is None:
        return MailboxReader(folder) if meter is None else MeteredReader(folder, meter)
    from procactors.runner.checkpoints import CheckpointReader  # only where it is used

    return CheckpointReader(folder, meter)


def _set_up(
    order: StartOrder, runtime_dir: str, folder: str, words: memoryview
) -> LogForwarder | None:
    """Set up all that the user's code is to find when it is imported."""
    become(ACTOR, order.makers)
    show(order.name, f"procactors {order.system}: {order.name} ({order.class_name})")
    adopt_surroundings(order)
    if order.output != INHERIT:
        from procactors.process.output import redirect  # only where it is used

        redirect(order.output, folder, order.name)
    print_by_lines()
    watch_faults(folder, order.dumps)  # first: it brings the stack on which signals are handled
    set_signals(folder, words)
    keep_log(folder)
    seed_generators(order.seed, order.reseed)
    if order.cpus is not None or order.nice is not None:
        bind(order.cpus, order.nice)
    if order.logs == "inherit":
        leave_alone()
        return None
    forwarder = LogForwarder(order, runtime_dir, words)
    forward_logs(forwarder, order.levels, forget=_FORKING in sys.modules)
    return forwarder


def _open_endpoint(runtime_dir: str, actor: int, reader: MailboxReader) -> Endpoint:
    endpoint = Endpoint(runtime_dir, actor, reader.box)
    reader.box.words[PROCESS] = endpoint.store.process
    endpoint.on_lost = lambda target, record: _report_lost(endpoint, target, record)
    client = Client(endpoint)
    endpoint.on_given_up, endpoint.on_full = client.report_given_up, client.report_full
    endpoint.name_of = lambda other: _name_of(endpoint, other)
    return endpoint


def _trace(runtime_dir: str, actor: int) -> None:
    """Make spans from the beginning, if that can be done at all."""
    try:
        from procactors.spans.handling import begin  # only where messages are traced

        begin(runtime_dir, actor)
    except Exception:  # noqa: BLE001 - whatever is wrong with the tracer, the actor is to live
        _log.exception("this actor cannot trace")


class Life:
    """The parts of one incarnation."""

    def __init__(
        self,
        order: StartOrder,
        folder: str,
        reader: MailboxReader,
        endpoint: Endpoint,
        forwarder: LogForwarder | None = None,
    ) -> None:
        self._order = order
        self._folder = folder
        self._reader = reader
        self._endpoint = endpoint
        self._words = reader.box.words
        self._handle = SystemHandle(endpoint, None)
        self._context = self._make_context()
        #: Of an actor with coroutines; None of others.
        self._events: EventLoop | None = None
        #: Of an actor whose records go to the parent.
        self._forwarder = forwarder
        #: Writes its state down; None: its options have no checkpoint.
        self._keeper: Keeper | None = None
        #: Of a life in whose messages a test has its hand.
        self._taps: Taps | None = None

    def run(self) -> None:
        """Construct, serve, end."""
        if self._forwarder is not None:
            self._forwarder.find_box = functools.partial(self._endpoint.box, SUPERVISOR)
        set_current(self._context)
        self._find_taps()
        instance = self._construct()
        if self._events is None:
            store, actor = self._endpoint.store, self._order.actor
            loop = Loop(self._reader, store, actor, instance, self._refused)
        else:
            loop = self._make_async_loop(instance, self._events)
        if self._context._leaving:
            loop.leave()
        self._context._serve_with(loop)
        if self._forwarder is not None:
            self._forwarder.name_handler_by(loop)
        self._endpoint.owe, self._endpoint.on_taken_over = loop.owe, self._taken_over
        loop.on_event = functools.partial(self._happened, instance)
        if self._order.recycle is not None:
            from procactors.runner.recycling import Recycler  # only where it is used

            loop.recycler = recycler = Recycler(self._reader, *self._order.recycle)
            loop.use(recycler)
        if self._keeper is not None:
            self._keeper.serve(cast("CheckpointReader", self._reader), loop.replies, instance)
            loop.keep_by(self._keeper)
        if self._context._schedule is not None:
            loop.keep_time(self._context._schedule)
        self._serve_taps(loop)
        ready = READY.pack(self._order.actor, self._order.start, _decides(type(instance)))
        self._endpoint.send_control(SUPERVISOR, frame(Kind.READY, 0, ready))
        phase = loop.run()
        if phase == RECYCLED or self._keeper is not None:
            self._words[PHASE] = RECYCLING if phase == RECYCLED else ENDING
            self._leave_state(instance)
        self._finish(instance, loop, phase)

    def _find_taps(self) -> None:
        """Have a test have its hand in this life, if one has ordered that before it."""
        if self._order.taps:
            self._taps = self._make_taps()

    def _serve_taps(self, loop: Loop) -> None:
        """Have a test have its hand in the messages, if one wants to, now or later."""
        if self._taps is not None:
            self._taps.serve(loop)
        loop.on_tap = functools.partial(self._heed_tap, loop)

    def _heed_tap(self, loop: Loop, body: bytes) -> None:
        if self._taps is None:
            self._taps = self._make_taps()
            self._taps.serve(loop)
        self._taps.heed(body)

    def _make_taps(self) -> Taps:
        from procactors.runner.taps import Tapped, Taps  # only in tests of programs

        order = self._order
        life = Tapped(
            order.actor,
            order.name,
            order.class_name,
            order.incarnation,
            order.parent,
            order.seed,
            order.options,
            self._endpoint.path,
            self._now_ns,
            self._read_blueprint,
            functools.partial(setattr, self._context, "seed"),
            self._die,
        )
        return Taps(life, order.taps)

    def _now_ns(self) -> int:
        return monotonic_ns()

    def _read_blueprint(self) -> tuple[bytes, bytes]:
        """Return what its class and arguments are written in, and further arguments."""
        paths = (self._order.blueprint, self._order.extra)
        blueprint, extra = (_bytes_of(path) if path else b"" for path in paths)
        return blueprint, extra

    def _die(self) -> None:
        """End this process, as whoever kills it does."""
        signal.raise_signal(signal.SIGKILL)

    def _make_async_loop(self, instance: Any, events: EventLoop) -> Loop:
        from procactors.runner.async_loop import AsyncLoop  # only where it is used

        actor, store, most = self._order.actor, self._endpoint.store, self._order.concurrency
        self._endpoint.is_concurrent = most > 1
        return AsyncLoop(self._reader, store, actor, instance, self._refused, events, most)

    def close(self) -> None:
        """Close what else stays open to the end of the process: in a rehearsal, that goes on."""
        if self._context._loop is not None:
            self._context._loop.replies.close()

    def _construct(self) -> Any:
        cls, args, kwargs = self._load_blueprint()
        note_threads()
        if table_of(cls).is_async:
            from procactors.runner.event_loop import EventLoop  # only where it is used

            self._events = EventLoop()
        self._context._class = cls
        if self._order.checkpoint is not None:
            self._keeper = self._open_keeper(self._order.checkpoint)
        instance = cls(*args, **kwargs)
        if self._keeper is not None:
            self._keeper.restore(instance)
        elif self._order.recycle is not None:
            self._restore(instance)
        result = _hook(instance, "on_start")
        if self._events is not None:
            self._events.finish(result)
        if self._order.report:
            self._ended(_hook(instance, "on_restart", pickle.loads(self._order.report)))
        return instance

    def _load_blueprint(self) -> tuple[type, tuple[Any, ...], dict[str, Any]]:
        what = f"class {self._order.class_name} (or one of its arguments)"
        cls, args, kwargs = decode_joined(_bytes_of(self._order.blueprint), what)
        if self._order.extra:
            more_args, more_kwargs = decode_joined(_bytes_of(self._order.extra), what)
            args, kwargs = (*args, *more_args), {**kwargs, **more_kwargs}
        return cls, args, kwargs

    def _ended(self, result: Any) -> Any:
        """Return what a hook has returned; of a coroutine what comes of it."""
        return result if self._events is None else self._events.finish(result)

    def _happened(self, instance: Any, flags: int, body: memoryview) -> Any:
        """Tell the instance of another actor's end or restart, if it has a hook for it.

        Returns:
            what is still to be awaited, where the hook is a coroutine.
        """
        what, *about = EVENT.unpack_from(body)
        if what == CHILD_FAILED:
            return self._decide(instance, flags, body)
        if what == TAKEN_OVER:
            self._taken_over(*about)
            return None
        event = self._context._watches().open(flags, body)
        if event is None:
            return None
        return _hook(instance, f"on_{type(event).__name__.lower()}", event)

    def _taken_over(self, number: int, turn: int) -> None:
        """Another process owes the answer now to a message that this one holds."""
        assert self._context._loop is not None
        self._context._loop.held.taken_over(number, turn)

    def _decide(self, instance: Any, flags: int, body: memoryview) -> Any:
        """Ask the instance about a child that died, and pass on what it says."""
        from procactors.runtime.child_failure import ChildFailure  # only where it is used

        *facts, life = self._context._watches().open_failure(flags, body)
        if life != self._order.incarnation:
            return None  # of a child of the life before: it has been stopped
        failure = ChildFailure(*facts)
        said = instance.on_child_failure(failure)
        if self._events is not None and hasattr(type(said), "__await__"):
            return self._decide_later(said, failure)
        self._decided(said, failure)
        return None

    async def _decide_later(self, said: Awaitable[Any], failure: ChildFailure) -> None:
        self._decided(await said, failure)

    def _decided(self, said: Any, failure: ChildFailure) -> None:
        from procactors.runtime.child_failure import Directive  # only where it is used

        directive = Directive.of(said)
        word = directive.value if directive is not None else ""
        self._command(c.DecideOnChild(failure.ref._actor, failure.incarnation, word))
        if directive is Directive.ESCALATE:
            raise SupervisionError(f"its child {failure.ref.name} {failure.reason}")

    def _open_keeper(self, bounds: tuple[int | None, float | None, str, bool]) -> Keeper:
        from procactors.runner.checkpoints import open_keeper  # only where it is used

        order = self._order
        return open_keeper(self._endpoint.store, order.actor, order.class_name, bounds)

    def _leave_state(self, instance: Any) -> None:
        """Leave the state for what follows. What this raises crashes the actor."""
        if self._keeper is not None:
            self._keeper.finish()
        else:
            self._snapshot(instance)

    def _snapshot(self, instance: Any) -> None:
        """Leave the state for the next life."""
        take = getattr(instance, "snapshot", None)
        # The base class's own stands for "there is none": None may well be a state.
        if callable(take) and getattr(take, "__func__", None) is not Actor.snapshot:
            cls = type(instance).__qualname__
            encoded = self._endpoint.store.encode(self._ended(take()), f"snapshot of {cls}")
            self._write_snapshot(encoded)

    def _write_snapshot(self, encoded: Encoded) -> None:
        from procactors.runner.recycling import write_snapshot  # only where it is used

        write_snapshot(self._endpoint.path, self._order.actor, encoded)

    def _take_snapshot(self) -> bytes | None:
        from procactors.runner.recycling import take_snapshot  # only where it is used

        return take_snapshot(self._endpoint.path, self._order.actor)

    def _restore(self, instance: Any) -> None:
        data = self._take_snapshot()
        if data is None:
            return
        cls = type(instance).__qualname__
        state = decode_joined(data, f"snapshot of {cls}")
        restore = getattr(instance, "restore", None)
        if not callable(restore):
            raise TypeError(f"{cls} has snapshot(), so it needs restore(state): nobody takes it")
        self._ended(restore(state))

    def _finish(self, instance: Any, loop: Loop, phase: int) -> None:
        """End an orderly life: children first, then the hook, then what waits to be written."""
        # First: from here on the mailbox is not served, and that is no hang.
        self._words[PHASE] = ENDING
        if self._context._children:
            Client(self._endpoint).ask(c.StopChildren(self._order.actor))
        kind = _KINDS[phase]
        if phase == STOPPED and self._words[CONTROL] == PARENT_GONE:
            kind = "PARENT_GONE"
        self._ended(_hook(instance, "on_stop", crash.ExitReason(crash.ExitKind[kind])))
        if self._events is not None:
            self._events.wind_up()
        self._words[PHASE] = phase
        self._endpoint.flush(self._order.stop_timeout)

    def _refused(self, record: bytes, why: str) -> None:
        self._command(c.LostMessage(self._order.actor, record, why))

    def _command(self, command: Any) -> None:
        _tell_supervisor(self._endpoint, command)

    def _make_context(self) -> Context:
        order, runtime_dir = self._order, self._endpoint.path
        ref: ActorRef[Any] = ActorRef(
            runtime_dir, order.actor, order.name, Overflow(order.overflow)
        )
        parent = None
        if order.parent:
            parent = ActorRef[Any](
                runtime_dir, order.parent, f"actor {order.parent}", ref._overflow
            )
        context = Context(self._handle, ref, parent, order.incarnation, order.seed)
        context._is_ordered = functools.partial(_is_stop_ordered, self._words)
        self._endpoint.is_stopping = lambda: context.stopping
        return context


def _bytes_of(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _is_stop_ordered(words: memoryview) -> bool:
    # In a life that finishes the mailbox of a crashed one, the first word alone is set at once.
    return bool(words[STOP_ORDERED] or words[CONTROL] or words[CLOSED])


def _decides(cls: type) -> bool:
    """Whether actors of a class want to be asked about children that die."""
    hook = getattr(cls, "on_child_failure", None)
    return callable(hook) and hook is not Actor.on_child_failure


def _hook(instance: Any, name: str, *args: Any) -> Any:
    hook = getattr(instance, name, None)
    return hook(*args) if callable(hook) else None


def _leave(
    order: StartOrder,
    folder: str,
    endpoint: Endpoint | None,
    words: memoryview,
    error: BaseException,
) -> int:
    """Note what ended this life, for the report; return the exit code."""
    # By its type: `isinstance` would ask the exception itself, which may refuse to say.
    if issubclass(type(error), TellFailed):
        error = error.error  # type: ignore[attr-defined]
    code = _FAILED_CODE
    if issubclass(type(error), SystemExit):
        code = _exit_code(error)  # type: ignore[arg-type]
    else:
        if words[PHASE] not in (STARTING, ENDING):
            words[PHASE] = FAILED
        _note(folder, order.start, error)
    if endpoint is not None:
        endpoint.flush(order.stop_timeout)  # what it has told others before still goes
    return code


def _note(folder: str, start: int, error: BaseException) -> None:
    """Leave for the supervisor what ended the life of this start."""
    with contextlib.suppress(OSError):  # a full disk: the exit code alone must tell
        last_words = pickle.dumps((start, *describe(error)))
        write_whole(os.path.join(folder, "error"), last_words)


def _exit_code(error: SystemExit) -> int:
    """Return the exit code of a `sys.exit`, as the interpreter would."""
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    with contextlib.suppress(Exception):  # there may be no stderr, or no text of it
        sys.stderr.write(f"{error.code}\n")
    return 1


def _end(code: int, patience: float) -> NoReturn:
    """End the process now: a thread or a child that the actor has left must not keep it.

    Finalizers of `multiprocessing` run (a pool inside the actor ends with it), but not for ever.
    """
    limit = threading.Timer(patience, os._exit, (code,))
    limit.daemon = True
    # So wide, at each step: whatever is raised, the end has come.
    with contextlib.suppress(Exception):
        limit.start()
    with contextlib.suppress(Exception):
        # Who has any has loaded the module.
        if util := sys.modules.get("multiprocessing.util"):
            util._run_finalizers()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(code)


def _name_of(endpoint: Endpoint, actor: int) -> str:
    try:
        status: c.ActorStatus = Client(endpoint).ask(c.Describe(actor))
    except ProcActorsError:  # the system is just ending: the error that needs the name says more
        return f"actor {actor}"
    return status.name


def _report_lost(endpoint: Endpoint, target: int, record: bytes) -> None:
    _tell_supervisor(endpoint, c.LostMessage(target, record, "has stopped"))


def _tell_supervisor(endpoint: Endpoint, command: Any) -> None:
    with contextlib.suppress(ProcActorsError):  # the system is ending: the supervisor is gone
        Client(endpoint).tell(command)
