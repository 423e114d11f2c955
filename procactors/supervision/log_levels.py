"""What the program's loggers let pass, told to its actors whenever that changes.

Layer: supervision. Runs in: parent, in whichever thread changes a level.
Owns: a method of the program's `logging` while a system forwards (`open`, `close`).
Never: asks anything of an actor; tells what has not changed.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from procactors.wire.log_levels import Levels

__all__ = ["LevelBoard"]

#: What `logging` begins with.
_TABLE = {"": logging.WARNING}


class LevelBoard:
    """Where a system shows its program's levels.

    Args:
        runtime_dir: of the system.
        show: tells all actors that there is a new version; from any thread.

    Attributes:
        levels: that actors know of.
    """

    def __init__(self, runtime_dir: str, show: Callable[[int], None]) -> None:
        self._runtime_dir = runtime_dir
        self._show = show
        self.levels: Levels = 0, 0, _TABLE
        # Reentrant: a signal handler may change a level while we are at it.
        self._lock = threading.RLock()
        self._is_stale = self._is_at_it = False

    def open(self) -> None:
        """Show the levels of now, and each change from now on."""
        disabled, table = _now()
        if (disabled, table) != self.levels[1:]:
            # In no file: an actor is told at its start what holds then.
            self.levels = 1, disabled, table
            self._show(1)
        _boards.add(self)
        _hook()
        self.update()  # what has changed since

    def close(self) -> None:
        """Show no more."""
        _boards.discard(self)
        _unhook()

    def update(self) -> None:
        """Show the levels, if they have changed; when this returns, actors heed them."""
        self._is_stale = True
        with self._lock:
            if self._is_at_it:
                return  # by a signal handler: what it has met will look again
            self._is_at_it = True
            try:
                while self._is_stale:
                    self._is_stale = False
                    disabled, table = _now()
                    if (disabled, table) != self.levels[1:]:
                        self._write((self.levels[0] + 1, disabled, table))
            finally:
                self._is_at_it = False

    def _write(self, levels: Levels) -> None:
        from procactors.wire.log_levels import write_levels  # only where levels change

        with contextlib.suppress(OSError):  # no room: the next change may have some
            write_levels(self._runtime_dir, levels)
            self.levels = levels
            self._show(levels[0])


def _now() -> tuple[int, dict[str, int]]:
    """Return what is disabled, and the level of each logger that has one."""
    manager = logging.root.manager
    table = {"": int(logging.root.level)}
    for name, logger in manager.loggerDict.copy().items():
        if isinstance(logger, logging.Logger) and logger.level:
            table[name] = int(logger.level)
    return int(manager.disable), table


_boards: set[LevelBoard] = set()


def _hook() -> None:
    """Hear of each change: `logging` then forgets what it has worked out of its levels."""
    manager = logging.root.manager
    if "_clear_cache" not in vars(manager):
        manager._clear_cache = _cleared  # type: ignore[attr-defined]


def _unhook() -> None:
    manager = logging.root.manager
    if not _boards and vars(manager).get("_clear_cache") is _cleared:
        del manager._clear_cache  # type: ignore[attr-defined]


def _cleared() -> None:
    logging.Manager._clear_cache(logging.root.manager)  # type: ignore[attr-defined]
    for board in tuple(_boards):
        board.update()
