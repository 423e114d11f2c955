"""The last lines that an actor logged, kept where a SIGKILL does not reach them.

Layer: runner. Runs in: actor (writes), parent (reads, after the death).
Owns: the files `log` and `log.old` in the actor's directory, made with the first line; the
descriptor of the former, for the process's life.
Never: changes what logging does (a handler would: without one, warnings go to stderr); raises
into the code that logs; costs anything where nothing is logged.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from time import gmtime, strftime

__all__ = ["keep_log", "read_log"]

#: Bytes of one of the two files, of one record in them, and lines and bytes that are read of both.
#: Bounded, since a report travels to each caller.
_FILE_BYTES, _RECORD_BYTES, _LINES, _BYTES = 8192, 2048, 20, 8192


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
        # So wide because a logged object's own code runs here; logging itself reports it. Without
        # a name it is a record on its way between processes (`logging.makeLogRecord`).
        with contextlib.suppress(Exception):
            if record.name and not self._is_copy:
                self._note(record)
        return record

    def _note(self, record: logging.LogRecord) -> None:
        at = strftime("%H:%M:%S", gmtime(record.created))
        text = f"{at}.{int(record.msecs):03d} {record.levelname} {record.name}: "
        text += record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        data = text.encode(errors="backslashreplace")
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


def read_log(folder: str) -> str:
    """Return the last lines that the life before logged; the next one starts without them."""
    data = b""
    for name in ("log.old", "log"):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):
            with open(path, "rb") as file:
                data += file.read(_FILE_BYTES + _RECORD_BYTES)
            os.unlink(path)
    cut = len(data) > _BYTES
    lines = data[-_BYTES:].decode(errors="replace").splitlines()
    # What is cut begins in the middle of a line.
    return "\n".join(lines[1:][-_LINES:] if cut else lines[-_LINES:])
