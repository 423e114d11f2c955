"""Playing a recorded run again, in this process; see `player` for how.

Layer: testing. Runs in: one process: that of an inline system of its own.
Owns: that system, until the run is over.
Never: runs the program that was recorded: only its actors.
"""

from __future__ import annotations

import os

from procactors import ActorSystem
from procactors.late_dataclass import dataclass
from procactors.testing.player import Player
from procactors.wire.run_file import read_run

__all__ = ["Replayed", "replay"]


@dataclass(frozen=True)
class Replayed:
    """What came of a replay that differed in nothing.

    Attributes:
        messages: how many messages were begun.
        lives: how many lives of actors there were.
        left: messages that came in the replay and were not begun in the run: they waited at its
            end, or are new. A line each.
    """

    messages: int
    lives: int
    left: tuple[str, ...]


def replay(file: str | os.PathLike[str], *, seed: int = 0) -> Replayed:
    """Play a recorded run again on an inline system, in this process; compare all that it does.

    Each actor begins the same messages in the same order, and the actors in the same order among
    each other; ``breakpoint()`` in a handler works. Time is the system's own, and goes on as it
    did. What the program had sent is sent again. A death by a signal comes again with the same
    message in hand: before its handler, since nobody knows how far that had come.

    Compared are each message that an actor sends, as its receiver begins it, each answer (values by
    ``==``, else by their pickles; exceptions by class and text), and each death. What handlers draw
    by chance, read of the clock or of files, may be another thing now: that shows as a difference.

    Args:
        file: that `record` has written. Loading it runs what its pickles name.
        seed: of the inline system.

    Returns:
        how much was played.

    Raises:
        Difference: the first one. NotReplayable: a pool's batches, a stream or a share.
            InvalidSpec: no such file, or of another version. OSError: it cannot be read.
    """
    with ActorSystem(backend="inline", seed=seed) as system:
        player = Player(system, list(read_run(os.fspath(file))))
        try:
            player.play()
            return Replayed(len(player.history), player.lives, tuple(player.left()))
        finally:
            player.close()
            system.kill()
