"""Blueprints: an actor's class and arguments as bytes, read anew by each incarnation.

Layer: runtime. Runs in: parent and actor.
Owns: the files, until the supervisor has them.
Never: lets a mistake in the arguments travel: what the constructor cannot take is an error here.
"""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from procactors.errors import ActorStopped, InvalidSpec, SpawnError, StorageFull
from procactors.late import late
from procactors.model import commands as c
from procactors.model.handlers import (
    check_class,
    check_keeps,
    cure_for,
    refusal,
)
from procactors.model.options import OPTIONS, Options
from procactors.runner.method_table import table_of
from procactors.wire.pickling.codec import Encoded, join
from procactors.wire.raised import by_signal
from procactors.wire.transport import Transport

if TYPE_CHECKING:
    from procactors.model import tree as trees
    from procactors.model.tree import ChildSpec, Supervisor
else:
    trees = late("procactors.model.tree")

__all__ = ["check_options", "plan_of", "write_blueprint", "write_extra"]


def write_blueprint(
    endpoint: Transport,
    cls: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    say: str = "options({{}}).spawn({}, ...)",
) -> str:
    """Write the blueprint of an actor; return its path.

    Args:
        endpoint: of this process.
        cls: the actor's class.
        args: its constructor's arguments.
        kwargs: those by name.
        say: where options belong, with ``{}`` for the class's name and ``{{}}`` for the word.

    Raises:
        InvalidSpec: `cls` is no class, or none of an actor. TypeError: its constructor does not
            take these arguments. EncodeError: one of them cannot be pickled. SpawnError: no room.
    """
    endpoint.check_process()
    check_class("spawn", cls)
    _check_arguments(cls, args, kwargs, say.format(cls.__qualname__))
    what = f"{cls.__qualname__} arguments"
    return _write(endpoint, endpoint.encode((cls, args, kwargs), what, hands_over=True), what)


def check_options(options: Options, cls: Any) -> None:
    """Refuse options that are not for an actor of a class.

    Raises:
        InvalidSpec: a word of pools, several messages at once for a class that never awaits, or a
            checkpoint of one that cannot make any.
    """
    most = options.max_concurrency
    if most > 1 and isinstance(cls, type) and not table_of(cls).is_async:
        raise InvalidSpec(
            f"max_concurrency={most} is for actors whose handlers await, and {cls.__qualname__} "
            f"has no async def method: its messages would run one at a time all the same; make the "
            f"handlers that wait async def, or spawn several actors (a pool: options(size={most}))"
        )
    if options.checkpoint is not None and isinstance(cls, type):
        check_keeps(cls)
    if options.size is not None:
        raise InvalidSpec(f"size={options.size!r} is for pools: use options(size=...).pool(...)")
    if options.routing is not None:
        raise InvalidSpec(f"routing={options.routing} is for pools: use options(...).pool(...)")


def write_extra(endpoint: Transport, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Write further arguments of a dynamic child; return the file's path, empty for none."""
    if not args and not kwargs:
        return ""
    what = "arguments of the dynamic child"
    return _write(endpoint, endpoint.encode((args, kwargs), what, hands_over=True), what)


def plan_of(endpoint: Transport, tree: ChildSpec[Any] | Supervisor) -> Any:
    """Return a tree as the supervisor takes it, its blueprints written.

    Raises:
        What `write_blueprint` raises; then nothing is left of the others either.
    """
    written: list[str] = []

    def plan(node: ChildSpec[Any] | Supervisor) -> c.ActorPlan | c.SupervisorPlan:
        if isinstance(node, trees.ChildSpec):
            check_class("spec", node.cls)
            check_options(node.settings, node.cls)
            write = _write_part if id(node) in partial else write_blueprint
            blueprint = write(endpoint, node.cls, node.args, node.kwargs)
            written.append(blueprint)
            return c.ActorPlan(blueprint, node.cls.__qualname__, node.settings, node.significant)
        return c.SupervisorPlan(
            children=tuple(plan(child) for child in node.children),
            name=node.name,
            strategy=node.strategy,
            max_restarts=node.max_restarts,
            within=node.within,
            restart=node.restart,
            auto_shutdown=node.auto_shutdown,
            significant=node.significant,
        )

    partial = set(_dynamic(tree))
    try:
        return plan(tree)
    except BaseException:
        for path in written:
            with contextlib.suppress(OSError):
                os.unlink(path)
        raise


def _dynamic(tree: ChildSpec[Any] | Supervisor) -> list[int]:
    """Return the specs whose arguments are only a part: each copy brings the rest."""
    if isinstance(tree, trees.ChildSpec):
        return []
    if tree.is_dynamic:
        return [id(child) for child in tree.children]
    return [number for child in tree.children for number in _dynamic(child)]


def _write_part(
    endpoint: Transport, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> str:
    what = f"{cls.__qualname__} arguments"
    return _write(endpoint, endpoint.encode((cls, args, kwargs), what, hands_over=True), what)


def _write(endpoint: Transport, encoded: Encoded, what: str) -> str:
    name = f"actors/new-{os.urandom(8).hex()}"
    try:
        return endpoint.store.write_file(name, join(encoded), what=f"the {what}")
    except FileNotFoundError as error:
        raise ActorStopped("the actor system was stopped") from error
    except (OSError, StorageFull) as error:
        if by_signal(error):  # an alarm's TimeoutError, say
            raise
        raise SpawnError(str(error)) from error


def _check_arguments(
    cls: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], say: str
) -> None:
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError):
        return  # a class written in C: its constructor will tell
    if error := refusal(signature, args, kwargs):
        name = getattr(cls, "__qualname__", repr(cls))
        cure = cure_for(error, OPTIONS, say)
        raise TypeError(f"{name}{signature}: {error}{cure}")
