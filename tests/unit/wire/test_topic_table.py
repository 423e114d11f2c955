"""The list of a topic's subscribers: each process sees each change, whoever dies in one."""

from __future__ import annotations

import os
import threading

import pytest

from procactors.wire.runtime_dir import RuntimeDir
from procactors.wire.topic_table import Subscriber, TopicTable
from tests.support.steps import LINES, deaths


@pytest.fixture
def path():
    directory = RuntimeDir(None)
    for actor in range(1, 40):
        os.makedirs(f"{directory.path}/actors/{actor}")
    yield directory.path
    directory.remove()


def subscriber(actor, method=b"m:L.hear"):
    return Subscriber(actor, f"l{actor}", "block", method)


@pytest.fixture
def tables(path):
    made = [TopicTable(path, "t") for _ in range(2)]
    yield made
    for table in made:
        table.close()


def test_another_process_sees_each_change(tables):
    one, other = tables
    assert one.subscribers() == other.subscribers() == ()
    one.add(subscriber(12))
    one.add(subscriber(3, b""))
    assert other.subscribers() == (subscriber(3, b""), subscriber(12))
    other.add(subscriber(12, b":x"))
    assert one.subscribers() == (subscriber(3, b""), subscriber(12, b":x"))
    assert other.remove(3)
    assert not one.remove(3)
    assert one.subscribers() == (subscriber(12, b":x"),)


def test_what_has_not_changed_is_not_read_again(tables, monkeypatch):
    one, other = tables
    one.add(subscriber(1))
    known = other.subscribers()
    monkeypatch.setattr(os, "listdir", None)
    assert other.subscribers() is known


def test_names_are_apart_and_the_same_is_the_same(path):
    tables = [TopicTable(path, name) for name in ("a", "b", "a")]
    tables[0].add(subscriber(1))
    assert [len(table.subscribers()) for table in tables] == [1, 0, 1]
    for table in tables:
        table.close()


def test_one_that_has_ended_is_left_out(tables, path):
    one, other = tables
    one.add(subscriber(1))
    one.add(subscriber(2))
    os.rmdir(f"{path}/actors/1")
    assert other.subscribers() == (subscriber(2),)


def test_killed_before_each_line_of_a_change_the_others_go_on(path):
    """The one that changes it may die anywhere: what others read is whole, and changes go on."""
    watcher = TopicTable(path, "t")
    watcher.add(subscriber(1))

    def scene(_step):
        table = TopicTable(path, "t")
        table.add(subscriber(2))
        table.remove(2)

    steps = [TopicTable.add, TopicTable.remove, TopicTable._changed, TopicTable._open]
    count = 0
    for _ in deaths(scene, steps, LINES):
        fresh = TopicTable(path, "t")
        assert set(fresh.subscribers()) <= {subscriber(1), subscriber(2)}
        fresh.add(subscriber(3))
        assert subscriber(3) in watcher.subscribers()
        fresh.remove(3)
        fresh.remove(2)
        assert watcher.subscribers() == (subscriber(1),)
        fresh.close()
        count += 1
    assert count > 5
    watcher.close()


def test_threads_that_make_it_at_once_have_the_same(path):
    tables, begin = [], threading.Barrier(8)

    def make():
        begin.wait()
        tables.append(TopicTable(path, "new"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, table in enumerate(tables, 1):
        table.add(subscriber(number))
    assert {len(table.subscribers()) for table in tables} == {8}
    for table in tables:
        table.close()
