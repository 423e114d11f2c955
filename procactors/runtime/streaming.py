"""How a stream is begun: the call of a generator whose items go to a channel of the caller's.

Layer: runtime. Runs in: caller.
Owns: nothing: the channel belongs to the stream.
Never: lets a plain method come to the actor, where the class is known.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from procactors.errors import AskCycleError
from procactors.runner.method_table import is_method_reference, key_of
from procactors.runtime.stream import Stream
from procactors.runtime.stream_end import Answered
from procactors.wire.envelope import STREAM_KEY
from procactors.wire.pickling.codec import Encoded
from procactors.wire.pickling.plain import encode_plain
from procactors.wire.streams.channel import make_for_reading, new_number
from procactors.wire.streams.reader import ItemReader
from procactors.wire.transport import SUPERVISOR, Transport, transport_of

__all__ = ["encode_streamed", "open_stream"]


def open_stream(
    ref: Any,
    what: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    send: Callable[[Transport, bytes, Answered], None] | None = None,
) -> Stream[Any]:
    """Ask for the items of a generator; return the stream of them.

    Args:
        ref: of the actor.
        what: the generator.
        args: its arguments.
        kwargs: those by name.
        send: sends the call; None: at once, from this thread.
    """
    endpoint = transport_of(ref._runtime_dir, ref.name)
    if endpoint.open_stream is not None:
        return endpoint.open_stream(ref, what, args, kwargs, send)  # type: ignore[no-any-return]
    if ref._actor == endpoint.actor != SUPERVISOR and send is None:
        raise AskCycleError(
            f"{ref.name} would wait for its own items for ever; call the generator itself"
        )
    endpoint.check_process()
    number = new_number(endpoint.store)
    prefix = STREAM_KEY + b"%016x:" % number
    call = None
    if send is None:
        call = encode_streamed(ref, endpoint, what, args, kwargs)
    else:
        check_streamed(ref, what, args, kwargs)
    buffer = ref._credit()
    reader = ItemReader(make_for_reading(endpoint.store, number), buffer)
    cause = Answered(endpoint, number, ref.name)
    stream: Stream[Any] = Stream(endpoint, reader, cause, ref._actor, ref.name, ref._timeout)
    reader.grant(buffer)
    try:
        if send is not None:
            send(endpoint, prefix, cause)
        elif call is not None:
            key, encoded = prefix + call[0], call[1]
            endpoint.submit(ref._actor, ref.name, key, encoded, cause, None, ref._token_wait)
    except BaseException:
        stream.close()
        raise
    return stream


def check_streamed(ref: Any, what: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
    """Return how the generator travels.

    Raises:
        UnknownMethod: the class has no such method, or it is no generator. TypeError: it does not
            take these arguments.
    """
    if type(what) is not FunctionType and not is_method_reference(what):
        name = "Class" if ref._table is None else ref._table.cls.__qualname__
        raise TypeError(
            f"expected a generator of the actor's class before the arguments, found {what!r}; say "
            f"stream({name}.method, ...)"
        )
    if ref._table is None:
        return key_of(what)
    method = ref._table.generator(what)
    method.check(args, kwargs)
    key: bytes = method.key
    return key


def encode_streamed(
    ref: Any,
    endpoint: Transport,
    what: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[bytes, Encoded]:
    """Return (how the generator travels, its encoded arguments)."""
    key = check_streamed(ref, what, args, kwargs)
    if not kwargs and (plain := encode_plain(args)) is not None:
        return key, plain
    return key, ref._encode_for(endpoint, (args, kwargs), "arguments")
