"""Runs the guard's programs, each in an interpreter of its own, and gathers what they have counted.

An interpreter without site-packages' hooks and without the user's environment: so the counts are
those of the tree alone.
"""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from tools.guard import allocations, syscalls
from tools.guard.baseline import Counts, least
from tools.guard.syscalls import WAITS, Log

ROOT = Path(__file__).parents[2]

#: Seconds that a program may take on a busy machine: many times what it needs.
_LIMIT_S = 300.0

_BOOT = "import sys; from tools.guard.{} import main; main(*sys.argv[1:])"

#: What the programs take from the environment.
_KEPT = ("HOME", "PATH", "TMPDIR")

#: What a message costs at least if it costs anything.
_LEAST = 0.2

_CALLS = {"python": "calls of Python functions", "c": "calls of C functions"}


class Failed(Exception):
    """A program of the guard has ended by an error."""


class Counting:
    """Counts in one tree.

    Args:
        tree: the folder with the package.

    Attributes:
        left_out: sections that cannot be counted here, and why not.
    """

    def __init__(self, tree: Path) -> None:
        self._tree = tree
        self.left_out: dict[str, str] = {}
        for folder in (tree / "procactors", Path(__file__).parent):
            # Else the first process to import a module would compile it, and be counted for that.
            compileall.compile_dir(folder, quiet=2)
        if why := syscalls.why_not():
            self.left_out["system calls"] = why
        if not allocations.is_possible():
            self.left_out["bytes"] = f"there is no {allocations.LIBRARY}"

    def count(self, programs: Iterable[str] = ()) -> Counts:
        """Count what some programs count, or all of them, once."""
        found = {}
        for program in programs or PROGRAMS:
            section, count = PROGRAMS[program]
            if section not in self.left_out:
                found[program] = count(self)
        return least(list(found.values()))

    # -- messages -------------------------------------------------------------------------------

    def _calls(self) -> Counts:
        found: Counts = {}
        result, _ = self._run("messages", "calls")
        for what, few, many, times in _pairs(result["found"]):
            for kind, section in _CALLS.items():
                less, more = (_smallest(each[kind] for each in side) for side in (few, many))
                found.setdefault(section, {})[what] = _difference(more, less, times)
        return found

    def _bytes(self) -> Counts:
        result, _ = self._run("messages", "bytes", environment=allocations.ENVIRONMENT)
        rows = {}
        for what, few, many, times in _pairs(result["found"]):
            rows[what] = {"": max(0.0, round((min(many) - min(few)) / times, 1))}
        return {"bytes": rows}

    def _system_calls(self) -> Counts:
        result, log = self._run("messages", "syscalls", is_traced=True)
        assert log is not None
        rows = {}
        for each in result["found"]:
            # The thread that reads replies is counted while the caller is.
            side = "caller" if each["side"] == "reader" else each["side"]
            threads = result["threads"][each["side"].partition(",")[0]]
            label = each["name"], each["run"], each["times"], side
            each["counts"] = log.between((*label, "begin"), (*label, "end"), threads)
        for what, few, many, times in _pairs(result["found"]):
            rows[what] = _difference(_smallest(many), _smallest(few), times)
        return {"system calls": rows}

    # -- starts ---------------------------------------------------------------------------------

    def _faults(self) -> Counts:
        found = []
        for spares, how in enumerate(_STARTS):
            result, _ = self._run("starts", str(spares))
            for start in result["starts"]:
                for side, count in start["faults"].items():
                    found.append({"page faults": {f"{how}, {side}": {"": float(count)}}})
        return least(found)

    def _system_calls_of_starts(self) -> Counts:
        found = []
        for spares, how in enumerate(_STARTS):
            result, log = self._run("starts", str(spares), is_traced=True)
            assert log is not None
            caller, *others = result["parent"]
            for start in result["starts"]:
                begin, *ends = (
                    ("start", start["number"], word)
                    for word in ("begin", "child", "answered", "end")
                )
                child, answered, end = ends
                parent = log.between(begin, answered, {caller}, WAITS)
                parent += log.between(begin, end, others, WAITS)
                sides = {
                    "parent": parent,
                    "zygote": log.between(begin, end, {result["zygote"]}, WAITS),
                    "child": log.between(begin, child, {start["child"]}, WAITS),
                }
                for side, counted in sides.items():
                    parts = {name: float(count) for name, count in sorted(counted.items())}
                    found.append({"system calls": {f"{how}, {side}": parts}})
        return least(found)

    # -- imports --------------------------------------------------------------------------------

    def _modules(self) -> Counts:
        result, _ = self._run("imports")
        rows = {}
        for what, names in result.items():
            # What other packages are made of is their own affair.
            rows[what] = {_our_name(name): 1.0 for name in names}
        return {"modules": rows}

    # -- running --------------------------------------------------------------------------------

    def _run(
        self,
        program: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        is_traced: bool = False,
    ) -> tuple[Any, Log | None]:
        """Run a program; return what it has written, and the log of its system calls."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            elsewhere, result, log = folder / "elsewhere", folder / "result", folder / "log"
            elsewhere.mkdir()
            flags = ["-S", "-s", "-c", _BOOT.format(program)]
            command = [sys.executable, *flags, *arguments, str(result)]
            if is_traced:
                command = syscalls.traced(command, log)
            try:
                ended = subprocess.run(
                    command,
                    cwd=elsewhere,
                    env=self._environment() | dict(environment or {}),
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=_LIMIT_S,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Failed(f"{program}: given up after {_LIMIT_S:g} s") from None
            if ended.returncode or not result.exists():
                words = " ".join([program, *arguments])
                raise Failed(f"{words}: exit code {ended.returncode}\n{ended.stderr}")
            found = json.loads(result.read_text(encoding="utf-8"))
            return found, Log(log) if is_traced else None

    def _environment(self) -> dict[str, str]:
        packages = {sysconfig.get_paths()[name] for name in ("purelib", "platlib")}
        return {
            **{name: os.environ[name] for name in _KEPT if name in os.environ},
            "PYTHONPATH": os.pathsep.join(map(str, [self._tree, ROOT, *sorted(packages)])),
            "PYTHONHASHSEED": "0",
        }


#: By the number of spares.
_STARTS = ("start", "start with a spare")

#: What can be counted by itself: the section without which it is left out, and how.
PROGRAMS: dict[str, tuple[str, Callable[[Counting], Counts]]] = {
    "calls": ("calls", Counting._calls),
    "bytes": ("bytes", Counting._bytes),
    "syscalls": ("system calls", Counting._system_calls),
    "starts": ("system calls", Counting._system_calls_of_starts),
    "faults": ("page faults", Counting._faults),
    "modules": ("modules", Counting._modules),
}


def _pairs(found: list[dict[str, Any]]) -> list[tuple[str, list[Any], list[Any], int]]:
    """Return (what, counts of few, counts of many, how many more), the counts one a run.

    What the machine adds by chance it adds to few as to many: so the least of each is taken first,
    and the difference of the two then.
    """
    runs: dict[str, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for each in found:
        runs[f"{each['name']}, {each['side']}"][each["times"]].append(each["counts"])
    pairs = []
    for what, counts in runs.items():
        few, many = sorted(counts)
        pairs.append((what, counts[few], counts[many], many - few))
    return pairs


def _smallest(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    return min(counts, key=lambda parts: sum(parts.values()))


def _difference(many: Mapping[str, int], few: Mapping[str, int], times: int) -> dict[str, float]:
    names = sorted(many.keys() | few.keys())
    found = {name: round((many.get(name, 0) - few.get(name, 0)) / times, 3) for name in names}
    # Less comes from the two ends of a count: a read more or less.
    return {name: count for name, count in found.items() if count >= _LEAST}


def _our_name(name: str) -> str:
    top = name.partition(".")[0]
    return name if top in sys.stdlib_module_names or top == "procactors" else top
