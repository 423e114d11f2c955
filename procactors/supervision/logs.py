"""The logs of a system's actors, as the system's maker wants them.

Layer: supervision. Runs in: parent; `begins`, `ended` and `removed` in the supervisor's thread.
Owns: the log pipe and its thread, the board of levels, the pipes of what actors print (`close`).
Never: is loaded with more than is asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.process.output import FILES, PREFIX
from procactors.wire.log_levels import Levels

if TYPE_CHECKING:
    from procactors.supervision.log_intake import LogIntake
    from procactors.supervision.log_levels import LevelBoard
    from procactors.supervision.output_relay import OutputRelay

__all__ = ["Logs"]

#: Where `stdout="files"` has its files, in the program's directory.
_FOLDER = "procactors-logs"


class Logs:
    """What actors log and print, on its way to the program.

    Args:
        logs, stdout: as `ActorSystem` takes them.
        most: times that a line is shown in a second; None: always.
        runtime_dir, system: of the system, its name.

    Raises:
        OSError: a pipe or a folder could not be made.
    """

    def __init__(
        self, logs: str, stdout: str, most: int | None, runtime_dir: str, system: str
    ) -> None:
        self.mode = logs
        self._stdout = stdout
        self._most = most
        self._runtime_dir = runtime_dir
        self._folder = os.path.abspath(os.path.join(_FOLDER, system.replace("/", "%2F")))
        if stdout == FILES:
            os.makedirs(self._folder, exist_ok=True)
        self.intake: LogIntake | None = None
        self._board: LevelBoard | None = None
        self._relay: OutputRelay | None = None

    def open(self, name_of: Callable[[int], str], show: Callable[[int], None]) -> None:
        """Make what is wanted.

        Args:
            name_of: returns an actor's name; from any thread.
            show: tells all actors of a version of the levels; from any thread.
        """
        if self.mode == "forward":
            from procactors.supervision.log_intake import LogIntake
            from procactors.supervision.log_levels import LevelBoard

            self.intake = LogIntake(self._runtime_dir, name_of, self._most)
            self._board = LevelBoard(self._runtime_dir, show)
            self._board.open()
        if self._stdout == PREFIX:
            from procactors.supervision.output_relay import OutputRelay

            self._relay = OutputRelay()

    @property
    def levels(self) -> Levels:
        """The levels that hold, for an actor that starts."""
        return (0, 0, {}) if self._board is None else self._board.levels

    @property
    def output(self) -> str:
        """What an actor is told of what it prints: a mode, or the folder for its files."""
        return self._folder if self._stdout == FILES else self._stdout

    def begins(self, actor: int, name: str, folder: str) -> None:
        """A life begins: have what it prints come to here, if that is wanted.

        Raises:
            OSError: no descriptor or no room is left.
        """
        if self._relay is not None:
            self._relay.add(actor, name, folder)

    def ended(self, actor: int, incarnation: int, pid: int, count: int) -> None:
        """A life is over that has logged `count` records."""
        if self.intake is not None:
            self.intake.ended(actor, incarnation, pid, count)
        if self._relay is not None:
            self._relay.flush(actor)

    def removed(self, actor: int) -> None:
        """An actor is over for good."""
        if self._relay is not None:
            self._relay.remove(actor)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was logged by now is handed over; False: not in time."""
        return self.intake is None or self.intake.flush(timeout)

    def close(self, timeout: float) -> None:
        """Hand over what has come; waits up to `timeout` seconds for the program's handlers."""
        if self._board is not None:
            self._board.close()
        if self.intake is not None:
            self.intake.close(timeout)
        if self._relay is not None:
            self._relay.close(timeout)

    def forget(self) -> None:
        """Close what a forked copy has inherited."""
        if self._board is not None:
            self._board.close()
        if self.intake is not None:
            self.intake.forget()
        if self._relay is not None:
            self._relay.forget()
