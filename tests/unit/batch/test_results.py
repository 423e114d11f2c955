"""Results: as JSON, in order, with what the journal has; and the summary of all."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import json
import math
import os
from pathlib import Path

import pytest

from procactors.batch.encoding import as_json, in_bytes, item_json
from procactors.batch.intake import Intake
from procactors.batch.item_flow import ItemFlow
from procactors.batch.items import Entry
from procactors.batch.journal import Appender, Journal, Keys
from procactors.batch.results import ErrorLog, Output
from procactors.batch.summary import Summary
from procactors.batch.worker import ItemFailed, Runner


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [None, True, 1.5]}, '{"b": 1, "a": [null, true, 1.5]}'),
        (Point(1, {"b", "a"}), '{"x": 1, "tags": ["a", "b"]}'),
        (Path("/tmp/x"), '"/tmp/x"'),
        (dt.datetime(2020, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc), '"2020-01-02T03:04:05+00:00"'),
        (dt.timedelta(minutes=1), "60.0"),
        (decimal.Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        (frozenset([2, 1]), "[1, 2]"),
        ("é\udcff", '"é\udcff"'),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_lacks_is_written_as_what_comes_nearest(value, text):
    assert as_json(value) == text


def test_numbers_and_arrays_of_numpy_are_written():
    numpy = pytest.importorskip("numpy")
    value = {"mean": numpy.float32(0.5), "all": numpy.arange(3), "is": numpy.bool_(True)}
    assert as_json(value) == '{"mean": 0.5, "all": [0, 1, 2], "is": true}'


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (math.nan, "not JSON compliant"),
        ([1, math.inf], "not JSON compliant"),
        (b"bytes", "JSON has nothing for bytes: b'bytes'"),
        (object, "JSON has nothing for type: "),
        ({(1, 2): 3}, "keys must be str"),
        (iter([]), "JSON has nothing for list_iterator"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_an_error(value, says):
    with pytest.raises(TypeError, match=says):
        as_json(value)


def test_a_value_that_holds_itself_is_an_error():
    ring: list[object] = []
    ring.append(ring)
    with pytest.raises(TypeError, match="Circular reference"):
        as_json(ring)


def test_an_item_that_json_cannot_hold_is_shown_as_text(tmp_path):
    assert item_json(json.loads("[1e999]")) == '"[inf]"'
    path = tmp_path / "errors"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    ErrorLog(fd, print).put(Entry(3, [math.inf], "", 0), {"type": "X"}, 1, None)
    os.close(fd)
    assert json.loads(path.read_text()) == {
        "index": 3,
        "item": "[inf]",
        "file": None,
        "line": None,
        "error": {"type": "X"},
        "tries": 1,
        "report": None,
    }


def test_names_of_files_that_are_no_text_are_escaped():
    data = in_bytes(as_json("a\udcff"))
    assert data == b'"a\\udcff"'
    assert json.loads(data) == "a\udcff"


def feed_of(items, journal, ordered, path, refused=lambda entry: None):
    """Return (feed, what reads the lines that it has put out)."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    output = Output(fd, bare=True, is_over=lambda: False)
    entries = (Entry(number, item, "list", number + 1) for number, item in enumerate(items))
    intake = Intake(entries, may_block=False)
    feed = ItemFlow(intake, output, journal, ordered, refused, lambda: False)

    def lines():
        feed.flush()
        return path.read_text().split()

    return feed, lines, fd


@pytest.fixture
def journal(tmp_path):
    """A journal that has b and the second a."""
    path = str(tmp_path / "journal")
    Journal(path, "m:f", False).close()
    keys = Keys()
    a, b, second = (keys.key(item) for item in "aba")
    assert a != second
    appender = Appender(path)
    appender.append(b, 1, 0.1, b'"B"')
    appender.append(second, 2, 0.1, b'"A2"')
    appender.close()
    with Journal(path, "m:f", False) as journal:
        yield journal


