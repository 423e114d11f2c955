"""Fixtures of all tests: start method, system, gate, seed; the leak check and the watchdog.

Options:
    --start-methods=all         run each process test under every start method (or name some)
    --seed=N                    the seed of the `seed` fixture; else a new one, which is printed
    --settle=SECONDS            how long the leak check waits for things to go away
"""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from procactors import ActorSystem
from procactors.testing import leaks
from tests.support.gates import Gate, new_gate
from tests.support.namespaces import Place, own_place
from tests.support.waiting import LONG_S

START_METHODS = ("forkserver", "spawn", "fork")

#: Share of its time after which a test that still waits has failed.
PATIENCE = 2 / 3

#: Which process and thread said it. Not in setup.cfg, where setuptools would interpolate it.
LOG_FORMAT = "%(asctime)s %(processName)s/%(threadName)s %(levelname)s %(name)s: %(message)s"

STDERR = pytest.StashKey[int]()
SEED = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("procactors")
    group.addoption(
        "--start-methods",
        default=START_METHODS[0],
        help="start methods of process tests, with commas, or `all` (default: %(default)s)",
    )
    group.addoption("--seed", type=int, default=None, help="seed of races (default: by chance)")
    group.addoption(
        "--settle",
        type=float,
        default=leaks.SETTLE_S,
        help="seconds for which the leak check waits for things to go (default: %(default)s)",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.option.log_format = config.option.log_format or LOG_FORMAT
    # Descriptor 2 is the real stderr now; later, while a test runs, its output is captured.
    config.stash[STDERR] = os.dup(2)
    # A worker of a parallel run has the seed that its controller printed.
    seed = getattr(config, "workerinput", {}).get("seed", config.getoption("seed"))
    config.stash[SEED] = random.randrange(2**32) if seed is None else seed
    leaks.prepare()
    # A shell starts what it runs in the background with Ctrl-C ignored, and that is inherited by
    # the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a worker of a parallel run (pytest-xdist) the seed of the whole run."""
    node.workerinput["seed"] = node.config.stash[SEED]


def pytest_unconfigure(config: pytest.Config) -> None:
    os.close(config.stash[STDERR])


def pytest_report_header(config: pytest.Config) -> str:
    return f"start methods: {config.getoption('start_methods')}; seed: {config.stash[SEED]}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "start_method" in metafunc.fixturenames:
        chosen = metafunc.config.getoption("start_methods")
        methods = START_METHODS if chosen == "all" else chosen.split(",")
        if unknown := set(methods) - set(START_METHODS):
            raise pytest.UsageError(f"--start-methods: {unknown}, expected all or {START_METHODS}")
        metafunc.parametrize("start_method", methods, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Dump all stacks and end the run when a test hangs; pytest 8 by itself would only dump."""
    if limit := _limit_s(item):
        faulthandler.dump_traceback_later(limit, exit=True, file=item.config.stash[STDERR])


def _limit_s(item: pytest.Item) -> float:
    """Seconds that a test may take; 0: as long as it likes, since a debugger may hold it."""
    limit = float(item.config.getini("faulthandler_timeout"))
    return LONG_S / PATIENCE if limit and item.get_closest_marker("stress") else limit


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Have a test that waits for ever fail, by its name and where it waits, and the run go on.

    The watchdog above is for what no exception ends. A test that takes this alarm for its own
    purposes has that alone.
    """
    limit = PATIENCE * _limit_s(item)

    def give_up(signum: int, frame: object) -> NoReturn:
        pytest.fail(f"the test waits still, after {limit:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(autouse=True)
def nothing_left(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fail the test when a process, thread, descriptor or file of it is left at its end."""
    _set_modules_aside()
    before = leaks.look()
    yield
    try:
        leaks.check(before, pytestconfig.getoption("settle"))
    except BaseException:
        leaks.kill_strays(before)
        raise


def _set_modules_aside() -> None:
    """Have the garbage collector skip what imports have brought since the last time.

    The leak check collects behind each test. With the modules of large libraries loaded, that takes
    0.1 s each time and was half of the whole run.
    """
    global _modules  # noqa: PLW0603 - one process runs the tests
    if len(sys.modules) > _modules + 50:
        _modules = len(sys.modules)
        gc.collect()
        gc.freeze()


#: How many modules were loaded when they were last set aside.
_modules = 0


@pytest.fixture
def system(start_method: str) -> Iterator[ActorSystem]:
    """A running system under the start method in turn, stopped at the test's end."""
    with ActorSystem(start_method=start_method) as system:
        yield system


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    """A closed gate; further ones are made by `support.gates.new_gate`."""
    with new_gate(tmp_path / "gate") as gate:
        yield gate


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """Where programs run whose remains are looked for: no neighbour's start sweeps them."""
    with own_place(tmp_path) as place:
        yield place


@pytest.fixture
def seed(pytestconfig: pytest.Config) -> int:
    """The run's seed; a failing test prints it."""
    print(f"seed: {pytestconfig.stash[SEED]}")
    return pytestconfig.stash[SEED]
