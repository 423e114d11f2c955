"""Messages as values: the other way to talk to an actor, beside its methods.

Layer: base. Runs in: parent and actor.
Owns: nothing.
Never: a message that is a function or a class: those are method references.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence, Set as AbstractSet
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, Union

if TYPE_CHECKING:
    import dataclasses

    from procactors.ref import ActorRef

__all__ = ["Message", "PlainMessage"]

ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class Message(Generic[ReplyT_co]):
    """Base of typed messages: ``class GetValue(Message[int])`` says that its reply is an int.

    It carries nothing; make subclasses frozen dataclasses. Any other picklable value may be a
    message too, but then a type checker cannot know the type of its reply.
    """

    __slots__ = ()


class _DataclassValue(Protocol):
    """Any instance of a dataclass, for the type checker alone."""

    __dataclass_fields__: ClassVar[dict[str, dataclasses.Field[Any]]]


#: What a type checker accepts as a message besides ``Message[R]``. A closed union, never
#: ``object``: with ``object`` a misspelled method would pass as a message.
PlainMessage = Union[
    _DataclassValue,
    enum.Enum,
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    None,
    Sequence[Any],
    Mapping[Any, Any],
    AbstractSet[Any],
    "ActorRef[Any]",
]
