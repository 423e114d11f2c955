"""Frozen dataclasses that are finished when they are first used.

Layer: model. Runs in: any process.
Owns: nothing.
Never: shows a class that is not what `dataclasses.dataclass` makes of it.

`dataclasses.dataclass` writes some six methods for a class, and compiles each: 0.6 ms, 1.2 under
Python 3.10. Of our classes a program uses few before its first actor answers, and an actor nearly
none. So those methods stand there as descriptors first: whatever looks at one of them, by a call, a
comparison, `dataclasses.fields`, a `match` or `help`, has the class finished, and finds the real
one.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    #: Guards the finishing: two threads may come to a class at once. Reentrant: a signal handler
    #: may use a class that is just being finished.
    _lock = threading.RLock()
    #: What `dataclasses.dataclass(frozen=True)` sets, and with `order=True`.
    _MADE = (
        "__dataclass_fields__",
        "__dataclass_params__",
        "__match_args__",
        "__init__",
        "__repr__",
        "__eq__",
        "__hash__",
        "__setattr__",
        "__delattr__",
        *(("__replace__",) if sys.version_info >= (3, 13) else ()),
    )
    _ORDER = ("__lt__", "__le__", "__gt__", "__ge__")

    class _Unmade:
        """Stands for one attribute of a class that is not finished."""

        def __init__(self, cls: type, name: str, options: dict[str, Any]) -> None:
            self._cls = cls
            self._name = name
            self._options = options

        def __get__(self, instance: object, owner: type) -> Any:
            _finish(self._cls, self._options)
            # As whoever looks would have found it: `super()` and `inspect` do not look at what is
            # said of the instance's own class.
            made: Any = vars(self._cls)[self._name]
            return made.__get__(instance, owner) if hasattr(made, "__get__") else made

    #: The finished twins of classes that are just being finished.
    _twins: dict[type, type] = {}

    def dataclass(**options: Any) -> Any:
        """Return a decorator as `dataclasses.dataclass` with these options is one."""
        names = (*_MADE, *_ORDER) if options.get("order") else _MADE

        def decorate(cls: type) -> type:
            for name in names:
                if name not in vars(cls):
                    setattr(cls, name, _Unmade(cls, name, options))
            return cls

        return decorate

    def _finish(cls: type, options: dict[str, Any]) -> None:
        import dataclasses

        with _lock:
            if not _unmade(cls):
                return  # another thread has
            # A twin is made a dataclass, and its parts are handed over one by one: at no moment is
            # there a class without them, whoever looks, and whatever a signal handler raises. It is
            # kept until the last one is: a class of which a part is finished makes no twin.
            twin = _twins.get(cls)
            if twin is None:
                twin = _twins[cls] = dataclasses.dataclass(**options)(_twin(cls))
            # First: whoever finds a method finished looks no further.
            for name, value in list(vars(cls).items()):
                if type(value) is not dataclasses.Field:
                    continue
                if name in vars(twin):
                    setattr(cls, name, vars(twin)[name])
                else:
                    delattr(cls, name)
            for name in _unmade(cls):
                value = vars(twin)[name]
                for cell in getattr(value, "__closure__", None) or ():
                    if cell.cell_contents is twin:
                        cell.cell_contents = cls
                setattr(cls, name, value)
            _twins.pop(cls, None)

    def _unmade(cls: type) -> list[str]:
        return [name for name, value in vars(cls).items() if type(value) is _Unmade]

    def _twin(cls: type) -> type:
        body = {
            name: value
            for name, value in vars(cls).items()
            if name not in ("__dict__", "__weakref__") and type(value) is not _Unmade
        }
        return type(cls)(cls.__name__, cls.__bases__, {**body, "__qualname__": cls.__qualname__})


__all__ = ["dataclass"]
