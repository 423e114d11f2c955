"""One thing that was looked at: how it is, and what to do if it is not well.

Layer: doctor. Runs in: the command's process.
Owns: nothing; a value.
Never: says that something is wrong without saying what to do.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

__all__ = ["Finding", "Level", "amount", "fail", "ok", "read_number", "read_text", "warn"]


class Level(enum.Enum):
    """How a thing is."""

    OK = "ok"
    WARN = "warn"  #: programs run; under some load or in some case not as they should
    FAIL = "fail"  #: no system can run, or none as documented


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Attributes:
        subject: the thing, in a few words.
        level: how it is.
        says: what was found.
        advice: what to do; empty where nothing is to be done.
        facts: the numbers, for programs.
    """

    subject: str
    level: Level
    says: str
    advice: str = ""
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {**dataclasses.asdict(self), "level": self.level.value}


def ok(subject: str, says: str, **facts: Any) -> Finding:
    """Return that a thing is well."""
    return Finding(subject, Level.OK, says, "", facts)


def warn(subject: str, says: str, advice: str, **facts: Any) -> Finding:
    """Return that a thing may be a hindrance."""
    return Finding(subject, Level.WARN, says, advice, facts)


def fail(subject: str, says: str, advice: str, **facts: Any) -> Finding:
    """Return that with a thing as it is, actors do not run."""
    return Finding(subject, Level.FAIL, says, advice, facts)


def amount(count: float) -> str:
    """Return bytes for people: ``76 kB``, ``1.5 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit != "GB" else f"{count:.1f} GB"
        count /= 1000
    return f"{count:.1f} TB"


def read_text(path: str) -> str | None:
    """Return what stands in a file of the kernel's, stripped; None: it is not there for us."""
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def read_number(path: str) -> int | None:
    """Return the number in a file of the kernel's; None: there is none, or no limit (``max``)."""
    text = read_text(path)
    return int(text) if text is not None and text.lstrip("-").isdigit() else None
