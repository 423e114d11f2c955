"""One set of tests of behaviour for all backends: what is not promised stands in the table."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from procactors import ActorSystem
from procactors.errors import UnsupportedOnBackend
from procactors.testing import leaks
from tests.support import rays
from tests.support.waiting import eventually

#: Seconds of an inline system's own time that anything may take.
OWN_TIME_S = 60.0


class World:
    """A system, and how one waits in it."""

    def __init__(self, system: Any, backend: str) -> None:
        self.system = system
        self.backend = backend

    def eventually(self, condition: Callable[[], Any], what: str) -> Any:
        """Wait until something is so, and return it."""
        if self.backend != "inline":
            return eventually(condition, what)
        for _ in range(int(OWN_TIME_S / 0.05)):
            self.system.run_until_idle()
            if value := condition():
                return value
            self.system.clock.advance(0.05)
        raise AssertionError(f"waited {OWN_TIME_S} s of its own time for {what}")

    def crash(self, ref: Any) -> None:
        """End an actor as a kill from outside does, and wait until that is seen."""
        before = ref.status().incarnation
        if self.backend == "processes":
            os.kill(ref.status().pid, signal.SIGKILL)
        else:
            self.system.crash(ref)

        def is_seen() -> bool:
            status = ref.status()
            return status.incarnation > before or status.state != "idle"

        self.eventually(is_seen, "the death of an actor")


@pytest.fixture(
    params=["inline", "threads", "processes", pytest.param("ray", marks=pytest.mark.ray)]
)
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a test of what its backend does not promise: the table says so, by this error alone."""
    try:
        return (yield)
    except UnsupportedOnBackend as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """A cluster of this machine, which all tests on it share."""
    with rays.local_cluster():
        yield


@pytest.fixture(autouse=True)
def nothing_left(pytestconfig: pytest.Config, request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test when something of it is left; what Ray keeps for the next one is not."""
    if "backend" in request.fixturenames and request.getfixturevalue("backend") == "ray":
        request.getfixturevalue("cluster")
        with rays.nothing_left_on_it():
            yield
        return
    before = leaks.look()
    yield
    leaks.check(before, pytestconfig.getoption("settle"))


@pytest.fixture
def world(backend: str) -> Iterator[World]:
    with ActorSystem(backend=backend) as system:
        yield World(system, backend)


@pytest.fixture
def system(world: World) -> Any:
    return world.system
