"""Classes and functions that other processes cannot import: written out as they are now.

Layer: wire. Runs in: parent and actor.
Owns: a file in `defs/` for each version of a definition that was sent twice (removed with the
runtime directory).
Never: sets, replaces or adds anything in a module that can be imported; a second copy of a class
in one process; the state of a definition in the process that it comes from.

What lives in `__main__`, in a notebook or inside a function has no module that an actor could
import: it travels by value, with the globals, helpers and attributes that it uses, by cloudpickle.
That costs some 500 microseconds, so what has not changed is named instead:

    identity   which class it is: the digest of what it was when this process first sent it
    version    what is in it now: the digest of the definition with all that it uses

A message says `_definition(identity, version)`. A process has one class of an identity; where
the message names another version than it has, it sets the class's attributes to that version. A
function's identity is its version: a changed function is another function.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import sys
import threading
import types
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Set as AbstractSet
from typing import TYPE_CHECKING, Any, TypeAlias

from procactors.late import late
from procactors.light_tuple import NamedTuple
from procactors.stored import stored
from procactors.wire.copies import in_copies
from procactors.wire.pickling.digest import blake2b
from procactors.wire.storage import read_file, write_file

if TYPE_CHECKING:
    import re

    import cloudpickle

    from procactors.wire.pickling.unchanged import Proof
else:
    re = late("re")
    cloudpickle = late("cloudpickle")

__all__ = [
    "Known",
    "belong_to",
    "fill",
    "fill_function",
    "forget_program",
    "is_published",
    "know",
    "make_definition",
    "offer",
    "publish",
    "published",
    "published_with",
    "replace_main",
    "tokens_in",
]


class Known(NamedTuple):
    """What this process knows of a definition.

    Attributes:
        identity, version: digests, as at the head of this module.
        is_loaded: it came from another process.
        size: bytes of the definition with all that it uses; 0 if it was loaded.
    """

    identity: str
    version: str
    is_loaded: bool
    size: int


class EmptyMain(types.ModuleType):
    """The `__main__` of a process whose program runs elsewhere."""


#: What is known of each definition that has come by; and the definitions by identity.
_known: weakref.WeakKeyDictionary[Any, Known] = weakref.WeakKeyDictionary()
_by_identity: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()
#: The last loaded definitions, by identity: what a function keeps in its globals, or a class in
#: its attributes, lasts from one message to the next.
_loaded: OrderedDict[str, Any] = OrderedDict()
_MOST_LOADED = 256
#: Attributes that a loaded class was sent with.
_names: weakref.WeakKeyDictionary[type, frozenset[str]] = weakref.WeakKeyDictionary()
#: Proofs for the definitions sent last, by their object's id. They keep what they compare alive.
_proofs: OrderedDict[int, tuple[Any, Proof, Known]] = OrderedDict()
_MOST_PROOFS = 256
#: Files that are there: (directory, version).
_published: set[tuple[str, str]] = set()
#: Runtime directories that this process is part of. Bytes that name another one were encoded for
#: an earlier system, and were kept as a dead letter.
_runtime_dirs: dict[str, None] = {}
#: Definitions out of a file of dead letters, by version.
_offered: dict[str, bytes] = {}
#: What was loaded for bytes of an earlier system.
_earlier: weakref.WeakSet[Any] = weakref.WeakSet()
#: How a digest stands in a pickle: a short string of 32 characters.
_TOKEN = rb"\x8c\x20([0-9a-f]{32})"
#: Guards the tables and the loading: a half-built class must not be seen by another thread.
_lock = threading.RLock()

#: Returns (digest, size, proof) of a definition as it is now.
Digest: TypeAlias = "Callable[[Any], tuple[str, int, Proof]]"


# -- in the process that sends ------------------------------------------------------------------


def know(obj: Any, digest: Digest, as_it_is: bool) -> Known:
    """Return what is known of a definition that is being sent.

    Args:
        obj: the class or function.
        digest: finds out what is in it.
        as_it_is: code is handed over, so it is looked at once more; else a definition that came
            from another process counts as what it was then.
    """
    with _lock:
        known = _known.get(obj)
        is_loaded = known is not None and known.is_loaded
        if known is not None and is_loaded and not as_it_is:
            return known
        kept = _proofs.get(id(obj))
        if kept is not None and kept[0] is obj and kept[1].holds():
            return kept[2]
        content, size, proof = digest(obj)
        if known is None or not isinstance(obj, type):
            known = Known(_identity_of(obj, content), content, is_loaded, size)
            if known.identity != content:
                known = known._replace(version=_version_of(known.identity, content))
        else:
            version = _version_of(known.identity, content)
            known = Known(known.identity, version, is_loaded, size)
        if not is_loaded:  # else it is known as what it came as: so its sender finds it again
            _known[obj] = known
            _by_identity[known.identity] = obj
        _proofs[id(obj)] = obj, proof, known
        if len(_proofs) > _MOST_PROOFS:
            _proofs.popitem(last=False)
        return known


def _identity_of(obj: Any, content: str) -> str:
    """Return the identity of what was not sent before: its content, as a rule.

    A cell that is run again makes the same class. But of a class statement in a function there may
    be several at the same time.
    """
    other = _by_identity.get(content)
    if other is None or other is obj or "<locals>" not in obj.__qualname__:
        return content
    return os.urandom(16).hex()


def _version_of(identity: str, content: str) -> str:
    """Name what is in a class: two classes that are alike now are still two."""
    if content == identity:
        return identity
    return blake2b(f"{identity} {content}".encode(), digest_size=16).hexdigest()


def is_published(runtime_dir: str, version: str) -> bool:
    """Return whether processes of `runtime_dir` find a version of a definition there."""
    if (runtime_dir, version) not in _published and not os.path.exists(_path(runtime_dir, version)):
        return False
    _published.add((runtime_dir, version))
    return True


def publish(runtime_dir: str, version: str, data: bytes) -> None:
    """Put a pickled definition where the processes of a runtime directory look for it.

    Raises:
        StorageFull: no room for it.
    """
    write_file(runtime_dir, os.path.join("defs", version), data, what="a definition")
    _published.add((runtime_dir, version))


# -- in the process that receives ---------------------------------------------------------------


@stored
def _definition(identity: str, version: str, runtime_dir: str) -> Any:
    """Return a definition, loading it where it is not known in this version."""
    with _lock:
        obj = _by_identity.get(identity)
        if obj is not None:
            known = _known.get(obj)  # None: of today, for bytes of an earlier system
            if known is None or not known.is_loaded or known.version == version:
                return obj
        folder, data = _find(version, runtime_dir)
        obj = pickle.loads(data)
        _published.add((folder, version))
        if runtime_dir not in _runtime_dirs:
            present = _of_today(obj)
            if present is not None:
                _by_identity[identity] = _loaded[identity] = present
                return present
            _earlier.add(obj)
        _show(obj, replace=True)
        return obj


def forget_program() -> None:
    """Have nothing come from here: this process is a forked copy, and runs an actor.

    What it is sent is what its program holds at that time, not what that held at the fork.
    """
    with _lock:
        for table in (_known, _by_identity):
            if table:  # to clear an empty one takes an exception
                table.clear()
        _proofs.clear()


def replace_main(main_file: str | None) -> None:
    """Give the process an empty `__main__`, into which definitions of the program's arrive.

    The program's main module is not imported again: it may be a script without a guard, standard
    input or a notebook.
    """
    main = EmptyMain("__main__")
    if main_file is not None:
        main.__file__ = main_file
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main


@stored
def make_definition(identity: str, make: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Return the one definition of an identity, made bare if there is none."""
    with _lock:
        obj = _by_identity.get(identity)
        if obj is None:
            obj = make(*args)
            # At once: what is in it may name it. It has no version until it is filled.
            _known[obj] = Known(identity, "", True, 0)
            _by_identity[identity] = _loaded[identity] = obj
            if len(_loaded) > _MOST_LOADED:
                _loaded.popitem(last=False)
        return obj


