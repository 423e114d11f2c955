"""Actors with timers. Each notes what it does in a file, which survives whatever kills it."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from procactors import Actor
from tests.support.faults import commit
from tests.support.notes import note


class Clock(Actor):
    """Sets timers at all moments of its life."""

    def __init__(self, path=None, period=None, in_start=None):
        self.path, self.in_start, self.timer = path, in_start, None
        if period is not None:
            self.timer = self.context.every(period, Clock.tick, "init")

    def on_start(self):
        if self.in_start is not None:
            self.context.every(self.in_start, Clock.tick, "start")

    def on_stop(self, reason):
        # Comes to nothing: no message is served any more.
        self.context.after(0, Clock.tick, "late")
        note(self.path, f"{self.context.incarnation} stop {reason.kind.value}")

    def tick(self, what):
        note(self.path, f"{self.context.incarnation} {what}")

    def incarnation(self):
        return self.context.incarnation

    def arm(self, seconds, what, name=None):
        self.context.after(seconds, Clock.tick, what, name=name)

    def repeat(self, seconds, what, name=None, now=False):
        self.context.every(seconds, Clock.tick, what, name=name, now=now)

    def give_up(self):
        return self.timer.cancel(), self.timer.active

    def flood(self, count, spread):
        """Set timers over `spread` seconds, in no order of their instants."""
        self.ran = []
        begin = time.monotonic() + 0.2
        for number in range(count):
            wait = max(0.0, begin + spread * (number * 7919 % count) / count - time.monotonic())
            span = [time.monotonic() + wait]
            self.context.after(wait, Clock.arrive, span)
            span.append(time.monotonic() + wait)

    def arrive(self, span):
        self.ran.append((*span, time.monotonic()))

    def have_run(self, count):
        """Return (earliest instant, latest, when it ran) of each, in order; None: not all yet."""
        return self.ran if len(self.ran) == count else None

    def wait_at(self, gate, what="message"):
        note(self.path, f"{self.context.incarnation} {what}")
        gate.wait()

    # -- what a timer does

    def commit_after(self, seconds, how, name=None):
        self.context.after(seconds, Clock.commit, how, name=name)

    def commit(self, how):
        commit(how)

    def commit_once(self, how):
        if self.context.incarnation == 1:
            self.context.after(0, Clock.commit, how)

    def hang_after(self, seconds, gate):
        self.context.after(seconds, Clock.hang, gate)

    def hang(self, gate):
        gate.wait()

    def fill_after(self, seconds):
        self.context.after(seconds, Clock.fill)

    def fill(self):
        taken = bytearray(512 << 20)
        taken[::4096] = b"x" * len(taken[::4096])
        time.sleep(3600)

    def leave_after(self, seconds):
        self.context.after(seconds, Clock.leave)
        self.context.after(seconds, Clock.tick, "behind the leaving")

    def leave(self):
        self.context.stop()

    def report_after(self, seconds):
        self.context.after(seconds, Clock.report, name="meter")

    def report(self):
        self.context.progress(1, 1)
        self.facts = (self.context.deadline, self.context.deliveries)

    def get_facts(self):
        return self.facts

    # -- mistakes

    def set_from_thread(self):
        caught = []

        def run():
            try:
                self.context.after(0, Clock.leave)
            except RuntimeError as error:
                caught.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return caught

    def set_in_copy(self):
        """In a forked copy of the process; return what it got there."""
        get, put = os.pipe()
        if (pid := os.fork()) == 0:
            try:
                self.context.after(0, Clock.leave)
            except BaseException as error:
                os.write(put, type(error).__name__.encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(put)
        with os.fdopen(get) as file:
            return file.read()

    def idle_without_hook(self):
        self.context.idle_after(1.0)


class Idler(Clock):
    """Hears of being idle."""

    def on_idle(self):
        note(self.path, f"{self.context.incarnation} idle")

    def idle_after(self, seconds):
        self.context.idle_after(seconds)


class FailingIdler(Idler):
    def on_idle(self):
        commit("exception")


class BadChild(Actor):
    """Its timer kills it in each life, as soon as it is up."""

    def __init__(self):
        self.context.after(0, BadChild.fail)

    def fail(self):
        commit("SIGKILL")

    def get(self):
        return 1


class AsyncClock(Actor):
    """The same with coroutines: timers among handlers that await."""

    def __init__(self, path):
        self.path = path
        self.event = None

    def note(self, text):
        note(self.path, text)

    async def slowly(self, what, seconds):
        self.note(f"begin {what}")
        await asyncio.sleep(seconds)
        self.note(f"end {what}")
        return what

    def tick(self, what):
        self.note(what)

    async def arm(self, seconds, what):
        self.context.after(seconds, AsyncClock.tick, what)

    async def arm_slow(self, seconds, what, takes):
        self.context.after(seconds, AsyncClock.slowly, what, takes)

    async def repeat_slow(self, period, what, takes):
        self.context.every(period, AsyncClock.slowly, what, takes, now=True)

    async def wait_for_timer(self, seconds):
        """Wait for an event that a timer sets, which this handler sets while it is at work."""
        if self.event is None:
            self.event = asyncio.Event()
        await asyncio.sleep(0)
        self.context.after(seconds, AsyncClock.release, name="release")
        await self.event.wait()
        return True

    async def wait_for_event(self):
        if self.event is None:
            self.event = asyncio.Event()
        await self.event.wait()
        return True

    def release(self):
        self.event.set()

    async def break_after(self, seconds):
        self.context.after(seconds, AsyncClock.breaks)

    async def breaks(self):
        await asyncio.sleep(0)
        commit("exception")

    async def hang_after(self, seconds):
        self.context.after(seconds, AsyncClock.hangs, name="stuck")

    async def hangs(self):
        await asyncio.Event().wait()

    async def incarnation(self):
        return self.context.incarnation

    async def facts_in_timer(self):
        done = asyncio.get_running_loop().create_future()
        self.context.after(0, AsyncClock.give_facts, done)
        return await done

    async def give_facts(self, done):
        await asyncio.sleep(0)
        done.set_result((self.context.deadline, self.context.deliveries))

    async def idle_after(self, seconds):
        self.context.idle_after(seconds)

    async def on_idle(self):
        await asyncio.sleep(0)
        self.note("idle")


class PrivateAsync(Actor):
    """Its only coroutine has a private name: it runs no event loop."""

    async def _tick(self):
        """Nothing."""

    def arm(self):
        self.context.after(0, PrivateAsync._tick)
