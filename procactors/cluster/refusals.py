"""What a cluster has not, where an attempt at it is met.

Layer: cluster. Runs in: the program and the actors' processes.
Owns: nothing.
Never: lets anything happen before it refuses.
"""

from __future__ import annotations

from typing import Any, NoReturn

from procactors.model.backends import unsupported

__all__ = ["NoShares", "refuse_feed"]


class NoShares:
    """Stands for the values that a system shares."""

    def share(self, value: Any) -> NoReturn:
        """Refuse to share one."""
        raise unsupported("shares", "ray")

    def all(self) -> NoReturn:
        """Refuse to list them."""
        raise unsupported("shares", "ray")


def refuse_feed(*_: Any) -> NoReturn:
    """Refuse to send a feed."""
    raise unsupported("feeds", "ray")
