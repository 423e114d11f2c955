"""`procactors map`: what is read, called, written and kept, and how it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys

import pytest

from procactors.batch import job
from procactors.cli import main
from tests.support.gates import new_gate
from tests.support.programs import environment, ran, running_python
from tests.support.terminals import Terminal
from tests.support.waiting import LONG_S, eventually

MODULE = """
import ctypes, os, resource, signal, sys
from pathlib import Path
from procactors.batch.journal import Appender
from tests.support.gates import Gate

print("imported")
number = 7

def shout(text):
    print("noise")
    return text.upper()

def same(item):
    return item

def origin(item):
    if os.getppid() != int(os.environ["PARENT"]):
        return "forkserver"
    return "fork" if hasattr(sys, "is_a_copy") else "spawn"

def add(a, b=10):
    return int(a) + int(b)

def trouble(text):
    match text:
        case "raise":
            raise KeyError("on purpose")
        case "exit":
            os._exit(3)
        case "sys.exit":
            sys.exit(4)
        case "segfault":
            ctypes.string_at(0)
        case "hang":
            while True:
                signal.pause()
        case "memory":
            hoard = bytearray(400_000_000)
            signal.pause()
        case "nan":
            return float("nan")
        case "object":
            return object()
    return text

def flaky(path):
    path = Path(path)
    tries = len(path.read_text()) if path.exists() else 0
    path.write_text("x" * (tries + 1))
    if tries == 0:
        raise OSError("try again")
    if tries == 1:
        os._exit(9)
    return tries

def gated(text):
    with open("begun", "a") as begun:
        begun.write(text + "\\n")
    if text == "gate":
        Gate(Path("gate").absolute()).wait()
    if text == "hang":
        Gate(Path("gate").absolute()).wait()
        signal.pause()
    return text

append = Appender.append

def append_and_die(self, key, index, seconds, result):
    append(self, key, index, seconds, result)
    if result == b'"die"':
        os._exit(1)

Appender.append = append_and_die

def large(text):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    return text * 2000

def gated_large(text):
    return large(gated(text))

def gated_raise(text):
    raise KeyError(gated(text))

async def later(item):
    return item

def many(item):
    yield item

def nothing():
    return None
