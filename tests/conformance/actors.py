"""Actors of the tests of all backends."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from procactors import Actor, Message, current_context


@dataclass(frozen=True)
class Add(Message[int]):
    by: int = 1


class Unreadable:
    """Cannot be unpickled."""

    def __reduce__(self):
        return _refuse, ()


def _refuse():
    raise ValueError("not here")


class Spoilt(Exception):
    def __init__(self, code, text):
        super().__init__(code, text)
        self.code = code


class Counter(Actor):
    def __init__(self, value=0):
        self.value = value

    def receive(self, message):
        self.value += message.by
        return self.value

    def increment(self, by=1):
        self.value += by
        return self.value

    def get(self):
        return self.value

    def fail(self, text="on purpose"):
        raise ValueError(text)

    def spoil(self):
        raise Spoilt(7, "spoilt")

    def lock(self):
        return threading.Lock()

    def leave(self):
        self.context.stop()

    def exit(self, code):
        raise SystemExit(code)

    def incarnation(self):
        return self.context.incarnation

    def name(self):
        return current_context().ref.name

    def deliveries(self):
        return self.context.deliveries


class Keeper(Actor):
    """Keeps what it is told."""

    def __init__(self):
        self.kept = []

    def receive(self, message):
        self.kept.append(message)

    def keep(self, thing):
        self.kept.append(thing)

    def take(self):
        return list(self.kept)

    def sleep(self):
        """Answer to no one."""
        self.put_off = self.context.reply_later()

    def extend(self, things):
        things.append("more")
        return things


class Asker(Actor):
    """Asks others."""

    def __init__(self, other=None):
        self.other = other

    def know(self, other):
        self.other = other

    def through(self, by):
        return self.other.ask(Counter.increment, by) * 10

    def ask_on(self):
        return self.other.ask(Asker.ask_on)

    def ping(self):
        return "pong"

    def submit_on(self, by):
        return self.other.submit(Counter.increment, by).result()

    def tell_all(self, keeper, count):
        for number in range(count):
            keeper.tell(Keeper.keep, (self.context.ref.name, number))


class Watcher(Actor):
    """Notes what it hears of others."""

    def __init__(self):
        self.heard = []

    def watch(self, ref, restarts=False):
        self.context.watch(ref, restarts=restarts)

    def unwatch(self, ref):
        self.context.unwatch(ref)

    def link(self, ref):
        self.context.link(ref)

    def on_terminated(self, event):
        self.heard.append(("terminated", event.ref.name, event.reason.kind.value))

    def on_restarted(self, event):
        self.heard.append(("restarted", event.ref.name, event.incarnation))

    def take(self):
        return list(self.heard)


class Parent(Actor):
    """Has a child, and says what follows from its deaths."""

    def __init__(self, directive=None):
        self.directive = directive
        self.failures = []

    def begin(self, name):
        self.child = self.context.options(name=name).spawn(Counter)
        return self.child

    def on_child_failure(self, failure):
        self.failures.append(failure.ref.name)
        return self.directive

    def seen(self):
        return list(self.failures)


class Hooked(Actor):
    """Tells a keeper of its hooks."""

    def __init__(self, keeper):
        self.keeper = keeper
        self.note("made")

    def note(self, what):
        self.keeper.tell(Keeper.keep, f"{what} {self.context.incarnation}")

    def on_start(self):
        self.note("start")

    def on_restart(self, report):
        self.note(f"restart after {report.reason.kind.value}")

    def on_stop(self, reason):
        self.note(f"stop {reason.kind.value}")

    def fail(self):
        raise ValueError("on purpose")

    def idle(self):
        pass


class Broken(Actor):
    """Does not start."""

    def __init__(self, how="init"):
        if how == "init":
            raise RuntimeError("never made")

    def on_start(self):
        raise RuntimeError("never up")


class Clock(Actor):
    """Has timers."""

    def __init__(self):
        self.ticks = []
        self.timer = None

    def once(self, seconds, what):
        self.context.after(seconds, Clock.tick, what)

    def again(self, seconds, what):
        self.timer = self.context.every(seconds, Clock.tick, what, name="again")

    def cancel(self):
        return self.timer.cancel()

    def when_idle(self, seconds):
        self.context.idle_after(seconds)

    def on_idle(self):
        self.ticks.append("idle")
        self.context.idle_after(None)

    def tick(self, what):
        self.ticks.append(what)

    def fail_soon(self, seconds):
        self.context.after(seconds, Clock.fail)

    def fail(self):
        raise ValueError("in a timer")

    def seen(self):
        return list(self.ticks)


class Desk(Actor):
    """Puts answers off, puts messages aside, hands them on."""

    def __init__(self):
        self.open = False
        self.later = []

    def put_off(self, value):
        self.later.append((self.context.reply_later(), value))

    def count(self):
        return len(self.later)

    def answer(self):
        for reply, value in self.later:
            reply.send(value)
        self.later.clear()

    def refuse(self):
        for reply, _ in self.later:
            reply.fail(ValueError("refused"))
        self.later.clear()

    def drop(self):
        self.later.clear()

    def hand_over(self, other):
        other.tell(Desk.take_over, self.later.pop()[0])

    def take_over(self, reply):
        reply.send("by another")

    def increment(self, by=1):
        """Wait until the desk is open."""
        if not self.open:
            self.context.stash()
        return ("late", by)

    def open_up(self):
        self.open = True
        self.context.unstash_all()

    def pass_on(self, other):
        self.other = other

    def get(self):
        self.context.forward(self.other)

    def receive(self, message):
        self.context.become(self.second)
        return ("first", message)

    def second(self, message):
        self.context.unbecome()
        return ("second", message)

    def fail(self):
        raise ValueError("on purpose")


class Worker(Actor):
    """Looks whether it is still wanted."""

    def __init__(self, helper=None):
        self.helper = helper
        self.seen = None

    def through(self):
        self.helper.ask(Desk.put_off, 1)
        self.seen = self.context.cancelled
        return self.seen

    def was_cancelled(self):
        return self.seen
