"""The two named pipes of a stream, and what is left of one whose processes have died.

Layer: wire. Runs in: parent and actor; `sweep_streams` in the parent.
Owns: the descriptors of one end, two of them (`Ends.close`).
Never: takes a channel for dead but by its locks: numbers of processes are used again.

    writer                                     reader
    NUMBER.data    ── records of items ──────►           locked by the reader
    NUMBER.credit  ◄── how many more may come ──         locked by a writer that made the channel
    NUMBER-K       a file with an item too large for the pipe, removed by who has read it

The pipes tell each side of the other's death: the reader's descriptors are closed with it, so a
write meets EPIPE, and the writer's, so a read finds the end. A process that was forked and runs on
would keep them open, so copies close theirs first of all (`copies`).
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import struct
import weakref
from collections.abc import Iterator

from procactors.errors import ActorStopped
from procactors.wire.copies import in_copies
from procactors.wire.payload_store import PayloadStore
from procactors.wire.storage import Descriptors, list_folder, remove_file, too_many_open

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = [
    "CLOSE",
    "FOLDER",
    "GRANT",
    "Ends",
    "Gone",
    "close_from_afar",
    "large_name",
    "make_for_reading",
    "make_for_writing",
    "new_number",
    "open_for_reading",
    "open_for_writing",
    "remove_channel",
    "remove_large",
    "remove_unheld",
    "send_aside",
    "sweep_streams",
]

#: The folder of all channels in a runtime directory; made with the first one.
FOLDER = "streams"
#: On the credit pipe: so many more items may come. 0: none will be read any more.
GRANT = struct.Struct("=I")
CLOSE = GRANT.pack(0)

_DATA, _CREDIT, _NEW = ".data", ".credit", ".new"
_READ = os.O_RDONLY | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_NONBLOCK
_numbers = itertools.count(1)


class Gone(Exception):
    """The other side of a channel has closed it, or has died."""


class Ends:
    """What one process has open of a channel.

    Attributes:
        path: the runtime directory.
        number: the channel's.
        data, credit: descriptors of its pipes; -1: not open.
    """

    def __init__(self, path: str, number: int) -> None:
        self.path = path
        self.number = number
        self.data = self.credit = -1
        self._opened = Descriptors()
        _all.add(self)
        in_copies(_close_in_copy)

    def open_data(self, flags: int, end: str = _DATA) -> None:
        """Open the pipe of items."""
        self.data = self._opened.open(self._base + end, flags)

    def open_credit(self, flags: int, end: str = _CREDIT) -> None:
        """Open the pipe of credit."""
        self.credit = self._opened.open(self._base + end, flags)

    def open_for_hello(self) -> None:
        """Open the items of a channel that we have made to write to, now that it has a reader.

        Raises:
            Gone: it has none any more. StorageFull: no descriptor is left, though one was kept
                for this: another thread was faster.
        """
        if len(self._opened) > 1:
            os.close(self._opened.pop())
        with _told():
            self.open_data(_WRITE)

    def keep_one(self) -> None:
        """Keep a descriptor for `open_for_hello`: the reader waits for the items by then."""
        self._opened.append(os.dup(self.credit))

    def lock(self, fd: int) -> None:
        """Keep the channel alive, as long as this process has one of its pipes open."""
        fcntl.flock(fd, fcntl.LOCK_SH)

    @property
    def is_named(self) -> bool:
        """Whether other processes find the channel."""
        return os.path.exists(self._base + _DATA)

    def name(self) -> None:
        """Let other processes find the channel: by its items, so that comes last."""
        for end in (_CREDIT, _DATA):
            os.rename(self._base + end + _NEW, self._base + end)

    @property
    def is_open(self) -> bool:
        """Whether any of them is still open."""
        return bool(self._opened)

    def close(self) -> None:
        """Close this process's ends; closing twice is no error."""
        self.data = self.credit = -1
        self._opened.close()

    @property
    def _base(self) -> str:
        return _base(self.path, self.number)


_all: weakref.WeakSet[Ends] = weakref.WeakSet()


def _close_in_copy() -> None:
    for ends in list(_all):
        with contextlib.suppress(OSError):
            ends.close()


def new_number(store: PayloadStore) -> int:
    """Return the number of a new channel; its upper half names the process that makes it."""
    return (store.process & 0x7FFFFFFF) << 32 | next(_numbers)


def make_for_reading(store: PayloadStore, number: int) -> Ends:
    """Make a channel, and open it as the one who will read.

    Raises:
        StorageFull: no descriptor is left.
    """
    with _made(store, number) as ends:
        ends.open_data(_READ, _DATA + _NEW)
        # Both ways: there is no writer yet who reads it.
        ends.open_credit(os.O_RDWR | os.O_NONBLOCK, _CREDIT + _NEW)
        ends.lock(ends.data)
        ends.name()
    return ends


def make_for_writing(store: PayloadStore, number: int) -> Ends:
    """Make a channel, and open its credit: its items can be opened once there is a reader.

    Raises:
        StorageFull: no descriptor is left.
    """
    with _made(store, number) as ends:
        ends.open_credit(_READ, _CREDIT + _NEW)
        ends.keep_one()
        ends.lock(ends.credit)
        ends.name()
    return ends


