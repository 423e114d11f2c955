"""The file of a checkpoint: the last state of an actor, whole at whatever instruction it is killed.

Layer: wire. Runs in: parent (claims), actor (reads and writes).
Owns: descriptors with the locks on the file and on its claim (`close`).
Never: overwrites the newest state, or the last one that has surely reached the disk.

    0       magic, bytes of a slot, number of slots
    4096    slot: version, bytes, checksum over both and what follows; then that many bytes
            the next slots

A small state is written in place, by one call, into the slot whose turn it is; the newest slot with
the right checksum is the state. That costs 1 microsecond; to write a file beside and rename it
costs 15, which would double the cost of a message. A large state is written beside and renamed, as
is one that is too large for the slots that are there: so a file has no more than one of them.

Three slots: one has the newest state, one the last that was forced to the disk, one is written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from time import monotonic

from procactors.errors import CheckpointError
from procactors.wire.copies import in_copies
from procactors.wire.storage import find_file, write_file

__all__ = ["CURE", "CheckpointFile", "Claim", "Parts", "runtime_file", "user_file"]

#: What is written, one piece behind the other; views of single bytes.
Parts = Sequence["bytes | memoryview"]

_MAGIC = b"PACKEEP1"
_HEADER = struct.Struct("=8sQQ")
_SLOT = struct.Struct("=QQL")
#: Numbers in a slot's head that the checksum covers.
_COVERED = struct.Struct("=QQ")
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
        #: By slot: the version in it; 0: none that is whole.
        self._versions: list[int] = []
        self._version = 0
        #: The slot that was forced to the disk last, and when; -1: none is to be spared.
        self._synced, self._synced_at = -1, 0.0

    def read(self) -> memoryview | None:
        """Return the newest state that is whole; None if none was ever written.

        Raises:
            CheckpointError: the file is damaged, or something else.
        """
        if self._fd is None:
            return None
        with open(self._fd, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
        self._stride, slots = self._layout(data)
        found = [self._slot(data, _PAGE + number * self._stride) for number in range(slots)]
        self._versions = [0 if slot is None else slot[0] for slot in found]
        self._version = max(self._versions)
        if self._version:
            slot = found[self._versions.index(self._version)]
            assert slot is not None
            return slot[1]
        if any(data[_PAGE:]):
            raise CheckpointError(
                f"the checkpoint {self.path} is damaged: none of its states has the checksum that "
                f"was written with it; {CURE}"
            )
        return None

    def write(self, parts: Parts) -> None:
        """Write a state, whole or not at all.

        Raises:
            StorageFull: no room in the runtime directory. OSError: nor on a disk of the user's.
        """
        size = sum(len(part) for part in parts)
        version = self._version + 1
        if self._fd is not None and len(self._versions) == _SLOTS and self._fits(size):
            self._write_slot(version, parts, size)
        else:
            self._write_anew(version, parts, size)
        self._version = version

    def close(self) -> None:
        """Close the file; one that lasts is on the disk then."""
        fd, self._fd = self._fd, None
        if fd is not None:
            if self._is_lasting and self._version:
                os.fdatasync(fd)
            os.close(fd)

    def _fits(self, size: int) -> bool:
        return size + _SLOT.size <= self._stride

    def _write_slot(self, version: int, parts: Parts, size: int) -> None:
        """Write into the oldest slot but the one that is to be spared."""
        data = b"".join(parts)
        check = zlib.crc32(data, zlib.crc32(_COVERED.pack(version, size)))
        versions, spared = self._versions, self._synced
        slot = min(
            (number for number in range(_SLOTS) if number != spared), key=versions.__getitem__
        )
        assert self._fd is not None
        # Cut off, it has not its checksum; then the newest of the others counts.
        versions[slot] = 0
        _write_at(self._fd, _SLOT.pack(version, size, check) + data, _PAGE + slot * self._stride)
        versions[slot] = version
        if self._is_lasting and (now := monotonic()) - self._synced_at >= _SYNC_EVERY_S:
            os.fdatasync(self._fd)
            self._synced, self._synced_at = slot, now

    def _write_anew(self, version: int, parts: Parts, size: int) -> None:
        """Write a file with the state in its first slot beside the one that is there."""
        check = zlib.crc32(_COVERED.pack(version, size))
        for part in parts:
            check = zlib.crc32(part, check)
        room = -(-(size + _SLOT.size) // _PAGE) * _PAGE
        is_small = room <= _SMALL
        # Twice as large as it need be: a state that grows step by step seldom comes here again.
        stride = min(2 * room, _SMALL) if is_small else room
        slots = _SLOTS if is_small else 1
        head = _HEADER.pack(_MAGIC, stride, slots).ljust(_PAGE, b"\0")
        head += _SLOT.pack(version, size, check)
        rest = bytes(slots * stride - size - _SLOT.size)
        old = self._fd
        self.path, self._fd = self._replace((head, *parts, rest))
        if old is not None:
            os.close(old)
        self._stride, self._versions = stride, [version] + [0] * (slots - 1)
        self._synced, self._synced_at = (0, monotonic()) if self._is_lasting else (-1, 0.0)

    def _layout(self, data: bytes) -> tuple[int, int]:
        """Return (bytes of a slot, slots) of a file."""
        if len(data) >= _PAGE and data.startswith(_MAGIC):
            _, stride, slots = _HEADER.unpack_from(data)
            if len(data) == _PAGE + slots * stride and stride >= _PAGE:
                return stride, slots
            found = f"{len(data)} bytes where {_PAGE + slots * stride} belong"
        else:
            found = f"{data[:16]!r}" if data else "an empty file"
        raise CheckpointError(
            f"expected a checkpoint in {self.path}, found {found}; {CURE}, or name another file"
        )

    def _slot(self, data: bytes, at: int) -> tuple[int, memoryview] | None:
        """Return (version, state) of the slot at an offset; None if it is empty, or torn."""
        version, size, check = _SLOT.unpack_from(data, at)
        start = at + _SLOT.size
        if not version or size + _SLOT.size > self._stride:
            return None
        state = memoryview(data)[start : start + size]
        if zlib.crc32(state, zlib.crc32(_COVERED.pack(version, size))) != check:
            return None
        return version, state


#: What helps where a file cannot be used.
CURE = (
    "nothing was changed in it: put a copy in its place, or move it away, and the actor starts "
    "afresh"
)


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
            head = _HEADER.pack(_MAGIC, _PAGE, 1).ljust(_PAGE, b"\0")
            with contextlib.suppress(FileExistsError):  # another one was first: wait for it
                os.close(_write_beside(path, (head, bytes(_PAGE)), os.link))
            continue
        try:
            _check_owner(fd, path)
            _lock(fd, path)
            # Its last holder may have put another one in its place until it was gone.
            if _is_at(fd, path):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}.new")  # a killed writer's
                return CheckpointFile(path, fd, replace, is_lasting=True)
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


class Claim:
    """What the parent holds for the life of an actor with a file of the user's.

    The actor locks the file itself; this keeps it between two incarnations.

    Args:
        path: the checkpoint's file.
        holder: the actor's name, for the error of another that wants it.

    Raises:
        CheckpointError: another live actor has it, of this program or another one. OSError: the
            folder cannot be written.
    """

    def __init__(self, path: str, holder: str) -> None:
        self._path = f"{path}.lock"
        while True:
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Its last holder may have removed it between our two calls.
                if _is_at(fd, self._path):
                    os.truncate(fd, 0)
                    os.pwrite(fd, f"actor {holder} of process {os.getpid()}".encode(), 0)
                    break
            except BlockingIOError:
                who = os.pread(fd, 256, 0).decode(errors="replace") or "another actor"
                os.close(fd)
                raise CheckpointError(
                    f"the checkpoint {path} belongs to the {who}, which is alive: stop it first, "
                    f"or give each actor a file of its own"
                ) from None
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        self._fd = fd
        _claims.add(self)
        in_copies(_close_in_copy)

    def release(self) -> None:
        """Let others have the file."""
        if self in _claims:
            _claims.discard(self)
            with contextlib.suppress(OSError):
                os.unlink(self._path)
            os.close(self._fd)


#: Those of this process.
_claims: set[Claim] = set()


def _close_in_copy() -> None:
    # A copy would hold the lock for as long as it lives.
    for claim in _claims:
        with contextlib.suppress(OSError):
            os.close(claim._fd)
    _claims.clear()


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
            f"found user {seen.st_uid} with mode {stat.S_IMODE(seen.st_mode):04o}: whoever may write it "
            f"may run code in the actor; if it is yours, chmod 600 it"
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


def _is_at(fd: int, path: str) -> bool:
    """Whether an open file is the one of that name."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(fd), os.stat(path))
    return False
