"""`procactors crash`: the real command, on the reports of a real program."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.programs import environment
from tests.support.waiting import LONG_S

PROGRAM = """
import os
import signal
import sys
from procactors import Actor, ActorSystem
from procactors.errors import ActorDied

class Worker(Actor):
    def divide(self, by):
        self.context.log.warning("about to \\x1b[31mdivide")
        return 1 // by["by"]

    def die(self, number, text):
        os.kill(os.getpid(), signal.SIGKILL)

    def exit(self):
        sys.exit(3)

with ActorSystem(crash_dir=sys.argv[1]) as system:
    worker = system.options(name="worker").spawn(Worker)
    worker.tell(Worker.divide, {"by": 0})
    for handler, *args in ((Worker.die, 7, "seven"), (Worker.exit,)):
        try:
            worker.ask(handler, *args)
        except ActorDied:
            pass
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crashes")
    subprocess.run(
        [sys.executable, "-c", PROGRAM, folder],
        check=True,
        capture_output=True,
        timeout=LONG_S,
        env=environment(),
    )
    return folder


def crash(*arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "procactors", "crash", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
        env=environment(),
    )
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


def report(folder, number):
    [path] = folder.glob(f"*-worker-{number}.json")
    return path


def test_a_folder_is_listed_newest_first(folder):
    said = crash(folder)
    heads, files = said.splitlines()[::2], said.splitlines()[1::2]
    assert ["exited with code 3" in heads[0], "SIGKILL" in heads[1], "raised" in heads[2]] == [
        True
    ] * 3
    assert [line.strip() for line in files] == [report(folder, n).name for n in (3, 2, 1)]
    listed = json.loads(crash(folder, "--json"))
    assert [one["incarnation"] for one in listed] == [3, 2, 1]
    assert listed[0]["file"] == report(folder, 3).name


def test_a_report_says_who_why_where_and_what_next(folder):
    said = crash(report(folder, 1))
    assert said.startswith("actor worker (incarnation 1, pid ")
    assert "  why         raised ZeroDivisionError" in said
    assert "  handler     Worker.divide" in said
    assert "traceback\n  Traceback (most recent call last):" in said
    assert "in divide" in said
    assert "last lines of its log\n" in said
    assert "about to \\x1b[31mdivide" in said, "a terminal shows it, and does not obey"
    assert "\x1b" not in said
    assert f"procactors crash {report(folder, 1)} --load" in said


def test_a_kill_from_outside_is_told_as_one(folder):
    assert "SIGKILL came from outside" in crash(report(folder, 2))
    assert "has ended the process: sys.exit" in crash(report(folder, 3))


def test_the_message_is_unpickled_only_when_that_is_asked_for(folder):
    assert "seven" not in crash(report(folder, 2))
    assert "message in hand\n  ((7, 'seven'), {})" in crash(report(folder, 2), "--load")
    facts = json.loads(crash(report(folder, 2), "--load", "--json"))
    assert facts["message_in_hand"] == "((7, 'seven'), {})"
    assert "message_in_hand" not in json.loads(crash(report(folder, 2), "--json"))


def test_a_message_that_does_not_load_is_told(folder, tmp_path):
    copy = tmp_path / report(folder, 2).name
    copy.write_text(report(folder, 2).read_text())
    assert "cannot be loaded: FileNotFoundError" in crash(copy, "--load")
    copy.with_suffix(".pickle").write_bytes(b"no pickle")
    assert "cannot be loaded: UnpicklingError" in crash(copy, "--load")
    facts = json.loads(copy.read_text())
    outside = tmp_path / "outside.pickle"
    outside.write_bytes(b"no pickle")
    copy.write_text(json.dumps({**facts, "message": {"file": f"../{tmp_path.name}/gone.pickle"}}))
    assert f"{tmp_path}/gone.pickle cannot be loaded" in crash(copy, "--load")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rubbish", "no crash report"),
        ("[1]", "no crash report"),
        ('{"actor": "a", "summary": "s", "reason": 1}', "no crash report"),
        (None, "No such file"),
    ],
)
def test_what_is_no_report_is_a_usage_error(tmp_path, text, says):
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    assert says in crash(path, code=2)


def test_a_folder_without_reports_says_so(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    assert crash(tmp_path) == f"no crash report in {tmp_path}\n"
    assert crash(tmp_path, "--json") == "[]\n"


def test_a_report_of_less_is_shown_as_far_as_it_goes(tmp_path):
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"actor": "a", "summary": "it died", "reason": {"kind": "hang"}}))
    assert "it died" in crash(path)
    assert "handle_timeout" in crash(path)
