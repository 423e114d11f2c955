"""The actors that are measured, in a module that any process can import.

Measures: nothing. The floors call the very same classes, so that both sides run the same handler.
How: plain classes with the smallest handlers that still do something.
Never: does work at import, keeps anything between rounds but a number.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from procactors import Shared


class Counter:
    """A number, and the smallest useful handler: one argument in, one int out."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def add(self, by: int) -> int:
        """Add and answer the new value."""
        self.value += by
        return self.value

    def receive(self, message: int) -> int:
        """Do the same for a message that is a value."""
        self.value += message
        return self.value


class Held(Counter):
    """A counter that can be kept inside a handler."""

    def hold(self, path: str) -> None:
        """Return when the named pipe is opened for writing, and closed."""
        with open(path, "rb") as gate:
            gate.read()


def count_to(turns: int) -> int:
    """Count: work of any length for the CPU alone."""
    counted = 0
    for _ in range(turns):
        counted += 1
    return counted


def square(number: int) -> int:
    """Answer the square: next to nothing to do."""
    return number * number


class Payload:
    """Bytes that pickle hands over out of band: what is sent where numpy is missing."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Give the buffer to pickle as it is, uncopied."""
        return Payload, (pickle.PickleBuffer(self.data),)


class Weigher:
    """Takes large arguments; one handler looks at their size only, the other reads every byte."""

    def size(self, payload: Any) -> int:
        """Answer the number of bytes, without looking at them."""
        return view_of(payload).nbytes

    def total(self, payload: Any) -> int:
        """Read every byte, and answer something that depends on all of them."""
        return total_of(payload)


class Holder:
    """Reads shared values to the last byte, and holds on to them."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def hold(self, shared: Shared[Any]) -> int:
        """Answer something that depends on all bytes."""
        self.held.append(shared.get())
        return total_of(self.held[-1])


class Sieve:
    """Counts primes by trial division: work for the CPU alone, with nothing to send."""

    def count(self, start: int, stop: int) -> int:
        """Answer how many primes there are from start up to, without, stop."""
        return count_primes(start, stop)


def view_of(payload: Any) -> memoryview:
    """Answer the bytes of a payload or an array as a flat view."""
    data = payload.data if isinstance(payload, Payload) else payload
    return memoryview(data).cast("B")


def total_of(payload: Any) -> int:
    """Read every byte once: the sum of an array, or else a checksum of the bytes."""
    if isinstance(payload, Payload):
        import zlib  # here, so that an actor's start does not pay for it

        return zlib.crc32(view_of(payload))
    return int(payload.sum())


def count_primes(start: int, stop: int) -> int:
    """Count the primes in a range, dividing each odd number by all odd ones up to its root."""
    found = 0
    for number in range(max(start, 2), stop):
        if number % 2 == 0:
            found += number == 2
            continue
        divisor = 3
        while divisor * divisor <= number and number % divisor:
            divisor += 2
        found += divisor * divisor > number
    return found
