"""Checkpoints of actors in one process: the states are kept in its memory, by the same rules.

Layer: local. Runs in: one process, in the thread that serves the actor.
Owns: the state that was written last (with the actor's host).
Never: outlives the program: a `Checkpoint` with a file is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from procactors.local.box import LocalReader
from procactors.model.choices import Delivery
from procactors.model.options import Options
from procactors.runner.checkpoints import CheckpointReader, Keeper
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.digest import blake2b

__all__ = ["LocalCheckpointReader", "LocalStateFile", "keeper_of"]


class LocalStateFile:
    """What `CheckpointFile` is, in memory: through all lives of one actor."""

    path = "in memory"

    def __init__(self) -> None:
        self._data: bytes | None = None

    def read(self) -> memoryview | None:
        """Return what was written last; None: nothing was."""
        return None if self._data is None else memoryview(self._data)

    def write(self, *parts: bytes | memoryview) -> None:
        """Write a state, whole."""
        self._data = b"".join(parts)

    def close(self) -> None:
        """Nothing is open."""


class LocalCheckpointReader(CheckpointReader):
    """The reader of an actor with checkpoints, over a mailbox in memory."""

    is_dead = False
    mail: Any
    meter: Any = None
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


def keeper_of(
    file: LocalStateFile,
    store: PayloadStore,
    actor: int,
    class_name: str,
    options: Options,
    clock: Callable[[], float],
) -> Keeper:
    """Return what keeps an actor's state, in one life.

    Args:
        file: where.
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
    bounds = checkpoint.messages, checkpoint.seconds, again, False
    return _Keeper(clock, file, store, owner, class_name, *bounds)
