"""What a command is to run or to print: a tree from TOML, or a tree or function from a module.

Layer: cli. Runs in: parent.
Owns: nothing; it puts the current directory on the import path, as ``python -m`` does.
Never: lets a mistake of the user's end in a traceback of ours.
"""

from __future__ import annotations

import inspect
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from procactors.errors import InvalidSpec

if TYPE_CHECKING:
    import argparse

    from procactors.run import Program
    from procactors.tree import Supervisor

__all__ = ["USAGE", "add_target", "complain", "find_target"]

#: Exit code for what cannot be understood; argparse's own.
USAGE = 2


def add_target(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names what is meant."""
    parser.add_argument(
        "target",
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
    from procactors.treefile import find_attribute, load_tree

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


def complain(error: InvalidSpec) -> int:
    """Print what is wrong, with the traceback of the user's own code; return the exit code."""
    cause = error.__cause__
    if cause is not None and not isinstance(cause, ModuleNotFoundError):
        traceback.print_exception(cause)
    print(f"procactors: {error}", file=sys.stderr)
    return USAGE


def _understood(text: str, found: Any) -> Supervisor | Program:
    from procactors.tree import Supervisor

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
    except Exception as error:  # so wide: it is the user's code, and the place is to be named
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
