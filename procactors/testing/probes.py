"""Probes: a test as a receiver that says what it expects, and what came instead.

Layer: testing. Runs in: parent.
Owns: an inbox (`close`; else the system's end).
Never: drops what came: the error of a failed expectation shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from procactors.runtime.terminated import Terminated

if TYPE_CHECKING:
    from procactors.runtime.ref import ActorRef

__all__ = ["Probe", "probe"]


class Probe:
    """Receives messages in a test.

    Attributes:
        ref: send it to actors; what they `tell` it is expected here.
    """

    def __init__(self, system: Any) -> None:
        self._inbox = system.inbox()
        self.ref: ActorRef[Any] = self._inbox.ref

    def expect(self, expected: Any, within: float = 1.0) -> Any:
        """Receive the next message, and return it.

        Args:
            expected: a value that it equals, or a class that it is an instance of.
            within: seconds in which it comes.

        Raises:
            AssertionError: another one came, or none.
        """
        shown = expected.__qualname__ if isinstance(expected, type) else repr(expected)
        try:
            found = self._inbox.receive(within)
        except TimeoutError:
            raise AssertionError(
                f"expected {shown} within {within:g} s, but nothing came"
            ) from None
        is_it = isinstance(found, expected) if isinstance(expected, type) else found == expected
        if not is_it:
            raise AssertionError(f"expected {shown}, but {found!r} came")
        return found

    def expect_nothing(self, within: float = 0.1) -> None:
        """See that no message comes for so many seconds.

        Raises:
            AssertionError: one came.
        """
        try:
            found = self._inbox.receive(within)
        except TimeoutError:
            return
        raise AssertionError(f"expected nothing for {within:g} s, but {found!r} came")

    def expect_terminated(self, ref: ActorRef[Any], within: float = 1.0) -> Terminated:
        """See that an actor ends for good, or has; return the event.

        Raises:
            AssertionError: another message came, or none in `within` seconds.
        """
        self._inbox.watch(ref)
        event = self.expect(Terminated, within)
        if event.ref != ref:
            raise AssertionError(f"expected the end of {ref.name}, but {event.ref.name} ended")
        return event  # type: ignore[no-any-return]  # `expect` has looked

    def close(self) -> None:
        """Receive nothing more."""
        self._inbox.close()


def probe(system: Any) -> Probe:
    """Return a new probe in a system, on whatever backend."""
    return Probe(system)
