"""The last lines of a log: bounded, whole, and of no effect on the logging itself."""

from __future__ import annotations

import logging
import os

import pytest

from procactors.runner.log_tail import keep_log, read_log

log = logging.getLogger("tests.logtail")


@pytest.fixture
def folder(tmp_path):
    before = logging.getLogRecordFactory()
    keep_log(str(tmp_path))
    factory = logging.getLogRecordFactory()
    yield tmp_path
    logging.setLogRecordFactory(before)
    if factory._fd >= 0:
        os.close(factory._fd)


def test_nothing_logged_makes_no_file(folder):
    assert read_log(str(folder)) == ""
    assert os.listdir(folder) == []


def test_each_record_is_a_line_with_time_level_logger_and_text(folder):
    log.info("half of %d", 4)
    line = read_log(str(folder))
    assert line[2] == line[5] == ":"
    assert line.endswith(" INFO tests.logtail: half of 4")


def test_the_last_twenty_lines_are_kept_and_are_whole(folder):
    for number in range(2000):
        log.debug("%s %d", "x" * (number % 50), number)
    lines = read_log(str(folder)).splitlines()
    assert [int(line.rpartition(" ")[2]) for line in lines] == list(range(1980, 2000))
    assert all(line[2] == ":" for line in lines)


def test_a_flood_of_long_lines_stays_within_its_bytes(folder):
    for number in range(100):
        log.debug("%d %s end", number, "y" * 10_000)
        assert sum(path.stat().st_size for path in folder.iterdir()) < 3 * 32768
    text = read_log(str(folder))
    assert len(text) <= 8192
    assert text.endswith(" end")


def test_a_traceback_is_kept_with_its_end(folder):
    try:
        raise ValueError("on purpose")
    except ValueError:
        log.exception("it failed")
    text = read_log(str(folder))
    assert "ERROR tests.logtail: it failed" in text
    assert text.endswith("ValueError: on purpose")


def test_the_next_life_starts_without_them(folder):
    log.info("of this life")
    read_log(str(folder))
    assert read_log(str(folder)) == ""


def test_a_record_that_cannot_be_made_into_text_harms_nobody(folder, monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    monkeypatch.setattr(log, "propagate", False)  # a report with this text cannot be sent on
    log.info("%d", "no number")
    log.info("\udc80 odd")
    assert read_log(str(folder)).endswith("\\udc80 odd")


def test_records_of_other_processes_are_not_taken_for_ours(folder):
    logging.makeLogRecord({"name": "elsewhere", "msg": "said elsewhere"})
    assert read_log(str(folder)) == ""


def test_a_forked_copy_writes_none(folder):
    log.info("before")
    pid = os.fork()
    if pid == 0:
        log.info("by the copy")
        os._exit(0)
    os.waitpid(pid, 0)
    assert read_log(str(folder)).endswith("before")


def test_a_level_that_is_off_writes_none(folder):
    quiet = logging.getLogger("tests.logtail.quiet")
    quiet.setLevel(logging.WARNING)
    quiet.info("nobody wants it")
    assert read_log(str(folder)) == ""