def test_what_the_journal_has_is_put_out_and_not_given_out(tmp_path, journal):
    feed, lines, fd = feed_of("abac", journal, False, tmp_path / "out")
    tasks = feed.take(10)
    assert [(number, item) for number, _, item in tasks] == [(0, "a"), (3, "c")]
    assert (feed.skipped, lines()) == (2, ['"B"', '"A2"'])
    feed.came(feed.entry(tasks[1]), b'"C"')
    assert lines() == ['"B"', '"A2"', '"C"']
    assert feed.take(10) is None
    os.close(fd)


def test_in_order_the_journals_results_wait_for_those_before_them(tmp_path, journal):
    feed, lines, fd = feed_of("abacb", journal, True, tmp_path / "out")
    first, fourth, last = feed.take(10)
    assert lines() == []
    feed.came(feed.entry(first), b'"A"')
    assert lines() == ['"A"', '"B"', '"A2"']
    feed.came(feed.entry(fourth), None)  # it failed
    feed.came(feed.entry(last), b'"B2"')
    assert lines() == ['"A"', '"B"', '"A2"', '"B2"']
    os.close(fd)


def test_what_waits_for_items_that_were_never_begun_is_put_out_at_the_end(tmp_path, journal):
    feed, lines, fd = feed_of("aba", journal, True, tmp_path / "out")
    feed.take(10)
    feed.finish()
    assert lines() == ['"B"', '"A2"']
    os.close(fd)


def test_failed_items_are_told_up_to_a_number(tmp_path):
    said: list[str] = []
    log = ErrorLog(None, said.append)
    error = {"type": "KeyError", "message": "'x'\nmore", "traceback": ""}
    for number in range(25):
        log.put(Entry(number, "a", "list", number + 1), error, 1, None)
    log.close()
    assert said[0] == "item 0 (list:1) failed: KeyError: 'x'"
    assert len(said) == 21
    assert said[-1] == "5 more failed; --errors FILE keeps all of them, with tracebacks"


def test_the_summary_counts_and_names_the_slowest():
    summary = Summary(failed=1, skipped=2, restarts=1, workers=4)
    for number, seconds in enumerate([0.5, 3.0, 0.001, 2.0]):
        summary.finished(number, "x" * 100 if number == 3 else number, seconds, 30_000_000)
    assert summary.seen == 7
    assert list(summary.lines(2.0, "stopped by SIGTERM")) == [
        "stopped by SIGTERM",
        "4 done, 1 failed, 2 skipped (in the journal) in 2.00 s (2.5 items/s)",
        "4 workers, 1 restart, peak memory of a worker 30.0 MB",
        f'slowest: 3.00 s for item 1 1; 2.00 s for item 3 "{"x" * 56}...; 500 ms for item 0 0',
    ]


def test_the_summary_of_nothing_has_no_slowest():
    assert list(Summary(workers=1).lines(0.0)) == [
        "0 done, 0 failed in 0.00 s (0.0 items/s)",
        "1 worker, 0 restarts",
    ]


def breaks(item):
    raise LookupError(item)


def both(a, b=0):
    return [a, b]


def test_a_failure_travels_as_text_from_the_functions_own_frame_on():
    runner = Runner("tests.unit.batch.test_results:breaks", False, None)
    with pytest.raises(ItemFailed, match="LookupError: x") as raised:
        runner.run((0, "", "x"))
    lines = raised.value.traceback.splitlines()
    assert lines[1].endswith("in breaks")
    assert lines[-1] == "LookupError: x"


@pytest.mark.parametrize(
    ("item", "result"), [([1, 2], b"[1, 2]"), ({"b": 1, "a": 2}, b"[2, 1]"), (3, b"[3, 0]")]
)
def test_items_are_spread_over_parameters(item, result):
    runner = Runner("tests.unit.batch.test_results:both", True, None)
    assert runner.run((0, "", item))[0] == result
