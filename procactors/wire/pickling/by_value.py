"""The pickler for what only this process can import, and for what cloudpickle does not carry.

Layer: wire. Runs in: parent and actor, in the thread that encodes.
Owns: nothing.
Never: names a definition that its receiver could not load; goes on where a value would arrive as
something else (an open file as its text, a pipe end as a bare number).

Inside code everything is written out in one pickle: functions that share their globals here share
them there. Inside data a class, or a function of a module's top level, is named (see `definitions`)
from the second time on that it is sent unchanged.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import io
import sys
import types
import typing
from collections import OrderedDict
from collections.abc import Callable, Iterable
from importlib.machinery import ModuleSpec
from typing import Any

import cloudpickle
from cloudpickle import cloudpickle as cp

from procactors.wire.pickling.definitions import (
    Known,
    _definition,
    fill,
    fill_function,
    is_published,
    know,
    make_definition,
    publish,
)
from procactors.wire.pickling.digest import blake2b
from procactors.wire.pickling.importable import is_found, is_importable, is_python_class, stands_in
from procactors.wire.pickling.rebuilding import (
    fill_cached,
    fill_enum,
    fill_module,
    fill_named,
    fill_single_dispatch,
    make_cached,
    make_cached_property,
    make_class,
    make_module,
    make_named,
    make_single_dispatch,
    make_spec,
    make_typing_name,
    remember_named,
)
from procactors.wire.pickling.unchanged import Proof

__all__ = ["DefinitionPickler", "code_facts", "dumps_by_value", "names_used", "vars_of"]

#: Bytes of a definition, with all that it uses, beyond which it is never a file of its own, and no
#: function of that size is kept by its receiver: segments are freed behind a map, those would stay.
_LARGE = 64 * 1024
#: Versions that were sent once, in full. Most are never sent again.
_sent: OrderedDict[str, None] = OrderedDict()
_MOST_SENT = 4_096
#: Files that this process has written, by directory: definitions that change all the time are few,
#: but a program may run for weeks.
_files: dict[str, int] = {}
_MOST_FILES = 1_000

_CachedFunction = functools._lru_cache_wrapper
#: Classes of `types` and the like, which stand in no module under their own names.
_NAMELESS = frozenset((*cp._BUILTIN_TYPE_NAMES, type(None), type(...), type(NotImplemented)))
#: What relative imports in a function look at.
_IMPORT_CONTEXT = ("__name__", "__package__", "__spec__", "__path__", "__file__")


class DefinitionPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that names definitions where it can, and else writes them out.

    Args:
        file: where the pickle goes.
        runtime_dir: runtime directory of the receivers; definitions are published in it.
        buffer_callback: as in `pickle.Pickler`.
        is_code: write out everything, whatever the receiver knows.
        hands_over: code is handed over with the value: classes are sent as they are now, those
            too that have come from another process.
    """

    def __init__(
        self,
        file: Any,
        runtime_dir: str,
        buffer_callback: Callable[[Any], Any] | None = None,
        *,
        is_code: bool = False,
        hands_over: bool = False,
    ) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self._runtime_dir = runtime_dir
        self._is_code = is_code
        self._as_it_is = is_code or hands_over
        #: What was written out, and what was known of it: to be looked at once more.
        self.written: list[tuple[Any, Known]] = []
        #: Ids of what is used by code that is written out, and so is written out itself.
        self._used: set[int] = set()

    def reducer_override(self, obj: Any) -> Any:
        """Reduce what the C pickler has no rule of its own for."""
        cls = type(obj)
        if issubclass(cls, type):
            return self._reduce_class(obj)
        if cls is types.FunctionType or cls is _CachedFunction:
            return self._reduce_function(obj)
        rule = _RULES.get(cls)
        if rule is not None:
            return rule(obj)
        if cls.__module__ == "multiprocessing.connection":
            raise TypeError(
                f"a {cls.__name__} cannot travel in a message: its descriptor number means "
                f"nothing in another process; send a ref or a Mailbox instead"
            )
        reduce: Any = cls.__reduce__
        if reduce is object.__reduce__ or cls in self.dispatch_table:
            return NotImplemented
        reduced = obj.__reduce_ex__(5)
        return _reduce_named(obj, reduced) if isinstance(reduced, str) else reduced

    # -- classes and functions ----------------------------------------------------------------

    def _reduce_class(self, cls: Any) -> Any:
        if is_found(cls) or cls in _NAMELESS:
            return super().reducer_override(cls)
        # Named before it is taken apart, which costs ten times as much.
        return self._name(cls) or self._write_out(cls, self._parts_of(cls))

    def _parts_of(self, cls: Any) -> tuple[Any, Any, Any, Any]:
        return _class_parts(cls)

    def _reduce_function(self, function: Any) -> Any:
        if is_found(function):
            return NotImplemented
        is_named = "<" not in function.__qualname__ and "." not in function.__qualname__
        reference = self._name(function) if is_named else None
        if reference is not None:
            return reference
        self._seed_globals(function)
        parts = self._function_parts(function)
        is_own = is_named and not self._is_code and id(function) not in self._used
        if is_own and self._known(function).size <= _LARGE:
            return self._write_out(function, parts)
        self._mark_used(function)
        make, args, set_state, state = parts
        return make, args, state, None, None, set_state

    def _name(self, obj: Any) -> Any:
        """Return how a definition is named; None if it is to be written out here."""
        if self._is_code or id(obj) in self._used:
            return None
        known = self._known(obj)
        if known.size > _LARGE or not self._is_at_hand(obj, known):
            return None
        return _definition, (known.identity, known.version, self._runtime_dir)

    def _is_at_hand(self, obj: Any, known: Known) -> bool:
        """Whether receivers find a version in the runtime directory: from its second time on."""
        version = known.version
        if is_published(self._runtime_dir, version):
            return True
        if _files.get(self._runtime_dir, 0) >= _MOST_FILES:
            return False
        if version not in _sent and not (known.is_loaded and not self._as_it_is):
            _sent[version] = None
            if len(_sent) > _MOST_SENT:
                _sent.popitem(last=False)
            return False
        publish(self._runtime_dir, version, _write_root(obj, self._runtime_dir, known))
        _files[self._runtime_dir] = _files.get(self._runtime_dir, 0) + 1
        return True

    def _write_out(self, obj: Any, parts: tuple[Any, Any, Any, Any]) -> Any:
        """Reduce a definition to all of it, under its identity."""
        known = self._known(obj)
        make, args, set_state, state = parts
        self._mark_used(obj)
        self.written.append((obj, known))
        content = known.version, set_state, state
        return make_definition, (known.identity, make, args), content, None, None, fill

    def _known(self, obj: Any) -> Known:
        return know(obj, _digest, self._as_it_is or not isinstance(obj, type))

    def is_consistent(self) -> bool:
        """Whether nothing has changed between its digest and the end of the writing.

        Else what another thread has just set would arrive under the name of what was before, and
        stay there under that name.
        """
        return all(self._known(obj) == known for obj, known in self.written)

    def _mark_used(self, obj: Any) -> None:
        """Have what a definition uses be written out with it, as it shares its globals."""
        if not self._is_code:
            self._used.update(id(value) for value in _used_by(obj) if _may_travel(value))

    def _function_parts(self, function: Any) -> tuple[Any, Any, Any, Any]:
        """Return (make, arguments, setter, state)."""
        if isinstance(function, _CachedFunction):
            parameters = function.cache_parameters()
            args = function.__wrapped__, parameters["maxsize"], parameters["typed"]
            return make_cached, args, fill_cached, _extras(function)
        if _is_single_dispatch(function):
            registry = {cls: call for cls, call in function.registry.items() if cls is not object}
            state = registry, _extras(function)
            return make_single_dispatch, (function.__wrapped__,), fill_single_dispatch, state
        make, args, (attributes, slots), _, _, _ = self._dynamic_function_reduce(function)
        namespace = function.__globals__
        for name in _names_of_class_bodies(function.__code__):
            if name in namespace:
                slots["__globals__"].setdefault(name, namespace[name])
        if getattr(function, "__type_params__", ()):
            slots["__type_params__"] = function.__type_params__
        return make, args, fill_function, (attributes, slots)

    def _seed_globals(self, function: Any) -> None:
        if type(function) is types.FunctionType:
            namespace = function.__globals__
            context = {name: namespace[name] for name in _IMPORT_CONTEXT if name in namespace}
            self.globals_ref.setdefault(id(namespace), context)


