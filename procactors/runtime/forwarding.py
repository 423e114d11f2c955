"""Handing the message in hand on to another actor, which answers its caller.

Layer: runtime. Runs in: actor, main thread; loaded where it is used.
Owns: nothing.
Never: touches the message's value: what goes on are the bytes that came.

    1. its segment, if it has one, is the next receiver's to remove
    2. the record, with its caller, deadline and sender, into the other's pipe
    3. a word to the caller, who looks whether the one that is to answer still exists
    4. one store in the black box: it is not ours any more
"""

from __future__ import annotations

import threading
from typing import Any

from procactors.errors import ForeignProcess, InvalidSpec, MailboxFull, StorageFull
from procactors.model import commands as c
from procactors.model.choices import Overflow
from procactors.runner.loop import Loop
from procactors.runtime.client import Client
from procactors.runtime.ref import ActorRef
from procactors.wire.envelope import (
    BATCH_KEY,
    STREAM_KEY,
    Envelope,
    open_envelope,
    rebuild_message,
    traced,
    untraced,
)
from procactors.wire.pickling.codec import Encoded
from procactors.wire.record import IN_SEGMENT, MOVED, Kind, frame, parse
from procactors.wire.transport import Transport

__all__ = ["forward", "message_in_hand"]

#: Most bytes of a name that go to the caller: a record is short.
_MOST_NAME = 200


def message_in_hand(loop: Loop | None, transport: Transport, verb: str) -> tuple[int, Envelope]:
    """Return (flags, envelope) of the message in hand, which is still this handler's to answer.

    Args:
        loop: the actor's; None: it serves nothing yet.
        transport: of this process.
        verb: what is to be done with it, for the error.

    Raises:
        RuntimeError: there is none. ForeignProcess: this is a forked copy of the actor.
    """
    transport.check_copy()  # it has the actor's shared maps, and would change the message there
    record = b"" if loop is None else loop.record
    kind = parse(record).kind if record else 0
    own = threading.main_thread() if loop is None or loop.thread is None else loop.thread
    is_aside = threading.current_thread() is not own
    if loop is None or is_aside or kind not in (Kind.CALL, Kind.MOVED):
        raise RuntimeError(
            f"there is no message in hand to {verb}: say it in the handler of a message, in the "
            f"actor's main thread"
        )
    _, flags, body = parse(record)
    envelope = open_envelope(body)
    if kind == Kind.MOVED or loop.is_put_aside:
        raise RuntimeError(
            f"the message of {envelope.handler} is not in hand any more, so it cannot {verb}: it "
            f"was forwarded, stashed, or is answered by a LaterReply"
        )
    if envelope.method[:1] == BATCH_KEY:
        raise RuntimeError(
            f"what a pool's worker has in hand cannot {verb}: the pool counts on its result"
        )
    if envelope.method[:1] == STREAM_KEY:
        raise RuntimeError(
            f"the call of {envelope.handler} cannot {verb}: it is a generator, whose reader has "
            f"its items from here"
        )
    return flags, envelope


def forward(loop: Loop | None, transport: Transport, ref: ActorRef[Any]) -> None:
    """Hand the message in hand on; see `Context.forward`."""
    flags, envelope = message_in_hand(loop, transport, "be forwarded")
    assert loop is not None
    _check(transport, ref)
    record = _record(loop, transport, ref, flags, envelope)
    try:
        transport.pass_on(ref._actor, ref.name, record, ref._token_wait)
    except MailboxFull as error:
        if ref._overflow is not Overflow.DROP or envelope.reply:
            raise
        Client(transport).tell(c.LostMessage(ref._actor, record, str(error)))
    if envelope.reply:
        name = ref.name.encode()[:_MOST_NAME].decode(errors="ignore").encode()
        note = frame(Kind.MOVED, 0, MOVED.pack(envelope.call, ref._actor, transport.actor) + name)
        loop.replies.send(envelope.reply, note, patient=False)
    loop.give_away()


def _check(transport: Transport, ref: Any) -> None:
    if not isinstance(ref, ActorRef):
        raise InvalidSpec(f"forward takes the ref of an actor, not {ref!r}")
    if ref._runtime_dir != transport.path:
        raise ForeignProcess(f"{ref.name} belongs to another actor system: it cannot answer here")
    if ref._actor == transport.actor:
        raise InvalidSpec(
            f"{ref.name} cannot forward to itself: self.context.stash() has the message come again"
        )


def _record(
    loop: Loop, transport: Transport, ref: ActorRef[Any], flags: int, envelope: Envelope
) -> bytes:
    """Return the message as it goes on: by the method's name, since the class is another one."""
    (method, context), payload = untraced(envelope.method), bytes(envelope.payload)
    if method and method[:1] != b":":
        method = b":" + loop.name_by_key(method).encode()
    if context:
        method = traced(method, context)
    if flags & IN_SEGMENT:
        try:
            transport.store.pass_on(flags, payload)
        except FileNotFoundError:  # received as one of many maps: what was received goes anew
            if loop.payload is None:
                raise StorageFull(
                    f"the payload of {envelope.handler} is mapped here and can go nowhere else: "
                    f"hold fewer arrays"
                ) from None
            buffers = tuple(memoryview(one) for one in loop.payload.buffers)
            payload = transport.store.store(Encoded(bytes(loop.payload.head), buffers), ref._actor)
            transport.store.pass_on(flags, payload)
    return rebuild_message(envelope._replace(method=method, payload=memoryview(payload)), flags)
