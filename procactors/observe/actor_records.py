"""Records that actors have logged, made anew for the loggers of this process.

Layer: observe. Runs in: parent, in the thread that takes in records.
Owns: nothing: the loggers are the program's.
Never: unpickles anything; raises what a handler or a filter of the program's raises.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import Any

from procactors.light_tuple import NamedTuple

__all__ = ["LOGGER_MARK", "Origin", "RecordMaker"]

#: Stands for a logger among the values, by its name.
LOGGER_MARK = "\0logger"
#: Loggers and paths that are kept at hand.
_MOST = 1000


class Origin(NamedTuple):
    """Which actor has logged.

    Attributes:
        name: the actor's.
        incarnation: its life, from 1.
        pid: that life's process.
    """

    name: str
    incarnation: int
    pid: int


class RecordMaker:
    """Hands what actors have logged to the loggers of the same names."""

    def __init__(self) -> None:
        self._loggers: dict[str, logging.Logger] = {}
        self._files: dict[str, tuple[str, str]] = {}
        self._has_failed = False

    def hand(self, origin: Origin, fields: list[Any], repeated: int = 0) -> None:
        """Hand a record to its logger: its filters and handlers run here, and now.

        Args:
            origin: who has logged it.
            fields: as `log_forward` makes them.
            repeated: it stands for so many that were like it.
        """
        try:
            self._logger(fields[0]).handle(self._record(origin, fields, repeated))
        except BaseException:  # noqa: BLE001 - the program's own code; the next ones want to be shown
            self._failed()

    def say(self, origin: Origin, level: int, text: str) -> None:
        """Log something about an actor, in its name."""
        fields = ["procactors", level, logging.getLevelName(level), text]
        now = logging.LogRecord("", 0, "", 0, "", (), None)
        fields += [now.created, now.msecs, __file__, 0, "", now.thread, now.threadName]
        self.hand(origin, [*fields, None, None, origin.pid, None, None, ""])

    def _record(self, origin: Origin, fields: list[Any], repeated: int) -> logging.LogRecord:
        name, levelno, levelname, msg, created, msecs, pathname, lineno, function = fields[:9]
        thread, thread_name, exc_text, stack, process, task, extra, *whose = fields[9:]
        filename, module = self._files.get(pathname) or self._split(pathname)
        actor, incarnation, handler, process_name = origin.name, origin.incarnation, "", origin.name
        if len(whose) == 1:
            handler = whose[0]
        else:  # of a system that the actor has made
            actor, incarnation, handler, process_name = whose
        if type(msg) is dict:
            msg = _revived(msg)
        if repeated:
            msg = f"{msg} (repeated {repeated} times)"
        values = {
            "name": name,
            "msg": msg,
            "args": (),
            "levelname": levelname,
            "levelno": levelno,
            "pathname": pathname,
            "filename": filename,
            "module": module,
            "exc_info": None,
            "exc_text": exc_text,
            "stack_info": stack,
            "lineno": lineno,
            "funcName": function,
            "created": created,
            "msecs": msecs,
            "relativeCreated": (created - _started_at()) * 1000,
            "thread": thread,
            "threadName": thread_name,
            "processName": process_name,
            "process": process,
            "taskName": task,
            "actor": actor,
            "incarnation": incarnation,
            "handler": handler,
        }
        if repeated:
            values["repeated"] = repeated
        if extra:
            values.update(_revived(extra))
        if logging.getLogRecordFactory() is logging.LogRecord:
            record = logging.LogRecord.__new__(logging.LogRecord)
            record.__dict__ = values
            return record
        return logging.makeLogRecord(values)

    def _logger(self, name: str) -> logging.Logger:
        logger = self._loggers.get(name)
        if logger is None:
            if len(self._loggers) >= _MOST:
                self._loggers.clear()
            logger = self._loggers[name] = logging.getLogger(name)
        return logger

    def _split(self, pathname: str) -> tuple[str, str]:
        if len(self._files) >= _MOST:
            self._files.clear()
        filename = os.path.basename(pathname)
        self._files[pathname] = filename, os.path.splitext(filename)[0]
        return self._files[pathname]

    def _failed(self) -> None:
        """Show once what a handler of the program's raises; as `logging` does, on stderr."""
        if self._has_failed or not logging.raiseExceptions or sys.stderr is None:
            return
        self._has_failed = True
        try:
            sys.stderr.write("--- Logging error, with the record of an actor ---\n")
            traceback.print_exc(file=sys.stderr)
        except Exception:  # noqa: BLE001, S110 - there is nowhere to say it
            pass


def _revived(values: dict[Any, Any]) -> dict[Any, Any]:
    """Return values with the loggers among them as those of this process."""
    return {
        key: logging.getLogger(value[LOGGER_MARK])
        if type(value) is dict and LOGGER_MARK in value
        else value
        for key, value in values.items()
    }


def _started_at() -> float:
    """Return when `logging` was loaded here, from which it counts."""
    at: float = logging._startTime  # type: ignore[attr-defined]
    return at / 1e9 if at > 1e12 else at  # nanoseconds since 3.13
