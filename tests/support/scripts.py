"""Run a piece of source as a program of its own: its definitions live in `__main__`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from tests.support.source import ROOT
from tests.support.waiting import SHORT_S


def run_source(
    source: str,
    *arguments: str,
    limits: Sequence[str] = (),
    timeout: float = SHORT_S,
) -> str:
    """Run `source` from standard input under this interpreter; return what it printed.

    Args:
        source: the program.
        arguments: its arguments, from `sys.argv[1]` on.
        limits: options of the shell's `ulimit`, as in `-n 256`.
        timeout: seconds after which it is killed, with all that it started.

    Raises:
        AssertionError: it did not end with exit code 0 in time; the text has all its output.
    """
    orders = "".join(f"ulimit {limit} && " for limit in limits)
    program = subprocess.Popen(
        ["/bin/sh", "-c", f'{orders}exec "$@"', "sh", sys.executable, "-", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        out, err = program.communicate(source, timeout)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        out, err = program.communicate()
        raise AssertionError(f"not over after {timeout:g} s\n{out}\n{err}") from None
    assert program.returncode == 0, f"exit code {program.returncode}\n{out}\n{err}"
    return out
