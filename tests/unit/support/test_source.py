"""The house's tests see every import and every use that runs, by whatever name."""

from __future__ import annotations

import ast

import pytest

from tests.support.source import imported, used


def things(code: str) -> set[str]:
    return {thing for thing, _ in used(ast.parse(code))}


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(1)",
        "import time as clock\nclock.sleep(1)",
        "from time import sleep",
        "from time import sleep as nap\nnap(1)",
        "def later():\n    import time\n    time.sleep(1)",
        "if TYPE_CHECKING:\n    pass\nelse:\n    from time import sleep",
    ],
)
def test_a_use_is_seen_whatever_it_is_called(code):
    assert "time.sleep" in things(code)


def test_an_imported_submodule_does_not_hide_its_package():
    assert "os.kill" in things("import os.path\nos.kill(1, 9)")


@pytest.mark.parametrize("condition", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_what_only_a_type_checker_sees_does_not_count(condition):
    tree = ast.parse(f"if {condition}:\n    from procactors.api.system import ActorSystem")
    assert not list(imported(tree))


def test_an_attribute_of_the_same_name_is_something_else():
    assert things("import os\nself.os.kill(1)\ntime.sleep(1)") == {"os"}
