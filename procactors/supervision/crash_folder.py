"""The folder of crash reports: one JSON file a crash, and beside it the message in hand.

Layer: supervision. Runs in: parent; a thread of its own writes, begun with the first crash.
Owns: the thread (`close`), the queue before it. The files are the user's: nothing removes them.
Never: holds up the supervisor: a slow disk costs memory up to a bound, a full one a line in the
log; unpickles a message.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import os
import platform
import queue
import re
import threading
from time import monotonic
from typing import Any

from procactors.crash import CrashReport
from procactors.light_tuple import NamedTuple
from procactors.wire.pickling.bundle import pack
from procactors.wire.storage import write_whole

__all__ = ["CrashFolder", "InHand"]

_log = logging.getLogger("procactors")

#: Reports, and bytes of messages, that may wait for the disk.
_REPORTS, _BYTES = 1000, 256 * 1024 * 1024

_WARNING = "loading it runs what its sender put into it: load only what you trust"


class InHand(NamedTuple):
    """An encoded message, copied.

    Attributes:
        handler: name of the method, or ``receive``.
        is_call: whether it is ``(args, kwargs)`` of a method.
        head, buffers: see `codec.Encoded`.
    """

    handler: str
    is_call: bool
    head: bytes
    buffers: tuple[bytes, ...]

    @property
    def size(self) -> int:
        """Bytes in sum."""
        return len(self.head) + sum(map(len, self.buffers))


class CrashFolder:
    """Where a system writes its crash reports.

    Args:
        path: the folder; made when it is missing, readable by its user alone.
        runtime_dir: the runtime directory, in which messages find their definitions.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], runtime_dir: str) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self._runtime_dir = runtime_dir
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        self._waiting: queue.Queue[tuple[CrashReport, InHand | str | None] | None]
        self._waiting = queue.Queue(_REPORTS)
        self._bytes = 0
        # Guards the number of bytes that wait, which two threads change.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, report: CrashReport, message: InHand | None) -> None:
        """Have a report written, soon. From the supervisor's thread."""
        kept: InHand | str | None = message
        if message is not None:
            with self._lock:
                if self._bytes and self._bytes + message.size > _BYTES:
                    kept = "left out: too many bytes waited for the disk"
                else:
                    self._bytes += message.size
        try:
            self._waiting.put_nowait((report, kept))
        except queue.Full:
            self._done(kept)
            _log.error("crash report not written, the disk is too slow: %s", report.summary)
            return
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="procactors-crashes", daemon=True
            )
            self._thread.start()

    def close(self, timeout: float) -> None:
        """Write what waits, for at most `timeout` seconds, and end the thread."""
        if self._thread is None:
            return
        deadline = monotonic() + timeout
        with contextlib.suppress(queue.Full):
            self._waiting.put(None, timeout=timeout)
        self._thread.join(max(0.0, deadline - monotonic()))
        if self._thread.is_alive():
            _log.error("crash reports are still being written to %s; left behind", self.path)

    def _run(self) -> None:
        while (item := self._waiting.get()) is not None:
            report, message = item
            try:
                self._write(report, message)
            except Exception:  # noqa: BLE001 - see below
                # So wide because nothing else would write the next one; a full disk is the
                # ordinary case.
                _log.exception("crash report not written to %s: %s", self.path, report.summary)
            finally:
                self._done(message)

    def _done(self, message: InHand | str | None) -> None:
        if isinstance(message, InHand):
            with self._lock:
                self._bytes -= message.size

    def _write(self, report: CrashReport, message: InHand | str | None) -> None:
        stem = self._new_stem(report)
        facts = report.to_dict()
        facts["python"] = platform.python_version()
        facts["message"] = {"left_out": message} if isinstance(message, str) else None
        if isinstance(message, InHand):
            facts["message"] = self._write_message(stem, message)
        write_whole(f"{stem}.json", json.dumps(facts, indent=2).encode())

    def _new_stem(self, report: CrashReport) -> str:
        at = report.at.replace(":", "").replace("+0000", "Z")
        # Whatever is in a name: it stays one file, in this folder, of a length that may be.
        name = re.sub(r"[^\w.-]", "_", report.actor, flags=re.ASCII)[:100]
        first = stem = os.path.join(self.path, f"{at}-{name}-{report.incarnation}")
        for number in itertools.count(2):
            if not os.path.exists(f"{stem}.json"):
                break
            stem = f"{first}-{number}"  # two systems, one folder, one instant
        return stem

    def _write_message(self, stem: str, message: InHand) -> dict[str, Any]:
        gives = "(args, kwargs) of the handler" if message.is_call else "the message"
        facts: dict[str, Any] = {"handler": message.handler, "file": None, "gives": gives}
        try:
            bundle = pack(message.head, message.buffers, self._runtime_dir)
            write_whole(f"{stem}.pickle", bundle.data)
        except OSError as error:
            return {**facts, "left_out": str(error)}
        needs = ["the modules of its classes"]
        if bundle.data != message.head or bundle.has_code:
            needs.append("procactors")
        if bundle.has_code:  # a release's bytecode is its own
            needs.append("Python " + ".".join(platform.python_version_tuple()[:2]))
        return {
            **facts,
            "file": f"{os.path.basename(stem)}.pickle",
            "bytes": len(bundle.data),
            "stands_alone": not bundle.missing,
            "missing": bundle.missing,
            "has_code": bundle.has_code,
            "needs": needs,
            "warning": _WARNING,
        }
