"""What an instance consists of.

Layer: wire. Runs in: parent and actor.
Owns: nothing.
Never: calls anything of the instance but its attributes.
"""

from __future__ import annotations

from typing import Any

__all__ = ["vars_of"]


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
