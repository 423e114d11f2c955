"""The documents keep their word: the code runs, and the links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import procactors
from procactors import errors
from tests.support.source import ROOT
from tests.support.waiting import LONG_S

README = ROOT / "README.md"
#: Each python block of these is a program, followed by what it prints.
RUN = [
    README,
    *(
        ROOT / "docs" / name
        for name in (
            "asyncio.md",
            "streams.md",
            "pools.md",
            "shared-data.md",
            "events.md",
            "messaging-patterns.md",
            "state.md",
            "scaling.md",
            "timers.md",
            "testing.md",
            "messaging-patterns.md",
        )
    ),
]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "tests/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def programs(document):
    """Each python block of a document, with the text block that follows it."""
    blocks = FENCE.findall(document.read_text())
    for (kind, code), (following, text) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            assert following == "text", f"no output follows the block that begins {code[:60]!r}"
            yield code, text


PROGRAMS = [
    pytest.param(
        code,
        output,
        id=f"{document.stem}-{number}",
        marks=[pytest.mark.ray, pytest.mark.sample] if 'backend="ray"' in code else [],
    )
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_a_heading_in_it(document):
    missing = []
    for file, heading in LINK.findall(FENCE.sub("", document.read_text())):
        target = document.parent / file if file else document
        if "://" not in file and not (target.exists() and leads_to(target, heading)):
            missing.append(f"{file}#{heading}")
    assert not missing


def leads_to(target, heading):
    """Tell whether a document has the heading of a link, by the name that GitHub gives it."""
    headings = HEADING.findall(FENCE.sub("", target.read_text())) if heading else []
    return not heading or heading in [
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings
    ]


def test_the_readme_leads_to_each_page():
    listed = {file for file, _ in LINK.findall(README.read_text())}
    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
    assert pages <= listed


def test_the_table_of_errors_names_each():
    table = (ROOT / "README.md").read_text().partition("## Errors")[2].partition("```")[0]
    names = set(errors.__all__) - {"ProcActorsError", "RemoteTraceback"}  # a base, a cause
    assert {name for name in names if f"`{name}`" not in table} == set()


def test_the_readme_and_the_code_name_the_same_options():
    """An option that is added or renamed must be shown."""
    listed = README.read_text().partition("`system.options(...)`: ")[2].partition(".\n")[0]
    paragraph = listed.partition(". Their")[0]
    fields = list(procactors.Options.__dataclass_fields__)
    assert re.findall(r"`(\w+)`", paragraph) == fields
