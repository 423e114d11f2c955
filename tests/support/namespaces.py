"""Programs that see other file systems: small ones, read-only ones, a /dev/shm of their own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.support.programs import Program, running_python

#: Root needs no namespace of users; everybody else becomes root in one.
_FLAGS = ("--mount",) if os.geteuid() == 0 else ("--map-root-user", "--mount")


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
