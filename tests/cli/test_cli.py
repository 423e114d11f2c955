"""The command line: exit codes, usage errors, and how it ends when a signal comes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import procactors
from procactors.cli import main
from procactors.process.signals import handled_by
from tests.support.waiting import LONG_S

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(procactors.__file__).parents[1])}


def start(*arguments):
    """Start the command line in a session of its own, as a terminal would."""
    return subprocess.Popen(
        [sys.executable, "-m", "procactors", *arguments],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@contextlib.contextmanager
def running_demo():
    """A demo in the middle of its work, and every process of it."""
    process = start("demo", "--workers", "2")
    try:
        for line in process.stdout:
            if line.startswith("actors at work: "):
                break
        yield process, family_of(process)
    finally:
        process.kill()
        process.communicate(timeout=LONG_S)


def family_of(process):
    """The demo, and whatever it has started: two workers at least, and what starts them."""
    parent = psutil.Process(process.pid)
    family = [parent, *parent.children(recursive=True)]
    assert len(family) >= 4
    return family


def end_of(process):
    """Wait for the end; return exit code and lines on stderr."""
    _, errors = process.communicate(timeout=LONG_S)
    return process.returncode, errors.splitlines()


def assert_gone(processes):
    """No process is left, zombies included."""
    _, alive = psutil.wait_procs(processes, timeout=LONG_S)
    assert alive == []


def test_the_version_is_printed(capsys):
    """`--version` names program and version, and ends with 0."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"procactors {procactors.__version__}\n"


def test_the_package_runs_as_a_module():
    """`python -m procactors` is the command line, with its exit code."""
    process = start("--version")
    out, errors = process.communicate(timeout=LONG_S)
    assert (process.returncode, out, errors) == (0, f"procactors {procactors.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "arguments are required: COMMAND"),
        (["dance"], "invalid choice: 'dance'"),
        (["demo", "--limit", "0"], "'0' is not a whole number of at least 1"),
        (["demo", "--workers", "two"], "'two' is not a whole number of at least 1"),
        (["demo", "--start-method", "vfork"], "invalid choice: 'vfork'"),
        (["examples", "nothing"], "no example is called 'nothing'; there are async_fan_out, "),
        (["examples", "primes", "more"], "unrecognized arguments: more"),
    ],
    ids=" ".join,
)
def test_a_usage_error_ends_with_2_and_says_what_is_wrong(arguments, complaint, capsys):
    """Nothing is printed on stdout, and the offending value is named on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert complaint in printed.err


def test_the_examples_are_listed_with_their_titles(capsys):
    """One line each: the name, and the first line of its header."""
    assert main(["examples"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == sorted(line.split()[0] for line in lines)
    title = "primes             Primes on all cores"
    assert [line for line in lines if line.startswith(title)]


def test_an_example_is_found_by_its_file_name_and_with_hyphens(capsys):
    """`passing-refs`, `passing_refs.py`: what a user types from memory is understood."""
    assert main(["examples", "passing-refs.py"]) == 0
    assert capsys.readouterr().out.startswith("ada says: hello bob")


def test_output_that_nobody_reads_is_no_traceback():
    """`procactors examples | head -0`: exit code 1 and silence."""
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "procactors", "examples"],
        env=ENVIRONMENT,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=LONG_S,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_output_for_which_there_is_no_room_is_one_line():
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "procactors", "examples"],
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=LONG_S,
            check=False,
        )
    said = b"procactors: the output could not be written: No space left on device\n"
    assert (ended.returncode, ended.stderr) == (1, said)


def test_a_demo_whose_reader_leaves_ends_with_1_and_no_traceback():
    """`procactors demo | head -1` analyses no files that nobody hears of."""
    process = start("demo", "--limit", "10", "--workers", "1", "--no-kill")
    process.stdout.readline()
    process.stdout.close()
    process.stdout = None
    assert end_of(process) == (1, [])


def test_ctrl_c_ends_the_demo_with_130_and_one_line():
    """Every process of the foreground gets the signal; one line says so; nothing is left."""
    with running_demo() as (process, everybody):
        os.killpg(process.pid, signal.SIGINT)
        code, errors = end_of(process)
        assert code == 130
        assert len(errors) == 1
        assert errors[0].startswith("procactors: stopped by SIGINT, ")
        assert_gone(everybody)


def test_a_second_ctrl_c_ends_the_demo_with_130_too():
    """Wherever the second one finds it: what it cuts off is reported, and nothing is left."""
    with running_demo() as (process, everybody):
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        code, errors = end_of(process)
        assert code == 130
        *reports, last = errors
        assert last.startswith("procactors: stopped by SIGINT, ")
        assert all(re.match(r"stopped \d actors in .* killed ", report) for report in reports)
        assert_gone(everybody)


def test_sigterm_drains_the_demo_and_ends_it_with_143():
    """The files in flight are finished, every actor stops, and one line says so."""
    with running_demo() as (process, everybody):
        process.terminate()
        code, errors = end_of(process)
        assert code == 143
        assert len(errors) == 1
        assert errors[0].startswith("procactors: stopped by SIGTERM, ")
        assert_gone(everybody)


def test_sigkill_of_the_demo_leaves_no_process():
    """Not even the signal that nobody can catch leaves an actor behind."""
    with running_demo() as (process, everybody):
        process.kill()
        assert end_of(process) == (-signal.SIGKILL, [])
        assert_gone(everybody)


def test_handlers_are_put_back():
    """A program that calls a command has its own handlers again afterwards."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with handled_by(lambda signum, frame: None):
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_an_ignored_signal_stays_ignored():
    """A shell starts background jobs with SIGINT ignored; that is the user's wish."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with handled_by(lambda signum, frame: None):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
