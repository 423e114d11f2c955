"""The file of a checkpoint: the last state of an actor, whole at whatever instruction it is killed.

Layer: wire. Runs in: actor.
Owns: a descriptor with the lock on the file, or a map of it (`close`).
Never: overwrites the newest state, or the last one that has surely reached the disk.

    0       magic, bytes of a slot, number of slots, the machine's start in which it was written
    4096    slot: version, bytes, checksum over both and what follows; then that many bytes
            the next slots

A small state is written in place, into the slot whose turn it is. That costs 1 microsecond; to
write a file beside and rename it costs 15, which would double the cost of a message. A large state
is written beside and renamed, as is one that is too large for the slots that are there.

The version is written last: in the runtime directory by one store into a map, in a user's file
(whose disk may be full, and a map does not survive that) with the first page of the slot, by one
call; the kernel ends no call between two bytes of a page for a signal. So the highest version in a
slot's head is that of a state which is whole. If its checksum says otherwise, the file is damaged,
and that is said. But pages reach the disk in any order: behind a power cut, which is seen by the
number of the machine's start, the highest version that is whole counts. Of three slots, one has the
newest state, one the last that was forced to the disk, and one is written.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import stat
import struct
from collections.abc import Callable, Sequence
from time import monotonic
from zlib import crc32

from procactors.errors import CheckpointError
from procactors.wire.storage import find_file, write_file

with contextlib.suppress(ImportError):  # only for actors in processes: not on all platforms
    import fcntl

__all__ = ["CURE", "CheckpointFile", "Parts", "is_at", "runtime_file", "user_file"]

_log = logging.getLogger("procactors")

#: What is written, one piece behind the other; views of single bytes.
Parts = Sequence["bytes | memoryview"]

_MAGIC = b"PACKEEP1"
_HEADER = struct.Struct("=8sQQ36s")
#: Version, bytes, checksum, which begins with the version.
_SLOT = struct.Struct("=QQL")
_SLOT_BYTES = _SLOT.size
#: The same without the version.
_REST = struct.Struct("=QL")
_32_BITS = 0xFFFFFFFF
#: Header and slots begin on a page: what a power cut tears is in one of them alone.
_PAGE = 4096
_SLOTS = 3
#: Most bytes of a slot that is written in place; beyond that, copying is dearer than a new file,
#: and three copies are too many.
_SMALL = 16 * _PAGE
#: Seconds between two times that a file of the user's is forced to the disk.
_SYNC_EVERY_S = 1.0
#: Most seconds to wait for the process that still holds a user's file: its program is dead, and it
#: is being killed.
_CLAIM_S = 5.0


class CheckpointFile:
    """One checkpoint's file, for the one process that writes it.

    Args:
        path: where it is now; empty: there is none yet.
        fd: of it; None: there is none yet.
        replace: writes a whole file in the place of the one that is there, and opens it; returns
            (path, descriptor).
        is_lasting: it outlives the program, so it is forced to the disk now and then.
    """

    def __init__(
        self,
        path: str,
        fd: int | None,
        replace: Callable[[Parts], tuple[str, int]],
        *,
        is_lasting: bool,
    ) -> None:
        self.path = path
        self._fd = fd
        self._replace = replace
        self._is_lasting = is_lasting
        self._stride = 0
        self._slots = 0
        #: Most bytes of a state that is written in place; -1: none is.
        self._room = -1
        #: The newest version, and the slot in which the next one is written.
        self._version = 0
        self._next = 0
        #: The slot that was forced to the disk last, and when; -1: none is to be spared.
        self._synced, self._synced_at = -1, 0.0
        #: Of a file that goes with the actor: the map of it, and its words.
        self._map: mmap.mmap | None = None
        self._words: memoryview | None = None
        #: The file names another start of the machine than this one.
        self._is_of_before = False

    def read(self) -> memoryview | None:
        """Return the newest state; None if none was ever written.

        Raises:
            CheckpointError: the file is damaged, or something else.
        """
        if self._fd is None:
            return None
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        self._stride, self._slots, boot = self._layout(data)
        if self._slots == _SLOTS:
            self._open_slots()
        self._is_of_before = self._is_lasting and boot != _boot_id()
        heads = [_SLOT.unpack_from(data, _PAGE + n * self._stride) for n in range(self._slots)]
        newest_first = sorted(range(self._slots), key=lambda slot: -heads[slot][0])
        self._version = heads[newest_first[0]][0]
        if not any(data[_PAGE:]):
            return None
        for slot in newest_first if self._is_of_before else newest_first[:1]:
            state = self._whole(data, slot, heads[slot])
            if state is not None:
                if slot != newest_first[0]:
                    _log.warning(
                        "the newest state in %s is torn, as by a power cut: the one before it "
                        "counts",
                        self.path,
                    )
                self._chose(slot)
                return state
        raise CheckpointError(
            f"the checkpoint {self.path} is damaged: its newest state has not the checksum that "
            f"was written with it; {CURE}"
        )

    def write(self, *parts: bytes | memoryview) -> None:
        """Write a state, whole or not at all.

        Args:
            parts: of it, one piece behind the other; views of single bytes.

        Raises:
            StorageFull: no room in the runtime directory. OSError: nor on a disk of the user's.
        """
        size = len(parts[0]) if len(parts) == 1 else sum(map(len, parts))
        version = self._version + 1
        if size > self._room:
            self._write_anew(version, parts, size)
            return
        state = parts[0] if len(parts) == 1 else b"".join(parts)
        check = crc32(state, version & _32_BITS)
        slot = self._next
        at = _PAGE + slot * self._stride
        if self._map is not None:
            assert self._words is not None
            self._map[at + 8 : at + _SLOT_BYTES + size] = _REST.pack(size, check) + state
            self._words[at >> 3] = version
        else:
            self._write_slot(_SLOT.pack(version, size, check) + state, at)
            self._sync(slot)
        self._version = version
        behind = (slot + 1) % _SLOTS
        self._next = behind if behind != self._synced else (slot + 2) % _SLOTS

    def close(self) -> None:
        """Close the file; one that lasts is on the disk then."""
        self._unmap()
        fd, self._fd = self._fd, None
        if fd is not None:
            if self._is_lasting:
                os.fdatasync(fd)
            os.close(fd)

    def _open_slots(self) -> None:
        """Have the next state written in place, if it is not too large."""
        assert self._fd is not None
        self._room = self._stride - _SLOT_BYTES
        if not self._is_lasting:
            self._map = mmap.mmap(self._fd, _PAGE + self._slots * self._stride)
            self._words = memoryview(self._map).cast("Q")

    def _unmap(self) -> None:
        if self._map is not None and self._words is not None:
            self._words.release()
            self._map.close()
            self._map = self._words = None

    def _write_slot(self, data: bytes, at: int) -> None:
        assert self._fd is not None
        if len(data) > _PAGE:
            _write_at(self._fd, data[_PAGE:], at + _PAGE)
            data = data[:_PAGE]
        _write_at(self._fd, data, at)

    def _chose(self, slot: int) -> None:
        """Go on from a state that was found in the file."""
        assert self._fd is not None
        self._next = (slot + 1) % _SLOTS
        if self._is_lasting:
            os.fdatasync(self._fd)
            self._synced, self._synced_at = slot, monotonic()

    def _sync(self, slot: int) -> None:
        """Force the state in a slot to the disk, if that was not done lately."""
        assert self._fd is not None
        now = monotonic()
        if now - self._synced_at >= _SYNC_EVERY_S:
            os.fdatasync(self._fd)
            self._synced, self._synced_at = slot, now
        if self._is_of_before:
            # Not before there is a state that is newer than any torn one.
            _write_at(self._fd, self._header(), 0)
            self._is_of_before = False

    def _write_anew(self, version: int, parts: Sequence[bytes | memoryview], size: int) -> None:
        """Write a file with the state in its first slot in the place of the one that is there."""
        check = version & _32_BITS
        for part in parts:
            check = crc32(part, check)
        room = -(-(size + _SLOT_BYTES) // _PAGE) * _PAGE
        is_small = room <= _SMALL
        # Twice as large as it need be: a state that grows step by step seldom comes here again.
        self._stride = min(2 * room, _SMALL) if is_small else room
        self._slots = _SLOTS if is_small else 1
        self._room = -1  # not before it is there
        self._unmap()
        head = self._header() + _SLOT.pack(version, size, check)
        rest = bytes(self._slots * self._stride - size - _SLOT_BYTES)
        old = self._fd
        self.path, self._fd = self._replace((head, *parts, rest))
        if old is not None:
            os.close(old)
        self._version, self._next = version, 1
        if is_small:
            self._open_slots()
        self._is_of_before = False
        if self._is_lasting:
            self._synced, self._synced_at = 0, monotonic()

    def _header(self) -> bytes:
        return _header(self._stride, self._slots)

    def _layout(self, data: bytes) -> tuple[int, int, bytes]:
        """Return (bytes of a slot, slots, the machine's start) of a file."""
        if len(data) >= _PAGE and data.startswith(_MAGIC):
            _, stride, slots, boot = _HEADER.unpack_from(data)
            if len(data) == _PAGE + slots * stride and stride >= _PAGE and slots in (1, _SLOTS):
                return stride, slots, boot
            found = f"{len(data)} bytes where {_PAGE + slots * stride} belong"
        else:
            found = f"{data[:16]!r}" if data else "an empty file"
        raise CheckpointError(
            f"expected a checkpoint in {self.path}, found {found}; {CURE}, or name another file"
        )

    def _whole(self, data: bytes, slot: int, head: tuple[int, int, int]) -> memoryview | None:
        """Return the state in a slot; None if it is not what was written."""
        version, size, check = head
        if not version or size + _SLOT_BYTES > self._stride:
            return None
        start = _PAGE + slot * self._stride + _SLOT_BYTES
        state = memoryview(data)[start : start + size]
        return state if crc32(state, version & _32_BITS) == check else None


#: What helps where a file cannot be used.
CURE = (
    "nothing was changed in it: put a copy in its place, or move it away, and the actor starts "
    "afresh"
)


def _header(stride: int, slots: int) -> bytes:
    return _HEADER.pack(_MAGIC, stride, slots, _boot_id()).ljust(_PAGE, b"\0")


def _boot_id() -> bytes:
    """Return what names this start of the machine; nothing where the kernel does not say it."""
    with contextlib.suppress(OSError), open("/proc/sys/kernel/random/boot_id", "rb") as file:
        return file.read(36)
    return bytes(36)


def runtime_file(runtime_dir: str, actor: int) -> CheckpointFile:
    """Open the checkpoint of an actor that goes with it."""
    name = f"actors/{actor}/checkpoint"

    def replace(parts: Parts) -> tuple[str, int]:
        path = write_file(runtime_dir, name, *parts, what=f"the checkpoint of actor {actor}")
        return path, os.open(path, os.O_RDWR | os.O_CLOEXEC)

    path = find_file(runtime_dir, name)
    fd = None
    with contextlib.suppress(FileNotFoundError):
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return CheckpointFile(path, fd, replace, is_lasting=False)


def user_file(path: str) -> CheckpointFile:
    """Open a checkpoint that outlives the program; the file is made if it is not there.

    Blocks for some seconds while a process that is being killed holds it.

    Raises:
        CheckpointError: others may write it, or another process holds it. OSError: it cannot be
            opened or made.
    """

    def replace(parts: Parts) -> tuple[str, int]:
        return path, _write_beside(path, parts, os.rename)

    while True:
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            # With a slot of zeros: what is empty was cut off by something else than us.
            head = _header(_PAGE, 1)
            with contextlib.suppress(FileExistsError):  # another one was first: wait for it
                os.close(_write_beside(path, (head, bytes(_PAGE)), os.link))
            continue
        try:
            _check_owner(fd, path)
            _lock(fd, path)
            # Its last holder may have put another one in its place until it was gone.
            if is_at(fd, path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}.new")  # a killed writer's
                return CheckpointFile(path, fd, replace, is_lasting=True)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _write_beside(path: str, parts: Parts, name: Callable[[str, str], None]) -> int:
    """Give a name to a whole file, also if the power goes; return its descriptor, with the lock.

    It is written under one other name always, since its writer is alone: a killed one leaves one
    file, which the next one overwrites.
    """
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        # Before it has its name: who opens that finds the lock.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        at = 0
        for part in parts:
            at += _write_at(fd, part, at)
        os.fsync(fd)
        name(new, path)
        if name is not os.rename:
            os.unlink(new)
        _sync_folder(path)
    except BaseException:
        os.close(fd)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        raise
    return fd


def _sync_folder(path: str) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_owner(fd: int, path: str) -> None:
    seen = os.fstat(fd)
    if seen.st_uid != os.geteuid() or seen.st_mode & 0o022:
        raise CheckpointError(
            f"expected {path} to be a file of user {os.geteuid()} that nobody else may write, "
            f"found user {seen.st_uid} with mode {stat.S_IMODE(seen.st_mode):04o}: whoever may "
            f"write it may run code in the actor; if it is yours, chmod 600 it"
        )


def _write_at(fd: int, data: bytes | memoryview, at: int) -> int:
    """Write at an offset; return how many bytes."""
    done = os.pwrite(fd, data, at)
    while done < len(data):  # one call writes 2 GiB at most, and less on a disk that is nearly full
        done += os.pwrite(fd, memoryview(data)[done:], at + done)
    return done


def _lock(fd: int, path: str) -> None:
    """Become the one process that writes a file."""
    deadline = monotonic() + _CLAIM_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() > deadline:
                raise CheckpointError(
                    f"the checkpoint {path} is locked by another process: stop it, or give each "
                    f"actor a file of its own"
                ) from None
            signal.sigtimedwait([], 0.01)
        else:
            return


def is_at(fd: int, path: str) -> bool:
    """Return whether an open file is the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(path))
    return False
