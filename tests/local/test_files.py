"""Files that one backend leaves to another, with classes of the main module."""

from __future__ import annotations

import subprocess
import sys

from procactors.deadletters.file import LetterFile

PROGRAM = """
import sys
from dataclasses import dataclass

from procactors import Actor, ActorSystem, Checkpoint

backend, folder, is_there = sys.argv[1], sys.argv[2], sys.argv[3] == "there"


@dataclass
class State:
    total: int


@dataclass
class Order:
    number: int


class Account(Actor):
    def __init__(self):
        self.state = State(0)

    def add(self, by):
        self.state.total += by
        return self.state.total, type(self.state) is State

    def snapshot(self):
        return self.state

    def restore(self, state):
        self.state = state


class Clerk(Actor):
    def __init__(self, inbox):
        self.inbox = inbox

    def take(self, order):
        if self.inbox is None:
            raise ValueError("nobody is there")
        self.inbox.tell((order.number, type(order) is Order))


kept = Checkpoint(messages=1, file=folder + "/state")
with ActorSystem(backend=backend, dead_letter_file=folder + "/letters") as system:
    print(*system.options(checkpoint=kept).spawn(Account).ask(Account.add, 1))
    inbox = system.inbox()
    clerk = system.options(name="clerk").spawn(Clerk, inbox.ref if is_there else None)
    if is_there:
        print(*inbox.receive(timeout=20.0))
        print(*inbox.receive(timeout=20.0))
    else:
        clerk.tell(Clerk.take, Order(7))
"""


def run(tmp_path, backend, *, is_there=False):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    command = [sys.executable, str(program), backend, str(tmp_path)]
    command.append("there" if is_there else "away")
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_what_a_program_leaves_is_there_for_its_next_run_wherever_its_actors_are(tmp_path):
    for number, backend in enumerate(("processes", "threads", "inline"), 1):
        assert run(tmp_path, backend) == [f"{number} True"]
    with LetterFile(str(tmp_path / "letters")) as letters:
        stored = letters.letters()
        assert len(stored) == 3
        letters.mark([stored[0].id, stored[2].id])
    assert run(tmp_path, "threads", is_there=True) == ["4 True", "7 True", "7 True"]
