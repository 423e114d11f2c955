"""The levels of a program's loggers, as its actors see them: in a file, which is replaced whole.

Layer: wire. Runs in: parent (writes), actor (reads).
Owns: the file `levels` in the runtime directory, made with the first change.
Never: sends anything: an actor looks at a byte of the supervisor's black box, the lowest of the
word `LOGS`, with each record that it might log.
"""

from __future__ import annotations

import marshal

from procactors.wire.storage import write_whole

__all__ = ["Levels", "read_levels", "write_levels"]


#: What holds at a moment: (number of the change that has led here, and 0 for none since the
#: system's start; as `logging.disable` was told, and 0 for nothing; the level of each logger that
#: has one, by name, and the root's by "").
Levels = tuple[int, int, dict[str, int]]


def write_levels(runtime_dir: str, levels: Levels) -> None:
    """Write the levels for all actors.

    Raises:
        OSError: there is no room, or no directory.
    """
    write_whole(f"{runtime_dir}/levels", marshal.dumps(levels))


def read_levels(runtime_dir: str) -> Levels:
    """Read the latest levels.

    Raises:
        OSError: the system has ended.
    """
    with open(f"{runtime_dir}/levels", "rb") as file:
        levels: Levels = marshal.loads(file.read())  # noqa: S302 - our own file
    return levels
