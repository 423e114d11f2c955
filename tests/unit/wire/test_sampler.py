"""Which messages are measured: those measured stand for all."""

from __future__ import annotations

from procactors.wire.envelope import open_envelope, tell_builder
from procactors.wire.record import STAMP, parse, stamp_of
from procactors.wire.sampler import MOST_TELLS, Sampler

QUICK_NS, SLOW_NS = 10_000, 10_000_000


def calls(sampler, count, took_ns, apart_ns=0):
    """Return the sum of what stands for `count` calls, and how many of them were measured."""
    standing, now = [], 1 << 40
    for _ in range(count):
        now += apart_ns
        if sampler.rests:
            sampler.rests -= 1
        else:
            standing.append(sampler.begin())
            sampler.end(now, took_ns, standing[-1])
        now += took_ns
    return sum(standing), len(standing)


def test_slow_calls_are_all_measured_and_each_stands_for_itself():
    assert calls(Sampler(), 100, SLOW_NS) == (100, 100)


def test_of_quick_calls_few_are_measured_and_they_stand_for_all():
    stood, measured = calls(Sampler(), 12_800, QUICK_NS)
    assert 12_800 - 128 < stood <= 12_800
    assert measured < 12_800 / 100


def test_quick_calls_that_are_rare_are_all_measured():
    assert calls(Sampler(), 100, QUICK_NS, apart_ns=50_000_000) == (100, 100)


def test_when_calls_become_slow_soon_all_are_measured():
    sampler = Sampler()
    calls(sampler, 1280, QUICK_NS)
    calls(sampler, 200, SLOW_NS)
    assert calls(sampler, 10, SLOW_NS) == (10, 10)


def test_calls_that_are_under_way_at_once_are_counted_once():
    """Their answers come behind the next ones' beginning: no answer undoes what was chosen."""
    sampler, stood, waiting = Sampler(), 0, []
    for _ in range(1000):
        if sampler.rests:
            sampler.rests -= 1
        else:
            waiting.append(sampler.begin())
            stood += waiting[-1]
        if len(waiting) > 5:
            sampler.end(1 << 40, QUICK_NS, waiting.pop(0))
    assert 1000 - 128 < stood <= 1000 + 128


def test_tells_are_stamped_the_more_seldom_the_more_there_are():
    build = tell_builder(b"module:Class.method", 0, is_stamped=True)
    stood = []
    for number in range(1000):
        record = build(b"pickle %d" % number)
        body = parse(record).body
        assert bytes(open_envelope(body).payload) == b"pickle %d" % number
        if record[6] >= STAMP:
            stood.append((number, stamp_of(memoryview(record), len(record))[1]))
    assert [number for number, _ in stood][:5] == [0, 2, 6, 14, 30]
    assert max(standing for _, standing in stood) == MOST_TELLS
    assert 1000 - MOST_TELLS < sum(standing for _, standing in stood) <= 1000


def test_without_metrics_no_tell_is_stamped():
    build = tell_builder(b"module:Class.method", 0)
    assert all(build(b"pickle")[6] < STAMP for _ in range(200))
