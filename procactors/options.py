"""The words a user sets: how an actor is started, bounded, delivered to and restarted.

Layer: base. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: a default that hides a choice; a check that does not name the offending value.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import operator
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar, cast

from procactors.errors import InvalidSpec
from procactors.plain import plain

__all__ = ["Backoff", "Delivery", "Limits", "Options", "Overflow", "Recycle", "Restart", "Routing"]


_N = TypeVar("_N", int, float)


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
            _keep(self, name, _number(f"Backoff.{name}", getattr(self, name), lowest))
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
            _keep(self, "memory", _whole("Limits.memory (bytes)", self.memory, 1))
        if self.threads is not None:
            _keep(self, "threads", _whole("Limits.threads", self.threads, 1))
        if self.nice is not None:
            _keep(self, "nice", _whole("Limits.nice", self.nice, -20))
            if self.nice > 19:
                raise InvalidSpec(f"Limits.nice is a whole number up to 19, not {self.nice!r}")
        if self.cpu_affinity is not None:
            cpus = tuple(self.cpu_affinity)
            if not cpus:
                raise InvalidSpec("Limits.cpu_affinity names at least one CPU, or is None")
            each = "each number of Limits.cpu_affinity"
            _keep(self, "cpu_affinity", tuple(_whole(each, cpu, 0) for cpu in cpus))


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
            _keep(self, "messages", _whole("Recycle.messages", self.messages, 1))
        if self.seconds is not None:
            _keep(self, "seconds", _number("Recycle.seconds", self.seconds, 0.0))
            if self.seconds == 0:
                raise InvalidSpec("Recycle.seconds is more than 0: it would do nothing else")
        if self.memory_growth is not None:
            growth = _whole("Recycle.memory_growth (bytes)", self.memory_growth, 1)
            _keep(self, "memory_growth", growth)


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
        env: environment variables set in the actor before any of its code is imported; a path may
            stand for a string.
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
    env: Mapping[str, str | os.PathLike[str]] | None = None
    size: int | tuple[int, int] | None = None
    routing: Routing = Routing.LEAST_LOADED
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            raise InvalidSpec(f"name is a string that is not empty, not {self.name!r}")
        _keep(self, "name", plain(self.name))
        if self.mailbox is not None:
            what = "mailbox (capacity in messages, or None for unbounded)"
            _keep(self, "mailbox", _whole(what, self.mailbox, 1))
        _member("overflow", self.overflow, Overflow)
        _member("restart", self.restart, Restart)
        _keep(self, "max_restarts", _whole("max_restarts", self.max_restarts, 0))
        _keep(self, "within", _number("within", self.within, 0.0))
        if self.backoff is not None:
            _member("backoff", self.backoff, Backoff)
        _member("delivery", self.delivery, Delivery)
        _keep(self, "max_deliveries", _whole("max_deliveries", self.max_deliveries, 1))
        for name in ("handle_timeout", "start_timeout", "stop_timeout"):
            if getattr(self, name) is not None:
                _keep(self, name, _number(name, getattr(self, name), 0.0))
        if self.limits is not None:
            _member("limits", self.limits, Limits)
        if self.recycle_after is not None:
            _member("recycle_after", self.recycle_after, Recycle)
        _keep(self, "size", _size(self.size))
        _member("routing", self.routing, Routing)
        if self.env is not None:
            # A plain dict: it travels to the supervisor, which unpickles no user's classes.
            _keep(self, "env", _env(self.env))
        if self.seed is not None:
            _keep(self, "seed", _whole("seed", self.seed, 0))

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


def _keep(of: object, name: str, value: object) -> None:
    """Set a field of a frozen value to what its check has made of it: it travels, plain."""
    object.__setattr__(of, name, value)


def _whole(name: str, value: Any, lowest: int) -> int:
    """Return a whole number as an `int`, whatever library it is of."""
    whole = None if isinstance(value, bool) else _converted(operator.index, value)
    if whole is None or whole < lowest:
        raise InvalidSpec(f"{name} is a whole number of at least {lowest}, not {value!r}")
    return whole


def _number(name: str, value: Any, lowest: float) -> int | float:
    """Return a number as a `float` or `int`, whatever library it is of."""
    number: int | float | None = None
    if not isinstance(value, (bool, str, bytes)):
        number = _converted(operator.index, value)
        if number is None and hasattr(type(value), "__float__"):
            number = _converted(float, value)
    if number is None or math.isnan(number) or number < lowest:
        raise InvalidSpec(f"{name} is a number of at least {lowest}, not {value!r}")
    return number


def _converted(convert: Callable[[Any], _N], value: Any) -> _N | None:
    try:
        # Exactly: of a subclass, `index` returns the very object.
        return cast("_N", plain(convert(value)))
    except (TypeError, ValueError, OverflowError):  # no number; an array of several; too large
        return None


def _member(name: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise InvalidSpec(f"{name} is a {kind.__name__}, not {value!r}")


def _size(size: Any) -> int | tuple[int, int] | None:
    if size is None:
        return None
    if not isinstance(size, tuple):
        return _whole("size (workers of a pool)", size, 1)
    if len(size) != 2:
        raise InvalidSpec(f"size is a number of workers, or (least, most), not {size!r}")
    least = _whole("the least size", size[0], 1)
    return least, _whole("the most workers of size", size[1], least)


def _env(env: Any) -> dict[str, str]:
    if not isinstance(env, Mapping):
        raise InvalidSpec(f"env is a mapping of strings, not {env!r}")
    return {_variable(key): _variable(value, key) for key, value in env.items()}


def _variable(value: Any, of: Any = None) -> str:
    """Return a variable's name, or the value `of` that name, as the kernel will take it."""
    what = f"the value of {of!r}" if of is not None else "a name"
    if not isinstance(value, (str, os.PathLike)):
        raise InvalidSpec(f"env maps names to strings: {what} is {value!r}")
    plainly: str = plain(value)
    if of is None and (not plainly or "=" in plainly):
        raise InvalidSpec(
            f"env maps names to strings; a name has letters and no '=', not {value!r}"
        )
    try:
        known = b"\0" not in os.fsencode(plainly)
    except UnicodeEncodeError:  # half of a surrogate pair, that stands for no byte
        known = False
    if not known:
        raise InvalidSpec(f"env maps names to strings: {what} cannot be there, found {value!r}")
    return plainly
