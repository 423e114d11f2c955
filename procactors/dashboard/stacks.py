"""The stacks of an actor as text.

Layer: dashboard. Runs in: the dashboard's process, in worker threads.
Owns: nothing.
Never: sends a message to the actor.
"""

from __future__ import annotations

import linecache

from procactors.outside.stacks import Stack, is_runtimes, stacks_of, without_ours
from procactors.wire.endpoint import actor_path

__all__ = ["text_of"]


def text_of(path: str, actor: int) -> str:
    """Return where an actor is, in its code.

    Blocks for a second at most.

    Args:
        path: the system's runtime directory.
        actor: its id.

    Raises:
        NotAtHome: it has no process now.
    """
    found = stacks_of(actor_path(path, actor))
    linecache.checkcache()  # the program may have been edited since the last time
    parts = [f"process {found.pid}" + (f": {found.note}" if found.note else "")]
    parts += [_text(stack, found.source) for stack in found.stacks if not is_runtimes(stack)]
    return "\n\n".join(parts)


def _text(stack: Stack, source: str) -> str:
    kind = "Task" if stack.is_task else "Thread"
    name = stack.name or ("MainThread" if stack.is_main else "without a name")
    lines = [f"{kind} {name} (most recent call last, by {source}):"]
    for frame in reversed(without_ours(stack.frames)):
        lines.append(f'  File "{frame.file}", line {frame.line}, in {frame.function}')
        code = linecache.getline(frame.file, frame.line).strip()
        if code:
            lines.append(f"    {code}")
    return "\n".join(lines)
