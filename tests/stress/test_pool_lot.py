"""A large lot with bad items in it: each ends once, and they cost little more than themselves."""

from __future__ import annotations

import logging
import signal
import time
from collections import Counter

import pytest

from procactors import ActorSystem, ExitKind, Limits, errors
from tests.support.faults import FAULTS, Fault

pytestmark = pytest.mark.stress

ITEMS = 10_000
#: Seconds of work of an item, and those that one may take.
WORK_S, TIMEOUT_S = 0.002, 1.0
WORKERS = 2


def bad(number):
    """Say how an item is bad, if it is: 1.6 % are."""
    match number % 1000:
        case 3 | 103 | 203 | 303 | 403 | 503 | 603 | 703 | 803 | 903:
            return Fault
        case 110 | 510:
            return ExitKind.EXIT
        case 220 | 620:
            return ExitKind.SIGNAL
        case 330:
            return ExitKind.HANG
        case 440:
            return ExitKind.MEMORY
    return None


def work(number):
    until = time.process_time() + WORK_S
    while time.process_time() < until:
        pass
    return number


def nasty(number):
    how = bad(number)
    if how is Fault:
        raise Fault(number)
    if how is ExitKind.EXIT:
        FAULTS["os._exit(7)"].do()
    if how is ExitKind.SIGNAL:
        FAULTS["segfault"].do()
    if how is ExitKind.HANG:
        signal.sigwait({signal.SIGUSR1})
    if how is ExitKind.MEMORY:
        taken = bytearray(400_000_000)
        signal.sigwait({signal.SIGUSR1})
        return len(taken)
    return work(number)


def test_ten_thousand_items_with_bad_ones_among_them(start_method, caplog):
    caplog.set_level(logging.CRITICAL, "procactors")
    with ActorSystem(start_method=start_method) as system:
        options = system.options(size=WORKERS, limits=Limits(memory=300_000_000))
        with options.pool() as pool:
            began = time.monotonic()
            assert list(pool.map(work, range(ITEMS))) == list(range(ITEMS))
            clean_s = time.monotonic() - began
            began = time.monotonic()
            found = list(pool.map(nasty, range(ITEMS), on_error="collect", timeout=TIMEOUT_S))
            took_s = time.monotonic() - began
    kinds = Counter()
    for number, value in enumerate(found):
        how = bad(number)
        kinds[how] += 1
        if how is None:
            assert value == number
        elif how is Fault:
            assert type(value) is Fault
        else:
            assert isinstance(value, errors.ActorDied)
            assert value.report.reason.kind is how
            assert isinstance(value, errors.ItemTimeout) is (how is ExitKind.HANG)
    assert len(found) == ITEMS
    hangs_s = kinds[ExitKind.HANG] * TIMEOUT_S
    print(f"clean {clean_s:.2f} s, with bad items {took_s:.2f} s, of which hangs {hangs_s:.2f} s")
    print(
        f"beyond the hangs: {(took_s - hangs_s) / clean_s:.3f} x, shared: "
        f"{(took_s - hangs_s / WORKERS) / clean_s:.3f} x"
    )
    assert took_s <= 1.2 * clean_s + hangs_s
