"""Tables for people: by rich on a terminal, where it is installed; aligned text everywhere else.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing.
Never: prints a control character that somebody put into a name.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Sequence
from typing import Literal
from unicodedata import combining, east_asian_width

from procactors.model.plain_text import plain

__all__ = [
    "clock_time",
    "complain",
    "cut",
    "duration",
    "lines_of",
    "padded",
    "print_table",
    "say",
    "size",
    "width_of",
]

#: Widest cell in text; what is longer is cut.
_WIDEST = 60


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> None:
    """Print rows under the names of their columns.

    Args:
        columns: their names.
        rows: the cells, as text.
        right: the columns of numbers, which stand at the right.
    """
    rows = [[plain(cell) for cell in row] for row in rows]
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        _print_rich(columns, rows, right)
        return
    for line in lines_of(columns, rows, right):
        print(line)


def lines_of(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()
) -> list[str]:
    """Return a table as lines of text, two spaces between its columns."""
    cells = [
        [name.upper() for name in columns],
        *([cut(cell, _WIDEST) for cell in row] for row in rows),
    ]
    widths = [max(width_of(row[at]) for row in cells) for at in range(len(columns))]
    lines = []
    for row in cells:
        placed = [
            padded(cell, width, is_right=name in right)
            for name, cell, width in zip(columns, row, widths, strict=True)
        ]
        lines.append("  ".join(placed).rstrip())
    return lines


def _print_rich(
    columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, name in enumerate(columns):
        # Of a number a part would be wrong: on a narrow terminal, texts make room.
        least = max((len(row[at]) for row in rows), default=0) if name in right else None
        justify: Literal["left", "right"] = "right" if name in right else "left"
        table.add_column(name, justify=justify, overflow="ellipsis", min_width=least)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def say(text: str) -> None:
    """Print a line for people at once, whatever others have put into it."""
    print(plain(text), flush=True)


def complain(text: str) -> None:
    """Print on stderr what keeps a command from its work."""
    print(f"procactors: {plain(text)}", file=sys.stderr)


def size(count: int | None) -> str:
    """Return a number of bytes for people: three figures and a unit; ``-`` if it is not known."""
    if not count:
        return "-"
    number = float(count)
    for unit in ("B", "K", "M", "G"):
        if number < 999.5 or unit == "G":
            break
        number /= 1024
    return f"{number:.0f}{unit}" if number >= 10 or unit == "B" else f"{number:.1f}{unit}"


def duration(seconds: float) -> str:
    """Return a time for people: ``0.3s``, ``42s``, ``5m03s``, ``2h07m``, ``3d04h``."""
    whole = int(seconds)
    if seconds < 10:
        return f"{seconds:.1f}s"
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02}h"


def clock_time(wall: float) -> str:
    """Return a time of day, of this machine's clock; with the date if that is not today's."""
    then, now = time.localtime(wall), time.localtime()
    is_today = (then.tm_year, then.tm_yday) == (now.tm_year, now.tm_yday)
    return time.strftime("%H:%M:%S" if is_today else "%Y-%m-%d %H:%M:%S", then)


def width_of(text: str) -> int:
    """Return how many columns of a terminal a text takes: a Chinese character takes two."""
    if text.isascii():
        return len(text)
    return sum(
        2 if east_asian_width(char) in "WF" else not combining(char)  # an accent takes none
        for char in text
    )


def padded(text: str, width: int, *, is_right: bool = False) -> str:
    """Return a text with spaces up to a width."""
    spaces = " " * (width - width_of(text))
    return spaces + text if is_right else text + spaces


def cut(text: str, width: int) -> str:
    """Return a text that takes no more than a width: of a longer one the beginning, and "…"."""
    if width_of(text) <= width:
        return text
    kept, left = "", width - 1
    for char in text:
        left -= width_of(char)
        if left < 0:
            break
        kept += char
    return kept + "…" if width > 0 else ""