"""

#: The command line as a program that tells its workers who it is.
COMMAND = """
import os, sys
from procactors.batch import job
from procactors.cli import main
os.environ["PARENT"] = str(os.getpid())
sys.is_a_copy = True
sys.exit(main())
"""
IN_A_WORKER = "os.environ['PARENT'] != str(os.getpid())"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "jobs.py").write_text(MODULE)
    return tmp_path


def run(folder, *arguments, given="", jobs="2"):
    """Run the command in a folder to its end; return (exit code, output, errors)."""
    ended = ran(folder, "-m", "procactors", "map", "-j", jobs, *arguments, input=given)
    return ended.returncode, ended.stdout, ended.stderr


def values(out):
    """The lines of an output by index: item and result."""
    found = {}
    for line in out.splitlines():
        record = json.loads(line)
        assert list(record) == ["index", "item", "result"]
        assert record["index"] not in found
        found[record["index"]] = (record["item"], record["result"])
    return [found[index] for index in sorted(found)]


def without_prints(errors):
    """What is on stderr but for what the module prints, from several processes at once."""
    return re.sub(r"^(imported)*\n", "", errors, flags=re.MULTILINE)


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_line_of_the_standard_input_is_an_item(folder):
    code, out, errors = run(folder, "jobs:shout", given="a\n\nb\nc\n")
    assert code == 0
    assert values(out) == [("a", "A"), ("b", "B"), ("c", "C")]
    assert errors.count("noise") == 3  # what functions print is no result
    first, second, third = (
        line for line in errors.splitlines() if line.startswith("procactors map: ")
    )
    assert first.startswith("procactors map: 3 done, 0 failed in ")
    assert second.startswith("procactors map: 2 workers, 0 restarts, peak memory of a worker ")
    assert third.startswith("procactors map: slowest: ")


def test_json_lines_and_csv_are_known_by_their_suffixes(folder):
    (folder / "a.jsonl").write_text('{"x": 1}\n[2]\n')
    (folder / "b.csv").write_text("x,y\n1,2\n")
    code, out, _ = run(folder, "jobs:same", "a.jsonl", "b.csv")
    assert code == 0
    items = [{"x": 1}, [2], {"x": "1", "y": "2"}]
    assert values(out) == [(item, item) for item in items]


def test_paths_come_by_pattern_or_separated_by_nul(folder):
    for name in ("a.txt", "b.txt"):
        (folder / name).touch()
    code, out, _ = run(folder, "jobs:same", "--input", "glob", "*.txt", "--bare")
    assert (code, out) == (0, '"a.txt"\n"b.txt"\n')
    code, out, _ = run(folder, "jobs:same", "--input", "nul", "--bare", given="a\0b\nc\0")
    assert (code, out) == (0, '"a"\n"b\\nc"\n')


def test_items_are_spread_over_the_parameters(folder):
    code, out, _ = run(
        folder, "jobs:add", "--spread", "--input", "jsonl", "--bare", given='[1, 2]\n{"a": 3}\n4\n'
    )
    assert (code, out) == (0, "3\n13\n14\n")


def test_a_function_may_be_named_by_its_file(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    code, out, _ = run(elsewhere, f"{folder}/jobs.py:shout", "--bare", "-q", given="a\n")
    assert (code, out) == (0, '"A"\n')


@pytest.mark.parametrize("method", ["forkserver", "spawn", "fork"])
def test_the_start_method_is_the_systems(folder, method):
    command = [sys.executable, "-c", COMMAND, "map", "jobs:origin", "--start-method", method]
    ended = subprocess.run(
        [*command, "--bare"],
        cwd=folder,
        env=environment(),
        input="a\n",
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, f'"{method}"\n')


@pytest.mark.parametrize(("preload", "is_there"), [((), False), (("--preload", "library"), True)])
def test_what_is_preloaded_is_there_before_a_worker_is(folder, preload, is_there):
    (folder / "library.py").write_text("import os\nmade_by = os.getpid()\n")
    (folder / "uses.py").write_text(
        "import os\ndef find(item):\n    import library\n"
        "    return library.made_by != os.getpid()\n"
    )
    code, out, _ = run(folder, "uses:find", "--bare", *preload, given="a\n")
    assert (code, json.loads(out)) == (0, is_there)


def test_in_order_or_as_they_come(folder):
    """With one worker behind a gate, the others' results overtake its item, unless ordered."""
    (folder / "list").write_text("gate\n" + "".join(f"{n}\n" for n in range(50)))
    arguments = ("-m", "procactors", "map", "jobs:gated", "list", "-j2", "-q", "--chunk", "1")
    with new_gate(folder / "gate") as gate:
        with running_python(*arguments, cwd=folder) as program:
            gate.arrival()
            overtaken = [json.loads(program.line())["index"] for _ in range(50)]
            assert sorted(overtaken) == list(range(1, 51))
            gate.let_pass()
            code, out, _ = program.end()
            assert (code, json.loads(out)["index"]) == (0, 0)
        with running_python(*arguments, "--ordered", cwd=folder) as program:
            gate.arrival()
            gate.let_pass()
            code, out, _ = program.end()
            assert code == 0
            assert [json.loads(line)["index"] for line in out.splitlines()] == list(range(51))


def test_a_slow_pipe_has_each_result_at_once(folder):
    arguments = ("-m", "procactors", "map", "jobs:shout", "--bare", "-q")
    with running_python(*arguments, cwd=folder, stdin=subprocess.PIPE) as program:
        for text in ("a", "b", "c"):
            program.process.stdin.write(f"{text}\n")
            program.process.stdin.flush()
            assert program.line() == f'"{text.upper()}"'
        code, out, _ = program.end()
        assert (code, out) == (0, "")


