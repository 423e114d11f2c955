"""Modules that are loaded when something of theirs is first used.

Layer: model. Runs in: any process.
Owns: nothing.
Never: stands for a module that is looked at for each message: a look costs half a microsecond.

What a program waits for before its first actor answers is mostly imports, in the parent and in the
zygote. So what neither needs by then comes later:

    if TYPE_CHECKING:
        import inspect
    else:
        inspect = late("inspect")
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["late"]


class _Late:
    """Stands for a module; gives what that has."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._loaded: Any = None

    def __getattr__(self, name: str) -> Any:
        # By `import_module`, which waits for another thread that is just loading it. Kept then: a
        # module that the program has put in its place since is not what was asked for.
        if self._loaded is None:
            self._loaded = import_module(self._name)
        return getattr(self._loaded, name)

    def __repr__(self) -> str:
        return f"<late module {self._name}>"


def late(name: str) -> Any:
    """Return a stand-in for the module `name`, which is imported with the first look at it."""
    return _Late(name)
