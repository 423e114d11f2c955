"""The logs of a system's actors, as the system's maker wants them.

Layer: supervision. Runs in: parent; `begins`, `ended` and `removed` in the supervisor's thread.
Owns: the log pipe and its thread, the board of levels, the pipes of what actors print (`close`).
Never: is loaded with more than is asked for.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from procactors.process.order import FILES, PREFIX
from procactors.wire.runtime_dir import LOG_PIPE

if TYPE_CHECKING:
    from procactors.supervision.log_intake import LogIntake
    from procactors.supervision.log_levels import LevelBoard
    from procactors.supervision.output_relay import OutputRelay
    from procactors.wire.log_levels import Levels

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
        self._folder = ""
        if stdout == FILES:
            from procactors.process.output import file_stem  # only where it is used

            self._folder = os.path.abspath(os.path.join(_FOLDER, file_stem(system)))
            os.makedirs(self._folder, exist_ok=True)
        #: Of the log pipe; -1: there is none, or it is the intake's.
        self._fd = -1
        # Made with the first record, by whoever sees it first.
        self._intake: LogIntake | None = None
        self._making = threading.Lock()
        self._name_of: Callable[[int], str] = str
        self._board: LevelBoard | None = None
        self._relay: OutputRelay | None = None

    def open(self, name_of: Callable[[int], str], show: Callable[[int], None]) -> None:
        """Make what is wanted.

        Args:
            name_of: returns an actor's name; from any thread.
            show: tells all actors of a version of the levels; from any thread.
        """
        if self.mode == "forward":
            from procactors.supervision.log_levels import LevelBoard

            self._name_of = name_of
            path = os.path.join(self._runtime_dir, LOG_PIPE)
            os.mkfifo(path, 0o600)
            # Both ways: so it is never at its end, however many actors come and go.
            self._fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._board = LevelBoard(self._runtime_dir, show)
            self._board.open()
        if self._stdout == PREFIX:
            from procactors.supervision.output_relay import OutputRelay

            self._relay = OutputRelay()

    def fileno(self) -> int:
        """Return the descriptor that is readable when the first record has come; -1: none will."""
        return self._fd

    def begin(self) -> LogIntake:
        """Take in records, from now on: the first one has come."""
        with self._making:
            if self._intake is None:
                from procactors.supervision.log_intake import LogIntake  # only where it is used

                self._intake = LogIntake(self._runtime_dir, self._fd, self._name_of, self._most)
                self._intake.begin()
            return self._intake

    def _has_records(self) -> bool:
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return self._intake is not None or bool(poll.poll(0))

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
        if count and self._fd >= 0:
            self.begin().ended(actor, incarnation, pid, count)
        if self._relay is not None:
            self._relay.flush(actor)

    def removed(self, actor: int) -> None:
        """An actor is over for good."""
        if self._relay is not None:
            self._relay.remove(actor)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was logged by now is handed over; False: not in time."""
        return self._fd < 0 or not self._has_records() or self.begin().flush(timeout)

    def close(self, timeout: float) -> None:
        """Hand over what has come; waits up to `timeout` seconds for the program's handlers."""
        if self._board is not None:
            self._board.close()
        if self._fd >= 0:
            if not self._has_records():
                os.close(self._fd)
            else:
                self.begin().close(timeout)  # which closes the descriptor, now or when it can
            self._fd = -1
        if self._relay is not None:
            self._relay.close(timeout)

    def forget(self) -> None:
        """Close what a forked copy has inherited."""
        if self._board is not None:
            self._board.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self._relay is not None:
            self._relay.forget()
