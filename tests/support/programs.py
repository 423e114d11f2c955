"""Programs of their own: scripts that a test starts, talks to, kills, and counts the remains of."""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

import procactors
from procactors.testing.leaks import SHARED_MEMORY
from tests.support.waiting import LONG_S, eventually

#: All processes of one program carry its token in their environment under this name.
VARIABLE = "PROCACTORS_TEST_PROGRAM"

#: Seconds that a program may take to its end: less than a test may wait, so that what it printed is
#: told.
END_S = 45.0
#: Seconds in which what has lost its owner may end by itself.
GRACE_S = 2.0


@dataclass(frozen=True)
class Program:
    """A running script."""

    process: subprocess.Popen[str]
    token: str
    #: Where it makes directories.
    roots: tuple[Path, ...]

    def line(self) -> str:
        """Return the next line that it prints; empty at its end."""
        return self.process.stdout.readline().rstrip("\n")

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return (exit code, what else it printed, its errors)."""
        try:
            out, errors = self.process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(
                f"waited {END_S:g} s for a program's end; by then it had printed "
                f"{self.process.communicate()}"
            ) from None
        return self.process.returncode, out, errors

    def tree(self) -> list[psutil.Process]:
        """Return its processes that live, orphans included."""
        mark = f"{VARIABLE}={self.token}".encode()
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if mark in Path(f"/proc/{process.pid}/environ").read_bytes():
                    found.append(process)
        return found

    def await_nothing_left(self, system: str = "") -> None:
        """Wait until none of its processes lives and its system's directory is gone."""
        eventually(lambda: not self.tree(), f"the end of {self.tree()}")
        if system:
            eventually(lambda: not self.directories_of(system), f"the removal of {system}")

    def directories_of(self, system: str) -> list[Path]:
        """Return the runtime directories that a system of that name has now."""
        return [path for root in self.roots for path in root.glob(f"{system}*")]


@contextlib.contextmanager
def running(code: str, *arguments: object, **options: object) -> Iterator[Program]:
    """Run `code` as ``python -c`` with its arguments; whatever is left at the end is killed."""
    yield from _run(["-c", textwrap.dedent(code)], arguments, options)


@contextlib.contextmanager
def running_python(*command: object, **options: object) -> Iterator[Program]:
    """Run the interpreter with these arguments."""
    yield from _run(command, (), options)


def environment() -> dict[str, str]:
    """Return an environment in which the package under test is found."""
    return {**os.environ, "PYTHONPATH": str(Path(procactors.__file__).parents[1])}


def ran(folder: Path, *command: object, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the interpreter with these arguments in a folder, to its end."""
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
        **options,
    )


def _run(command, arguments, options) -> Iterator[Program]:
    token = secrets.token_hex(8)
    python = options.pop("python", sys.executable)
    roots = options.pop("roots", (SHARED_MEMORY, Path(tempfile.gettempdir())))
    process = subprocess.Popen(
        [python, *map(str, command), *map(str, arguments)],
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "start_new_session": True,
            **options,
            "env": {**options.get("env", environment()), VARIABLE: token},
        },
    )
    program = Program(process, token, roots)
    try:
        yield program
    finally:
        process.kill()
        # Killed at once, who is removing the system's files would leave them half-way.
        with contextlib.suppress(AssertionError):
            eventually(lambda: not program.tree(), "its end", GRACE_S)
        for left in program.tree():
            with contextlib.suppress(psutil.Error):
                left.kill()
        process.communicate(timeout=LONG_S)
