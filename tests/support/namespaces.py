"""Programs that see other file systems, small or read-only ones, or processes of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from procactors.testing.leaks import SHARED_MEMORY
from tests.support.programs import Program, environment, running_python

#: Root needs no namespace of users; everybody else becomes root in one.
_FLAGS = ("--mount",) if os.geteuid() == 0 else ("--map-root-user", "--mount")
#: A namespace of process ids, as a container has one.
_OWN_PIDS = ("--pid", "--fork", "--mount-proc", "--kill-child")


class Place:
    """A /dev/shm and a temporary directory of a program's own, which are seen from here too.

    Any system's start sweeps what the dead have left, be it of a neighbour's test: so where it is
    looked for what is left, programs run apart from the others.

    Args:
        shared: their /dev/shm.
        temporary: their temporary directory.
    """

    def __init__(self, shared: Path, temporary: Path) -> None:
        self._roots = (shared, temporary)
        self._mount = f"mount --make-rprivate / && mount --bind {shared} /dev/shm"
        #: Whether this is allowed; where it is not, its programs run among their neighbours.
        self.is_apart = _is_allowed(self._mount)

    @contextlib.contextmanager
    def running(self, code: str, *arguments: object, **options: object) -> Iterator[Program]:
        """Run `code` as ``python -c`` here."""
        with self.running_python("-c", textwrap.dedent(code), *arguments, **options) as program:
            yield program

    @contextlib.contextmanager
    def running_python(self, *command: object, **options: object) -> Iterator[Program]:
        """Run the interpreter with these arguments here."""
        if self.is_apart:
            mounted = (*_FLAGS, "sh", "-c", f'{self._mount} && exec "$@"', "sh", sys.executable)
            command = (*mounted, *command)
            options = {
                "env": {**environment(), "TMPDIR": str(self._roots[1])},
                "python": "unshare",
                "roots": self._roots,
                **options,
            }
        with running_python(*command, **options) as program:
            yield program


@contextlib.contextmanager
def own_place(temporary: Path) -> Iterator[Place]:
    """Make a place whose /dev/shm is in the real one, where no sweep looks."""
    with tempfile.TemporaryDirectory(prefix="apart-", dir=SHARED_MEMORY) as shared:
        # Open, so that the leak check of a neighbour's test sees that it is not its own.
        held = os.open(shared, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Place(Path(shared), temporary)
        finally:
            os.close(held)


def _is_allowed(mount: str) -> bool:
    tried = subprocess.run(
        ["unshare", *_FLAGS, "sh", "-c", mount], capture_output=True, check=False
    )
    return tried.returncode == 0


@contextlib.contextmanager
def running_with_mounts(
    mounts: str, code: str, *arguments: object, **options: object
) -> Iterator[Program]:
    """Run `code` as ``python -c`` where the shell commands `mounts` hold for it alone.

    The test is skipped where that is not allowed.
    """
    setup = f"set -e; mount --make-rprivate /; {mounts}"
    tried = subprocess.run(
        ["unshare", *_FLAGS, "sh", "-c", setup], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {tried.stderr.strip()}")
    command = (*_FLAGS, "sh", "-c", f'{setup}; exec "$@"', "sh", sys.executable, "-c")
    with running_python(
        *command, textwrap.dedent(code), *arguments, python="unshare", **options
    ) as program:
        yield program


@contextlib.contextmanager
def running_with_own_pids(code: str, *arguments: object, **options: object) -> Iterator[Program]:
    """Run `code` as ``python -c`` in a namespace of process ids of its own.

    The test is skipped where that is not allowed.
    """
    flags = (*_FLAGS, *_OWN_PIDS)
    tried = subprocess.run(["unshare", *flags, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespace of process ids is allowed here: {tried.stderr.strip()}")
    command = (*flags, sys.executable, "-c", textwrap.dedent(code))
    with running_python(*command, *arguments, python="unshare", **options) as program:
        yield program
