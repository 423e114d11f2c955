"""A backend without processes: actors are records of this test, the clock is its own.

Everything that a process would do by itself is an event in a queue, so that a test may look at each
instant. By default an actor is ready when it is started, and ends in order when it is stopped.
"""

from __future__ import annotations

import itertools
import signal
from collections import Counter, defaultdict, deque
from functools import partial

from procactors.crash import ExitKind, MessageInHand
from procactors.model import commands as c
from procactors.model.options import Options
from procactors.supervision.backend import Ended, ReplyTo
from procactors.supervision.health import Look
from procactors.supervision.supervision import Supervision
from procactors.wire.mailbox.black_box import (
    CLOSED,
    CLOSING,
    CONTROL,
    FAILED,
    HALT,
    HALTED,
    IN_HAND,
    LEAVE,
    LEFT,
    PHASE,
    RECYCLED,
    RUNNING,
    STARTING,
    STATE,
    STOPPED,
    STOPPING,
)
from procactors.wire.record import CHILD_FAILED, RESTARTED, SETTLED, TERMINATED

#: What a command has got that is not answered yet.
WAITS = "no answer yet"


class FakeHost:
    """One actor that runs nowhere."""

    def __init__(self, world, actor, name):
        self.world, self.id, self.name = world, actor, name
        self.words = Counter()
        self.pid = None
        self.life = None
        self.has_stop = False  # a stop lies in its mailbox
        self.ended, self.is_ending = Ended(None), False
        self.handler = None  # of the message in hand
        self.call = None  # reply pipe and id of that
        self.deliveries = 0
        #: Messages that are held out of the batch, each with how often it was begun before, and
        #: those that the next life is to begin again.
        self.held, self.waiting_again = [], []

    def note(self, what):
        self.world.log.append(f"{what} {self.name}")

    # its process

    def start(self, life):
        if self.world.refuses[self.name] > 0:
            self.world.refuses[self.name] -= 1
            raise OSError(24, "Too many open files")
        assert self.pid is None, "a second process"
        self.life, self.words[PHASE], self.handler = life, STARTING, None
        self.held, self.waiting_again = self.waiting_again, []
        self.is_ending = False
        self.note("start")
        if self.world.is_late:
            self.world.later(self.come_up, life.start)
        else:
            self.pid = next(self.world.pids)
        if self.world.broken[self.name] > 0:
            self.world.broken[self.name] -= 1
            self.world.later(partial(self.exit, 1, text="ValueError: broken"))
        elif self.name not in self.world.slow:
            self.world.later(self.get_ready, life.start)

    def come_up(self, start):
        if self.life.start == start and self.pid is None:
            self.pid = next(self.world.pids)
            self.world.supervision.lifecycle.started(self.id)

    def get_ready(self, start):
        if self.life.start != start or self.words[PHASE] != STARTING or self.is_ending:
            return
        self.words[PHASE] = RUNNING
        decides = self.name in self.world.decisions
        self.world.supervision.lifecycle.ready(self.id, start, decides)
        if self.has_stop:
            self.stop()

    def exit(self, code, phase=None, text="", **facts):
        """End the process; what it had in hand stays there."""
        if self.pid is None:
            return
        self.is_ending = True
        if phase is not None:
            self.words[PHASE] = phase
        self.ended = Ended(code, text=text, trace=text and f"Traceback: {text}", **facts)
        self.world.later(partial(self.gone, self.pid))

    def gone(self, pid):
        if self.pid == pid:
            self.world.supervision.lifecycle.gone(self.id)

    def send(self, number):
        if number == signal.SIGTERM and self.name not in self.world.deaf:
            self.exit(-signal.SIGTERM)

    def kill(self):
        self.note("kill")
        self.exit(-signal.SIGKILL)

    def is_suspended(self):
        return False

    def reap(self, start):
        assert self.life.start == start
        self.pid = None
        self.note("end")
        return self.ended

    def let_go(self):
        self.pid = None

    def sweeper(self):
        return lambda: self.world.swept.append((self.name, len(self.world.broken_off)))

    def look(self, now):
        return Look(now, 0, self.world.busy_since.get(self.name), False)

    def resident(self):
        return self.world.resident.get(self.name, 0)

    peak = resident

    def expect_dump(self):
        pass

    def dumped(self):
        return 0

    def forget_dump(self):
        pass

    # its mailbox

    def waiting(self):
        return 0

    def at_work(self):
        return self.handler

    def has_in_hand(self, reply, call):
        return self.handler is not None and self.call == (reply, call)

    def in_hand(self, is_alive=False):
        of_batch = [(self.handler, self.deliveries)] if self.handler else []
        found = of_batch + [(handler, begun) for handler, begun in self.held]
        return tuple(MessageInHand(handler, 0.0, begun + 1) for handler, begun in found)

    def crash_writer(self):
        return self.world.crashes.append

    def recover(self, report, most, unwanted=None):
        lost = []
        most = 0 if unwanted is not None and unwanted == self.call else most
        has_raised = report.reason.kind is ExitKind.ERROR
        if self.handler is not None:
            self.deliveries += 1
            if has_raised or self.deliveries >= most:
                lost.append(self.handler)
                self.deliveries = 0
        self.handler, self.words[STATE] = None, 0
        # Of those that it held none has raised: the one in the batch has.
        lost += [handler for handler, begun in self.held if begun + 1 >= most]
        self.waiting_again += [(h, begun + 1) for h, begun in self.held if begun + 1 < most]
        self.held = []
        return lambda whole: self.world.broken_off.extend((self.name, h, whole) for h in lost)

    def hold(self, handler):
        """Begin one more message beside what is in hand."""
        self.held.append((handler, 0))

    def work(self, handler):
        self.handler, self.words[STATE] = handler, IN_HAND

    def stop(self):
        self.has_stop = True
        if self.pid is not None and self.words[PHASE] == RUNNING:
            self.words[PHASE], self.words[CLOSED] = STOPPING, CLOSING
            if self.name not in self.world.stubborn:
                self.exit(0, STOPPED)

    def nudge(self):
        orders = {HALT: HALTED, LEAVE: STOPPED}
        idle = self.handler is None and self.name not in self.world.stubborn
        if idle and self.words[CONTROL] in orders and self.words[PHASE] == RUNNING:
            self.exit(0, orders[self.words[CONTROL]])

    def tell(self, what, actor, number, facts):
        names = {TERMINATED: "terminated", RESTARTED: "restarted", SETTLED: "settled"}
        if what != CHILD_FAILED:
            reason = facts and str(facts[2])
            self.world.told[self.name].append((names[what], facts and facts[0], reason))
            return
        self.world.asked.append(facts)
        directive = self.world.decisions[self.name]
        if directive is not None:
            self.world.later(partial(self.world.decide, facts[0], directive))

    def close_mailbox(self, why):
        self.note("close")
        self.world.why[self.name] = why
        for handler, _ in [(self.handler, 0)] * (self.handler is not None) + self.waiting_again:
            self.world.broken_off.append((self.name, handler, None))
        self.handler, self.waiting_again = None, []

    def take_blueprint(self, path, is_shared):
        pass

    def remove(self):
        assert self.pid is None, "removed with a process that runs"


