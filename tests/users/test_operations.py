"""docs/operations.md: its programs have the faults, and the commands say of them what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.support.source import ROOT
from tests.support.waiting import LONG_S, eventually

PAGE = (ROOT / "docs" / "operations.md").read_text()
#: Sections with a program, by their titles: the program, and the blocks of console below it.
SECTIONS = {
    section.partition("\n")[0]: section
    for section in PAGE.split("\n## ")[1:]
    if "```python" in section
}
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def program_of(title: str) -> str:
    [program] = [text for kind, text in BLOCK.findall(SECTIONS[title]) if kind == "python"]
    return program


def commands_of(title: str) -> list[tuple[list[str], list[str]]]:
    """Return each command of a section, as its arguments, with the lines that it is to print."""
    found: list[tuple[list[str], list[str]]] = []
    for kind, text in BLOCK.findall(SECTIONS[title]):
        for line in text.splitlines() if kind == "console" else ():
            if line.startswith("$ "):
                name, *arguments = shlex.split(line[2:])
                assert name == "procactors"
                found.append((arguments, []))
            elif line.strip():
                found[-1][1].append(line)
    return found


def pattern(line: str) -> re.Pattern[str]:
    """Return what a line is to look like: any number in place of a number, anything for ``...``."""
    words = []
    for word in line.split():
        if word == "...":
            words.append(".*")
        elif re.search(r"\d", word):
            words.append(r"\S*\d\S*")
        else:
            words.append(re.escape(word))
    return re.compile(r"\s*" + r"\s*".join(words) + r"\s*")


def there(argument: str, work: Path) -> str:
    """Return an argument of the page's; in place of a file with a number in it, the newest such."""
    if "/" not in argument:
        return argument
    found = sorted(work.glob(re.sub(r"\d+", "*", argument)))
    return str(found[-1].relative_to(work)) if found else argument


def missing(wanted: list[str], said: str) -> str | None:
    """Return the first line that is not there, in its order; None: all are."""
    lines = iter(said.splitlines())
    for line in wanted:
        if not any(pattern(line).fullmatch(one) for one in lines):
            return line
    return None


def test_the_page_has_its_four_faults():
    assert list(SECTIONS) == ["A stuck job", "A leak", "A crash loop", "A slow consumer"]
    assert all(commands_of(title) for title in SECTIONS)


@pytest.mark.parametrize("title", SECTIONS)
def test_the_commands_show_what_the_page_shows(title, place, tmp_path):
    if not place.is_apart:
        pytest.skip("no place of its own is allowed here, and others' systems would be shown")
    work = tmp_path / "work"
    work.mkdir()
    name = title.lower().replace(" ", "_") + ".py"
    Path(work, name).write_text(program_of(title))
    with place.running_python(name, cwd=work) as program:
        for written, wanted in commands_of(title):
            last = ""
            arguments = written

            def is_shown(written=written, wanted=wanted) -> bool:
                nonlocal last, arguments
                assert program.process.poll() is None, program.process.stderr.read()
                arguments = [there(argument, work) for argument in written]
                with place.running_python("-m", "procactors", *arguments, cwd=work) as command:
                    last, wrong = command.process.communicate(timeout=LONG_S)
                last += wrong
                return missing(wanted, last) is None

            try:
                eventually(is_shown, f"procactors {' '.join(arguments)} as the page has it", LONG_S)
            except AssertionError:
                pytest.fail(
                    f"procactors {' '.join(arguments)} does not print "
                    f"{missing(wanted, last)!r} in its place, but\n{last}"
                )


@pytest.mark.parametrize(
    ("wanted", "said", "is_there"),
    [
        (["a 12s -"], "a  1m03s  -", True),
        (["a 12s -"], "a  -  -", False),
        (["a", "b"], "b\na", False),
        (["a ... z"], "a 1 2 z", True),
        (["a (pid 12)"], "x\n  a (pid 7)", True),
    ],
)
def test_a_line_is_compared_but_for_its_numbers(wanted, said, is_there):
    assert (missing(wanted, said) is None) is is_there
