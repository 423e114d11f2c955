"""Messages as values: the other way to talk to an actor, beside its methods.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: a message that is a function or a class: those are method references.
"""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Message"]

ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class Message(Generic[ReplyT_co]):
    """Base of typed messages: ``class GetValue(Message[int])`` says that its reply is an int.

    It carries nothing; make subclasses frozen dataclasses. Any other picklable value may be a
    message too, but then a type checker cannot know the type of its reply.
    """

    __slots__ = ()
