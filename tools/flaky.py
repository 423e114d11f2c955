"""Repeat a selection of tests on a busy machine: python tools/flaky.py N [pytest's arguments].

As many processes as there are CPUs compute for nothing meanwhile, so that every race has its
chance. The first failure ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys

BUSY = "while True: pass"


def main(times: int, selection: list[str]) -> int:
    """Run pytest up to that many times, and return its first exit code that is not 0."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", *selection]
    load = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(os.cpu_count() or 1)]
    try:
        for run in range(1, times + 1):
            print(f"run {run} of {times}", flush=True)
            if code := subprocess.run(command, check=False).returncode:
                print(f"failed in run {run}")
                return code
    finally:
        for process in load:
            process.kill()
            process.wait()
    print(f"{times} runs passed")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
