"""What options take: numbers, seconds and sizes, as a user writes them.

Layer: cli. Runs in: parent.
Owns: nothing.
Never: guesses: a text that is not understood is named in the error.
"""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

__all__ = ["seconds", "seconds_of_work", "size", "whole"]

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def whole(lowest: int) -> Callable[[str], int]:
    """Return what reads a whole number of at least `lowest`."""

    def read(text: str) -> int:
        number = int(text) if text.isdecimal() else -1
        if number < lowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {lowest}")
        return number

    return read


def seconds(text: str) -> float:
    """Read a number of seconds from 0 on."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0 on")
    return number


def seconds_of_work(text: str) -> float:
    """Read a number of seconds in which something can be done."""
    number = seconds(text)
    if not number:
        raise argparse.ArgumentTypeError("an item needs more than 0 seconds")
    return number


def size(text: str) -> int:
    """Read a number of bytes, with a unit or without."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip(), re.IGNORECASE)
    unit = found[2].lower() if found else ""
    factor = _UNITS.get(unit) or _BINARY.get(unit)
    number = int(float(found[1]) * factor) if found and factor else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size, as in 500M, 2G or 2Gi")
    return number