class World:
    """One system: its backend, its clock, and its users."""

    def __init__(self, is_late=False):
        self.now = 100.0
        self.is_late = is_late  # processes are known only some time after their start
        self.pids = itertools.count(1000)
        self.calls = itertools.count(1)
        self.events, self.hosts = deque(), {}
        #: By name: starts that raise, starts that fail; actors that stand still when they are
        #: started, are stopped, or are sent SIGTERM.
        self.refuses, self.broken = Counter(), Counter()
        self.slow, self.stubborn, self.deaf = set(), set(), set()
        self.busy_since, self.resident = {}, {}
        self.decisions = {}  # by parent: what it says of children; None: nothing yet
        self.log, self.answers, self.why = [], {}, {}
        #: Calls whose callers wait no more.
        self.gone = set()
        self.told, self.asked = defaultdict(list), []
        self.crashes, self.broken_off, self.ends = [], [], []
        #: Sweeps: whose, and how many broken-off messages had been told of by then.
        self.swept = []
        self.failure, self.finished = None, False
        self.supervision = Supervision(
            self,
            stop_timeout=10.0,
            begin_end=lambda drain: None,
            finish=partial(setattr, self, "finished", True),
            fail=partial(setattr, self, "failure"),
            clock=lambda: self.now,
        )
        self.core = self.supervision.core

    # the backend

    def host(self, actor, name, class_name, options):
        host = self.hosts[name] = FakeHost(self, actor, name)
        return host

    def answer(self, who, value, trace=""):
        assert who.call in self.answers
        self.answers[who.call] = value
        return who.call not in self.gone

    def up(self, name):
        pass

    def forget(self, actor):
        pass

    def expect(self):
        pass

    def overdue(self):
        self.log.append("overdue")

    def judge(self, reason, now):
        return reason

    def was_short(self, peak):
        return False

    def ended(self, name, reason, handler, suspended):
        self.ends.append((name, str(reason)))

    # what happens

    def later(self, action, *args):
        self.events.append(partial(action, *args))

    def run(self):
        """Let everything happen that happens without time passing."""
        while self.events:
            self.supervision.event(self.events.popleft())

    def wait(self, seconds=0.0):
        """Let time pass, timer by timer."""
        self.run()
        until = self.now + seconds
        while self.core.timers and self.core.timers[0].when <= until:
            self.now = max(self.now, self.core.timers[0].when)
            self.supervision.run_timers()
            self.run()
        self.now = until

    # users

    def ask(self, command):
        """Give a command; return the number of the call."""
        who = ReplyTo(1, next(self.calls))
        self.answers[who.call] = WAITS
        self.supervision.do(command, who)
        return who.call

    def get(self, command):
        """Give a command, and let happen what happens at once; return the answer."""
        call = self.ask(command)
        self.run()
        return self.answers[call]

    def spawn(self, name, parent="", pooled=False, **options):
        above = self.id_of(parent) if parent else 0
        return self.get(c.Spawn("", "Actor", Options(name=name, **options), above, pooled))

    def supervise(self, plan):
        return self.get(c.Supervise(plan))

    def id_of(self, name):
        return self.hosts[name].id

    def state(self, name):
        return self.get(c.Describe(self.id_of(name)))

    def end_of(self, name):
        """Return how an actor has ended; None while it lives."""
        status = self.state(name)
        return status.reason and str(status.reason)

    def lives(self, name):
        return self.state(name).incarnation

    def up_names(self):
        return [a.name for a in self.core.actors.values() if a.host.pid and a.life.value == "up"]

    def decide(self, child, directive):
        incarnation = self.lives(child)
        self.supervision.do(
            c.DecideOnChild(self.id_of(child), incarnation, directive), ReplyTo(0, 0)
        )

    # ways to end

    def kill(self, name):
        self.hosts[name].exit(-signal.SIGKILL)
        self.run()

    def crash(self, name, text="Fault: on purpose"):
        self.hosts[name].exit(1, FAILED, text)
        self.run()

    def leave(self, name):
        self.hosts[name].exit(0, LEFT)
        self.run()

    def exits(self, name, code=3):
        self.hosts[name].exit(code)
        self.run()

    def recycle(self, name):
        self.hosts[name].exit(0, RECYCLED)
        self.run()

    def stop(self, name, timeout=None):
        """Stop an actor as a ref does: by a record in its mailbox, and a command."""
        call = self.ask(c.Stop(self.id_of(name), timeout))
        if name in [actor.name for actor in self.core.actors.values()]:
            self.hosts[name].stop()
        self.run()
        return self.answers[call]

    def stop_all(self, timeout=10.0, drain=True):
        return self.ask(c.StopAll(timeout, drain))

    def take_log(self):
        log, self.log = self.log, []
        return log
