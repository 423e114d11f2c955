"""What tests of single modules share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from procactors.wire.payload_store import PayloadStore
from procactors.wire.runtime_dir import RuntimeDir

# How long an example takes, on a busy machine, says nothing about what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def store(tmp_path):
    """A payload store in a runtime directory of its own."""
    directory = RuntimeDir(tmp_path)
    store = PayloadStore(directory.path)
    yield store
    store.close()
    directory.remove()
