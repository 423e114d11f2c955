"""What becomes of the records that code in an actor logs: the parent gets them.

Layer: runner. Runs in: actor, in whichever thread logs.
Owns: the actor's own methods of `logging` (`forward_logs`), put back in forked copies.
Never: unpickles or pickles what a user logs; raises into the code that logs; touches a record that
a handler of the actor's own takes.

    log.info(...) ─► level? ─► filters of the logger ─► handlers of the actor's own, if there are
                       ▲                            └─► else: text ─► log pipe ─► the parent
                       └── the parent's levels, looked up anew when they have changed

The levels are the parent's, from before the first line of user code. What that sets here holds
until the parent changes the level of that very logger. (256 changes between two looks of an actor
would look like none.)
"""

from __future__ import annotations

import logging
import marshal
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.late import late
from procactors.process.order import StartOrder
from procactors.runner.loop import Loop
from procactors.wire.mailbox.black_box import HANDLED, HANDS, LOGS, LOGS_LOW, STATE, TIMER, BlackBox

if TYPE_CHECKING:
    from procactors.wire import log_levels, log_pipe
    from procactors.wire.log_levels import Levels
    from procactors.wire.log_pipe import LogWriter
else:
    # Not before there is a record, or a change of levels.
    log_levels = late("procactors.wire.log_levels")
    log_pipe = late("procactors.wire.log_pipe")

__all__ = ["LogForwarder", "forward_logs", "forward_no_more", "install", "leave_alone"]

#: Of an order: nobody gets the records that no handler of the actor's own takes.
NONE = "none"

_is_enabled_for = logging.Logger.isEnabledFor
_get_effective_level = logging.Logger.getEffectiveLevel
_call_handlers = logging.Logger.callHandlers
_basic_config = logging.basicConfig

#: What every record has; the rest came by `extra=`, or from a filter.
_USUAL = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "actor",
    "incarnation",
    "handler",
}
_USUAL_COUNT = len(logging.LogRecord("", 0, "", 0, "", (), None).__dict__)
#: Most bytes of a whole record: what is larger is cut.
_MOST_BYTES = 1 << 20
#: Most characters of a value that is no plain one.
_REPR_CHARS = 2000
#: How deep such a value may be.
_DEPTH = 8

_formatter = logging.Formatter()


