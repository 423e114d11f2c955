"""Every point of an item's life, every way to break there: the pool lives, the others are done."""

from __future__ import annotations

import logging
import signal
from collections import Counter

import pytest

from procactors import Actor, ActorSystem, ExitKind, Limits, errors
from tests.stress.pool_kills import run
from tests.support.faults import FAULTS, BreaksWhenLoaded, BreaksWhenPickled, Fault
from tests.support.poolwork import breaks, square

HOWS = ["exception", "sys.exit(3)", "os._exit(7)", "segfault", "SIGKILL"]

#: What an item that breaks at a point stands for in the results, by whether it raises an
#: `Exception`, or ends its worker.
RAISES = {
    "unpickle": errors.DecodeError,
    "run": Fault,
    "result pickle": errors.ResultEncodeError,
    "result load": errors.DecodeError,
}


@pytest.fixture
def pool(system):
    with system.options(size=2).pool() as pool:
        yield pool


def item_that_breaks(point, how):
    if point == "pickle":
        return BreaksWhenPickled(how)
    if point == "unpickle":
        return BreaksWhenLoaded(how)
    return (point, how)


@pytest.mark.parametrize("chunk", [1, 11])
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("point", ["unpickle", "run", "result pickle"])
def test_a_pool_lives_through_its_workers_end_at_every_point(pool, point, how, chunk):
    items = [*range(5), item_that_breaks(point, how), *range(5, 10)]
    found = list(pool.map(breaks, items, on_error="collect", chunk=chunk))
    error = found.pop(5)
    assert found == list(range(10))
    if FAULTS[how].exit_code is None:
        assert type(error) is RAISES[point]
    else:
        assert type(error) is errors.ActorDied
        wanted = FAULTS[how].exit_code
        reason = error.report.reason
        assert reason.code == abs(wanted)
        assert reason.kind is (ExitKind.SIGNAL if wanted < 0 else ExitKind.EXIT)
    assert list(pool.map(square, range(100))) == [number * number for number in range(100)]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("point", ["unpickle", "run", "result pickle"])
def test_items_that_share_a_message_share_no_fate(pool, point, how):
    list(pool.map(breaks, range(300)))  # it is known that they cost next to nothing
    bad = {20, 21, 70}
    items = [item_that_breaks(point, how) if at in bad else at for at in range(100)]
    found = list(pool.map(breaks, items, on_error="collect", chunk=1))
    wanted = RAISES[point] if FAULTS[how].exit_code is None else errors.ActorDied
    assert [at for at, value in enumerate(found) if type(value) is wanted] == sorted(bad)
    assert [at for at in range(100) if at not in bad] == [at for at in found if type(at) is int]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("point", ["unpickle", "run", "result pickle"])
def test_the_same_for_a_call(pool, point, how):
    replies = [pool.submit(breaks, item) for item in (1, item_that_breaks(point, how), 2)]
    error = replies[1].exception()
    wanted = RAISES[point] if FAULTS[how].exit_code is None else errors.ActorDied
    assert type(error) is wanted
    assert (replies[0].result(), replies[2].result()) == (1, 2)


@pytest.mark.parametrize("how", ["exception", "sys.exit(3)"])
def test_what_breaks_at_pickling_breaks_where_it_is_pickled(pool, how):
    """In the caller: what ends a process there (`os._exit`, a signal) is the caller's own end."""
    wanted = errors.EncodeError if how == "exception" else SystemExit
    with pytest.raises(wanted):
        list(pool.map(breaks, [1, BreaksWhenPickled(how), 2]))
    with pytest.raises(wanted):
        pool.submit(breaks, BreaksWhenPickled(how))
    assert list(pool.map(square, range(10))) == [number * number for number in range(10)]


@pytest.mark.parametrize("how", ["exception", "sys.exit(3)"])
def test_what_breaks_when_its_result_is_loaded_is_an_error_of_that_item(pool, how):
    found = list(pool.map(breaks, [1, ("result load", how), 2], on_error="collect"))
    assert (found[0], found[2]) == (1, 2)
    assert type(found[1]) is errors.DecodeError
    reply = pool.submit(breaks, ("result load", how))
    assert type(reply.exception()) is errors.DecodeError


@pytest.mark.parametrize("how", ["os._exit(7)", "segfault", "SIGKILL"])
def test_an_actor_that_is_ended_by_a_result_is_missed_by_nobody_else(system, how):
    """Whoever loads such a result ends: here an actor with a pool of its own."""
    owner = system.spawn(Owner)
    with pytest.raises(errors.ActorDied):
        owner.ask(Owner.load, ("result load", how))
    assert owner.ask(Owner.load, 7) == [7]


class Owner(Actor):
    def load(self, item):
        with self.context.options(size=1).pool() as pool:
            return list(pool.map(breaks, [item]))


def test_every_item_of_a_bad_lot_ends_once(start_method, caplog):
    """1 % raise, 0.2 % exit, 0.2 % segfault, 0.1 % hang, 0.1 % take too much memory."""
    caplog.set_level(logging.CRITICAL, "procactors")
    with ActorSystem(start_method=start_method) as system:
        options = system.options(size=2, limits=Limits(memory=400_000_000))
        with options.pool() as pool:
            found = list(pool.map(nasty, range(1000), on_error="collect", timeout=2.0))
    assert len(found) == 1000
    kinds = Counter()
    for number, value in enumerate(found):
        if isinstance(value, int):
            assert value == number
        elif isinstance(value, errors.ActorDied):
            kinds[value.report.reason.kind] += 1
            assert NASTY[number] == value.report.reason.kind
        else:
            kinds[type(value)] += 1
            assert NASTY[number] is type(value)
    assert kinds == Counter(NASTY.values())


#: Which item does what, and how it ends.
NASTY = {
    **dict.fromkeys(range(50, 1000, 100), Fault),
    **dict.fromkeys((110, 710), ExitKind.EXIT),
    **dict.fromkeys((220, 820), ExitKind.SIGNAL),
    330: ExitKind.HANG,
    440: ExitKind.MEMORY,
}


def nasty(number):
    how = NASTY.get(number)
    if how is Fault:
        raise Fault(number)
    if how is ExitKind.EXIT:
        FAULTS["os._exit(7)"].do()
    if how is ExitKind.SIGNAL:
        FAULTS["segfault"].do()
    if how is ExitKind.HANG:
        signal.sigwait({signal.SIGUSR1})
    if how is ExitKind.MEMORY:
        taken = bytearray(500_000_000)
        signal.sigwait({signal.SIGUSR1})
        return len(taken)
    return number


@pytest.mark.parametrize(("retries", "chunk"), [(0, "auto"), (0, 1), (2, "auto"), (2, 1)])
def test_workers_that_are_killed_at_random_lose_nothing_and_repeat_nothing(
    system, tmp_path, seed, retries, chunk, caplog
):
    caplog.set_level(logging.CRITICAL, "procactors")
    outcome = run(system, tmp_path, 4000, seed, retries, ordered=True, chunk=chunk)
    assert (outcome.wrong, outcome.twice, outcome.missing) == (0, 0, 0)
    assert outcome.kills > 5
    assert outcome.died <= outcome.kills
