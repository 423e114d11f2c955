"""Who is in a running system, and what each does, as its files and the kernel show it.

Layer: outside. Runs in: processes outside of the system.
Owns: the journal's reader, and a map of each live actor's box (`close`).
Never: sends a message or a signal; needs the parent or an actor to run: they may be stuck.

What has become of actors is in the journal; what each does now is in its black box; processor time
and memory are in /proc. So a look is a row for each actor that holds for this moment, and none of
them is told of it.
"""

from __future__ import annotations

import os
import resource
import sys
from collections import deque
from collections.abc import Iterable
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any

from procactors.late_dataclass import dataclass
from procactors.model.checks import suggestion
from procactors.outside.box import ActorBox
from procactors.outside.journal import JournalReader, Turn
from procactors.outside.systems import Problem, view_of
from procactors.wire import journal as j
from procactors.wire.mailbox.black_box import (
    ENDING,
    HANDLED,
    HANDLED_OWN,
    HANDS,
    IN_HAND,
    INCARNATION,
    PHASE,
    PID,
    RECYCLED,
    RECYCLING,
    RUNNING,
    STATE,
    STOP_ORDERED,
    STOPPING,
    TIMER,
    WAITING_ON,
)
from procactors.wire.procstat import stat_line

__all__ = ["ActorView", "NoActor", "Roster"]

#: Words of the box that are in use: nothing changes in an actor without one of them.
_WORDS = 32
#: Descriptors that are left to others; boxes that are kept all the same.
_SPARE, _LEAST = 32, 8
#: Actors that are over and still shown by their names.
_REMEMBERED = 1_000
#: Fields of /proc/PID/stat, counted from the third: state, process group, processor time of user
#: and system, resident pages.
_STATE, _GROUP, _USER, _SYSTEM, _PAGES = 0, 2, 11, 12, 21
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGESIZE")


class NoActor(Problem):
    """No actor of that name is in the system, or was lately."""

    code = 4


@dataclass(frozen=True)
class ActorView:
    """One actor, inbox or supervisor, as it was at the last look.

    Attributes:
        id: its number in the system.
        name: its name.
        class_name: the actor's class; of a supervisor its strategy, of an inbox ``inbox``.
        kind: ``actor``, ``inbox`` or ``supervisor``.
        parent: id of the actor that spawned it; 0 is the main program.
        supervisor: id of its supervisor in a tree; 0: it is in none.
        state: ``starting``, ``idle``, ``busy``, ``stopping``, ``restarting``, ``stopped``, or
            ``dead``: its process has ended, and the parent has not noticed yet. Of a supervisor
            also ``up``.
        pid: of its process; None while there is none. Of a system in another container it is the
            number that it has there, and what the kernel would tell of it is not known.
        incarnation: which life it is, from 1.
        restarts: lives before this one that crashed, or left and were brought back.
        handled: messages handled over all incarnations.
        mailbox: messages that wait, without those in hand.
        cpu_s: seconds of processor time of this life; None: not known.
        memory: resident bytes; None: not known.
        in_hand: handler and seconds of each message in hand, the oldest first.
        waiting_on: name of the actor whose answer it waits for in an ask; None: for none.
        last_crash: what is known of its last crash, in some lines; None: it had none.
        suspended: its process is stopped, as by SIGSTOP or a debugger.
        pooled: it works for a pool.
        reason: how it ended, or why it is started again; empty while neither is so.
        since: when this life was up, or when it began or ended, in seconds since the epoch.
        wait_s: seconds until it is started again.
        capacity: places of its mailbox; 0: unbounded.
        restart: its restart type.
        waiting_for: id of the actor of `waiting_on`; 0: none.
    """

    id: int
    name: str
    class_name: str
    kind: str
    parent: int
    supervisor: int
    state: str
    pid: int | None
    incarnation: int
    restarts: int
    handled: int
    mailbox: int
    cpu_s: float | None
    memory: int | None
    in_hand: tuple[tuple[str, float], ...]
    waiting_on: str | None
    last_crash: str | None
    suspended: bool
    pooled: bool
    reason: str = ""
    since: float = 0.0
    wait_s: float = 0.0
    capacity: int = 0
    restart: str = ""
    waiting_for: int = 0


