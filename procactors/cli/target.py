"""What a command is to run or to print: a tree from TOML, or a tree or function from a module.

Layer: cli. Runs in: parent.
Owns: nothing; it puts the current directory on the import path, as ``python -m`` does.
Never: lets a mistake of the user's end in a traceback of ours.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from procactors import Supervisor, load_tree
from procactors.errors import InvalidSpec

if TYPE_CHECKING:
    import argparse

    from procactors.api.program import Program

__all__ = ["USAGE", "add_target", "check_module", "complain", "find_function", "find_target"]

#: Exit code for what cannot be understood; argparse's own.
USAGE = 2


def add_target(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the argument that names what is meant; it is None where it is left out."""
    parser.add_argument(
        "target",
        nargs="?" if optional else None,
        metavar="TARGET",
        help=(
            "TREE.toml, or MODULE:ATTRIBUTE with a Supervisor, or with a function that makes one "
            "(it takes nothing) or is the program (it takes the system)"
        ),
    )


def find_target(text: str) -> Supervisor | Program:
    """Return the tree or the function that `text` names.

    Raises:
        InvalidSpec: a mistake in the text, in the file, or in the module; what a module or a
            function of the user's raised is the ``__cause__``.
    """
    from procactors.api.tree_toml import find_attribute

    _import_from_here()
    if text.endswith(".toml"):
        try:
            return load_tree(text)
        except OSError as error:
            raise InvalidSpec(f"{text}: cannot be read: {error.strerror}") from None
        except ModuleNotFoundError as error:  # Python 3.10 without tomli
            raise InvalidSpec(str(error)) from None
    if ":" not in text:
        raise InvalidSpec(f"expected TREE.toml or MODULE:ATTRIBUTE, found {text!r}")
    return _understood(text, find_attribute(text))


def find_function(text: str, spread: bool = False) -> str:
    """Check what is to be called for each item; return it as ``module:attribute``.

    Args:
        text: ``module:attribute``, or FILE.py:FUNCTION, whose directory is put on the import path.
        spread: items are spread over its parameters; else it takes one argument.

    Raises:
        InvalidSpec: as `find_target`.
    """
    from procactors.api.tree_toml import find_attribute

    _import_from_here()
    name, colon, attribute = text.rpartition(":")
    if not colon:
        raise InvalidSpec(f"expected MODULE:FUNCTION or FILE.py:FUNCTION, found {text!r}")
    if name.endswith(".py"):
        name = _module_of(name)
    reference = f"{name}:{attribute}"
    try:
        function = find_attribute(reference)
    except SystemExit:
        raise InvalidSpec(f"{name} ends the program when it is imported") from None
    if not callable(function):
        raise InvalidSpec(f"{text}: expected a function, found {function!r}")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise InvalidSpec(f"{text} is an async function; a plain one may call asyncio.run")
    if inspect.isgeneratorfunction(function):
        raise InvalidSpec(f"{text} is a generator; a function may return list(...) of one")
    try:
        if not spread:
            inspect.signature(function).bind(None)
    except TypeError as error:
        raise InvalidSpec(f"{text} must take one argument, the item: {error}") from None
    except ValueError:
        pass  # written in C: the call will tell
    return reference


def check_module(name: str) -> None:
    """See that there is a module of a name, without importing it.

    Raises:
        InvalidSpec: there is none.
    """
    try:
        found = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # no such package around it, or no name at all
        found = None
    if found is None:
        raise InvalidSpec(f"there is no module {name!r}")


def _module_of(path: str) -> str:
    """Have a file importable under its own name, as if it were run; return the name."""
    file = os.path.abspath(path)
    if not os.path.isfile(file):
        raise InvalidSpec(f"{path}: no such file")
    folder, name = os.path.split(file.removesuffix(".py"))
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None or not os.path.samefile(spec.origin, file):
        raise InvalidSpec(f"{path} cannot be imported as {name!r}: give it another name")
    return name


def complain(error: InvalidSpec) -> int:
    """Print what is wrong, with the traceback of the user's own code; return the exit code."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, ModuleNotFoundError):
        traceback.print_exception(cause)
    print(f"procactors: {error}", file=sys.stderr)
    return USAGE


def _understood(text: str, found: Any) -> Supervisor | Program:
    if isinstance(found, Supervisor):
        return found
    if not inspect.isroutine(found):
        raise InvalidSpec(
            f"{text}: expected a Supervisor or a function, found {type(found).__name__} {found!r}"
        )
    if not _takes_nothing(found):
        return found
    try:
        made = found()
    except Exception as error:  # so wide: it is the user's code, and the error is to name it
        raise InvalidSpec(f"{text}() raised {type(error).__name__}: {error}") from error
    if isinstance(made, Supervisor):
        return made
    raise InvalidSpec(
        f"{text} takes nothing, so it was to make a Supervisor, but it returned {made!r}; a "
        f"program takes the system"
    )


def _takes_nothing(function: Any) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _import_from_here() -> None:
    if getattr(sys.flags, "safe_path", False):  # python -P: the user wants no such thing
        return
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
