"""Have actors of all kinds do everything with their messages at once, and kill them; then count.

Each call says what is to be done with it: answer it, forward it, put it aside, put its answer off,
send that on, pay it by a thread, raise, await, ask others meanwhile. Its caller waits, has a
deadline, cancels, cancels with a kill, or leaves a stream half read. Any process is killed at any
moment. Each caller is to have one end, in time, and it is to fit; what was said never to run, is
not to have run; and in the end nothing is left: no slot, no payload, no channel.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from procactors import (
    Actor,
    ActorRef,
    ActorSystem,
    Checkpoint,
    Crashed,
    Delivery,
    LaterReply,
    Recycle,
    Reply,
    Restarting,
    Started,
    errors,
    feed,
)
from tests.support.segments import in_use
from tests.support.waiting import LONG_S, eventually

_WAYS = (
    "plain", "forward", "forward", "stash", "stash", "later", "sent_on", "thread", "raise", "slow",
    "ask", "topic", "die",
)  # fmt: skip
_SIZES = (10, 10, 10, 2_000, 20_000)
_OFTEN = {"max_restarts": 1_000_000, "max_deliveries": 1_000_000}
_TAKES_S = (0.0, 0.001, 0.01)
_TOPIC = "seams"


class Mixed(Actor):
    """Does with a message what that says."""

    def __init__(self, log: Path, seed: int) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._chance = random.Random(seed * 1000 + self.context.incarnation)
        self._is_open = self._is_calm = False
        self._later: list[tuple[LaterReply, int]] = []
        self._peers: list[ActorRef[Any]] = []
        self._news = 0

    def on_start(self) -> None:
        self.context.every(0.02, Mixed.turn)
        self.context.idle_after(0.05)

    def on_idle(self) -> None:
        self.turn()

    def turn(self) -> None:
        self._is_open = not self._is_open or self._is_calm
        if self._is_open:
            self.context.unstash_all()
        later, self._later = self._later, []
        for one, number in later:
            one.send(number)

    def meet(self, peers: list[ActorRef[Any]]) -> None:
        self._peers = peers

    def calm(self) -> None:
        self._is_calm = True
        self.turn()

    def ping(self) -> None:
        pass

    def hear(self, number: int) -> None:
        self._news += 1

    def pay(self, later: LaterReply, number: int) -> None:
        later.send(number)

    def do(self, number: int, way: str, data: bytes) -> int | None:
        if self._is_elsewhere(number, way):
            return None
        self._ran(number)
        if way == "slow":
            until = time.monotonic() + self._chance.choice(_TAKES_S)
            while time.monotonic() < until and not self.context.cancelled:
                pass
        elif way == "ask" and self._peers:
            with suppress(errors.ReplyError, errors.DeliveryError):
                self._peer().options(timeout=0.5).ask(Mixed.ping)
        return number

    def _is_elsewhere(self, number: int, way: str) -> bool:
        """Do what is to be done instead of an answer; return whether it is."""
        is_asked = self.context.deadline is not None
        context, chance = self.context, self._chance
        if way == "forward" and self._peers and chance.random() < 0.6:
            context.forward(self._peer())
        elif way == "stash" and not self._is_open:
            context.stash()
        elif way == "later" and is_asked:
            self._later.append((context.reply_later(), number))
        elif way == "sent_on" and is_asked and self._peers:
            self._peer().tell(Mixed.pay, context.reply_later(), number)
        elif way == "thread" and is_asked:
            later = context.reply_later()
            threading.Thread(target=later.send, args=(number,)).start()
        elif way == "raise" and is_asked:
            raise ValueError(number)
        elif way == "die" and chance.random() < 0.2:
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            if way == "topic":
                context.system.topic(_TOPIC).publish(number)
            return False
        return True

    def _peer(self) -> ActorRef[Any]:
        return self._chance.choice(self._peers)

    def _ran(self, number: int) -> None:
        os.write(self._log, b"%d\n" % number)

    def items(self, count: int, pause: float) -> Iterator[int]:
        for number in range(count):
            if self.context.cancelled:
                return
            time.sleep(pause)
            yield number

    def total(self, numbers: Iterator[int]) -> int:
        return sum(numbers)


class AsyncMixed(Mixed):
    """The same, some of it awaited."""

    async def do(self, number: int, way: str, data: bytes) -> int | None:  # type: ignore[override]
        await asyncio.sleep(self._chance.choice(_TAKES_S))
        if self._is_elsewhere(number, way):
            return None
        self._ran(number)
        if way == "slow":
            await asyncio.sleep(self._chance.choice(_TAKES_S))
        elif way == "ask" and self._peers:
            with suppress(errors.ReplyError, errors.DeliveryError):
                await self._peer().options(timeout=0.5).aio.ask(Mixed.ping)
        return number

    async def flow(self, count: int, pause: float) -> AsyncIterator[int]:
        for number in range(count):
            await asyncio.sleep(pause)
            yield number


class Kept(Mixed):
    """The same, with a state that is written down."""

    def snapshot(self) -> int:
        return self._news

    def restore(self, state: int) -> None:
        self._news = state


#: Class, and options, of each actor.
_KINDS: tuple[tuple[type[Mixed], dict[str, Any]], ...] = (
    (Mixed, {}),
    (Mixed, {"delivery": Delivery.AT_LEAST_ONCE}),
    (Mixed, {"recycle_after": Recycle(messages=40)}),
    (AsyncMixed, {}),
    (AsyncMixed, {"max_concurrency": 6, "mailbox": 8}),
    (AsyncMixed, {"max_concurrency": 20, "delivery": Delivery.AT_LEAST_ONCE}),
    (Kept, {"checkpoint": Checkpoint(messages=1), "delivery": Delivery.AT_LEAST_ONCE}),
    (AsyncMixed, {"max_concurrency": 4, "handle_timeout": 2.0}),
    (AsyncMixed, {"max_concurrency": 4}),
)
#: Places of the one that is stopped by SIGSTOP, and of the one that ends for good now and then.
_HANGS, _GUEST = 7, 8


@dataclasses.dataclass
class Outcome:
    """What a run found.

    Attributes:
        ends: how calls ended, by name.
        wrong: what is not as it was promised.
    """

    kills: int = 0
    calls: int = 0
    taken: int = 0
    ends: Counter[str] = dataclasses.field(default_factory=Counter)
    wrong: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Call:
    number: int
    way: str
    reply: Reply[Any]
    is_limited: bool
    said: bool | None = None
    is_killed: bool = False


class Turns:
    """Hears of each turn of the actors' lives: those of one come in order."""

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._last: dict[str, tuple[int, int]] = {}

    def add(self, event: Any) -> None:
        turn = (event.incarnation, _TURNS[type(event)])
        if turn <= self._last.get(event.actor, (0, 0)):
            self._outcome.wrong.append(f"{event} behind {self._last[event.actor]}")
        self._last[event.actor] = turn


