"""Messages that are put aside: they come again, before all others, in order, whatever dies."""

from __future__ import annotations

import pytest

from procactors import Delivery
from procactors.errors import ActorDied, ActorStopped, AskTimeout, MailboxFull
from procactors.runtime import stashing
from tests.support.conversations import Stasher
from tests.support.waiting import SHORT_S, eventually


@pytest.fixture
def ref(system):
    return system.options(name="s").spawn(Stasher)


def results(replies):
    return [reply.result(SHORT_S)[0] for reply in replies]


@pytest.mark.methods
def test_what_is_put_aside_comes_again_in_order_before_all_others(ref, gate):
    replies = [ref.submit(Stasher.work, number) for number in range(50)]
    ref.tell(Stasher.work, "told")
    held = ref.submit(Stasher.hold, gate)
    gate.arrival()
    opened, late = ref.submit(Stasher.open), ref.submit(Stasher.work, "late")
    gate.open()
    assert opened.result(SHORT_S) == 51
    assert results(replies) == list(range(50))
    assert late.result(SHORT_S)[0] == "late"
    assert ref.ask(Stasher.get) == [*range(50), "told", "late"]
    assert held.result(SHORT_S) is None
    assert ref.status().mailbox == 0


def test_one_may_be_put_aside_again(ref):
    first = [ref.submit(Stasher.work, number) for number in range(5)]
    ref.ask(Stasher.open)
    results(first)
    ref.ask(Stasher.close)
    again = [ref.submit(Stasher.work, number) for number in range(5, 8)]
    assert ref.ask(Stasher.open) == 3
    assert results(again) == [5, 6, 7]
    assert ref.ask(Stasher.open) == 0
    assert ref.ask(Stasher.one_more, 9) == 9  # within one handler, again and again


def test_the_next_incarnation_has_it(ref):
    replies = [ref.submit(Stasher.work, number) for number in range(20)]
    ref.ask(Stasher.pid)
    assert ref.status().mailbox == 20
    with pytest.raises(ActorDied):
        ref.ask(Stasher.die)
    assert ref.ask(Stasher.open) == 20
    assert [reply.result(SHORT_S)[:2] for reply in replies] == [(n, 2) for n in range(20)]


def test_killed_behind_it_the_message_is_put_aside_still(ref):
    reply = ref.submit(Stasher.then_die, 1)
    eventually(lambda: ref.status().restarts == 2, "the death in each of two lives")
    ref.ask(Stasher.open)
    assert reply.result(SHORT_S) == (1, 3)


def test_what_is_raised_behind_it_is_a_crash_and_the_next_life_has_it(ref):
    assert ref.ask(Stasher.then_raise, 3) == 3
    assert ref.status().restarts == 1


def test_in_the_end_it_is_refused(system, ref):
    reply = ref.submit(Stasher.work, 1)
    ref.tell(Stasher.work, 2)
    ref.ask(Stasher.pid)
    ref.stop()
    with pytest.raises(ActorStopped):
        reply.result(SHORT_S)
    assert [letter.handler for letter in system.dead_letters] == ["Stasher.work"]
    system.dead_letters.list()


@pytest.mark.parametrize("size", [5000, 3_000_000])
def test_payloads_are_kept_and_freed(ref, size):
    for _ in range(3):
        ref.ask(Stasher.close)
        replies = [ref.submit(Stasher.size, b"x" * size) for _ in range(5)]
        ref.ask(Stasher.open)
        assert [reply.result(SHORT_S) for reply in replies] == [size] * 5
    ref.ask(Stasher.close)
    reply = ref.submit(Stasher.size, b"x" * size)
    with pytest.raises(ActorDied):
        ref.ask(Stasher.die)
    ref.ask(Stasher.open)
    assert reply.result(SHORT_S) == size


def test_it_takes_no_place_in_a_bounded_mailbox(system):
    ref = system.options(mailbox=2).spawn(Stasher)
    replies = [ref.submit(Stasher.work, number) for number in range(10)]
    ref.ask(Stasher.open)
    assert results(replies) == list(range(10))


def test_it_is_put_aside_once(ref):
    ref.submit(Stasher.twice)
    eventually(lambda: ref.status().restarts >= 1, "the crash")
    assert "not in hand any more" in str(ref.status().last_crash.reason)


def test_there_is_a_bound(ref):
    ref.tell_many(Stasher.many, [(number,) for number in range(stashing.STASH_LIMIT)])
    with pytest.raises(MailboxFull, match="has put 1000 messages aside"):
        ref.ask(Stasher.many, 1)
    assert ref.status().restarts == 0


def test_at_least_once_it_counts_each_time_that_it_is_begun(system):
    ref = system.options(delivery=Delivery.AT_LEAST_ONCE).spawn(Stasher)
    reply = ref.submit(Stasher.work, 1)
    ref.ask(Stasher.open)
    assert reply.result(SHORT_S) == (1, 1, 1)


def test_whose_caller_has_given_up_is_not_begun_again(ref):
    with pytest.raises(AskTimeout):
        ref.options(timeout=0.3).ask(Stasher.work, "late")
    reply = ref.submit(Stasher.work, "in time")
    ref.ask(Stasher.open)
    assert reply.result(SHORT_S)[0] == "in time"
    assert ref.ask(Stasher.get) == ["in time"]
    assert ref.status().expired == 1
