"""The baseline: what was counted when it was last recorded, and what has grown since.

Counts are kept by section ("system calls"), by what was done ("ask, caller"), and by part (the name
of a function or of a system call): so that a slowdown says where it is.
"""

from __future__ import annotations

import itertools
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "baselines"

#: Section, what was done, part: how often, for one message, item or start.
Counts = dict[str, dict[str, dict[str, float]]]

#: What a count may grow by, as a share of it.
SLACK = 0.05


class Section(NamedTuple):
    """How the counts of a section are compared.

    Attributes:
        least: what a count may grow by, however small it is: what comes and goes by itself.
        ground: what must be as it was where the baseline was recorded.
    """

    least: float
    ground: tuple[str, ...] = ()


_LIBC = ("machine", "libc")

#: A baseline is of one version of Python: so that is alike for all.
SECTIONS = {
    "calls of Python functions": Section(0.3),
    "calls of C functions": Section(0.3),
    "system calls": Section(0.3, _LIBC),
    "bytes": Section(32, _LIBC),
    # Pages that a fork shares or not, by chance.
    "page faults": Section(16, (*_LIBC, "kernel")),
    "modules": Section(0),
}


class Growth(NamedTuple):
    """One thing that costs more than the baseline allows, and its parts that do."""

    section: str
    what: str
    before: float
    after: float
    parts: list[tuple[str, float, float]]

    def __str__(self) -> str:
        head = f"{self.section}, {self.what}: {self.before:g} -> {self.after:g}"
        parts = [
            f"    {name}: {before:g} -> {after:g}" for name, before, after in self.parts if name
        ]
        return "\n".join([head, *parts])


def path_of(folder: Path = FOLDER) -> Path:
    """Return where the baseline of this version of Python is, or would be."""
    return folder / f"{sys.version_info.major}.{sys.version_info.minor}.json"


def ground() -> dict[str, str]:
    """Return what counts depend on besides the version of Python."""
    return {
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "kernel": ".".join(platform.release().split(".")[:2]),
    }


def load(path: Path) -> tuple[dict[str, str], Counts]:
    """Return the ground on which a baseline was recorded, and its counts."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return found["ground"], found["counts"]


def record(path: Path, counts: Counts, *, is_part: bool = False) -> None:
    """Write a baseline anew. What was not counted stays, if it was recorded on such a machine.

    Args:
        path: of the baseline.
        counts: what is recorded.
        is_part: there is more to the sections than was counted now.
    """
    kept: Counts = {}
    if path.exists():
        there, kept = load(path)
        if there != ground():
            kept = {}
    for section, rows in counts.items():
        kept[section] = kept.get(section, {}) | rows if is_part else rows
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"ground": ground(), "counts": kept}, indent=1, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def incomparable(there: Mapping[str, str]) -> dict[str, str]:
    """Return the sections that cannot be compared with a baseline of that ground, and why not."""
    here, found = ground(), {}
    for name, section in SECTIONS.items():
        differing = [word for word in section.ground if there.get(word) != here[word]]
        if differing:
            word = differing[0]
            found[name] = f"recorded with {word} {there.get(word)}, this is {here[word]}"
    return found


def grown(before: Counts, after: Counts) -> Iterator[Growth]:
    """Yield what costs more than it did, beyond its slack.

    A part beyond its own slack (one look for a file more in a start) is a slowdown if the whole has
    grown, by however little: what was replaced by something else, one for one, is none.
    """
    for section in SECTIONS.keys() & before.keys() & after.keys():
        least = SECTIONS[section].least
        for what in sorted(before[section].keys() & after[section].keys()):
            old, new = before[section][what], after[section][what]
            was, now = sum(old.values()), sum(new.values())
            parts = [
                (name, old.get(name, 0), count)
                for name, count in sorted(new.items())
                if count > old.get(name, 0) * (1 + SLACK) + least
            ]
            if now > was * (1 + SLACK) + least or (now > was + least and parts):
                yield Growth(section, what, round(was, 2), round(now, 2), parts)


def agreed(all_counts: list[Counts]) -> tuple[Counts, list[str]]:
    """Return of each thing the least count that came twice, and the things of which none has."""
    found: Counts = {}
    doubtful = []
    for section, rows in all_counts[0].items():
        for what in rows:
            one_row: list[Counts] = sorted(
                ({section: {what: counts[section][what]}} for counts in all_counts),
                key=lambda row: sum(row[section][what].values()),
            )
            for less, more in itertools.pairwise(one_row):
                if not (any(grown(less, more)) or any(grown(more, less))):
                    found.setdefault(section, {})[what] = less[section][what]
                    break
            else:
                doubtful.append(f"{section}, {what}")
    return found, doubtful


def missing(before: Counts, after: Counts) -> list[str]:
    """Return what is in one and not in the other, of sections that both have."""
    both = before.keys() & after.keys()
    return sorted(
        f"{section}, {what}"
        for section in both
        for what in before[section].keys() ^ after[section].keys()
    )


def least(counts: list[Counts]) -> Counts:
    """Return of each thing the count that is the least."""
    found: Counts = {}
    for one in counts:
        for section, rows in one.items():
            for what, parts in rows.items():
                best = found.setdefault(section, {}).get(what)
                if best is None or sum(parts.values()) < sum(best.values()):
                    found[section][what] = parts
    return found
