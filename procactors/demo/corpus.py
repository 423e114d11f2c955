"""Which files the demo reads: the source of the running interpreter's standard library.

Layer: demo. Runs in: parent.
Owns: nothing.
Never: follows links; leaves the standard library's folder.
"""

from __future__ import annotations

import os
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sample", "source_files", "stdlib_folder"]

#: Folders inside the standard library's that hold other people's code, or no source.
SKIPPED = frozenset({"site-packages", "dist-packages", "__pycache__"})


def stdlib_folder() -> str:
    """Return the folder of the running interpreter's standard library."""
    return sysconfig.get_path("stdlib")


def source_files(folder: str) -> list[str]:
    """Return the paths of all ``.py`` files under a folder, sorted.

    A folder that does not exist (an interpreter without source files) gives an empty list.
    """
    found: list[str] = []
    for where, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED]
        found.extend(os.path.join(where, name) for name in files if name.endswith(".py"))
    return sorted(found)


def sample(paths: Sequence[str], limit: int | None) -> list[str]:
    """Return at most ``limit`` of the paths, evenly spread and in order; all of them for None.

    The first ``limit`` would be one corner of the library; spread out they are like the whole.
    """
    if limit is None or limit >= len(paths):
        return list(paths)
    return [paths[index * len(paths) // limit] for index in range(limit)]
