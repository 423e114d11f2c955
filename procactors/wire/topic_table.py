"""The subscribers of one topic, as files that every process of a system sees.

Layer: wire. Runs in: parent and actor.
Owns: a map of the topic's version (`close`); the files belong to the runtime directory.
Never: a list that a killed process can leave half written; a lock.

    topics/DIGEST/version       a number that is another one after each change
    topics/DIGEST/ACTOR         one subscriber: its name, what a full mailbox does, the method

Who changes the files stores a new version behind that. Who has read the files under a version looks
at nothing but that number until it changes: so to publish costs no call of the system more than the
messages do. The number is drawn by chance: of two that change it at once, neither has the other's.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading

from procactors.light_tuple import NamedTuple
from procactors.wire.pickling.digest import blake2b
from procactors.wire.storage import write_whole

__all__ = ["Subscriber", "TopicTable"]

#: Between the parts of a subscriber's file; names have none.
_END = b"\0"


class Subscriber(NamedTuple):
    """Who is told of what is published.

    Attributes:
        actor: id of the actor, or inbox.
        name: its name.
        overflow: value of the `Overflow` of its mailbox.
        method: how the method travels that is called; empty for `receive`.
    """

    actor: int
    name: str
    overflow: str
    method: bytes


class TopicTable:
    """One process's view of a topic; thread-safe.

    Args:
        runtime_dir: the runtime directory.
        name: the topic's.

    Raises:
        OSError: no room, or no descriptor.
    """

    def __init__(self, runtime_dir: str, name: str) -> None:
        digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        self._runtime_dir = runtime_dir
        self._folder = os.path.join(runtime_dir, "topics", digest)
        self._map = self._open()
        self._words = memoryview(self._map).cast("Q")
        #: What was read last: the version, and the subscribers. Replaced as one.
        self._known: tuple[int, tuple[Subscriber, ...]] = (0, ())

    def add(self, subscriber: Subscriber) -> None:
        """Have an actor told from now on; what it had subscribed before is replaced."""
        actor, name, overflow, method = subscriber
        write_whole(self._path(actor), _END.join((name.encode(), overflow.encode(), method)))
        self._changed()

    def remove(self, actor: int) -> bool:
        """Have an actor told no more; return whether it was a subscriber."""
        try:
            os.unlink(self._path(actor))
        except FileNotFoundError:
            return False
        self._changed()
        return True

    def subscribers(self) -> tuple[Subscriber, ...]:
        """Return who subscribes now, in the order of their ids."""
        version, found = self._known
        if version == self._words[0]:
            return found
        # First the version: what changes while the files are read changes it once more.
        version = self._words[0]
        found = tuple(sorted(self._read_all()))
        self._known = version, found
        return found

    def close(self) -> None:
        """Unmap the version."""
        self._words.release()
        self._map.close()

    def _open(self) -> mmap.mmap:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.dirname(self._folder), 0o700)
        with contextlib.suppress(FileExistsError):
            os.mkdir(self._folder, 0o700)
        path = os.path.join(self._folder, "version")
        if not os.path.exists(path):
            # Written whole under another name: nobody maps a file that has no room yet.
            new = f"{path}.{os.getpid()}-{threading.get_native_id()}"
            write_whole(new, _new_version())
            try:
                with contextlib.suppress(FileExistsError):  # another process was faster
                    os.link(new, path)
            finally:
                os.unlink(new)
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            return mmap.mmap(fd, 8)
        finally:
            os.close(fd)

    def _read_all(self) -> list[Subscriber]:
        found = []
        for name in os.listdir(self._folder):
            if not name.isdecimal():
                continue
            actor = int(name)
            # One that has ended: nobody has published since, or it would be gone.
            if not os.path.exists(os.path.join(self._runtime_dir, "actors", name)):
                self.remove(actor)
                continue
            with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                with open(self._path(actor), "rb") as file:
                    shown, overflow, method = file.read().split(_END, 2)
                found.append(Subscriber(actor, shown.decode(), overflow.decode(), method))
        return found

    def _changed(self) -> None:
        self._words[0] = int.from_bytes(_new_version(), "little")

    def _path(self, actor: int) -> str:
        return os.path.join(self._folder, str(actor))


def _new_version() -> bytes:
    """Return eight bytes that no other change has; never 0, under which nothing was read yet."""
    return (int.from_bytes(os.urandom(8), "little") | 1).to_bytes(8, "little")
