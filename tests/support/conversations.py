"""Actors that do something else with a message than to answer it at once."""

from __future__ import annotations

import os
import signal
import threading

from procactors import Actor


class Backend(Actor):
    """Answers what is forwarded to it."""

    def __init__(self):
        self.seen = []

    def work(self, value):
        self.seen.append(value)
        return "backend", value

    def size(self, data):
        return len(data)

    def fail(self, value):
        raise ValueError(f"no {value}")

    def die(self, value):
        os.kill(os.getpid(), signal.SIGKILL)

    def deadline(self):
        return self.context.deadline

    def receive(self, message):
        return "received", message

    def hold(self, gate):
        gate.wait()
        return "held"

    def ask_back(self, ref):
        return ref.ask(Frontend.nothing)

    def answer(self, later, value):
        later.send(value)

    def ask_later(self, ref):
        return ref.ask(Later.ask)

    def keep(self, later):
        self.kept = later

    def get_seen(self):
        return self.seen


class Frontend(Actor):
    """Forwards what it is asked."""

    def __init__(self, backend=None):
        self.backend = backend

    def aim(self, backend):
        self.backend = backend

    def nothing(self):
        return "nothing"

    def _forward(self):
        self.context.forward(self.backend)

    def work(self, *args):
        self._forward()
        return "not sent"

    def size(self, *args):
        self._forward()

    def fail(self, *args):
        self._forward()

    def die(self, *args):
        self._forward()

    def deadline(self, *args):
        self._forward()

    def receive(self, *args):
        self._forward()

    def hold(self, *args):
        self._forward()

    def get_seen(self, *args):
        self._forward()

    def ask_back(self, *args):
        self._forward()

    def only(self, *args):
        self._forward()

    def twice(self):
        self.context.forward(self.backend)
        self.context.forward(self.backend)

    def in_a_thread(self):
        said = []

        def forward():
            try:
                self.context.forward(self.backend)
            except RuntimeError as error:
                said.append(str(error))

        thread = threading.Thread(target=forward)
        thread.start()
        thread.join()
        return said[0]

    def then_raise(self):
        self.context.forward(self.backend)
        raise ValueError("behind it")

    def or_answer(self, value):
        try:
            self.context.forward(self.backend)
        except Exception as error:
            return type(error).__name__
        return None

    def tell_it(self, other, method, *args):
        other.tell(method, *args)

    def ask_it(self, other, method, *args):
        return other.ask(method, *args)

    def ask_frontend(self, frontend, me):
        return frontend.ask(Frontend.ask_back, me)

    def forward_to(self, ref):
        self.context.forward(ref)


class Stasher(Actor):
    """Puts aside what comes before it is open."""

    def __init__(self):
        self.is_open = False
        self.done = []

    def work(self, value):
        if not self.is_open:
            self.context.stash()
            return "not sent"
        self.done.append(value)
        return value, self.context.incarnation, self.context.deliveries

    def open(self):
        self.is_open = True
        return self.context.unstash_all()

    def close(self):
        self.is_open = False

    def one_more(self, value):
        self.done.append(value)
        if len(self.done) < 5:
            self.context.stash()
            self.context.unstash_all()
        return value

    def size(self, data):
        if not self.is_open:
            self.context.stash()
            return None
        return len(data)

    def get(self):
        return self.done

    def pid(self):
        return os.getpid()

    def twice(self):
        self.context.stash()
        self.context.stash()

    def many(self, value):
        self.context.stash()

    def then_die(self, value):
        if not self.is_open:
            self.context.stash()
            if self.context.incarnation < 3:
                os.kill(os.getpid(), signal.SIGKILL)
        return value, self.context.incarnation

    def then_raise(self, value):
        if self.context.incarnation > 1:
            return value
        self.context.stash()
        raise ValueError("behind it")

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def hold(self, gate):
        gate.wait()


class Later(Actor):
    """Puts its answers off."""

    def __init__(self):
        self.kept = []

    def ask(self, value=None):
        self.kept.append(self.context.reply_later())
        return "not sent"

    def send(self, value):
        self.kept.pop(0).send(value)

    def send_all(self, value):
        while self.kept:
            self.kept.pop().send(value)

    def fail(self, text):
        self.kept.pop(0).fail(KeyError(text))

    def drop(self):
        self.kept.clear()

    def at_once(self, value):
        later = self.context.reply_later()
        later.send(value)
        return "not sent"

    def by_thread(self, value):
        later = self.context.reply_later()
        threading.Thread(target=later.send, args=(value,)).start()

    def forget(self):
        self.context.reply_later()

    def raises(self):
        self.kept.append(self.context.reply_later())
        raise ValueError("in the handler")

    def raises_with(self):
        with self.context.reply_later():
            raise ValueError("in the block")

    def leaves(self):
        with self.context.reply_later():
            raise SystemExit(3)

    def fail_with(self, kind):
        self.kept[0].fail(kind())

    def sends_what_cannot_travel(self):
        self.context.reply_later().send(threading.Lock())

    def raises_behind(self):
        self.context.reply_later().send(1)
        raise ValueError("behind the answer")

    def twice(self):
        later = self.context.reply_later()
        later.send(1)
        try:
            later.send(2)
        except RuntimeError as error:
            return self.kept.append(str(error))

    def both(self):
        self.kept.append(self.context.reply_later())
        try:
            self.context.reply_later()
        except RuntimeError as error:
            self.kept.pop().send(str(error))

    def told(self):
        try:
            self.context.reply_later()
        except RuntimeError as error:
            self.kept.append(str(error))

    def unsendable(self):
        later = self.context.reply_later()
        try:
            later.send(threading.Lock())
        except Exception as error:
            self.kept.append(type(error).__name__)

    def give(self, ref):
        ref.tell(self.kept.pop())

    def to(self, ref, method, *args):
        ref.tell(method, self.context.reply_later(), *args)

    def get(self):
        return self.kept

    def count(self):
        return len(self.kept)

    def incarnation(self):
        return self.context.incarnation

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def hold(self, gate):
        self.kept.append(self.context.reply_later())
        gate.wait()


class Door(Actor):
    """A state machine: closed, open; in two kinds of messages."""

    def __init__(self, starts_open=False):
        self.starts_open = starts_open

    def on_start(self):
        if self.starts_open:
            self.context.become(self.opened)

    def receive(self, message):
        if message == "open":
            self.context.become(self.opened)
        return f"closed: {message}"

    def opened(self, message):
        if message == "close":
            self.context.unbecome()
        if message == "lock":
            self.context.become(lambda message: f"locked: {message}")
        if message == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        return f"open: {message}"

    def back(self):
        self.context.unbecome()

    def wrong(self, what):
        self.context.become(what)

    def coroutine(self):
        async def handler(message):
            pass

        self.context.become(handler)