#: A life is begun, up, and over.
_TURNS = {Restarting: 1, Started: 2, Crashed: 3}


class Driver:
    """Sends, cancels and reads in one thread."""

    def __init__(self, refs: list[ActorRef[Any]], lane: int, seed: int, outcome: Outcome) -> None:
        self._refs = refs  # the guest's changes
        self._number = lane << 32
        self._chance = random.Random(seed + lane)
        self._outcome = outcome
        self.calls: list[_Call] = []
        self.taken: list[int] = []

    def burst(self) -> None:
        chance = self._chance
        calls = [call for _ in range(10) if (call := self._send()) is not None]
        if chance.random() < 0.3:
            self._flow()
        if chance.random() < 0.2:
            self._feed()
        if chance.random() < 0.3:
            asyncio.run(self._give_up())
        for call in calls:
            if chance.random() < 0.4:
                if chance.random() < 0.3:
                    time.sleep(chance.uniform(0.0, 0.003))  # the moment is drawn by chance
                self._cancel(call)
        self.calls += calls
        self._end([call for call in self.calls if call.reply.done() or len(self.calls) > 200])

    def finish(self) -> None:
        self._end(self.calls)

    def _next(self) -> tuple[int, str, bytes]:
        self._number += 1
        chance = self._chance
        return self._number, chance.choice(_WAYS), bytes(chance.choice(_SIZES))

    def _send(self) -> _Call | None:
        number, way, data = self._next()
        ref = self._chance.choice(self._refs)
        if self._chance.random() < 0.2:
            with suppress(errors.ActorStopped):
                ref.tell(Mixed.do, number, way, data)
            return None
        is_limited = self._chance.random() < 0.3
        if is_limited:
            ref = ref.options(timeout=self._chance.choice((0.002, 0.02, 0.1)))
        try:
            return _Call(number, way, ref.submit(Mixed.do, number, way, data), is_limited)
        except errors.DeliveryError:  # its mailbox is full, or the guest has just ended
            return None

    def _cancel(self, call: _Call) -> None:
        call.is_killed = self._chance.random() < 0.15
        call.said = call.reply.cancel(kill=call.is_killed)
        if call.said:
            self.taken.append(call.number)
            self._outcome.taken += 1
            if not call.reply.cancelled():
                self._outcome.wrong.append(f"{call}: taken back, and not cancelled")

    def _end(self, calls: list[_Call]) -> None:
        for call in calls:
            self.calls.remove(call)
            self._outcome.calls += 1
            self._outcome.ends[self._ended(call)] += 1

    def _ended(self, call: _Call) -> str:  # noqa: C901 - one line for each end that there is
        wrong = self._outcome.wrong
        try:
            if call.reply.result(LONG_S) != call.number:
                wrong.append(f"{call}: another's answer, {call.reply.result()!r}")
        except concurrent.futures.CancelledError:
            if call.said is None or not (call.said or call.is_killed):
                wrong.append(f"{call}: cancelled by nobody")
            return "cancelled"
        except errors.AskTimeout:
            if not call.is_limited:
                wrong.append(f"{call}: late without a limit")
            return "late"
        except errors.HandlerCancelled:
            if call.said is None:
                wrong.append(f"{call}: its handler was cancelled by nobody")
            return "handler cancelled"
        except (errors.ReplyError, errors.DeliveryError) as error:
            if isinstance(error, errors.DecodeError):
                wrong.append(f"{call}: {error}")
            return type(error).__name__
        except ValueError as error:
            if call.way != "raise" or error.args != (call.number,):
                wrong.append(f"{call}: {error!r}")
            return "raised"
        except concurrent.futures.TimeoutError:
            wrong.append(f"{call}: nobody answers")
            return "nobody"
        return "answered"

    def _flow(self) -> None:
        chance = self._chance
        place = chance.randrange(len(self._refs))
        ref, is_async = self._refs[place], issubclass(_KINDS[place][0], AsyncMixed)
        method = chance.choice([Mixed.items, AsyncMixed.flow]) if is_async else Mixed.items
        most, count = chance.choice((0, 3, 1000)), chance.choice((1, 10, 100))
        read: list[int] = []
        try:
            pause = chance.choice((0.0, 0.0005))
            with ref.options(timeout=LONG_S, buffer=4).stream(method, count, pause) as items:
                for item in items:
                    read.append(item)
                    if len(read) >= most:
                        break
                else:
                    if len(read) != count:
                        self._outcome.wrong.append(f"a stream of {count} items had {len(read)}")
        except errors.AskTimeout:
            self._outcome.wrong.append("a stream that does not end")
        except (errors.ReplyError, errors.DeliveryError) as error:
            self._outcome.ends[f"stream {type(error).__name__}"] += 1
        if read != list(range(len(read))):
            self._outcome.wrong.append(f"a stream with a gap: {read}")

    def _feed(self) -> None:
        ref = self._chance.choice(self._refs).options(timeout=LONG_S)
        try:
            if (found := ref.ask(Mixed.total, feed(range(100)))) != 4950:
                self._outcome.wrong.append(f"a feed with a gap: {found}")
        except errors.AskTimeout:
            self._outcome.wrong.append("a feed that does not end")
        except (errors.ReplyError, errors.DeliveryError) as error:
            self._outcome.ends[f"feed {type(error).__name__}"] += 1

    async def _give_up(self) -> None:
        tasks = []
        for _ in range(5):
            number, way, data = self._next()
            ref = self._chance.choice(self._refs).aio
            tasks.append(asyncio.ensure_future(ref.ask(Mixed.do, number, way, data)))
        await asyncio.sleep(self._chance.choice((0.0, 0.002)))
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, ValueError, *_ENDS):
                await task


