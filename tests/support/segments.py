"""Payload segments as a test sees them: which are in use, read from the files themselves."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from pathlib import Path

#: The first two words of a segment: which writing it has, and which of them was handled.
WORDS = struct.Struct("=QQ")


def all_segments(runtime_dir: str | os.PathLike[str]) -> list[Path]:
    """Return the files of all segments of a runtime directory, beside the pipes and elsewhere."""
    found: list[Path] = []
    for root in (Path(runtime_dir), Path(runtime_dir, "more")):
        for folder in root.glob("segments/*"):
            with suppress(FileNotFoundError):  # of a process that has just been swept
                found += [path for path in folder.iterdir() if path.is_file()]
    return found


def in_use(runtime_dir: str | os.PathLike[str]) -> list[Path]:
    """Return the segments that were written and not handled: nobody may write them again."""
    found = []
    for path in all_segments(runtime_dir):
        with suppress(FileNotFoundError), path.open("rb") as file:
            generation, consumed = WORDS.unpack(file.read(WORDS.size))
            if generation != consumed:
                found.append(path)
    return found
