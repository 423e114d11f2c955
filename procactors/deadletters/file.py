"""Dead letters in a file, with what it takes to open them when their system is gone.

Layer: deadletters. Runs in: parent, in the thread that opened the file; the command line.
Owns: a connection to an SQLite database (`close`).
Never: unpickles; is used by two threads at once, or by a forked copy.

A letter belongs to a *run*, one life of one system. With the run are kept its import path, the
blueprints of the actors that have letters, and the definitions that either names. All of it goes
with the run's last letter.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import secrets
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from procactors.deadletters.letter import DeadLetter
from procactors.wire.envelope import CALLS
from procactors.wire.pickling.codec import Encoded, join, split

__all__ = ["LETTERS_FOLDER", "LetterFile", "NoSuchLetter", "NotLetters", "Run", "StoredLetter"]

#: Folder of a runtime directory, with the bell of its writer, and links to blueprints.
LETTERS_FOLDER = "letters"

#: Says "a file of ours" in the database's header: the letters PALD.
_APPLICATION, _VERSION = 0x50414C44, 1
#: SQLite takes values up to a thousand million bytes; the body of a larger letter is left out.
_BODY_LIMIT = 900_000_000

_SCHEMA = """
CREATE TABLE runs (run TEXT PRIMARY KEY, home TEXT, name TEXT, path TEXT, main_file TEXT);
CREATE TABLE blueprints (run TEXT, digest BLOB, body BLOB, PRIMARY KEY (run, digest));
CREATE TABLE actors (run TEXT, actor INTEGER, digest BLOB, PRIMARY KEY (run, actor));
CREATE TABLE definitions (run TEXT, token TEXT, body BLOB, PRIMARY KEY (run, token));
CREATE TABLE letters (
    id INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT, serial INTEGER, state TEXT,
    actor TEXT, handler TEXT, reason TEXT, deliveries INTEGER, sender INTEGER, at TEXT,
    class_name TEXT, killed INTEGER, asked INTEGER, method BLOB, actor_id INTEGER,
    size INTEGER, body BLOB, UNIQUE (run, serial));
