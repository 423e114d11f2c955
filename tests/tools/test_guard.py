"""The guard of `make check`: it fails for a slowdown and says what has grown, and for nothing else.

Each slowdown is planted into a copy of the package, as lines behind the end of a module.
"""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.support.source import PACKAGE, ROOT
from tools.guard import allocations, syscalls
from tools.guard.baseline import agreed, grown, missing

#: Programs that cannot count here, and why not.
CANNOT = {
    **dict.fromkeys(["syscalls", "starts"], syscalls.why_not()),
    "bytes": "" if allocations.is_possible() else f"there is no {allocations.LIBRARY}",
}

#: Slowdowns, each as lines behind the end of a module.
PLANTED = {
    # A call per ask, a system call per tell.
    "runtime/ref.py": """
import os
_ask, _tell = ActorRef.ask, ActorRef.tell
def _one_more(self, *args, **kwargs):
    return _ask(self, *args, **kwargs)
def _with_a_system_call(self, *args, **kwargs):
    os.getppid()
    return _tell(self, *args, **kwargs)
ActorRef.ask, ActorRef.tell = _one_more, _with_a_system_call
""",
    # A call per message in the actor.
    "wire/mailbox/reader.py": """
_step = MailboxReader.step
def _one_more(self, *args, **kwargs):
    return _step(self, *args, **kwargs)
MailboxReader.step = _one_more
""",
    # A second pickling.
    "wire/payload_store.py": """
import pickle
_encode = encode
def encode(path, value, *args, **kwargs):
    pickle.dumps(value, 5)
    return _encode(path, value, *args, **kwargs)
""",
    # A pickling of what travels without.
    "wire/pickling/plain.py": """
_encode_plain = encode_plain
def encode_plain(args):
    pickle.dumps(args, 5)
    return _encode_plain(args)
_encode_result = encode_result
def encode_result(value):
    pickle.dumps(value, 5)
    return _encode_result(value)
""",
    # A look for a file in each start.
    "api/incarnation.py": """
_main = main
def main(*args, **kwargs):
    os.stat("/")
    _main(*args, **kwargs)
""",
    # An import more.
    "__init__.py": "import wave",
}

#: What is said of them, by what is counted.
SAID = {
    "calls": [
        "calls of Python functions, ask, caller: ",
        "procactors.runtime.ref:_one_more: 0 -> 1",
        "calls of Python functions, tell, actor: ",
        "procactors.wire.mailbox.reader:_one_more: 0 -> 1",
        "calls of C functions, ask, caller: ",
        "_pickle.dumps: 0 -> 1",
        "calls of C functions, ask, actor: ",
    ],
    "bytes": ["bytes, ask, caller: ", "bytes, tell, caller: "],
    "syscalls": ["system calls, tell, caller: 1 -> 2", "getppid: 0 -> 1"],
    "starts": [
        "system calls, start, child: ",
        "system calls, start with a spare, child: ",
        "newfstatat: ",
    ],
    "modules": ["modules, import procactors: ", "wave: 0 -> 1", "modules, an actor's process: "],
}


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Two copies of the package: as it is, and with slowdowns."""
    folder = tmp_path_factory.mktemp("guard")
    for name in ("good", "slow"):
        shutil.copytree(
            PACKAGE, folder / name / "procactors", ignore=shutil.ignore_patterns("__pycache__")
        )
    for module, lines in PLANTED.items():
        path = folder / "slow" / "procactors" / module
        path.write_text(path.read_text() + "\n" + lines)
    return folder


def guard(tree, *arguments):
    """Run the guard over a tree, with a baseline beside it; return (exit code, what it says)."""
    folders = ["--tree", tree, "--baselines", tree.parent / "baselines"]
    ended = subprocess.run(
        [sys.executable, "-m", "tools.guard", *map(str, folders), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


@pytest.mark.parametrize("program", SAID)
def test_a_planted_slowdown_fails_with_what_has_grown(program, trees):
    if why := CANNOT.get(program):
        pytest.skip(why)
    code, said = guard(trees / "good", "--only", program, "--record", "--once")
    assert code == 0, said
    code, said = guard(trees / "slow", "--only", program, "--once")
    assert code == 1, said
    for words in SAID[program]:
        assert words in said


def test_what_is_as_it_was_passes(trees):
    assert guard(trees / "good", "--only", "modules", "--record", "--once")[0] == 0
    code, said = guard(trees / "good", "--only", "modules")
    assert (code, "none of 3 counts has grown" in said) == (0, True), said


def test_a_python_without_a_baseline_is_skipped_with_a_word(tmp_path):
    code, said = guard(tmp_path)
    assert (code, "skipped: there is no baseline for this Python" in said) == (0, True), said


def test_what_cannot_be_counted_is_left_out_with_a_word(trees, monkeypatch):
    assert guard(trees / "good", "--only", "modules", "--record", "--once")[0] == 0
    monkeypatch.setenv("PATH", "/nowhere")
    code, said = guard(trees / "good", "--only", "modules", "--only", "syscalls")
    assert code == 0, said
    assert "system calls: not counted: strace is not installed" in said


def calls(**parts):
    return {"calls of C functions": {"ask, caller": parts}}


@pytest.mark.parametrize(
    ("before", "after", "parts"),
    [
        (calls(write=1, poll=1), calls(write=1, poll=1), None),
        (calls(write=100), calls(write=105), None),
        (calls(write=100), calls(write=106), [("write", 100, 106)]),
        (calls(write=100, poll=2), calls(write=100, poll=3), [("poll", 2, 3)]),
        (calls(write=1, poll=1), calls(write=1, select=1), None),
        (calls(write=1, poll=1), calls(write=2), None),
        (calls(write=1), calls(write=1.3), None),
    ],
)
def test_what_has_grown_is_more_than_a_twentieth_or_a_part_that_is(before, after, parts):
    found = [growth.parts for growth in grown(before, after)]
    assert found == ([] if parts is None else [parts])


def test_a_count_is_recorded_when_it_has_come_twice():
    counts = [calls(write=write) for write in (2, 3, 3)]
    assert agreed(counts[:2])[1] == ["calls of C functions, ask, caller"]
    assert agreed(counts) == (calls(write=3), [])


def test_what_is_counted_no_more_is_told():
    assert missing(calls(write=1), {"calls of C functions": {}}) == [
        "calls of C functions, ask, caller"
    ]
    assert missing(calls(write=1), {}) == []  # the section as a whole: it was left out