class LogForwarder:
    """An actor's logging, while it is the parent's.

    Args:
        order: of its start.
        runtime_dir: where changes of levels are.
        words: of the actor's own black box.

    Attributes:
        handler: names the handler of the message in hand.
    """

    def __init__(self, order: StartOrder, runtime_dir: str, words: memoryview) -> None:
        self._order = order
        self._own_words = words
        self._runtime_dir = runtime_dir
        # Made with the first record.
        self._writer: LogWriter | None = None
        #: Of the levels that hold.
        self._version = 0
        self._levels: Levels = 0, 0, {"": logging.WARNING}  # what `logging` begins with
        self.handler: Callable[[], str] = str
        #: Returns the supervisor's box, None if it is gone; set once it can be found.
        self.find_box: Callable[[], BlackBox | None] | None = None
        # The words of that box: the low byte of one says that levels have changed.
        self._words: memoryview | None = None
        self._has_told = False

    def name_handler_by(self, loop: Loop) -> None:
        """Have records say by which handler they were logged."""
        words = self._own_words
        main = threading.get_ident()
        seen: tuple[int, ...] = ()
        name = ""

        def named() -> str:
            nonlocal seen, name
            if threading.get_ident() != main:
                return ""  # of which message a thread is at work, nobody knows
            now = words[STATE], words[HANDLED], words[TIMER]
            if now != seen or words[HANDS]:
                name, seen = loop.handler, now
            return name

        # Where several may be in hand, each task knows its own.
        self.handler = named if type(loop).handler is Loop.handler else lambda: loop.handler

    # -- levels

    def begin(self, levels: Levels) -> None:
        """Set the levels that hold at the start."""
        with logging._lock:  # type: ignore[attr-defined]
            self._apply(levels)

    def _apply(self, levels: Levels) -> None:
        """Set the levels that the parent has changed since the last time."""
        (_, was_disabled, before), (version, disabled, now) = self._levels, levels
        self._levels = levels
        for name in before.keys() | now.keys():
            level = now.get(name, logging.NOTSET)
            if level != before.get(name, logging.NOTSET):
                logging.getLogger(name).setLevel(level)
        if disabled != was_disabled:
            logging.disable(disabled)
        self._version = version

    def refresh(self) -> None:
        """Take over the parent's levels, if they have changed."""
        global _seen  # noqa: PLW0603 - as the loggers are
        # The one that `logging` itself holds while it changes levels: with one of ours, a thread
        # that is at that, and logs, would wait for one that waits for it.
        with logging._lock:  # type: ignore[attr-defined]
            if self._words is None and not self._find():
                return
            assert self._words is not None
            try:
                version = self._words[LOGS]
                # First: a handler of a signal may log while we are at it.
                _seen = version & 0xFF
                if version != self._version:
                    self._apply(log_levels.read_levels(self._runtime_dir))
            except ValueError:  # the box was closed to save descriptors: the next look opens it
                self._words = None
            except OSError:  # the system has just ended
                pass

    def _find(self) -> bool:
        """Find the supervisor's box; return whether it is there."""
        global _bytes  # noqa: PLW0603 - as the loggers are
        if self.find_box is None:
            return False  # it comes soon: what is logged before finds the levels of the start
        box = self.find_box()
        if box is None:
            _bytes = _unchanging()  # the system is ending
            return False
        _bytes, self._words = box.data, box.words
        return True

    # -- records

    def take(self, record: logging.LogRecord) -> None:
        """Hand over a record that no handler of the actor's own takes."""
        if self._order.logs == NONE:
            return
        if self._writer is None:
            order = self._order
            self._writer = log_pipe.LogWriter(
                self._runtime_dir, order.actor, order.incarnation, self._own_words
            )
        try:
            data = self._encode(record)
        except Exception:  # noqa: BLE001 - the user's: its text cannot be made
            logging.Handler().handleError(record)
            return
        self._writer.send(data)

    def _encode(self, record: logging.LogRecord) -> bytes:
        values = record.__dict__
        msg = record.msg
        if type(msg) is dict and not record.args:  # structlog's, for the parent's formatter
            msg = _plain(_with_exception(msg))
        else:
            msg = str(record.getMessage())
        text = record.exc_text
        if not text and record.exc_info:
            text = _formatter.formatException(record.exc_info)
        extra = None
        if len(values) != _USUAL_COUNT:
            extra = {key: value for key, value in values.items() if key not in _USUAL} or None
        fields = [
            record.name,
            record.levelno,
            record.levelname,
            msg,
            record.created,
            record.msecs,
            record.pathname,
            record.lineno,
            record.funcName,
            record.thread,
            record.threadName,
            text,
            record.stack_info,
            record.process,
            values.get("taskName"),
            extra,
        ]
        if "actor" in values:  # of a system that this actor has made
            whose = values["actor"], values.get("incarnation"), values.get("handler")
            fields += [*whose, record.processName]
        else:
            fields.append(self.handler())
        try:
            data = marshal.dumps(fields, 2)
        except ValueError:  # it holds what is not plain
            data = marshal.dumps([_plain(field) for field in fields], 2)
        return data if len(data) <= _MOST_BYTES else _shortened(fields)

    def tell_of_own(self, logger: logging.Logger, handler: logging.Handler) -> None:
        """Say once that records go to a handler of the actor's own, and not to the parent."""
        if self._has_told or self._order.logs == NONE:
            return
        self._has_told = True
        log = logging.getLogger("procactors")
        if log.isEnabledFor(logging.DEBUG):
            text = (
                f"logging is set up in this actor: what {handler!r} of logger {logger.name!r} gets "
                f"is not forwarded to the program"
            )
            record = log.makeRecord(log.name, logging.DEBUG, __file__, 0, text, (), None)
            self.take(record)


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value as plain data: what is none by its `repr`."""
    if value is None or type(value) in (str, int, float, bool, bytes):
        return value
    if isinstance(value, logging.Logger):
        from procactors.observe.actor_records import LOGGER_MARK  # only where it is used

        return {LOGGER_MARK: value.name}
    if depth < _DEPTH and type(value) is dict:
        return {_plain(key, _DEPTH): _plain(part, depth + 1) for key, part in value.items()}
    if depth < _DEPTH and type(value) in (list, tuple):
        return type(value)(_plain(part, depth + 1) for part in value)
    for kind in (str, int, float):  # what is derived from them, as numpy's floats are
        if issubclass(type(value), kind):
            return str.__str__(value) if kind is str else kind(value)
    try:
        return repr(value)[:_REPR_CHARS]
    except Exception as error:  # noqa: BLE001 - the user's
        return f"<{type(value).__qualname__}: its repr raised {type(error).__name__}>"


def _with_exception(event: dict[Any, Any]) -> dict[Any, Any]:
    """Return structlog's event with its exception as text: there is none in the parent."""
    wanted = event.get("exc_info")
    if not wanted:
        return event
    if isinstance(wanted, BaseException):
        info: Any = type(wanted), wanted, wanted.__traceback__
    else:
        info = wanted if isinstance(wanted, tuple) else sys.exc_info()
    rest = {key: value for key, value in event.items() if key != "exc_info"}
    return {**rest, "exception": _formatter.formatException(info)} if info[0] else rest


