"""A stream on its way to another process: its old reading end, until the new one is open.

Layer: runtime. Runs in: the process that sends a stream on; a thread while any went with messages.
Owns: the old reading end.
Never: keeps it for a receiver that will not come.
"""

from __future__ import annotations

import os
import threading
from time import monotonic
from typing import Any

from procactors.runtime.probe import LOOK_S, PROBE_S, Probe
from procactors.runtime.stream_end import Answered, Cause
from procactors.wire.replies.port import Answer
from procactors.wire.storage import find_file
from procactors.wire.streams.channel import remove_unheld
from procactors.wire.streams.reader import ItemReader
from procactors.wire.transport import Transport

__all__ = ["Handover", "claim"]


class Handover:
    """Holds the old end open until the new one is.

    Args:
        transport: of this process.
        reader: has the old end.
        cause: of the stream's end.

    Attributes:
        claim: the file whose removal is the right to read on.
    """

    is_awaited = False
    call: int | None = None

    def __init__(self, transport: Transport, reader: ItemReader, cause: Cause) -> None:
        self._transport = transport
        self._reader = reader
        self._cause = cause
        self.claim = ""
        #: The new end is open, or there will be none.
        self.is_over = False
        transport.on_close(self._close)

    def deliver(self, _answer: Answer | None, _error: BaseException | None) -> None:
        """Let the old end go: the new one is open, or this process's part in the system is over."""
        self._close()
        self._transport.off_close(self._close)
        if isinstance(self._cause, Answered):
            self._cause.move()

    def cancel(self) -> None:
        """Close the stream, unless another process has it."""
        if self.is_over:
            return
        try:
            claim(self._transport.path, self.claim)
        except FileNotFoundError:
            return
        self._transport.off_close(self._close)
        self.is_over = True
        self._cause.leave(is_closed=True)
        self._reader.close()

    def watch(self, ref: Any) -> None:
        """See to it that the stream is closed if the message that it is in is never handled.

        Args:
            ref: of the message's receiver.
        """
        _watch.add(_Watched(self, self._transport, ref))

    def give_up(self) -> None:
        """Let the stream go: its receiver has passed the message, and has not told us."""
        self.cancel()
        self.deliver(None, None)

    def _close(self) -> None:
        if not self.is_over:
            self.is_over = True
            self._reader.chunks.clear()
            self._reader.ends.close()
            # Its new reader may have died by now; a sweep has met us then.
            remove_unheld(self._transport.path, self._reader.ends.number)


class _Watched:
    """A handover, and the probe behind the message that it went with."""

    def __init__(self, handover: Handover, transport: Transport, ref: Any) -> None:
        self._handover = handover
        self._probe = Probe(transport, ref)
        self._due = monotonic() + PROBE_S

    def look(self) -> bool:
        """See how far it is; return whether it is over."""
        if self._handover.is_over:
            return True
        if self._probe.is_passed:
            # Word of a receiver that has opened it came before the answer to the probe.
            self._handover.give_up()
            return True
        if monotonic() >= self._due:
            self._probe.send()
        return False


class _Watch:
    """All handovers of this process that went with a message; a thread while there are any."""

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        # Guards the list's end: what is added then begins another thread.
        self._lock = threading.Lock()
        self._is_running = False
        self._pause = threading.Event()  # never set

    def add(self, watched: _Watched) -> None:
        """Look after one."""
        with self._lock:
            self._watched.append(watched)
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, name="procactors-handover", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._pause.wait(LOOK_S)
            over = [one for one in list(self._watched) if one.look()]
            with self._lock:
                for one in over:
                    self._watched.remove(one)
                if not self._watched:
                    self._is_running = False
                    return


_watch = _Watch()


def claim(path: str, name: str) -> None:
    """Take the right to read a stream.

    Raises:
        FileNotFoundError: somebody has it.
    """
    os.unlink(find_file(path, name))
