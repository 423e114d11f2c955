"""Playing a recorded run again, inline: the same messages in the same order, one at a time.

Layer: testing. Runs in: one process: that of an inline system of its own.
Owns: its places in the tables of taps (`close`).
Never: lets an actor begin what it did not begin in the run, or in another order.

    an entry of the file ─► time goes on to its instant ─► a life is begun, a message let through
    ─► all rests ─► what has come of it is compared with what the next entries say

The program itself is not run: what it had sent is sent again. What actors send, they send
themselves: each message is let through when it is its turn.
"""

from __future__ import annotations

import itertools
import pickle
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

from procactors import ActorRef, Crashed
from procactors.errors import InvalidSpec
from procactors.model import commands as c
from procactors.model.choices import Overflow
from procactors.observe.subscription import Feed
from procactors.runner.record_tap import SINKS
from procactors.runner.replay_tap import BEGUN, SERVED, Entry
from procactors.runner.taps import Tapped
from procactors.testing.difference import Difference
from procactors.testing.recorded_run import BY_ITSELF, Run, ended
from procactors.testing.replayed_values import NotReplayable, Outcome, is_same, load, text_of
from procactors.wire.envelope import (
    BATCH_KEY,
    STREAM_KEY,
    build_message,
    handler_name,
    open_envelope,
)
from procactors.wire.record import EVENT, Kind, parse
from procactors.wire.replies.port import Answer
from procactors.wire.run_file import FORMAT

__all__ = ["Player"]

#: Seconds of the system's own time for which a next life is awaited, and of the first step of that.
_LONGEST_S, _STEP_S = 3600.0, 0.001
#: Seconds by which the instant of a timer, and that of what it has sent, may be rounded apart.
_ROUNDING_S = 1e-5

_numbers = itertools.count(1)


