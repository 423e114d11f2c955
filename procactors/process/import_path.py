"""The program's import path, for its other interpreters and actors.

Layer: process. Runs in: parent.
Owns: nothing.
Never: passes on an entry that imports pass over.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["import_path", "text_of"]


def import_path() -> list[str]:
    """Return what imports look at of `sys.path`: strings, and bytes on Python 3.10.

    They pass over anything else, a `pathlib.Path` too. So must the actor: with one more entry
    it could find another module under the same name.
    """
    return [text_of(entry) for entry in sys.path if isinstance(entry, (str, bytes))]


def text_of(value: Any) -> str:
    """Return what the operating system would be given for a value where it takes strings.

    By the base class's own method: what a subclass's says may be anything, and `marshal` refuses
    the subclass.
    """
    if isinstance(value, (bytes, os.PathLike)):
        value = os.fsdecode(value)
    return str.__str__(value if isinstance(value, str) else str(value))
