"""The private directory in which a system keeps its pipes, boxes, segments and shares.

Layer: wire. Runs in: parent; actors open it by path.
Owns: the directory (removed by `RuntimeDir.remove`, the janitor, or the next start's sweep) and
the locked `owner` file, whose lock tells everybody that the owner lives.
Never: uses a directory that belongs to someone else or that others may enter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator

__all__ = [
    "PREFIX",
    "RuntimeDir",
    "check_private",
    "open_overflow",
    "overflow_of",
    "remove_tree",
    "sweep",
]

#: Every runtime directory's name starts so: the sweep looks at no other.
PREFIX = "procactors-"

#: Bytes that /dev/shm must have free before it is preferred: one mailbox takes some 76 kB,
#: and a container's default of 64 MB must still count as room.
_ROOM = 16 * 1024 * 1024

#: Seconds for which a directory without an `owner` file is taken to be just being made.
_NEWBORN_S = 60.0
#: Behind the name of a directory that is being removed.
_GONE = ".gone"


def roots() -> list[str]:
    """Return the directories that may hold runtime directories, best first."""
    found = []
    with contextlib.suppress(OSError):
        shm = os.statvfs("/dev/shm")
        if shm.f_bavail * shm.f_frsize >= _ROOM and os.access("/dev/shm", os.W_OK | os.X_OK):
            found.append("/dev/shm")
    found.append(tempfile.gettempdir())
    return found


def check_private(path: str) -> None:
    """Raise PermissionError unless `path` is our own directory of mode 0700."""
    seen = os.lstat(path)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise PermissionError(
            f"expected {path} to be a directory of user {os.geteuid()} with mode 0700, found user "
            f"{seen.st_uid} with mode {stat.S_IMODE(seen.st_mode):04o}: refusing to use it"
        )


class RuntimeDir:
    """A runtime directory that this process made and owns."""

    def __init__(self, base: str | os.PathLike[str] | None = None) -> None:
        root = os.fspath(base) if base is not None else roots()[0]
        self.path = os.path.join(root, f"{PREFIX}{os.getpid()}-{os.urandom(6).hex()}")
        self._pid = os.getpid()
        self._owner_fd = -1
        os.mkdir(self.path, 0o700)
        try:
            check_private(self.path)
            self._furnish()
        except BaseException:
            if self._owner_fd >= 0:
                os.close(self._owner_fd)
                self._owner_fd = -1
            remove_tree(self.path)
            raise

    def _furnish(self) -> None:
        # The lock, not the pid in the name, says that the owner lives: pids are used again.
        owner = os.path.join(self.path, "owner")
        self._owner_fd = os.open(owner + ".new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner_fd, fcntl.LOCK_EX)
        os.rename(owner + ".new", owner)  # locked already: a sweep never sees it unlocked
        for name in ("actors", "replies", "segments", "sheets", "shared", "defs"):
            os.mkdir(os.path.join(self.path, name), 0o700)

    def forget(self) -> None:
        """Give up ownership in a forked copy, whose copy of the lock must not look alive."""
        with contextlib.suppress(OSError):
            os.close(self._owner_fd)
        self._owner_fd = -1

    def remove(self) -> None:
        """Remove the directory and everything in it; a forked copy removes nothing."""
        if self._owner_fd < 0 or self._pid != os.getpid():
            return
        os.close(self._owner_fd)
        self._owner_fd = -1
        remove_tree(self.path)


def overflow_of(path: str) -> str:
    """Return the directory for payloads that do not fit beside `path` (see `payload`)."""
    return os.path.join(tempfile.gettempdir(), os.path.basename(path) + ".more")


def open_overflow(path: str) -> None:
    """Make the overflow directory of `path`, or see that it is ours.

    Raises:
        PermissionError: somebody else's directory stands under that name.
    """
    more = overflow_of(path)
    with contextlib.suppress(FileExistsError):
        os.mkdir(more, 0o700)
    check_private(more)


def remove_tree(path: str) -> None:
    """Remove a runtime directory and its overflow; what is gone already is no error.

    With one descriptor at a time, which `shutil.rmtree` cannot: a system that could not start for
    lack of descriptors must still leave nothing.
    """
    for top in (path, overflow_of(path)):
        # Renamed first: a process that is just dying finds nothing any more to write a file to.
        # Else such a file would keep the directory, without the owner's that lets it be swept.
        gone = top if top.endswith(_GONE) else top + _GONE
        with contextlib.suppress(OSError):
            os.rename(top, gone)
        for folder, folders, files in os.walk(gone, topdown=False):
            for name in files:
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(folder, name))
            for name in folders:
                with contextlib.suppress(OSError):
                    os.rmdir(os.path.join(folder, name))
        with contextlib.suppress(OSError):
            os.rmdir(gone)


def sweep(base: str | os.PathLike[str] | None = None) -> list[str]:
    """Remove what dead owners left (a power cut, or SIGKILL of everybody), and name it."""
    removed = []
    places = [os.fspath(base)] if base is not None else ["/dev/shm", tempfile.gettempdir()]
    for path in _left_behind(places):
        remove_tree(path)
        removed.append(path)
    return removed


def _left_behind(places: list[str]) -> Iterator[str]:
    for place in places:
        with contextlib.suppress(OSError):
            for name in os.listdir(place):
                path = os.path.join(place, name)
                if name.startswith(PREFIX) and _is_abandoned(path):
                    yield path


def _is_abandoned(path: str) -> bool:
    try:
        check_private(path)
        if path.endswith(_GONE):
            return True  # whoever was at it has died
        if path.endswith(".more"):
            # An overflow directory goes with its runtime directory.
            home = os.path.basename(path).removesuffix(".more")
            return not any(os.path.exists(os.path.join(root, home)) for root in _all_roots())
        fd = os.open(os.path.join(path, "owner"), os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return _is_no_newborn(path)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(fd)


def _is_no_newborn(path: str) -> bool:
    """Return whether a directory without an owner is too old to be just being made."""
    try:
        return time.time() - os.lstat(path).st_mtime > _NEWBORN_S
    except FileNotFoundError:
        return False  # its owner removes it, at this very moment


def _all_roots() -> tuple[str, str]:
    return ("/dev/shm", tempfile.gettempdir())