class Player:
    """Plays one run.

    Args:
        system: an inline one of its own.
        entries: of the file.

    Attributes:
        history: the messages that were begun, a line each.
        lives: how many lives were begun.
    """

    def __init__(self, system: Any, entries: list[tuple[Any, ...]]) -> None:
        if not entries or entries[0][0] != "run":
            raise InvalidSpec("the recording has not even its first entry: it was cut at once")
        _, version, _, _, self._path, self._start, _ = entries[0]
        if version != FORMAT:
            raise InvalidSpec(f"expected a recording of format {FORMAT}, found one of {version}")
        self._system = system
        self._transport: Any = system._endpoint
        self._run = Run(entries)
        self._steps: dict[str, Callable[..., None]] = {
            "life": self._life,
            "begin": self._begin,
            "answer": self._answer,
            "stop": self._stop,
            "event": self._event,
        }
        self.history: list[str] = []
        self.lives = 0
        #: Ids: of the run by those of the replay, and the other way round.
        self._ids: dict[int, int] = {0: 0}
        self._recorded: dict[int, int] = {0: 0}
        #: Of the replay: how many each has spawned; the life of each; its gate.
        self._spawned: dict[int, Iterator[int]] = defaultdict(itertools.count)
        self._now: dict[int, Tapped] = {}
        self._gates: dict[int, Entry] = {}
        #: Of the replay: what was begun, and answered, and is not compared yet.
        self._begun: dict[int, deque[tuple[Any, ...]]] = defaultdict(deque)
        self._answered: dict[tuple[int, Any], tuple[int, Any]] = {}
        #: Calls of the run by those of the replay.
        self._calls: dict[tuple[int, Any], tuple[int, Any]] = {}
        #: Of commands, which nobody waits for.
        self._replies: list[Any] = []
        self._died: set[tuple[str, int]] = set()
        self._crashes: Feed[Any] = Feed("a replay", "crashes", latest=False)
        system.events.feed(self._crashes, (Crashed,))
        self._key = str(next(_numbers))
        BEGUN[self._key], SERVED[self._key] = self._began, self._serves
        SINKS[self._key] = self._note
        for tap in ("record", "replay"):  # the gate stands outermost
            system._client.ask(c.Tap(0, f"{tap}:{self._key}", self._key))

    def close(self) -> None:
        """Leave nothing behind in this process."""
        for reply in self._replies:
            reply.cancel()
        del BEGUN[self._key], SERVED[self._key], SINKS[self._key]

    def play(self) -> None:
        """Play all of it. Raises Difference: the first one. NotReplayable."""
        for kind, at, *facts in self._run.entries:
            self._pass_to(at)
            step = self._steps.get(kind)
            if step is not None:
                step(*facts)
                self._rest()
        for (name, incarnation), crash in self._run.crashes.items():
            if crash[0] in BY_ITSELF and (name, incarnation) not in self._died:
                raise self._difference(f"{name} lives, where it {ended(crash)}")

    # -- the steps --------------------------------------------------------------------------------

    def _life(
        self,
        actor: int,
        name: str,
        class_name: str,
        incarnation: int,
        parent: int,
        seed: int,
        options: bytes,
        blueprint: Any,
        extra: Any,
    ) -> None:
        self.lives += 1
        if incarnation > 1:
            self._next_life(actor, name, incarnation)
            return
        if not parent:
            self._spawn(name, options, blueprint)
        if actor not in self._ids:
            by = self._run.names.get(parent, "main")
            raise self._difference(f"{by} has not spawned a {class_name}, as it did ({name})")

    def _spawn(self, name: str, options: bytes, blueprint: Any) -> None:
        """Have an actor of the main program's begin."""
        cls, args, kwargs = self._load(blueprint)
        # What is of one machine and one moment has no meaning here.
        own = pickle.loads(options).replace(name=name, mailbox=None, limits=None, env=None)
        order = self._system._spawn_order(own, 0, cls, args, kwargs)
        reply = self._system._client.submit(order)
        self._replies.append(reply)
        self._system.run_until_idle()
        if reply.done() and (error := reply.exception()) is not None:
            crash = self._run.crashes.get((name, 1))
            if crash is None or crash[0] not in BY_ITSELF:
                raise self._difference(f"{name} could not be spawned: {error!r}")

    def _next_life(self, actor: int, name: str, incarnation: int) -> None:
        """See that the next life of an actor begins."""
        number = self._id_of(actor)
        crash = self._run.crashes.get((name, incarnation - 1))
        if self._now[number].incarnation < incarnation and number in self._gates:
            if crash is not None and crash[0] in BY_ITSELF:
                raise self._difference(f"{name} lives, where it {ended(crash)}")
            # Killed while it was idle, or started again with others.
            self._transport.boxes[number].crash()
        self._system.run_until_idle()
        waited, step = 0.0, _STEP_S
        while self._now[number].incarnation < incarnation and waited < _LONGEST_S:
            self._system.clock.advance(step)
            waited, step = waited + step, 2 * step
        if self._now[number].incarnation != incarnation:
            lives = f"it is in its life {self._now[number].incarnation}"
            raise self._difference(f"{name} began its life {incarnation}; here {lives}")

    def _begin(
        self,
        actor: int,
        incarnation: int,
        sender: int,
        call: Any,
        is_asked: bool,
        method: bytes,
        value: Any,
    ) -> None:
        number, name = self._id_of(actor), self._run.names[actor]
        by = self._run.names.get(sender, "main") if sender else "main"
        handler = handler_name(method)
        if method[:1] in (BATCH_KEY, STREAM_KEY):
            what = "a batch of a pool" if method[:1] == BATCH_KEY else f"the stream {handler}"
            raise NotReplayable(f"{name} has handled {what}, which is of its own run alone")
        self.history.append(f"{name}.{handler} from {by}")
        content = self._load(value)
        if not self._begun[number]:  # else it was delivered again by itself
            self._let(number, self._find(number, sender, by, is_asked, method, content))
            if not self._begun[number]:
                raise self._difference(f"{name} is busy and does not begin {handler}")
        _, _, _, _, now_call, _, now_method, now_value = self._begun[number].popleft()
        self._calls[actor, call] = number, now_call
        now = self._load(now_value)
        if handler_name(now_method).rpartition(".")[2] != handler.rpartition(".")[2]:
            raise self._difference(
                f"{name} gets {handler_name(now_method)}{text_of(now)} from {by}, where it got "
                f"{handler}{text_of(content)}"
            )
        if not is_same(now, content):
            raise self._difference(
                f"{name} gets {handler}{text_of(now)} from {by}, where it got {text_of(content)}"
            )

    def _find(
        self,
        number: int,
        sender: int,
        by: str,
        is_asked: bool,
        method: bytes,
        content: Any,
    ) -> bytes:
        """Return the record that is to be let through; what the program had sent is sent now."""
        own = self._ids.get(sender)
        record = self._waiting(number, own, is_asked, method)
        if record is None and own:
            self._system.clock.advance(_ROUNDING_S)
            record = self._waiting(number, own, is_asked, method)
        if record is not None:
            return record
        if own and not self._run.was_killed(sender):
            there = [self._line_of(record) for record in self._gate_of(number).waiting]
            raise self._difference(
                f"{by} has not sent {handler_name(method)}{text_of(content)} to "
                f"{self._now[number].name}; there waits: {', '.join(there) or 'nothing'}"
            )
        return self._send(number, own or 0, is_asked, method, content)

    def _waiting(
        self, number: int, sender: int | None, is_asked: bool, method: bytes
    ) -> bytes | None:
        """Return the first record that waits and is of that sender."""
        for record in self._gate_of(number).waiting:
            parsed = parse(record)
            if parsed.kind == Kind.CALL:
                envelope = open_envelope(parsed.body)
                is_it = envelope.sender == sender and bool(envelope.reply) == is_asked
                # What the main program had sent may have been passed on by others.
                if is_it and (sender or handler_name(envelope.method) == handler_name(method)):
                    return record
        return None

    def _send(self, number: int, sender: int, is_asked: bool, method: bytes, content: Any) -> bytes:
        """Send what the program, or a life that was killed, had sent; return the record."""
        transport, name = self._transport, self._now[number].name
        handler = handler_name(method)
        key = b":" + handler.rpartition(".")[2].encode() if method else b""
        encoded = transport.store.encode(content)
        if is_asked:
            transport.submit(number, name, key, encoded, _Ignored())
        else:
            record = build_message(transport.store, number, key, encoded, sender=sender)
            transport.pass_on(number, name, record)
        return self._gate_of(number).waiting[-1]

    def _answer(self, actor: int, incarnation: int, call: Any, kind: int, value: Any) -> None:
        name = self._run.names[actor]
        key = self._calls.get((actor, call))
        now = self._answered.pop(key, None) if key is not None else None
        was = Outcome(kind, self._load(value))
        if now is None:
            raise self._difference(f"{name} does not answer, where it {was}")
        is_now = Outcome(now[0], self._load(now[1]))
        if not is_now.is_like(was):
            raise self._difference(f"{name} {is_now}, where it {was}")

    def _stop(self, actor: int, incarnation: int) -> None:
        number = self._id_of(actor)
        if not self._let_first(number, _is_stop):
            self._transport.stop_in_order(number)
            self._replies.append(self._system._client.submit(c.Stop(number, None)))
            self._system.run_until_idle()
            if not self._let_first(number, _is_stop):
                raise self._difference(f"{self._run.names[actor]} cannot be stopped")

    def _event(self, actor: int, incarnation: int, what: int, about: int) -> None:
        whom = self._ids.get(about)

        def is_it(record: bytes) -> bool:
            parsed = parse(record)
            return parsed.kind == Kind.EVENT and EVENT.unpack_from(parsed.body)[:2] == (what, whom)

        if not self._let_first(self._id_of(actor), is_it):
            raise self._difference(
                f"{self._run.names[actor]} hears nothing of {self._run.names.get(about, about)}, "
                f"whose end, or next life, it was told of"
            )

    def _let_first(self, number: int, is_it: Callable[[bytes], bool]) -> bool:
        """Let the first such record through; return whether there is one."""
        for record in self._gate_of(number).waiting:
            if is_it(record):
                self._let(number, record)
                return True
        return False

    def _let(self, number: int, record: bytes) -> None:
        """Let a record through, and have it begun."""
        self._gate_of(number).let(record)
        self._transport.boxes[number].wake()
        self._system.run_until_idle()

    # -- what happens meanwhile -------------------------------------------------------------------

    def _began(self, life: Tapped) -> None:
        self._now[life.actor] = life
        self._gates.pop(life.actor, None)
        if life.incarnation == 1:
            # Which one of the run it is, is known by who has spawned it, and how many before.
            before = next(self._spawned[life.parent])
            siblings = self._run.children[self._recorded.get(life.parent, -1)]
            if before < len(siblings):
                self._ids[siblings[before]], self._recorded[life.actor] = (
                    life.actor,
                    siblings[before],
                )
        seed = self._run.seeds.get((self._recorded.get(life.actor, -1), life.incarnation))
        if seed is not None:
            life.draw_from(seed)

    def _serves(self, life: Tapped, gate: Entry) -> None:
        self._gates[life.actor] = gate
        # It ends as it did, if it was killed with a message in hand.
        gate.deadly = self._run.deadly.get((self._recorded.get(life.actor, -1), life.incarnation))

    def _note(self, entry: tuple[Any, ...]) -> None:
        kind, _, actor, *facts = entry
        if kind == "begin":
            self._begun[actor].append(entry[1:])
        elif kind == "answer":
            _, call, how, value = facts
            self._answered[actor, call] = how, value

    def _rest(self) -> None:
        """Let all come to rest; see that nobody has died who did not."""
        self._system.run_until_idle()
        for number, gate in list(self._gates.items()):
            if gate.waiting:
                gate.let_own()
                self._transport.boxes[number].wake()
        self._system.run_until_idle()
        for event in self._ends():
            number = next(n for n, life in self._now.items() if life.name == event.actor)
            name = self._run.names.get(self._recorded.get(number, -1), event.actor)
            self._died.add((name, event.incarnation))
            crash = self._run.crashes.get((name, event.incarnation))
            now = event.reason.kind.value, event.reason.text
            if crash is None and self._run.is_whole and now[0] in BY_ITSELF:
                raise self._difference(f"{name} {ended(now)}, where it lived on")
            if crash is not None and now[0] == crash[0] == "error" and now[1] != crash[1]:
                raise self._difference(f"{name} {ended(now)}, where it {ended(crash)}")

    def _ends(self) -> list[Any]:
        found = []
        try:
            while (event := self._crashes.take_now()) is not None:
                found.append(event)
        except Empty:
            pass
        return found

    def _pass_to(self, at: int) -> None:
        """Let time pass up to an instant of the run."""
        left = (at - self._start) / 1e9 - self._system.clock.now
        if left > 0:
            self._system.clock.advance(left)
        else:  # a next life was waited for: from here on the same times lie between two instants
            self._start = at - int(self._system.clock.now * 1e9)

    # -- names and values -------------------------------------------------------------------------

    def _id_of(self, actor: int) -> int:
        if actor not in self._ids:
            raise InvalidSpec(f"the recording lacks the beginning of actor {actor}")
        return self._ids[actor]

    def _gate_of(self, number: int) -> Entry:
        gate = self._gates.get(number)
        if gate is None:
            raise self._difference(f"{self._now[number].name} is not up yet")
        return gate

    def _load(self, value: Any) -> Any:
        return load(value, self._ref)

    def _ref(self, path: str, actor: int, name: str, overflow: str) -> ActorRef[Any]:
        """Return the ref of the replay that stands for one of the run."""
        if path != self._path:
            return ActorRef(path, actor, name, Overflow(overflow))
        if actor not in self._ids:  # an inbox of the program's
            self._ids[actor] = self._system.inbox().ref._actor
        number = self._ids[actor]
        known = self._now.get(number)
        shown = name if known is None else known.name
        return ActorRef(self._transport.path, number, shown, Overflow(overflow))

    def _line_of(self, record: bytes) -> str:
        kind, _, body = parse(record)
        if kind != Kind.CALL:
            return Kind(kind).name
        envelope = open_envelope(body)
        sender = self._recorded.get(envelope.sender, -1)
        by = self._run.names.get(sender, "main") if envelope.sender else "main"
        return f"{envelope.handler} from {by}"

    def left(self) -> list[str]:
        """Return what came and was not begun, a line each."""
        return [
            f"{self._now[number].name}.{self._line_of(record)}"
            for number, gate in self._gates.items()
            for record in gate.waiting
            if parse(record).kind == Kind.CALL
        ]

    def _difference(self, what: str) -> Difference:
        return Difference(len(self.history), what, self.history)


class _Ignored:
    """Stands for the program, which does not wait for the answer."""

    is_awaited = False
    call: int | None = None

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Drop it: it was noted where it was made."""


def _is_stop(record: bytes) -> bool:
    return parse(record).kind == Kind.STOP
