"""Where a benchmark's sides run: what the kernel has no groups for is left as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import places


@pytest.mark.parametrize("text", ["", "\n", "/autogroup-7 nice 0\n"])
def test_sides_are_levelled_whatever_the_kernel_says_of_its_groups(monkeypatch, tmp_path, text):
    """In a container, or switched off, the file is there and empty."""
    own = tmp_path / "autogroup"
    own.write_text(text)
    real = Path
    monkeypatch.setattr(
        places, "Path", lambda name: own if name == "/proc/self/autogroup" else real(name)
    )
    places.Place("free").opened()
    assert own.read_text() == text
