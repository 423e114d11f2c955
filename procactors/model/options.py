"""The words a user sets: how an actor is started, bounded, delivered to and restarted.

Layer: model. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: a default that hides a choice; a check that does not name the offending value.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from procactors.errors import InvalidSpec
from procactors.late_dataclass import dataclass
from procactors.model.checks import (
    deadline,
    member,
    number,
    path,
    patience,
    suggestion,
    text,
    whole,
)
from procactors.model.choices import Delivery, Overflow, Restart, Routing

if TYPE_CHECKING:
    from typing import TypedDict

    from typing_extensions import Unpack

    class OptionWords(TypedDict, total=False):
        """The fields of `Options` as keywords, for editors and type checkers alone."""

        name: str | None
        mailbox: int | None
        overflow: Overflow
        restart: Restart
        max_restarts: int
        within: float
        backoff: Backoff | None
        delivery: Delivery
        max_deliveries: int
        max_concurrency: int
        handle_timeout: float | None
        start_timeout: float | None
        stop_timeout: float | None
        limits: Limits | None
        recycle_after: Recycle | None
        checkpoint: Checkpoint | None
        env: Mapping[str, str | os.PathLike[str]] | None
        size: int | tuple[int, int] | None
        routing: Routing | None
        seed: int | None
        ray: Mapping[str, Any] | None


__all__ = [
    "DEFAULTS",
    "OPTIONS",
    "Backoff",
    "Checkpoint",
    "Delivery",
    "Limits",
    "Options",
    "Overflow",
    "Recycle",
    "Restart",
    "Routing",
]


@dataclass(frozen=True)
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
        _set_fields(
            self,
            initial=number("Backoff.initial", self.initial, 0.0),
            maximum=number("Backoff.maximum", self.maximum, 0.0),
            factor=number("Backoff.factor", self.factor, 1.0),
            jitter=number("Backoff.jitter", self.jitter, 0.0, 1.0),
        )


@dataclass(frozen=True)
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
            _set_fields(self, memory=whole("Limits.memory (bytes)", self.memory, 1))
        if self.threads is not None:
            _set_fields(self, threads=whole("Limits.threads", self.threads, 1))
        if self.nice is not None:
            _set_fields(self, nice=whole("Limits.nice", self.nice, -20, 19))
        if self.cpu_affinity is not None:
            _set_fields(self, cpu_affinity=_cpus(self.cpu_affinity))


@dataclass(frozen=True)
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
            _set_fields(self, messages=whole("Recycle.messages", self.messages, 1))
        if self.seconds is not None:
            _set_fields(self, seconds=number("Recycle.seconds", self.seconds, 0.0))
            if self.seconds == 0:
                raise InvalidSpec("Recycle.seconds is more than 0: it would do nothing else")
        if self.memory_growth is not None:
            _set_fields(
                self, memory_growth=whole("Recycle.memory_growth (bytes)", self.memory_growth, 1)
            )


@dataclass(frozen=True)
class Checkpoint:
    """When an actor's state is written down, for the life that follows a crash.

    Between two messages the hook ``snapshot`` is called and its value written, whole or not at all;
    each later life gets the last one by ``restore``. Whichever bound is reached first counts. It is
    also written at each orderly end, if there were messages since.

    Args:
        messages: written behind each such number of messages; with 1, and
            ``Delivery.AT_LEAST_ONCE``, the state holds each message exactly once.
        seconds: written behind a message when so many seconds have passed since the last time, and
            without a message if there were some since; more than 0.
        file: where it is written, to outlive the program; one actor alone has it. None: it goes
            with the actor. Beside it stand ``file.lock``, while an actor has it, and ``file.new``,
            while it is written.

    Raises:
        InvalidSpec: neither bound, or a file that cannot be written.
    """

    messages: int | None = None
    seconds: float | None = None
    file: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.messages is None and self.seconds is None:
            raise InvalidSpec(
                "Checkpoint needs at least one of messages, seconds: say how often, as in "
                "Checkpoint(messages=1)"
            )
        if self.messages is not None:
            _set_fields(self, messages=whole("Checkpoint.messages", self.messages, 1))
        if self.seconds is not None:
            _set_fields(self, seconds=number("Checkpoint.seconds", self.seconds, 0.0))
            if self.seconds == 0:
                raise InvalidSpec(
                    "Checkpoint.seconds is more than 0; behind each message is messages=1"
                )
        if self.file is not None:
            _set_fields(self, file=_state_file(self.file))


@dataclass(frozen=True)
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
        max_concurrency: messages that an actor with ``async def`` handlers may have in hand at
            once: while one awaits, others are begun. 1: one at a time, in order.
        handle_timeout: seconds that one message may take; a handler that takes longer counts as
            hung: its stacks are dumped into the crash report, its process is killed and, by
            policy, restarted. So does an actor that takes no message for that long while some
            wait. None: handlers may take for ever.
        start_timeout: seconds for constructor and ``on_start``; None waits for ever.
        stop_timeout: seconds that a stop may take before the process is terminated; None
            takes the system's.
        limits: what its process may use; None sets no limit.
        recycle_after: when an incarnation makes way for a fresh one; None: never.
        checkpoint: when its state is written down, to outlive a crash; None: never.
        env: environment variables set in the actor before any of its code is imported.
        size: for pools: how many workers; a pair is the least and the most, between which the pool
            follows its load. None: one for each usable CPU.
        routing: for pools: which worker gets a call; None: the least loaded.
        seed: root of the actor's random numbers, from 0 on: incarnation n has the ``context.seed``
            ``seeds.derive(seed, n)``, in each run, and begins with the module `random` seeded by
            it. Two actors with the same root draw the same numbers: give each its own. None: a
            root that no other actor has, in no run.
        ray: with ``backend="ray"``, what Ray is to heed when it places the actor's process, as
            Ray's own ``options`` takes it: ``{"num_cpus": 1, "resources": {"fast": 1},
            "runtime_env": {...}, "scheduling_strategy": ...}``. None: Ray's defaults.
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
    max_concurrency: int = 1
    handle_timeout: float | None = None
    start_timeout: float | None = 60.0
    stop_timeout: float | None = None
    limits: Limits | None = None
    recycle_after: Recycle | None = None
    checkpoint: Checkpoint | None = None
    env: Mapping[str, str] | None = None
    size: int | tuple[int, int] | None = None
    routing: Routing | None = None
    seed: int | None = None
    ray: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        # As plain values: they travel to the supervisor, which unpickles no user's classes.
        if self.name is not None:
            _set_fields(self, name=text("name", self.name))
        if self.mailbox is not None:
            what = "mailbox (capacity in messages, or None for unbounded)"
            _set_fields(self, mailbox=whole(what, self.mailbox, 1))
        if self.env is not None:
            _set_fields(self, env=_environment(self.env))
        if self.ray is not None:
            _set_fields(self, ray=_ray_words(self.ray))
        if self.seed is not None:
            _set_fields(self, seed=whole("seed", self.seed, 0))
        if self.stop_timeout is not None:
            _set_fields(self, stop_timeout=deadline("stop_timeout", self.stop_timeout))
        _set_fields(
            self,
            max_restarts=whole("max_restarts", self.max_restarts, 0),
            within=number("within", self.within, 0.0),
            max_deliveries=whole("max_deliveries", self.max_deliveries, 1),
            max_concurrency=whole("max_concurrency", self.max_concurrency, 1),
            handle_timeout=patience("handle_timeout", self.handle_timeout),
            start_timeout=patience("start_timeout", self.start_timeout),
            size=_size(self.size),
        )
        self._check_kinds()

    def _check_kinds(self) -> None:
        member("overflow", self.overflow, Overflow)
        member("restart", self.restart, Restart)
        member("delivery", self.delivery, Delivery)
        kinds = {
            "backoff": Backoff,
            "limits": Limits,
            "recycle_after": Recycle,
            "checkpoint": Checkpoint,
            "routing": Routing,
        }
        for name, kind in kinds.items():
            if getattr(self, name) is not None:
                member(name, getattr(self, name), kind)

        if self.checkpoint is not None and self.max_concurrency > 1:
            raise InvalidSpec(
                f"a checkpoint is written between two messages, and with max_concurrency="
                f"{self.max_concurrency} there may be no such moment: leave one of both out"
            )

    def replace(self, **changes: Unpack[OptionWords]) -> Options:
        """Return options with some words changed; an unknown word is named with the known ones.

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        if not changes:
            return self  # as for most spawns: to make it anew would check every word again
        unknown = sorted(changes.keys() - OPTIONS)
        if unknown:
            hint = _ELSEWHERE.get(unknown[0]) or suggestion(unknown[0], OPTIONS)
            raise InvalidSpec(
                f"no option is called {unknown[0]!r}; there are {sorted(OPTIONS)}{hint}"
            )
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # made plain there


