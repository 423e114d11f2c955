"""What a task of an event loop waits for: the answer to an ask, or word that a message was sent.

Layer: runtime. Runs in: any process with an event loop: `deliver` in the thread that reads replies,
the rest in the loop's.
Owns: the undecoded answer, and with it the answer's segment, until it is opened or given up.
Never: runs user code in the reader thread; lets an answer go that nobody has opened (`_unwanted`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from procactors.runtime.aside import aside
from procactors.runtime.client import SUPERVISOR_NAME
from procactors.runtime.loop_port import LoopPort, port_here
from procactors.wire.replies.port import BEING_SENT, Answer
from procactors.wire.transport import SUPERVISOR, Transport

__all__ = ["Awaited", "Ignored", "command"]


class Awaited:
    """Await it once, in the task that made it.

    The light form of a `Reply`: no thread waits for it, so it needs no lock.

    Args:
        port: of the running loop.
        transport: of this process.
    """

    __slots__ = ("_answer", "_error", "_future", "_is_given_up", "_port", "call", "transport")

    #: A task waits for it from the beginning.
    is_awaited = True

    def __init__(self, port: LoopPort, transport: Transport) -> None:
        self.transport = transport
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._is_given_up = False
        self.call: int | None = None
        self._port = port
        self._future = port.new_future(transport)

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Take the answer, or the error, or neither: then there is no more to be said."""
        self._answer, self._error = answer, error
        # In this order, and `_give_up` in the other one: of two at once, one at least sees both.
        if self._is_given_up or not self._port.post(self):
            self._let_go()

    def release(self) -> None:
        """Let the task go on."""
        if not self._future.done():
            self._future.set_result(None)

    def is_wanted(self) -> bool:
        """Whether a task still waits."""
        return not self._is_given_up

    def want_no_more(self, actor: int) -> None:
        """Cancel the message of an ask that is given up; does not wait.

        Args:
            actor: to which it was sent.
        """
        call = self.call
        if call is not None and call != BEING_SENT and not self.transport.is_copy:
            self.transport.want_no_more(actor, call)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            yield from self._future
        except BaseException:  # cancelled, or closed with its loop
            self._give_up()
            raise
        answer, self._answer = self._answer, None
        is_good, value = False, self._error
        if answer is None:
            if value is None:
                return None
            self._error = None
        elif self.transport.store.is_large(answer.flags, answer.value):
            is_good, value = yield from aside(self.transport.open, answer).__await__()
        else:
            is_good, value = self.transport.open(answer)
        if is_good:
            return value
        try:
            raise value
        finally:
            del self, value  # no circle with the error, whose traceback has this frame

    def _give_up(self) -> None:
        self._is_given_up = True
        self._let_go()

    def _let_go(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not self.transport.is_copy:
            self._unwanted(answer)

    def _unwanted(self, answer: Answer) -> None:
        """Deal with an answer that nobody waits for. In any thread; must run no user code."""
        self.transport.discard(answer)

    def __del__(self) -> None:
        self._let_go()  # its loop was closed in between


class Ignored:
    """What takes the answer to a command whose outcome nobody needs."""

    is_awaited = False
    call: int | None = None

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Forget it: the supervisor's answers are small."""


async def command(
    transport: Transport, what: Any, timeout: float | None = None, kind: type[Awaited] = Awaited
) -> Any:
    """Give the supervisor a command and wait for what comes of it, up to `timeout` seconds.

    Given up, the command stands; what comes of it is for `kind` to deal with.

    Raises:
        What `Client.ask` raises.
    """
    transport.check_process()
    awaited = kind(port_here(), transport)
    encoded = transport.encode(what)
    transport.submit(SUPERVISOR, SUPERVISOR_NAME, b"", encoded, awaited, timeout)
    return await awaited