TROUBLE = {
    "raise": ("KeyError", "'on purpose'", None),
    "exit": ("ActorDied", "worker exited with code 3", "exit"),
    "sys.exit": ("ActorDied", "worker exited with code 4", "exit"),
    "segfault": ("ActorDied", "worker ended by signal SIGSEGV", "signal"),
    "hang": ("ItemTimeout", "the item took longer than timeout=1 s", "hang"),
    "memory": ("ActorDied", "worker was killed at its memory limit", "memory limit"),
    "nan": ("TypeError", "the function returned what JSON cannot hold: Out of range", None),
    "object": ("TypeError", "the function returned what JSON cannot hold: JSON has nothing", None),
}


def test_each_kind_of_failure_fails_one_item_and_is_told_in_full(folder):
    items = [*TROUBLE, *"abc"]
    (folder / "list").write_text("\n".join(items))
    code, out, errors = run(
        folder,
        *("jobs:trouble", "list", "--errors", "errors.jsonl", "--timeout", "1"),
        *("--memory", "200M", "-q"),
    )
    assert code == 1
    assert values(out) == [(item, item) for item in "abc"]
    assert "procactors map" not in errors
    failed = {record["item"]: record for record in lines_of(folder / "errors.jsonl")}
    assert failed.keys() == TROUBLE.keys()
    for item, (kind, message, reason) in TROUBLE.items():
        record = failed[item]
        assert items[record["index"]] == item
        assert (record["file"], record["line"], record["tries"]) == ("list", record["index"] + 1, 1)
        assert record["error"]["type"] == kind
        assert record["error"]["message"].startswith(message)
        assert (record["report"] or {"reason": {"kind": None}})["reason"]["kind"] == reason
    assert "in trouble\n" in failed["raise"]["error"]["traceback"]
    assert "in trouble\n" in failed["segfault"]["report"]["native_stack"]


def test_without_a_file_for_them_failures_are_told(folder):
    code, out, errors = run(folder, "jobs:trouble", given="raise\nexit\na\n")
    assert code == 1
    assert values(out) == [("a", "a")]
    assert "procactors map: item 0 (<stdin>:1) failed: KeyError: 'on purpose'\n" in errors
    assert "procactors map: item 1 (<stdin>:2) failed: ActorDied: worker exited with " in errors
    assert "procactors map: 1 done, 2 failed in " in errors
    assert "2 workers, 1 restart, " in errors


def test_bad_input_fails_item_by_item(folder):
    (folder / "a.jsonl").write_text("1\n{oops\n")
    (folder / "b.csv").write_text("x,y\n1\n1,2\n")
    code, out, _ = run(folder, "jobs:same", "a.jsonl", "b.csv", "--errors", "errors.jsonl")
    assert code == 1
    assert [item for item, _ in values(out)] == [1, {"x": "1", "y": "2"}]
    bad, row = lines_of(folder / "errors.jsonl")
    assert (bad["file"], bad["line"], bad["item"], bad["tries"]) == ("a.jsonl", 2, "{oops", 0)
    assert (row["file"], row["line"], row["item"], row["index"]) == ("b.csv", 2, ["1"], 2)
    assert row["error"]["type"] == "InputError"


def test_an_item_is_tried_again_however_it_failed(folder):
    code, out, _ = run(folder, "jobs:flaky", "--retries", "2", "-q", "--bare", given="tries\n")
    assert (code, out) == (0, "2\n")
    (folder / "tries").unlink()
    code, out, _ = run(
        folder, "jobs:flaky", "--retries", "1", "--errors", "e", "-q", given="tries\n"
    )
    assert (code, out) == (1, "")
    (record,) = lines_of(folder / "e")
    assert (record["tries"], record["error"]["type"]) == (2, "ActorDied")


def test_results_go_to_a_file(folder):
    code, out, _ = run(folder, "jobs:shout", "-o", "out", "--bare", given="a\n")
    assert (code, out) == (0, "")
    assert (folder / "out").read_text() == '"A"\n'


