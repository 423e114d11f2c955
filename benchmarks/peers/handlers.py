"""The handlers that actors of other libraries have, whatever their own base class is.

Measures: nothing.
How: what `benchmarks.actors` computes, as methods of one class.
Never: imports a library that is measured.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.actors import square, total_of


class Handlers:
    """A number, and what the rows ask of an actor."""

    value = 0

    def add(self, by: int) -> int:
        """Add and answer the new value."""
        self.value += by
        return self.value

    def total(self, array: Any) -> int:
        """Read an array."""
        return total_of(array)

    def square(self, number: int) -> int:
        """Do one item."""
        return square(number)

    def squares(self, numbers: Any) -> list[int]:
        """Do items."""
        return [square(number) for number in numbers]

    def pid(self) -> int:
        """Say in which process it is."""
        return os.getpid()
