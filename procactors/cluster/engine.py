"""The engine of the program's side, and of an actor's process: threads, as on `threads`.

Layer: cluster. Runs in: the program and the actors' processes, any thread.
Owns: nothing beside its base's.
Never: takes a step of an actor's life in the program.
"""

from __future__ import annotations

from procactors.local.threads import Threads

__all__ = ["ClusterEngine"]


class ClusterEngine(Threads):
    """The engine of `backend="ray"`."""

    name = "ray"