def test_a_second_run_skips_what_the_journal_has(folder):
    (folder / "list").write_text("a\nb\na\n")
    arguments = ("jobs:gated", "list", "--resume", "journal", "--ordered")
    code, first, _ = run(folder, *arguments)
    assert code == 0
    (folder / "list").write_text("new\na\na\na\nb\n")
    code, second, errors = run(folder, *arguments)
    assert code == 0
    assert [item for item, _ in values(second)] == ["new", "a", "a", "a", "b"]
    assert sorted((folder / "begun").read_text().split()) == ["a", "a", "a", "b", "new"]
    assert "2 done, 0 failed, 3 skipped (in the journal) in " in errors
    assert values(first) == [("a", "a"), ("b", "b"), ("a", "a")]


def test_failed_items_are_run_again(folder):
    arguments = ("jobs:flaky", "--resume", "journal", "-q", "--bare")
    codes = [run(folder, *arguments, given="tries\n")[:2] for _ in range(4)]
    assert codes == [(1, ""), (1, ""), (0, "2\n"), (0, "2\n")]
    assert (folder / "tries").read_text() == "xxx"


def test_a_worker_that_ends_between_journal_and_answer_has_done_its_item(folder):
    """It is neither failed nor run again: not in this run, not in the next."""
    arguments = ("jobs:gated", "--resume", "journal", "--retries", "2", "--ordered", "-q")
    for _ in range(2):
        code, out, _ = run(folder, *arguments, given="a\ndie\nb\n")
        assert code == 0
        assert [result for _, result in values(out)] == ["a", "die", "b"]
    assert sorted((folder / "begun").read_text().split()) == ["a", "b", "die"]


def test_a_journal_that_cannot_be_written_ends_the_job_with_3(folder):
    """No item counts as done that would be forgotten, and none as failed."""
    given = "a\nb\nc\n"
    code, out, errors = run(folder, "jobs:large", "--resume", "journal", given=given)
    assert (code, out) == (3, "")
    assert "the job could not go on: the journal cannot be written: " in errors
    assert "0 done, 0 failed in " in errors
    assert "go on with --resume journal\n" in errors


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_leaves_a_journal_to_go_on_with(folder, signum):
    items = ["gate", *map(str, range(200))]
    (folder / "list").write_text("\n".join(items))
    arguments = ("-m", "procactors", "map", "jobs:gated", "list", "-j1", "--resume", "journal")
    with new_gate(folder / "gate") as gate:
        with running_python(*arguments, cwd=folder) as program:
            gate.arrival()
            program.process.send_signal(signum)
            stopped = "the end of the intake"
            # It has heard of it when it no longer has the default answer to a second one.
            eventually(lambda: signal_was_seen(program.process.pid, signum), stopped)
            gate.let_pass()
            code, out, errors = program.end()
            assert code == 128 + signum
            assert values(out) == [("gate", "gate")]
            assert f"stopped by {signum.name}; go on with --resume journal\n" in errors
            assert "Traceback" not in errors
            program.await_nothing_left()
        assert (folder / "begun").read_text().split() == ["gate"]
    code, out, _ = run(folder, "jobs:gated", "list", "--resume", "journal")
    assert code == 0
    assert values(out) == [(item, item) for item in items]
    assert (folder / "begun").read_text().split().count("gate") == 1


@pytest.mark.parametrize(
    ("function", "code", "says"),
    [
        ("gated_large", 3, "the job could not go on: the journal cannot be written: "),
        ("gated_raise", 143, "0 done, 1 failed in "),
        ("gated", 143, "1 done, 0 failed in "),
    ],
)
def test_the_exit_code_is_of_what_weighs_most(folder, function, code, says):
    """A job that cannot go on comes before a signal, a signal before items that failed."""
    (folder / "list").write_text("gate\n")
    arguments = ("-m", "procactors", "map", f"jobs:{function}", "list", "--resume", "journal")
    with (
        new_gate(folder / "gate") as gate,
        running_python(*arguments, cwd=folder) as program,
    ):
        gate.arrival()
        program.process.terminate()
        eventually(lambda: signal_was_seen(program.process.pid, signal.SIGTERM), "the signal")
        gate.let_pass()
        ended, _, errors = program.end()
        assert says in errors
        assert "stopped by SIGTERM; go on with --resume journal\n" in errors
        assert ended == code


