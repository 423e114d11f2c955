"""Death at each step: a copy of the process is killed before every line, or instruction, in turn.

Random kills seldom meet a window of one instruction. A debugger meets each: it stops before every
step of the functions that matter.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from collections.abc import Callable, Collection, Iterator
from typing import Any

from tests.support.copies import ended, forked

#: What Python calls the two kinds of steps.
LINES, INSTRUCTIONS = "line", "opcode"


def deaths(
    scene: Callable[[int], object],
    functions: Collection[Callable[..., Any]],
    steps: str = LINES,
) -> Iterator[int]:
    """Kill a copy that runs `scene` before each step of `functions`; yield behind each death.

    It ends with the first copy that lives through its scene: then each step has been met.

    Args:
        scene: run in the copy, with the number of the step.
        functions: in which of them it dies.
        steps: LINES or INSTRUCTIONS.
    """
    for step in itertools.count():
        code = ended(forked(_die_at, step, functions, steps, scene))
        if code == 0:
            assert step, "none of the functions was entered"
            return
        assert code == -signal.SIGKILL, f"the scene failed at step {step} by itself"
        yield step


def _die_at(
    step: int, functions: Collection[Callable[..., Any]], kind: str, scene: Callable[[int], object]
) -> None:
    codes = {function.__code__ for function in functions}
    left = step

    def inside(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal left
        if event == kind:
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
        return inside

    def enter(frame: Any, _event: str, _arg: Any) -> Any:
        if frame.f_code not in codes:
            return None
        # First: CPython 3.13 counts a frame's wish for instructions only if it is traced by then,
        # else from its code's next call on.
        frame.f_trace = inside
        frame.f_trace_opcodes = kind == INSTRUCTIONS
        return inside

    arm_opcodes()
    sys.settrace(enter)
    try:
        scene(step)
    finally:
        sys.settrace(None)


def arm_opcodes() -> None:
    """Have `sys.settrace` look at instructions too, where a frame asks for it.

    CPython 3.12 does so only if some frame had asked before it was called (python/cpython#103615).
    """
    sys._getframe().f_trace_opcodes = True
