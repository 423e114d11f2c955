"""`procactors metrics`: what a user sees of a running system from another terminal."""

from __future__ import annotations

import json

import pytest

from procactors.cli import main
from procactors.cli.metrics import time_of
from procactors.metrics import snapshot
from tests.support.actors import Counter
from tests.support.waiting import eventually


@pytest.fixture
def path(system):
    named, numbered = system.options(name="till").spawn(Counter), system.spawn(Counter)
    for _ in range(7):
        named.ask(Counter.increment)
    numbered.ask(Counter.get_value)
    eventually(lambda: sum(actor.handled for actor in snapshot(system).actors) == 8, "all")
    return snapshot(system).path


def run(capsys, *arguments):
    code = main(["metrics", *arguments])
    return code, capsys.readouterr()


def test_it_shows_each_method_and_the_callers(path, capsys):
    code, shown = run(capsys, "--system", path)
    assert code == 0
    lines = [line.split() for line in shown.out.splitlines() if line]
    assert lines[0][:5] == ["ACTOR", "METHOD", "HANDLED", "ERRORS", "ITEMS"]
    assert ["till", "Counter.increment", "7", "0"] in [line[:4] for line in lines]
    assert ["counter-*", "Counter.get_value", "1", "0"] in [line[:4] for line in lines]
    assert ["main", "Counter.get_value", "1"] in [line[:3] for line in lines]
    assert lines[-1] == ["dead", "letters:", "0"]


def test_one_actor_is_shown_by_its_name(path, capsys):
    code, shown = run(capsys, "till", "--system", path)
    assert code == 0
    assert len(shown.out.splitlines()) == 2


def test_json_has_what_programs_want(path, capsys):
    code, shown = run(capsys, "--system", path, "--json")
    assert code == 0
    said = json.loads(shown.out)
    groups = {group["name"]: group for group in said["groups"]}
    (method,) = groups["till"]["methods"]
    assert (method["name"], method["handled"]) == ("Counter.increment", 7)
    assert method["handling"]["count"] == 7
    assert 0 < method["handling"]["p50"] <= method["handling"]["p99"]
    assert {call["method"] for call in said["calls"]} == {"Counter.increment", "Counter.get_value"}


def test_it_prints_what_prometheus_reads(path, capsys):
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    code, shown = run(capsys, "--system", path, "--prometheus")
    assert code == 0
    families = {family.name for family in text_string_to_metric_families(shown.out)}
    assert "procactors_handling_seconds" in families


def test_no_such_actor_and_no_such_system_have_a_code_of_their_own(path, capsys):
    code, shown = run(capsys, "nobody", "--system", path)
    assert code == 4
    assert "no actor or group 'nobody'" in shown.err
    assert run(capsys, "--system", "no such system")[0] == 4


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (2.5e-6, "2.5 µs"),
        (0.000999, "999 µs"),
        (0.00234, "2.34 ms"),
        (0.5, "500 ms"),
        (1.25, "1.25 s"),
        (4321.0, "4321 s"),
    ],
)
def test_times_have_the_unit_that_suits_them(seconds, text):
    assert time_of(seconds) == text
