"""Says on what machine, and on what day, a result was measured.

Measures: nothing but the load that was there already.
How: from the standard library and /proc; what cannot be found out is left out.
Never: a name of the machine, of a user or of a folder: results are published.
"""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

#: Packages that bear on the figures.
PACKAGES = ("procactors", "cloudpickle", "psutil", "numpy")

#: Those of the peers, too.
PEERS = (*PACKAGES, "joblib", "mpire", "pykka", "uactor", "xoscar", "ray", "distributed")


def describe(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Answer words for date, processor, cores, memory, kernel, Python and packages."""
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": _first("/proc/cpuinfo", r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": f"{len(os.sched_getaffinity(0))} usable of {os.cpu_count()}",
        "memory": _memory(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "packages": ", ".join(filter(None, map(_version, packages))),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def _first(path: str, pattern: str) -> str:
    try:
        found = re.search(pattern, Path(path).read_text(encoding="utf-8"))
    except OSError:
        return ""
    return found.group(1).strip() if found else ""


def _memory() -> str:
    kib = _first("/proc/meminfo", r"MemTotal:\s*(\d+) kB")
    return f"{int(kib) / 1024**2:.0f} GiB" if kib else "unknown"


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return ""
