"""What is raised where a run that is played again goes another way.

Layer: testing. Runs in: the process of an inline system.
Owns: nothing.
Never: shows a whole run: its last messages tell where it was.
"""

from __future__ import annotations

__all__ = ["Difference"]

#: Messages that the error shows.
_SHOWN = 8


class Difference(AssertionError):
    """A run that is played again goes another way than the one that was recorded.

    Attributes:
        number: of the message, from 1, in the order in which they were begun: up to it all was
            alike.
        what: what differs.
        history: the messages up to it, a line each.
    """

    def __init__(self, number: int, what: str, history: list[str]) -> None:
        self.number, self.what, self.history = number, what, history
        last = history[-_SHOWN:]
        more = f"  ... {len(history) - len(last)} before\n" if len(history) > len(last) else ""
        told = "\n  ".join(last)
        super().__init__(f"at message {number}: {what}\nmessages up to it:\n{more}  {told}")
