"""Checkpoints of actors in one process: kept in its memory, or in a file, by the same rules.

Layer: local. Runs in: one process, in the thread that serves the actor.
Owns: the state that was written last, through all lives of an actor (`LocalState.release`).
Never: lets a life that was killed write, while or after the next one reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.local.box import LocalReader
from procactors.local.here import Killed
from procactors.model.choices import Delivery
from procactors.model.options import Options
from procactors.runner.checkpoints import CheckpointReader, Keeper
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.digest import blake2b

if TYPE_CHECKING:
    from procactors.wire.checkpoint_file import CheckpointFile

__all__ = ["LocalCheckpointReader", "LocalState", "keeper_of"]


class LocalState:
    """The state of one actor, through all its lives.

    Args:
        path: of the file that it is kept in; None: in memory.
    """

    def __init__(self, path: str | None) -> None:
        self.path = path or "in memory"
        self._is_lasting = path is not None
        self._data: bytes | None = None
        self._file: CheckpointFile | None = None
        # Held to read and to write: a life that is killed meanwhile is through with it, or was
        # too late, before the next one reads.
        self._lock = threading.Lock()

    def read(self) -> memoryview | None:
        """Return what was written last; None: nothing was.

        Raises:
            CheckpointError: the file is damaged, or another's. OSError: it cannot be opened.
        """
        with self._lock:
            if not self._is_lasting:
                return None if self._data is None else memoryview(self._data)
            if self._file is None:
                from procactors.wire.checkpoint_file import user_file  # only where it is used

                self._file = user_file(self.path)
            return self._file.read()

    def write(self, is_dead: Callable[[], bool], parts: tuple[bytes | memoryview, ...]) -> None:
        """Write a state, whole, for a life that is not dead."""
        with self._lock:
            if is_dead():
                raise Killed
            if self._file is not None:
                self._file.write(*parts)
            else:
                self._data = b"".join(parts)

    def close(self, is_dead: Callable[[], bool]) -> None:
        """Close the file, at the orderly end of a life."""
        with self._lock:
            if not is_dead():
                self._close()

    def release(self) -> None:
        """Close the file for good: the actor is over."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class _LifesFile:
    """What one life writes to; see `CheckpointFile`."""

    def __init__(self, state: LocalState, reader: Any) -> None:
        self.path = state.path
        self.read = state.read
        self._state = state
        self._reader = reader

    def _is_dead(self) -> bool:
        return bool(self._reader.is_dead)

    def write(self, *parts: bytes | memoryview) -> None:
        """Write a state, whole."""
        self._state.write(self._is_dead, parts)

    def close(self) -> None:
        """Close it, at the life's orderly end."""
        self._state.close(self._is_dead)


class LocalCheckpointReader(CheckpointReader):
    """The reader of an actor with checkpoints, over a mailbox in memory."""

    is_dead = False
    mail: Any
    meter: Any
    records: Any
    key: bytes | None = None

    # All that `CheckpointReader` builds on is the one's in memory.
    __init__ = LocalReader.__init__
    _plain_advance = LocalReader.advance
    _plain_done = LocalReader.done
    take = LocalReader.take
    turn = LocalReader.turn
    waited = LocalReader.waited
    in_hand = LocalReader.in_hand
    give_away = LocalReader.give_away
    give_back = LocalReader.give_back
    wake = LocalReader.wake
    close = LocalReader.close


class _Keeper(Keeper):
    """Writes an actor's state down by its engine's clock."""

    def __init__(self, clock: Callable[[], float], *about: Any) -> None:
        self.clock = clock
        super().__init__(*about)
        if self._is_lasting:
            store: Any = self.store
            self._encode = store.encode_alone

    def restore(self, instance: Any) -> None:
        """Give the actor the state that was written last, if any was."""
        if self._is_lasting:
            # So that what the class uses is known by what is in it: the state may be made of it.
            self._encode(type(instance), self._what)
        super().restore(instance)


def keeper_of(
    state: LocalState,
    reader: Any,
    store: PayloadStore,
    actor: int,
    class_name: str,
    options: Options,
    clock: Callable[[], float],
) -> Keeper:
    """Return what keeps an actor's state, in one life.

    Args:
        state: where.
        reader: the life's.
        store: for encoding.
        actor: the actor's id.
        class_name: its class's, for errors.
        options: the actor's, with a checkpoint.
        clock: the engine's.
    """
    checkpoint = options.checkpoint
    assert checkpoint is not None
    owner = blake2b(f"{store.path}/{actor}".encode(), digest_size=16).digest()
    again = options.delivery is Delivery.AT_LEAST_ONCE
    bounds = checkpoint.messages, checkpoint.seconds, again, checkpoint.file is not None
    file = _LifesFile(state, reader)
    return _Keeper(clock, file, store, owner, class_name, *bounds)
