"""What stored pickles name: the functions that make their values again, of this and older versions.

Layer: api. Runs in: any process; loaded with the package.
Owns: `__module__` of these functions, and the last place in `sys.meta_path`.
Never: drops or renames what a version has stored.

Dead letters in a file, and the messages beside crash reports, are pickles that outlive the version
that wrote them. A pickle names each function that it needs by its module: so these are named by
this one, wherever they lie, and a module that moves is found by its old name.

    a letter of today    procactors.stored.make_class              ──► the function below
    one of version 0.1   procactors.wire.rebuilding.make_class     ──► `_MOVED`, if it has moved
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType

from procactors.ref import _make_ref
from procactors.shared import _received
from procactors.wire import definitions, rebuilding
from procactors.wire.mailbox import _open_mailbox
from procactors.wire.parcel import open_parcel

__all__ = ["STORED"]

#: The functions that pickles name by this module.
STORED = (
    definitions._definition,
    definitions.make_definition,
    definitions.fill,
    definitions.fill_function,
    *(getattr(rebuilding, name) for name in rebuilding.__all__),
    open_parcel,
    _make_ref,
    _open_mailbox,
    _received,
)

for _function in STORED:
    _function.__module__ = __name__
    globals()[_function.__name__] = _function

#: Modules that were elsewhere when something was stored, and where what was in them is now.
_MOVED: dict[str, str] = {}


class _OldNames:
    """Finds modules of the package by the names that they had."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return how an old name is loaded; None for any other name."""
        return ModuleSpec(name, _OldNames) if name in _MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(_spec: ModuleSpec) -> ModuleType | None:
        """Have the import system make an ordinary module."""
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Have it give what the module of today has."""
        today = importlib.import_module(_MOVED[module.__name__])
        vars(module)["__getattr__"] = partial(getattr, today)


# Last: it is asked for nothing that is there.
sys.meta_path.append(_OldNames)