class _Known:
    """What the journal has told of one actor, and the map of its box."""

    def __init__(self, turn: Turn) -> None:
        self.id = turn.actor
        self.name = self.class_name = self.restart = ""
        self.kind = "actor"
        self.parent = self.supervisor = self.capacity = 0
        self.pooled = False
        self.state = "starting"
        self.pid: int | None = None
        self.incarnation, self.recycled = 1, 0
        self.crash: str | None = None
        self.reason = ""
        self.since = turn.wall
        self.due = 0.0
        self.box: ActorBox | None = None
        #: What was seen of it at rest, and how that looks: most actors rest at most looks.
        self.at_rest: tuple[bytes, bytes] | None = None
        self.view: ActorView | None = None
        #: What was in hand when the box showed these words, and when that was.
        self.hand_signs, self.hand_at = b"", 0.0
        self.hand: tuple[tuple[str, float], ...] = ()
        self.take(turn)

    def take(self, turn: Turn) -> None:
        """Take the next turn of its life."""
        kind, values = turn.kind, turn.values
        self.at_rest = None
        if kind == j.MADE:
            self.name, self.class_name, self.kind, self.parent, self.supervisor = values[:5]
            self.pooled, self.capacity, self.restart = values[5:8]
            if self.kind == "inbox":
                self.state = "idle"
        elif kind == j.TREE:
            self.name, self.class_name, self.supervisor, self.restart = values[:4]
            self.kind = "supervisor"
        elif kind == j.CRASHED:
            self.crash = values[2]
        elif kind in (j.STARTING, j.UP, j.RESTARTING):
            self.incarnation, self.recycled = values[:2]
            self.state, self.reason, self.since = kind, "", turn.wall
            self.pid = values[2] if kind == j.UP else None
            if kind == j.RESTARTING:
                self.due, self.reason = turn.clock + values[2], values[3]
        elif kind == j.STOPPED:
            self.state, self.reason, self.since = "stopped", values[1], turn.wall
            self.pid = None

    def close(self) -> None:
        box, self.box = self.box, None
        if box is not None:
            box.close()