class _Digester(DefinitionPickler):
    """Writes a definition with all that it uses, but for where it stands: lines and files.

    Attributes:
        proof: of what was written out by value.
    """

    def __init__(self, file: _DigestFile) -> None:
        super().__init__(file, "", file.add_buffer, is_code=True)
        self.proof = Proof(names_used)

    def reducer_override(self, obj: Any) -> Any:
        if type(obj) is types.CodeType:
            return tuple, (code_facts(obj),)
        return super().reducer_override(obj)

    def _parts_of(self, cls: Any) -> tuple[Any, Any, Any, Any]:
        self.proof.add_class(cls)
        return super()._parts_of(cls)

    def _write_out(self, obj: Any, parts: tuple[Any, Any, Any, Any]) -> Any:
        make, args, set_state, state = parts
        attributes = {key: value for key, value in state[0].items() if key != "__firstlineno__"}
        if not attributes.get("__annotations__", True):
            del attributes["__annotations__"]  # made when they are first looked for
        return make, args, (attributes, *state[1:]), None, None, set_state

    def _function_parts(self, function: Any) -> tuple[Any, Any, Any, Any]:
        self.proof.add_function(function)
        return super()._function_parts(function)


class _DigestFile:
    """Where a pickle goes of which only the digest is wanted."""

    def __init__(self) -> None:
        self.digest = blake2b(digest_size=16)
        self.size = 0

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += len(data)
        return len(data)

    def add_buffer(self, buffer: Any) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not in one piece: it goes into the pickle
        self.digest.update(raw)
        self.size += raw.nbytes
        return False


