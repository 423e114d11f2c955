"""The actor of a spare's rehearsal.

Layer: api. Runs in: spare.
Owns: nothing.
Never: is imported but by the rehearsal, whose first step that is, as it is a real actor's.
"""

__all__ = ["Nobody"]


class Nobody:
    """Does nothing."""

    def act(self) -> None:
        """Do nothing."""
