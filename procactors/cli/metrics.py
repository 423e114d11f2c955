"""``procactors metrics``: how many messages each method has handled, and how long they took.

Layer: cli. Runs in: processes outside of the systems.
Owns: nothing that outlives the command.
Never: sends a message or a signal.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from procactors.cli.systems import add_system, chosen_system, print_json, seen
from procactors.cli.table import complain

if TYPE_CHECKING:
    import argparse

    from procactors.metrics import (
        ActorMetrics,
        CallMetrics,
        GroupMetrics,
        Histogram,
        MethodMetrics,
        Metrics,
    )

__all__ = ["add_to", "run"]

_TIMES = ("p50", "p99", "busy", "waited p50", "waited p99")
_COLUMNS = ("actor", "method", "handled", "errors", "items", *_TIMES)
_NUMBERS = _COLUMNS[2:]


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its arguments to the command line."""
    parser = commands.add_parser(
        "metrics",
        help="show what the methods of a running system's actors have handled, and how fast",
        description=(
            "Show how many messages each method has handled, how long that took and how long they "
            "waited, and the callers' round trips. No actor is asked. Actors that are named by "
            "their number are counted together, and so are those that are over. Exit code 4 when "
            "there is no such system or actor."
        ),
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one live actor, or one group")
    add_system(parser)
    parser.add_argument(
        "--prometheus", action="store_true", help="print Prometheus' text format, of all"
    )
    parser.set_defaults(run=seen(run))


def run(arguments: argparse.Namespace) -> int:
    """Print what there is, and return the exit code."""
    from procactors.errors import ActorStopped
    from procactors.metrics import snapshot_of
    from procactors.outside.systems import NoSystem

    view = chosen_system(arguments)
    try:
        found = snapshot_of(view.path)
    except ActorStopped as error:  # since it was found
        raise NoSystem(str(error)) from None
    if arguments.prometheus:
        return _print_prometheus(found, view.name)
    groups = _chosen(found, arguments.name)
    if arguments.json:
        calls = [] if arguments.name else [_call_as_json(call) for call in found.calls]
        print_json(
            {
                "system": view.name,
                "dead_letters": found.dead_letters,
                "groups": [_group_as_json(group) for group in groups],
                "calls": calls,
            }
        )
        return 0
    _print(found, groups, with_calls=arguments.name is None)
    return 0


def _chosen(found: Metrics, name: str | None) -> list[ActorMetrics | GroupMetrics]:
    if name is None:
        return list(found.groups())
    from procactors.outside.roster import NoActor

    chosen: list[ActorMetrics | GroupMetrics] = [*found.actors, *found.groups()]
    chosen = [one for one in chosen if one.name == name]
    if not chosen:
        raise NoActor(f"there is no actor or group {name!r} that has counted anything")
    return chosen[-1:]


def _print_prometheus(found: Metrics, name: str) -> int:
    try:
        from procactors.metrics.prometheus import exposition
    except ImportError as error:
        complain(str(error))
        return 1
    sys.stdout.write(exposition(found, name).decode())
    return 0


def _print(found: Metrics, groups: list[ActorMetrics | GroupMetrics], *, with_calls: bool) -> None:
    from procactors.cli.table import print_table

    rows = [[group.name, *_cells(method)] for group in groups for method in group.methods]
    print_table(_COLUMNS, rows, _NUMBERS)
    calls = [_call_cells(call) for call in found.calls if with_calls]
    if calls:
        print()
        print_table(("caller", "method", "answers", "p50", "p99"), calls, ("answers", "p50", "p99"))
    if with_calls:
        print(f"\ndead letters: {found.dead_letters}")


def _cells(method: MethodMetrics) -> Iterator[str]:
    yield method.name
    yield str(method.handled)
    yield str(method.errors)
    yield str(method.items) if method.items else ""
    yield from _quantiles(method.handling)
    yield time_of(method.handling.sum_s)
    yield from _quantiles(method.waiting)


def _call_cells(call: CallMetrics) -> list[str]:
    times = call.round_trip
    return [call.caller or "main", call.method, str(times.count), *_quantiles(times)]


def _quantiles(times: Histogram) -> Iterator[str]:
    for share in (0.5, 0.99):
        yield time_of(times.quantile(share))


def time_of(seconds: float | None) -> str:
    """Return a time for people, with the unit that gives it one to three digits."""
    if seconds is None:
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}" if seconds < 1000 * size else f"{seconds:.0f} s"
    return f"{seconds * 1e6:.3g} µs"


def _group_as_json(group: ActorMetrics | GroupMetrics) -> dict[str, Any]:
    facts = {
        field.name: getattr(group, field.name)
        for field in dataclasses.fields(group)
        if field.name != "methods"
    }
    return {**facts, "methods": [_method_as_json(method) for method in group.methods]}


def _method_as_json(method: MethodMetrics) -> dict[str, Any]:
    return {
        "name": method.name,
        "handled": method.handled,
        "errors": method.errors,
        "items": method.items,
        "handling": _times_as_json(method.handling),
        "waiting": _times_as_json(method.waiting),
    }


def _call_as_json(call: CallMetrics) -> dict[str, Any]:
    return {
        "caller": call.caller,
        "method": call.method,
        "round_trip": _times_as_json(call.round_trip),
    }


def _times_as_json(times: Histogram) -> dict[str, Any]:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    quantiles = {name: times.quantile(share) for name, share in shares.items()}
    return {"count": times.count, "sum_s": times.sum_s, **quantiles}
