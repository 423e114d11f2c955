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
    arm(step, functions, die, kind)
    try:
        scene(step)
    finally:
        sys.settrace(None)


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def arm(
    step: int,
    functions: Collection[Callable[..., Any]],
    act: Callable[[], object],
    steps: str = LINES,
) -> None:
    """Have `act` called before a step of `functions`, by the number, in this thread; once.

    What it raises is raised there, as if by a signal's handler. `sys.settrace` takes it back.
    """
    codes = {function.__code__ for function in functions}
    left = step

    def inside(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal left
        if event == steps:
            left -= 1
            if left == -1:
                act()
        return inside

    def enter(frame: Any, _event: str, _arg: Any) -> Any:
        if frame.f_code not in codes:
            return None
        # First: CPython 3.13 counts a frame's wish for instructions only if it is traced by then,
        # else from its code's next call on.
        frame.f_trace = inside
        frame.f_trace_opcodes = steps == INSTRUCTIONS
        return inside

    # CPython 3.12 looks at instructions only if some frame had asked for it before the call below
    # (python/cpython#103615).
    sys._getframe().f_trace_opcodes = True
    sys.settrace(enter)