def signal_was_seen(pid, signum):
    """Whether no such signal is pending for a process any more."""
    with open(f"/proc/{pid}/status") as status:
        fields = dict(line.split(":", 1) for line in status)
    return not int(fields["ShdPnd"], 16) & 1 << (signum - 1)


def test_what_does_not_end_within_the_grace_time_is_killed(folder):
    arguments = ("-m", "procactors", "map", "jobs:gated", "--grace", "0.2", "--resume", "journal")
    with (
        new_gate(folder / "gate") as gate,
        running_python(*arguments, cwd=folder, stdin=subprocess.PIPE) as program,
    ):
        program.process.stdin.write("hang\n")
        program.process.stdin.flush()
        gate.arrival()
        program.process.terminate()
        code, out, errors = program.process.wait(LONG_S), *program.process.communicate()
        assert (code, out) == (143, "")
        assert "stopped by SIGTERM; go on with --resume journal\n" in errors
        assert "0 done, 0 failed in " in errors
        program.await_nothing_left()


def test_a_second_signal_kills_at_once(folder):
    arguments = ("-m", "procactors", "map", "jobs:gated", "--grace", "1000", "-q")
    with (
        new_gate(folder / "gate") as gate,
        running_python(*arguments, cwd=folder, stdin=subprocess.PIPE) as program,
    ):
        program.process.stdin.write("hang\n")
        program.process.stdin.flush()
        gate.arrival()
        program.process.terminate()
        eventually(lambda: signal_was_seen(program.process.pid, signal.SIGTERM), "the first one")
        program.process.send_signal(signal.SIGINT)
        code, out, errors = program.process.wait(LONG_S), *program.process.communicate()
        # Of two signals that come at once, either may be the first.
        assert code in (130, 143)
        assert (out, without_prints(errors)) == ("", "")
        program.await_nothing_left()


def test_a_signal_while_workers_start_ends_the_start(folder):
    (folder / "slow.py").write_text(
        "import os\nfrom pathlib import Path\nfrom tests.support.gates import Gate\n"
        f"if {IN_A_WORKER}: Gate(Path('gate').absolute()).wait()\n"
        "def same(item): return item\n"
    )
    with (
        new_gate(folder / "gate") as gate,
        running_python("-c", COMMAND, "map", "slow:same", "-q", cwd=folder) as program,
    ):
        gate.arrival()
        program.process.terminate()
        assert program.process.wait(LONG_S) == 143
        program.await_nothing_left()


def test_a_quiet_job_writes_nothing_to_a_terminal_but_what_failed(folder):
    """Neither a bar nor a summary; results go elsewhere."""
    with contextlib.closing(Terminal()) as terminal:
        command = [sys.executable, "-m", "procactors", "map", "jobs:trouble", "-q", "-o", "out"]
        for given, code, expected in (("a\nb\n", 0, []), ("a\nraise\n", 1, ["KeyError"])):
            ended = subprocess.run(
                command,
                input=given,
                cwd=folder,
                env={**environment(), "TERM": "xterm"},
                stdout=subprocess.PIPE,
                stderr=terminal.stream,
                text=True,
                timeout=LONG_S,
                check=False,
            )
            assert (ended.returncode, ended.stdout) == (code, "")
            # Each process that imports the module says so, two perhaps at once.
            said = terminal.shown().replace("imported", "").splitlines()
            lines = [line for line in said if line]
            assert len(lines) == len(expected)
            assert all(word in line for word, line in zip(expected, lines, strict=True)), lines


