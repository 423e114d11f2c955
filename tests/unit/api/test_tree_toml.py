"""Trees from TOML: every word by its own name, every mistake named with file, key and remedy."""

from __future__ import annotations

import builtins
import dataclasses
import inspect
import sys

import pytest

from procactors import Backoff, Delivery, Options, Overflow, Restart
from procactors.api.tree_toml import find_attribute, load_tree
from procactors.cli.tree import render
from procactors.errors import InvalidSpec
from procactors.model.options import Limits, Recycle
from procactors.model.tree import AutoShutdown, Strategy, Supervisor, spec
from tests.support.actors import Counter, Echo

if sys.version_info < (3, 11):
    pytest.importorskip("tomli")

ECHO = 'class = "tests.support.actors:Echo"'


@pytest.fixture
def load(tmp_path):
    """Write a text to tree.toml, and load it."""

    def load(text):
        path = tmp_path / "tree.toml"
        path.write_text(text)
        return load_tree(path)

    return load


def complaint_of(load, text):
    with pytest.raises(InvalidSpec) as caught:
        load(text)
    file, _, complaint = str(caught.value).partition("tree.toml: ")
    assert file.endswith("/")
    return complaint


def test_a_tree_of_all_words_is_read_as_it_would_be_written_in_python(load):
    tree = load("""
        name = "root"
        strategy = "rest_for_one"
        max_restarts = 5
        within = 60
        auto_shutdown = "all_significant"

        [[children]]
        class = "tests.support.actors:Counter"
        args = [7]
        name = "counter"
        mailbox = 100
        overflow = "raise"
        restart = "transient"
        max_restarts = 1
        within = 2.5
        backoff = {initial = 0.1, maximum = 30, factor = 3, jitter = 0.2}
        delivery = "at_least_once"
        max_deliveries = 2
        handle_timeout = 10
        start_timeout = "none"
        stop_timeout = 1.5
        limits = {memory = 1000000, cpu_affinity = [0, 1], threads = "none", nice = 5}
        recycle_after = {messages = 10, seconds = 3.5, memory_growth = 1000}
        env = {NAME = "value"}
        ray = {num_cpus = 2}
        seed = 7
        significant = true
        max_concurrency = 5

        [[children]]
        name = "below"
        strategy = "one_for_all"
        restart = "temporary"
        significant = true
        [[children.children]]
        class = "tests.support.actors:Counter"
        kwargs = {value = 3}
        [[children.children]]
        strategy = "dynamic"
        [[children.children.children]]
        class = "tests.support.actors:Echo"
    """)
    written = Supervisor(
        spec(Counter, 7).options(
            name="counter",
            mailbox=100,
            overflow=Overflow.RAISE,
            restart=Restart.TRANSIENT,
            max_restarts=1,
            within=2.5,
            backoff=Backoff(0.1, 30, 3, 0.2),
            delivery=Delivery.AT_LEAST_ONCE,
            max_deliveries=2,
            handle_timeout=10,
            start_timeout=None,
            stop_timeout=1.5,
            limits=Limits(memory=1_000_000, cpu_affinity=(0, 1), threads=None, nice=5),
            recycle_after=Recycle(messages=10, seconds=3.5, memory_growth=1000),
            env={"NAME": "value"},
            ray={"num_cpus": 2},
            seed=7,
            significant=True,
            max_concurrency=5,
        ),
        Supervisor(
            spec(Counter, value=3),
            Supervisor(spec(Echo), strategy=Strategy.DYNAMIC),
            name="below",
            strategy=Strategy.ONE_FOR_ALL,
            restart=Restart.TEMPORARY,
            significant=True,
        ),
        name="root",
        strategy=Strategy.REST_FOR_ONE,
        max_restarts=5,
        within=60.0,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
    )
    assert facts(tree) == facts(written)


def facts(tree):
    """A tree as nested dicts, which can be compared."""
    if isinstance(tree, Supervisor):
        return {**vars(tree), "children": [facts(child) for child in tree.children]}
    return tree


def test_the_test_above_knows_every_word():
    """A word that is added must be readable: by its own name, as one of the tables, or an enum."""
    source = inspect.getsource(test_a_tree_of_all_words_is_read_as_it_would_be_written_in_python)
    text = source.partition('load("""')[2].partition('""")')[0]
    for cls in (Options, Backoff, Limits, Recycle):
        for field in dataclasses.fields(cls):
            if field.name in ("size", "routing"):
                continue  # of pools, which no tree has
            if field.name == "checkpoint":
                continue  # of classes with its hooks: tests/process/test_checkpoints.py
            assert f"{field.name} = " in text, f"{cls.__name__}.{field.name}"
    for name in inspect.signature(Supervisor).parameters:
        assert f"{name} = " in text or f"[[{name}]]" in text, name


