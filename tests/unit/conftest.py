"""What tests of single modules share."""

from __future__ import annotations

import pytest

from procactors.wire.payload_store import PayloadStore
from procactors.wire.runtime_dir import RuntimeDir


@pytest.fixture
def store(tmp_path):
    """A payload store in a runtime directory of its own."""
    directory = RuntimeDir(tmp_path)
    store = PayloadStore(directory.path)
    yield store
    store.close()
    directory.remove()
