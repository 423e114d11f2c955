"""Word statistics over a folder: a map over its files, and a worker that is killed half-way.

The pool has a worker for each usable CPU. `map` gives each file to a worker that is free; the
counts come back in the order of the files. Half-way a worker is killed. What it had done stays
done; the one file in its hand is read again, as `retries=1` says; and the pool has a new process
by then.

Run it: procactors examples word_statistics   (as a script it also takes a folder)

Expected on stderr, where the runtime reports the death:

    actor words-1 (incarnation 1, pid ...) ended by signal SIGKILL...

Expected output:

    one process: 120 files, ... words
    ... workers: 120 files, ... words, one worker killed
    the same counts: True
    most frequent: ...
"""

import os
import re
import signal
import sys
import sysconfig
from collections import Counter
from pathlib import Path

from procactors import ActorSystem

MOST_FILES = 120


def count(path: Path) -> Counter[str]:
    return Counter(re.findall(r"[a-z]+", path.read_text(errors="replace").lower()))


folder = Path(sys.argv[1] if len(sys.argv) > 1 else sysconfig.get_paths()["stdlib"])
files = sorted(path for path in folder.iterdir() if path.suffix in (".py", ".md", ".txt"))
files = files[:MOST_FILES]

alone = Counter[str]()
for path in files:
    alone += count(path)
print(f"one process: {len(files)} files, {alone.total():,} words")

with ActorSystem() as system, system.options(name="words").pool() as pool:
    together = Counter[str]()
    for number, counts in enumerate(pool.map(count, files, retries=1)):
        together += counts
        if number == len(files) // 2:
            process = pool.workers()[0].status().pid
            if process is not None:
                os.kill(process, signal.SIGKILL)
    print(f"{pool.size} workers: {len(files)} files, {together.total():,} words, one worker killed")

print("the same counts:", together == alone)
print("most frequent:", *(word for word, _ in together.most_common(5)))
