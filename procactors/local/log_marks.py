"""Who has logged a record: each that is made in an actor of this process says so.

Layer: local. Runs in: one process, any thread.
Owns: what `logging` makes its records with, while a system of this process is up.
Never: touches a record of the program's own; takes a factory away that came later than ours.
"""

from __future__ import annotations

import logging
import threading
from typing import Any

from procactors.local.here import here
from procactors.wire.mailbox.black_box import INCARNATION

__all__ = ["mark_records", "mark_records_no_more"]

# Guards the number of systems, and the change of the factory.
_lock = threading.Lock()
_systems = 0
_before: Any = logging.LogRecord


def _marked(*args: Any, **kwargs: Any) -> logging.LogRecord:
    record: logging.LogRecord = _before(*args, **kwargs)
    life = here.life
    if life is not None:
        loop = life.loop
        record.actor = record.processName = life.host.name
        record.incarnation = life.words[INCARNATION]
        record.handler = loop.handler if loop is not None else ""
    return record


def mark_records() -> None:
    """Have records of actors say whose they are, from now on: a system begins."""
    global _systems, _before  # noqa: PLW0603 - as the factory is
    with _lock:
        _systems += 1
        if logging.getLogRecordFactory() is not _marked:
            _before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(_marked)


def mark_records_no_more() -> None:
    """Note that a system is over; behind the last, `logging` is as it was."""
    global _systems  # noqa: PLW0603 - as the factory is
    with _lock:
        _systems -= 1
        if not _systems and logging.getLogRecordFactory() is _marked:
            logging.setLogRecordFactory(_before)
