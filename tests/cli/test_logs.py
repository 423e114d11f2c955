"""``procactors logs`` shows from another terminal what actors log, though the program be stuck."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess

import pytest

from procactors import ActorSystem
from procactors.cli import main
from procactors.errors import ActorDied
from procactors.outside.log_follower import LogFollower
from procactors.outside.roster import Roster
from tests.support.loggers import NAME, Talker
from tests.support.programs import running, running_python


@pytest.fixture
def shop():
    with ActorSystem("shop") as system:
        yield system


def shown(system, capsys, *arguments):
    code = main(["logs", "--system", system._dir.path, *arguments])
    return code, capsys.readouterr().out.splitlines()


def test_the_tail_is_what_was_logged_last_by_all_or_one(shop, capsys):
    ann, tom = (shop.options(name=name).spawn(Talker) for name in ("ann", "tom"))
    for number in range(5):
        ann.ask(Talker.log, logging.INFO, f"line {number}")
        tom.ask(Talker.log, logging.WARNING, f"line {number}")
    code, lines = shown(shop, capsys, "--tail", "4")
    assert code == 0
    assert [line.split(" ", 1)[1] for line in lines] == [
        f"[{name}] {level} {NAME}: line {number}"
        for number in (3, 4)
        for name, level in (("ann", "INFO"), ("tom", "WARNING"))
    ]
    assert len(shown(shop, capsys, "ann", "--tail", "100")[1]) == 5
    assert len(shown(shop, capsys, "--tail", "100", "--level", "warning")[1]) == 5
    assert shown(shop, capsys, "--tail", "0") == (0, [])
    _, (line,) = shown(shop, capsys, "tom", "--tail", "1", "--json")
    told = json.loads(line)
    assert told.pop("time") > 0
    assert told == {"actor": "tom", "level": "WARNING", "logger": NAME, "text": "line 4"}


def test_what_a_dead_life_has_logged_is_still_there(shop, capsys):
    tom = shop.options(name="tom").spawn(Talker)
    with pytest.raises(ActorDied):
        tom.ask(Talker.die, "its last")
    tom.ask(Talker.log, logging.INFO, "its next")
    _, lines = shown(shop, capsys, "tom", "--tail", "9")
    assert [line.rpartition(": ")[2] for line in lines] == ["its last", "its next"]


def test_no_such_system_or_actor_is_code_4_and_no_such_level_code_2(shop, capsys):
    assert shown(shop, capsys, "nobody")[0] == 4
    assert main(["logs", "--system", "no such"]) == 4
    with pytest.raises(SystemExit) as caught:
        main(["logs", "--level", "loud"])
    assert caught.value.code == 2


def test_it_follows_until_the_system_ends():
    program = "from procactors.cli import main; import sys; sys.exit(main())"
    with ActorSystem("followed") as system:
        tom = system.options(name="tom").spawn(Talker)
        tom.ask(Talker.log, logging.INFO, "before")
        words = ["logs", "tom", "--json", "--system", system._dir.path]
        with running_python("-c", program, *words) as follower:
            assert json.loads(follower.line())["text"] == "before"
            for number in range(3):
                tom.ask(Talker.log, logging.INFO, f"line {number}")
                assert json.loads(follower.line())["text"] == f"line {number}"
            tom.submit(Talker.die, "last").exception()
            assert json.loads(follower.line())["text"] == "last"
            system.stop()
            code, out, err = follower.end()
    assert (code, err) == (0, "")
    assert "on_stop" in out or out == ""


def test_it_shows_what_actors_log_while_their_program_is_stopped(capsys):
    source = """
    import logging, sys
    from procactors import ActorSystem
    from tests.support.loggers import Talker
    with ActorSystem("stuck") as system:
        system.options(name="tom").spawn(Talker).ask(Talker.log, logging.WARNING, "a line")
        print(system._dir.path, flush=True)
        sys.stdin.readline()
    """
    with running(source, stdin=subprocess.PIPE) as program:
        path = program.line()
        os.kill(program.process.pid, signal.SIGSTOP)
        assert main(["logs", "--system", path, "--tail", "1"]) == 0
        assert f"[tom] WARNING {NAME}: a line" in capsys.readouterr().out
        os.kill(program.process.pid, signal.SIGCONT)
        program.process.communicate("go\n")


def test_a_follower_sees_each_record_once_while_files_are_replaced(shop):
    tom = shop.options(name="tom", mailbox=None).spawn(Talker)
    with Roster(shop._dir.path) as roster:
        follower = LogFollower(shop._dir.path, roster, None)
        found = []

        def look():
            found.extend(line.entry.text for line in follower.look())

        for first in range(0, 3000, 100):
            tom.ask(Talker.count, first, first + 100)
            look()
        look()
    assert found == [f"number {number}" for number in range(3000)]
