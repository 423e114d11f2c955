"""Ray itself: the cluster that a program is connected to, begun and ended by whoever needs it.

Layer: cluster. Runs in: the program.
Owns: the connection, if it was not there before the first system (`leave`).
Never: shuts a connection down that the program has made.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from procactors.errors import InvalidSpec, SpawnError

__all__ = ["check_address", "enter", "import_ray", "leave"]

#: Tells Ray to handle no signals by printing a stack of C.
_STACKS = "RAY_DISABLE_FAILURE_SIGNAL_HANDLER"
#: Seconds within which a node has to take a connection.
_CONNECT_S = 5.0
#: Systems that use the connection that was made here.
_users = 0
_is_ours = False
_address: str | None = None
# Guards the three.
_lock = threading.Lock()


def import_ray() -> Any:
    """Return the module `ray`. Raises InvalidSpec: it is not installed."""
    try:
        with _without_signal_handler():
            import ray  # an extra
    except ImportError as error:
        raise InvalidSpec(
            'backend="ray" needs Ray, and this Python has none: install it with '
            f'pip install "procactors[ray]" ({error})'
        ) from error
    return ray


@contextlib.contextmanager
def _without_signal_handler() -> Iterator[None]:
    """Have Ray, which looks once, when it is imported, print no stack of C at signals.

    Whoever wants these has set the variable. Processes that are started later do not inherit it.
    """
    if _STACKS in os.environ or "ray" in sys.modules:
        yield
        return
    os.environ[_STACKS] = "1"
    try:
        yield
    finally:
        del os.environ[_STACKS]


@contextlib.contextmanager
def _handler_kept() -> Iterator[None]:
    """Keep the program's handler of SIGTERM, in whose place Ray puts one of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # else it is none of Python's
            signal.signal(signal.SIGTERM, before)


def enter(address: str | None) -> None:
    """Connect the program to a cluster, unless it is connected already.

    Args:
        address: of the cluster, as `ray.init` takes it; None: the one that RAY_ADDRESS names, or
            one of this machine alone, which ends with the last system.

    Raises:
        SpawnError: the cluster does not answer, or has another Python.
        InvalidSpec: Ray is missing, or the program is connected to another one.
    """
    global _users, _is_ours, _address  # noqa: PLW0603 - a process has one connection
    ray = import_ray()
    with _lock:
        if not ray.is_initialized():
            _connect(ray, address)
            _is_ours, _users, _address = True, 0, address
        elif _is_ours and address != _address and address is not None:
            raise InvalidSpec(
                f"address={address!r}, but this program's systems are on the cluster at "
                f"{_address or 'this machine'}: a program is connected to one cluster at a time"
            )
        _users += 1


def check_address(address: str | None) -> None:
    """Look whether anything listens at a cluster's address.

    Ray itself tries for some two minutes, in which no signal ends it. What is no `HOST:PORT`
    (``auto``, ``local``, ``ray://...``) is left to it.

    Args:
        address: as `ray.init` takes it; None: the one that RAY_ADDRESS names, if it does.

    Raises:
        SpawnError: nothing listens there. Blocks for 5 seconds at most, for each address that the
            host's name has.
    """
    named = address or os.environ.get("RAY_ADDRESS", "")
    host, colon, port = named.rpartition(":")
    if not colon or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise SpawnError(
            f"no cluster at {named!r}: {error}; `ray start --head` and `ray status` show the "
            f"address, and 'auto' is the cluster that runs on this machine"
        ) from error


def _connect(ray: Any, address: str | None) -> None:
    check_address(address)
    try:
        with _handler_kept():
            ray.init(
                address=address,
                include_dashboard=None if address else False,
                logging_level=logging.ERROR,
            )
    except (RuntimeError, ConnectionError, ValueError, OSError) as error:
        where = (
            "a local cluster could not be started"
            if address is None
            else f"no cluster at {address!r}"
        )
        raise SpawnError(
            f"{where}: {error} (the cluster has to be up, and to have the program's versions of "
            f"Python and Ray)"
        ) from error


def leave() -> None:
    """A system has ended: with the last one the connection ends that was made for them."""
    global _users, _is_ours  # noqa: PLW0603 - as above
    with _lock:
        _users -= 1
        if _users > 0 or not _is_ours:
            return
        _is_ours = False
        ray = import_ray()
        if ray.is_initialized():
            ray.shutdown()
