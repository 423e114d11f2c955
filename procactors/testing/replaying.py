"""Playing a recorded run again, inline: the same messages in the same order, one at a time.

Layer: testing. Runs in: one process: that of an inline system of its own.
Owns: that system, until the run is over.
Never: lets an actor begin what it did not begin in the run, or in another order.

    an entry of the file ─► time goes on to its instant ─► a life is begun, a message let through
    ─► all rests ─► what has come of it is compared with what the next entries say

The program itself is not run: what it had sent is sent again. What actors send, they send
themselves: each message is let through when it is its turn.
"""

from __future__ import annotations

import io
import itertools
import os
import pickle
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from queue import Empty
from typing import Any

from procactors import ActorRef, ActorSystem, Crashed
from procactors.errors import InvalidSpec, ProcActorsError
from procactors.late_dataclass import dataclass
from procactors.model import commands as c
from procactors.model.choices import Overflow
from procactors.observe.subscription import Feed
from procactors.runner.record_tap import SINKS
from procactors.runner.replay_tap import BEGUN, SERVED, Entry
from procactors.runner.taps import Tapped
from procactors.wire.envelope import (
    BATCH_KEY,
    STREAM_KEY,
    build_message,
    handler_name,
    open_envelope,
)
from procactors.wire.pickling.definitions import offer
from procactors.wire.raised import said
from procactors.wire.record import EVENT, Kind, parse
from procactors.wire.replies.port import Answer
from procactors.wire.run_file import FORMAT, read_run

__all__ = ["Difference", "NotReplayable", "Replayed", "replay"]

#: Seconds of the system's own time for which a next life is awaited, and of the first step of that.
_LONGEST_S, _STEP_S = 3600.0, 0.001
#: Seconds by which the instant of a timer, and that of what it has sent, may be rounded apart.
_ROUNDING_S = 1e-5
#: Messages that an error shows, and characters of each value.
_SHOWN, _WIDTH = 8, 300
#: What refs are pickled as; and what belongs to one run alone.
_MAKE_REF = ("procactors.stored", "_make_ref")
_OWN = {"_adopt_feed": "a feed", "_adopt_stream": "a stream", "_received": "a share"}
#: Kinds of ends by what a handler, or a constructor, has raised.
_BY_ITSELF = ("error", "start", "exit")

_numbers = itertools.count(1)


class NotReplayable(ProcActorsError):
    """A recording holds something that belongs to its own run alone."""


class Difference(AssertionError):
    """A run that is played again goes another way than the one that was recorded.

    Attributes:
        number: of the message, from 1, in the order in which they were begun: up to it all was
            alike.
        what: what differs.
        history: the messages up to it, a line each.
    """

    def __init__(self, number: int, what: str, history: list[str]) -> None:
        self.number, self.what, self.history = number, what, history
        last = history[-_SHOWN:]
        more = f"  ... {len(history) - len(last)} before\n" if len(history) > len(last) else ""
        told = "\n  ".join(last)
        super().__init__(f"at message {number}: {what}\nmessages up to it:\n{more}  {told}")


@dataclass(frozen=True)
class Replayed:
    """What came of a replay that differed in nothing.

    Attributes:
        messages: how many messages were begun.
        lives: how many lives of actors there were.
        left: messages that came in the replay and were not begun in the run: they waited at its
            end, or are new. A line each.
    """

    messages: int
    lives: int
    left: tuple[str, ...]


def replay(file: str | os.PathLike[str], *, seed: int = 0) -> Replayed:
    """Play a recorded run again on an inline system, in this process; compare all that it does.

    Each actor begins the same messages in the same order, and the actors in the same order among
    each other; ``breakpoint()`` in a handler works. Time is the system's own, and goes on as it
    did. What the program had sent is sent again. A death by a signal comes again with the same
    message in hand: before its handler, since nobody knows how far that had come.

    Compared are each message that an actor sends, as its receiver begins it, each answer (values by
    ``==``, else by their pickles; exceptions by class and text), and each death. What handlers draw
    by chance, read of the clock or of files, may be another thing now: that shows as a difference.

    Args:
        file: that `record` has written. Loading it runs what its pickles name.
        seed: of the inline system.

    Returns:
        how much was played.

    Raises:
        Difference: the first one. NotReplayable: a pool's batches, a stream or a share.
            InvalidSpec: no such file, or of another version. OSError: it cannot be read.
    """
    with ActorSystem(backend="inline", seed=seed) as system:
        player = _Player(system, list(read_run(os.fspath(file))))
        try:
            return player.play()
        finally:
            player.close()
            system.kill()


