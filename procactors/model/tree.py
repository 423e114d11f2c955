"""Supervision trees as data: what is started, in which order, and what follows from a death.

Layer: model. Runs in: parent and actor.
Owns: nothing; every class here is a value.
Never: starts anything: `ActorSystem.supervise` does.

    Supervisor(spec(Source, path).options(name="source"),
               Supervisor(spec(Worker), spec(Worker), strategy=Strategy.ONE_FOR_ALL),
               strategy=Strategy.REST_FOR_ONE, max_restarts=5, within=60.0)
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from procactors.errors import InvalidSpec
from procactors.model.checks import flag, member
from procactors.model.choices import AutoShutdown, Restart, Strategy
from procactors.model.handlers import check_class, check_keeps, cure_for
from procactors.model.options import OPTIONS, Options
from procactors.model.words import worded

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from procactors.model.options import OptionWords

__all__ = ["AutoShutdown", "ChildSpec", "Strategy", "Supervisor", "check_significant", "spec"]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")
P = ParamSpec("P")


@dataclasses.dataclass(frozen=True)
class ChildSpec(Generic[T_co]):
    """One actor of a tree: its class, its constructor's arguments and its options.

    Attributes:
        cls, args, kwargs: what is constructed, in each incarnation anew.
        settings: its options. Under a supervisor, the supervisor's ``max_restarts`` and
            ``within`` count, not the child's.
        significant: its own end may end its supervisor, if that has an `AutoShutdown`; not with
            ``Restart.PERMANENT``, which never ends by itself.

    Raises:
        InvalidSpec: a class of which no actor can be made, or a value that makes no sense.
    """

    cls: Callable[..., T_co]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = dataclasses.field(default_factory=dict)
    settings: Options = dataclasses.field(default_factory=Options)
    significant: bool = False

    def __post_init__(self) -> None:
        check_class("spec", self.cls)
        if not isinstance(self.args, tuple) or not isinstance(self.kwargs, Mapping):
            raise InvalidSpec(
                f"args is a tuple and kwargs a dict, not {self.args!r} and {self.kwargs!r}; "
                f"spec(Class, ...) makes them"
            )
        member("settings", self.settings, Options)
        if self.settings.checkpoint is not None:
            check_keeps(self.cls)
        if flag("significant", self.significant) and self.restart is Restart.PERMANENT:
            raise InvalidSpec(
                f"significant is for children that may end by themselves: {_name(self.cls)} is "
                f"PERMANENT; make it TRANSIENT or TEMPORARY"
            )

    @worded
    def options(
        self, *, significant: bool | None = None, **options: Unpack[OptionWords]
    ) -> ChildSpec[T_co]:
        """Return a copy with options changed (see `Options`).

        Raises:
            InvalidSpec: an unknown option, or a value that makes no sense.
        """
        settings = self.settings.replace(**options)
        marked = self.significant if significant is None else significant
        return dataclasses.replace(self, settings=settings, significant=marked)

    @property
    def name(self) -> str | None:
        """The child's name; None if the system makes one."""
        return self.settings.name

    @property
    def restart(self) -> Restart:
        """Which exits bring the child back."""
        return self.settings.restart


def spec(cls: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> ChildSpec[T]:
    """Return the spec of an actor of `cls`; ``.options(name=..., restart=...)`` says more.

    Raises:
        InvalidSpec: `cls` is no class, or has a handler that is no plain function. TypeError: an
            option stands among its arguments.
    """
    child = ChildSpec(cls, args, kwargs)
    if not OPTIONS.isdisjoint(kwargs):
        _check_words(child)
    return child


def _check_words(child: ChildSpec[Any]) -> None:
    """Refuse an option among the arguments of a class that does not take it."""
    try:
        # In part: of a dynamic supervisor's child, the rest comes with each copy.
        inspect.signature(child.cls).bind_partial(*child.args, **child.kwargs)
    except TypeError as error:
        name = _name(child.cls)
        cure = cure_for(error, OPTIONS, f"spec({name}, ...).options({{}})")
        raise TypeError(f"{name}: {error}{cure}") from None
    except ValueError:
        return  # a class written in C: its constructor will tell


class Supervisor:
    """A supervisor of a tree: its children in start order, and what follows from a death.

    A value: the same tree may be started more than once. Children are started in order, each
    after the former's ``on_start``, and stopped in reverse order.

    Args:
        children: specs of actors (`spec`) and supervisors, in start order; with
            ``Strategy.DYNAMIC`` exactly one spec, of which no child is started yet.
        strategy: which children are restarted when one dies.
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

    name: str | None
    significant: bool

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
            _check_child(child)
        member("strategy", strategy, Strategy)
        member("auto_shutdown", auto_shutdown, AutoShutdown)
        if strategy is Strategy.DYNAMIC and (
            len(children) != 1 or not isinstance(children[0], ChildSpec)
        ):
            raise InvalidSpec(
                f"a DYNAMIC supervisor has the one spec of which its children are copies, "
                f"found {len(children)} children"
            )
        if flag("significant", significant) and restart is Restart.PERMANENT:
            raise InvalidSpec("significant is for supervisors that may end: not for PERMANENT")
        for child in children:
            check_significant(child.significant, auto_shutdown, _shown(child))
        self.children = children
        self.strategy = strategy
        self.max_restarts = words.max_restarts
        self.within = float(words.within)
        self.name = words.name
        self.restart = restart
        self.auto_shutdown = auto_shutdown
        self.significant = bool(significant)
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


def check_significant(significant: bool, auto_shutdown: AutoShutdown, child: str) -> None:
    """Refuse a child whose end is to end a supervisor that takes no notice of it, as OTP does.

    Raises:
        InvalidSpec: it is significant, and the supervisor's `auto_shutdown` is NEVER.
    """
    if significant and auto_shutdown is AutoShutdown.NEVER:
        raise InvalidSpec(
            f"{child} is significant, but its supervisor has no auto_shutdown: give it "
            f"AutoShutdown.ANY_SIGNIFICANT or ALL_SIGNIFICANT, or leave significant out"
        )


def _check_child(child: Any) -> None:
    if isinstance(child, (ChildSpec, Supervisor)):
        return
    cure = ""
    if isinstance(child, type):
        cure = f"; say spec({child.__qualname__}, ...)"
    elif isinstance(child, (list, tuple)):
        cure = "; children are arguments: Supervisor(*children)"
    raise InvalidSpec(
        f"a supervisor's child is spec(Class, ...) or Supervisor(...), not {child!r}{cure}"
    )


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


def _shown(child: ChildSpec[Any] | Supervisor) -> str:
    what = f"spec({_name(child.cls)})" if isinstance(child, ChildSpec) else repr(child)
    return what if child.name is None else f"{what} named {child.name!r}"


def _name(cls: Any) -> str:
    return getattr(cls, "__qualname__", repr(cls))
