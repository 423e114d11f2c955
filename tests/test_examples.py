"""Every example runs as a user would run it, and prints what its header says."""

from __future__ import annotations

import ast
import doctest
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import procactors
from procactors.cli.examples import example_files
from procactors.model.backends import LIMITS, VARIABLE
from tests.support.waiting import LONG_S

FOLDER = Path(__file__).parents[1] / "examples"
NAMES = sorted(path.stem for path in FOLDER.glob("[!_]*.py"))
#: Examples that show other packages at work.
NEEDS = {
    "big_array": ["numpy"],
    "fastapi_app": ["fastapi", "httpx"],
    "grid_search": ["sklearn"],
    "image_filter": ["numpy"],
    "shared_array": ["numpy"],
    "test_shop": ["pytest"],
    "traces": ["opentelemetry.sdk"],
    "web_chat": ["starlette", "uvicorn", "websockets"],
    "web_fetcher": ["httpx"],
    "web_stream": ["fastapi", "httpx", "uvicorn"],
}

#: Examples that show, or need, what not each backend promises: the rows of the table (`LIMITS`)
#: that say so. On the backends of those rows they make no sense; on all others they run unchanged.
SHOWS = {
    "async_fan_out": "exit death",
    "async_fetcher": "exit death",
    "cancel": "kill",
    "crash_and_respawn": "exit death",
    "dead_letters": "exit files",
    "death_watch": "exit death",
    "dynamic_children": "exit death",
    "fastapi_app": "exit",
    "grid_search": "joblib",
    "hang": "kill death",
    "image_filter": "shares",
    "kept_counter": "exit",
    "kept_job": "checkpoint",
    "logging_of_actors": "output counts",
    "monte_carlo": "exit",
    "one_for_all": "exit death",
    "one_for_one": "exit death",
    "publish_subscribe": "exit",
    "rate_limiter": "sleeps",
    "recycle": "recycle",
    "resumable_batch": "sleeps",
    "rest_for_one": "exit death",
    "run_program": "counts",
    "run_tree": "counts",
    "shared_array": "globals shares",
    "stream_pipeline": "moving feeds",
    "timers": "counts",
    "traces": "counts",
    "web_chat": "sleeps",
    "web_fetcher": "sleeps",
    "web_stream": "sleeps",
    "word_statistics": "exit",
}


def limits_of(name, backend):
    """The rows of the table for which an example makes no sense on a backend."""
    keys = SHOWS.get(name, "").split()
    rows = [LIMITS.get(f"{key} on {backend}") or LIMITS.get(key) for key in keys]
    return [row for row in rows if row is not None and backend in row.backends]


def header(name):
    """The example's docstring."""
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_bytes()))


def expected_output(name):
    """The indented block that ends the header."""
    return block(header(name).partition("Expected output:\n")[2])


def expected_errors(name):
    """The block before it, of the examples that show what the runtime reports on stderr."""
    text = header(name).partition("Expected output:\n")[0]
    return block(text.partition("Expected on stderr")[2].partition("\n")[2])


def block(text):
    """Indented lines as they are printed."""
    return inspect.cleandoc(text) + "\n" if text else ""


def assert_matches(name, expected, printed):
    """Like a doctest's output, where three dots stand for anything."""
    matches = doctest.OutputChecker().check_output(expected, printed, doctest.ELLIPSIS)
    assert matches, f"{name} printed:\n{printed}\nits header says:\n{expected}"


def expected_exit_code(name):
    """What the header says, or 0."""
    found = re.search(r"^Exit code: (\d+)$", header(name), re.MULTILINE)
    return int(found[1]) if found else 0


def run(name, folder, *command, **variables):
    """Run a command from another folder and compare output and exit code with the header."""
    ended = ended_by(name, folder, *command, **variables)
    assert_matches(name, expected_errors(name), ended.stderr)
    assert_matches(name, expected_output(name), ended.stdout)
    assert ended.returncode == expected_exit_code(name)


def ended_by(name, folder, *command, **variables):
    """Run a command from another folder, and return what came of it."""
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    # The package under test, wherever it lies; nothing else of this process is inherited.
    here = {"PYTHONPATH": str(Path(procactors.__file__).parents[1])}
    environment = {**os.environ, **here, **variables}
    return subprocess.run(
        [sys.executable, "-W", "error", *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )


def test_the_examples_that_readers_are_promised_are_there():
    """Counter in both styles, crash, pools, refs, array, batch job; every form of supervision."""
    promised = {
        "async_fan_out",
        "async_fetcher",
        "batch_job",
        "big_array",
        "cancel",
        "counter_handle",
        "counter_messages",
        "crash_and_respawn",
        "dead_letters",
        "death_watch",
        "deferred_reply",
        "dynamic_children",
        "escalation",
        "fastapi_app",
        "grid_search",
        "hang",
        "image_filter",
        "kept_counter",
        "kept_job",
        "monte_carlo",
        "one_for_all",
        "one_for_one",
        "passing_refs",
        "primes",
        "publish_subscribe",
        "recycle",
        "rest_for_one",
        "resumable_batch",
        "run_program",
        "run_tree",
        "shared_array",
        "state_machine",
        "stream_pipeline",
        "test_shop",
        "web_chat",
        "web_fetcher",
        "web_stream",
        "word_statistics",
    }
    assert promised <= set(NAMES)


def test_the_command_line_finds_the_examples():
    """The lister and the folder agree, in a checkout and in an installed package."""
    assert list(example_files()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_header_says_what_it_is_and_how_to_run_it(name):
    """A title line with a full stop, the command, and the expected output."""
    text = header(name)
    assert text.partition("\n")[0].endswith(".")
    assert f"\nRun it: procactors examples {name}" in text
    assert expected_output(name).strip()


@pytest.mark.parametrize("name", NAMES)
def test_each_example_runs_as_a_script(name, tmp_path):
    """From any folder, without a guard for the main module."""
    run(name, tmp_path, str(FOLDER / f"{name}.py"))


@pytest.mark.parametrize("name", NAMES)
def test_each_example_runs_by_its_name(name, tmp_path):
    """`procactors examples NAME` prints the same, and ends with the same code."""
    run(name, tmp_path, "-m", "procactors", "examples", name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("backend", ["inline", "threads"])
def test_each_example_runs_on_other_backends(name, backend, tmp_path):
    """Unchanged, where PROCACTORS_BACKEND says so; what not each promises says so at the call."""
    command, chosen = str(FOLDER / f"{name}.py"), {VARIABLE: backend}
    limits = limits_of(name, backend)
    if not limits:
        run(name, tmp_path, command, **chosen)
    elif all("UnsupportedOnBackend" in limit.instead for limit in limits):
        ended = ended_by(name, tmp_path, command, **chosen)
        assert ended.returncode == 1
        assert f'UnsupportedOnBackend: backend="{backend}" has no' in ended.stderr


def test_the_examples_of_the_table_are_there():
    assert set(SHOWS) <= set(NAMES)
