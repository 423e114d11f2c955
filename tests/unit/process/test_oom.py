"""Which SIGKILL was the kernel's: the counter of the cgroup, and which death may claim a count."""

from __future__ import annotations

import pytest

from procactors.process.oom import OomKills, credit, lacked, was_short

V2 = "low 0\nhigh 3\nmax 7\noom 2\noom_kill {}\noom_group_kill 9\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


@pytest.fixture(params=[V1, V2], ids=["v1", "v2"])
def count(request, tmp_path):
    """Write a counter, as either version of cgroups has it."""
    path = tmp_path / "counter"

    def write(number):
        path.write_text(request.param.format(number))
        return str(path)

    return write


def test_a_kill_that_was_not_counted_is_not_the_kernels(count):
    assert not OomKills(count(5)).claims(0.0)


def test_each_counted_kill_is_claimed_by_one_death(count):
    kills = OomKills(count(5))
    count(7)
    assert [kills.claims(at) for at in (1.0, 1.1, 1.2)] == [True, True, False]


def test_what_nobody_claimed_in_time_is_no_later_deaths(count):
    kills = OomKills(count(0))
    count(2)
    assert kills.claims(1.0)
    assert not kills.claims(3.0)


def test_without_a_counter_nobody_knows(tmp_path):
    kills = OomKills(str(tmp_path / "missing"))
    assert not kills.claims(0.0)
    (tmp_path / "missing").write_text("no numbers here\noom_kill many\n")
    assert not kills.claims(0.0)


def test_this_machines_own_counter_is_found_or_not_without_an_error():
    assert OomKills().claims(0.0) is False


def test_a_counter_that_starts_anew_gives_no_credit():
    assert credit(seen=5, left=0, left_at=0.0, now_seen=0, now=0.0) == 0


GB = 1 << 30


@pytest.mark.parametrize(
    ("peak", "free", "short"),
    [
        (6 * GB, 6 * GB, True),  # there was nothing left while it lived
        (6 * GB, 6 * GB + GB // 4, True),
        (6 * GB, 7 * GB, False),
        (10_000_000, 6 * GB, False),  # a small one: another process sent the signal
        (10_000_000, 10_000_000, True),  # unless others have used all
        (0, 0, False),  # its peak is not known
    ],
)
def test_memory_was_short_if_next_to_nothing_was_left_beside_the_dead_process(peak, free, short):
    assert lacked(peak, free, 8 * GB) is short


def test_a_small_process_on_this_machine_lacked_nothing():
    assert not was_short(0)
    assert was_short(1 << 60)
