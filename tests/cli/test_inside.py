"""The commands that look inside of an actor: what they print, and how they end."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from procactors import ActorSystem
from procactors.cli import main
from tests.support.stuck import Busy, Somewhere
from tests.support.waiting import SHORT_S


@pytest.fixture
def seen(start_method, monkeypatch):
    monkeypatch.setattr("procactors.outside.py_spy._program", lambda: None)
    with ActorSystem(start_method=start_method, name="seen-inside") as system:
        yield system, system._endpoint.path


def test_stack_prints_the_message_in_hand_and_the_lines(seen, gate, capsys):
    system, path = seen
    ref = system.options(name="worker").spawn(Somewhere)
    reply = ref.submit(Somewhere.compute, gate)
    gate.arrival()
    gate.open()
    assert main(["stack", "worker", "--system", path]) == 0
    out = capsys.readouterr().out
    assert "in hand: Somewhere.compute" in out or "in hand: compute" in out
    assert "stuck.py" in out
    assert "loop.py" not in out
    assert main(["stack", "worker", "--all", "--system", path]) == 0
    assert "loop.py" in capsys.readouterr().out
    assert main(["stack", "worker", "--json", "--system", path]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["source"]) == ("worker", "python")
    (gate.folder / "enough").touch()
    assert reply.result(SHORT_S) == 7


def test_stack_says_what_is_wrong(seen, capsys):
    _, path = seen
    assert main(["stack", "nobody", "--system", path]) == 4
    assert main(["stack", "nobody", "--system", "no-such-system"]) == 4
    assert main(["stack", "--system", path]) == 2
    assert main(["stack", "--parent", "--system", path]) == 0
    assert "the program" in capsys.readouterr().out


def test_native_stacks_say_what_they_need(seen, capsys):
    system, path = seen
    system.options(name="worker").spawn(Somewhere)
    assert main(["stack", "worker", "--native", "--system", path]) == 0
    assert "py-spy" in capsys.readouterr().out


def test_profile_writes_both_files(seen, gate, capsys, tmp_path):
    system, path = seen
    ref = system.options(name="worker").spawn(Busy)
    reply = ref.submit(Busy.work, gate)
    gate.arrival()
    gate.open()
    base = tmp_path / "busy"
    options = ["--seconds", "0.5", "--system", path, "-o", str(base)]
    assert main(["profile", "worker", *options]) == 0
    (gate.folder / "enough").touch()
    reply.result(SHORT_S)
    assert "hot (" in capsys.readouterr().out
    ET.parse(f"{base}.svg")
    whole = json.loads((tmp_path / "busy.speedscope.json").read_text())
    assert any(frame["name"] == "hot" for frame in whole["shared"]["frames"])
    assert main(["profile", "nobody", *options]) == 4
