"""What writes the dead letters of a system in this process to a file.

Layer: local. Runs in: one process: in a thread of its own, or, where one thread runs at a time, in
whatever has something to write.
Owns: the file (`close`).
Never: lets a thread of its own into a system whose order is drawn from a seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.deadletters.file import LetterFile
from procactors.deadletters.store import DeadLetters
from procactors.deadletters.writer import DeadLetterWriter
from procactors.wire.storage import write_file

if TYPE_CHECKING:
    from procactors.local.transport import LocalTransport

__all__ = ["LocalLetterWriter", "TurnLetterWriter"]


class LocalLetterWriter(DeadLetterWriter):
    """A writer whose actors' blueprints are in memory."""

    _transport: Any

    def _keep_blueprint(self, blueprint: str, name: str) -> str:
        data = self._transport.store.read(blueprint)
        return write_file(self._transport.path, name, data)


class TurnLetterWriter(LocalLetterWriter):
    """A writer without a thread: what there is to write is written at once."""

    def __init__(
        self,
        path: str,
        name: str,
        transport: LocalTransport,
        letters: DeadLetters,
        address_of: Callable[[str], int | None],
    ) -> None:
        super().__init__(path, name, transport, letters, address_of)  # type: ignore[arg-type]
        self._engine = transport.engine
        self._file: LetterFile | None = None

    def open(self) -> None:
        """Open the file. Raises what `DeadLetterWriter.open` does."""
        file = self._open_file(any_thread=True)
        try:
            os.mkdir(self._folder, 0o700)
            self._begin(file)
        except BaseException:
            file.close()
            raise
        self._file = file

    def close(self, timeout: float) -> None:
        """Write what waits, within `timeout` seconds, and close the file."""
        if self._file is None:
            return
        self._end_by = monotonic() + timeout
        while not self._turn(self._file, is_rung=False)[0]:
            pass  # it tries for as long as there is time
        self._is_open = False
        self._file.close()
        self._file = None
        self._tell_missing()

    def _wake_thread(self) -> None:
        if self._file is None:
            return
        patience = self._turn(self._file, is_rung=False)[1]
        if patience is not None:
            self._engine.at(self._engine.now() + patience, self._wake_thread)

    def _hand_over(self, file: LetterFile) -> float | None:
        """Have marked letters handed over, in their turn: it is no task of who writes one."""
        if self._marked:
            self._engine.later(self._hand)
        return None

    def _hand(self) -> None:
        if self._file is None:
            return
        patience = super()._hand_over(self._file)
        if patience is not None:
            self._engine.at(self._engine.now() + patience, lambda: self._engine.later(self._hand))