def test_an_empty_file_is_a_supervisor_without_children(load):
    assert facts(load("")) == facts(Supervisor())


def test_defaults_are_those_of_python(load):
    tree = load(f"[[children]]\n{ECHO}\n[[children]]\nchildren = []")
    assert facts(tree) == facts(Supervisor(spec(Echo), Supervisor()))


def test_a_name_may_be_the_word_none(load):
    assert load(f'[[children]]\n{ECHO}\nname = "none"').children[0].name == "none"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("strategy = ", "expected TOML: Invalid value"),
        ('stratgy = "one_for_all"', "a supervisor has no key 'stratgy'; did you mean 'strategy'?"),
        ("colour = 1", 'a supervisor has no key \'colour\'; a supervisor takes "children", "str'),
        (
            'strategy = "one_for_al"',
            (
                'strategy: expected one of "one_for_one", "one_for_all", "rest_for_one", '
                "\"dynamic\", found 'one_for_al'; did you mean 'one_for_all'?"
            ),
        ),
        ("strategy = 3", 'strategy: expected one of "one_for_one", '),
        ("strategy = []", 'strategy: expected one of "one_for_one", '),
        ("max_restarts = -1", "max_restarts is a whole number of at least 0, not -1"),
        ('within = "long"', "within is a number of at least 0.0, not 'long'"),
        ("children = 3", "children: expected an array of tables, each headed [[children]]"),
        ("children = [3]", "children: expected an array of tables, each headed [[children]]"),
        ('[children]\nname = "x"', "children: expected an array of tables"),
        (
            '[[children]]\nname = "x"',
            'children[0]: expected "class" (an actor) or "children" (a supervisor), found neither',
        ),
        (
            '[[children]]\nclas = "x"',
            "children[0]: a child has no key 'clas'; did you mean 'class'",
        ),
        (
            f"[[children]]\n{ECHO}\nchildren = []",
            'children[0]: expected either "class" (an actor) or "children" (a supervisor), found',
        ),
        (
            f'[[children]]\n{ECHO}\n[[children]]\n{ECHO}\nrestrat = "permanent"',
            "children[1]: an actor has no key 'restrat'; did you mean 'restart'?",
        ),
        (
            f'[[children]]\n{ECHO}\nstrategy = "one_for_all"',
            "children[0]: an actor has no key 'strategy'; an actor takes \"class\", ",
        ),
        (
            f'[[children]]\n{ECHO}\nrestart = "permanant"',
            (
                'children[0].restart: expected one of "permanent", "transient", "temporary", found '
                "'permanant'; did you mean 'permanent'?"
            ),
        ),
        (
            f"[[children]]\n{ECHO}\nbackoff = {{initail = 1}}",
            "children[0].backoff: Backoff has no key 'initail'; did you mean 'initial'?",
        ),
        (
            f"[[children]]\n{ECHO}\nbackoff = 3",
            (
                'children[0].backoff: expected a table with "initial", "maximum", "factor", '
                '"jitter", found 3'
            ),
        ),
        (
            f"[[children]]\n{ECHO}\nbackoff = {{jitter = 2.0}}",
            "children[0].backoff: Backoff.jitter is a number from 0.0 to 1.0, not 2.0",
        ),
        (
            f"[[children]]\n{ECHO}\nlimits = {{nice = 20}}",
            "children[0].limits: Limits.nice is a whole number up to 19, not 20",
        ),
        (
            f"[[children]]\n{ECHO}\nrecycle_after = {{}}",
            "children[0].recycle_after: Recycle needs at least one of messages, ",
        ),
        (f"[[children]]\n{ECHO}\nmailbox = 0", "children[0]: mailbox (capacity in messages, or "),
        (
            f'[[children]]\n{ECHO}\nmailbox = "none"',
            "children[0]: mailbox (capacity in messages, or None for unbounded) is a whole number",
        ),
        (f"[[children]]\n{ECHO}\nenv = {{A = 1}}", "children[0]: env maps names to strings, "),
        (f"[[children]]\n{ECHO}\nargs = 3", "children[0].args: expected an array, found 3"),
        (f"[[children]]\n{ECHO}\nkwargs = []", "children[0].kwargs: expected a table, found []"),
        (f"[[children]]\n{ECHO}\nsignificant = 1", "children[0].significant: expected true or "),
        ('significant = "yes"', "significant: expected true or false, found 'yes'"),
        (
            f"[[children]]\n{ECHO}\nsignificant = true",
            "spec(Echo) is significant, but its supervisor has no auto_shutdown: give it ",
        ),
        (
            f'[[children]]\n{ECHO}\nkwargs = {{name = "x"}}',
            "children[0]: Echo: got an unexpected keyword argument 'name'; name= is an option: ",
        ),
        (
            f'[[children]]\n{ECHO}\nsignificant = true\nrestart = "permanent"',
            "children[0]: significant is for children that may end by themselves: Echo is ",
        ),
        ("[[children]]\nclass = 3", 'children[0].class: expected "module:Class", found 3'),
        (
            '[[children]]\nclass = "Echo"',
            'children[0].class: expected "module:attribute", as in "mypackage.tree:tree", found',
        ),
        (
            '[[children]]\nclass = "no.such.module:Echo"',
            "children[0].class: the module no.such.module cannot be imported: No module named 'no'",
        ),
        (
            '[[children]]\nclass = "tests.support.actors:Eccho"',
            "children[0].class: tests.support.actors has no 'Eccho'; did you mean 'Echo'?",
        ),
        (
            '[[children]]\nclass = "tests.support.actors:recorded"',
            "children[0].class: expected a class, found <function recorded",
        ),
        (
            f'[[children]]\n{ECHO}\nname = "a"\n[[children]]\n{ECHO}\nname = "a"',
            "two children of one tree are named 'a'",
        ),
        (
            (
                f'[[children]]\nstrategy = "dynamic"\n[[children.children]]\n{ECHO}\n'
                f"[[children.children]]\n{ECHO}"
            ),
            "children[0]: a DYNAMIC supervisor has the one spec of which its children are copies",
        ),
        (
            f"[[children]]\n[[children.children]]\n{ECHO}\n[[children.children]]\n{ECHO}\nnmae = 1",
            "children[0].children[1]: an actor has no key 'nmae'; did you mean 'name'?",
        ),
    ],
    ids=lambda value: None if "\n" in value or "expected" in value else value[:40],
)
def test_a_mistake_is_named_with_its_place_and_what_was_expected(load, text, complaint):
    assert complaint_of(load, text).startswith(complaint)


