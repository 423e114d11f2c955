"""`procactors dead-letters`: the real command, on files that real programs left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from procactors.deadletters.file import LetterFile
from tests.support.programs import environment, running_python
from tests.support.waiting import LONG_S

#: Classes of a main module, its functions, and a module beside the script.
PROGRAM = """
import os
import signal
import sys
from dataclasses import dataclass

import beside
from procactors import Actor, ActorSystem, Delivery
from procactors.errors import ActorDied

@dataclass(frozen=True)
class Job:
    number: int

def main(number):  # a name that the command line's own main module has, too
    return beside.TWELVE // number

class Other(Actor):
    def note(self, text):
        pass

class Worker(Actor):
    def __init__(self, other, *, factor):
        self.other, self.factor = other, factor

    def on_start(self):
        self.started = True

    def receive(self, job):
        assert isinstance(job, Job) and self.started
        return self.factor * main(job.number)

    def fall(self, how):
        if how == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif how == "exit":
            sys.exit(3)
        elif how == "tell":
            self.other.tell(Other.note, "a word")
            self.context.ref.tell(Worker.fall, "exit")
            result = (self.context.incarnation, self.context.deliveries, self.context.ref.name)
            self.context.log.warning("logged")
        elif how == "ask":
            result = self.other.ask(Other.note, "a word")
        elif how == "spawn":
            result = self.context.spawn(Other)
        else:
            result = self.context.system.find("other")
        if MENDED:
            return result
        os._exit(1)

with ActorSystem(dead_letter_file=sys.argv[1]) as system:
    other = system.options(name="other").spawn(Other)
    options = system.options(
        name="worker", delivery=Delivery.AT_LEAST_ONCE, max_deliveries=2, max_restarts=99
    )
    worker = options.spawn(Worker, other, factor=10)
    BODY
"""

POISON = """
    worker.tell(Job(0))
    worker.tell(Worker.fall, "exit")
    try:
        worker.ask(Worker.fall, "die")
    except ActorDied:
        pass
    print(worker.ask(Job(3)))
"""


def program(tmp_path, body, path):
    """Run the program with a body of its own, to its end."""
    (tmp_path / "beside.py").write_text("TWELVE = 12\n")
    script = tmp_path / "script.py"
    text = PROGRAM.replace("BODY", textwrap.dedent(body).replace("\n", "\n    "))
    script.write_text(text.replace("MENDED", "os.environ.get('MENDED')"))
    with running_python(script, path) as running:
        code, out, errors = running.end()
        assert code == 0, errors
        running.await_nothing_left()
    return out


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A file with three letters: a tell that raised, one that exits, an ask that kills."""
    folder = tmp_path_factory.mktemp("poisoned")
    assert program(folder, POISON, folder / "letters") == "40\n"
    return folder / "letters"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "letters"


def command(*arguments, stdin="", **variables):
    """Run the command from another folder; return (exit code, output, errors)."""
    ended = subprocess.run(
        [sys.executable, "-m", "procactors", "dead-letters", *map(str, arguments)],
        input=stdin,
        env={**environment(), **variables},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    return ended.returncode, ended.stdout, ended.stderr


def states(path):
    with LetterFile(str(path)) as file:
        return [stored.state for stored in file.letters()]


# -- list and show ------------------------------------------------------------------------------


def test_the_letters_are_listed_in_a_table(poisoned):
    code, out, errors = command("list", poisoned)
    assert (code, errors) == (0, "")
    head, *rows = [line.split(maxsplit=5) for line in out.splitlines()]
    assert head[:5] == ["ID", "TIME", "ACTOR", "HANDLER", "BEGUN"]
    assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
        ("1", "worker", "receive", "1"),
        ("2", "worker", "Worker.fall", "2"),
        ("3", "worker", "Worker.fall", "2"),
    ]
    assert "raised ZeroDivisionError" in out
    assert "killed (ask)  actor worker (incarnation " in out
    assert "Traceback" not in out


def test_the_letters_of_one_actor_are_listed_as_json(poisoned):
    code, out, _ = command("list", poisoned, "--actor", "worker", "--json")
    letters = json.loads(out)
    assert code == 0
    assert [letter["id"] for letter in letters] == [1, 2, 3]
    assert [letter["asked"] for letter in letters] == [False, False, True]
    assert all(letter["killed"] and not letter["system_lives"] for letter in letters)
    assert letters[0]["class_name"] == "Worker"
    assert "Traceback" in letters[0]["reason"]
    assert command("list", poisoned, "--actor", "nobody", "--json") == (0, "[]\n", "")


