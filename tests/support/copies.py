"""Copies of the test's own process, for what is to be done, or killed, in another one."""

from __future__ import annotations

import os
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any

from tests.support.waiting import SHORT_S


def forked(target: Callable[..., object], *args: Any) -> int:
    """Run `target` in a forked copy; return its pid. It ends with code 0, or 1 if that raised."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            target(*args)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def ended(pid: int) -> int:
    """Wait for a copy's end; return its exit code, negative for a signal."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        in_time = poll.poll(SHORT_S * 1000)
    finally:
        os.close(pidfd)
    if not in_time:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert in_time, f"the copy has not ended after {SHORT_S:g} s"
    return os.waitstatus_to_exitcode(status)
