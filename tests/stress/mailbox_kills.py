"""Flood a mailbox while its reader and its senders are killed at random; then count.

Run by `test_mailbox_kills.py`, or alone:
``python -m tests.stress.mailbox_kills KILLS SEED PLACES``.

Every reader appends what it got to a log, one whole write each. A message that a reader took and
did not log is the one in its hand: at most one a killed reader. What a killed sender had not yet
written to the pipe is no loss, so a message counts as missing when a later one of its sender
arrived.
"""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import struct
import sys
import time
import zlib
from collections import defaultdict
from itertools import count, pairwise
from typing import Any

from procactors.wire.mailbox.queue import Mailbox
from tests.support.waiting import LONG_S, eventually

_LOGGED = struct.Struct("=IIB")  # sender, sequence, intact
_SIZES = (20, 20, 20, 20, 20, 200, 3_000, 5_000, 60_000, 1_000_000)
#: Records in a sender's own backlog at which it waits: the pipe is not the only bound, and the
#: disk in memory that holds the large ones is not endless.
_ENOUGH = 50


@dataclasses.dataclass
class Outcome:
    """What a run found."""

    kills: int = 0
    reader_kills: int = 0
    received: int = 0
    missing: int = 0
    twice: int = 0
    out_of_order: int = 0
    damaged: int = 0


class Run:
    """One reader, some senders, and a loop that kills them."""

    def __init__(self, seed: int, senders: int, maxsize: int) -> None:
        self._chance = random.Random(seed)
        self._mailbox = Mailbox(maxsize)
        self._log = os.memfd_create("log")
        self._numbers = count()
        self.outcome = Outcome()
        self._reader = self._new_reader()
        self._senders = [self._new_sender() for _ in range(senders)]

    def kill_one(self) -> None:
        """Kill the reader or a sender at a random moment, and start another in its place."""
        time.sleep(self._chance.uniform(0.0, 0.010))  # the moment of the kill is drawn by chance
        if self._chance.random() < 0.5:
            _kill(self._reader)
            self.outcome.reader_kills += 1
            self._reader = self._new_reader()
        else:
            _kill(self._senders.pop(self._chance.randrange(len(self._senders))))
            self._senders.append(self._new_sender())
        self.outcome.kills += 1

    def finish(self) -> Outcome:
        """End the senders, wait until everything is read, and count."""
        for sender in self._senders:
            _kill(sender)
        eventually(self._mailbox.empty, "the mailbox to be drained", LONG_S)
        _kill(self._reader)
        self.outcome.reader_kills += 1  # it may have had the last message in its hand
        _count(os.pread(self._log, os.fstat(self._log).st_size, 0), self.outcome)
        os.close(self._log)
        self._mailbox.close()
        return self.outcome

    def _new_reader(self) -> int:
        return _fork(_read, self._mailbox, f"/proc/{os.getpid()}/fd/{self._log}")

    def _new_sender(self) -> int:
        return _fork(_send, self._mailbox, next(self._numbers), self._chance.random())


def run(kills: int, seed: int, senders: int = 2, maxsize: int = 0) -> Outcome:
    """Kill readers and senders `kills` times in all; return what was found."""
    flood = Run(seed, senders, maxsize)
    for _ in range(kills):
        flood.kill_one()
    return flood.finish()


def _fork(target: Any, *args: Any) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            target(*args)
        except BaseException as error:
            print("child failed:", repr(error), file=sys.stderr, flush=True)
        os._exit(1)  # it runs until it is killed
    return pid


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status), f"child {pid} ended by itself: {os.WEXITSTATUS(status)}"


def _send(mailbox: Mailbox, number: int, seed: float) -> None:
    chance = random.Random(seed)
    for sequence in count():
        body = bytes([sequence & 0xFF]) * chance.choice(_SIZES)
        mailbox.put((number, sequence, zlib.crc32(body), body))
        if mailbox._writing().waiting() > _ENOUGH:
            eventually(lambda: mailbox._writing().waiting() < _ENOUGH, "the reader", LONG_S)


def _read(mailbox: Mailbox, log_path: str) -> None:
    log = os.open(log_path, os.O_WRONLY | os.O_APPEND)
    while True:
        number, sequence, checksum, body = mailbox.get()
        os.write(log, _LOGGED.pack(number, sequence, zlib.crc32(body) == checksum))


def _count(log: bytes, outcome: Outcome) -> None:
    got: dict[int, list[int]] = defaultdict(list)
    for number, sequence, intact in _LOGGED.iter_unpack(log):
        got[number].append(sequence)
        outcome.received += 1
        outcome.damaged += not intact
    for sequences in got.values():
        different = set(sequences)
        outcome.missing += max(sequences) + 1 - len(different)
        outcome.twice += len(sequences) - len(different)
        outcome.out_of_order += sum(later < earlier for earlier, later in pairwise(sequences))


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    kills_wanted, chosen, places = [*given, *(500, int(time.time()), 0)[len(given) :]]
    print("seed", chosen)
    print(run(kills_wanted, chosen, maxsize=places))
