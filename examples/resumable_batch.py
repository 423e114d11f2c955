"""A batch job that is killed half-way and goes on: nothing that was finished is lost or run twice.

`procactors map` calls a function for each line of its input and writes a line of JSON for each
result. With --resume it keeps a journal: each worker writes down what it has finished before it
answers. So the parent may be killed with SIGKILL at any moment; the same command again skips
what the journal has, and writes all results, in the order of the input with --ordered.

Only what was in hand at the kill is begun once more: one item a worker, two here.

Run it: procactors examples resumable_batch

Expected output:

    killed with SIGKILL after 100 results
    resumed: exit code 0, 500 results
    equal to a run in one process: True
    at most 2 items were run twice: True
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

JOB = """
import hashlib

def seal(name):
    with open("calls", "a") as calls:
        print(name, file=calls)
    return hashlib.pbkdf2_hmac("sha256", name.encode(), b"salt", 1000).hex()
"""
NAMES = [f"name {number}" for number in range(500)]

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    (folder / "job.py").write_text(JOB)
    (folder / "names").write_text("\n".join(NAMES))
    command = [sys.executable, "-m", "procactors", "map", "job:seal", "names"]
    command += ["-j", "2", "--resume", "journal", "--quiet"]

    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        seen = [first.stdout.readline() for _ in range(100)]
        first.kill()
    print(f"killed with SIGKILL after {len(seen)} results")

    command += ["--ordered", "--bare"]
    second = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=False)
    calls = (folder / "calls").read_text().splitlines()

results = [json.loads(line) for line in second.stdout.splitlines()]
print(f"resumed: exit code {second.returncode}, {len(results)} results")
here = [hashlib.pbkdf2_hmac("sha256", name.encode(), b"salt", 1000).hex() for name in NAMES]
print(f"equal to a run in one process: {results == here}")
print(f"at most 2 items were run twice: {len(calls) - len(set(calls)) <= 2}")