@stored
def fill(obj: Any, state: tuple[str, Callable[[Any, Any], Any], Any]) -> None:
    """Set the state of a definition to a version, unless it has that, or comes from here."""
    version, set_state, content = state
    with _lock:
        known = _known[obj]
        if known.is_loaded and known.version != version:
            if isinstance(obj, type):
                names = frozenset(content[0])
                for name in _names.get(obj, names) - names:
                    # Every class has a `__module__`: one that is its base's is not sent.
                    with contextlib.suppress(AttributeError, TypeError):
                        delattr(obj, name)
                _names[obj] = names
            set_state(obj, content)
            _known[obj] = known._replace(version=version)
            _show(obj, replace=False)


@stored
def fill_function(function: types.FunctionType, state: Any) -> None:
    """Set the state of a function that has no name of its own on the wire."""
    cloudpickle.cloudpickle._function_setstate(function, state)
    _show(function, replace=False)


def _show(obj: Any, replace: bool) -> None:
    """Enter a definition in an empty `__main__`, for forked pools and for plain pickle."""
    main = sys.modules.get("__main__")
    if type(main) is not EmptyMain or obj.__module__ != "__main__" or "." in obj.__qualname__:
        return
    if replace or obj.__name__ not in vars(main):
        setattr(main, obj.__name__, obj)


