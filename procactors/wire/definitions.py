"""Classes and functions that other processes cannot import: sent once, then named.

Layer: wire. Runs in: parent and actor.
Owns: a file in `defs/` for each definition that this process has published (removed with the
runtime directory).
Never: a second copy of a class in one process; a new state set on an original.

What lives in `__main__`, in a notebook or inside a function has no module that an actor could
import. cloudpickle can send such a thing by value, but each time anew (some 500 µs), and coming
home it would overwrite the sender's own class. So each gets a token: a message says
`_definition(token)`, and whoever does not know it loads the file of that name, once.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import pickle
import re
import sys
import threading
import types
import uuid
import weakref
from collections.abc import Callable, Iterable, Mapping, Set as AbstractSet
from typing import Any

import cloudpickle

__all__ = [
    "DefinitionPickler",
    "belong_to",
    "dumps_by_value",
    "offer",
    "publish",
    "published",
    "published_with",
    "stand_ins",
    "tokens_in",
]

#: Token of each class or function that has one, and the other way round. Originals and loaded
#: ones alike: so identity holds when a class comes home.
_tokens: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
_known: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
#: Loaded definitions stay for the life of the process: a message may name them at any time.
_loaded: dict[str, Any] = {}
#: Files that came with a value and not in a directory (see `parcel`), until they are loaded.
_carried: dict[str, bytes] = {}
#: Files that are written already: (directory, token).
_published: set[tuple[str, str]] = set()
#: What is being published by the call at hand, the definitions it needs included.
_under_way: list[tuple[str, str]] = []
#: Names of modules that exist only here, as places for definitions from elsewhere.
stand_ins: set[bytes] = set()
#: Runtime directories that this process is part of. Bytes that name another one were encoded for
#: an earlier system, and were kept as a dead letter.
_places: dict[str, None] = {}
#: Definitions out of a file of dead letters, by token.
_offered: dict[str, bytes] = {}
#: What was loaded for bytes of an earlier system.
_earlier: weakref.WeakSet[Any] = weakref.WeakSet()
#: How a token stands in a pickle: a short string of 32 characters.
_TOKEN = re.compile(rb"\x8c\x20([0-9a-f]{32})")
#: Guards the tables and the loading: a half-built class must not be seen by another thread.
_lock = threading.RLock()


class _ModuleGlobals(dict[str, Any]):
    """Stands in a pickle for the globals of a module that travels by value."""

    def __init__(self, module: str) -> None:
        super().__init__()
        self.module = module


class DefinitionPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that names definitions by token instead of sending them each time.

    Args:
        file: where the pickle goes.
        home: runtime directory in which definitions are published.
        root: the one definition that is to be written out, not named.
        buffer_callback: as in `pickle.Pickler`.
    """

    def __init__(
        self,
        file: io.BytesIO,
        home: str,
        root: Any = None,
        buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._home = home
        self._root = root

    def reducer_override(self, obj: Any) -> Any:
        """Reduce what the C pickler has no rule of its own for."""
        if isinstance(obj, type) or type(obj) is types.FunctionType:
            return self._reduce_definition(obj)
        if type(obj) is _ModuleGlobals:
            return _module_globals, (obj.module,)
        if type(obj) is types.CodeType:
            return _reduce_code(obj)
        if type(obj).__module__ == "multiprocessing.connection":
            raise TypeError(
                f"a {type(obj).__name__} cannot travel in a message: its descriptor number means "
                f"nothing in another process; send a ref or a Mailbox instead"
            )
        if type(obj) is functools.cached_property:
            # It holds a lock before 3.12; a fresh one does as well.
            return _cached_property, (obj.func, obj.attrname)
        return super().reducer_override(obj)

    def _reduce_definition(self, obj: Any) -> Any:
        if obj is not self._root and _tokens.get(obj) is not None:
            return _definition, (token_of(obj, self._home), self._home)
        self._share_globals(obj)
        by_value = super().reducer_override(obj)
        # A tuple of six is cloudpickle's by-value form; anything else can be imported.
        if not isinstance(by_value, tuple) or len(by_value) < 6:
            return by_value
        if obj is not self._root and _is_named(obj):
            return _definition, (token_of(obj, self._home), self._home)
        make, args, state, _, _, set_state = by_value
        if isinstance(obj, types.FunctionType):
            set_state = _set_function_state
        if obj is self._root:
            make, args = _make_root, (_tokens[obj], make, args)
        return make, args, state, None, None, set_state

    def _share_globals(self, obj: Any) -> None:
        """Let a function of an unimportable module use the receiver's globals of that name."""
        if isinstance(obj, types.FunctionType):
            namespace = obj.__globals__
            module = namespace.get("__name__")
            if isinstance(module, str) and not _is_importable(module):
                self.globals_ref.setdefault(id(namespace), _ModuleGlobals(module))


def dumps_by_value(
    value: Any,
    home: str,
    buffer_callback: Callable[[pickle.PickleBuffer], Any] | None = None,
    root: Any = None,
) -> bytes:
    """Pickle a value whose definitions the receiver may not be able to import."""
    file = io.BytesIO()
    DefinitionPickler(file, home, root, buffer_callback).dump(value)
    return file.getvalue()


def token_of(obj: Any, home: str) -> str:
    """Return the token of a class or function, published in `home` for others to load."""
    with _lock:
        token = _tokens.get(obj)
        if token is None:
            # Not a hash of the pickle: the bytes of the same class vary from time to time.
            token = _tokens[obj] = uuid.uuid4().hex
            _known[token] = obj
        if (home, token) not in _published:
            outermost = not _under_way
            # Before its file is written: two definitions may name each other.
            _published.add((home, token))
            _under_way.append((home, token))
            try:
                publish(home, token, dumps_by_value(obj, home, root=obj))
            except BaseException:
                # The others that were written meanwhile may name this one: none counts.
                _published.difference_update(_under_way)
                raise
            finally:
                if outermost:
                    _under_way.clear()
        return token


def belong_to(home: str, is_part: bool = True) -> None:
    """Note that this process is part of a runtime directory, or is no more."""
    if is_part:
        _places[home] = None
    else:
        _places.pop(home, None)


def offer(definitions: Mapping[str, bytes]) -> None:
    """Have definitions at hand whose runtime directory is gone."""
    _offered.update(definitions)


def tokens_in(data: bytes) -> set[str]:
    """Return what may be tokens in a pickle; not each of them need be one."""
    return {found.decode() for found in _TOKEN.findall(data)}


def published(home: str, token: str) -> bytes | None:
    """Return the definition that was published under a token; None if there is none."""
    with contextlib.suppress(OSError), open(os.path.join(home, "defs", token), "rb") as file:
        return file.read()
    return None


def published_with(
    bodies: Iterable[bytes], home: str, known: AbstractSet[str] = frozenset()
) -> dict[str, bytes]:
    """Return the definitions that pickles name, and those that these name in turn, by token.

    Not those that are `known`; nor strings of the user's that only look like tokens.
    """
    found: dict[str, bytes] = {}
    wanted = {token for body in bodies for token in tokens_in(body)}
    while wanted:
        token = wanted.pop()
        if token in known or token in found:
            continue
        body = published(home, token)
        if body is not None:
            found[token] = body
            wanted |= tokens_in(body)
    return found


def publish(home: str, token: str, data: bytes) -> None:
    """Put a pickled definition where the processes of a runtime directory look for it."""
    path = os.path.join(home, "defs", token)
    with open(path + ".new", "wb") as file:
        file.write(data)
    os.rename(path + ".new", path)  # whole or not at all


def _definition(token: str, home: str) -> Any:
    """Return the definition of that name, loading it at first sight. Runs in the receiver."""
    with _lock:
        obj = _known.get(token)
        if obj is None:
            place, data = _find(token, home)
            try:
                obj = pickle.loads(data)
            except BaseException:
                _loaded.pop(token, None)
                _known.pop(token, None)
                raise
            _published.add((place, token))
            if home not in _places:
                present = _of_today(obj)
                if present is not None:
                    _known[token] = _loaded[token] = present
                    return present
                _earlier.add(obj)
            _show_in_module(obj)
        return obj


def _find(token: str, home: str) -> tuple[str, bytes]:
    """Return (runtime directory, pickled definition).

    Bytes of an earlier system are looked for at home first: whoever handed them over has put
    their definitions there, and the directory that they name may be anybody's by now.
    """
    if token in _offered:
        return home, _offered[token]
    for place in (home,) if home in _places else (*_places, home):
        data = published(place, token)
        if data is not None:
            return place, data
    raise FileNotFoundError(f"the definition {token} went with its actor system ({home})")


def _of_today(obj: Any) -> Any:
    """Return what stands now where a definition of an earlier system stood; None if nothing.

    A letter of yesterday is for the program of today: its classes are today's, as those of an
    importable module would be. But not if the letter alone is looked at (`offer`).
    """
    if _offered:
        return None
    found: Any = sys.modules.get(obj.__module__)
    for name in obj.__qualname__.split("."):
        found = getattr(found, name, None)
    # A forked copy of the program has an empty `__main__`, but knows what it has published.
    place = (obj.__module__, obj.__qualname__)
    same = [one for one in list(_tokens) if (one.__module__, one.__qualname__) == place]
    kind = type if isinstance(obj, type) else types.FunctionType
    for one in (found, *reversed(same)):
        if isinstance(one, kind) and one is not obj and one not in _earlier:
            return one
    return None


def _make_root(token: str, make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Make the bare definition and enter it at once: its own methods may name it."""
    obj = make(*args)
    _tokens[obj] = token
    _known[token] = _loaded[token] = obj
    return obj


def _show_in_module(obj: Any) -> None:
    """Enter a definition in its module here, where plain pickle and forked pools look for it."""
    if "." not in obj.__qualname__:
        _module_globals(obj.__module__)[obj.__name__] = obj


def _module_globals(name: str) -> dict[str, Any]:
    """Return the globals of this process's module of that name, made empty if there is none."""
    module = sys.modules.get(name)
    if module is None:
        try:
            module = importlib.import_module(name)
        except ImportError:
            module = sys.modules[name] = types.ModuleType(name)
            # Here it can be found by name from now on, but not where it came from.
            stand_ins.add(name.encode())
            cloudpickle.register_pickle_by_value(module)
    return module.__dict__


def _reduce_code(code: types.CodeType) -> Any:
    """Reduce a code object with the name of its file: tracebacks and debuggers show its lines.

    cloudpickle leaves the name out since 3.1.3, so that its bytes are the same everywhere; here a
    token stands for them.
    """
    make, args = cloudpickle.cloudpickle._code_reduce(code)
    return make, tuple(code.co_filename if arg == "<dynamic-code>" else arg for arg in args)


def _cached_property(function: Callable[..., Any], name: str | None) -> Any:
    made = functools.cached_property(function)
    made.attrname = name
    return made


def _set_function_state(function: types.FunctionType, state: tuple[Any, dict[str, Any]]) -> None:
    """Set a loaded function's attributes; fill its globals only where they are absent."""
    attributes, slots = state
    for name, value in slots.pop("__globals__", {}).items():
        function.__globals__.setdefault(name, value)
    slots["__globals__"] = {}
    cloudpickle.cloudpickle._function_setstate(function, (attributes, slots))


def _is_named(obj: Any) -> bool:
    """Whether a definition gets a token: any class, and a function of a module's top level.

    A function made inside another is a value, with its closure; naming each would fill the
    directory.
    """
    return isinstance(obj, type) or ("." not in obj.__qualname__ and obj.__name__ != "<lambda>")


def _is_importable(module: str) -> bool:
    known = module in sys.modules and module not in ("__main__", "__mp_main__")
    return known and module.encode() not in stand_ins


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the one lock of this process, new in a copy
    _lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)
