"""Taking a call back: what its caller does to know whether it ever runs.

Layer: wire. Runs in: caller.
Owns: nothing beyond a call: what it opens it closes.
Never: says of a call that it never runs, unless that is so; waits for a handler.

    caller                                           actor, for each call
    1 append a mark to the actor's cancel log        a  state word: in hand
    2 store where the log ends now in CANCELS        b  load CANCELS: anything new?
    3 wait until both cores have seen both           c  then read the log: marked? skip
    4 is the call in hand, or a death's?
    5 has its answer come?
    6 append what follows; the first entry counts

Each side stores first and looks second. So of a call that the actor begins without having seen the
mark (b before 2), the caller sees that it is in hand (4), or its answer (5). Where both have seen
each other, or a second caller comes, the order of the log's entries decides (`mailbox.cancels`).

A call may have been passed on, by `forward` or with its answer that was put off. Word of that
comes to its caller's reply pipe before it is no longer in hand where it was. So who does not find
it there, and has read all answers (5), knows where it is, and takes it back there (`elsewhere`).
Of a call that has begun, the next that has it is told as word of that comes (`follow`).

A store of one core reaches the others within microseconds; the barrier that would make sure of it
(`membarrier`) takes 17 ms for a process that has not asked for the quick one at its start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import monotonic

from procactors.errors import ProcActorsError
from procactors.wire.envelope import WHOLE
from procactors.wire.mailbox.black_box import (
    CANCELS,
    DELIVERIES,
    HANDS,
    IN_HAND,
    STATE,
    UNTOLD,
    BlackBox,
)
from procactors.wire.mailbox.cancels import (
    AGAIN,
    BEGUN,
    DROP,
    MARK,
    PASSED,
    TAKEN,
    TOLD,
    CancelLog,
    first_said,
)
from procactors.wire.mailbox.hands import STASHED, WAITING, Hands, Slot
from procactors.wire.record import Kind
from procactors.wire.replies.reader import ReplyReader
from procactors.wire.spin import pause

__all__ = ["follow", "resolve", "take_back", "want_no_more"]

#: Seconds for which a store may be on its way to the other cores: at least a hundred times as long
#: as one takes.
_SEEN_S = 0.0001
#: Seconds that the caller of a message which a death has cut off waits to be told so, at most
#: (`lifecycle` waits 0.2 s for the dead process's peak memory), and between two looks.
_TOLD_S, _TOLD_EVERY_S = 1.0, 0.002
#: Seconds for what has been sent to this process to be handed over by the thread that reads it.
_READ_S = 1.0


def take_back(
    path: str,
    find_box: Callable[[], BlackBox | None],
    replies: ReplyReader,
    call: int,
    elsewhere: Callable[[], bool],
) -> bool | None:
    """Cancel a call of this process; return True: it has not begun, and never will.

    False: it has begun, is over, or `elsewhere`; while its handler runs, that is told so
    (`Context.cancelled`). None: that could not be found out, for want of room or of a descriptor.
    Takes less than a millisecond, as a rule.

    Args:
        path: of the mailbox to which the call was sent.
        find_box: returns its black box; None: the actor is over.
        replies: where its answer comes.
        call: its id.
        elsewhere: whether another actor is to answer it by now.
    """
    # It may be that another thread closes this process's end of the mailbox: a ValueError.
    with contextlib.suppress(OSError, ValueError, ProcActorsError):
        box = find_box()
        if box is None:
            replies.catch_up(_READ_S)  # it may have passed the call on before its end
            return None
        log = CancelLog(path)
        try:
            return _take_back(path, log, box, replies, call, elsewhere)
        finally:
            log.close()
    return None


def _take_back(
    path: str,
    log: CancelLog,
    box: BlackBox,
    replies: ReplyReader,
    call: int,
    elsewhere: Callable[[], bool],
) -> bool:
    port = replies.port.number
    behind = log.append(port, call, MARK)
    # Where it was broken off by a signal handler and is called again, all since the first counts.
    first = replies.marked.setdefault(call, behind)
    box.words[CANCELS] = behind
    pause(_SEEN_S)
    has_begun = _is_in_hand(path, box, port, call) or not _has_told(box)
    # Behind that look: what was done before it, has been answered before it.
    has_begun = has_begun or not replies.catch_up(_READ_S) or call not in replies.pending
    if elsewhere():
        log.append(port, call, PASSED)
        replies.marked.pop(call, None)
        return False
    # Without room for this the actor, which finds the mark, answers with what has come of it.
    end = log.append(port, call, BEGUN if has_begun else TAKEN)
    said = first_said(log.read(first, end), port, call)
    replies.marked.pop(call, None)
    return said not in (BEGUN, AGAIN)


def want_no_more(
    path: str, words: Callable[[], memoryview | None], replies: ReplyReader, call: int
) -> None:
    """Cancel a call of this process whose outcome nobody waits for; does not wait.

    Args:
        path: of the mailbox to which the call was sent.
        words: returns those of its black box, if it is there.
        replies: where its answer comes.
        call: its id.
    """
    replies.unwanted[call] = path
    if replies.pending.pop(call, None) is None:
        replies.unwanted.pop(call, None)  # it is over
        return
    port = replies.port.number
    # The actor is over, or there is no room: what comes of the call, does.
    with contextlib.suppress(OSError, ValueError, ProcActorsError):
        log = CancelLog(path)
        try:
            behind = log.append(port, call, DROP)
            if (found := words()) is not None:
                found[CANCELS] = behind
            if call not in replies.unwanted:  # its answer came just now, before the mark
                log.append(port, call, BEGUN)
        finally:
            log.close()


def resolve(path: str, port: int, call: int) -> None:
    """Say that a marked call was begun: its answer has come, and the mark need not be kept."""
    with contextlib.suppress(OSError):
        _append(path, port, call, BEGUN)


def follow(
    path: str, words: memoryview | None, replies: ReplyReader, call: int, *, has_begun: bool
) -> None:
    """Have the actor that is to answer a cancelled call now know of that.

    Args:
        path: of that actor's mailbox.
        words: those of its black box; None: it is over.
        replies: where its answer comes.
        call: its id.
        has_begun: its caller knows that it has; else it is not to begin there.
    """
    port = replies.port.number
    before = replies.unwanted.get(call)
    if not has_begun and before is not None:
        replies.unwanted[call] = path
    with contextlib.suppress(OSError, ValueError):
        if not has_begun and before not in (None, path):
            _append(before, port, call, PASSED)
        behind = _append(path, port, call, TOLD if has_begun else DROP)
        if words is not None:
            words[CANCELS] = behind


def _append(path: str, port: int, call: int, what: int) -> int:
    log = CancelLog(path)
    try:
        return log.append(port, call, what)
    finally:
        log.close()


def _is_in_hand(path: str, box: BlackBox, port: int, call: int) -> bool:
    """Whether a call is in hand, or was in a life that ended, and comes again.

    May take one for such that is just coming: nothing is wrong with that. But never the other way
    round: what was in hand at the first line, and is not found, has been answered. So the box comes
    first, since a message goes from there to the hands table, and not back.
    """
    words = box.words
    word = words[STATE]
    if word & IN_HAND or words[DELIVERIES]:
        offset = (word >> 16) & 0xFFFFFF
        if _is_of(box.raw, offset, port, call):
            return True
    return bool(words[HANDS]) and _is_held(path, words, port, call)


def _is_held(path: str, words: memoryview, port: int, call: int) -> bool:
    hands = Hands(path, words)
    try:
        # In this order: by its message a slot's words are told from those of the one before it.
        return any(_is_of(slot.raw, 0, port, call) and not _waits(slot) for slot in hands.in_use())
    finally:
        hands.close()


def _waits(slot: Slot) -> bool:
    """Whether a message was put aside and is to begin anew; else it has begun, or is coming."""
    return slot.state in (STASHED, WAITING) and not slot.deliveries


def _is_of(data: bytes | memoryview, at: int, port: int, call: int) -> bool:
    if len(data) - at < WHOLE.size:
        return False  # a glance at what is just changing, or no message
    _, kind, _, _, number, reply, *_ = WHOLE.unpack_from(data, at)
    return bool(kind == Kind.CALL and number == call and reply == port)


def _has_told(box: BlackBox) -> bool:
    """Wait until no caller is still to be told of a death; return False: it takes too long."""
    deadline = monotonic() + _TOLD_S
    while box.words[UNTOLD]:
        if monotonic() >= deadline:
            return False
        pause(_TOLD_EVERY_S)
    return True
