"""The pytest plugin: fixtures, the choice of a backend, the leak check, what failed actors said.

Layer: testing. Runs in: the process of the tests.
Owns: the systems of its fixtures, each for one test.
Never: imports more than pytest before a fixture or marker of its own is used: it is loaded in
every run of pytest where procactors is installed.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from procactors import ActorSystem
    from procactors.observe.subscription import Feed
    from procactors.testing.probes import Probe

__all__ = [
    "actor_system",
    "inline_system",
    "probe",
    "pytest_addoption",
    "pytest_configure",
    "pytest_runtest_makereport",
]

#: Environment variable that names the backend, here as for each program.
_VARIABLE = "PROCACTORS_BACKEND"
#: Dead letters that a report shows, and characters of what is said of each crash.
_LETTERS, _WIDTH = 20, 4000

_WATCHED = pytest.StashKey[list[Any]]()
_HAS_FAILED = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Add `--procactors-backend`, and the line `procactors_backend` of a configuration file."""
    _leave_as_it_is(pluginmanager)
    text = f"backend of the fixture actor_system (else {_VARIABLE}, else processes)"
    group = parser.getgroup("procactors")
    group.addoption("--procactors-backend", default=None, metavar="BACKEND", help=text)
    parser.addini("procactors_backend", text, default="")


def _leave_as_it_is(pluginmanager: pytest.PytestPluginManager) -> None:
    """Have the package be imported as programs import it.

    Else pytest rewrites the assertions in all modules of a distribution that brings a plugin: the
    third part of a second for each process of a run that may not write down what it has compiled.
    There is no public way to say no; should this one be gone, nothing worse comes of it.
    """
    marked = getattr(getattr(pluginmanager, "rewrite_hook", None), "_must_rewrite", None)
    if isinstance(marked, set):
        marked.discard("procactors")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marker."""
    config.addinivalue_line(
        "markers",
        "no_leaks(settle=10.0): the test fails if a process, thread, descriptor or file of it is "
        "left behind it for longer than `settle` seconds (procactors)",
    )


# -- fixtures -------------------------------------------------------------------------------------


@pytest.fixture
def actor_system(request: pytest.FixtureRequest, _procactors_leaks: None) -> Iterator[ActorSystem]:
    """A running `ActorSystem`, stopped behind the test.

    Its backend is that of `--procactors-backend`, else of the line `procactors_backend` in pytest's
    configuration file, else of the environment variable PROCACTORS_BACKEND, else "processes".
    """
    from procactors import ActorSystem

    with ActorSystem(backend=_backend_of(request.config)) as system, _Watched(request, system):
        yield system


@pytest.fixture
def inline_system(request: pytest.FixtureRequest, _procactors_leaks: None) -> Iterator[ActorSystem]:
    """A running inline `ActorSystem`: deterministic, its time is its own; stopped behind the test.

    Two tests have the same order of messages as often as they run; `explore` tries other ones.
    """
    from procactors import ActorSystem

    with ActorSystem(backend="inline") as system, _Watched(request, system):
        yield system


@pytest.fixture
def probe(request: pytest.FixtureRequest) -> Probe:
    """A `Probe` in the test's own system: `actor_system` unless it asks for `inline_system` alone.

    More of them, or one of another system: `procactors.testing.probe(system)`.
    """
    from procactors.testing.probes import Probe

    names = request.fixturenames
    is_inline = "inline_system" in names and "actor_system" not in names
    return Probe(request.getfixturevalue("inline_system" if is_inline else "actor_system"))


def _backend_of(config: pytest.Config) -> str:
    """Return the backend that is chosen.

    Raises:
        pytest.UsageError: there is no such.
    """
    from procactors.model.backends import BACKENDS

    option: str | None = config.getoption("--procactors-backend")
    name = option or config.getini("procactors_backend") or os.environ.get(_VARIABLE, "")
    if name and name not in BACKENDS:
        places = "--procactors-backend, procactors_backend or " + _VARIABLE
        known = ", ".join(BACKENDS)
        raise pytest.UsageError(f"{places} says {name!r}; expected one of {known}")
    return str(name or "processes")


# -- the leak check -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _procactors_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """See that a test marked `no_leaks` leaves nothing; others pass through."""
    marker = request.node.get_closest_marker("no_leaks")
    if marker is None:
        yield
        return
    from procactors.testing import leaks

    settle = marker.kwargs.get("settle", leaks.SETTLE_S)
    if marker.args or set(marker.kwargs) - {"settle"} or not isinstance(settle, int | float):
        raise pytest.UsageError(
            f"the marker of {request.node.nodeid} is no_leaks or no_leaks(settle=seconds), "
            f"not {marker!r}"
        )
    leaks.prepare()
    before = leaks.look()
    yield
    left = ""
    try:
        leaks.check(before, settle)
    except AssertionError as error:
        left = str(error)
    if left:  # out here, or the report would have it twice
        # Killed, so that what one test leaves does not spoil the next ones.
        leaks.kill_strays(before)
        pytest.fail(f"{request.node.nodeid} has {left}", pytrace=False)


# -- what failed actors said ----------------------------------------------------------------------


class _Watched:
    """Notes the crashes of a system for the report of the test that it is for."""

    def __init__(self, request: pytest.FixtureRequest, system: ActorSystem) -> None:
        self.system = system
        self._feed: Feed[Any] | None = None
        request.node.stash.setdefault(_WATCHED, []).append(self)

    def __enter__(self) -> None:
        from procactors import Crashed
        from procactors.observe.subscription import Feed

        self._feed = Feed("the report of a test", "crashes", latest=False)
        self.system.events.feed(self._feed, (Crashed,))

    def __exit__(self, *_: object) -> None:
        """What the system's stop itself brings is still noted."""

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yield (title, text) of all that there is to be said."""
        crashes = "\n\n".join(_cut(str(event.report)) for event in self._crashes())
        if crashes:
            yield f"crashed actors of {self.system.name}", crashes
        letters = list(self.system.dead_letters)
        if letters:
            left = len(letters) - _LETTERS
            lines = [_line_of(letter) for letter in letters[:_LETTERS]]
            yield (
                f"dead letters of {self.system.name}",
                "\n".join(lines + [f"... and {left} more"] * (left > 0)),
            )

    def _crashes(self) -> Iterator[Any]:
        while self._feed is not None:
            try:
                event = self._feed.take_now()
            except Empty:
                return
            if event is None:
                return
            yield event


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ..."


def _line_of(letter: Any) -> str:
    why = _cut(letter.reason).partition("\n")[0]
    return f"{letter.handler} of {letter.actor} (given up at {letter.at}): {why}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, Any, None]:
    """Add what the actors of a failed test said to its report.

    To that of its teardown, behind which the systems are stopped and nothing more can come; pytest
    shows it together with the failure.
    """
    outcome = yield
    report: pytest.TestReport = outcome.get_result()
    if report.failed:
        item.stash[_HAS_FAILED] = True
    if report.when != "teardown" or not item.stash.get(_HAS_FAILED, False):
        return
    for watched in item.stash.get(_WATCHED, []):
        for title, text in watched.sections():
            report.sections.append((f"{title} (at teardown)", text))
