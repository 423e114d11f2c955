"""The writer of a system's dead letters: puts them into a file, and hands marked ones over.

Layer: deadletters. Runs in: parent, in a thread of its own; `keep` and its like in any thread.
Owns: the file while the system lives, the thread, and in the runtime directory a pipe by which this
and other processes ring (all gone by `close`).
Never: makes the supervisor wait for the file; unpickles.

    supervisor ── keep ──► queue ─┐
    command line ── mark ──► file │         ┌─► file: letters, blueprints, definitions
                 └─ ring ──► bell ┴► thread ┴─► marked letters, to the actors of their names
"""

from __future__ import annotations

import collections
import contextlib
import functools
import logging
import os
import select
import sqlite3
import sys
import threading
import uuid
from collections.abc import Callable
from time import monotonic

from procactors.deadletters.file import LETTERS_FOLDER, LetterFile, Run, StoredLetter
from procactors.deadletters.letter import DeadLetter
from procactors.deadletters.store import DeadLetters
from procactors.errors import MailboxFull, ProcActorsError
from procactors.light_tuple import NamedTuple
from procactors.wire.pickling.definitions import publish, published, published_with
from procactors.wire.runtime_dir import check_private
from procactors.wire.storage import move_file
from procactors.wire.transport import Transport

__all__ = ["DeadLetterWriter", "ring"]

_log = logging.getLogger("procactors")

#: What this process writes to the bell, and another one that has marked letters.
_OUR_RING, _THEIR_RING = b".", b"!"
#: What a pipe takes at most without a word to the kernel.
_BELL_BYTES = 65_536
#: What may wait to be written, in letters and bytes; what comes beyond is missing in the file.
_WAITING, _WAITING_BYTES = 100_000, 256 * 1024 * 1024
#: Letters written, or handed over, in one transaction.
_BATCH = 500
#: Seconds that one try waits for another process that is writing, and between two tries.
_PATIENCE_S, _AGAIN_S = 1.0, 0.5
#: Tries to note what was handed over: without that note the file does not know that it was.
_TRIES = 10


class _Item(NamedTuple):
    """What the thread is to do: write a letter, or (without one) remove number `serial`."""

    serial: int
    letter: DeadLetter | None = None
    blueprint: str | None = None