def test_a_reader_that_leaves_ends_the_job_quietly(folder):
    arguments = ("-m", "procactors", "map", "jobs:same", "--bare")
    code = "import itertools, sys\nfor n in itertools.count(): print(n, flush=True)"
    with (
        running_python("-c", code) as source,
        running_python(*arguments, cwd=folder, stdin=source.process.stdout) as program,
    ):
        assert [program.line() for _ in range(3)] == ['"0"', '"1"', '"2"']
        program.process.stdout.close()
        assert program.process.wait(LONG_S) == 1
        assert without_prints(program.process.stderr.read()) == ""
        program.await_nothing_left()


def test_a_reader_that_reads_nothing_does_not_hold_up_the_end(folder):
    (folder / "list").write_text("\n".join(["x" * 1000] * 2000))
    arguments = ("-m", "procactors", "map", "jobs:same", "list", "--grace", "0.2", "-q")
    with running_python(*arguments, cwd=folder) as program:
        assert program.line()
        program.process.terminate()
        assert program.process.wait(LONG_S) == 143
        program.await_nothing_left()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["jobs"], "expected MODULE:FUNCTION or FILE.py:FUNCTION, found 'jobs'"),
        (["jobs:shou"], "jobs has no 'shou'; did you mean 'shout'?"),
        (["none:shout"], "the module none cannot be imported: No module named 'none'"),
        (["none.py:shout"], "none.py: no such file"),
        (["jobs:number"], "jobs:number: expected a function, found 7"),
        (["jobs:later"], "jobs:later is an async function; a plain one may call asyncio.run"),
        (["jobs:many"], "jobs:many is a generator; a function may return list(...) of one"),
        (["jobs:nothing"], "jobs:nothing must take one argument, the item: too many positional"),
        (["leaves:f"], "leaves ends the program when it is imported"),
        (["jobs:same", "missing"], "missing: no such file"),
        (["jobs:same", "."], ". is a directory; --input glob takes './*'"),
        (["jobs:same", "list", "-o", "list"], "list is both input and --output"),
        (["jobs:same", "list", "--resume", "./list"], "./list is both input and --resume"),
        (["jobs:same", "-o", "x", "--errors", "x"], "x is both --output and --errors"),
        (["jobs:same", "-o", "no/x"], "no/x cannot be written: No such file or directory"),
        (["jobs:same", "--resume", "jobs.py"], "jobs.py is no journal of procactors map"),
        (["jobs:same", "--preload", "nomodule"], "there is no module 'nomodule'"),
        (
            ["jobs:same", "--backend", "threads", "--memory", "1G"],
            "--memory means nothing to the backend 'threads': leave it out",
        ),
        (
            ["jobs:same", "--address", "auto"],
            "--address means nothing to the backend 'processes': leave it out",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_ends_with_2_before_anything_runs(folder, arguments, says):
    (folder / "list").write_text("a\n")
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    code, out, errors = run(folder, *arguments)
    assert (code, out) == (2, "")
    assert without_prints(errors).startswith(f"procactors: {says}")
    assert (folder / "list").read_text() == "a\n"
    assert (folder / "jobs.py").read_text() == MODULE
    assert not (folder / "x").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-j", "0"], "'0' is not a whole number of at least 1"),
        (["--timeout", "0"], "an item needs more than 0 seconds"),
        (["--grace", "-1"], "'-1' is not a number of seconds from 0 on"),
        (["--memory", "2X"], "'2X' is no size, as in 500M, 2G or 2Gi"),
        (["--retries", "x"], "'x' is not a whole number of at least 0"),
        (["--input", "xml"], "invalid choice: 'xml'"),
        (["--colour", "red"], "unrecognized arguments: --colour red"),
    ],
    ids=" ".join,
)
def test_an_option_that_makes_no_sense_is_a_usage_error(arguments, says, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["map", "jobs:same", *arguments])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err