# -- files of definitions -----------------------------------------------------------------------


def belong_to(runtime_dir: str, is_part: bool = True) -> None:
    """Note that this process is part of a runtime directory, or is no more."""
    if is_part:
        _runtime_dirs[runtime_dir] = None
        in_copies(_after_fork)
    else:
        _runtime_dirs.pop(runtime_dir, None)


def offer(definitions: Mapping[str, bytes]) -> None:
    """Have definitions at hand whose runtime directory is gone."""
    _offered.update(definitions)


def tokens_in(data: bytes) -> set[str]:
    """Return what may be versions in a pickle; not each of them need be one."""
    return {found.decode() for found in re.findall(_TOKEN, data)}


def published(runtime_dir: str, version: str) -> bytes | None:
    """Return the definition that was published as a version; None if there is none."""
    with contextlib.suppress(OSError):
        return read_file(runtime_dir, os.path.join("defs", version))
    return None


def published_with(
    bodies: Iterable[bytes], runtime_dir: str, known: AbstractSet[str] = frozenset()
) -> dict[str, bytes]:
    """Return the definitions that pickles name, and those that these name in turn, by version.

    Not those that are `known`; nor strings of the user's that only look like versions.
    """
    found: dict[str, bytes] = {}
    wanted = {version for body in bodies for version in tokens_in(body)}
    while wanted:
        version = wanted.pop()
        if version in known or version in found:
            continue
        body = published(runtime_dir, version)
        if body is not None:
            found[version] = body
            wanted |= tokens_in(body)
    return found


def _path(runtime_dir: str, version: str) -> str:
    return os.path.join(runtime_dir, "defs", version)


def _find(version: str, runtime_dir: str) -> tuple[str, bytes]:
    """Return (runtime directory, pickled definition).

    What bytes of an earlier system name is looked for at runtime_dir first: the definitions were
    put there when the bytes were handed over, and the directory that they name may be another
    system's now.
    """
    if version in _offered:
        return runtime_dir, _offered[version]
    for folder in (runtime_dir,) if runtime_dir in _runtime_dirs else (*_runtime_dirs, runtime_dir):
        data = published(folder, version)
        if data is not None:
            return folder, data
    raise FileNotFoundError(f"the definition {version} went with its actor system ({runtime_dir})")


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
    # A forked copy of the program has an empty `__main__`, but knows what it has sent.
    full_name = (obj.__module__, obj.__qualname__)
    same = [one for one in list(_known) if (one.__module__, one.__qualname__) == full_name]
    kind = type if isinstance(obj, type) else types.FunctionType
    for one in (found, *reversed(same)):
        if isinstance(one, kind) and one is not obj and one not in _earlier:
            return one
    return None


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - the one lock of this process, new in a copy
    _lock = threading.RLock()


# Else they would keep the globals of `__main__` beyond its end, and whatever has a finalizer there.
atexit.register(_proofs.clear)