def dumps_by_value(
    value: Any,
    runtime_dir: str,
    buffer_callback: Callable[[Any], Any] | None = None,
    *,
    hands_over: bool = False,
    is_code: bool = False,
) -> bytes:
    """Pickle a value whose definitions the receiver may not be able to import.

    Args:
        value: what is sent.
        runtime_dir: as of `DefinitionPickler`.
        buffer_callback: as there.
        hands_over: as there.
        is_code: as there.
    """
    for _ in range(_TRIES):
        found: list[Any] = []
        file = io.BytesIO()
        collect = None if buffer_callback is None else found.append
        pickler = DefinitionPickler(
            file, runtime_dir, collect, is_code=is_code, hands_over=hands_over
        )
        pickler.dump(value)
        if pickler.is_consistent():
            break
    else:
        raise RuntimeError(_RESTLESS)
    if buffer_callback is not None:
        for buffer in found:
            buffer_callback(buffer)
    return file.getvalue()


def names_used(code: types.CodeType) -> Iterable[str]:
    """Return the names of the globals that a function's code uses, nested functions included."""
    return (*cp._extract_code_globals(code), *_names_of_class_bodies(code))


def _names_of_class_bodies(code: types.CodeType) -> Iterable[str]:
    """Return what class statements in a function look up: by name, not as globals."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if not constant.co_flags & inspect.CO_OPTIMIZED:
                yield from constant.co_names
            yield from _names_of_class_bodies(constant)


#: How often something is written that another thread edits meanwhile.
_TRIES = 20
_RESTLESS = (
    "what is sent is edited by another thread all the time: expected it to hold still for as long "
    "as it takes to write it; send a copy, or edit it under a lock that the sender holds too"
)


def _digest(obj: Any) -> tuple[str, int, Proof]:
    file = _DigestFile()
    pickler = _Digester(file)
    pickler.dump(obj)
    return file.digest.hexdigest(), file.size, pickler.proof


def _write_root(obj: Any, runtime_dir: str, known: Known) -> bytes:
    """Return the pickle of a definition by itself."""
    for _ in range(_TRIES):
        file = io.BytesIO()
        pickler = _RootPickler(file, runtime_dir, obj, known)
        pickler.dump(obj)
        if know(obj, _digest, not known.is_loaded) == known and pickler.is_consistent():
            return file.getvalue()
        known = know(obj, _digest, not known.is_loaded)
    raise RuntimeError(_RESTLESS)


class _RootPickler(DefinitionPickler):
    """Writes one definition out under a given identity and version."""

    def __init__(self, file: Any, runtime_dir: str, root: Any, known: Known) -> None:
        super().__init__(file, runtime_dir, is_code=True)
        self._root = root
        self._root_known = known

    def _reduce_function(self, function: Any) -> Any:
        if function is not self._root:
            return super()._reduce_function(function)
        self._seed_globals(function)
        return self._write_out(function, self._function_parts(function))

    def _known(self, obj: Any) -> Known:
        return self._root_known if obj is self._root else super()._known(obj)


# -- what has a rule of its own -----------------------------------------------------------------


def vars_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an instance, from its dictionary and its slots."""
    found = dict(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = getattr(cls, "__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = name
            if name.startswith("__") and not name.endswith("__"):
                mangled = f"_{cls.__name__.lstrip('_')}{name}"
            if hasattr(value, mangled) and mangled not in ("__dict__", "__weakref__"):
                found[mangled] = getattr(value, mangled)
    return found


def _class_parts(cls: Any) -> tuple[Any, Any, Any, Any]:
    """Return cloudpickle's (make, arguments, setter, state), mended where it loses something."""
    make, args, (attributes, slots), _, _, set_state = cp._dynamic_class_reduce(cls)
    # Not its identities: they are random, where the same text must be the same class.
    args = (*args[:-2], None, args[-1])
    if make is cp._make_skeleton_enum:
        # With aliases and composite flags, which iterating leaves out.
        members = {name: member.value for name, member in cls.__members__.items()}
        args = (*args[:3], members, *args[4:])
        attributes = {key: value for key, value in attributes.items() if key not in members}
        state = attributes, _attributes_of_members(cls), set_state
        return make, args, fill_enum, state
    if make is cp._make_skeleton_class:
        make = make_class
        if "__slots__" in vars(cls) and not issubclass(cls, tuple):  # a `NamedTuple` sets its own
            args[3]["__slots__"] = vars(cls)["__slots__"]
    # Made anew from `__slots__`: private names too, which stand there by another name.
    own = {key: value for key, value in attributes.items() if not _is_slot_of(cls, value)}
    own.pop("__slotnames__", None)  # what `copyreg` has found out
    return make, args, set_state, (own, slots)


def _attributes_of_members(cls: Any) -> dict[str, dict[str, Any]]:
    """Return what is in an enum's members: their values, and what has been set on them."""
    own = ("_name_", "__objclass__", "_sort_order_", "_inverted_")
    return {
        name: set_here
        for name, member in cls.__members__.items()
        if (set_here := {key: it for key, it in vars(member).items() if key not in own})
    }


def _is_slot_of(cls: type, value: Any) -> bool:
    return isinstance(value, types.MemberDescriptorType) and value.__objclass__ is cls


def _used_by(obj: Any) -> Iterable[Any]:
    """Return what a definition refers to directly."""
    if isinstance(obj, type):
        return (*obj.__bases__, *vars(obj).values())
    if isinstance(obj, _CachedFunction) or _is_single_dispatch(obj):
        return (obj.__wrapped__, *getattr(obj, "registry", {}).values())
    names = names_used(obj.__code__)
    cells = [cp._get_cell_contents(cell) for cell in obj.__closure__ or ()]
    used = [obj.__globals__[name] for name in names if name in obj.__globals__]
    return (*used, *cells, *(obj.__defaults__ or ()))


def _may_travel(value: Any) -> bool:
    return isinstance(value, (type, types.FunctionType, _CachedFunction))


def _is_single_dispatch(function: Any) -> bool:
    return all(name in vars(function) for name in ("registry", "dispatch", "_clear_cache"))


def _extras(function: Any) -> dict[str, Any]:
    """Return the attributes that a user has set on a function that a decorator has made."""
    return {name: value for name, value in vars(function).items() if name not in _MADE}


_MADE = frozenset(
    (
        "registry",
        "dispatch",
        "register",
        "_clear_cache",
        "cache_parameters",
        "__wrapped__",
        *functools.WRAPPER_ASSIGNMENTS,
    )
)


def _reduce_named(obj: Any, name: str) -> Any:
    """Reduce an object that pickles by its name (a sentinel, a `NewType`)."""
    module = cp._whichmodule(obj, name) or "__main__"
    if stands_in(module, name, obj):
        return name
    if isinstance(obj, _TYPING_NAMES):
        value = getattr(obj, "__supertype__", None) or getattr(obj, "__value__", None)
        return make_typing_name, (type(obj), name, module, value)
    key, cls = f"{module}:{name}", type(obj)
    if not is_python_class(cls):
        raise TypeError(
            f"a {cls.__name__} pickles by its name, and other processes cannot import "
            f"{module}.{name}: put it into a module of its own"
        )
    remember_named(key, obj)
    new_args = tuple(obj.__getnewargs__()) if hasattr(obj, "__getnewargs__") else ()
    return make_named, (key, cls, new_args), (key, vars_of(obj)), None, None, fill_named


_TYPING_NAMES = tuple(
    getattr(typing, name)
    for name in ("NewType", "ParamSpec", "TypeVarTuple", "TypeAliasType")
    if hasattr(typing, name)
)


def _reduce_code(code: types.CodeType) -> Any:
    """Reduce a code object with the name of its file: tracebacks and debuggers show its lines.

    cloudpickle leaves the name out since 3.1.3, so that its bytes are the same everywhere.
    """
    make, args = cp._code_reduce(code)
    named = (type(arg) is str and arg == "<dynamic-code>" for arg in args)
    return make, tuple(
        code.co_filename if is_name else arg for arg, is_name in zip(args, named, strict=True)
    )


def code_facts(code: types.CodeType) -> tuple[Any, ...]:
    """Return what code does, not where it stands: a cell that was run again is the same code."""
    return (
        code.co_name,
        code.co_code,
        tuple(map(_constant_fact, code.co_consts)),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_flags,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        getattr(code, "co_exceptiontable", b""),
    )


def _constant_fact(constant: Any) -> Any:
    if isinstance(constant, types.CodeType):
        return code_facts(constant)
    # A set of texts has another order in each process.
    return sorted(constant, key=repr) if isinstance(constant, frozenset) else constant


def _reduce_module(module: types.ModuleType) -> Any:
    name = module.__name__
    if sys.modules.get(name) is module and (name == "__main__" or is_importable(name)):
        return NotImplemented
    unwanted = ("__builtins__", "__loader__", "__spec__", "__cached__")
    state = {key: value for key, value in vars(module).items() if key not in unwanted}
    return make_module, (name,), state, None, None, fill_module


def _reduce_typevar(variable: Any) -> Any:
    if stands_in(variable.__module__, variable.__name__, variable):
        return NotImplemented
    *parts, _ = cp._decompose_typevar(variable)
    return cp._make_typevar, (*parts, None)


def _reduce_text_file(file: Any) -> Any:
    if file is sys.stdout or file is sys.stderr:
        return NotImplemented
    raise TypeError("an open file cannot travel: send its path, or what is in it")


def _reduce_generator(generator: Any) -> Any:
    raise TypeError(
        "a generator cannot travel: send a list of its items, or feed(...) of it as an argument, "
        "which an actor reads item by item"
    )


def _by_attribute(module: str, name: str) -> Callable[[Any], Any]:
    return lambda _: (getattr, (sys.modules[module], name))


_RULES: dict[type, Callable[[Any], Any]] = {
    types.CodeType: _reduce_code,
    types.ModuleType: _reduce_module,
    typing.TypeVar: _reduce_typevar,
    io.TextIOWrapper: _reduce_text_file,
    types.GeneratorType: _reduce_generator,
    types.AsyncGeneratorType: _reduce_generator,
    ModuleSpec: lambda spec: (
        make_spec,
        (spec.name, spec.origin, spec.submodule_search_locations is not None),
    ),
    # It holds a lock before 3.12; a fresh one does as well.
    functools.cached_property: lambda it: (make_cached_property, (it.func, it.attrname)),
    # Compared by identity in the dataclasses that travel.
    **{
        type(getattr(dataclasses, name)): _by_attribute("dataclasses", name)
        for name in ("MISSING", "_HAS_DEFAULT_FACTORY")
    },
}
