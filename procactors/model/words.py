"""Words that a function takes as ``**options``, shown in its signature.

Layer: model. Runs in: parent and actor.
Owns: nothing.
Never: loads `inspect` or the options before somebody looks at the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from procactors.late import late

if TYPE_CHECKING:
    import dataclasses
    import inspect

    from procactors.model import options
else:
    dataclasses = late("dataclasses")
    inspect = late("inspect")
    options = late("procactors.model.options")

__all__ = ["showing", "worded"]

F = TypeVar("F", bound=Callable[..., Any])


class _Worded:
    """Stands for a method until that is first looked at: a signature costs some milliseconds."""

    def __init__(self, function: Any, words: Callable[[], Iterable[inspect.Parameter]]) -> None:
        self._function = function
        self._words = words

    def __set_name__(self, owner: type, name: str) -> None:
        self._owner, self._name = owner, name

    def __get__(self, instance: object, owner: type) -> Any:
        function = self._function
        shown = inspect.signature(function)
        variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        own = [one for one in shown.parameters.values() if one.kind not in variable]
        function.__signature__ = shown.replace(parameters=[*own, *self._words()])
        # From now on the function itself: whoever comes at the same time does the same.
        setattr(self._owner, self._name, function)
        return function.__get__(instance, owner)


def showing(words: Callable[[], Iterable[inspect.Parameter]]) -> Callable[[F], F]:
    """Return a decorator that shows words in the signature of a method that takes any.

    For help() and notebooks; a type checker knows them from a TypedDict.
    """

    def show(function: F) -> F:
        worded: Any = _Worded(function, words)
        return worded  # type: ignore[no-any-return]

    return show


def _options() -> Iterable[inspect.Parameter]:
    for field in dataclasses.fields(options.Options):
        kind = inspect.Parameter.KEYWORD_ONLY
        yield inspect.Parameter(field.name, kind, default=field.default, annotation=field.type)


#: Shows the fields of `Options`.
worded = showing(_options)
