"""Actors that log by structlog and by loguru, set up as their users do."""

from __future__ import annotations

import logging
from typing import Any

from procactors import Actor


def set_up_structlog() -> None:
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


class Structured(Actor):
    """Logs by structlog, whose own formatter makes the line: in the program."""

    def __init__(self) -> None:
        import structlog

        set_up_structlog()
        self.log = structlog.get_logger("tests.structlog").bind(shelf="a7")

    def take(self, book: str) -> None:
        self.log.info("taken", book=book, odd=object)
        self.log.debug("not wanted")

    def fail(self) -> None:
        try:
            raise LookupError("on purpose")
        except LookupError:
            self.log.exception("failed")


class ToLogging(logging.Handler):
    """As loguru's documentation has it: what comes goes to the logger of its name."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


class Gurued(Actor):
    """Logs by loguru."""

    def __init__(self, sink: Any = None) -> None:
        from loguru import logger

        self.logger = logger
        logger.remove()
        logger.add(ToLogging() if sink is None else sink, format="{message}")

    def take(self, book: str) -> None:
        self.logger.bind(shelf="a7").info("taken {}", book)

    def fail(self) -> None:
        try:
            raise LookupError("on purpose")
        except LookupError:
            self.logger.exception("failed")