_ENDS = (errors.ReplyError, errors.DeliveryError)


def run(system: ActorSystem, folder: Path, kills: int, seed: int) -> Outcome:
    """Let it all go on until so many processes were killed."""
    outcome, chance, log = Outcome(), random.Random(seed), folder / "log"
    turns = Turns(outcome)
    told = system.events.subscribe(turns.add, (Started, Crashed, Restarting), bound=1_000_000)
    refs = [_spawn(system, place, log, seed) for place in range(len(_KINDS))]
    for ref in refs:
        ref.ask(Mixed.meet, [peer for peer in refs if peer != ref])
        system.topic(_TOPIC).subscribe(ref, Mixed.hear)
    drivers = [Driver(refs, lane, seed, outcome) for lane in (1, 2)]
    failures: list[BaseException] = []
    is_over = threading.Event()
    threads = [
        threading.Thread(target=_drive, args=(driver, is_over, failures)) for driver in drivers
    ]
    for thread in threads:
        thread.start()
    try:
        while outcome.kills < kills and not failures:
            time.sleep(chance.uniform(0.0, 0.04))  # the moment of the kill is drawn by chance
            victim = chance.choice(refs)
            pid = eventually(lambda ref=victim: ref.status().pid, "a process to kill", LONG_S)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP if victim == refs[_HANGS] else signal.SIGKILL)
            outcome.kills += 1
            if chance.random() < 0.1:
                refs[_GUEST].stop(chance.choice((0.0, 0.1, None)))
                refs[_GUEST] = _spawn(system, _GUEST, log, seed + outcome.kills)
            if chance.random() < 0.2:
                _meet(refs)  # what was killed has forgotten its peers
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    with suppress(ProcessLookupError, TypeError):
        os.kill(refs[_HANGS].status().pid, signal.SIGCONT)  # type: ignore[arg-type]
    _settle(refs)
    for driver in drivers:
        driver.finish()
    _settle(refs)
    told.close()
    ran = set(map(int, log.read_text().split()))
    outcome.wrong += [f"{n} was to run never" for one in drivers for n in one.taken if n in ran]
    outcome.wrong += _left(system, refs)
    return outcome


