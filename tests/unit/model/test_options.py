"""Options: a word that makes no sense is named, with its value."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle

import pytest

from procactors import (
    ActorSystem,
    Backoff,
    ChildSpec,
    Delivery,
    Options,
    Overflow,
    Recycle,
    Restart,
)
from procactors.api.actor import Context
from procactors.api.spawner import SystemHandle
from procactors.errors import InvalidSpec
from tests.support.source import modules

NAN = float("nan")

BAD = [
    ("name", ["", 3, b"name"]),
    ("mailbox", [0, -1, 1.5, "2", True]),
    ("overflow", ["block", None]),
    ("restart", ["transient", None, True]),
    ("max_restarts", [-1, 1.5, None, True]),
    ("within", [-1, "5", None, NAN, True]),
    ("backoff", [1.0, "fast"]),
    ("delivery", ["at_most_once", None]),
    ("max_deliveries", [0, -1, 2.5, None]),
    ("start_timeout", [-1, "1", NAN, True]),
    ("stop_timeout", [-1, "1", NAN, True]),
    ("recycle_after", [10, "often"]),
    ("seed", [-1, 1.5, "7", True]),
    ("env", ["A=1", {"A": 1}, {1: "A"}, {"A=B": "1"}, {"": "1"}]),
]


@pytest.mark.parametrize(
    ("word", "value"), [(word, value) for word, values in BAD for value in values], ids=repr
)
def test_a_value_that_makes_no_sense_is_named(word, value):
    with pytest.raises(InvalidSpec, match=word):
        Options(**{word: value})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("initial", -1),
        ("maximum", "5"),
        ("factor", 0.5),
        ("jitter", 1.5),
        ("jitter", -0.1),
        ("initial", NAN),
        ("factor", True),
    ],
)
def test_a_backoff_that_makes_no_sense_is_named(word, value):
    with pytest.raises(InvalidSpec, match=rf"Backoff\.{word} is"):
        Backoff(**{word: value})


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("messages", 0),
        ("messages", 1.5),
        ("messages", True),
        ("seconds", 0.0),
        ("seconds", -1),
        ("seconds", NAN),
        ("memory_growth", 0),
        ("memory_growth", "1G"),
    ],
)
def test_a_recycling_that_makes_no_sense_is_named(word, value):
    with pytest.raises(InvalidSpec, match=rf"Recycle\.{word} .*is"):
        Recycle(**{word: value})


def test_a_recycling_without_a_bound_makes_no_sense():
    with pytest.raises(InvalidSpec, match="at least one of messages, seconds, memory_growth"):
        Recycle()


GOOD = {
    "name": "worker",
    "mailbox": 1,
    "overflow": Overflow.DROP,
    "restart": Restart.PERMANENT,
    "max_restarts": 0,
    "within": 0,
    "backoff": Backoff(0, 0, 1, 1),
    "delivery": Delivery.AT_LEAST_ONCE,
    "max_deliveries": 1,
    "recycle_after": Recycle(1, 0.001, 1),
    "start_timeout": None,
    "stop_timeout": 0,
    "env": {"A": ""},
    "seed": 0,
}


def test_values_at_the_edge_are_good():
    options = Options(**GOOD)
    assert {word: getattr(options, word) for word in GOOD} == GOOD
    assert pickle.loads(pickle.dumps(options)) == options


def test_an_unknown_word_is_named_with_those_that_there_are():
    with pytest.raises(InvalidSpec, match=r"no option is called 'mailbx'; there are \[.*'mailbox'"):
        Options().replace(mailbx=3)


def test_replace_changes_one_word_and_leaves_the_original():
    options = Options(mailbox=3)
    assert options.replace(name="a") == Options(mailbox=3, name="a")
    assert options.name is None


def test_a_spawner_refuses_bad_options_before_anything_starts(system):
    with pytest.raises(InvalidSpec, match="mailbox"):
        system.options(mailbox=0)
    with pytest.raises(InvalidSpec, match=r"'buffer'; .*; it is of a ref, .*ref.options\(buffer="):
        system.options(buffer=8)
    with pytest.raises(InvalidSpec, match="no option is called 'capacity'"):
        system.options(capacity=1)
    with pytest.raises(InvalidSpec, match="spawn takes a class"):
        system.spawn(len)
    assert system.actors() == []


# -- for editors and checkers ------------------------------------------------------------------


def words_of(room: str, name: str) -> list[str]:
    """Return the keys of a TypedDict, which is there for type checkers alone."""
    for node in ast.walk(modules()[room]):
        if isinstance(node, ast.ClassDef) and node.name == name:
            return [line.target.id for line in node.body if isinstance(line, ast.AnnAssign)]
    raise AssertionError(f"{room} has no {name}")


def test_checkers_know_the_words_that_there_are():
    fields = [field.name for field in dataclasses.fields(Options)]
    assert words_of("procactors.model.options", "OptionWords") == fields
    system = [*inspect.signature(ActorSystem).parameters]
    assert words_of("procactors.api.program", "SystemWords") == system


@pytest.mark.parametrize("take", [SystemHandle.options, Context.options, ChildSpec.options])
def test_help_and_notebooks_show_the_words(take):
    parameters = inspect.signature(take).parameters
    for field in dataclasses.fields(Options):
        assert parameters[field.name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[field.name].default == field.default
