"""py-spy, where it is installed: it reads a process's memory, and needs nothing of the process.

Layer: outside. Runs in: another process of the same user, which the kernel lets do so.
Owns: py-spy's process, until it has ended.
Never: needed: what it is asked for is said to be missing, and how it would be had.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from typing import Any

from procactors.light_tuple import NamedTuple

__all__ = ["Found", "Thread", "dumped", "is_installed", "recorded"]

#: Seconds for which py-spy may read one stack; with native frames it reads libraries' symbols.
_DUMP_S, _NATIVE_S = 5.0, 30.0
#: And longer than a recording is to take.
_MORE_S = 15.0

_MISSING = "py-spy would show it, if it were installed (pip install py-spy)"


class Thread(NamedTuple):
    """A thread; its frames are (file, line, function), innermost first."""

    name: str
    is_main: bool
    frames: tuple[tuple[str, int, str], ...]


class Found(NamedTuple):
    """What py-spy has found; `note` says why it has found nothing."""

    threads: tuple[Thread, ...] = ()
    source: str = ""
    note: str = ""


def is_installed() -> bool:
    """Whether there is a py-spy, beside this interpreter or on the path."""
    return _program() is not None


def dumped(pid: int, *, native: bool = False, is_stopped: bool = False) -> Found:
    """Return the stacks of a process.

    Blocks for as long as it takes to read them, some seconds at most.

    Args:
        pid: of the process.
        native: with the frames of C code.
        is_stopped: it is, so it need not be paused.
    """
    program = _program()
    if program is None:
        return Found(note=_MISSING)
    words = [program, "dump", "--json", "--pid", str(pid)]
    words += ["--native"] if native else []
    words += ["--nonblocking"] if is_stopped else []
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_NATIVE_S if native else _DUMP_S,
            check=False,
        )
        threads = json.loads(done.stdout) if done.returncode == 0 else []
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return Found(note=f"py-spy could not read it: {error}")
    if not threads:
        return Found(note=_why(done.stderr))
    return Found(tuple(_thread(thread, pid) for thread in threads), "py-spy")


def recorded(pid: int, seconds: float, rate: int) -> tuple[dict[tuple[str, ...], int], str]:
    """Sample a process for some seconds; return how often each stack was met, and why none was.

    Blocks for so long. A stack's frames are ``function (file:line)``, the outermost first.
    """
    program = _program()
    if program is None:
        return {}, _MISSING
    with tempfile.NamedTemporaryFile(prefix="procactors-profile-") as file:
        words = [program, "record", "--pid", str(pid), "--duration", str(max(1, round(seconds)))]
        words += ["--rate", str(rate), "--format", "raw", "--threads", "--idle"]
        words += ["--output", file.name]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds + _MORE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return {}, f"py-spy could not read it: {error}"
        counts: dict[tuple[str, ...], int] = {}
        for line in file.read().decode(errors="replace").splitlines():
            stack, _, count = line.rpartition(" ")
            if stack and count.isdecimal():
                frames = tuple(stack.split(";"))
                counts[frames] = counts.get(frames, 0) + int(count)
    return counts, "" if counts else _why(done.stderr)


def _program() -> str | None:
    beside = os.path.join(os.path.dirname(sys.executable), "py-spy")
    return beside if os.access(beside, os.X_OK) else shutil.which("py-spy")


def _thread(found: dict[str, Any], pid: int) -> Thread:
    frames = tuple(
        (frame.get("filename") or "?", frame.get("line") or 0, frame.get("name") or "?")
        for frame in found.get("frames", ())
    )
    is_main = found.get("os_thread_id") == pid or found.get("thread_name") == "MainThread"
    return Thread(found.get("thread_name") or "", is_main, frames)


def _why(stderr: bytes) -> str:
    said = stderr.decode(errors="replace").strip().splitlines()
    last = said[-1] if said else "it has said nothing"
    return f"py-spy could not read it: {last}"
