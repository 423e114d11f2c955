"""A handler's exception on its way to the caller, and the answers that stand for the dead.

Layer: wire. Runs in: actor (`pack_failure`), caller (`load_answer`).
Owns: nothing.
Never: sends an exception that was not test-loaded: one that cannot be rebuilt would fail in the
caller with an error that names neither. Writes to the handler's own exception.

A failure travels as plain values: (the exception's pickle, its buffers, its class's name, its text,
its traceback). So if the first of them cannot be loaded by the caller, the others can.
"""

from __future__ import annotations

import contextlib
import copyreg
import pickle
from typing import Any, TypeAlias

from procactors.errors import AskTimeout, DecodeError, RemoteError, RemoteTraceback
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, decode
from procactors.wire.pickling.plain import PICKLED, load_plain
from procactors.wire.raised import by_signal, full_name, said, set_cause, shown, unbound
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer

_RESULT = int(Kind.RESULT)
#: Flag of a class that Python code has made; without it, its `__new__` and `__init__` are C.
_HEAP_TYPE = 1 << 9

__all__ = [
    "Packed",
    "load_answer",
    "open_answer",
    "own_failure",
    "pack_failure",
    "short_failure",
    "timeout_error",
    "unpack",
]

#: What a failure is on the wire: pickle, buffers, class's name, text, traceback.
Packed: TypeAlias = "tuple[bytes, list[pickle.PickleBuffer], str, str, str]"


def pack_failure(error: BaseException, store: PayloadStore) -> Packed:
    """Return the exception as it travels: of its own class, if it is known to load again."""
    encoded = _encoded(error, store) or Encoded(b"", ())
    buffers = [pickle.PickleBuffer(buffer) for buffer in encoded.buffers]
    return encoded.head, buffers, full_name(error), said(error), shown(error)


def own_failure(error: BaseException, trace: str) -> Packed:
    """Return an error of ours as it travels, with a traceback that is known from elsewhere."""
    return pickle.dumps(error, 5), [], full_name(error), said(error), trace


def short_failure(error: BaseException, lost: object) -> Packed:
    """Return an exception as it travels where there is no room for a long traceback.

    It fits into a record.

    Args:
        error: the exception.
        lost: why its traceback is left out.
    """
    trace = f"(lost: {lost})"[:500]
    return own_failure(RemoteError(full_name(error), said(error)[:500], trace), trace)


def load_answer(store: PayloadStore, answer: Answer) -> Any:
    """Return the result that an answer carries, or raise what it says.

    An exception that a signal handler raises meanwhile is raised as it is.
    """
    if not answer.flags and answer.kind == _RESULT:
        body = answer.value  # nearly every answer: no segment to free
        return decode(body, (), "reply") if body[0] == PICKLED else load_plain(body)
    value = store.load(answer.flags, answer.value, "reply")
    if answer.kind == Kind.RESULT:
        return value
    raise unpack(answer.kind, value)


def open_answer(store: PayloadStore, answer: Answer) -> tuple[bool, Any]:
    """Return (True, the result that an answer carries) or (False, the exception).

    An exception that is not the answer's, as a signal handler's, is raised; the answer can then be
    opened again.
    """
    kind, flags, body = answer
    if not flags and kind == _RESULT:  # nearly every answer: no segment to free
        try:
            return True, decode(body, (), "reply") if body[0] == PICKLED else load_plain(body)
        except DecodeError as error:
            return False, unbound(error)
    head, buffers, received = store.open(flags, body)
    is_good, value = True, None
    try:
        value = decode(head, buffers, "reply")
        if answer.kind != Kind.RESULT:
            is_good, value = False, unpack(answer.kind, value)
    except DecodeError as error:
        is_good, value = False, unbound(error)
    except BaseException:
        if received is not None:
            store.keep(answer.flags, answer.value)
            received.leave()
        raise
    if received is not None:
        received.consume()
    return is_good, value


