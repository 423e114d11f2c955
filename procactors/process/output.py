"""Where an actor's output goes, native output too: descriptors 1 and 2.

Layer: process. Runs in: actor, main thread, once.
Owns: nothing: descriptors 1 and 2 are the process's.
Never: fails a start: what cannot be opened stays as it was.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import zlib

from procactors.model.plain_text import encodable
from procactors.process.order import PREFIX, SILENT

__all__ = [
    "ERR_PIPE",
    "OUT_PIPE",
    "file_stem",
    "redirect",
]

#: Names of the pipes in an actor's directory.
OUT_PIPE, ERR_PIPE = "stdout", "stderr"
#: Bytes of a file's name that are an actor's: it may have 255, with what stands behind.
_STEM_BYTES = 200
#: setvbuf(3): line by line.
_LINE_BUFFERED = 1


def redirect(where: str, folder: str, name: str) -> None:
    """Have all that this process prints go elsewhere.

    Args:
        where: PREFIX, SILENT, or a folder for files.
        folder: the actor's directory, with its pipes.
        name: the actor's.
    """
    if where == PREFIX:
        paths = [os.path.join(folder, pipe) for pipe in (OUT_PIPE, ERR_PIPE)]
    elif where == SILENT:
        paths = [os.devnull] * 2
    else:
        paths = [os.path.join(where, f"{file_stem(name)}.{end}") for end in ("out", "err")]
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_CREAT * (where not in (PREFIX, SILENT))
    for fd, path in enumerate(paths, 1):
        with contextlib.suppress(OSError):
            # Of a pipe whose reader has just gone, the opening would else wait for another one.
            opened = os.open(path, flags | os.O_NONBLOCK, 0o666)
            os.set_blocking(opened, True)
            os.dup2(opened, fd)  # which is inherited by what is started from here
            os.close(opened)
    _renew_streams()
    if where != SILENT:
        _buffer_lines()


def file_stem(name: str) -> str:
    """Return an actor's or a system's name as a file's, or the most of it: a part of a path."""
    stem = name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    stem = f"%2E{stem[1:]}" if stem.startswith(".") else stem
    stem = encodable(stem)
    data = stem.encode()
    if len(data) > _STEM_BYTES:
        return f"{data[:_STEM_BYTES].decode('utf-8', 'ignore')}~{zlib.crc32(data):08x}"
    return stem


def _renew_streams() -> None:
    """Have `sys.stdout` and `sys.stderr` write to descriptors 1 and 2, whatever they are."""
    for fd, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name, None)
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(OSError, ValueError):
                if stream.fileno() == fd:
                    continue
        # By the start method `fork`: what the program had put there.
        errors = "strict" if fd == 1 else "backslashreplace"
        setattr(sys, name, open(fd, "w", 1, errors=errors, closefd=False))  # noqa: SIM115


def _buffer_lines() -> None:
    """Have C code print by lines, too: into a pipe or a file it would write 4 KiB at once.

    What it held back at the actor's end would be lost.
    """
    with contextlib.suppress(Exception):  # another C library: then it is as it is
        import ctypes  # only where it is used

        library = ctypes.CDLL(None)
        stdout = ctypes.c_void_p.in_dll(library, "stdout")
        library.setvbuf(stdout, None, _LINE_BUFFERED, 0)
