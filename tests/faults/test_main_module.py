"""Acceptance case 37: classes of a main module that nobody can import, without any guard.

One text, run as a script, from standard input, as `-c`, in an interactive console and by exec.
"""

from __future__ import annotations

import subprocess
import textwrap

import pytest

from tests.support.programs import running, running_python

SOURCE = textwrap.dedent(
    """
    from dataclasses import dataclass
    from procactors import Actor, ActorSystem, Message

    FACTOR = 3

    def scaled(value):
        return value * FACTOR

    @dataclass(frozen=True)
    class Twice(Message[int]):
        value: int

    class Worker(Actor):
        def scale(self, value):
            return scaled(value)
        def receive(self, message):
            assert isinstance(message, Twice)
            return Twice(message.value * 2)
        def crash(self):
            import os
            os._exit(1)

    with ActorSystem(start_method=METHOD) as system:
        worker = system.spawn(Worker)
        back = worker.ask(Twice(4))
        print(worker.ask(Worker.scale, 5), isinstance(back, Twice), back == Twice(8))
        worker.submit(Worker.crash).exception()
        print(worker.ask(Worker.scale, 6), type(worker.ask(Twice(1))) is Twice)

    """
).lstrip()

EXPECTED = "15 True True\n18 True\n"
NOISE = "actor worker-1 (incarnation 1,"


def source(start_method):
    return f"METHOD = {start_method!r}\n" + SOURCE


def assert_works(program):
    code, out, errors = program.end()
    assert (code, out) == (0, EXPECTED), errors
    assert all(NOISE in line for line in errors.splitlines()), errors
    program.await_nothing_left()


def test_a_script_without_a_guard_works(start_method, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(source(start_method))
    with running_python(script) as program:
        assert_works(program)


def test_standard_input_works(start_method):
    with running_python("-", stdin=subprocess.PIPE) as program:
        program.process.stdin.write(source(start_method))
        program.process.stdin.flush()
        assert_works(program)


def test_a_command_line_program_works(start_method):
    with running(source(start_method)) as program:
        assert_works(program)


def test_a_module_run_with_m_works(start_method, tmp_path):
    (tmp_path / "main_of_mine.py").write_text(source(start_method))
    with running_python("-m", "main_of_mine", cwd=tmp_path) as program:
        assert_works(program)


@pytest.mark.parametrize("name", ["__main__", "__console__"])
def test_an_interactive_console_works(start_method, name):
    """As in a notebook: each block is compiled and run by itself."""
    code = f"""
        import code, sys
        console = code.InteractiveConsole({{"__name__": {name!r}}})
        for block in {[block + chr(10) for block in source(start_method).split(chr(10) * 2)]!r}:
            if block.strip():
                assert not console.runsource(block, symbol="exec")
    """
    with running(code) as program:
        assert_works(program)


def test_an_execed_session_works(start_method):
    """As a notebook kernel does: the namespace is __main__'s, but the text comes from nowhere."""
    code = f"""
        import __main__
        exec(compile({source(start_method)!r}, "<cell 1>", "exec"), __main__.__dict__)
    """
    with running(code) as program:
        assert_works(program)


def test_a_class_that_is_defined_anew_is_the_one_that_is_spawned(start_method):
    """A notebook's cell run again: new actors get the new class, old ones keep theirs."""
    code = f"""
        from procactors import Actor, ActorSystem
        class Worker(Actor):
            def word(self):
                return "old"
        Old = Worker
        with ActorSystem(start_method={start_method!r}) as system:
            old = system.spawn(Worker)
            class Worker(Actor):
                def word(self):
                    return "new"
            new = system.spawn(Worker)
            print(old.ask(Old.word), new.ask(Worker.word))
    """
    with running(code) as program:
        assert program.end() == (0, "old new\n", "")
