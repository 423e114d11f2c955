"""The parent's end of the log pipe, without actors: pieces, counts, flushes, repeats."""

from __future__ import annotations

import logging
import marshal
import os
import threading

import pytest

from procactors.supervision.log_intake import LogIntake
from procactors.wire.log_pipe import LogWriter
from procactors.wire.mailbox.black_box import LOGS, PID
from procactors.wire.runtime_dir import LOG_PIPE
from tests.support.loggers import Gathered
from tests.support.waiting import SHORT_S

NAME = "tests.intake"


@pytest.fixture
def gathered():
    handler, loggers = Gathered(), [logging.getLogger(name) for name in (NAME, "procactors")]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)


@pytest.fixture
def intake(tmp_path):
    path = tmp_path / LOG_PIPE
    os.mkfifo(path)
    intake = LogIntake(str(tmp_path), os.open(path, os.O_RDWR | os.O_NONBLOCK), "a{}".format, 10)
    intake.begin()
    yield intake
    intake.close(SHORT_S)


@pytest.fixture
def writer(tmp_path):
    words = memoryview(bytearray(4096)).cast("Q")
    words[PID] = 4711
    writer = LogWriter(str(tmp_path), 1, 1, words)
    yield writer
    if writer._fd >= 0:
        os.close(writer._fd)


def record(text, line=1):
    fields = [NAME, logging.INFO, "INFO", text, 1.5, 500.0, "/a/b.py", line, "f", 1, "MainThread"]
    return marshal.dumps([*fields, None, None, 4711, None, None, "C.m"], 2)


def test_a_record_that_comes_amid_the_pieces_of_another_harms_neither(intake, writer, gathered):
    """As a signal's handler logs while a large record is written."""
    put, inner = writer._put, [record("inside"), record("y" * 20_000)]

    def put_with_another(frame):
        done = put(frame)
        if inner:
            writer.send(inner.pop())
        return done

    writer._put = put_with_another
    writer.send(record("x" * 50_000))
    assert intake.flush(SHORT_S)
    assert sorted(gathered.texts, key=len) == ["inside", "y" * 20_000, "x" * 50_000]


def test_a_record_whose_rest_was_dropped_is_counted_and_the_next_one_comes(
    intake, writer, gathered
):
    put, left = writer._put, [True, True]
    writer._put = lambda frame: bool(left and left.pop() and put(frame))
    assert not writer.send(record("x" * 50_000))
    writer._put = put
    for number in range(6):
        assert writer.send(record(f"line {number}"))
    assert intake.flush(SHORT_S)
    dropped, *lines = gathered.texts
    assert dropped == "1 record of actor 'a1' (pid 4711) was dropped"
    assert lines == [f"line {number}" for number in range(6)]


def test_what_a_life_has_begun_to_log_and_not_handed_over_is_told_once(intake, writer, gathered):
    writer.send(record("came"))
    intake.ended(1, 1, 4711, writer._words[LOGS] + 3)
    assert intake.flush(SHORT_S)
    assert gathered.texts == ["came", "3 records of actor 'a1' (pid 4711) were dropped"]
    intake.ended(1, 2, 4712, 1)  # of which nothing has ever come
    assert intake.flush(SHORT_S)
    assert gathered.texts[2:] == ["1 record of actor 'a1' (pid 4712) was dropped"]
    assert gathered.records[-1].incarnation == 2


def test_a_flush_in_a_handler_waits_for_nothing(intake, writer, gathered):
    said = []
    gathered.addFilter(lambda _: said.append(intake.flush(SHORT_S)) or True)
    writer.send(record("a line"))
    assert intake.flush(SHORT_S)
    assert said == [False]


def test_flushes_of_many_threads_at_once_all_end(intake, writer, gathered):
    failed = []

    def flush_often():
        failed.extend(number for number in range(200) if not intake.flush(SHORT_S))

    threads = [threading.Thread(target=flush_often) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(500):
        writer.send(record(f"line {number}", number))
    for thread in threads:
        thread.join()
    assert intake.flush(SHORT_S)
    assert failed == []
    assert gathered.texts == [f"line {number}" for number in range(500)]


def test_the_rest_is_told_at_the_end(intake, writer, gathered):
    for _ in range(25):
        writer.send(record("again"))
    intake.close(SHORT_S)
    assert gathered.texts == ["again"] * 10 + ["again (repeated 15 times)"]
