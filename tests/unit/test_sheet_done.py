"""How many items of a batch are done, while its worker goes on marking them."""

from __future__ import annotations

import os

from procactors.wire.sheet import SIZE, Sheet


class Racing:
    """Marks that are set between a look at one of them and a look at all."""

    def __init__(self, count: int, late: int) -> None:
        self._now, self._soon = [1] * count, [1] * count
        self._now[late:] = [0] * (count - late)

    def __getitem__(self, at: int | slice) -> int | memoryview:
        if isinstance(at, int):
            return self._now[at]
        return memoryview(bytes(self._soon))[at]


def sheet_with(tmp_path, marks=None) -> Sheet:
    (tmp_path / "sheet").write_bytes(bytes(SIZE))
    sheet = Sheet(os.open(tmp_path / "sheet", os.O_RDWR), 1)
    sheet.prepare(1, 10)
    if marks is not None:
        sheet.marks = marks
    return sheet


def test_a_batch_that_ends_during_the_look_is_done(tmp_path):
    assert sheet_with(tmp_path, Racing(10, late=5)).done(10) == 10


def test_items_are_done_up_to_the_first_that_is_not_marked(tmp_path):
    sheet = sheet_with(tmp_path)
    assert sheet.done(10) == 0
    for at in range(4):
        sheet.marks[at] = 1
    assert (sheet.done(10), sheet.done(10, 2), sheet.done(3), sheet.done(2, 2)) == (4, 4, 3, 2)
    sheet.close()
