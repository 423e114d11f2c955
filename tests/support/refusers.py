"""Exceptions that refuse something: to be written to, shown, compared, pickled, or rebuilt."""

from __future__ import annotations

import builtins
import dataclasses
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from procactors import Actor, errors


@dataclasses.dataclass(frozen=True)
class Bare(Exception):
    pass


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    key: str
    count: int = 3


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots(Exception):
    key: str


@dataclasses.dataclass(frozen=True)
class EqualRaises(Exception):
    key: str

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    def __hash__(self) -> int:
        raise RuntimeError("hashed")


class Unwritable(Exception):
    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError("written to")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("shown")

    __repr__ = __str__


class Unreadable(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("read")


class Unreduced(Exception):
    def __reduce_ex__(self, protocol: Any) -> Any:
        raise RuntimeError("pickled")


class Falsy(Exception):
    def __bool__(self) -> bool:
        return False


class Untrue(Exception):
    def __bool__(self) -> bool:
        raise RuntimeError("asked whether it is true")


class Masked(Exception):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("asked for its class")


class Uncaused(Exception):
    @property  # type: ignore[misc]
    def __cause__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("asked for its cause")

    @property
    def __notes__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("asked for its notes")

    def with_traceback(self, trace: Any) -> Any:
        raise RuntimeError("given a traceback")


class Coded(Exception):
    """Its text is made of its argument: called with that text again, it would say it twice."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


class Slotted(Exception):
    __slots__ = ("code",)

    def __init__(self, text: str, code: int = 5) -> None:
        super().__init__(text)
        self.code = code


class Unrestored(Exception):
    """Its attributes are not taken back when it is loaded."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.told = text

    def __setstate__(self, state: Any) -> NoReturn:
        raise RuntimeError("restored")


class Missing(FileNotFoundError):
    pass


class Holding(Exception):
    """Has what does not travel: it cannot be rebuilt elsewhere."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()


def _group() -> BaseException:
    members = [Frozen("a"), Unspeakable("b"), Holding("c"), _a_group("inner", [Frozen("d")])]
    return _a_group("outer", members)


def _a_group(text: str, members: list[Exception]) -> Exception:
    kind: Any = vars(builtins)["ExceptionGroup"]  # of Python 3.11 on
    error: Exception = kind(text, members)
    return error


MAKE: dict[str, Callable[[], BaseException]] = {
    "bare": Bare,
    "frozen": lambda: Frozen("k"),
    "frozen by name": lambda: Frozen(key="k", count=4),
    "frozen slots": lambda: FrozenSlots(key="k"),
    "equal raises": lambda: EqualRaises("k"),
    "unwritable": lambda: Unwritable("k"),
    "unspeakable": lambda: Unspeakable("k"),
    "unreadable": lambda: Unreadable("k"),
    "unreduced": lambda: Unreduced("k"),
    "falsy": lambda: Falsy("k"),
    "untrue": lambda: Untrue("k"),
    "masked": lambda: Masked("k"),
    "uncaused": lambda: Uncaused("k"),
    "coded": lambda: Coded(7),
    "slotted": lambda: Slotted("k", 9),
    "unrestored": lambda: Unrestored("k"),
    "missing": lambda: Missing(2, "no such thing", "/k"),
    "import": lambda: ImportError("no", name="n", path="p"),
    "unicode": lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
    "holding": lambda: Holding("k"),
}
if sys.version_info >= (3, 11):
    MAKE["group"] = _group


def kind_of(name: str) -> type[BaseException]:
    """Return the class that a caller gets."""
    return errors.RemoteError if name == "holding" else type(MAKE[name]())


def refuse(name: str) -> NoReturn:
    """Raise one of them."""
    error = MAKE[name]()
    raise error


class Refuser(Actor):
    def refuse(self, name: str) -> NoReturn:
        refuse(name)

    def number(self) -> int:
        return 1


class NeverUp(Actor):
    def __init__(self, name: str) -> None:
        self._name = name

    def on_start(self) -> None:
        refuse(self._name)
