"""A batch job that gets SIGTERM: it drains, keeps what is done, and exits with 143.

Schedulers (Slurm, Kubernetes, systemd) send SIGTERM and, some seconds later, SIGKILL. So the
handler only notes the signal; the loop looks at it between two batches, takes no new work, and one
deadline covers all that is left: the batches in flight and the stop of every actor. Here the
job sends the signal to itself after the twelfth batch, as a scheduler would.

Run it: procactors examples batch_job

Exit code: 143

Expected output:

    SIGTERM after 12 of 1000 batches: no new ones
    12 batches saved, 0 given up
"""

import os
import signal
import sys
import time
from concurrent.futures import Future, wait

from procactors import Actor, ActorSystem

DRAIN_S = 20.0  # less than the scheduler's patience, which is often 30 s
BATCHES = range(1, 1001)


class Cruncher(Actor):
    def crunch(self, batch: int) -> int:
        return sum(number * number for number in range(batch * 1_000))


stop_asked: list[int] = []  # the signal that came, if any
signal.signal(signal.SIGTERM, lambda signum, frame: stop_asked.append(signum))

with ActorSystem() as system:
    crunchers = [system.options(mailbox=4).spawn(Cruncher) for _ in range(2)]
    replies = []
    for batch in BATCHES:
        if stop_asked:
            break
        # Blocks while four batches wait there: the job never runs far ahead of its actors.
        cruncher = crunchers[batch % len(crunchers)]
        replies.append(cruncher.submit(Cruncher.crunch, batch))
        if batch == 12:
            os.kill(os.getpid(), signal.SIGTERM)

    # Short waits, so that a signal is seen here as well.
    pending = set[Future[int]](replies)
    while pending and not stop_asked:
        pending = wait(pending, timeout=0.5).not_done

    deadline = time.monotonic() + DRAIN_S
    if stop_asked:
        print(f"SIGTERM after {len(replies)} of {len(BATCHES)} batches: no new ones")
    done, late = wait(replies, timeout=DRAIN_S)
    system.stop(timeout=max(0.0, deadline - time.monotonic()))

print(f"{len(done)} batches saved, {len(late)} given up")
sys.exit(128 + signal.SIGTERM if stop_asked else 0)
