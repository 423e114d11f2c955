"""Notes in a file, which survive whatever kills their writer."""

from __future__ import annotations

import os
from pathlib import Path


def note(path: str | os.PathLike[str], text: object) -> None:
    """Write one line: by one write with O_APPEND, so whole, or not there at all."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


def notes(path: Path) -> list[str]:
    """Return what was noted, in order; nothing, if no note was made."""
    return path.read_text().splitlines() if path.exists() else []