def _spawn(system: ActorSystem, place: int, log: Path, seed: int) -> ActorRef[Any]:
    cls, options = _KINDS[place]
    name = None if place == _GUEST else f"kind-{place}"
    return system.options(name=name, **_OFTEN, **options).spawn(cls, log, seed + place)


def missing(system: ActorSystem, folder: Path, place: int, seed: int, messages: int) -> int:
    """Return how many messages to one actor are in none of its numbers, though none is lost."""
    chance, log = random.Random(seed), folder / "log"
    ref, other = _spawn(system, place, log, seed), system.spawn(Mixed, log, seed)
    ref.ask(Mixed.meet, [other])
    sent, taken, replies = 1, 0, list[Reply[Any]]()
    for number in range(messages):
        way = chance.choice(("plain", "forward", "stash", "later", "thread", "slow", "sent_on"))
        data = bytes(chance.choice(_SIZES))
        sent += 1
        if chance.random() < 0.2:
            ref.tell(Mixed.do, number, way, data)
        elif chance.random() < 0.2:
            # Not cancelled: late as well it would be counted as that.
            try:
                ref.options(timeout=0.002).ask(Mixed.do, number, way, data)
            except errors.MailboxFull:
                sent -= 1
            except errors.AskTimeout:
                pass
        else:
            replies.append(reply := ref.submit(Mixed.do, number, way, data))
            # One that was forwarded is handled here, and taken back there.
            if way != "forward" and chance.random() < 0.5:
                taken += reply.cancel()
    for method in (Mixed.calm, Mixed.ping, Mixed.calm, Mixed.ping):
        ref.ask(method)
        sent += 1
    for reply in replies:
        with suppress(concurrent.futures.CancelledError, errors.HandlerCancelled):
            reply.result(LONG_S)

    def rest() -> int:
        now = ref.status()
        return sent - taken - now.handled - now.expired - now.mailbox - len(now.in_hand)

    with suppress(AssertionError):
        eventually(lambda: rest() == 0, "the last to be counted")
    return rest()


def _drive(driver: Driver, is_over: threading.Event, failures: list[BaseException]) -> None:
    try:
        while not is_over.is_set():
            driver.burst()
    except BaseException as error:
        failures.append(error)


def _meet(refs: list[ActorRef[Any]]) -> None:
    for ref in refs:
        ref.tell(Mixed.meet, [peer for peer in refs if peer != ref])


def _settle(refs: list[ActorRef[Any]]) -> None:
    """Wait until all is handled."""
    for method in (Mixed.calm, Mixed.ping, Mixed.calm, Mixed.ping):
        for ref in refs:
            while True:
                with suppress(errors.ActorDied):
                    ref.options(timeout=LONG_S).ask(method)
                    break
    for ref in refs:
        eventually(
            lambda ref=ref: not (now := ref.status()).mailbox and not now.in_hand,
            f"{ref.name} to have nothing in hand",
        )


def _left(system: ActorSystem, refs: list[ActorRef[Any]]) -> list[str]:
    """Return what is left in the runtime directory that belongs to no message."""
    path = Path(refs[0]._runtime_dir)

    def found() -> list[str]:
        return [*map(str, in_use(path)), *map(str, (path / "streams").glob("*"))]

    with suppress(AssertionError):
        eventually(lambda: not found(), "nothing to be left", LONG_S / 10)
    return found()