CREATE INDEX letters_by_state ON letters (state, actor) WHERE state != 'kept';
"""
#: Attributes of a letter that are columns of their own.
_FACTS = (
    "actor", "handler", "reason", "deliveries", "sender", "at", "class_name", "killed", "asked",
    "method", "actor_id", "serial",
)  # fmt: skip
_COLUMNS = ", ".join(_FACTS)


class NotLetters(Exception):
    """A file that is no file of dead letters, or that this version cannot read."""


class NoSuchLetter(LookupError):
    """No letter of that id is in the file, or none that can be used so."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One life of one system.

    Attributes:
        run: a random name.
        runtime_dir: its runtime directory; it is there as long as the system lives.
        name: the system's name.
        path: the import path of its main program.
        main_file: the main program's file; None if it had none.
    """

    run: str
    runtime_dir: str
    name: str
    path: tuple[str, ...]
    main_file: str | None


@dataclasses.dataclass(frozen=True)
class StoredLetter:
    """A letter as it lies in the file.

    Attributes:
        id: its number in the file.
        run: the run that it comes from.
        state: ``kept``; ``marked`` for the next actor of its name; ``taken`` by a system that is
            handing it over (if that system is gone: it is not known whether it did).
        size: bytes of its content.
        letter: the letter; its content only where that was asked for.
    """

    id: int
    run: str
    state: str
    size: int
    letter: DeadLetter


class LetterFile:
    """An open file of dead letters. Each method is one transaction.

    Args:
        path: the file.
        create: make it if it is not there.
        patience: seconds to wait for another process that is writing.
        any_thread: several threads may use it, one at a time.

    Raises:
        FileNotFoundError: it is not there. PermissionError: others may read or write it.
        NotLetters: it is something else.
    """

    def __init__(
        self, path: str, *, create: bool = False, patience: float = 10.0, any_thread: bool = False
    ) -> None:
        self.path = path
        if create and not os.path.exists(path):
            _make(path)
        _check_ours(path)
        # No transactions of the module's own; `_change` makes them.
        self._db = sqlite3.connect(
            path, timeout=patience, isolation_level=None, check_same_thread=not any_thread
        )
        try:
            (application,) = self._db.execute("PRAGMA application_id").fetchone()
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            # In this mode a commit survives the death of this process; not always a power cut.
            self._db.execute("PRAGMA synchronous = NORMAL")
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise NotLetters(f"{path} is no file of dead letters: {error}") from error
        if (application, version) != (_APPLICATION, _VERSION):
            self._db.close()
            raise NotLetters(
                f"{path} is no file of dead letters (version {_VERSION}); name another file"
            )

    def wait_at_most(self, seconds: float) -> None:
        """Set how long each change waits for another process that is writing."""
        self._db.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")

    def close(self) -> None:
        """Close the connection; the last one of all processes leaves a single file."""
        self._db.close()

    def __enter__(self) -> LetterFile:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ------------------------------------------------------------------------------

    def begin(self, run: Run) -> None:
        """Enter a run; forget those that have neither letters nor a living system."""
        with self._change():
            for other, runtime_dir in self._db.execute("SELECT run, home FROM runs").fetchall():
                if not os.path.exists(runtime_dir):
                    self._prune(other)
            self._db.execute(
                "INSERT INTO runs VALUES (?, ?, ?, ?, ?)",
                (
                    run.run,
                    run.runtime_dir,
                    _text(run.name),
                    _text(json.dumps(run.path)),
                    run.main_file,
                ),
            )

    def end(self, run: str) -> None:
        """Forget a run that ends without letters."""
        with self._change():
            self._prune(run)

    def add(self, run: str, letters: Sequence[DeadLetter]) -> None:
        """Write letters."""
        with self._change():
            self._db.executemany(
                f"INSERT INTO letters (run, state, size, body, {_COLUMNS}) "  # noqa: S608 - ours
                "VALUES (?, 'kept', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(run, *_row(letter)) for letter in letters],
            )

    def add_blueprint(self, run: str, actor: int, body: bytes) -> None:
        """Write the blueprint of an actor; actors that were made alike share one."""
        digest = hashlib.sha256(body).digest()
        with self._change():
            self._db.execute(
                "INSERT OR IGNORE INTO blueprints VALUES (?, ?, ?)", (run, digest, body)
            )
            self._db.execute("INSERT OR IGNORE INTO actors VALUES (?, ?, ?)", (run, actor, digest))

    def add_definitions(self, run: str, definitions: Mapping[str, bytes]) -> None:
        """Write definitions by token."""
        with self._change():
            self._db.executemany(
                "INSERT OR IGNORE INTO definitions VALUES (?, ?, ?)",
                [(run, token, body) for token, body in definitions.items()],
            )

    def forget(self, run: str, serials: Iterable[int]) -> None:
        """Remove letters of a run by their numbers in it."""
        with self._change():
            self._db.executemany(
                "DELETE FROM letters WHERE run = ? AND serial = ?", [(run, one) for one in serials]
            )

    # -- handing over -------------------------------------------------------------------------

    def mark(self, ids: Sequence[int] | None, actor: str | None = None) -> int:
        """Mark letters for the next actor of their name; return how many are marked by this.

        Args:
            ids: which; None for all but asks, whose callers have got an error.
            actor: only letters to the actor of that name.

        Raises:
            NoSuchLetter: there is no letter of one of these ids; then none is marked.
        """
        with self._change():
            if ids is None:
                return self._db.execute(
                    "UPDATE letters SET state = 'marked' WHERE state != 'marked' AND NOT asked "
                    "AND size > 0 AND (:actor IS NULL OR actor = :actor)",
                    {"actor": actor},
                ).rowcount
            for one in ids:
                found = self._db.execute("SELECT size FROM letters WHERE id = ?", (one,)).fetchone()
                if not found:
                    raise NoSuchLetter(f"{self.path} has no letter {one}")
                if not found[0]:
                    raise NoSuchLetter(f"the content of letter {one} was lost: nothing can be sent")
            self._set_state("marked", ids)
            return len(ids)

    def marked(self) -> frozenset[str]:
        """Return the names of the actors that marked letters wait for."""
        rows = self._db.execute("SELECT DISTINCT actor FROM letters WHERE state = 'marked'")
        return frozenset(name for (name,) in rows)

    def take(self, actor: str, most: int) -> list[StoredLetter]:
        """Claim up to `most` marked letters of an actor, the oldest first, with their content."""
        with self._change():
            rows = self._db.execute(
                "SELECT id FROM letters WHERE state = 'marked' AND actor = ? ORDER BY id LIMIT ?",
                (actor, most),
            ).fetchall()
            self._set_state("taken", [one for (one,) in rows])
        return [self.letter(one) for (one,) in rows]

    def handed_over(self, sent: Sequence[int], back: Sequence[int]) -> None:
        """Remove the letters that were handed over; leave the others marked."""
        with self._change():
            self._db.executemany("DELETE FROM letters WHERE id = ?", [(one,) for one in sent])
            self._set_state("marked", back)

    # -- reading ------------------------------------------------------------------------------

    def letters(self, actor: str | None = None) -> list[StoredLetter]:
        """Return the letters, oldest first, without their content."""
        rows = self._db.execute(
            f"SELECT id, run, state, size, NULL, {_COLUMNS} FROM letters "  # noqa: S608 - ours
            "WHERE :actor IS NULL OR actor = :actor ORDER BY id",
            {"actor": actor},
        )
        return [_stored(row) for row in rows]

    def letter(self, number: int) -> StoredLetter:
        """Return one letter with its content.

        Raises:
            NoSuchLetter: there is none of that id.
        """
        row = self._db.execute(
            f"SELECT id, run, state, size, body, {_COLUMNS} FROM letters "  # noqa: S608 - ours
            "WHERE id = ?",
            (number,),
        ).fetchone()
        if row is None:
            raise NoSuchLetter(f"{self.path} has no letter {number}")
        return _stored(row)

    def runs(self) -> list[Run]:
        """Return the runs."""
        rows = self._db.execute("SELECT run, home, name, path, main_file FROM runs").fetchall()
        return [
            Run(run, runtime_dir, name, tuple(json.loads(path)), main)
            for run, runtime_dir, name, path, main in rows
        ]

    def blueprint(self, run: str, actor: int) -> bytes | None:
        """Return an actor's encoded class and arguments; None if they were not kept."""
        row = self._db.execute(
            "SELECT body FROM actors JOIN blueprints USING (run, digest) "
            "WHERE run = ? AND actor = ?",
            (run, actor),
        ).fetchone()
        return row[0] if row is not None else None

    def definitions(self, run: str) -> dict[str, bytes]:
        """Return the definitions of a run by token."""
        return dict(self._db.execute("SELECT token, body FROM definitions WHERE run = ?", (run,)))

    # -- inside -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _change(self) -> Iterator[None]:
        # At once for writing: a transaction that only later wants to write could be refused then.
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            # A full disk may have rolled back already.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def _set_state(self, state: str, ids: Sequence[int]) -> None:
        self._db.executemany(
            "UPDATE letters SET state = ? WHERE id = ?", [(state, one) for one in ids]
        )

    def _prune(self, run: str) -> None:
        if self._db.execute("SELECT 1 FROM letters WHERE run = ? LIMIT 1", (run,)).fetchone():
            return
        for table in ("runs", "actors", "blueprints", "definitions"):
            self._db.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608 - ours


