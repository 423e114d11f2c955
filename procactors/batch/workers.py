"""The workers of a job: where they run, and what may be asked for there.

Layer: batch. Runs in: parent.
Owns: nothing: system and pool are the job's.
Never: starts anything that was refused; asks for what a backend would ignore.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any

from procactors import ActorSystem, Limits
from procactors.batch.journal import place_of
from procactors.batch.worker import Runner
from procactors.errors import InvalidSpec, SpawnError
from procactors.model.backends import LIMITS, VARIABLE, chosen_backend

if TYPE_CHECKING:
    from procactors import Pool
    from procactors.batch.settings import Settings

__all__ = ["backend_of", "open_system", "start_workers"]

#: The backend whose workers may be on other machines.
CLUSTER = "ray"
#: Seconds for the first import of the function's module: some are large, and disks slow.
_START_S = 300.0
#: Fields of `Settings` that say how processes are started, and those that a cluster alone has.
_PROCESSES, _CLUSTERS = ("preload", "start_method"), ("address", "working_dir")


def backend_of(settings: Settings) -> str:
    """Return where the workers run.

    Raises:
        InvalidSpec: no job can run there, or something is asked for that makes no sense there.
    """
    backend = chosen_backend(settings.backend)
    if backend == "inline":
        raise InvalidSpec(
            f"{VARIABLE}=inline does one thing after the other, and a map is work at the same "
            f"time: say --backend processes, threads or ray"
        )
    refused = [] if backend == "processes" else [*_PROCESSES]
    if backend in LIMITS["memory"].backends:
        refused.append("memory")
    if backend != CLUSTER:
        refused += _CLUSTERS
    for name in refused:
        if getattr(settings, name):
            option, by = f"--{name.replace('_', '-')}", ""
            if settings.backend is None and backend != "processes":
                by = f", which {VARIABLE} names"
            raise InvalidSpec(
                f"{option} means nothing to the backend {backend!r}{by}: leave it out"
            )
    return backend


def open_system(settings: Settings, backend: str) -> ActorSystem:
    """Return the system of a job; blocks until a cluster is found, or started here."""
    if backend == "processes":
        method = settings.start_method or "forkserver"
        return ActorSystem(backend=backend, start_method=method, preload=settings.preload)
    if settings.working_dir is not None:
        _send_folder(settings.address, settings.working_dir)
    return ActorSystem(backend=backend, address=settings.address)


def _send_folder(address: str | None, folder: str) -> None:
    """Connect to the cluster with a folder for all that runs there; Ray takes it no later.

    The connection ends with this process, and the system takes it as it finds it.

    Raises:
        SpawnError: there is no Ray, no cluster at the address, or no such folder.
    """
    from procactors.cluster.ground import check_address, import_ray

    ray = import_ray()
    check_address(address)
    sent = {"working_dir": os.path.abspath(folder)}
    try:
        ray.init(address=address, runtime_env=sent, logging_level=logging.ERROR)
    except (RuntimeError, ConnectionError, ValueError, OSError) as error:
        where = "the cluster" if address is None else f"the cluster at {address}"
        raise SpawnError(f"{folder} could not be sent to {where}: {error}") from error


def start_workers(
    system: ActorSystem, settings: Settings, backend: str, journal: str | None
) -> Pool[Runner]:
    """Start the workers, and return them as a pool.

    Args:
        system: of `open_system`.
        settings: what is asked for.
        backend: where they run.
        journal: path of the file in which each writes down what it has finished, if it sees that;
            None: none does.
    """
    words: dict[str, Any] = {"size": settings.jobs, "start_timeout": _START_S}
    if settings.memory is not None:
        words["limits"] = Limits(memory=settings.memory)
    if backend == CLUSTER:
        words.update(_on_cluster(settings))
    where = place_of(journal) if journal is not None and backend == CLUSTER else None
    return system.options(name="map", **words).pool(
        Runner, settings.target, settings.spread, journal, where
    )


def _on_cluster(settings: Settings) -> dict[str, Any]:
    """Return the options of workers on a cluster: a CPU each, spread over the nodes.

    More workers than CPUs are not held back by Ray's count of them: they may wait, and not work.
    """
    import ray

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cpus = int(resources.get("CPU", 1))
    jobs = settings.jobs or cpus
    place = {"num_cpus": 1 if jobs <= cpus else 0, "scheduling_strategy": "SPREAD"}
    return {"size": jobs, "ray": place}