#: Words that are no options, and what to write instead.
_ELSEWHERE = {
    "timeout": "; of a call it is ref.options(timeout=...), of a start start_timeout",
    "buffer": "; it is of a ref, for its streams and feeds: ref.options(buffer=...)",
    "significant": "; it is for children of a tree: spec(...).options(significant=True)",
    "workers": "; the workers of a pool are its size",
    "max_workers": "; the workers of a pool are its size",
}
#: The words there are.
OPTIONS = {field.name for field in dataclasses.fields(Options)}


def _set_fields(thing: Any, **values: Any) -> None:
    """Write fields of a frozen dataclass, while it is being made."""
    for name, value in values.items():
        object.__setattr__(thing, name, value)


def _cpus(value: Any) -> tuple[int, ...]:
    if not isinstance(value, Iterable):
        raise InvalidSpec(f"Limits.cpu_affinity is a list of CPU numbers, or None, not {value!r}")
    cpus = tuple(whole("each number of Limits.cpu_affinity", cpu, 0) for cpu in value)
    if not cpus:
        raise InvalidSpec("Limits.cpu_affinity names at least one CPU, or is None")
    return cpus


def _state_file(file: Any) -> str:
    """Return the whole path of a checkpoint, which is what it means now, wherever actors run."""
    found = os.path.realpath(path("Checkpoint.file", file))
    folder = os.path.dirname(found)
    if not os.path.isdir(folder):
        raise InvalidSpec(f"Checkpoint.file: there is no folder {folder}; make it first")
    if os.path.exists(found) and not os.path.isfile(found):
        raise InvalidSpec(f"Checkpoint.file: {found} is no file; name one, which will be made")
    # Renamed files are written beside it; what is there is read first.
    if not os.access(folder, os.W_OK | os.X_OK) or (
        os.path.exists(found) and not os.access(found, os.R_OK | os.W_OK)
    ):
        raise InvalidSpec(f"Checkpoint.file: {found} cannot be written by this user")
    return found


