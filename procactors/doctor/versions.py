"""Which Python, kernel and libraries there are.

Layer: doctor. Runs in: the command's process.
Owns: nothing.
Never: imports a library to learn its version.
"""

from __future__ import annotations

import platform
import re
import sys
from importlib import metadata

from procactors import __version__
from procactors.doctor.finding import Finding, fail, ok

__all__ = ["look"]

#: The oldest that everything is built on: Linux 5.10 has pidfds as they are used, CPython 3.10 the
#: calls for them.
_LINUX, _PYTHON = (5, 10), (3, 10)
#: What each of them is for.
_EXTRAS = {
    "rich": "progress bars, tables and live views",
    "joblib": "the joblib backend",
    "setproctitle": "whole titles of processes in ps",
    "opentelemetry-api": "traces",
    "prometheus-client": "metrics for Prometheus",
    "starlette": "the dashboard",
    "uvicorn": "the dashboard's server",
    "ray": "actors on a Ray cluster",
    "py-spy": "native stacks and profiles",
}


def look() -> list[Finding]:
    """Return what was found."""
    return [_python(), _kernel(platform.system(), platform.release()), _libraries(), _extras()]


def _python() -> Finding:
    says = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    facts = {"version": platform.python_version(), "executable": sys.executable}
    if platform.python_implementation() != "CPython" or sys.version_info < _PYTHON:
        return fail("Python", says, "run under CPython 3.10 or later", **facts)
    return ok("Python", says, **facts)


def _kernel(system: str, release: str) -> Finding:
    found = re.match(r"(\d+)\.(\d+)", release)
    version = (int(found[1]), int(found[2])) if found else (0, 0)
    if system != "Linux" or version < _LINUX:
        return fail(
            "kernel", f"{system} {release}", "Linux 5.10 or later is needed", release=release
        )
    return ok("kernel", f"{system} {release}", release=release)


def _libraries() -> Finding:
    found = {name: _version(name) for name in ("cloudpickle", "psutil")}
    says = f"procactors {__version__}, " + ", ".join(
        f"{name} {version or 'missing'}" for name, version in found.items()
    )
    if missing := [name for name, version in found.items() if version is None]:
        return fail("libraries", says, f"pip install {' '.join(missing)}", **found)
    return ok("libraries", says, procactors=__version__, **found)


def _extras() -> Finding:
    found = {name: _version(name) for name in _EXTRAS}
    there = [f"{name} {version}" for name, version in found.items() if version is not None]
    return ok("extras", ", ".join(there) or "none is installed", **found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