def open_for_reading(path: str, number: int, *, is_handed_over: bool = False) -> Ends:
    """Open the reading end of a channel that another process has made, or hands over.

    Raises:
        Gone: there is none any more, or nobody who writes it, where it is not handed over.
        StorageFull: no descriptor is left.
    """
    with _opened(path, number) as ends:
        ends.open_data(_READ)
        ends.lock(ends.data)
        # Both ways: its writer may have sent the last item by now, and be gone.
        ends.open_credit(os.O_RDWR | os.O_NONBLOCK if is_handed_over else _WRITE)
        if not ends.is_named:  # a sweep was here first
            raise Gone
    return ends


def open_for_writing(path: str, number: int) -> Ends:
    """Open the writing end of a channel that its reader has made.

    Raises:
        Gone: the reader has closed it, or has died. StorageFull: no descriptor is left.
    """
    with _opened(path, number) as ends:
        ends.open_data(_WRITE)
        ends.open_credit(_READ)
    return ends


@contextlib.contextmanager
def _made(store: PayloadStore, number: int) -> Iterator[Ends]:
    """Make the pipes under names that no sweep minds: they are named when they are locked."""
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(os.path.join(store.path, FOLDER), 0o700)
        with _opened(store.path, number) as ends:
            for end in (_DATA, _CREDIT):
                os.mkfifo(_base(store.path, number) + end + _NEW, 0o600)
            yield ends
    except (FileNotFoundError, Gone):  # the directory went with its system, just now
        raise ActorStopped("the system was stopped") from None
    except BaseException:
        remove_channel(store.path, number)
        raise


@contextlib.contextmanager
def _opened(path: str, number: int) -> Iterator[Ends]:
    ends = Ends(path, number)
    try:
        with _told():
            yield ends
    except BaseException:
        ends.close()
        raise


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Say what an error at the opening of a pipe means."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENXIO):  # no such pipe, or none who reads it
            raise Gone from error
        raise too_many_open("a stream", error, "; close other streams first") from error


def send_aside(path: str, number: int, record: bytes) -> None:
    """Put a record into a channel's data without an end of it: its writer is gone.

    What is full has awakened its reader already; where no descriptor is left, the reader looks for
    itself once a second.
    """
    with contextlib.suppress(OSError), Descriptors() as opened:
        os.write(opened.open(_base(path, number) + _DATA, _WRITE), record)


def close_from_afar(path: str, number: int) -> None:
    """Tell a channel's writer that nothing more is read. In any thread of the writer's process."""
    with contextlib.suppress(OSError), Descriptors() as opened:
        os.write(opened.open(_base(path, number) + _CREDIT, _WRITE), CLOSE)


def large_name(number: int, item: int) -> str:
    """Return the name, in the runtime directory, of the file of a large item."""
    return f"{FOLDER}/{number:016x}-{item:x}"


def remove_channel(path: str, number: int) -> None:
    """Remove a channel's pipes; gone already is no error."""
    base = _base(path, number)
    for name in (_DATA, _CREDIT, _DATA + _NEW, _CREDIT + _NEW):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(base + name)


def remove_large(path: str, number: int) -> None:
    """Remove the files of a channel's items that nobody has read."""
    prefix = f"{number:016x}-"
    for file in list_folder(path, FOLDER):
        if os.path.basename(file).startswith(prefix):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(file)


def remove_unheld(path: str, number: int) -> None:
    """Remove a channel with all that is left of it, if nobody has it open."""
    if not _is_held(_base(path, number)):
        remove_channel(path, number)
        remove_large(path, number)


def sweep_streams(path: str, process: int) -> None:
    """Remove the channels that nobody has open, now that a process has ended.

    Args:
        path: the runtime directory.
        process: token of the process that has ended.
    """
    folder = os.path.join(path, FOLDER)
    if not os.path.isdir(folder):
        return
    dead = f"{process & 0x7FFFFFFF:08x}"
    names = [os.path.basename(file) for file in list_folder(path, FOLDER)]
    for name in names:
        number, end = name[:16], name[16:]
        if end == _DATA and not _is_held(os.path.join(folder, number)):
            remove_channel(path, int(number, 16))
    # Behind that: what belongs to none, and what the dead process was just making.
    for name in names:
        number, end = name[:16], name[16:]
        is_its_own = name.startswith(dead) and end != _DATA
        if (is_its_own or end[:1] == "-") and not os.path.exists(
            os.path.join(folder, number + _DATA)
        ):
            remove_file(path, f"{FOLDER}/{name}")


def _is_held(base: str) -> bool:
    return _is_locked(base + _DATA) or _is_locked(base + _CREDIT)


def _is_locked(pipe: str) -> bool:
    """Whether a process has this pipe open that keeps its channel alive."""
    with Descriptors() as opened:
        try:
            fcntl.flock(opened.open(pipe, _READ), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except OSError:
            return True
    return False


def _base(path: str, number: int) -> str:
    return os.path.join(path, FOLDER, f"{number:016x}")