def _size(size: Any) -> int | tuple[int, int] | None:
    if size is None:
        return None
    if not isinstance(size, (tuple, list)):
        return whole("size (workers of a pool, or a pair: the least, the most)", size, 1)
    if len(size) != 2:
        raise InvalidSpec(f"size is a number of workers, or (least, most), not {size!r}")
    least = whole("the least size", size[0], 1)
    return least, whole("the most workers of size", size[1], least)


def _is_for_the_kernel(value: str) -> bool:
    """Whether a text can be an environment variable's: no NUL, and bytes in the end."""
    try:
        return b"\0" not in os.fsencode(str.__str__(value))
    except UnicodeEncodeError:
        return False


#: Words of Ray's that say where a process is, and in what surroundings.
_RAY_WORDS = (
    "accelerator_type",
    "label_selector",
    "memory",
    "num_cpus",
    "num_gpus",
    "resources",
    "runtime_env",
    "scheduling_strategy",
)


def _ray_words(words: Any) -> dict[str, Any]:
    if not isinstance(words, Mapping) or not all(isinstance(word, str) for word in words):
        raise InvalidSpec(
            f'ray is a mapping of words of Ray\'s, as in ray={{"num_cpus": 1}}, not {words!r}'
        )
    for word in words:
        if word not in _RAY_WORDS:
            raise InvalidSpec(
                f"ray has no word {word!r} here: it takes {', '.join(_RAY_WORDS)}; restarts, "
                f"names and concurrency are options of procactors{suggestion(word, _RAY_WORDS)}"
            )
    return dict(words)


def _environment(env: Any) -> dict[str, str]:
    if not isinstance(env, Mapping):
        raise InvalidSpec(f"env is a mapping of names to strings, not {env!r}")
    plain = {}
    for key, value in env.items():
        good = isinstance(key, str) and key and "=" not in key and _is_for_the_kernel(key)
        if good and isinstance(value, os.PathLike):
            plain[str.__str__(key)] = path(f"env[{key!r}]", value)
        elif good and isinstance(value, str) and _is_for_the_kernel(value):
            plain[str.__str__(key)] = str.__str__(value)
        else:
            raise InvalidSpec(f"env maps names to strings, not {key!r} to {value!r}")
    return plain


#: Options of which nothing was said.
DEFAULTS = Options()
