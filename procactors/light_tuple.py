"""Named tuples that are made without a look at what their fields are said to be.

Layer: model. Runs in: any process.
Owns: nothing.
Never: differs from `typing.NamedTuple` in anything but the time to make a class.

`typing.NamedTuple` compiles each annotation, which takes more than half of its 130 microseconds a
class; a program has some fifty of ours before its first actor answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    import collections

    class _Maker(type):
        """Makes of a class body with annotations what `collections.namedtuple` makes."""

        def __new__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any]) -> type:
            fields = list(body["__annotations__"])
            last = [field for field in fields if field in body]
            if last != fields[len(fields) - len(last) :]:
                raise TypeError(f"{name}: fields with a default stand last, but {last} do not")
            defaults = [body.pop(field) for field in last]
            made = collections.namedtuple(  # noqa: PYI024 - it is what `typing` calls, too
                name, fields, defaults=defaults, module=body["__module__"]
            )
            for key, value in body.items():
                setattr(made, key, value)
            return made

    NamedTuple = type.__new__(_Maker, "NamedTuple", (), {})

__all__ = ["NamedTuple"]
