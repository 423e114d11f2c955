"""The start of a program: its import, and its first actor's first reply.

Measures: ms from the first line of a program in a fresh interpreter, the processor time of that
program, and of the processes that it starts.
How: in turns, one program a round and contender. `import procactors` stands beside that of
`concurrent.futures.process`; the first actor beside the first process of the stock fork server that
answers through a stock pipe, and beside an executor's first task. All of them import the module
of the handler in the new process.
Never: counts the interpreter's own start, or compiles: the warm-up has left the bytecode.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.findings import BOTH, CALLER, Findings, Target
from benchmarks.rounds import Contender, Costed, Effort, Round, take_turns

NAME = "program"

#: Seconds after which a program is given up.
LIMIT_S = 60.0


@contextmanager
def programs(name: str, *words: str) -> Iterator[Round]:
    """Run a program of `benchmarks.programs` in a fresh interpreter."""
    command = [sys.executable, "-m", f"benchmarks.programs.{name}", *words]
    environment = dict(os.environ)
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second run finds bytecode, too

    def run() -> Costed:
        ended = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, check=True, timeout=LIMIT_S
        )
        wall, here, there = json.loads(ended.stdout)
        return Costed([wall], here * 1_000, there * 1_000)

    yield run


def measure(effort: Effort) -> Findings:
    """Measure and compare."""
    findings = Findings(NAME)
    ours, stock = "import procactors", "import concurrent.futures.process"
    actor, process, task = (
        "first actor of a program answers",
        "stock forkserver's first process answers",
        "executor's first task, stock forkserver",
    )
    take_turns(
        findings,
        [
            Contender(stock, "ms", programs("imports", "concurrent.futures.process")),
            Contender(ours, "ms", programs("imports", "procactors")),
            Contender(process, "ms", programs("first_process")),
            Contender(task, "ms", programs("first_task")),
            Contender(actor, "ms", programs("first_actor")),
        ],
        effort,
    )
    bound = Target(most=1.5, later=1.2)
    findings.compare("import / concurrent.futures.process", ours, stock, bound)
    findings.compare(
        "import / concurrent.futures.process: processor time", ours, stock, bound, side=CALLER
    )
    bound = Target(most=1.0, later=0.7)
    findings.compare("first actor / stock forkserver", actor, process, bound)
    findings.compare("first actor / stock forkserver: processor time", actor, process, side=BOTH)
    findings.compare("first actor / executor's first task", actor, task, bound)
    findings.compare("first actor / executor's first task: processor time", actor, task, side=BOTH)
    return findings
