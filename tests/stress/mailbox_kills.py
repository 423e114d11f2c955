"""Flood a mailbox while its reader and its senders are killed at random; then count.

Run by `test_mailbox_kills.py`, or alone: ``python -m tests.stress.mailbox_kills KILLS SEED``.
Every sender notes in a shared map how many of its puts were confirmed; every reader appends what
it got to a log, one whole write each. A message that a reader took and did not log is the one
in its hand: at most one a killed reader.
"""

from __future__ import annotations

import dataclasses
import mmap
import os
import random
import signal
import struct
import sys
import time
import zlib
from collections import defaultdict

from procactors.wire.mailbox import Mailbox

_LOGGED = struct.Struct("=IIIB")  # sender, sequence, size, intact
_SIZES = (20, 20, 20, 20, 20, 200, 3_000, 5_000, 60_000, 1_000_000)
_SLOTS = 4096


@dataclasses.dataclass
class Outcome:
    """What a run found."""

    kills: int = 0
    reader_kills: int = 0
    confirmed: int = 0
    received: int = 0
    missing: int = 0
    twice: int = 0
    out_of_order: int = 0
    damaged: int = 0


def run(kills: int, seed: int, senders: int = 2, maxsize: int = 0) -> Outcome:
    """Kill readers and senders `kills` times in all; return what was found."""
    rng = random.Random(seed)
    outcome = Outcome()
    mailbox = Mailbox(maxsize)
    confirmed = mmap.mmap(-1, 8 * _SLOTS)
    slots = memoryview(confirmed).cast("Q")
    log = os.memfd_create("log")
    log_path = f"/proc/{os.getpid()}/fd/{log}"
    serial = iter(range(_SLOTS))
    sending = {}
    for _ in range(senders):
        number = next(serial)
        sending[_fork(_send, mailbox, slots, number, rng.random())] = number
    reader = _fork(_read, mailbox, log_path)
    for _ in range(kills):
        time.sleep(rng.uniform(0.0, 0.010))  # the moment of the kill: the point of the test
        if rng.random() < 0.5:
            _kill(reader)
            outcome.reader_kills += 1
            reader = _fork(_read, mailbox, log_path)
        else:
            victim = rng.choice(sorted(sending))
            _kill(victim)
            del sending[victim]
            number = next(serial)
            sending[_fork(_send, mailbox, slots, number, rng.random())] = number
        outcome.kills += 1
    for victim in sending:
        _kill(victim)
    _drain(mailbox, log)
    _kill(reader)
    _count(os.pread(log, os.fstat(log).st_size, 0), slots, outcome)
    os.close(log)
    slots.release()
    mailbox.close()
    return outcome


def _fork(target, *args) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            target(*args)
        except BaseException as error:  # noqa: BLE001 - a child must not go on as the parent
            print("child failed:", repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status):
        raise AssertionError(f"child {pid} ended by itself: {os.WEXITSTATUS(status)}")


def _send(mailbox: Mailbox, slots, number: int, seed: float) -> None:
    rng = random.Random(seed)
    sequence = 0
    while True:
        size = rng.choice(_SIZES)
        body = bytes([sequence & 0xFF]) * size
        mailbox.put((number, sequence, zlib.crc32(body), body))
        sequence += 1
        slots[number] = sequence
        if sequence % 64 == 0:
            # Keep the flood below what a disk in memory holds: the pipe is not the only bound.
            while mailbox._writing().waiting() > 50:
                time.sleep(0.001)


def _read(mailbox: Mailbox, log_path: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    while True:
        number, sequence, checksum, body = mailbox.get()
        intact = zlib.crc32(body) == checksum
        os.write(log, _LOGGED.pack(number, sequence, len(body), intact))


def _drain(mailbox: Mailbox, log: int) -> None:
    deadline = time.monotonic() + 60
    seen = -1
    while time.monotonic() < deadline:
        time.sleep(0.3)
        size = os.fstat(log).st_size
        if mailbox.empty() and size == seen:
            return
        seen = size
    raise AssertionError(f"the mailbox was not drained: {mailbox.qsize()} left")


def _count(data: bytes, slots, outcome: Outcome) -> None:
    last = defaultdict(lambda: -1)
    seen = set()
    for number, sequence, _, intact in _LOGGED.iter_unpack(data):
        outcome.received += 1
        outcome.damaged += not intact
        outcome.twice += (number, sequence) in seen
        seen.add((number, sequence))
        outcome.out_of_order += sequence <= last[number]
        last[number] = sequence
    # A put that was confirmed may still have been in the sender's own backlog: what counts as
    # missing is a gap before something later of the same sender that did arrive.
    for number, highest in last.items():
        have = sum(1 for n, _ in seen if n == number) if len(last) < 50 else None
        if have is None:
            continue
        outcome.missing += highest + 1 - have
    if len(last) >= 50:
        counts = defaultdict(int)
        for number, _ in seen:
            counts[number] += 1
        outcome.missing = sum(last[n] + 1 - counts[n] for n in last)
    outcome.confirmed = sum(slots)


if __name__ == "__main__":
    kills_wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    chosen = int(sys.argv[2]) if len(sys.argv) > 2 else int(time.time())
    bound = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    print("seed", chosen)
    print(run(kills_wanted, chosen, maxsize=bound))