class Roster:
    """The actors of one system, at each `refresh`.

    Args:
        path: the system's runtime directory.

    Raises:
        NoSystem: it has ended, or keeps no journal.

    Attributes:
        actors: those that live, by their ids, in the order of their start.
        over: those that have ended lately, the last one last.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        system = view_of(path)
        self._is_elsewhere = system is not None and system.is_elsewhere
        self._journal = JournalReader(path)
        self._known: dict[int, _Known] = {}
        #: Those whose boxes are open, each with a descriptor: where these are few, not all.
        self._open: dict[int, _Known] = {}
        self._most_open = max(_LEAST, _descriptors() - _SPARE)
        self.over: deque[ActorView] = deque(maxlen=_REMEMBERED)
        self.actors: dict[int, ActorView] = {}
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    def refresh(self) -> None:
        """Look again.

        Raises:
            NoSystem: the system has ended.
        """
        for turn in self._journal.read():
            self._take(turn)
        self.actors = {known.id: self._view(known) for known in self._known.values()}

    def find(self, name: str) -> ActorView:
        """Return the actor of that name: a live one, or else the last one that has ended.

        Raises:
            NoActor: there is none, or it ended long ago.
        """
        for view in (*self.actors.values(), *reversed(self.over)):
            if view.name == name:
                return view
        names = [view.name for view in self.actors.values()]
        raise NoActor(f"no actor {name!r} is in the system{suggestion(name, names)}")

    def match(self, patterns: Iterable[str]) -> list[ActorView]:
        """Return whose names are meant, each once. Supervisors and inboxes are meant by name only.

        Args:
            patterns: names of what lives; or of actors, with ``*`` and ``?`` for any characters.

        Raises:
            NoActor: nothing is meant by one of them.
        """
        found: dict[int, ActorView] = {}
        for pattern in patterns:
            meant = [view for view in self.actors.values() if view.name == pattern] or [
                view
                for view in self.actors.values()
                if view.kind == "actor" and fnmatchcase(view.name, pattern)
            ]
            if not meant:
                names = [view.name for view in self.actors.values()]
                hint = suggestion(pattern, names)
                raise NoActor(f"no live actor {pattern!r} is in the system{hint}")
            found.update((view.id, view) for view in meant)
        return list(found.values())

    def close(self) -> None:
        """Close all that is open."""
        self._journal.close()
        for known in self._known.values():
            known.close()

    def __enter__(self) -> Roster:  # noqa: PYI034 - Self is newer than 3.10
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _take(self, turn: Turn) -> None:
        known = self._known.get(turn.actor)
        if turn.kind == j.ANEW:
            for one in self._known.values():
                one.close()
            self._known.clear()
            self._open.clear()
        elif known is None:
            if turn.kind in (j.MADE, j.TREE):
                self._known[turn.actor] = _Known(turn)
        else:
            known.take(turn)
            if turn.kind == j.STOPPED:
                del self._known[turn.actor]
                self.over.append(self._view(known))
                known.close()
                self._open.pop(known.id, None)

    def _view(self, known: _Known) -> ActorView:
        stat = b""
        if known.pid is not None and known.box is not None:
            # The words of the box, and the kernel's line: no other look is worth its time.
            stat = b"" if self._is_elsewhere else stat_line(known.pid)
            signs = stat, known.box.words[:_WORDS].tobytes()
            if signs == known.at_rest and known.view is not None:
                return known.view
            known.at_rest = signs
        view = known.view = self._made(known, stat)
        if view.state != "idle" or view.suspended or view.in_hand:
            known.at_rest = None
        return view

    def _made(self, known: _Known, stat: bytes) -> ActorView:
        seen = self._seen(known, stat)
        waiting_for = seen.pop("waiting_for", 0)
        asked = self._known.get(waiting_for)
        return ActorView(
            id=known.id,
            name=known.name,
            class_name=known.class_name,
            kind=known.kind,
            parent=known.parent,
            supervisor=known.supervisor,
            incarnation=known.incarnation,
            restarts=max(0, known.incarnation - 1 - known.recycled),
            waiting_on=asked.name if asked is not None else None,
            last_crash=known.crash,
            pooled=known.pooled,
            reason=known.reason,
            since=known.since,
            wait_s=max(0.0, known.due - monotonic()) if known.state == j.RESTARTING else 0.0,
            capacity=known.capacity,
            restart=known.restart,
            waiting_for=waiting_for,
            **seen,
        )

    def _seen(self, known: _Known, line: bytes) -> dict[str, Any]:
        """Return what box and kernel show of an actor.

        Args:
            known: the actor.
            line: of its process in /proc, if that was read.
        """
        seen: dict[str, Any] = dict(_NOTHING, state=known.state)
        if known.kind == "supervisor":
            return seen
        box = self._box_of(known)
        if box is None:
            return seen
        words = box.words
        seen["handled"] = words[HANDLED] - words[HANDLED_OWN]
        if known.state == "stopped":
            return seen
        if known.state == j.UP:
            seen["state"] = "idle"
        if known.kind == "inbox" or known.state == j.RESTARTING:
            seen["mailbox"] = box.waiting()
            return seen
        is_new = words[INCARNATION] == known.incarnation
        pid = known.pid or (words[PID] if is_new else None)
        if pid is None:
            return seen
        seen["pid"] = pid
        if self._is_elsewhere:  # of that number, the kernel would tell of another process
            seen["cpu_s"] = seen["memory"] = None
        else:
            stat = (line or stat_line(pid)).rpartition(b")")[2].split()
            if not stat or stat[_STATE] in (b"Z", b"X"):
                seen["state"] = "dead"
                return seen
            seen["suspended"] = stat[_STATE] in (b"T", b"t")
            seen["cpu_s"] = (int(stat[_USER]) + int(stat[_SYSTEM])) / _TICKS
            seen["memory"] = int(stat[_PAGES]) * _PAGE
        if is_new:
            self._look(known, box, seen)
        return seen

    def _look(self, known: _Known, box: ActorBox, seen: dict[str, Any]) -> None:
        """Add what a live process shows in its box."""
        words = box.words
        phase, word = words[PHASE], words[STATE]
        seen["in_hand"] = in_hand = _in_hand(known, box)
        is_up = known.state == j.UP or phase in (RUNNING, STOPPING, ENDING)
        if words[STOP_ORDERED] or phase in (STOPPING, ENDING):
            seen["state"] = "stopping"
        elif phase in (RECYCLING, RECYCLED):
            seen["state"] = j.RESTARTING
        elif is_up:
            seen["state"] = "busy" if in_hand or word & IN_HAND else "idle"
        if seen["state"] != "idle" or seen["suspended"]:  # an idle one would read what comes
            seen["mailbox"] = box.waiting()
        seen["waiting_for"] = words[WAITING_ON]

    def _box_of(self, known: _Known) -> ActorBox | None:
        if known.box is None:
            if len(self._open) >= self._most_open:
                self._open.pop(next(iter(self._open))).close()
            try:
                known.box = ActorBox(self.path, known.id)
            except (OSError, ValueError):  # it is just being removed, or another version's
                return None
            self._open[known.id] = known
        return known.box


def _descriptors() -> int:
    """Return how many descriptors this process may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _in_hand(known: _Known, box: ActorBox) -> tuple[tuple[str, float], ...]:
    """Return handler and age of what is in hand; what is still the same has only grown older."""
    words = box.words
    if not (words[STATE] & IN_HAND or words[TIMER] or words[HANDS]):
        return ()
    # Before the look: should it change in between, the next look sees that.
    signs, now = words[:_WORDS].tobytes(), monotonic()
    if signs == known.hand_signs and not words[HANDS]:
        past = now - known.hand_at
        return tuple((handler, busy_s + past) for handler, busy_s in known.hand)
    found = tuple((message.handler, message.busy_s) for message in box.now_in_hand())
    known.hand_signs, known.hand_at, known.hand = signs, now, found
    return found


#: What is seen of an actor without a process.
_NOTHING: dict[str, Any] = {
    "pid": None,
    "handled": 0,
    "mailbox": 0,
    "cpu_s": 0.0,
    "memory": 0,
    "in_hand": (),
    "suspended": False,
}
