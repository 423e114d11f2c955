"""A big array, shared once and read by four actors.

Its 80 MB are written into shared memory one time. What travels is a handle of some 100 bytes; each
reader maps the array, read-only, and nothing is copied. A reader may make a shared array itself
and return its handle. The end of the block releases the memory.

Run it: procactors examples shared_array   (needs NumPy: pip install numpy)

Expected output:

    shared: <Shared ndarray, 80 MB>
    four readers found 49,999,995,000,000
    memory for the array: 1.0 times its size
    a reader's own result: 0.0 1.0 2.0 ...
    after the block: the shared ndarray (80 MB) was released; ...
"""

import os
import sys

import psutil

from procactors import Actor, ActorRef, ActorSystem, Shared
from procactors.errors import ShareReleased

try:
    import numpy as np
except ImportError:
    sys.exit("this example needs NumPy: pip install numpy")


class Reader(Actor):
    def total(self, shared: "Shared[np.ndarray]", part: int) -> int:
        self.array = (
            shared.get()
        )  # mapped: it may be read as long as it is held, also after its release
        return int(self.array[part::4].sum())

    def roots(self) -> "Shared[np.ndarray]":
        return self.context.system.share(np.sqrt(self.array[:10] ** 2.0))

    def process_id(self) -> int:
        return os.getpid()


def memory(readers: list[ActorRef[Reader]]) -> int:
    """Bytes that all of them take in sum; what several have mapped counts once."""
    processes = [psutil.Process(reader.ask(Reader.process_id)) for reader in readers]
    return sum(process.memory_full_info().pss for process in processes)


with ActorSystem(preload=["numpy"]) as system:
    readers = [system.spawn(Reader) for _ in range(4)]
    before = memory(readers)
    with system.share(np.arange(10_000_000)) as shared:
        print(f"shared: {shared}")
        replies = [reader.submit(Reader.total, shared, n) for n, reader in enumerate(readers)]
        print(f"four readers found {sum(reply.result() for reply in replies):,}")
        taken = memory(readers) - before
        print(f"memory for the array: {taken / shared.nbytes:.1f} times its size")
    roots = readers[0].ask(Reader.roots)
    print("a reader's own result:", *roots.get()[:3], "...")
    try:
        shared.get()
    except ShareReleased as error:
        print(f"after the block: {error}")
