"""The last lines that an actor logged, kept where a SIGKILL does not reach them.

Layer: runner. Runs in: actor (writes), parent (reads, after the death), any process of the user
(`entries`).
Owns: the files `log` and `log.old` in the actor's directory, made with the first line, and
`log.before`, of the life before; the descriptor of the first, for the process's life.
Never: changes what logging does (a handler would: without one, warnings go to stderr); raises
into the code that logs; costs anything where nothing is logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from time import gmtime, strftime

from procactors.light_tuple import NamedTuple

__all__ = ["LOG_FILES", "LogEntry", "entries", "keep_log", "read_log"]

#: Oldest first: of the life before, and of this one.
LOG_FILES = ("log.before", "log.old", "log")
#: What each record begins with, and what stands between its parts.
_BEGIN, _BETWEEN = "\x1e", "\x1f"

#: Bytes of one of the two files, of one record in them, and lines and bytes that are read of both.
#: Bounded, since a report travels to each caller.
_FILE_BYTES, _RECORD_BYTES, _LINES, _BYTES = 32768, 2048, 20, 8192


class LogEntry(NamedTuple):
    """One record in the files.

    Attributes:
        created: seconds since the epoch.
        level, level_name, logger, text: as logged; the text ends with the traceback, if any, and is
            cut in its middle if it is long.
    """

    created: float
    level: int
    level_name: str
    logger: str
    text: str

    @property
    def line(self) -> str:
        """As crash reports show it; the time of day is UTC."""
        at = strftime("%H:%M:%S", gmtime(self.created))
        ms = int(self.created % 1 * 1000)
        return f"{at}.{ms:03d} {self.level_name} {self.logger}: {self.text}"


class _LogTail:
    """What notes each record, by whichever logger it is made."""

    def __init__(self, folder: str) -> None:
        self._path = f"{folder}/log"
        self._make = logging.getLogRecordFactory()
        self._fd = -1
        self._size = 0
        self._is_copy = False
        # Guards descriptor and size among the actor's threads; reentrant, since a signal handler,
        # or the text of a logged object, may log while we are inside.
        self._lock = threading.RLock()
        # A copy is not the actor: what it says would pass for the actor's last words.
        os.register_at_fork(after_in_child=self._forget)

    def __call__(self, *args: object, **kwargs: object) -> logging.LogRecord:
        """Make a record as it would be made without us, and note it."""
        record = self._make(*args, **kwargs)
        # Without a name it is a record on its way between processes (`logging.makeLogRecord`).
        if record.name and not self._is_copy:
            try:  # noqa: SIM105 - a `with` costs as much as the note
                self._note(record)
            except Exception:  # noqa: BLE001, S110 - a logged object's own; logging reports it
                pass
        return record

    def _note(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        if _BEGIN in text:
            text = text.replace(_BEGIN, " ")
        data = (
            f"{_BEGIN}{record.created:.6f}{_BETWEEN}{record.levelno}{_BETWEEN}{record.levelname}"
            f"{_BETWEEN}{record.name}{_BETWEEN}{text}"
        ).encode(errors="backslashreplace")
        if len(data) >= _RECORD_BYTES:  # its beginning says what it is, a traceback's end why
            data = data[: _RECORD_BYTES // 2] + b" ... " + data[-_RECORD_BYTES // 2 + 8 :]
        with self._lock:
            if self._fd < 0 or self._size > _FILE_BYTES:
                self._rotate()
            self._size += os.write(self._fd, data + b"\n")

    def _rotate(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            os.rename(self._path, self._path + ".old")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._size = 0

    def _forget(self) -> None:
        self._is_copy = True


def keep_log(folder: str) -> None:
    """Note what is logged in this process from now on, by any logger.

    By the record factory: a record is noted if its logger's level lets it be made, whatever the
    handlers do with it. Code that sets a factory of its own and drops the one before drops this.
    """
    logging.setLogRecordFactory(_LogTail(folder))


def entries(data: bytes) -> Iterator[LogEntry]:
    """Yield the records in what was read of a file; what is no whole one is passed over."""
    for part in data.decode(errors="replace").split(_BEGIN)[1:]:
        with contextlib.suppress(ValueError):  # its writer was killed over it
            created, level, level_name, logger, text = part.removesuffix("\n").split(_BETWEEN, 4)
            yield LogEntry(float(created), int(level), level_name, logger, text)


def read_log(folder: str) -> str:
    """Return the last lines that the life before logged; the next one starts without them.

    The latest stay readable, as `log.before`.
    """
    lines: list[str] = []
    for name in ("log.old", "log"):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            with open(path, "rb") as file:
                # Bounded, whatever is there; of the end, which is what is wanted.
                file.seek(max(0, os.fstat(file.fileno()).st_size - 4 * _BYTES))
                for entry in entries(file.read()):
                    lines += entry.line.splitlines()
            os.rename(path, os.path.join(folder, "log.before"))
    lines, size = lines[-_LINES:], 0
    for at in range(len(lines) - 1, -1, -1):
        size += len(lines[at].encode(errors="replace")) + 1
        if size > _BYTES + 1:
            return "\n".join(lines[at + 1 :]) or lines[-1][-_BYTES:]
    return "\n".join(lines)