class _Player:
    """Plays one run.

    Args:
        system: an inline one of its own.
        entries: of the file.
    """

    def __init__(self, system: Any, entries: list[tuple[Any, ...]]) -> None:
        if not entries or entries[0][0] != "run":
            raise InvalidSpec("the recording has not even its first entry: it was cut at once")
        _, version, _, _, self._path, self._start, _ = entries[0]
        if version != FORMAT:
            raise InvalidSpec(f"expected a recording of format {FORMAT}, found one of {version}")
        self._system = system
        self._transport: Any = system._endpoint
        self._run = _Run(entries)
        self._steps: dict[str, Callable[..., None]] = {
            "life": self._life,
            "begin": self._begin,
            "answer": self._answer,
            "stop": self._stop,
            "event": self._event,
        }
        self.history: list[str] = []
        self._lives = 0
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

    def play(self) -> Replayed:
        """Play all of it."""
        for kind, at, *facts in self._run.entries:
            self._pass_to(at)
            step = self._steps.get(kind)
            if step is not None:
                step(*facts)
                self._rest()
        for (name, incarnation), crash in self._run.crashes.items():
            if crash[0] in _BY_ITSELF and (name, incarnation) not in self._died:
                raise self._difference(f"{name} lives, where it {_ended(crash)}")
        return Replayed(len(self.history), self._lives, tuple(self._left()))

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
        self._lives += 1
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
            if crash is None or crash[0] not in _BY_ITSELF:
                raise self._difference(f"{name} could not be spawned: {error!r}")

    def _next_life(self, actor: int, name: str, incarnation: int) -> None:
        """See that the next life of an actor begins."""
        number = self._id_of(actor)
        crash = self._run.crashes.get((name, incarnation - 1))
        if self._now[number].incarnation < incarnation and number in self._gates:
            if crash is not None and crash[0] in _BY_ITSELF:
                raise self._difference(f"{name} lives, where it {_ended(crash)}")
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
                f"{name} gets {handler_name(now_method)}{_text(now)} from {by}, where it got "
                f"{handler}{_text(content)}"
            )
        if not _is_same(now, content):
            raise self._difference(
                f"{name} gets {handler}{_text(now)} from {by}, where it got {_text(content)}"
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
                f"{by} has not sent {handler_name(method)}{_text(content)} to "
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
        was = _Outcome(kind, self._load(value))
        if now is None:
            raise self._difference(f"{name} does not answer, where it {was}")
        is_now = _Outcome(now[0], self._load(now[1]))
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
            if crash is None and self._run.is_whole and now[0] in _BY_ITSELF:
                raise self._difference(f"{name} {_ended(now)}, where it lived on")
            if crash is not None and now[0] == crash[0] == "error" and now[1] != crash[1]:
                raise self._difference(f"{name} {_ended(now)}, where it {_ended(crash)}")

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
        head, buffers, definitions = value
        offer(definitions)
        return _Loader(self, head, [bytearray(buffer) for buffer in buffers]).load()

    def ref(self, path: str, actor: int, name: str, overflow: str) -> ActorRef[Any]:
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

    def _left(self) -> list[str]:
        return [
            f"{self._now[number].name}.{self._line_of(record)}"
            for number, gate in self._gates.items()
            for record in gate.waiting
            if parse(record).kind == Kind.CALL
        ]

    def _difference(self, what: str) -> Difference:
        return Difference(len(self.history), what, self.history)


class _Run:
    """What is known of a run before it is played.

    Attributes:
        entries: without the first one.
        is_whole: its recording came to its end.
        names: of actors, by their ids.
        children: ids of those that each actor has spawned, in order.
        seeds: by actor and incarnation.
        crashes: (kind, text, handler), by name and incarnation.
        deadly: with which message a life ended, by the actor and incarnation (`Entry.deadly`).
    """

    def __init__(self, entries: list[tuple[Any, ...]]) -> None:
        ends = [at for at, entry in enumerate(entries) if entry[0] == "end"]
        self.is_whole = bool(ends)
        # Behind the end some lives may have gone on writing.
        self.entries = entries[1 : ends[0] if ends else None]
        self.names: dict[int, str] = {}
        self.children: dict[int, list[int]] = defaultdict(list)
        self.seeds: dict[tuple[int, int], int] = {}
        self.crashes: dict[tuple[str, int], tuple[str, str, str]] = {}
        self.deadly: dict[tuple[int, int], tuple[int, bool]] = {}
        begun: dict[tuple[int, int], list[Any]] = defaultdict(list)
        answered: set[tuple[int, int, Any]] = set()
        last: dict[int, int] = {}
        for kind, _, *facts in self.entries:
            if kind == "life":
                actor, name, _, life, parent, seed, *_ = facts
                self.names[actor], last[actor], self.seeds[actor, life] = name, life, seed
                if life == 1:
                    self.children[parent].append(actor)
            elif kind == "begin":
                begun[facts[0], facts[1]].append(facts[3])
            elif kind == "answer":
                answered.add((facts[0], facts[1], facts[2]))
            elif kind == "crash":
                self.crashes[facts[0], facts[1]] = tuple(facts[2:5])
        for (actor, life), calls in begun.items():
            crash = self.crashes.get((self.names.get(actor, ""), life))
            is_answered = (actor, life, calls[-1]) in answered
            if crash is not None:
                is_killed = crash[0] not in _BY_ITSELF and bool(crash[2])
            else:  # the program itself was killed: what is known of the next life must do
                is_killed = last[actor] > life and calls[-1] != (0, 0) and not is_answered
            if is_killed:
                self.deadly[actor, life] = len(calls), is_answered

    def was_killed(self, actor: int) -> bool:
        """Whether some life of an actor was killed in the midst of a handler."""
        return any(killed == actor for killed, _ in self.deadly)


class _Outcome:
    """What a handler answered."""

    def __init__(self, kind: int, value: Any) -> None:
        self._is_result = kind == Kind.RESULT
        if not self._is_result and isinstance(value, tuple) and len(value) == 5:
            value = f"{value[2]}: {value[3]}"
        elif not self._is_result:
            value = f"{type(value).__name__}: {said(value)}"
        self._value = value

    def is_like(self, other: _Outcome) -> bool:
        """Whether both are the same."""
        return self._is_result == other._is_result and _is_same(self._value, other._value)

    def __str__(self) -> str:
        if self._is_result:
            return f"answered {_text(self._value)}"
        return f"raised {self._value}"


class _Loader(pickle.Unpickler):
    """Loads a value of the run, with refs of the replay in it."""

    def __init__(self, player: _Player, head: bytes, buffers: list[bytearray]) -> None:
        super().__init__(io.BytesIO(head), buffers=buffers)
        self._player = player

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle names."""
        if (module, name) == _MAKE_REF:
            return self._player.ref
        if module == _MAKE_REF[0] and name in _OWN:
            raise NotReplayable(f"{_OWN[name]} was sent, which is of its own run alone")
        return super().find_class(module, name)


class _Ignored:
    """Stands for the program, which does not wait for the answer."""

    is_awaited = False
    call: int | None = None

    def deliver(self, answer: Answer | None, error: BaseException | None) -> None:
        """Drop it: it was noted where it was made."""


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are alike."""
    # So wide: what a user's class, or an array, makes of `==`.
    try:
        if bool(one == other):
            return True
    except Exception:  # noqa: BLE001, S110
        pass
    try:
        return pickle.dumps(one) == pickle.dumps(other)
    except Exception:  # noqa: BLE001
        return False


def _is_stop(record: bytes) -> bool:
    return parse(record).kind == Kind.STOP


def _ended(crash: tuple[str, ...]) -> str:
    return f"raised {crash[1]}" if crash[0] == "error" else f"ended ({crash[0]}) {crash[1]}".strip()


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]} ..."
