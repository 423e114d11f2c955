"""Which modules other processes can import by name, and which exist in this one alone.

Layer: wire. Runs in: parent and actor.
Owns: what it has found out about each module of this process.
Never: imports a module to find out; changes `sys.modules`.

A module is found here as a fresh interpreter with the same import path would find it: by the
finders that are there from the start, or that an importable module has installed. What was made
by `exec`, `runpy`, `types.ModuleType` or a loader of the program's own is private, and so is what
stands under another name than its file's (pytest's import mode `importlib`).
"""

from __future__ import annotations

import os
import sys
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MethodDescriptorType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

__all__ = ["is_found", "is_importable", "is_python_class", "private_names", "stands_in"]

#: The program itself: never imported again, whatever its file is called.
_MAINS = frozenset(("__main__", "__mp_main__"))

#: By name: the module that was looked at, and whether it can be imported elsewhere.
_findings: dict[str, tuple[ModuleType | None, bool]] = {}
#: Names of private modules but for the mains, as they stand in a pickle; and how many modules
#: there were when they were looked up.
_private: frozenset[bytes] = frozenset()
_seen = (0, 0)


def is_importable(name: str) -> bool:
    """Return whether a process of ours finds the module `name` as it is here."""
    if name in _MAINS or name in _registered():
        return False
    return _is_found_cached(name, sys.modules.get(name), set(sys.path))


def is_found(obj: Any) -> bool:
    """Return whether a process of ours finds a class or function by its module and name."""
    module = getattr(obj, "__module__", None)
    return isinstance(module, str) and stands_in(module, obj.__qualname__, obj)


def stands_in(module: str, name: str, obj: Any) -> bool:
    """Return whether an importable module has an object under that name."""
    if not is_importable(module):
        return False
    found: object = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is obj


def private_names() -> frozenset[bytes]:
    """Return the names of this process's private modules, but for the main module's own."""
    global _private, _seen  # noqa: PLW0603 - a table of this process, made anew as modules come
    registered = _registered()
    # A module that replaces another of its name is seen at the next change of a number.
    seen = len(sys.modules), len(registered)
    if seen != _seen:
        import_path = set(sys.path)
        found = {
            name
            for name, module in list(sys.modules.items())
            if name not in _MAINS and not _is_found_cached(name, module, import_path)
        }
        _private = frozenset(name.encode() for name in found | registered)
        _seen = seen
    return _private


def _registered() -> set[str]:
    """Return the modules that the application wants to travel by value, by cloudpickle's table."""
    # Not imported for that: as long as it is not there, nobody has registered anything.
    table: set[str] = getattr(
        sys.modules.get("cloudpickle.cloudpickle"), "_PICKLE_BY_VALUE_MODULES", _NONE
    )
    return table


_NONE: set[str] = set()


def _is_found_cached(name: str, module: Any, import_path: set[str]) -> bool:
    known = _findings.get(name)
    if known is None or known[0] is not module:
        known = _findings[name] = module, _is_found(name, module, import_path)
    return known[1]


def _is_found(name: str, module: Any, import_path: set[str]) -> bool:
    """Whether importing `name` elsewhere would find the same module."""
    if module is None:
        return False
    if _has_its_file(name, module, import_path):
        return True  # nearly every module: no finder needs to be asked
    if not isinstance(module, ModuleType) or not (
        hasattr(module, "__path__") or _has_code(name, module)
    ):
        return True  # a library's stand-in, or in C: nothing that could travel by value
    parent, _, last = name.rpartition(".")
    if parent:
        above = sys.modules.get(parent)
        if above is None or not (
            _has_its_file(parent, above, import_path) or _is_found_again(parent)
        ):
            return False
        if getattr(above, last, None) is module and getattr(module, "__spec__", None) is None:
            return True  # made by its package (`six.moves`): importing that makes it again
    return _is_found_again(name)


def _has_its_file(name: str, module: Any, import_path: set[str]) -> bool:
    """Whether a module is built in, or lies below the import path where its name says."""
    origin = getattr(getattr(module, "__spec__", None), "origin", None)
    if not isinstance(origin, str):
        return False
    if origin in ("built-in", "frozen"):
        return True
    own = name.replace(".", os.sep)
    at = origin.rfind(own)
    rest = origin[at + len(own) :]
    if at < 1 or not rest.startswith((".", os.sep + "__init__.")):
        return False
    if origin[: at - 1] not in import_path and (
        "" not in import_path or origin[: at - 1] != os.getcwd()
    ):
        return False
    # Below a folder without `__init__` another of its name may be found before it.
    root = name.partition(".")[0]
    return root == name or getattr(sys.modules.get(root), "__file__", None) is not None


def is_python_class(cls: type) -> bool:
    """Return whether a class was made by a `class` statement or the like, not in C."""
    return bool(cls.__flags__ & _HEAP_TYPE) and not any(
        isinstance(value, _IN_C) and name not in ("__dict__", "__weakref__")
        for name, value in vars(cls).items()
    )


#: Py_TPFLAGS_HEAPTYPE of CPython's object.h: not built in.
_HEAP_TYPE = 1 << 9
_IN_C = (MethodDescriptorType, WrapperDescriptorType, GetSetDescriptorType, BuiltinFunctionType)


def _has_code(name: str, module: ModuleType) -> bool:
    return any(
        (isinstance(value, FunctionType) or (isinstance(value, type) and is_python_class(value)))
        and getattr(value, "__module__", None) == name
        for value in list(vars(module).values())
    )


def _is_found_again(name: str) -> bool:
    """Ask the finders, as an import would."""
    spec: Any = getattr(sys.modules.get(name), "__spec__", None)
    if spec is None:
        return False
    parent, _, _ = name.rpartition(".")
    path = None
    if parent:
        if not is_importable(parent):
            return False
        path = getattr(sys.modules.get(parent), "__path__", None)
    for finder in list(sys.meta_path):
        if not _is_ordinary(finder):
            continue
        try:
            found = finder.find_spec(name, path, None)
        except Exception:  # noqa: BLE001, S112 - a finder of a library's; the next one is asked
            continue
        if found is not None:
            return found.origin == spec.origin and list(
                found.submodule_search_locations or ()
            ) == list(spec.submodule_search_locations or ())
    return False


def _is_ordinary(finder: Any) -> bool:
    """Whether a fresh interpreter has this finder too, or gets it with an import."""
    cls = finder if isinstance(finder, type) else type(finder)
    return cls.__module__ in sys.modules and is_importable(cls.__module__)
