"""Probes: a test as a receiver that says what it expects, and what came instead.

Layer: testing. Runs in: parent.
Owns: an inbox (`close`; else the system's end).
Never: drops what came: what an expectation was not for is kept for the next one, and is shown.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, overload

from procactors.errors import InvalidSpec
from procactors.model.checks import deadline
from procactors.runtime.terminated import Terminated

if TYPE_CHECKING:
    from procactors.runtime.ref import ActorRef

__all__ = ["Probe", "probe"]

T = TypeVar("T")

#: Messages that an error shows, and characters of each.
_SHOWN, _WIDTH = 10, 200


class Probe:
    """Receives messages in a test.

    Seconds are the system's own on an inline system, which runs while a probe waits.

    Attributes:
        ref: send it to actors; what they `tell` it is expected here.
        received: all that was expected and came, oldest first.
    """

    def __init__(self, system: Any) -> None:
        system = getattr(system, "sync", system)  # of an asyncio one
        self._clock = getattr(system, "clock", None)
        self._inbox = system.inbox()
        self.ref: ActorRef[Any] = self._inbox.ref
        self.received: list[Any] = []
        #: Came, and was not expected yet.
        self._kept: deque[Any] = deque()

    @overload
    def expect(
        self, expected: type[T], within: float = ..., *, where: Callable[[T], object] | None = ...
    ) -> T: ...

    @overload
    def expect(
        self, expected: T, within: float = ..., *, where: Callable[[T], object] | None = ...
    ) -> T: ...

    def expect(
        self, expected: Any, within: float = 1.0, *, where: Callable[[Any], object] | None = None
    ) -> Any:
        """Receive the next message, and return it. Blocks until it comes, up to `within` seconds.

        Args:
            expected: a value that it equals, or a class that it is an instance of.
            within: seconds in which it comes.
            where: called with a message that is as expected so far; true if it is all of it.

        Raises:
            AssertionError: another one came, which is kept for the next expectation; or none.
        """
        return self._expect((expected,), _shown(expected, where), within, where)

    def expect_any(self, *expected: Any, within: float = 1.0) -> Any:
        """Receive the next message, which is one of several, and return it; see `expect`."""
        return self._expect(expected, " or ".join(map(_shown, expected)), within)

    def expect_all(self, *expected: Any, within: float = 1.0) -> list[Any]:
        """Receive as many messages as are expected, in whatever order they come.

        Returns:
            the messages, in the order of the arguments.

        Raises:
            AssertionError: one of them did not come in `within` seconds, in sum; or another one
                came. All that came is kept.
        """
        if not expected:
            raise InvalidSpec("expect_all takes what is expected, and nothing was given")
        missing = dict(enumerate(expected))
        found: dict[int, Any] = {}
        until = self._until(within)
        while missing:
            wanted = " and ".join(_shown(one) for one in missing.values())
            try:
                message = self._next(until)
            except TimeoutError:
                self._put_back(found)
                raise self._missed(f"{wanted} within {within:g} s") from None
            which = next((at for at, one in missing.items() if _is(message, one)), None)
            if which is None:
                self._kept.appendleft(message)
                self._put_back(found)
                raise self._missed(wanted, message)
            found[which] = message
            del missing[which]
        self.received += found.values()
        return [found[at] for at in range(len(expected))]

    def expect_nothing(self, within: float = 0.1) -> None:
        """See that no message comes for so many seconds.

        Raises:
            AssertionError: one came, and is kept.
        """
        try:
            found = self._next(self._until(within))
        except TimeoutError:
            return
        self._kept.appendleft(found)
        raise self._missed(f"nothing for {within:g} s", found)

    def expect_terminated(self, ref: ActorRef[Any], within: float = 1.0) -> Terminated:
        """See that an actor ends for good, or has; return the event.

        Messages that come before it are kept, for expectations behind this one.

        Raises:
            AssertionError: it has not ended in `within` seconds; the text has what came instead.
        """
        until = self._until(within)
        self._inbox.watch(ref)
        passed: list[Any] = []
        try:
            while True:
                message = self._next(until)
                if isinstance(message, Terminated) and message.ref == ref:
                    self.received.append(message)
                    return message
                passed.append(message)
        except TimeoutError:
            pass
        finally:
            self._kept.extendleft(reversed(passed))
        raise self._missed(f"the end of {ref.name} within {within:g} s")

    def close(self) -> None:
        """Receive nothing more."""
        self._inbox.close()

    def __repr__(self) -> str:
        return f"<Probe {self.ref.name}: {len(self.received)} received, {len(self._kept)} kept>"

    # -- how it is done ---------------------------------------------------------------------------

    def _expect(
        self,
        expected: tuple[Any, ...],
        wanted: str,
        within: float,
        where: Callable[[Any], object] | None = None,
    ) -> Any:
        if not expected:
            raise InvalidSpec("expect_any takes what is expected, and nothing was given")
        if where is not None and not callable(where):
            raise InvalidSpec(f"where is called with the message, and {where!r} cannot be")
        try:
            found = self._next(self._until(within))
        except TimeoutError:
            raise self._missed(f"{wanted} within {within:g} s") from None
        if not any(_is(found, one) for one in expected) or (where is not None and not where(found)):
            self._kept.appendleft(found)
            raise self._missed(wanted, found)
        self.received.append(found)
        return found

    def _now(self) -> float:
        return monotonic() if self._clock is None else float(self._clock.now)

    def _until(self, within: float) -> float:
        return self._now() + deadline("within", within)

    def _next(self, until: float) -> Any:
        """Return the next message: one that was kept, or that comes. Raises TimeoutError."""
        if self._kept:
            return self._kept.popleft()
        return self._inbox.receive(max(0.0, until - self._now()))

    def _put_back(self, found: dict[int, Any]) -> None:
        """Keep what was found: it came in the order in which it was put there."""
        self._kept.extendleft(reversed(found.values()))

    def _missed(self, wanted: str, *came: Any) -> AssertionError:
        """Return the error of an expectation, with all that is there instead."""
        while len(self._kept) < _SHOWN:
            try:
                self._kept.append(self._inbox.receive(0.0))
            except TimeoutError:
                break
        lines = [f"expected {wanted}, but {_text(came[0])} came" if came else f"expected {wanted}"]
        others = list(self._kept)[len(came) : _SHOWN]
        if others:
            lines += ["behind it:" if came else "there is instead:"]
            lines += [f"  {_text(one)}" for one in others]
        elif not came:
            lines[0] += ", but nothing came"
        if self.received:
            lines += ["it had received before:"]
            lines += [f"  {_text(one)}" for one in self.received[-_SHOWN:]]
        return AssertionError("\n".join(lines))


def _is(message: Any, expected: Any) -> bool:
    """Whether a message is what is expected."""
    if isinstance(expected, type):
        return isinstance(message, expected)
    return bool(message == expected)


def _shown(expected: Any, where: Callable[[Any], object] | None = None) -> str:
    text = expected.__qualname__ if isinstance(expected, type) else repr(expected)
    if where is None:
        return text
    return f"{text} where {getattr(where, '__qualname__', repr(where))}"


def _text(message: Any) -> str:
    text = repr(message)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ..."


def probe(system: Any) -> Probe:
    """Return a new probe in a system, on whatever backend."""
    return Probe(system)
