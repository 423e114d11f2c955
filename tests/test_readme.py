"""The documents keep their word: the code runs, the links lead somewhere, the tests are there."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import procactors
from tests.support.source import ROOT
from tests.support.waiting import LONG_S

README = ROOT / "README.md"
#: Each python block of these is a program, followed by what it prints.
RUN = [README, ROOT / "docs" / "pools.md"]
DOCUMENTS = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)")
#: How the documents name a test: `tests/process/test_ask.py::test_name`, or the file alone.
TEST = re.compile(r"\b(tests/[\w/]+\.py)(?:::(\w+))?")


def programs(document):
    """Each python block of a document, with the text block that follows it."""
    blocks = FENCE.findall(document.read_text())
    for (kind, code), (following, text) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            assert following == "text", f"no output follows the block that begins {code[:60]!r}"
            yield code, text


PROGRAMS = [
    pytest.param(code, output, id=f"{document.stem}-{number}")
    for document in RUN
    for number, (code, output) in enumerate(programs(document), 1)
]


@pytest.mark.parametrize(("code", "output"), PROGRAMS)
def test_each_program_prints_what_its_document_says(code, output, tmp_path):
    """As a script without a guard, from another folder than its own."""
    script = tmp_path / "script.py"
    script.write_text(code)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(Path(procactors.__file__).parents[1])},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert ended.stdout == output, ended.stderr
    assert ended.returncode == 0


def test_the_readme_opens_with_the_two_commands():
    kind, commands = FENCE.findall(README.read_text())[0]
    assert kind == "sh"
    lines = [line.partition("#")[0].strip() for line in commands.splitlines()]
    assert lines == ["make demo", "make test"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_link_to_a_file_leads_to_one(document):
    links = LINK.findall(FENCE.sub("", document.read_text()))
    files = [link for link in links if "://" not in link]
    missing = [link for link in files if not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_each_test_that_a_document_names_is_there(document):
    missing = [
        f"{file}::{name}"
        for file, name in TEST.findall(document.read_text())
        if not (ROOT / file).exists() or (name and name not in names_in(ROOT / file))
    ]
    assert not missing


def names_in(file):
    """The test functions of a file."""
    return {node.name for node in ast.parse(file.read_text()).body if hasattr(node, "name")}


def test_the_readme_and_the_code_name_the_same_options():
    """An option that is added or renamed must be shown."""
    listed = README.read_text().partition("`system.options(...)`: ")[2].partition(".\n")[0]
    paragraph = listed.partition(". Their")[0]
    fields = list(procactors.Options.__dataclass_fields__)
    assert re.findall(r"`(\w+)`", paragraph) == fields