def _shortened(fields: list[Any]) -> bytes:
    """Return a record that is too large with what is long in it cut."""
    most = _MOST_BYTES // 16
    fields = [_cut(_plain(field), most) for field in fields]
    return marshal.dumps(fields, 2)


def _cut(value: Any, most: int) -> Any:
    if isinstance(value, str):
        text = value
    elif isinstance(value, (dict, list, tuple, set, frozenset, bytes)):
        text = repr(value)
        if len(text) <= most:
            return value
    else:
        return value
    if len(text) <= most:
        return text
    left = len(text) - most
    return f"{text[: most // 2]} ... {left} characters left out ... {text[-most // 2 :]}"


# -- what stands in `logging` ---------------------------------------------------------------------

_forwarder: LogForwarder | None = None
#: The supervisor's box as bytes, and the low byte of the version of the levels that hold.
_bytes: Any = bytes(LOGS_LOW + 1)
_seen = 0


def _unchanging() -> bytes:
    return bytes((_seen,)) * (LOGS_LOW + 1)


def _is_enabled(self: logging.Logger, level: int) -> bool:
    """`Logger.isEnabledFor`, behind a look at a byte that all processes share."""
    try:
        if _bytes[LOGS_LOW] != _seen:
            _refresh()
    except (IndexError, ValueError):  # not yet found; closed to save descriptors
        _refresh()
    if self.disabled:
        return False
    try:
        return self._cache[level]  # type: ignore[attr-defined, no-any-return]
    except KeyError:
        return _is_enabled_for(self, level)


def _effective_level(self: logging.Logger) -> int:
    """`Logger.getEffectiveLevel`, as `_is_enabled`."""
    _refresh()
    return _get_effective_level(self)


def _refresh() -> None:
    if _forwarder is not None:
        _forwarder.refresh()


def _call(self: logging.Logger, record: logging.LogRecord) -> None:
    """`Logger.callHandlers`, with the parent where `logging` would have its last resort."""
    if _forwarder is None:
        _call_handlers(self, record)
        return
    logger: logging.Logger | None = self
    found = None
    while logger is not None:
        for handler in logger.handlers:
            if type(handler) is logging.NullHandler:  # libraries have one, by convention
                continue
            found = found or (logger, handler)
            if record.levelno >= handler.level:
                handler.handle(record)
        logger = logger.parent if logger.propagate else None
    if found is None:
        _forwarder.take(record)
    else:
        _forwarder.tell_of_own(*found)


def _configure(**options: Any) -> None:
    """`logging.basicConfig`, but for the calls that `logging.info` and its like make by themselves.

    These set up a handler where there is none: records would go to that.
    """
    if (
        options
        or _forwarder is None
        or sys._getframe(1).f_globals.get("__name__") != logging.__name__
    ):
        _basic_config(**options)


def forward_no_more() -> None:
    """Have this process log as any other: a forked copy is no actor."""
    global _forwarder, _bytes
    _forwarder, _bytes = None, _unchanging()


_OURS = {"isEnabledFor": _is_enabled, "getEffectiveLevel": _effective_level, "callHandlers": _call}
_STOCK = {
    "isEnabledFor": _is_enabled_for,
    "getEffectiveLevel": _get_effective_level,
    "callHandlers": _call_handlers,
}


def install() -> None:
    """Put our functions into `logging`: they do as those there, until a process forwards.

    In the zygote, since each actor would else have pages of its own for that.
    """
    for name, function in _OURS.items():
        setattr(logging.Logger, name, function)
    logging.basicConfig = _configure


def leave_alone() -> None:
    """Give `logging` its own functions back: this actor's is its own."""
    if logging.basicConfig is _configure:
        logging.basicConfig = _basic_config
    for name, function in _OURS.items():
        if getattr(logging.Logger, name) is function:  # else a preloaded module has wrapped it
            setattr(logging.Logger, name, _STOCK[name])


def forward_logs(forwarder: LogForwarder, levels: Levels, *, forget: bool) -> None:
    """Have `logging` hand its records to the parent, from now on.

    Args:
        forwarder: does it.
        levels: that hold in the parent.
        forget: drop the handlers that are there: they are copies of the parent's.
    """
    global _forwarder, _bytes, _seen  # noqa: PLW0603 - as the loggers are
    if forget:
        for logger in [logging.root, *logging.root.manager.loggerDict.values()]:
            if isinstance(logger, logging.Logger):
                logger.handlers.clear()
    if levels[0]:
        _seen = levels[0] & 0xFF
        forwarder.begin(levels)
    _forwarder, _bytes = forwarder, b""  # which no look takes for a box
    if logging.basicConfig is not _configure:
        install()
    os.register_at_fork(after_in_child=forward_no_more)