def test_a_file_that_is_no_text_is_a_complaint(tmp_path):
    path = tmp_path / "tree.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidSpec, match=r"tree\.toml: expected TOML: 'utf-8' codec"):
        load_tree(path)


def test_a_module_that_raises_is_named_with_its_error_as_the_cause(tmp_path, monkeypatch):
    (tmp_path / "module_that_raises.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InvalidSpec, match="module_that_raises cannot be imported: division") as got:
        find_attribute("module_that_raises:Class")
    assert isinstance(got.value.__cause__, ZeroDivisionError)


def test_an_attribute_may_lie_inside_a_class():
    assert find_attribute("tests.support.actors:Echo.echo") is Echo.echo


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="the standard library reads TOML")
def test_python_3_10_without_tomli_is_told_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def no_tomli(name, *args, **kwargs):
        if name == "tomli":
            raise ModuleNotFoundError("No module named 'tomli'", name="tomli")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_tomli)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'procactors\[toml\]'"):
        load_tree(tmp_path / "tree.toml")


def test_a_tree_is_printed_with_names_classes_strategy_restart_and_intensity():
    tree = Supervisor(
        spec(Counter).options(name="counter", restart=Restart.PERMANENT, backoff=Backoff(1, 30)),
        Supervisor(
            Supervisor(spec(Echo), strategy=Strategy.DYNAMIC, name="pool"),
            spec(Echo).options(mailbox=10, stop_timeout=2.5, significant=True),
            max_restarts=1,
            within=0.5,
            auto_shutdown=AutoShutdown.ANY_SIGNIFICANT,
            restart=Restart.TEMPORARY,
            significant=True,
        ),
        spec(Counter),
        strategy=Strategy.REST_FOR_ONE,
        auto_shutdown=AutoShutdown.ALL_SIGNIFICANT,
        name="root",
    )
    actors = "tests.support.actors"
    assert render(tree).splitlines() == [
        (
            "root: supervisor (rest_for_one, at most 3 restarts within 5 s, "
            "auto_shutdown all_significant)"
        ),
        f"├─ counter: {actors}:Counter (permanent, backoff 1 to 30 s)",
        (
            "├─ supervisor (one_for_one, at most 1 restart within 0.5 s, temporary, "
            "auto_shutdown any_significant, significant)"
        ),
        "│  ├─ pool: supervisor (dynamic, at most 3 restarts within 5 s, permanent)",
        f"│  │  └─ {actors}:Echo (transient, started on demand)",
        f"│  └─ {actors}:Echo (transient, mailbox 10, stop_timeout 2.5, significant)",
        f"└─ {actors}:Counter (transient)",
    ]