def test_a_letter_is_shown_without_being_opened(poisoned):
    code, out, errors = command("show", poisoned, 1)
    assert (code, errors) == (0, "")
    assert "ZeroDivisionError: integer division or modulo by zero" in out
    assert "replay    possible" in out
    assert "Job" not in out.partition("reason")[0]
    assert "  message\n" not in out


def test_a_letter_is_opened_when_that_is_asked_for(poisoned):
    code, out, _ = command("show", poisoned, 1, "--open")
    assert code == 0
    assert out.endswith("  message\n    Job(number=0)\n")
    assert command("show", poisoned, 2, "--open")[1].endswith("    (('exit',), {})\n")


def test_what_would_move_a_cursor_is_not_printed(tmp_path, path):
    program(tmp_path, 'worker.tell(Worker.fall, "\\x1b[2J")', path)
    assert "\x1b" not in command("show", path, 1, "--open")[1]


# -- replay -------------------------------------------------------------------------------------


def test_a_replay_prints_the_traceback_from_the_handler_on(poisoned):
    code, out, errors = command("replay", poisoned, 1)
    assert (code, out) == (1, "")
    lines = errors.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert "script.py" in lines[1]
    assert lines[1].endswith("in receive")
    assert lines[-1] == "ZeroDivisionError: integer division or modulo by zero"


def test_a_replay_of_what_exits_does_not_exit_with_it(poisoned):
    code, _, errors = command("replay", poisoned, 2)
    assert (code, errors.splitlines()[-1]) == (1, "SystemExit: 3")


def test_a_replay_of_what_kills_is_killed(poisoned):
    assert command("replay", poisoned, 3)[0] == -signal.SIGKILL
    assert states(poisoned) == ["kept"] * 3


def test_the_context_of_a_replay_works_as_far_as_it_can(tmp_path, path):
    """Tells are shown, not sent; what needs an answer says that this is a replay."""
    program(tmp_path, "".join(f"worker.tell(Worker.fall, {how!r})\n" for how in HOWS), path)
    code, out, errors = command("replay", path, 4, MENDED="1")
    assert (code, out) == (0, "Worker.fall returned (1, 2, 'worker')\n")
    assert errors.splitlines() == [
        "replay: not sent: tell Other.note to other",
        "replay: not sent: tell Worker.fall to worker",
        "logged",
    ]
    for number, error in ((1, "ForeignProcess"), (2, "SpawnError"), (3, "ForeignProcess")):
        code, out, errors = command("replay", path, number, MENDED="1")
        assert (code, out) == (1, "")
        text = errors.splitlines()[-1]
        assert text.startswith(f"procactors.errors.{error}: this is the replay of a dead letter")


#: "tell" last: it sends its actor one more message, which must not come between the others.
HOWS = ("ask", "spawn", "find", "tell")


def test_the_debugger_shows_the_place_of_an_exception(poisoned):
    code, out, _ = command("replay", poisoned, 1, "--pdb", stdin="p number\nup\np job\nq\n")
    assert code == 1
    assert "-> return beside.TWELVE // number" in out
    assert "(Pdb) 0\n" in out
    assert "(Pdb) Job(number=0)\n" in out


def test_the_debugger_stops_at_the_handlers_first_line(poisoned):
    code, out, _ = command("replay", poisoned, 1, "--break", stdin="p self.factor\njob.number\nc\n")
    assert code == 1
    assert "-> assert isinstance(job, Job) and self.started" in out
    assert "(Pdb) 10\n" in out
    code, out, errors = command("replay", poisoned, 1, "--break", stdin="q\n")
    assert (code, "returned" in out, "Traceback" in errors) == (1, False, False)


def test_what_the_user_mends_in_the_debugger_counts(poisoned):
    mend = "job = Job(4)\nc\n"
    code, out, _ = command("replay", poisoned, 1, "--break", stdin=mend)
    assert code == 0
    assert out.endswith("(Pdb) receive returned 30\n")


