"""A batch job that goes on where it was: the program is killed half-way, and started again.

The actor keeps how far it is and what it has found in a file of the user's (`file=`), which
outlives the program. Each start of the program is the same: it asks where to go on.

Run it: procactors examples kept_job

Expected output:

    the first run was killed with SIGKILL behind 60 items or some more
    the second run goes on behind the last one that was done: True
    200 items, sum of squares: 2646700, as in one run: True
"""

import subprocess
import sys
import tempfile
from pathlib import Path

JOB = """
import sys
from procactors import Actor, ActorSystem, Checkpoint

class Job(Actor):
    def __init__(self):
        self.next, self.sum = 0, 0
    def where(self):
        return self.next
    def work(self, item):
        self.next, self.sum = item + 1, self.sum + item * item
        return self.sum
    def snapshot(self):
        return {"next": self.next, "sum": self.sum}
    def restore(self, state):
        self.next, self.sum = state["next"], state["sum"]

with ActorSystem() as system:
    job = system.options(checkpoint=Checkpoint(messages=1, file="job.state")).spawn(Job)
    for item in range(job.ask(Job.where), 200):
        print(item, job.ask(Job.work, item), flush=True)
"""

with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / "job.py").write_text(JOB)
    command = [sys.executable, "job.py"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        done = [first.stdout.readline() for _ in range(60)]
        first.kill()
        done += first.stdout.readlines()
    print("the first run was killed with SIGKILL behind 60 items or some more")
    second = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)

lines = [line.split() for line in second.stdout.splitlines()]
# One more may be done than the killed program could print.
goes_on = int(lines[0][0]) - len(done) in (0, 1)
print(f"the second run goes on behind the last one that was done: {goes_on}")
total = int(lines[-1][1])
alone = sum(item * item for item in range(200))
print(f"{int(lines[-1][0]) + 1} items, sum of squares: {total}, as in one run: {total == alone}")
