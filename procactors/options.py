"""The words a user sets: how an actor is started, bounded, delivered to and restarted.

Layer: base. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: a default that hides a choice; a check that does not name the offending value.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Collection, Mapping
from typing import Any

from procactors.errors import InvalidSpec

__all__ = ["Backoff", "Delivery", "Limits", "Options", "Overflow", "Recycle", "Restart", "Routing"]


class Overflow(enum.Enum):
    """What a send to a full bounded mailbox does.

    BLOCK: wait for a free place (up to the ref's ``timeout``, then ``MailboxFull``).
    RAISE: raise ``MailboxFull`` at once. DROP: a ``tell`` becomes a dead letter, an ``ask``
    raises ``MailboxFull``.
    """

    BLOCK = "block"
    RAISE = "raise"
    DROP = "drop"


class Routing(enum.Enum):
    """Which worker of a pool gets a call.

    LEAST_LOADED: whoever is free draws the next one from the pool's queue: one slow call delays
    no other. ROUND_ROBIN: each in turn. RANDOM: drawn by chance. CONSISTENT_HASH: by the call's
    first argument: calls with equal ones go to the same worker, as long as there is one.
    Except for the first, a call waits for its worker even if others are free.
    """

    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"
    RANDOM = "random"
    CONSISTENT_HASH = "consistent_hash"


class Restart(enum.Enum):
    """Which exits bring the actor back (OTP's restart types).

    ============  =======================  ==========================================
    policy        ``context.stop()``       exception in a tell, exit code, any signal
    ============  =======================  ==========================================
    PERMANENT     respawned                respawned
    TRANSIENT     stays down               respawned
    TEMPORARY     stays down               stays down
    ============  =======================  ==========================================

    An actor stopped from outside (``ref.stop()``, ``ref.kill()``) stays down under each.
    """

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class Delivery(enum.Enum):
    """What happens to the message in hand when its actor's process dies.

    AT_MOST_ONCE: it is reported (``ActorDied``, or a dead letter for a tell), never handled
    again. AT_LEAST_ONCE: the next incarnation gets it first, up to ``max_deliveries`` times.
    """

    AT_MOST_ONCE = "at_most_once"
    AT_LEAST_ONCE = "at_least_once"


@dataclasses.dataclass(frozen=True)
class Backoff:
    """How long to wait before each restart in a row.

    Args:
        initial: seconds before the second start in a row.
        maximum: longest wait, in seconds.
        factor: each further wait is this many times the last.
        jitter: share of the wait drawn at random, from 0.0 (none) to 1.0: actors that died
            together must not come back together.
    """

    initial: float = 0.1
    maximum: float = 5.0
    factor: float = 2.0
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name, lowest in (("initial", 0.0), ("maximum", 0.0), ("factor", 1.0), ("jitter", 0.0)):
            _number(f"Backoff.{name}", getattr(self, name), lowest)
        if self.jitter > 1.0:
            raise InvalidSpec(f"Backoff.jitter is a share from 0.0 to 1.0, not {self.jitter!r}")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one actor's process may use; set before any of its code is imported.

    Args:
        memory: resident bytes at which the process is ended (`ExitKind.MEMORY`); looked at a few
            times a second, so that a faster growth may pass it for a moment.
        cpu_affinity: numbers of the CPUs that it may run on.
        threads: threads of BLAS and OpenMP libraries; an environment variable that says otherwise
            wins.
        nice: niceness from -20 (first) to 19 (last); below the parent's own needs privilege.
    """

    memory: int | None = None
    cpu_affinity: Collection[int] | None = None
    threads: int | None = 1
    nice: int | None = None

    def __post_init__(self) -> None:
        if self.memory is not None:
            _whole("Limits.memory (bytes)", self.memory, 1)
        if self.threads is not None:
            _whole("Limits.threads", self.threads, 1)
        if self.nice is not None:
            _whole("Limits.nice", self.nice, -20)
            if self.nice > 19:
                raise InvalidSpec(f"Limits.nice is a whole number up to 19, not {self.nice!r}")
        if self.cpu_affinity is not None:
            cpus = tuple(self.cpu_affinity)
            if not cpus:
                raise InvalidSpec("Limits.cpu_affinity names at least one CPU, or is None")
            for cpu in cpus:
                _whole("each number of Limits.cpu_affinity", cpu, 0)
            object.__setattr__(self, "cpu_affinity", cpus)


@dataclasses.dataclass(frozen=True)
class Recycle:
    """When an incarnation makes way for a fresh one, at a message boundary.

    The mailbox stays, nothing is counted as a restart; state goes over by the hooks
    ``snapshot`` and ``restore``. Whichever bound is reached first counts; an ordered stop wins.

    Args:
        messages: messages that one incarnation handles at most.
        seconds: seconds for which one incarnation runs at most, idle or not; more than 0.
        memory_growth: bytes by which its resident memory may grow after its start; looked at
            behind each message, which costs some 7 microseconds.
    """

    messages: int | None = None
    seconds: float | None = None
    memory_growth: int | None = None

    def __post_init__(self) -> None:
        if self.messages is None and self.seconds is None and self.memory_growth is None:
            raise InvalidSpec("Recycle needs at least one of messages, seconds, memory_growth")
        if self.messages is not None:
            _whole("Recycle.messages", self.messages, 1)
        if self.seconds is not None:
            _number("Recycle.seconds", self.seconds, 0.0)
            if self.seconds == 0:
                raise InvalidSpec("Recycle.seconds is more than 0: it would do nothing else")
        if self.memory_growth is not None:
            _whole("Recycle.memory_growth (bytes)", self.memory_growth, 1)


@dataclasses.dataclass(frozen=True)
class Options:
    """Everything that can be said of one actor besides its class and arguments.

    Args:
        name: unique among the live actors of the system; made from the class if None.
        mailbox: capacity in messages; None is unbounded.
        overflow: what a send to a full mailbox does.
        restart: which exits bring the actor back.
        max_restarts: how many restarts are allowed inside any window of ``within`` seconds
            (OTP's restart intensity: a sliding window); one more and the actor stays down.
        within: length of that window in seconds.
        backoff: waits between restarts; None restarts at once.
        delivery: what happens to the message in hand at a death.
        max_deliveries: with ``AT_LEAST_ONCE``, how often one message may be begun at most.
        handle_timeout: seconds that one message may take; a handler that takes longer counts as
            hung: its stacks are dumped into the crash report, its process is killed and, by
            policy, restarted. So does an actor that takes no message for that long while some
            wait. None: handlers may take for ever.
        start_timeout: seconds for constructor and ``on_start``; None waits for ever.
        stop_timeout: seconds that a stop may take before the process is terminated; None
            takes the system's.
        limits: what its process may use; None sets no limit.
        recycle_after: when an incarnation makes way for a fresh one; None: never.
        env: environment variables set in the actor before any of its code is imported.
        size: for pools: how many workers; a pair is the least and the most, between which the pool
            follows its load. None: one for each usable CPU.
        routing: for pools: which worker gets a call.
        seed: root of the actor's random numbers, from 0 on: incarnation n has the ``context.seed``
            ``seeds.derive(seed, n)``, in each run, and begins with the module `random` seeded by
            it. Two actors with the same root draw the same numbers: give each its own. None: a
            root that no other actor has, in no run.
    """

    name: str | None = None
    mailbox: int | None = None
    overflow: Overflow = Overflow.BLOCK
    restart: Restart = Restart.TRANSIENT
    max_restarts: int = 3
    within: float = 5.0
    backoff: Backoff | None = None
    delivery: Delivery = Delivery.AT_MOST_ONCE
    max_deliveries: int = 3
    handle_timeout: float | None = None
    start_timeout: float | None = 60.0
    stop_timeout: float | None = None
    limits: Limits | None = None
    recycle_after: Recycle | None = None
    env: Mapping[str, str] | None = None
    size: int | tuple[int, int] | None = None
    routing: Routing = Routing.LEAST_LOADED
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            raise InvalidSpec(f"name is a string that is not empty, not {self.name!r}")
        if self.mailbox is not None:
            _whole("mailbox (capacity in messages, or None for unbounded)", self.mailbox, 1)
        _member("overflow", self.overflow, Overflow)
        _member("restart", self.restart, Restart)
        _whole("max_restarts", self.max_restarts, 0)
        _number("within", self.within, 0.0)
        if self.backoff is not None:
            _member("backoff", self.backoff, Backoff)
        _member("delivery", self.delivery, Delivery)
        _whole("max_deliveries", self.max_deliveries, 1)
        for name in ("handle_timeout", "start_timeout", "stop_timeout"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), 0.0)
        if self.limits is not None:
            _member("limits", self.limits, Limits)
        if self.recycle_after is not None:
            _member("recycle_after", self.recycle_after, Recycle)
        _check_size(self.size)
        _member("routing", self.routing, Routing)
        if self.env is not None:
            _check_env(self.env)
            # A plain dict: it travels to the supervisor, which unpickles no user's classes.
            object.__setattr__(self, "env", dict(self.env))
        if self.seed is not None:
            _whole("seed", self.seed, 0)

    def replace(self, **changes: Any) -> Options:
        """Return a copy with some words changed; an unknown word is named with the known ones.

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        known = {field.name for field in dataclasses.fields(self)}
        unknown = sorted(set(changes) - known)
        if unknown:
            raise InvalidSpec(f"no option is called {unknown[0]!r}; there are {sorted(known)}")
        return dataclasses.replace(self, **changes)


def _whole(name: str, value: Any, lowest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
        raise InvalidSpec(f"{name} is a whole number of at least {lowest}, not {value!r}")


def _number(name: str, value: Any, lowest: float) -> None:
    good = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not good or math.isnan(value) or value < lowest:
        raise InvalidSpec(f"{name} is a number of at least {lowest}, not {value!r}")


def _member(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidSpec(f"{name} is a {kind.__name__}, not {value!r}")


def _check_size(size: Any) -> None:
    if size is None:
        return
    if not isinstance(size, tuple):
        _whole("size (workers of a pool)", size, 1)
        return
    if len(size) != 2:
        raise InvalidSpec(f"size is a number of workers, or (least, most), not {size!r}")
    _whole("the least size", size[0], 1)
    _whole("the most workers of size", size[1], size[0])


def _check_env(env: Any) -> None:
    if not isinstance(env, Mapping):
        raise InvalidSpec(f"env is a mapping of strings, not {env!r}")
    for key, value in env.items():
        if not isinstance(key, str) or not isinstance(value, str) or not key or "=" in key:
            raise InvalidSpec(f"env maps names to strings, not {key!r} to {value!r}")
