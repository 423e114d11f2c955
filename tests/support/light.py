"""What stands for pytest in an actor: its import would cost each of them a tenth of a second.

An actor imports the test module that its class stands in. Of pytest that module needs decorators
at import, and nothing afterwards; whatever else is looked up is the real thing.
"""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

__all__ = ["is_actor", "stand_in"]


def is_actor() -> bool:
    """Whether this process runs an actor, and not the tests."""
    return type(sys.modules.get("__main__")).__name__ == "EmptyMain"


def stand_in() -> None:
    """Have `import pytest` find the stand-in, unless pytest is there already."""
    sys.modules.setdefault("pytest", _Pytest("pytest"))


class _Anything:
    """A decorator, a maker of decorators, and whatever stands in one."""

    def __getattr__(self, name: str) -> Any:
        return self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Without keywords, one function alone: it is decorated.
        alone = len(args) == 1 and not kwargs and isinstance(args[0], types.FunctionType)
        return args[0] if alone else self


class _Pytest(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name in ("mark", "fixture", "param"):
            return _Anything()
        if name.startswith("__"):
            raise AttributeError(name)
        del sys.modules["pytest"]
        return getattr(importlib.import_module("pytest"), name)
