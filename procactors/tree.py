"""Supervision trees as data: what is started, in which order, and what follows from a death.

Layer: base. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: starts anything: `ActorSystem.supervise` does.

    Supervisor(spec(Source, path).options(name="source"),
               Supervisor(spec(Worker), spec(Worker), strategy=Strategy.ONE_FOR_ALL),
               strategy=Strategy.REST_FOR_ONE, max_restarts=5, within=60.0)
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

from procactors.errors import InvalidSpec
from procactors.options import Options, Restart

__all__ = ["AutoShutdown", "ChildSpec", "Strategy", "Supervisor", "spec"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
P = ParamSpec("P")


class Strategy(enum.Enum):
    """Who is restarted when one child dies and its restart policy asks for a restart (OTP's).

    ONE_FOR_ONE: that child. ONE_FOR_ALL: all children, those before it too. REST_FOR_ONE: it and
    the children that were started after it. DYNAMIC (OTP's simple_one_for_one): children are
    copies of one spec, started by `SupervisorRef.start_child`; each one for itself.
    """

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    DYNAMIC = "dynamic"


class AutoShutdown(enum.Enum):
    """Whether a supervisor stops by itself when `significant` children end by themselves (OTP's).

    NEVER: no. ANY_SIGNIFICANT: with the first of them. ALL_SIGNIFICANT: with the last of them.
    """

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


@dataclasses.dataclass(frozen=True)
class ChildSpec(Generic[T_co]):
    """One actor of a tree: its class, its constructor's arguments and its options.

    Attributes:
        cls, args, kwargs: what is constructed, in each incarnation anew.
        settings: its options. Under a supervisor, the supervisor's ``max_restarts`` and
            ``within`` count, not the child's.
        significant: its own end may end its supervisor (see `AutoShutdown`); not with
            ``Restart.PERMANENT``, which never ends by itself.
    """

    cls: Callable[..., T_co]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: Options = dataclasses.field(default_factory=Options)
    significant: bool = False

    def options(self, *, significant: bool | None = None, **options: Any) -> ChildSpec[T_co]:
        """Return a copy with options changed (see `Options`).

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        settings = self.settings.replace(**options)
        marked = self.significant if significant is None else significant
        if marked and settings.restart is Restart.PERMANENT:
            raise InvalidSpec(
                f"significant is for children that may end by themselves: {_name(self.cls)} is "
                f"PERMANENT; make it TRANSIENT or TEMPORARY"
            )
        return dataclasses.replace(self, settings=settings, significant=bool(marked))

    @property
    def name(self) -> str | None:
        """The child's name; None if the system makes one."""
        return self.settings.name

    @property
    def restart(self) -> Restart:
        """Which exits bring it back."""
        return self.settings.restart


def spec(cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ChildSpec[T]:
    """Return the spec of an actor of `cls`; ``.options(name=..., restart=...)`` says more.

    Raises:
        InvalidSpec: `cls` is no class.
    """
    if not isinstance(cls, type):
        raise InvalidSpec(f"spec takes a class, then its arguments; {cls!r} is no class")
    return ChildSpec(cls, args, kwargs)


class Supervisor:
    """A supervisor of a tree: its children in start order, and what follows from a death.

    A value: the same tree may be started more than once. Children are started in order, each
    after the former's ``on_start``, and stopped in reverse order.

    Args:
        children: specs of actors (`spec`) and supervisors, in start order; with
            ``Strategy.DYNAMIC`` exactly one spec, of which no child is started yet.
        strategy: who is restarted when one child dies.
        max_restarts, within: how many restarts are allowed inside any window of ``within``
            seconds; with one more, the supervisor stops its children and gives up: its own
            supervisor restarts it, or gives up in turn; a root's giving up ends the system.
        name: for `SupervisorRef.name` and listings; made up if None.
        restart: which ends of this supervisor its own supervisor restarts. As in OTP, giving up
            is an orderly end: a TRANSIENT supervisor that gives up is not restarted.
        auto_shutdown: whether it stops when significant children end.
        significant: its own end may end its supervisor.

    Raises:
        InvalidSpec: a child that is no spec, two children of one name, a value that makes no
            sense.
    """

    def __init__(
        self,
        *children: ChildSpec[Any] | Supervisor,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        max_restarts: int = 3,
        within: float = 5.0,
        name: str | None = None,
        restart: Restart = Restart.PERMANENT,
        auto_shutdown: AutoShutdown = AutoShutdown.NEVER,
        significant: bool = False,
    ) -> None:
        # `Options` knows the checks of these words.
        words = Options(name=name, restart=restart, max_restarts=max_restarts, within=within)
        for child in children:
            if not isinstance(child, (ChildSpec, Supervisor)):
                raise InvalidSpec(
                    f"a supervisor's child is spec(Class, ...) or Supervisor(...), not {child!r}"
                )
        for value, kind in ((strategy, Strategy), (auto_shutdown, AutoShutdown)):
            if not isinstance(value, kind):
                raise InvalidSpec(f"expected one of {list(kind)}, found {value!r}")
        if strategy is Strategy.DYNAMIC and (
            len(children) != 1 or not isinstance(children[0], ChildSpec)
        ):
            raise InvalidSpec(
                f"a DYNAMIC supervisor has the one spec of which its children are copies, "
                f"found {len(children)} children"
            )
        if significant and restart is Restart.PERMANENT:
            raise InvalidSpec("significant is for supervisors that may end: not for PERMANENT")
        self.children = children
        self.strategy = strategy
        self.max_restarts = words.max_restarts
        self.within = float(words.within)
        self.name = words.name
        self.restart = restart
        self.auto_shutdown = auto_shutdown
        self.significant = significant
        _check_names(self)

    @property
    def is_dynamic(self) -> bool:
        """Whether its children are copies of one spec, started on demand."""
        return self.strategy is Strategy.DYNAMIC

    def __iter__(self) -> Iterator[ChildSpec[Any] | Supervisor]:
        return iter(self.children)

    def __repr__(self) -> str:
        name = f" {self.name}" if self.name else ""
        return f"<Supervisor{name} {self.strategy.value} of {len(self.children)}>"


def _check_names(tree: Supervisor) -> None:
    seen: set[str] = set()
    for name in _names(tree):
        if name in seen:
            raise InvalidSpec(f"two children of one tree are named {name!r}")
        seen.add(name)


def _names(tree: Supervisor) -> Iterator[str]:
    for child in tree.children:
        if child.name is not None:
            yield child.name
        if isinstance(child, Supervisor):
            yield from _names(child)


def _name(cls: Any) -> str:
    return getattr(cls, "__qualname__", repr(cls))
