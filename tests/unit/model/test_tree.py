"""Trees as data: what a mistake in one says, before anything is started."""

from __future__ import annotations

import pytest

from procactors import (
    AutoShutdown,
    ChildSpec,
    Options,
    Restart,
    Strategy,
    Supervisor,
    errors,
    spec,
)
from tests.support.actors import Counter, Echo


def test_a_spec_holds_class_arguments_and_options():
    child = spec(Counter, 5).options(name="five", restart=Restart.PERMANENT)
    assert (child.cls, child.args, child.kwargs) == (Counter, (5,), {})
    assert (child.name, child.restart) == ("five", Restart.PERMANENT)
    assert spec(Counter, value=5).kwargs == {"value": 5}
    assert spec(Echo).settings == Options()


def test_options_of_a_spec_make_a_copy():
    child = spec(Echo)
    other = child.options(name="other").options(mailbox=10)
    assert child.name is None
    assert (other.name, other.settings.mailbox) == ("other", 10)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: spec(Counter(1)), "spec takes a class"),
        (lambda: spec(Echo).options(nam="x"), "no option is called 'nam'"),
        (lambda: spec(Echo).options(mailbox=-1), "mailbox"),
        (
            lambda: spec(Echo).options(significant=True, restart=Restart.PERMANENT),
            "Echo is PERMANENT",
        ),
        (lambda: Supervisor(Echo), r"spec\(Class, ...\) or Supervisor\(...\), not"),
        (
            lambda: Supervisor(spec(Echo), strategy="one_for_all"),
            "strategy is one of .*Strategy.ONE_FOR_ONE",
        ),
        (
            lambda: Supervisor(auto_shutdown=True),
            "auto_shutdown is one of .*AutoShutdown.NEVER",
        ),
        (lambda: Supervisor(max_restarts=-1), "max_restarts"),
        (lambda: Supervisor(within="long"), "within"),
        (lambda: Supervisor(name=""), "name"),
        (lambda: Supervisor(restart=True), "restart"),
        (lambda: Supervisor(significant=True), "PERMANENT"),
        (lambda: Supervisor(strategy=Strategy.DYNAMIC), "one spec.*found 0 children"),
        (lambda: Supervisor(Supervisor(), strategy=Strategy.DYNAMIC), "one spec"),
        (
            lambda: Supervisor(
                spec(Echo).options(name="a"), Supervisor(spec(Echo).options(name="a"))
            ),
            "two children of one tree are named 'a'",
        ),
    ],
)
def test_a_mistake_is_named_where_it_is_made(make, text):
    with pytest.raises(errors.InvalidSpec, match=text):
        make()


def test_a_tree_is_read_in_start_order():
    inner = Supervisor(spec(Counter), strategy=Strategy.ONE_FOR_ALL, name="inner")
    tree = Supervisor(spec(Echo), inner, auto_shutdown=AutoShutdown.NEVER)
    assert list(tree) == [tree.children[0], inner]
    assert isinstance(tree.children[0], ChildSpec)
    assert repr(inner) == "<Supervisor inner one_for_all of 1>"
