"""How many items of a batch are done, while its worker goes on marking them."""

from __future__ import annotations

from procactors.wire.result_table import SIZE, ResultTable


class Racing:
    """Marks that are set between a look at one of them and a look at all."""

    def __init__(self, count: int, late: int, blank: int) -> None:
        self._now, self._soon = [1] * count, [1] * count
        self._now[late:] = [blank] * (count - late)

    def __getitem__(self, at: int | slice) -> int | memoryview:
        if isinstance(at, int):
            return self._now[at]
        return memoryview(bytes(self._soon))[at]


def table_with(tmp_path, late=None) -> ResultTable:
    (tmp_path / "result_table").write_bytes(bytes(SIZE))
    with open(tmp_path / "result_table", "r+b") as file:
        result_table = ResultTable(file.fileno(), 1)
    result_table.prepare(1, 10)
    if late is not None:
        result_table.marks = Racing(10, late, result_table.blank[0])
    return result_table


def test_a_batch_that_ends_during_the_look_is_done(tmp_path):
    assert table_with(tmp_path, late=5).done(10) == 10


def test_items_are_done_up_to_the_first_that_is_not_marked(tmp_path):
    result_table = table_with(tmp_path)
    assert result_table.done(10) == 0
    for at in range(4):
        result_table.marks[at] = 1
    assert (
        result_table.done(10),
        result_table.done(10, 2),
        result_table.done(3),
        result_table.done(2, 2),
    ) == (4, 4, 3, 2)
    result_table.close()
