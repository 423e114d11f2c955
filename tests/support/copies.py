"""Copies of the test's own process, for what is to be done, or killed, in another one."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from typing import Any


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
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
