"""The private directory in which a system keeps its pipes, boxes, segments and shares.

Layer: wire. Runs in: parent; actors open it by path.
Owns: the directory and its overflow directory (removed by `RuntimeDir.remove`, the janitor, or
the next start's sweep), and a locked file `owner` in each, whose lock tells every process that
the owner lives.
Never: uses a directory that belongs to another user or that others may enter; takes a directory's
owner for dead but by that lock.

    /dev/shm/procactors-PID-RANDOM/    owner (locked), actors/, replies/, segments/, ...
        more -> /tmp/procactors-PID-RANDOM.more/    owner (locked; names the other), and the same
                                                    folders, as they are needed

The overflow directory is for files that do not fit beside the pipes: on another disk, in the
temporary directory. The parent chooses it, once; all others follow the link `more`. They would
else look for a temporary directory of their own: under another TMPDIR they would find another one,
and Python's `tempfile` tries each by writing a file, which a killed process leaves behind.

The lock is the only proof of life that holds everywhere: numbers of processes are used again, and
mean nothing in another container; and of two containers that share /tmp, neither sees the other's
/dev/shm.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = [
    "FACTS",
    "FOLDERS",
    "LOG_PIPE",
    "PREFIX",
    "RuntimeDir",
    "check_overflow",
    "check_private",
    "is_locked",
    "left_behind",
    "overflow_of",
    "remove_tree",
    "remove_whole",
    "sweep",
    "temporary_roots",
]

#: Every runtime directory's name starts so: the sweep looks at no other.
PREFIX = "procactors-"
#: What is in a runtime directory.
FOLDERS = ("actors", "replies", "segments", "result_tables", "shared", "defs")

#: The file with what the system is: a dict of plain values, in ASCII.
FACTS = "system"

#: The pipe on which what actors log comes to the parent (see `log_pipe`).
LOG_PIPE = "log"

#: Bytes that /dev/shm must have free before it is preferred: one mailbox takes some 76 kB,
#: and a container's default of 64 MB must still count as room.
_ROOM = 16 * 1024 * 1024

#: Seconds for which a directory without an `owner` file is taken to be just being made.
_NEWBORN_S = 60.0
#: Behind the name of an overflow directory, and of a directory that is being removed.
_MORE, _GONE = ".more", ".gone"


def temporary_roots() -> list[str]:
    """Return the directories for temporary files that this process may write, best first.

    Those of `tempfile`, but nothing is written to find out.
    """
    # Not loaded for that: what is not there, nobody has set.
    chosen = getattr(sys.modules.get("tempfile"), "tempdir", None)
    if chosen is not None:  # the application has chosen
        wanted = [os.fsdecode(chosen)]
    else:
        wanted = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")]
        wanted += ["/tmp", "/var/tmp"]
    found = dict.fromkeys(os.path.abspath(root) for root in wanted if root)
    return [root for root in found if os.access(root, os.W_OK | os.X_OK)]


def _shared_memory() -> list[str]:
    with contextlib.suppress(OSError):
        shm = os.statvfs("/dev/shm")
        if shm.f_bavail * shm.f_frsize >= _ROOM and os.access("/dev/shm", os.W_OK | os.X_OK):
            return ["/dev/shm"]
    return []


def check_private(path: str) -> None:
    """Raise PermissionError unless `path` is our own directory of mode 0700."""
    seen = os.lstat(path)
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise PermissionError(
            f"expected {path} to be a directory of user {os.geteuid()} with mode 0700, found user "
            f"{seen.st_uid} with mode {stat.S_IMODE(seen.st_mode):04o}: refusing to use it"
        )


class RuntimeDir:
    """A runtime directory that this process made and owns.

    Args:
        base: where it is made; None: in /dev/shm, or a temporary directory if that has no room.
        kind: of it, if it is none that other processes find a system in: a word and a hyphen.

    Raises:
        OSError: it cannot be made there.
    """

    def __init__(self, base: str | os.PathLike[str] | None = None, kind: str = "") -> None:
        name = f"{PREFIX}{kind}{os.getpid()}-{os.urandom(6).hex()}"
        self._pid = os.getpid()
        self._locks: list[int] = []
        self.path = _make_in(_roots(base), name)
        try:
            check_private(self.path)
            self._locks += _own(self.path, self.path)
            for folder in FOLDERS:
                os.mkdir(os.path.join(self.path, folder), 0o700)
            self._add_overflow()
        except BaseException:
            self.forget()
            remove_tree(self.path)
            raise

    def _add_overflow(self) -> None:
        """Make an overflow directory, if there is another disk for one; else there is none."""
        disk = os.stat(self.path).st_dev
        for root in temporary_roots():
            if os.stat(root).st_dev == disk:
                continue
            more = os.path.join(root, os.path.basename(self.path) + _MORE)
            # The link first: whatever ends us, what removes one directory finds the other.
            os.symlink(more, overflow_of(self.path))
            try:
                os.mkdir(more, 0o700)
                check_private(more)
                self._locks += _own(more, self.path)
            except OSError:  # no room there either: another root may have some
                _remove_overflow(self.path)
                os.unlink(overflow_of(self.path))
            else:
                return

    def describe(self, facts: dict[str, object]) -> None:
        """Write down what the system is, as plain values for `ast.literal_eval`; see FACTS.

        A disk that is full is no error: the system then has no name for processes outside of it.
        """
        path = os.path.join(self.path, FACTS)
        new = path + ".new"
        with contextlib.suppress(OSError):
            fd = os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, f"{facts!a}\n".encode("ascii"))
            finally:
                os.close(fd)
            os.rename(new, path)

    def forget(self) -> None:
        """Give up ownership in a forked copy, whose copy of the locks must not look alive."""
        for fd in self._locks:
            with contextlib.suppress(OSError):
                os.close(fd)
        self._locks.clear()

    def remove(self) -> None:
        """Remove the directory and everything in it; a forked copy removes nothing."""
        if not self._locks or self._pid != os.getpid():
            return
        self.forget()
        remove_tree(self.path)


def _roots(base: str | os.PathLike[str] | None) -> list[str]:
    # Absolute: actors may have another working directory.
    if base is not None:
        return [os.path.abspath(os.fspath(base))]
    return _shared_memory() + temporary_roots()


def _make_in(roots: list[str], name: str) -> str:
    for root in roots:
        path = os.path.join(root, name)
        try:
            os.mkdir(path, 0o700)
        except OSError:
            if root == roots[-1]:
                raise
        else:
            return path
    raise FileNotFoundError(
        "expected a place for the runtime directory, found none: /dev/shm has less than "
        f"{_ROOM >> 20} MB free or cannot be written, and there is no temporary directory that "
        "can be written; set runtime_dir= or TMPDIR"
    )


def _own(folder: str, runtime_dir: str) -> list[int]:
    """Lock a folder for this process's life, and write down whose it is; return the locks."""
    path = os.path.join(folder, "owner")
    file = os.open(path + ".new", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    locks = [file]
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.write(file, os.fsencode(runtime_dir))
        os.rename(path + ".new", path)  # locked already: a sweep never sees it unlocked
        # The folder itself, too: so systemd-tmpfiles lets it be, however old the files in it are.
        locks.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        with contextlib.suppress(OSError):  # file systems over a network may refuse
            fcntl.flock(locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        for fd in locks:
            os.close(fd)
        raise
    return locks


def overflow_of(runtime_dir: str) -> str:
    """Return the path of the overflow directory of a runtime directory; there may be none."""
    return os.path.join(runtime_dir, "more")


def check_overflow(runtime_dir: str) -> bool:
    """Return whether a runtime directory has an overflow directory, which then is its own.

    Raises:
        PermissionError: another user's directory stands there.
    """
    try:
        more = os.readlink(overflow_of(runtime_dir))
        check_private(more)
        with open(os.path.join(more, "owner"), "rb") as file:
            owner = os.fsdecode(file.read())
    except FileNotFoundError:
        return False
    if owner != runtime_dir:
        raise PermissionError(
            f"expected {more} to belong to {runtime_dir}, found it to belong to {owner}"
        )
    return True


def remove_tree(path: str) -> None:
    """Remove a runtime directory and its overflow; what is gone already is no error."""
    gone = _set_aside(path)
    _remove_overflow(gone)  # first: the link is in what is left
    remove_whole(gone)


def _remove_overflow(runtime_dir: str) -> None:
    with contextlib.suppress(OSError):  # there is none
        more = os.readlink(overflow_of(runtime_dir))
        if os.path.basename(more) != os.path.basename(runtime_dir).removesuffix(_GONE) + _MORE:
            return
        for found in (more, more + _GONE):  # gone: the process that was at it has died
            with contextlib.suppress(OSError):  # there is none, or it is not ours
                check_private(found)
                remove_whole(_set_aside(found))


def _set_aside(path: str) -> str:
    """Rename a directory that is to be removed; return its new name.

    A process that is just dying finds nothing any more to write a file to. Else such a file would
    keep the directory, without the owner's that lets it be swept.
    """
    gone = path if path.endswith(_GONE) else path + _GONE
    with contextlib.suppress(OSError):
        os.rename(path, gone)
    return gone


def remove_whole(top: str) -> None:
    """Remove a directory with all that is in it, as far as that goes; gone already is no error.

    With one descriptor at a time, which `shutil.rmtree` cannot: a system that could not start for
    lack of descriptors must still leave nothing.
    """
    for folder, folders, files in os.walk(top, topdown=False):
        for name in files + folders:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                # A link to a directory counts as one for `walk`, and as a file for its removal.
                os.rmdir(path) if name in folders and not os.path.islink(path) else os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(top)


def sweep(base: str | os.PathLike[str] | None = None) -> list[str]:
    """Remove what dead owners left (a power cut, or SIGKILL of all processes), and name it."""
    removed = []
    for path in left_behind(base):
        remove_tree(path)
        removed.append(path)
    return removed


def left_behind(base: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Yield the directories of this user whose owners are dead: what `sweep` removes."""
    first = "/dev/shm" if base is None else os.path.abspath(os.fspath(base))
    for root in dict.fromkeys([first, *temporary_roots()]):
        with contextlib.suppress(OSError):
            for name in os.listdir(root):
                path = os.path.join(root, name)
                if name.startswith(PREFIX) and _is_abandoned(path):
                    yield path


def _is_abandoned(path: str) -> bool:
    try:
        check_private(path)
        if path.endswith(_GONE):
            return True  # the process that was removing it has died
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


def is_locked(path: str) -> bool:
    """Return whether a process holds a file locked, as who made it does for its life.

    Our own lock is a shared one and lasts for the look: who looks at the same moment sees no owner
    in us. A sweep that does so leaves the directory of a dead one to the next.

    Raises:
        OSError: there is no such file, or it may not be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(fd)


def _is_no_newborn(path: str) -> bool:
    """Return whether a directory without an owner is too old to be just being made."""
    try:
        return time.time() - os.lstat(path).st_mtime > _NEWBORN_S
    except FileNotFoundError:
        return False  # its owner removes it, at this very moment
