"""A system whose actors run on a Ray cluster: what an `ActorSystem` becomes for such a backend.

Layer: api. Runs in: the program.
Owns: the engine, the transport, the supervisor's task, a share of the connection (`stop`).
Never: leaves an actor on the cluster behind its end.
"""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

from procactors.api.local_system import _LocalSystem, assemble, take_methods
from procactors.cluster import ground
from procactors.cluster.engine import ClusterEngine
from procactors.cluster.host import ClusterDesk, ClusterHost
from procactors.cluster.processes import Processes
from procactors.cluster.refusals import NoShares, refuse_feed
from procactors.cluster.transport import ProgramTransport
from procactors.model.backends import unsupported
from procactors.supervision.backend import NextLife

__all__ = ["become_ray"]

#: What makes a life in a process of Ray's.
_BEGIN = ("procactors.api.ray_life", "begin")


def become_ray(
    system: Any,
    address: str | None,
    name: str | None,
    stop_timeout: float,
    ask_timeout: float | None,
    files: tuple[str | None, str | None],
) -> None:
    """Make a system that is just being constructed one on a cluster.

    Args:
        system: an instance of `ActorSystem`, or of a class of the user's below it.
        address: of the cluster; None: see `ActorSystem`.
        name: the system's; None: it has none.
        stop_timeout: the system's, in seconds.
        ask_timeout: the system's, in seconds; None: for ever.
        files: for dead letters and crash reports; None: no such.

    Raises:
        UnsupportedOnBackend: it is to write files. SpawnError: no cluster.
    """
    if any(files):
        raise unsupported("files", "ray")
    ground.enter(address)
    try:
        take_methods(system, _RaySystem)
        # Unique on the cluster, and in the program.
        path = f"ray:/{os.getpid()}-{os.urandom(6).hex()}"
        transport = ProgramTransport(path, ClusterEngine())
        facts_of = functools.partial(_facts_of, transport, system._marks_records)
        transport.make_letter = refuse_feed
        transport.store.sharing = NoShares()
        system._files = system._crashes = None
        about = name or path, stop_timeout, ask_timeout, None
        assemble(system, transport, facts_of, ClusterDesk, about)
        transport.gate_of = system._gate_of
        system._supervisor.backend.processes = Processes(transport, _BEGIN)
        system._supervisor.open()
    except BaseException:
        ground.leave()
        raise


def _facts_of(
    transport: ProgramTransport, is_forwarded: bool, host: ClusterHost, life: NextLife
) -> dict[str, Any]:
    """Return what the process of a life has to know."""
    store = transport.store
    files = {host.blueprint: store.read(host.blueprint)}
    if life.extra:
        files[life.extra] = store.read(life.extra)
    return {
        "path": transport.path,
        "actor": host.id,
        "name": host.name,
        "class_name": host.class_name,
        "options": life.options,
        "start": life.start,
        "life": life,
        "blueprint": host.blueprint,
        "files": files,
        "env": dict(life.options.env or {}),
        "cwd": _folder(life.options.ray or {}),
        "log_level": logging.getLogger().level if is_forwarded else None,
    }


def _folder(asked: Any) -> str:
    """Return in which folder a life begins: the program's, unless Ray is to see to that."""
    if "working_dir" in (asked.get("runtime_env") or {}):
        return ""
    try:
        return os.getcwd()
    except OSError:  # it was removed
        return ""


class _RaySystem(_LocalSystem):
    """The methods that a system on a cluster has instead of an `ActorSystem`'s."""

    def _close_all(self, until: float) -> None:
        try:
            super()._close_all(until)
        finally:
            ground.leave()
