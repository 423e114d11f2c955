"""Finding what in a value cannot be pickled or loaded, so that the error can name it.

Layer: wire. Runs in: parent and actor, after a failed encoding or loading only.
Owns: nothing.
Never: runs on the way of a good message; hides the first error behind one of its own.
"""

from __future__ import annotations

import functools
import io
import pickle
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from procactors.wire.pickling.by_value import dumps_by_value, names_used, vars_of
from procactors.wire.raised import by_signal, one_line

__all__ = ["describe_load", "describe_unpicklable"]

#: Deepest path that is followed, and most parts that are tried at each level.
_DEEPEST, _WIDEST = 20, 10_000

#: What an instance consists of beside its attributes.
_HIDDEN: dict[type, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords"),
    types.MethodType: ("__self__", "__func__"),
}

#: Part of a value: how the path goes on (see `_joined`), and the part.
_Part = tuple[str, Any]


def describe_unpicklable(
    value: Any,
    what: str,
    runtime_dir: str,
    error: BaseException,
    dumps: Callable[[Any, str], object] = dumps_by_value,
) -> str:
    """Return a sentence that names the part of `value` that `dumps` cannot pickle, and why.

    The path leads through containers and attributes (``message[1].lock``), and into code:
    ``C.guard`` is an attribute of a class, ``C.f uses lock`` a global or a closure's variable.
    """
    path, part, reason = what, value, error
    seen = {id(value)}
    for _ in range(_DEEPEST):
        found = _bad_part(part, runtime_dir, dumps, seen)
        if found is None:
            break
        step, part, reason = found
        path = _joined(path, step)
    return f"cannot pickle {path} = {_short(part)}: {type(reason).__name__}: {reason}"


def _joined(path: str, step: str) -> str:
    # A class or function is known by its own name: how the path came to it follows behind that.
    if step[0] in ".[":
        return path + step
    before, _, last = path.rpartition(": ")
    prefix = f"{before}: " if before else ""
    return f"{prefix}{last}: {step}" if not step.startswith(last) else f"{prefix}{step}"


def _bad_part(
    value: Any, runtime_dir: str, dumps: Callable[[Any, str], object], seen: set[int]
) -> tuple[str, Any, BaseException] | None:
    for count, (step, part) in enumerate(_parts(value)):
        if count >= _WIDEST:
            break
        if id(part) in seen:
            continue
        try:
            dumps(part, runtime_dir)
        except Exception as error:  # noqa: BLE001 - whatever a class's pickling code raises
            seen.add(id(part))
            return step, part, error
    return None


def _parts(value: Any) -> Iterator[_Part]:
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield f"[{_short(key)}]", part
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, part in enumerate(value):
            yield f"[{index}]", part
    elif isinstance(value, type):
        yield from _parts_of_class(value)
    elif isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif not _refuses(value):
        hidden = _HIDDEN.get(type(value), ())
        yield from ((f".{name}", getattr(value, name)) for name in hidden)
        yield from ((f".{name}", part) for name, part in vars_of(value).items())


def _refuses(value: Any) -> bool:
    """Whether an object's own class says that it cannot be sent: then it says what to do, too."""
    try:
        value.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    except Exception:  # noqa: BLE001 - whatever a class's pickling code raises
        return True
    return False


def _parts_of_class(cls: type) -> Iterator[_Part]:
    for base in cls.__bases__:
        yield f"{cls.__qualname__} derives from {base.__qualname__}", base
    for name, part in list(vars(cls).items()):
        if name not in ("__dict__", "__weakref__"):
            yield f"{cls.__qualname__}.{name}", _plain(part)


def _parts_of_function(function: Any) -> Iterator[_Part]:
    name = function.__qualname__
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    for variable, cell in cells:
        try:
            yield f"{name} uses {variable}", cell.cell_contents
        except ValueError:  # empty
            continue
    for variable in names_used(function.__code__):
        if variable in function.__globals__:
            yield f"{name} uses {variable}", function.__globals__[variable]
    for count, default in enumerate(function.__defaults__ or ()):
        yield f"{name}'s default {count}", default
    for variable, default in (function.__kwdefaults__ or {}).items():
        yield f"{name}'s default {variable}", default
    for attribute, part in list(vars(function).items()):
        yield f"{name}.{attribute}", part


def _plain(attribute: Any) -> Any:
    """Return the function behind a class's attribute, if there is one."""
    if isinstance(attribute, (staticmethod, classmethod)):
        return attribute.__func__
    if isinstance(attribute, property):
        return attribute.fget
    return getattr(attribute, "__wrapped__", attribute)


def describe_load(data: bytes | memoryview, buffers: Sequence[Any], error: BaseException) -> str:
    """Return why a pickle does not load, with the class or function that it failed at.

    It is loaded once more, step by step: only so is it known where it stops.
    """
    reason = one_line(error)
    loader = _StepLoader(data, buffers)
    try:
        loader.load()
    except BaseException as again:  # the same once more; what is said is the first
        if by_signal(again):
            raise
        name = loader.at
    else:
        return reason
    return reason if not name or name in reason else f"{name}: {reason}"


_PythonUnpickler: Any = pickle._Unpickler  # type: ignore[attr-defined, unused-ignore]


class _StepLoader(_PythonUnpickler):  # type: ignore[misc]
    """The unpickler in Python, which knows what it is just calling.

    Attributes:
        at: name of the class or function that is being called, or was last.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonUnpickler.dispatch)

    def __init__(self, data: bytes | memoryview, buffers: Sequence[Any]) -> None:
        super().__init__(io.BytesIO(bytes(data)), buffers=buffers or None)
        self.at = ""

    def _calling(self, what: Any) -> None:
        cls = what if hasattr(what, "__qualname__") else type(what)
        self.at = f"{cls.__module__}.{cls.__qualname__}"

    def find_class(self, module: str, name: str) -> Any:
        """Look a class up."""
        self.at = f"{module}.{name}"
        return super().find_class(module, name)

    def _reduce(self) -> None:
        self._calling(self.stack[-2])
        self.load_reduce()

    def _new(self) -> None:
        self._calling(self.stack[-2])
        self.load_newobj()

    def _build(self) -> None:
        self._calling(type(self.stack[-2]))
        self.load_build()

    dispatch[pickle.REDUCE[0]] = _reduce
    dispatch[pickle.NEWOBJ[0]] = _new
    dispatch[pickle.BUILD[0]] = _build


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a broken repr must not hide the pickling error
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 80 else text[:77] + "..."
