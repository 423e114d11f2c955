"""Limits of the process.

Layer: process. Runs in: parent (descriptors, thread caps), actor (CPUs and niceness).
Owns: nothing.
Never: lowers the descriptor limit; leaves out silently what was asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import resource

__all__ = ["bind", "raise_descriptor_limit", "thread_caps"]

#: What OpenMP, the linear algebra libraries and Numba read, once, when they are loaded.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)

#: More CPUs than a machine has.
_MORE_CPUS = 8192


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open descriptors to the hard one: two are held for each actor."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def thread_caps(threads: int | None) -> dict[str, str]:
    """Return the variables that hold libraries to so many threads; none for None."""
    return {} if threads is None else dict.fromkeys(_THREAD_VARIABLES, str(threads))


def bind(cpus: Collection[int] | None, nice: int | None) -> None:
    """Put this process on these CPUs and give it this niceness; None leaves either as it is.

    Raises:
        ValueError: a CPU that it may not run on.
        PermissionError: a niceness that takes privilege.
    """
    if cpus is not None:
        _run_on(set(cpus))
    if nice is not None:
        now = os.getpriority(os.PRIO_PROCESS, 0)
        try:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        except PermissionError:
            raise PermissionError(
                f"Limits.nice={nice} is not permitted to user {os.geteuid()}: below the parent's "
                f"niceness, {now}, it takes privilege (CAP_SYS_NICE)"
            ) from None


def _run_on(cpus: set[int]) -> None:
    # The kernel drops in silence what is not there, and refuses only when nothing is left.
    with contextlib.suppress(OSError, OverflowError):
        os.sched_setaffinity(0, cpus)
        if os.sched_getaffinity(0) == cpus:
            return
    # All that it may run on: asked for more than there is, the kernel grants just that.
    os.sched_setaffinity(0, range(_MORE_CPUS))
    usable = os.sched_getaffinity(0)
    raise ValueError(
        f"Limits.cpu_affinity names CPU {min(cpus - usable)}, on which this process may not run; "
        f"it may run on {sorted(usable)}"
    )
