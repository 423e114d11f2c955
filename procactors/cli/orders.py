"""``procactors stop``, ``kill``, ``suspend`` and ``resume``: orders to a running system.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: waits for a parent that does not answer: exit code 5.
"""

from __future__ import annotations

import contextlib
import select
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from procactors.cli.arguments import seconds
from procactors.cli.systems import SILENT, add_system, chosen_system, near_system, print_json, seen
from procactors.cli.table import say
from procactors.model.plain_text import plain

if TYPE_CHECKING:
    import argparse

    from procactors.outside.roster import ActorView
    from procactors.outside.systems import SystemView

__all__ = ["add_to"]

#: Seconds beyond a stop's own time in which its answer comes, and between looks for an end.
_SLACK_S, _LOOK_S = 5.0, 0.05
#: Seconds of a stop that names none, as `ActorSystem` has them; an actor's own may be longer.
_STOP_S = 10.0

_NAMES = "names of actors; * and ? stand for any characters"


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands and their arguments to the command line."""
    stop = commands.add_parser(
        "stop",
        help="stop actors of a running system, or all of it",
        description=(
            "Stop actors for good: each finishes its mailbox, at the deadline it is killed. With "
            "--all the whole system stops, as by system.stop(). A suspended actor goes on to its "
            "end. Exit codes: 1 when one could not be stopped, 4 for no such actor, 5 when the "
            "parent does not answer."
        ),
    )
    stop.add_argument("names", nargs="*", metavar="NAME", help=_NAMES)
    stop.add_argument("--all", action="store_true", help="stop the whole system")
    stop.add_argument(
        "--timeout", type=seconds, metavar="SECONDS", help="deadline of the stop; default: its own"
    )
    kill = commands.add_parser(
        "kill",
        help="kill actors of a running system",
        description=(
            "End actors by SIGKILL, for good. With --now past the parent, when that does not "
            "answer: to its supervisor that is a crash, and a restart may follow."
        ),
    )
    kill.add_argument("names", nargs="+", metavar="NAME", help=_NAMES)
    kill.add_argument("--now", action="store_true", help="do not ask the parent")
    suspend = commands.add_parser(
        "suspend",
        help="stop the processes of actors until they are resumed",
        description=(
            "Stop the processes of actors by SIGSTOP. Their messages wait; handle_timeout does not "
            "end them meanwhile, but who asks them with a timeout gets AskTimeout."
        ),
    )
    suspend.add_argument("names", nargs="+", metavar="NAME", help=_NAMES)
    resume = commands.add_parser(
        "resume",
        help="let suspended actors go on",
        description="Let the processes of actors go on that are stopped, by whomever.",
    )
    resume.add_argument("names", nargs="+", metavar="NAME", help=_NAMES)
    for parser, run in ((stop, _stop), (kill, _kill), (suspend, _suspend), (resume, _resume)):
        add_system(parser)
        parser.set_defaults(run=seen(run), order=run.__name__.strip("_"))
        parser.set_defaults(refuse=parser.error)


def _stop(arguments: argparse.Namespace) -> int:
    from procactors.model import commands as c

    if bool(arguments.names) == arguments.all:
        arguments.refuse("name the actors, or give --all for the whole system")
    view = chosen_system(arguments)
    if arguments.all:
        return _stop_system(view, arguments)
    timeout: float | None = arguments.timeout
    rows = _meant(view, arguments.names)
    _refuse_inboxes(arguments, rows)
    orders = [
        c.StopSupervisor(row.id, timeout) if row.kind == "supervisor" else c.Stop(row.id, timeout)
        for row in rows
    ]
    return _order(view, arguments, rows, orders, (timeout or _STOP_S) + _SLACK_S)


def _kill(arguments: argparse.Namespace) -> int:
    from procactors.model import commands as c

    view = near_system(arguments) if arguments.now else chosen_system(arguments)
    rows = _meant(view, arguments.names)
    _refuse_inboxes(arguments, rows)
    if arguments.now:
        return _kill_now(view, arguments, rows)
    orders = [
        c.StopSupervisor(row.id, 0.0) if row.kind == "supervisor" else c.Kill(row.id)
        for row in rows
    ]
    return _order(view, arguments, rows, orders, _SLACK_S)


def _suspend(arguments: argparse.Namespace) -> int:
    from procactors.model import commands as c

    view = chosen_system(arguments)
    rows = _with_processes(arguments, _meant(view, arguments.names))
    return _order(view, arguments, rows, [c.Suspend(row.id) for row in rows], _SLACK_S)


def _resume(arguments: argparse.Namespace) -> int:
    from procactors.model import commands as c

    view = chosen_system(arguments)
    rows = _with_processes(arguments, _meant(view, arguments.names))
    return _order(view, arguments, rows, [c.Resume(row.id) for row in rows], _SLACK_S)


def _with_processes(arguments: argparse.Namespace, rows: list[ActorView]) -> list[ActorView]:
    for row in rows:
        if row.kind != "actor":
            name = plain(row.name)
            arguments.refuse(f"{name} has no process of its own, being of kind {row.kind}")
    return rows


def _refuse_inboxes(arguments: argparse.Namespace, rows: list[ActorView]) -> None:
    for row in rows:
        if row.kind == "inbox":
            name = plain(row.name)
            arguments.refuse(f"{name} is an inbox of the program itself, and ends with it")


def _meant(view: SystemView, names: list[str]) -> list[ActorView]:
    from procactors.outside.roster import Roster

    with Roster(view.path) as roster:
        return roster.match(names)


def _order(
    view: SystemView,
    arguments: argparse.Namespace,
    rows: list[ActorView],
    orders: list[Any],
    timeout: float,
) -> int:
    """Give orders, one for each row; say what came of each, and return the exit code."""
    from procactors.outside.guest import Guest, Late, NoAnswer

    with Guest(view.path) as guest:
        guest.ask(None)  # one that does not answer is told apart from a stop that takes its time
        outcomes = guest.ask_all(orders, timeout)
        if any(isinstance(outcome, NoAnswer) for outcome in outcomes):
            with contextlib.suppress(NoAnswer):
                guest.ask(None)
                late = Late(f"it is not done within {timeout:g} s; the parent goes on with it")
                outcomes = [late if isinstance(one, NoAnswer) else one for one in outcomes]
    return _told(arguments, rows, outcomes)


def _told(arguments: argparse.Namespace, rows: list[ActorView], outcomes: list[Any]) -> int:
    from procactors.outside.guest import NoAnswer

    results, code = [], 0
    for row, outcome in zip(rows, outcomes, strict=True):
        error = str(outcome) if isinstance(outcome, BaseException) else None
        said = error or _says(arguments.order, outcome)
        reason = outcome.to_dict() if hasattr(outcome, "to_dict") else None
        results.append({"id": row.id, "name": row.name, "reason": reason, "error": error})
        if not arguments.json:
            print(plain(f"{row.name}: {said}"), file=sys.stderr if error else sys.stdout)
        if error:
            code = max(code, SILENT if isinstance(outcome, NoAnswer) else 1)
    if arguments.json:
        print_json({"results": results})
    return code


def _says(order: str, outcome: Any) -> str:
    if order in ("suspend", "resume"):
        return f"{'suspended' if order == 'suspend' else 'goes on'} (pid {outcome})"
    return str(outcome)


def _kill_now(view: SystemView, arguments: argparse.Namespace, rows: list[ActorView]) -> int:
    from procactors.errors import ActorStopped
    from procactors.outside.direct import kill_now

    outcomes = [
        f"SIGKILL was sent to pid {row.pid}"
        if kill_now(view.path, row)
        else ActorStopped("has no process now")
        for row in rows
    ]
    return _told(arguments, rows, outcomes)


def _stop_system(view: SystemView, arguments: argparse.Namespace) -> int:
    from procactors.model import commands as c
    from procactors.outside.guest import Guest
    from procactors.outside.systems import is_running

    timeout: float | None = arguments.timeout
    with Guest(view.path) as guest:
        guest.ask(c.StopSystem(timeout))
    until = monotonic() + (_STOP_S if timeout is None else timeout) + 2 * _SLACK_S
    waiting = select.poll()
    while is_running(view.path) and monotonic() < until:
        waiting.poll(_LOOK_S * 1000)
    has_ended = not is_running(view.path)
    if arguments.json:
        print_json({"system": view.name, "stopped": has_ended})
    else:
        say(f"{view.name}: {'stopped' if has_ended else 'still stopping'}")
    return 0 if has_ended else SILENT
