"""What a map takes of its input: no more than asked for, and what came before an error."""

from __future__ import annotations

import itertools

import pytest

from procactors.pool.inputs import input_of


def all_of(source, size=3):
    """Take to the end; return the pieces, and the error behind them."""
    pieces = []
    while True:
        items, is_over, error = source.take(size, 1.0)
        pieces.append(list(items))
        if is_over:
            return pieces, error


@pytest.mark.parametrize("items", [[1, 2, 3, 4], (1, 2, 3, 4), range(1, 5), iter([1, 2, 3, 4])])
def test_an_input_is_taken_in_pieces_to_its_end(items):
    assert all_of(input_of(items)) == ([[1, 2, 3], [4]], None)


@pytest.mark.parametrize("items", [[], (), range(0), iter([])])
def test_an_empty_input_is_over_at_once(items):
    assert all_of(input_of(items)) == ([[]], None)


def test_a_range_is_cut_and_not_written_out():
    items, is_over, _ = input_of(range(10**18)).take(5, 1.0)
    assert (items, is_over) == (range(5), False)


def test_a_list_that_grows_is_taken_to_its_new_end():
    items = [1, 2, 3]
    source = input_of(items)
    assert source.take(3, 1.0) == ([1, 2, 3], False, None)
    items.append(4)
    assert all_of(source) == ([[4]], None)


def test_a_list_that_is_over_stays_so():
    items = [1]
    source = input_of(items)
    assert source.take(2, 1.0) == ([1], True, None)
    items.append(2)
    assert all_of(source) == ([[]], None)


class Backwards(list):
    def __iter__(self):
        return reversed(self)


def test_a_list_of_a_class_of_its_own_is_iterated_as_that_says():
    assert all_of(input_of(Backwards([1, 2]))) == ([[2, 1]], None)


def test_what_came_before_an_error_of_the_input_is_not_lost():
    def numbers():
        yield from (1, 2)
        raise ValueError("no more")

    pieces, error = all_of(input_of(numbers()))
    assert pieces == [[1, 2]]
    assert str(error) == "no more"


def test_a_slow_input_gives_what_has_come():
    items, is_over, _ = input_of(itertools.count()).take(1000, 0.0)
    assert (list(items), is_over) == ([0], False)


def test_what_cannot_be_iterated_is_refused():
    with pytest.raises(TypeError, match="not iterable"):
        input_of(5)