def unpack(kind: int, value: Any) -> BaseException:
    """Return the exception of an answer's decoded value, its remote traceback as the cause."""
    if kind != Kind.FAILURE:
        if isinstance(value, BaseException):
            return value
        return DecodeError(f"expected an exception in the reply, found {type(value).__name__}")
    head, buffers, name, text, trace = value
    error: Any = None
    why = "its class, or something in it, does not travel"
    if head:
        try:
            error = decode(head, buffers, "exception")
        except DecodeError as broken:
            why = said(broken)
    raised = error if isinstance(error, BaseException) else RemoteError(name, text, trace, why)
    set_cause(raised, RemoteTraceback(trace))
    return raised


def _encoded(error: BaseException, store: PayloadStore) -> Encoded | None:
    """Return a pickle from which the exception has been rebuilt; None if there is none.

    Preferred is the one that says the same as the exception. None may: a text may hold an address.
    """
    ways: list[Any] = [error, _Rebuilt(error)]
    if _slots(error) and _reduces_as_usual(error):
        ways.reverse()  # what slots hold, exceptions do not pickle by themselves
    second_best: Encoded | None = None
    for way in [*ways, _Rebuilt(error, store)]:
        # So wide because an exception's own code may raise anything when it is pickled or loaded.
        try:
            encoded = store.encode(way)
            again = pickle.loads(encoded.head, buffers=encoded.buffers)
        except Exception as raised:
            if by_signal(raised):
                raise
            continue
        if type(again) is type(error):
            if said(again) == said(error):
                return encoded
            second_best = second_best or encoded
    return second_best


class _Rebuilt:
    """Pickled in an exception's stead: it is rebuilt from its parts, past its own constructor.

    As a rule an exception is pickled as its class and `args`, with which the constructor is called,
    and its attributes, which are set behind that: a frozen dataclass refuses them, and many a
    constructor has made another text of `args`. A constructor that does not take `args` at all is
    not passed by, unless it is a dataclass's, whose fields say all: that is a `RemoteError`.

    Args:
        error: the exception.
        store: with it, members of a group that do not travel are `RemoteError`s; None: they keep
            the group from travelling.
    """

    def __init__(self, error: BaseException, store: PayloadStore | None = None) -> None:
        self._error = error
        self._store = store

    def __reduce__(self) -> tuple[Any, ...]:
        error, kind = self._error, type(self._error)
        native = _native(kind)
        _, args, *rest = native.__reduce__(error)
        if not hasattr(kind, "__dataclass_fields__"):  # what `dataclasses` looks at, too
            kind(*args)  # raises, if it cannot be called like that
        state = dict(rest[0] or {}) if rest else {}
        for name in _slots(error):
            with contextlib.suppress(AttributeError):  # it is empty
                state[name] = object.__getattribute__(error, name)
        return _rebuild, (native, kind, self._travelling(args), state)

    def _travelling(self, value: Any) -> Any:
        """Return a value in which exceptions, as the members of a group, are rebuilt as well."""
        if type(value) in (tuple, list):
            return type(value)(map(self._travelling, value))
        if not isinstance(value, BaseException):
            return value
        if self._store is not None and _encoded(value, self._store) is None:
            why = "its class, or something in it, does not travel"
            return RemoteError(full_name(value), said(value), "", why)
        return _Rebuilt(value, self._store)


def _rebuild(native: Any, kind: Any, args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error: BaseException = native.__new__(kind, *args)
    native.__init__(error, *args)
    for name, value in state.items():
        object.__setattr__(error, name, value)
    return error


def _native(kind: type) -> Any:
    """Return the nearest exception class that is written in C."""
    return next(base for base in kind.__mro__ if not base.__flags__ & _HEAP_TYPE)


def _slots(error: BaseException) -> list[str]:
    names: list[str] = copyreg._slotnames(type(error))  # type: ignore[attr-defined]  # pickle's own
    return names


def _reduces_as_usual(error: BaseException) -> bool:
    kind = type(error)
    return (
        kind.__reduce__ is _native(kind).__reduce__ and kind.__reduce_ex__ is object.__reduce_ex__
    )


def timeout_error(name: str, timeout: float | None) -> AskTimeout:
    """Return the error of a call whose answer has not come within `timeout` seconds."""
    return AskTimeout(
        f"no reply from {name} within {timeout} s; if the message had not begun by then, it never "
        f"will, but what has begun goes on"
    )
