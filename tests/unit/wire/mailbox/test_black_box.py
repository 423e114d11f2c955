"""The black box: what a killed reader leaves is always true."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from procactors.wire.mailbox.black_box import (
    CAPACITY,
    IN_HAND,
    STATE,
    BlackBox,
    pack_state,
    unpack_state,
)
from procactors.wire.record import Kind, frame

BATCH = 65_536


@pytest.fixture
def box(tmp_path):
    BlackBox.create(str(tmp_path / "box"), BATCH, 7)
    box = BlackBox(str(tmp_path / "box"))
    yield box
    box.close()


@given(st.integers(0, BATCH // 8), st.integers(0, BATCH // 8), st.booleans())
def test_the_state_word_gives_back_what_was_packed(fill, offset, in_hand):
    word = pack_state(8 * fill, 8 * offset) | (IN_HAND if in_hand else 0)
    assert word < 2**64
    assert unpack_state(word) == (8 * fill, 8 * offset, in_hand)


def test_two_maps_show_the_same_words(box, tmp_path):
    other = BlackBox(str(tmp_path / "box"))
    box.words[STATE] = pack_state(64, 8)
    assert other.words[STATE] == pack_state(64, 8)
    assert other.words[CAPACITY] == 7
    assert len(other.batch) == BATCH
    other.close()


def test_space_is_reserved_when_it_is_made(box, tmp_path):
    status = os.stat(tmp_path / "box")
    assert status.st_blocks * 512 >= status.st_size
    assert status.st_mode & 0o777 == 0o600


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(bytes(100_000))
    with pytest.raises(ValueError, match="expected a black box of this version"):
        BlackBox(str(path))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(0, 4_000), max_size=16))
def test_the_fill_is_found_when_the_reader_ended_inside_its_read(box, sizes):
    """Bytes in the batch and state 0: the records' own lengths tell how far the read came."""
    records = [frame(Kind.CALL, 0, bytes(size)) for size in sizes]
    data = b"".join(records)
    box.batch[:] = bytes(BATCH)
    box.batch[: len(data)] = data
    box.words[STATE] = 0
    assert box.recover() == (len(data), 0, False)
    assert box.words[STATE] == pack_state(len(data), 0)
    assert [length for _, length in box.walk(0, len(data))] == [len(r) for r in records]


def test_a_full_batch_is_walked_to_its_end(box):
    record = frame(Kind.CALL, 0, bytes(4_088))
    box.batch[:] = record * (BATCH // len(record))
    assert box.recover() == (BATCH, 0, False)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), at=st.integers(0, 100))
def test_a_walk_over_any_bytes_stays_within_the_bounds(box, data, at):
    box.batch[:] = bytes(BATCH)
    box.batch[8 * at : 8 * at + len(data)] = data
    box.batch[BATCH - len(data) :] = data
    for offset, length in box.walk(0, BATCH):
        assert length >= 8
        assert offset + length <= BATCH


@pytest.mark.parametrize("length", [4, 12, 2**32 - 8, BATCH + 8])
def test_a_length_that_cannot_be_ends_the_walk(box, length):
    box.lengths[0] = length
    assert list(box.walk(0, BATCH)) == []