def test_a_letter_without_its_class_says_so(poisoned, path):
    path.write_bytes(poisoned.read_bytes())
    os.chmod(path, 0o600)
    with LetterFile(str(path)) as file:
        file._db.execute("DELETE FROM blueprints")
    code, out, errors = command("replay", path, 1)
    assert (code, out) == (1, "")
    assert errors.startswith("procactors: the class and arguments of worker were not kept")
    assert "not possible" in command("show", path, 1)[1]


# -- requeue ------------------------------------------------------------------------------------


def test_marked_letters_are_handled_by_the_next_program_once(tmp_path, path):
    program(tmp_path, "worker.tell(Job(0))\nworker.tell(Job(0))", path)
    assert command("requeue", path, 1) == (
        0,
        "1 letter marked; the next system with this file hands it over\n",
        "",
    )
    assert states(path) == ["marked", "kept"]
    assert "killed, marked" in command("list", path)[1]
    # On its way it kills the actor again: a new letter stands for the one that was handed over.
    wait = """
        import time
        until = time.monotonic() + 30
        while not system.dead_letters.total and time.monotonic() < until:
            time.sleep(0.01)
        print([letter.handler for letter in system.dead_letters])
    """
    assert program(tmp_path, wait, path) == "['receive']\n"
    with LetterFile(str(path)) as file:
        assert [(one.id, one.state) for one in file.letters()] == [(2, "kept"), (3, "kept")]


def test_all_are_marked_but_asks(poisoned, path):
    path.write_bytes(poisoned.read_bytes())
    os.chmod(path, 0o600)
    assert command("requeue", path, "--all", "--actor", "nobody")[1].startswith("0 letters marked")
    assert command("requeue", path, "--all")[1].startswith("2 letters marked; the next system ")
    assert states(path) == ["marked", "marked", "kept"]
    assert command("requeue", path, 3)[0] == 0
    assert states(path) == ["marked", "marked", "marked"]


def test_a_letter_whose_system_died_over_it_says_so_and_may_be_marked_again(poisoned, path):
    path.write_bytes(poisoned.read_bytes())
    os.chmod(path, 0o600)
    with LetterFile(str(path)) as file:
        file.mark([1])
        file.take("worker", 1)
    text = "state     taken: a system was handing it over when it died; it may have been handled"
    assert text in command("show", path, 1)[1]
    assert command("requeue", path, 1)[0] == 0
    assert states(path)[0] == "marked"


# -- usage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "arguments are required: ACTION"),
        (["list"], "arguments are required: FILE"),
        (["list", "/no/such/file"], "there is no file /no/such/file"),
        (["list", __file__], "is no file of dead letters"),
        (["show", "POISONED", "9"], "has no letter 9"),
        (["replay", "POISONED", "9"], "has no letter 9"),
        (["replay", "POISONED", "one"], "invalid int value: 'one'"),
        (["requeue", "POISONED"], "name the letters by ID, or say --all"),
        (["requeue", "POISONED", "1", "--all"], "name the letters by ID, or say --all"),
        (["requeue", "POISONED", "1", "--actor", "w"], "--actor goes with --all"),
        (["requeue", "POISONED", "1", "9"], "has no letter 9"),
    ],
    ids=lambda value: " ".join(value).replace(__file__, "FILE") if type(value) is list else "",
)
def test_a_usage_error_ends_with_2(poisoned, arguments, complaint, tmp_path):
    given = [str(poisoned) if one == "POISONED" else one for one in arguments]
    if __file__ in given:
        given[-1] = str(tmp_path / "source.py")
        (tmp_path / "source.py").write_text("print()\n")
        os.chmod(given[-1], 0o600)
    code, out, errors = command(*given)
    assert (code, out) == (2, "")
    assert complaint in errors
    assert states(poisoned) == ["kept"] * 3


def test_a_file_that_others_may_read_is_an_error(poisoned, path):
    path.write_bytes(poisoned.read_bytes())
    os.chmod(path, 0o644)
    code, out, errors = command("list", path)
    assert (code, out) == (1, "")
    assert "with mode 0600" in errors
    assert "chmod 600" in errors


def test_the_warning_stands_where_a_letter_is_opened():
    for action in ("show", "replay"):
        assert "which runs code that the letter names" in " ".join(command(action, "-h")[1].split())
