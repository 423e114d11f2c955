"""Actors that log and print, and a handler that gathers what comes of it."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
from typing import Any

from procactors import Actor
from tests.support.gates import Gate

NAME = "tests.logs.worker"


class Talker(Actor):
    """Logs what it is told to."""

    def __init__(self, logger: str = NAME) -> None:
        self.logger = logging.getLogger(logger)

    def log(self, level: int, text: Any, *args: Any, **options: Any) -> int:
        self.logger.log(level, text, *args, **options)
        return os.getpid()

    def count(self, first: int, beyond: int) -> None:
        for number in range(first, beyond):
            self.logger.info("number %d", number)

    def repeat(self, text: str, times: int) -> None:
        for _ in range(times):
            self.logger.info(text)

    def by_root(self, text: str) -> None:
        logging.info(text)  # noqa: LOG015 - as users do
        logging.getLogger("elsewhere").info(text)

    def by_context(self, text: str) -> None:
        self.context.log.info(text)

    def fail(self) -> None:
        try:
            raise LookupError("on purpose")
        except LookupError:
            self.logger.exception("it failed")

    def in_thread(self, text: str) -> None:
        thread = threading.Thread(target=self.logger.info, args=(text,), name="helper")
        thread.start()
        thread.join()

    def in_copy(self, text: str) -> None:
        if not (pid := os.fork()):
            self.logger.warning(text)
            os._exit(0)
        os.waitpid(pid, 0)

    def odd(self) -> None:
        self.logger.info("odd %s", Recursive(self.logger))
        self.logger.info("%d", "no number")
        self.logger.info("extra", extra={"odd": Unshowable(), "plain": [1, {"a": "b"}]})

    def configure(self, file: str) -> None:
        logging.basicConfig(filename=file, level=logging.INFO, format="own %(message)s")

    def set_level(self, level: int) -> None:
        self.logger.setLevel(level)

    def is_enabled(self, level: int) -> bool:
        return self.logger.isEnabledFor(level)

    def wait_enabled(self, level: int, gate: Gate) -> bool:
        before = self.logger.isEnabledFor(level)
        gate.wait()
        return self.logger.isEnabledFor(level) and not before

    def log_and_wait(self, texts: list[str], gate: Gate) -> None:
        for text in texts:
            self.logger.info(text)
        gate.wait()

    def die(self, text: str) -> None:
        self.logger.info(text)
        os.kill(os.getpid(), signal.SIGKILL)

    def on_stop(self, reason: Any) -> None:
        self.logger.info("on_stop %s", reason)

    def say(self, text: str) -> None:
        print(text)

    def complain(self, text: str) -> None:
        print(text, file=sys.stderr)

    def say_natively(self, text: str) -> None:
        os.write(1, f"by write {text}\n".encode())
        ctypes.CDLL(None).puts(f"by C {text}".encode())
        subprocess.run(["/bin/sh", "-c", f"echo by shell {text}"], check=True)

    def say_rest(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()


class Starter(Actor):
    """Logs while it is made."""

    def __init__(self) -> None:
        logging.getLogger(NAME).info("in the constructor")

    def on_start(self) -> None:
        logging.getLogger(NAME).info("in on_start")


class AsyncTalker(Actor):
    """Logs in handlers that await."""

    async def log(self, text: str) -> None:
        logging.getLogger(NAME).info(text)


class Recursive:
    """Logs when it is shown."""

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger

    def __str__(self) -> str:
        self.logger.info("inside")
        return "shown"


class Unshowable:
    """Cannot be shown."""

    def __repr__(self) -> str:
        raise LookupError("on purpose")


class Gathered(logging.Handler):
    """Keeps all records that come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    def of(self, text: str) -> logging.LogRecord:
        """Return the one record with that text."""
        (record,) = [record for record in self.records if record.getMessage() == text]
        return record
