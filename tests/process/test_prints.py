"""What an actor prints is written line by line, wherever it goes."""

from __future__ import annotations

import subprocess

import pytest

from tests.support.programs import environment, running

#: Python would write each line at once by itself with this one set.
ENVIRON = {name: value for name, value in environment().items() if name != "PYTHONUNBUFFERED"}

PROGRAM = """
    import os, sys, time
    from procactors import Actor, ActorSystem
    from procactors.errors import ActorDied
    class Talker(Actor):
        def say(self, word):
            print(word)
        def die(self, word):
            print(word)
            os.kill(os.getpid(), 9)
    print("from the program")
    with ActorSystem(start_method=METHOD, spares=SPARES, stop_timeout=60) as system:
        talker = system.spawn(Talker)
        talker.ask(Talker.say, "first")
        {then}
"""


def program(method, then, spares=0):
    return PROGRAM.format(then=then).replace("METHOD", repr(method)).replace("SPARES", str(spares))


def test_a_line_is_there_while_the_actor_lives(start_method):
    """Read from a pipe, into which Python would write 8 KiB at once."""
    code = program(start_method, "sys.stdin.readline()")
    with running(code, stdin=subprocess.PIPE, env=ENVIRON) as one:
        # The actor's line, before the program has written its own: it is held back, as ever.
        lines = {one.line()}
        assert lines <= {"first", "from the program"}
        if lines == {"from the program"}:  # multiprocessing writes it before it forks
            assert one.line() == "first"
        out, errors = one.process.communicate("go\n", timeout=60)
    assert one.process.returncode == 0, errors
    assert out.splitlines() in ([], ["from the program"])


@pytest.mark.parametrize("spares", [0, 2])
def test_what_was_printed_before_a_kill_is_there_once(start_method, spares, tmp_path):
    """In a file; and no copy of a process writes again what another has held back."""
    then = """talker.submit(Talker.die, "last").exception()
        talker.ask(Talker.say, "again")
        system.spawn(Talker).ask(Talker.say, "other")"""
    path, code = tmp_path / "out", program(start_method, then, spares)
    with path.open("w") as out, running(code, stdout=out, env=ENVIRON) as one:
        exit_code, _, errors = one.end()
    assert exit_code == 0, errors
    found = sorted(path.read_text().splitlines())
    assert found == sorted(["from the program", "first", "last", "again", "other"])


def test_what_a_preloaded_module_prints_is_there_once(tmp_path):
    (tmp_path / "chatty.py").write_text("print('preloaded')\n")
    then = 'system.spawn(Talker).ask(Talker.say, "other")'
    code = program("forkserver", then, 1).replace("spares=1", "spares=1, preload=['chatty']")
    with running(code, cwd=tmp_path, env=ENVIRON) as one:
        exit_code, out, errors = one.end()
    assert exit_code == 0, errors
    assert sorted(out.splitlines()) == ["first", "from the program", "other", "preloaded"]


def test_a_closed_or_full_stream_harms_no_start(start_method):
    code = program(start_method, "").replace("print(word)", "pass")
    for beginning, file in (("os.close(1)", "/dev/null"), ("pass", "/dev/full")):
        silent = code.replace('print("from the program")', beginning)
        with open(file, "w") as out, running(silent, stdout=out, env=ENVIRON) as one:
            exit_code, _, errors = one.end()
        assert exit_code == 0, errors
