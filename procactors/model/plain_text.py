"""Text of others, as it is shown: what a terminal would obey stands there as an escape.

Layer: model. Runs in: any process.
Owns: nothing.
Never: changes a text of characters that can be printed.
"""

from __future__ import annotations

__all__ = ["encodable", "plain", "plain_lines"]


def plain(text: str) -> str:
    """Return a text without what a terminal would obey, or a stream could not take."""
    return "".join(
        char if char.isprintable() else ascii(char)[1:-1]  # a newline is written as one, too
        for char in text
    )


def plain_lines(text: str) -> str:
    """Return a text of several lines, each as `plain` has it; tabs are kept."""
    return "\n".join("\t".join(map(plain, line.split("\t"))) for line in text.split("\n"))


def encodable(text: str) -> str:
    """Return a text that is UTF-8, for who takes no other: halves of characters as escapes.

    Python has them in names of files that are not UTF-8.
    """
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