def _make(path: str) -> None:
    """Make the file whole, under another name, and let it appear at once.

    No process may find it half made; and to open and close a database that another thread has open
    would drop the locks of both.
    """
    new = f"{path}.{secrets.token_hex(6)}.new"
    try:
        os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        os.chmod(new, 0o600)  # whatever the umask took away
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(_SCHEMA)
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {_VERSION}")
        with contextlib.suppress(FileExistsError):  # another system was first: its file is as good
            os.link(new, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)


def _check_ours(path: str) -> None:
    seen = os.stat(path)
    if not stat.S_ISREG(seen.st_mode):
        raise NotLetters(f"{path} is no file")
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise PermissionError(
            f"expected {path} to be a file of user {os.geteuid()} with mode 0600, found user "
            f"{seen.st_uid} with mode {stat.S_IMODE(seen.st_mode):04o}: whoever may write it may "
            f"run code where its letters are opened; if it is yours, chmod 600 it"
        )


def _text(text: str) -> str:
    # A name or an exception's text may have halves of characters, which the database refuses.
    return text.encode("utf-8", "backslashreplace").decode()


def _row(letter: DeadLetter) -> tuple[Any, ...]:
    """Return (size, body, facts...) of a letter."""
    body = b""
    if letter.head and sum(map(len, letter.buffers), len(letter.head)) < _BODY_LIMIT:
        body = join(Encoded(letter.head, [memoryview(one) for one in letter.buffers]))
    facts = (getattr(letter, name) for name in _FACTS)
    return (len(body), body, *(_text(one) if isinstance(one, str) else one for one in facts))


def _stored(row: Sequence[Any]) -> StoredLetter:
    number, run, state, size, body, *values = row
    facts = dict(zip(_FACTS, values, strict=True))
    for name in ("killed", "asked"):
        facts[name] = bool(facts[name])
    head, buffers = b"", tuple[bytes, ...]()
    if body:
        seen, views = split(memoryview(body))
        head, buffers = bytes(seen), tuple(bytes(view) for view in views)
    letter = DeadLetter(head=head, buffers=buffers, is_call=facts["method"] > CALLS, **facts)
    return StoredLetter(number, run, state, size, letter)
