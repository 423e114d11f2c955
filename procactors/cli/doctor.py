"""``procactors doctor``: whether actors run well on this machine, and what to do where they do not.

Layer: cli. Runs in: the command's process.
Owns: nothing; what it measures with belongs to `procactors.doctor.costs`.
Never: removes anything but for ``--sweep``.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

from procactors.model.plain_text import plain_lines

if TYPE_CHECKING:
    from procactors.doctor.finding import Finding

__all__ = ["add_to", "run"]

#: Columns of the level and of the subject, and of a line.
_LEVEL, _SUBJECT, _LINE = 6, 20, 100


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its options to the command line."""
    parser = commands.add_parser(
        "doctor",
        help="look at what this machine gives to actors, and at what dead systems have left",
        description=(
            "Look at versions, limits, memory and leftovers, and measure what a start costs. Each "
            "line is ok, warn (programs run, but not as well as they could) or fail (none runs). "
            "Exit code 1 if something fails."
        ),
    )
    parser.add_argument(
        "--sweep", action="store_true", help="remove what dead systems of this user have left"
    )
    parser.add_argument(
        "--start-method",
        choices=("forkserver", "spawn", "fork"),
        default="forkserver",
        help="how the processes are started that are measured (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print a JSON object with all findings and numbers"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; return 1 if something fails. Blocks for about a second."""
    from procactors.doctor.finding import Level

    found = []
    for finding in _findings(arguments):
        found.append(finding)
        if not arguments.json:
            print(_shown(finding), flush=True)  # as they come: the last ones take longest
    has_failed = any(finding.level is Level.FAIL for finding in found)
    if arguments.json:
        facts = {"ok": not has_failed, "findings": [finding.to_dict() for finding in found]}
        print(json.dumps(facts, indent=2))
    else:
        counts = [(level, sum(one.level is level for one in found)) for level in Level]
        print(", ".join(f"{count} {level.value}" for level, count in counts))
    return int(has_failed)


def _findings(arguments: argparse.Namespace) -> Iterator[Finding]:
    from procactors.doctor import cgroup, costs, disk, machine, versions

    yield from versions.look()
    yield from machine.look()
    yield from cgroup.look()
    yield disk.shared_memory()
    yield disk.temporary()
    yield disk.running()
    # Before a system is started here: each start sweeps.
    yield disk.sweep_leftovers() if arguments.sweep else disk.leftovers()
    yield costs.measure(arguments.start_method)


def _shown(finding: Finding) -> str:
    start = f"{finding.level.value:<{_LEVEL}}{finding.subject:<{_SUBJECT}}"
    indent = " " * (_LEVEL + _SUBJECT)
    first, *more = finding.says.splitlines()
    lines = textwrap.wrap(first, _LINE, initial_indent=start, subsequent_indent=indent)
    lines += [f"{indent}{line}" for line in more]
    if finding.advice:
        lines += textwrap.wrap(
            finding.advice, _LINE, initial_indent=f"{indent}→ ", subsequent_indent=f"{indent}  "
        )
    return plain_lines("\n".join(lines))
