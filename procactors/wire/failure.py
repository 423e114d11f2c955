"""A handler's exception on its way to the caller, and the answers that stand for the dead.

Layer: wire. Runs in: actor (`pack_failure`), caller (`load_answer`).
Owns: nothing.
Never: sends an exception that was not test-loaded: one that cannot be rebuilt would fail in the
caller with an error that names neither.
"""

from __future__ import annotations

import contextlib
import pickle
import traceback
from typing import Any

from procactors.errors import DecodeError, RemoteError, RemoteTraceback
from procactors.wire.codec import decode
from procactors.wire.home import Home
from procactors.wire.record import Kind
from procactors.wire.reply import Answer

_RESULT = int(Kind.RESULT)

__all__ = ["load_answer", "pack_failure", "unpack"]


def pack_failure(error: BaseException, home: Home) -> tuple[BaseException, str]:
    """Return (exception that is known to load again, formatted traceback)."""
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    # The cause goes along as text: frames do not travel.
    error = error.with_traceback(None)
    # So wide because an exception's own code may raise anything when it is pickled or loaded.
    with contextlib.suppress(Exception):
        encoded = home.encode(error)
        again = pickle.loads(encoded.head, buffers=encoded.buffers)
        if type(again) is type(error) and str(again) == str(error):
            return error, text
    kind = type(error)
    try:
        said = str(error)
    except Exception as broken:  # noqa: BLE001 - a broken __str__ must not hide the failure
        said = f"<its __str__ raised {type(broken).__name__}>"
    return RemoteError(f"{kind.__module__}.{kind.__qualname__}", said, text), text


def load_answer(home: Home, answer: Answer) -> Any:
    """Return the result that an answer carries, or raise what it says."""
    if not answer.flags and answer.kind == _RESULT:
        return decode(answer.value, (), "reply")  # nearly every answer: no segment to free
    value = home.load(answer.flags, answer.value, "reply")
    if answer.kind == Kind.RESULT:
        return value
    raise unpack(answer.kind, value)


def unpack(kind: int, value: Any) -> BaseException:
    """Return the exception of an answer's decoded value, its remote traceback as the cause."""
    if kind == Kind.FAILURE:
        error, text = value
        if isinstance(error, BaseException):
            error.__cause__ = RemoteTraceback(text)
            return error
    elif isinstance(value, BaseException):
        return value
    return DecodeError(f"expected an exception in the reply, found {type(value).__name__}")
