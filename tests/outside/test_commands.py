"""What a user sees and orders from another terminal: output, JSON, and exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from time import monotonic

import pytest

from procactors import Actor, ActorSystem, Supervisor, spec
from procactors.cli import main, orders
from procactors.cli.rows import COLUMNS
from procactors.cli.table import cut, duration, lines_of, size, width_of
from procactors.errors import ActorDied, ActorStopped
from procactors.model.plain_text import plain
from procactors.outside.roster import Roster
from tests.support.actors import Counter, Crasher, Sleeper
from tests.support.namespaces import running_with_own_pids
from tests.support.programs import running
from tests.support.waiting import SHORT_S, aside, eventually

ME = str(os.getpid())


class Asker(Actor):
    def ask(self, other, gate):
        other.ask(Sleeper.sleep, gate)


class Parent(Actor):
    def on_start(self):
        self.context.spawn(Counter)

    def nothing(self):
        pass


@pytest.fixture
def command(capsys):
    """Run a command against the system of this process; return code and output."""

    def run(*arguments):
        capsys.readouterr()
        code = main([*arguments, "--system", ME])
        return code, capsys.readouterr().out

    return run


@pytest.fixture
def as_json(command):
    def run(*arguments):
        code, out = command(*arguments, "--json")
        assert code == 0
        return json.loads(out)

    return run


def refused(capsys, *arguments):
    """Run a command that fails; return its exit code and what it says."""
    try:
        code = main([*arguments, "--system", ME])
    except SystemExit as error:
        code = error.code
    return code, capsys.readouterr().err.splitlines()[-1]


# -- looking --------------------------------------------------------------------------------------


def test_ps_shows_a_row_for_each_and_takes_what_is_wanted(system, command, as_json):
    for name in ("one", "two"):
        system.options(name=name).spawn(Counter)
    code, out = command("ps")
    head, *rows = out.splitlines()
    assert code == 0
    assert re.split(r"  +", head) == [name.upper() for name in COLUMNS]
    assert [row.split()[0] for row in rows] == ["one", "two"]
    assert [row["name"] for row in as_json("ps", "--filter", "TWO")["actors"]] == ["two"]
    known = as_json("ps", "--sort", "name")
    assert known["system"]["pid"] == os.getpid()
    assert known["actors"][0]["pid"] == system["one"].status().pid


def test_tree_shows_supervisors_actors_children_and_pools(system, command, as_json):
    system.supervise(Supervisor(spec(Counter).options(name="leaf"), name="root"))
    system.options(name="parent").spawn(Parent).ask(Parent.nothing)
    with system.options(name="many", size=2).pool():
        code, out = command("tree")
        tree = as_json("tree")["tree"]
    assert code == 0
    assert [line.split(" (")[0] for line in out.splitlines()[1:]] == [
        "├─ root: supervisor",
        "│  └─ leaf: Counter",
        "├─ parent: Parent",
        "│  └─ counter-4: Counter",
        "└─ many: pool",
        "   ├─ many-1: Worker",
        "   └─ many-2: Worker",
    ]
    assert [(node["name"], node["kind"], len(node["children"])) for node in tree] == [
        ("root", "supervisor", 1),
        ("parent", "actor", 1),
        ("many", "pool", 2),
    ]


def test_status_tells_whom_an_actor_waits_for_and_who_asks(system, command, as_json, gate):
    sleeper = system.options(name="sleeper").spawn(Sleeper)
    asker = system.options(name="asker").spawn(Asker)
    asker.tell(Asker.ask, sleeper, gate)
    gate.arrival()
    known = eventually(
        lambda: (found := as_json("status", "asker"))["waits"] == ["sleeper"] and found,
        "the wait to be shown",
    )
    assert (known["cycle"], known["actor"]["state"]) == ([], "busy")
    assert as_json("status", "sleeper")["asked_by"] == ["asker"]
    _, out = command("status", "asker")
    shown = dict(line.split("  ", 1) for line in out.splitlines())
    assert shown["waits for"].strip() == "sleeper"
    assert shown["in hand"].strip().startswith("Asker.ask for")
    gate.open()


def test_status_tells_of_a_crash_and_of_an_end(system, command, as_json):
    ref = system.options(name="one").spawn(Crasher)
    with pytest.raises(ActorDied):
        ref.ask(Crasher.crash, "os._exit(7)")
    eventually(lambda: as_json("status", "one")["actor"]["restarts"] == 1, "the restart")
    _, out = command("status", "one")
    assert "actor one (incarnation 1, pid " in out.split("last crash\n")[1]
    ref.stop()
    known = as_json("status", "one")["actor"]
    assert (known["state"], known["reason"], known["pid"]) == ("stopped", "stopped", None)


def test_status_of_one_that_comes_up_is_stopped_or_has_a_stuck_parent(gate):
    code = """
        import sys
        from pathlib import Path
        from procactors import ActorSystem
        from tests.support.actors import Sleeper
        from tests.support.gates import Gate
        with ActorSystem("stuck") as system:
            system.options(name="one").spawn(Sleeper).tell(Sleeper.sleep, Gate(Path(sys.argv[1])))
            print(system._dir.path, flush=True)
            sys.stdin.read()
    """
    with running(code, gate.folder, stdin=subprocess.PIPE) as program:
        path = program.line()
        pid = gate.arrival()
        program.process.send_signal(signal.SIGSTOP)
        os.kill(pid, signal.SIGSTOP)
        with Roster(path) as roster:

            def stopped():
                roster.refresh()
                return roster.find("one").suspended

            eventually(stopped, "the stop")
            assert roster.find("one").in_hand[0][0] == "Sleeper.sleep"
        assert main(["status", "one", "--system", path]) == 0
        assert main(["stop", "one", "--system", path]) == 5
        assert main(["kill", "one", "--now", "--system", path]) == 0
        with Roster(path) as roster:
            eventually(lambda: roster.refresh() or roster.find("one").state == "dead", "the kill")
        program.process.send_signal(signal.SIGCONT)


def test_of_a_systems_processes_in_another_container_nothing_wrong_is_shown(capsys):
    """Their numbers are those of other processes here, as 1 is in any case."""
    code = """
        import sys
        from procactors import ActorSystem
        from tests.support.actors import Counter
        with ActorSystem("apart") as system:
            system.options(name="one").spawn(Counter)
            print(system._dir.path, flush=True)
            sys.stdin.read()
    """
    with running_with_own_pids(code, stdin=subprocess.PIPE) as program:
        path = program.line()

        def said(*arguments):
            capsys.readouterr()
            code = main([*arguments, "--system", path])
            return code, capsys.readouterr()

        (row,) = json.loads(said("ps", "--json")[1].out)["actors"]
        assert (row["state"], row["suspended"]) == ("idle", False)
        assert (row["cpu"], row["cpu_s"], row["memory"]) == (None, None, None)
        assert said("ps")[1].out.splitlines()[1].split()[2:5] == ["idle", "-", "-"]
        assert said("top", "-n", "1", "--interval", "0.1")[1].out.splitlines()[2].split()[3:5] == [
            "-",
            "-",
        ]
        known = json.loads(said("status", "one", "--json")[1].out)
        assert (known["process"], known["parent"]["process"]) == (None, None)
        assert "in another container" in said("status", "one")[1].out
        for order in (["stack", "one"], ["stack", "--parent"], ["kill", "--now", "one"]):
            code, shown = said(*order)
            assert (code, shown.out) == (1, "")
            assert "in another PID namespace" in shown.err
        # Its parent knows better.
        assert said("suspend", "one")[0] == said("resume", "one")[0] == said("kill", "one")[0] == 0
        stdin, program.process.stdin = program.process.stdin, None
        stdin.close()
        assert program.end()[0] == 0


def test_what_is_not_there_is_exit_code_4_and_what_makes_no_sense_2(system, capsys):
    system.inbox("in")
    assert refused(capsys, "status", "nobody")[0] == 4
    assert refused(capsys, "stop", "nobody-*") == (
        4,
        "procactors: no live actor 'nobody-*' is in the system",
    )
    assert main(["ps", "--system", "no such system"]) == 4
    assert refused(capsys, "stop")[0] == 2
    assert refused(capsys, "stop", "in") == (
        2,
        "procactors stop: error: in is an inbox of the program itself, and ends with it",
    )
    assert refused(capsys, "suspend", "in")[0] == 2
    assert refused(capsys, "tree", "tree.toml")[0] == 2
    assert refused(capsys, "events", "--kind", "Nonsense")[0] == 2


def test_frames_of_top_are_printed_into_a_pipe(system, command, capsys):
    system.options(name="one").spawn(Counter)
    code, out = command("top", "-n", "2", "--interval", "0.1")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines() if line] == [
        system.name,
        "NAME",
        "one",
    ] * 2
    code, out = command("top", "-n", "1", "--tree", "--json")
    (known,) = map(json.loads, out.splitlines())
    assert known["actors"][0]["handled_per_s"] == 0


# -- orders ---------------------------------------------------------------------------------------


def test_stop_finishes_the_mailbox_and_tells_how_it_ended(system, command, as_json):
    refs = [system.options(name=f"worker-{n}").spawn(Counter) for n in range(3)]
    other = system.options(name="other").spawn(Counter)
    results = as_json("stop", "worker-*")["results"]
    assert [(one["name"], one["reason"]["kind"], one["error"]) for one in results] == [
        (f"worker-{n}", "stopped", None) for n in range(3)
    ]
    for ref in refs:
        with pytest.raises(ActorStopped):
            ref.ask(Counter.increment)
    assert other.ask(Counter.increment) == 1


def test_stop_kills_at_its_deadline_and_kill_at_once(system, command, gate):
    for name in ("one", "two"):
        system.options(name=name).spawn(Sleeper).tell(Sleeper.sleep, gate)
        gate.arrival()
    assert command("stop", "one", "--timeout", "0") == (
        0,
        "one: was killed by the runtime with SIGKILL\n",
    )
    assert command("kill", "two") == (0, "two: was killed by the runtime with SIGKILL\n")


def test_a_stop_that_takes_longer_than_the_command_is_no_silence(system, capsys, gate, monkeypatch):
    monkeypatch.setattr(orders, "_STOP_S", 0.1)
    monkeypatch.setattr(orders, "_SLACK_S", 0.1)
    ref = system.options(name="one", stop_timeout=60).spawn(Sleeper)
    ref.tell(Sleeper.sleep, gate)
    gate.arrival()
    assert refused(capsys, "stop", "one") == (
        1,
        "one: it is not done within 0.2 s; the parent goes on with it",
    )
    gate.open()
    assert str(ref.wait(SHORT_S)) == "stopped"


def test_a_trees_supervisor_is_stopped_by_its_name(system, command):
    system.supervise(Supervisor(spec(Counter).options(name="leaf"), name="root"))
    assert command("stop", "root") == (0, "root: stopped\n")
    with Roster(system._dir.path) as roster:
        assert not roster.actors


def test_a_suspended_actor_stands_still_and_its_timeout_with_it(system, command, as_json):
    """Its `handle_timeout` is over long before it is resumed, and then counts from there."""
    ref = system.options(name="one", handle_timeout=1.5).spawn(Sleeper)
    pid = ref.ask(Sleeper.pid)
    assert command("suspend", "one") == (0, f"one: suspended (pid {pid})\n")
    reply = ref.submit(Sleeper.pid)
    hangs_at = monotonic() + 3.0
    eventually(lambda: monotonic() > hangs_at, "twice its timeout to be over")
    known = as_json("status", "one")["actor"]
    assert (known["suspended"], known["pid"], known["mailbox"]) == (True, pid, 1)
    assert command("resume", "one") == (0, f"one: goes on (pid {pid})\n")
    assert reply.result(SHORT_S) == pid


def test_a_stop_lets_a_suspended_actor_go_on_to_its_end(system, command):
    ref = system.options(name="one").spawn(Counter)
    command("suspend", "one")
    ref.tell(Counter.increment)
    assert command("stop", "one") == (0, "one: stopped\n")


def test_the_systems_own_stop_lets_suspended_actors_go_on_to_their_ends(command, start_method):
    with ActorSystem(start_method=start_method) as system:
        for number in range(2):
            system.options(name=f"one-{number}").spawn(Counter)
        assert command("suspend", "one-*")[0] == 0
        assert system.stop().clean


def test_what_cannot_be_suspended_says_why(system, capsys, gate):
    spawning = aside(system.options(name="one").spawn, _Slow, gate)
    gate.arrival()
    assert refused(capsys, "suspend", "one") == (
        1,
        "one: one has no process that serves now: starting",
    )
    gate.open()
    spawning.result(SHORT_S)


class _Slow(Actor):
    def __init__(self, gate):
        gate.wait()


def test_the_whole_system_is_stopped_as_by_its_program(capsys):
    code = """
        from procactors import ActorSystem
        from tests.support.actors import Counter
        system = ActorSystem("whole")
        system.spawn(Counter)
        print(system._dir.path, flush=True)
        system.wait()
        print("over")
    """
    with running(code) as program:
        assert main(["stop", "--all", "--system", program.line()]) == 0
        assert capsys.readouterr().out == "whole: stopped\n"
        assert program.end()[:2] == (0, "over\n")


# -- text -----------------------------------------------------------------------------------------


class Nasty(Actor):
    def cry(self):
        self.context.log.warning("one\x1b[2J\r\n\ttwo")

    def fail(self):
        raise ValueError("\x1b]0;title\x07")


def test_no_command_prints_what_a_terminal_obeys(system, capsys):
    """Names, log lines, exceptions and the names that the user types."""
    name = "n\x1b[31m\nname\x9b7m"
    ref = system.options(name=name, max_restarts=9).spawn(Nasty)
    ref.ask(Nasty.cry)
    ref.tell(Nasty.fail)
    with Roster(system._dir.path) as roster:
        eventually(lambda: roster.refresh() or roster.find(name).restarts, "the crash")
    shown = "n\\x1b[31m\\nname\\x9b7m"
    for arguments in (
        ["ps"],
        ["tree"],
        ["top", "-n", "1", "--interval", "0"],
        ["status", name],
        ["stack", name],
        ["events", "--no-follow"],
        ["logs", "--tail", "9"],
        ["metrics"],
        ["status", "no\x1b[31m\n"],
        ["stop", "no\x1b[31m\n"],
        ["profile", name, "--seconds", "0.1", "-o", os.devnull],
        ["kill", name],
    ):
        capsys.readouterr()
        main([*arguments, "--system", ME])
        said = "".join(capsys.readouterr())
        assert shown in said or "no\\x1b[31m\\n" in said, arguments
        obeyed = {char for char in said if not char.isprintable()} - {"\n", "\t"}
        assert not obeyed, arguments


def test_where_the_terminal_has_no_such_characters_they_are_named(system):
    system.options(name="größe-\u4e2d").spawn(Counter)
    done = subprocess.run(
        [sys.executable, "-m", "procactors", "tree", "--system", ME],
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "größe-\\u4e2d".encode("latin-1") in done.stdout


def test_numbers_are_for_people():
    assert [size(count) for count in (0, 1, 999, 1024, 20 << 20, 3 << 30)] == [
        "-",
        "1B",
        "999B",
        "1.0K",
        "20M",
        "3.0G",
    ]
    assert [duration(count) for count in (0.34, 42, 303, 7620, 273600)] == [
        "0.3s",
        "42s",
        "5m03s",
        "2h07m",
        "3d04h",
    ]


def test_a_name_cannot_order_the_terminal():
    assert plain("a\x1b[2Jb\nc ü") == "a\\x1b[2Jb\\nc ü"
    assert lines_of(("name", "count"), [["a", "1"], ["bcdef", "200"]], ("count",)) == [
        "NAME   COUNT",
        "a          1",
        "bcdef    200",
    ]


def test_a_character_may_take_two_columns_of_a_terminal_or_none():
    assert [width_of(text) for text in ("abc", "é", "e\u0301", "中文", "😀")] == [3, 1, 1, 4, 2]
    assert [cut("中文字", width) for width in (7, 6, 5, 4, 3, 0)] == [
        "中文字",
        "中文字",
        "中文…",
        "中…",
        "中…",
        "",
    ]
    assert lines_of(("n", "count"), [["中文", "1"], ["a", "20"]], ("count",)) == [
        "N     COUNT",
        "中文      1",
        "a        20",
    ]
