"""What an actor logs on a cluster: it reaches the program's loggers of the same names.

Layer: cluster. Runs in: an actor's process (`forward`), the program (`hand_on`).
Owns: the one handler of the process's root logger.
Never: forwards what no logger of the program would take: its root logger's level holds here, too.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from procactors.local.here import here

__all__ = ["forward", "hand_on"]

#: Keys of a record that mean something in its own process alone, or are made anew from others.
_LEFT_OUT = ("args", "exc_info", "msg", "process", "thread", "stack_info")


class _Forwarder(logging.Handler):
    """Sends records to the program."""

    def __init__(self, name: str, incarnation: int, up: Callable[[Any], None]) -> None:
        super().__init__()
        self._name = name
        self._incarnation = incarnation
        self._up = up

    def emit(self, record: logging.LogRecord) -> None:
        """Send one, as plain values."""
        try:
            facts = {
                key: value
                for key, value in vars(record).items()
                if key not in _LEFT_OUT and isinstance(value, str | int | float | None)
            }
            if record.exc_info:
                facts["exc_text"] = logging.Formatter().formatException(record.exc_info)
            loop = getattr(here.life, "loop", None)
            facts |= {
                "msg": record.getMessage(),
                "processName": self._name,
                "actor": self._name,
                "incarnation": self._incarnation,
                "handler": loop.handler if loop is not None else "",
            }
            self._up(("log", facts))
        except Exception:  # noqa: BLE001 - as all handlers do: a record is worth no crash
            self.handleError(record)


def forward(name: str, incarnation: int, level: int, up: Callable[[Any], None]) -> None:
    """Have what this process logs sent to the program.

    Args:
        name: the actor's.
        incarnation: which life it is.
        level: of the program's root logger.
        up: sends something to the program.
    """
    root = logging.getLogger()
    root.addHandler(_Forwarder(name, incarnation, up))
    root.setLevel(level)


def hand_on(facts: dict[str, Any]) -> None:
    """Give a record that has come to the program's logger of its name."""
    logger = logging.getLogger(facts["name"])
    if logger.isEnabledFor(facts["levelno"]):
        logger.handle(logging.makeLogRecord(facts))
