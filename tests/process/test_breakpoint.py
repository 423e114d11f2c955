"""breakpoint() in a handler asks for the program's terminal, one actor at a time."""

from __future__ import annotations

import pytest

from tests.support.debugging import command, sits_at
from tests.support.programs import running
from tests.support.waiting import SHORT_S

PROGRAM = """
import sys
from procactors import ActorSystem
from tests.support.stuck import Somewhere
with ActorSystem(start_method={method!r}) as system:
    first, second = (system.options(name=name, handle_timeout=1.0).spawn(Somewhere)
                     for name in ("first", "second"))
    one = first.submit(Somewhere.pause_here)
    if {both}:
        two = second.submit(Somewhere.pause_here)
        print("TWO", two.result(), flush=True)
    print("ONE", one.result(), flush=True)
"""


@pytest.mark.methods
def test_one_debugs_the_handler_at_the_programs_terminal(start_method):
    with sits_at("-c", PROGRAM.format(method=start_method, both=False)) as person:
        person.sees("breakpoint() in first")
        assert "breakpoint()" in person.sees("(Pdb) ")
        person.types("p inner")
        assert "41" in person.sees("(Pdb) ")
        person.types("n")
        person.sees("inner += 1")
        person.sees("(Pdb) ")
        person.types("!inner = 50")
        person.sees("(Pdb) ")
        person.types("c")
        person.sees("the actor goes on")
        person.sees("ONE 51")
        assert person.ends() == 0


def test_a_second_actor_waits_for_its_turn(start_method):
    with sits_at("-c", PROGRAM.format(method=start_method, both=True)) as person:
        person.sees("waits: the terminal is with ")  # before the prompt or behind it
        person.types("c")
        person.sees("the actor goes on")
        person.sees("(Pdb) ")
        person.types("p 1 + 1")
        person.sees("2")
        person.sees("(Pdb) ")
        person.presses_ctrl("d")
        person.sees("ONE 42")  # the last line, whoever had the terminal first
        assert person.ends() == 0


def test_a_killed_actor_lets_the_next_one_have_the_terminal(start_method):
    killing = PROGRAM.replace(
        'print("ONE"', 'first.kill(); second.submit(Somewhere.pause_here).result(); print("END"'
    ).replace("one.result()", "7")
    with sits_at("-c", killing.format(method=start_method, both=False)) as person:
        # Whether the first had it or not: it is killed at once.
        person.sees("breakpoint() in second")
        person.sees("(Pdb) ")
        person.types("c")
        person.sees("END 7")
        assert person.ends() == 0


def test_ctrl_c_ends_the_program_as_ever(start_method):
    with sits_at("-c", PROGRAM.format(method=start_method, both=False)) as person:
        person.sees("(Pdb) ")
        person.presses_ctrl("c")
        person.sees("KeyboardInterrupt")
        assert person.ends() in (-2, 1, 130)


def test_without_a_terminal_one_comes_by_attach(start_method):
    code = PROGRAM.replace("with ActorSystem", "system = ActorSystem", 1)
    code = PROGRAM.format(method=start_method, both=False).replace(
        "    one =", "    print(system._endpoint.path, flush=True)\n    one ="
    )
    with running(code) as program:
        path = program.line()
        with sits_at(*command("attach", "first", "--system", path)) as person:
            person.sees("(Pdb) ")
            person.types("p inner")
            assert "41" in person.sees("(Pdb) ")
            person.types("q")
            assert person.ends() == 0
        assert program.line() == "ONE 42"
        _, _, errors = program.end()
        assert "there is no terminal" in errors or errors == ""


@pytest.mark.parametrize("value", ["0", "builtins.print"])
def test_the_environment_variable_has_its_usual_meaning(start_method, value):
    from tests.support.programs import environment

    code = PROGRAM.format(method=start_method, both=False)
    with running(code, env={**environment(), "PYTHONBREAKPOINT": value}) as program:
        assert program.line() in ("ONE 42", "")
        program.end()


def test_a_hook_of_the_programs_own_is_called(start_method):
    code = f"""
    import sys
    from procactors import Actor, ActorSystem

    class Own(Actor):
        def __init__(self):
            sys.breakpointhook = lambda: "mine"
        def act(self):
            return breakpoint()

    with ActorSystem(start_method={start_method!r}) as system:
        print(system.spawn(Own).ask(Own.act), flush=True)
    """
    with running(code) as program:
        assert program.line() == "mine"
        assert program.end()[0] == 0


def test_in_a_test_without_its_capture_off(start_method, tmp_path):
    """pytest captures the descriptors of actors, and has a hook of its own in a forked one."""
    file = tmp_path / "test_it.py"
    file.write_text(
        "from procactors import ActorSystem\n"
        "from tests.support.stuck import Somewhere\n"
        "def test_it():\n"
        f"    with ActorSystem(start_method={start_method!r}) as system:\n"
        "        assert system.spawn(Somewhere).ask(Somewhere.pause_here) == 42\n"
    )
    arguments = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(file))
    with sits_at(*arguments) as person:
        person.sees("(Pdb) ", SHORT_S)
        person.types("p inner")
        assert "41" in person.sees("(Pdb) ")
        person.types("c")
        person.sees("1 passed")
        assert person.ends() == 0
