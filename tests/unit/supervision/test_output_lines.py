"""What was printed is cut into lines; of one that was written over, the last state is shown."""

from __future__ import annotations

import random

import pytest

from procactors.supervision.output_relay import lines_of


@pytest.mark.parametrize(
    ("data", "lines", "rest"),
    [
        (b"", [], b""),
        (b"a", [], b"a"),
        (b"a\nb", [b"a"], b"b"),
        (b"\n\n", [b"", b""], b""),
        (b"a\r\n", [b"a"], b""),
        (b"1 %\r2 %\r3 %\n", [b"3 %"], b""),
        (b"1 %\r2 %\r", [], b"1 %\r2 %\r"),
    ],
)
def test_lines(data, lines, rest):
    assert lines_of(data) == (lines, rest)


def test_a_line_without_an_end_is_kept_within_bounds():
    bar = b"".join(b"\r%d %%" % n for n in range(20_000))
    lines, rest = lines_of(bar)
    assert (lines, rest) == ([], b"19999 %")
    lines, rest = lines_of(b"x" * 200_000)
    assert b"".join([*lines, rest]) == b"x" * 200_000
    assert max(map(len, [*lines, rest])) <= 1 << 16


def test_wherever_reads_end_the_lines_are_the_same(seed):
    chance = random.Random(seed)
    text = b"".join(chance.choice((b"a", b"\xff", b"\n", b"bc")) for _ in range(2000)) + b"\n"
    found, rest, at = [], b"", 0
    while at < len(text):
        size = chance.randrange(1, 20)
        lines, rest = lines_of(rest + text[at : at + size])
        found += lines
        at += size
    assert b"\n".join([*found, rest]) == text
