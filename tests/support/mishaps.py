"""Faults in the supervisor itself: each of its functions made to raise once, at a chosen moment."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from unittest import mock

__all__ = ["Boom", "called_in", "methods", "raising_once"]


class Boom(RuntimeError):
    """What no code expects."""


def methods(cls: type) -> list[str]:
    """Return the names of a class's own functions, but for those that make or destroy it."""
    return [
        name
        for name, value in vars(cls).items()
        if callable(value) and not isinstance(value, type) and not name.startswith("__")
    ]


@contextlib.contextmanager
def called_in(classes: Iterable[type]) -> Iterator[set[tuple[type, str]]]:
    """Note which functions of these classes the supervisor's thread calls inside the block."""
    seen: set[tuple[type, str]] = set()
    with contextlib.ExitStack() as patches:
        for cls in classes:
            for name in methods(cls):
                note = functools.partial(seen.add, (cls, name))
                patches.enter_context(_before(cls, name, note))
        yield seen


@contextlib.contextmanager
def raising_once(cls: type, name: str) -> Iterator[threading.Event]:
    """Have a function raise `Boom` at its next call in the supervisor's thread, and never again.

    Yields:
        an event that is set once it has.
    """
    done = threading.Event()

    def boom() -> None:
        if not done.is_set():
            done.set()
            raise Boom(f"{cls.__name__}.{name}")

    with _before(cls, name, boom):
        yield done


def _before(cls: type, name: str, action: Callable[[], Any]) -> Any:
    original = vars(cls)[name]

    @functools.wraps(original)
    def patched(*args: Any, **kwargs: Any) -> Any:
        if threading.current_thread().name == "procactors-supervisor":
            action()
        return original(*args, **kwargs)

    return mock.patch.object(cls, name, patched)