class DeadLetterWriter:
    """Keeps the letters of one system in a file.

    Args:
        path: the file; made if it is not there.
        name: the system's name.
        transport: sends what is handed over; its path is a runtime directory.
        letters: the letters in memory.
        address_of: returns the id of the live actor of a name; from any thread.
    """

    def __init__(
        self,
        path: str,
        name: str,
        transport: Transport,
        letters: DeadLetters,
        address_of: Callable[[str], int | None],
    ) -> None:
        self._path = os.path.abspath(path)
        self._transport, self._letters, self._address_of = transport, letters, address_of
        main_file = getattr(sys.modules.get("__main__"), "__file__", None)
        self._run = Run(uuid.uuid4().hex, transport.path, name, tuple(sys.path), main_file)
        self._folder = os.path.join(transport.path, LETTERS_FOLDER)
        # Guards the queue's figures and the wake-up's life: the thread closes it. Reentrant: a
        # signal handler of the application may stop the system.
        self._lock = threading.RLock()
        self._queue: collections.deque[_Item] = collections.deque()
        self._bytes = 0
        self._missing = 0
        self._linked: set[int] = set()
        self._tokens: set[str] = set()
        self._brought = {self._run.run}
        self._in_trouble = False
        self._marked: frozenset[str] = frozenset()
        self._is_open = False
        self._bell = -1
        self._end_by: float | None = None
        self._opened = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="procactors-letters", daemon=True)

    def open(self) -> None:
        """Open the file and start the thread.

        Raises:
            OSError: the file cannot be made, or is not ours alone. NotLetters: it is another's.
        """
        self._thread.start()
        self._opened.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    # -- from any thread ----------------------------------------------------------------------

    def keep(self, letter: DeadLetter, blueprint: str | None) -> None:
        """Have a letter written; returns at once."""
        size = len(letter.head) + sum(map(len, letter.buffers))
        with self._lock:
            full = len(self._queue) >= _WAITING or (
                self._queue and self._bytes + size > _WAITING_BYTES
            )
            if full or not self._is_open:
                self._missing += 1
                if self._missing == 1:
                    _log.error(
                        "a dead letter to %s is not in %s, which %s; more may follow",
                        letter.actor,
                        self._path,
                        "is too slow for so many" if full else "is closed",
                    )
                return
            self._bytes += size
            link = self._link(letter.actor_id, blueprint)
            self._put(_Item(letter.serial, letter, link))

    def forget(self, serial: int) -> None:
        """Have a letter removed that was sent again."""
        with self._lock:
            self._put(_Item(serial))

    def actor_up(self, name: str) -> None:
        """Note that an actor has come up: letters may be marked for it."""
        # Read without the lock. A set that is replaced right now is no loss: the thread looks
        # for the live actors of all names after it has replaced it.
        if name in self._marked:
            with self._lock:
                self._wake_thread()

    def close(self, timeout: float) -> None:
        """Write what waits, within `timeout` seconds, and close the file."""
        with self._lock:
            if self._end_by is None:
                self._end_by = monotonic() + timeout
            self._wake_thread()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout + _PATIENCE_S)
        self._tell_missing()

    def _tell_missing(self) -> None:
        if self._missing:
            _log.error("%d dead letters are missing in %s", self._missing, self._path)

    def _put(self, item: _Item) -> None:
        self._queue.append(item)
        if len(self._queue) == 1:  # else the thread is awake, or has been woken
            self._wake_thread()

    def _wake_thread(self) -> None:
        if self._bell >= 0:
            with contextlib.suppress(BlockingIOError):  # full: it is awake by that
                os.write(self._bell, _OUR_RING)

    def _link(self, actor: int, blueprint: str | None) -> str | None:
        """Keep the blueprint's file for the thread: the actor's folder may be gone by then."""
        if blueprint is None or actor in self._linked:
            return None
        self._linked.add(actor)
        with contextlib.suppress(OSError):  # no room for a name: a letter without its class
            return self._keep_blueprint(blueprint, f"{LETTERS_FOLDER}/{actor}")
        return None

    def _keep_blueprint(self, blueprint: str, name: str) -> str:
        """Give a blueprint's file another name in the runtime directory, too; return its path."""
        return move_file(self._run.runtime_dir, blueprint, name, keep=True)

    # -- the thread ---------------------------------------------------------------------------

    def _main(self) -> None:
        try:
            file = self._open_file()
        except BaseException as error:  # noqa: BLE001 - whatever it is, `open` raises it
            self._failure = error
            self._opened.set()
            return
        with file:
            try:
                self._open_bell()
                self._begin(file)
            except BaseException as error:  # noqa: BLE001 - as above
                self._failure = error
            else:
                self._opened.set()
                self._serve(file)
        self._close_bell()
        self._opened.set()

    def _open_file(self, any_thread: bool = False) -> LetterFile:
        patience = _TRIES * _PATIENCE_S
        return LetterFile(self._path, create=True, patience=patience, any_thread=any_thread)

    def _begin(self, file: LetterFile) -> None:
        """Enter this run into the file: from now on, letters are written."""
        file.begin(self._run)
        self._marked = file.marked()
        file.wait_at_most(_PATIENCE_S)
        self._is_open = True

    def _open_bell(self) -> None:
        os.mkdir(self._folder, 0o700)
        bell = os.path.join(self._folder, "bell")
        os.mkfifo(bell, 0o600)
        # Both ways, so that it is never without a writer.
        self._bell = os.open(bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _close_bell(self) -> None:
        with self._lock:
            self._is_open = False
            if self._bell >= 0:
                os.close(self._bell)
            self._bell = -1

    def _serve(self, file: LetterFile) -> None:
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        patience: float | None = 0.0
        while True:
            poll.poll(None if patience is None else patience * 1000)
            rings = b""
            with contextlib.suppress(BlockingIOError):
                rings = os.read(self._bell, _BELL_BYTES)
            # Theirs finds no place in a full one.
            is_rung = _THEIR_RING in rings or len(rings) == _BELL_BYTES
            is_over, patience = self._turn(file, is_rung=is_rung)
            if is_over:
                return

    def _turn(self, file: LetterFile, *, is_rung: bool) -> tuple[bool, float | None]:
        """Do what there is to do; `is_rung`: another process has marked letters.

        Returns whether it was the last time, and the seconds until there may be more to do.
        """
        try:
            if self._end_by is not None:  # the last tries must end in time
                file.wait_at_most(self._until_end(_PATIENCE_S))
            while self._queue:
                self._write(file)
            if self._end_by is not None:
                file.end(self._run.run)
                return True, None
            if is_rung:
                self._marked = file.marked()
            patience = self._hand_over(file)
            self._in_trouble = False
        except Exception as error:  # noqa: BLE001 - see below
            # So wide because this must go on: what waits is still in the queue, and a full disk,
            # say, may have room again.
            patience = self._until_end(_AGAIN_S)
            if self._end_by is not None and patience == 0.0:
                self._missing += sum(item.letter is not None for item in self._queue)
                return True, None
            if not self._in_trouble:
                _log.error("the dead letters' file %s: %s; trying again", self._path, error)
            self._in_trouble = True
        return False, patience

    def _until_end(self, most: float) -> float:
        """Return `most` seconds, or those that are left for the end."""
        if self._end_by is None:
            return most
        return max(0.0, min(most, self._end_by - monotonic()))

    # -- writing ------------------------------------------------------------------------------

    def _write(self, file: LetterFile) -> None:
        """Write the first items of the queue; they leave it when they are in the file."""
        batch = [self._queue[at] for at in range(min(_BATCH, len(self._queue)))]
        letters = [item.letter for item in batch if item.letter is not None]
        try:
            for item in batch:
                self._write_needs(file, item)
            file.add(self._run.run, letters)
            file.forget(self._run.run, [item.serial for item in batch if item.letter is None])
        except sqlite3.OperationalError:
            raise
        except Exception:  # noqa: BLE001 - see below
            # So wide because one letter that cannot be written must not keep the others out.
            _log.exception("%d dead letters could not be written to %s", len(letters), self._path)
            self._missing += len(letters)
        with self._lock:
            for item in batch:
                self._queue.popleft()
                if item.letter is not None:
                    self._bytes -= len(item.letter.head) + sum(map(len, item.letter.buffers))

    def _write_needs(self, file: LetterFile, item: _Item) -> None:
        """Write what it takes to open a letter elsewhere: blueprint and definitions."""
        if item.letter is None:
            return
        bodies = [item.letter.head]
        if item.blueprint is not None:
            with contextlib.suppress(FileNotFoundError):  # written at a try before
                with open(item.blueprint, "rb") as link:
                    bodies.append(link.read())
                file.add_blueprint(self._run.run, item.letter.actor_id, bodies[-1])
                os.unlink(item.blueprint)
        found = published_with(bodies, self._run.runtime_dir, self._tokens)
        if found:
            file.add_definitions(self._run.run, found)
            self._tokens.update(found)

    # -- handing over -------------------------------------------------------------------------

    def _hand_over(self, file: LetterFile) -> float | None:
        """Hand marked letters to live actors; return the seconds until there may be more to do."""
        patience: float | None = None
        for name in self._marked:
            actor = self._address_of(name)
            if actor is None:
                continue  # until it comes up
            taken = file.take(name, _BATCH)
            if not taken:
                self._marked -= {name}
                continue
            sent, wait = self._send_all(file, actor, taken)
            back = [stored.id for stored in taken[len(sent) :]]
            _retry(functools.partial(file.handed_over, sent, back))
            if wait is not None:
                patience = wait if patience is None else min(patience, wait)
        return patience

    def _send_all(
        self, file: LetterFile, actor: int, taken: list[StoredLetter]
    ) -> tuple[list[int], float | None]:
        """Send letters in order until one cannot be sent.

        Returns the ids of those that were, and the seconds after which to try again (None: when
        an actor of the name comes up).
        """
        sent: list[int] = []
        for stored in taken:
            letter, ours = stored.letter, stored.run == self._run.run
            if ours and not self._letters.begin_leaving(letter.serial):
                return sent, _AGAIN_S  # the program is sending it just now: then it is removed
            gone = False
            try:
                self._bring_definitions(file, stored.run)
                self._transport.tell(actor, letter.actor, letter.method, letter.encoded, 0.0)
                gone = True
            except MailboxFull:
                return sent, _AGAIN_S
            except (ProcActorsError, OSError) as error:
                _log.error("a dead letter was not handed to %s: %s", letter.actor, error)
                return sent, None
            finally:
                if ours:
                    self._letters.end_leaving(letter.serial, gone)
            sent.append(stored.id)
        return sent, 0.0

    def _bring_definitions(self, file: LetterFile, run: str) -> None:
        """Put the definitions of an earlier run where this system's actors look for them."""
        if run in self._brought:
            return
        for token, body in file.definitions(run).items():
            if published(self._run.runtime_dir, token) is None:
                publish(self._run.runtime_dir, token, body)
        self._brought.add(run)


def _retry(action: Callable[[], object]) -> None:
    """Run an action, again if another process is writing; each try waits for that process."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(sqlite3.OperationalError):
            action()
            return
    action()


def ring(runtime_dir: str) -> bool:
    """Have the writer of a runtime directory look at its file; return whether there is one."""
    with contextlib.suppress(OSError):
        check_private(runtime_dir)
        bell = os.open(
            os.path.join(runtime_dir, LETTERS_FOLDER, "bell"),
            os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC,
        )
        try:
            os.write(bell, _THEIR_RING)
        finally:
            os.close(bell)
        return True
    return False
