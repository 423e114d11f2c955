"""The processes of lives, as Ray starts them: with which resources, where, in what surroundings.

Layer: cluster. Runs in: the program.
Owns: nothing: each process belongs to its life.
Never: lets Ray start one again: restarts are the supervisor's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ray

from procactors.cluster.process import GROUPS, LifeProcess

if TYPE_CHECKING:
    from procactors.cluster.transport import ProgramTransport
    from procactors.model.options import Options

__all__ = ["Processes"]


class Processes:
    """Starts processes of lives.

    Args:
        transport: the system's.
        begin: module and name of what makes a life there.
    """

    def __init__(self, transport: ProgramTransport, begin: tuple[str, str]) -> None:
        self._begin = begin
        remote: Any = ray.remote
        once = {"max_restarts": 0, "max_task_retries": 0}
        self._class: Any = remote(**once, concurrency_groups=GROUPS)(LifeProcess)

    def make(self, facts: dict[str, Any], options: Options) -> Any:
        """Have Ray start a process; return its handle of that at once."""
        asked = dict(options.ray or {})
        if options.max_concurrency > 1:
            asked["max_concurrency"] = options.max_concurrency
        if not ray.is_initialized():  # Ray would begin another cluster by itself
            raise RuntimeError("the program is not connected to its Ray cluster any more")
        process = self._class.options(**asked).remote(self._begin, facts)
        process.begin.remote()
        return process