@pytest.fixture
def asked_for(monkeypatch):
    """Run the command up to its job; return what the job is asked for."""
    found = []

    def run_job(settings, out):
        found.append(settings)
        return 0

    def ask(*arguments):
        assert main(["map", "json:loads", *arguments]) == 0
        return found[-1]

    monkeypatch.setattr(job, "run_job", run_job)
    return ask


def test_each_option_reaches_the_job(asked_for):
    assert asked_for() == job.Settings(target="json:loads")
    found = asked_for(
        *("a", "--input", "csv", "--spread", "--output", "o", "--bare", "--ordered", "b"),
        *("--errors", "e", "--resume", "r", "--jobs", "3", "--timeout", "1.5", "--memory", "2M"),
        *("--retries", "4", "--chunk", "5", "--preload", "json", "--preload", "csv"),
        *("--start-method", "spawn", "--grace", "0", "--progress", "plain", "--quiet", "c"),
        *("--backend", "ray", "--address", "auto", "--working-dir", "."),
    )
    assert found == job.Settings(
        target="json:loads",
        items=("a", "b", "c"),
        input="csv",
        spread=True,
        output="o",
        bare=True,
        ordered=True,
        errors="e",
        resume="r",
        jobs=3,
        timeout=1.5,
        memory=2_000_000,
        retries=4,
        chunk=5,
        preload=("json", "csv"),
        start_method="spawn",
        backend="ray",
        address="auto",
        working_dir=".",
        grace=0.0,
        progress="plain",
        quiet=True,
    )


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1k", 10**3),
        ("1K", 10**3),
        ("1kB", 10**3),
        ("1.5m", 1_500_000),
        ("500M", 500 * 10**6),
        ("2G", 2 * 10**9),
        ("1T", 10**12),
        ("1ki", 2**10),
        ("1KiB", 2**10),
        ("3Mi", 3 * 2**20),
        ("2Gi", 2 * 2**30),
        ("0.5Ti", 2**39),
    ],
)
def test_sizes_count_in_thousands_and_with_an_i_in_1024s(asked_for, text, size):
    assert asked_for("--memory", text).memory == size


def test_a_journal_in_use_is_refused(folder):
    run(folder, "jobs:same", "--resume", "journal", given="a\n")
    before = (folder / "journal").read_bytes()
    with open(folder / "journal") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        code, out, errors = run(folder, "jobs:same", "--resume", "journal", given="b\n")
    assert (code, out) == (2, "")
    assert errors.endswith("procactors: the journal journal is in use by another run\n")
    assert (folder / "journal").read_bytes() == before


def test_workers_in_threads_do_and_note_the_same(folder):
    (folder / "list").write_text("raise\na\nb\n")
    arguments = ["jobs:trouble", "list", "--ordered", "--resume", "journal"]
    code, out, errors = run(folder, *arguments, "--backend", "threads")
    assert (code, values(out)) == (1, [("a", "a"), ("b", "b")])
    assert "KeyError" in errors
    code, again, errors = run(folder, *arguments)
    assert (code, again) == (1, out)
    assert "2 skipped" in errors


def test_another_functions_journal_is_refused(folder):
    run(folder, "jobs:same", "--resume", "journal", given="a\n")
    code, _, errors = run(folder, "jobs:shout", "--resume", "journal", given="a\n")
    assert code == 2
    assert "is of another job: its target is 'jobs:same', not 'jobs:shout'\n" in errors


def test_workers_that_do_not_start_end_with_3(folder):
    (folder / "half.py").write_text(
        f"import os\nif {IN_A_WORKER}: raise OSError('no licence')\ndef same(item): return item\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "map", "half:same"],
        cwd=folder,
        env=environment(),
        input="a\n",
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "procactors map: the job could not go on: " in ended.stderr
    assert "no licence" in ended.stderr


def test_a_disk_that_is_full_ends_with_3(folder):
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    code, _, errors = run(folder, "jobs:same", "-o", "/dev/full", given="a\n")
    assert code == 3
    assert "the job could not go on: [Errno 28] No space left on device\n" in errors
