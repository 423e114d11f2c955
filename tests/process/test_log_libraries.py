"""structlog and loguru, as their users set them up, in the program and in actors."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from procactors import ActorSystem
from tests.support.loggers import Gathered
from tests.support.structured import Gurued, Structured


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What structlog's formatter makes in the program of what its handler gets."""
    structlog = pytest.importorskip("structlog")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = structlog.stdlib.ProcessorFormatter(
        processors=[
            structlog.stdlib.ExtraAdder(allow=["actor", "handler"]),
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
        foreign_pre_chain=[structlog.stdlib.add_log_level],
    )
    handler.setFormatter(formatter)
    logger = logging.getLogger("tests.structlog")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_structlogs_events_reach_its_formatter_in_the_program(lines):
    with ActorSystem() as system:
        shelf = system.options(name="shelf").spawn(Structured)
        shelf.ask(Structured.take, "a book")
        shelf.ask(Structured.fail)
    taken, failed = map(json.loads, lines.getvalue().splitlines())
    assert taken.pop("timestamp")
    assert taken == {
        "event": "taken",
        "book": "a book",
        "odd": "<class 'object'>",
        "shelf": "a7",
        "level": "info",
        "logger": "tests.structlog",
        "actor": "shelf",
        "handler": "Structured.take",
    }
    assert failed["event"] == "failed"
    assert failed["exception"].endswith("LookupError: on purpose")


@pytest.fixture
def gathered() -> Iterator[Gathered]:
    pytest.importorskip("loguru")
    handler, logger = Gathered(), logging.getLogger("tests.support.structured")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_loguru_that_goes_to_logging_reaches_the_program(gathered):
    with ActorSystem() as system:
        guru = system.options(name="guru").spawn(Gurued)
        guru.ask(Gurued.take, "a book")
        guru.ask(Gurued.fail)
    record = gathered.of("taken a book")
    assert (record.actor, record.handler) == ("guru", "Gurued.take")
    assert record.extra == {"shelf": "a7"}
    (failed,) = [one for one in gathered.records if one.getMessage().startswith("failed")]
    assert "LookupError: on purpose" in logging.Formatter().format(failed)


def test_a_program_whose_logging_goes_to_loguru_gets_actors_records(gathered):
    from loguru import logger

    class Intercepted(logging.Handler):
        """As loguru's documentation has it."""

        def emit(self, record: logging.LogRecord) -> None:
            logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())

    told: list[str] = []
    sink = logger.add(told.append, format="{level} {message}")
    handler, ours = Intercepted(), logging.getLogger("tests.support.structured")
    ours.addHandler(handler)
    try:
        with ActorSystem() as system:
            system.spawn(Gurued).ask(Gurued.take, "a book")
    finally:
        ours.removeHandler(handler)
        logger.remove(sink)
    assert told == ["INFO taken a book\n"]


def test_loguru_with_a_sink_of_its_own_goes_on_to_write_there(tmp_path, gathered):
    path = tmp_path / "own.log"
    with ActorSystem() as system:
        system.spawn(Gurued, str(path)).ask(Gurued.take, "a book")
    assert path.read_text() == "taken a book\n"
    assert gathered.texts == []
