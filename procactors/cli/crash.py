"""``procactors crash``: a crash report that a system wrote, for people.

Layer: cli. Runs in: the command's process.
Owns: nothing: the files are the user's.
Never: unpickles the message in hand but for ``--load``: that runs what its sender put into it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pickle
import sys
from typing import Any

from procactors.model.plain_text import plain

__all__ = ["add_to", "run"]

_UNPICKLES = (
    "It unpickles the message, which runs what its sender put into it: do it only to files that "
    "only you could write. What killed an actor may kill this command too."
)
#: Most characters of a message that are shown.
_MOST_SHOWN = 2000

#: What to do next, by the kind of the end.
_NEXT = {
    "error": "The traceback names the place.",
    "exit": (
        "Something in the handler has ended the process: sys.exit, os._exit, or C code. "
        "Search for it."
    ),
    "signal": "The stacks say where it was.",
    "hang": (
        "The stacks say where it stood. It was longer at work than handle_timeout allows: raise "
        "that, or have the handler do less at a time."
    ),
    "memory limit": (
        "It held more than Limits(memory=...) allows: raise that, or find what it keeps; "
        "recycle_after=Recycle(memory_growth=...) makes way in time."
    ),
    "out of memory": (
        "The kernel had no memory left. See what is granted here (procactors doctor) and what else "
        "runs; give actors Limits(memory=...), so that one ends in time, and says why."
    ),
    "start": (
        "It did not come up: what __init__ or on_start raised is above. Its restart policy says "
        "whether that is tried again."
    ),
    "killed": (
        "The runtime has killed it: it was told to, or a stop took longer than stop_timeout."
    ),
    "unknown": (
        "No process was left that knows how it ended: look into the system's journal of that time "
        "(dmesg, journalctl -k)."
    ),
}
_SIGKILL = (
    "SIGKILL came from outside: a person, a service manager, or the kernel for lack of memory "
    "(dmesg, journalctl -k at that time says so)."
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command, its argument and its options to the command line."""
    parser = commands.add_parser(
        "crash",
        help="show a crash report that a system wrote, or list those of a folder",
        description=(
            "Show a report as ActorSystem(crash_dir=...) writes it: who ended, why, with what in "
            "hand, and what to do next. Of a folder, list the reports, newest first. Exit code 2 "
            f"if there is no such file, or it is no report. With --load: {_UNPICKLES}"
        ),
    )
    parser.add_argument("path", metavar="FILE", help="the report, or the folder")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    parser.add_argument("--load", action="store_true", help="show the message; this unpickles it")
    parser.set_defaults(run=run, usage_error=parser.error)


def run(arguments: argparse.Namespace) -> int:
    """Show the report or the folder; return the exit code."""
    facts: dict[str, Any] = {}
    try:
        if os.path.isdir(arguments.path):
            return _list(arguments)
        facts = _read(arguments.path)
    except OSError as error:
        arguments.usage_error(f"{arguments.path}: {error.strerror}")
    except ValueError as error:
        arguments.usage_error(f"{arguments.path} is no crash report: {error}")
    if arguments.json:
        print(json.dumps({**facts, **_loaded(arguments, facts)}, indent=2))
        return 0
    _show(facts)
    _print_part("what to do next", _next_step(arguments.path, facts))
    for name, text in _loaded(arguments, facts).items():
        _print_part(name.replace("_", " "), text)
    return 0


def _read(path: str) -> dict[str, Any]:
    """Return a report's facts.

    Raises:
        ValueError: it is none.
    """
    with open(path, encoding="utf-8", errors="replace") as file:
        facts = json.load(file)
    if not isinstance(facts, dict) or not {"actor", "summary", "reason"} <= facts.keys():
        raise ValueError("expected one JSON object with actor, summary and reason")
    if not isinstance(facts["reason"], dict):
        raise ValueError("expected the parts of the reason")  # noqa: TRY004 - as what is no report
    return facts


# -- a folder -----------------------------------------------------------------------------------


def _list(arguments: argparse.Namespace) -> int:
    found = []
    for name in os.listdir(arguments.path):
        if name.endswith(".json"):
            try:
                found.append((name, _read(os.path.join(arguments.path, name))))
            except (OSError, ValueError):  # another's, or just being removed
                continue
    # By the time of the death: the files may have been copied.
    found.sort(key=lambda one: (str(one[1].get("at")), one[0]), reverse=True)
    if arguments.json:
        listed = [{"file": name, **facts} for name, facts in found]
        print(json.dumps(listed, indent=2))
        return 0
    if not found:
        print(f"no crash report in {arguments.path}")
    for name, facts in found:
        at = plain(str(facts.get("at", "")))[:19].replace("T", " ")
        print(f"{at}  {plain(str(facts['summary']).partition(chr(10))[0])}")
        print(f"{'':21}{plain(name)}")
    return 0


# -- a report -----------------------------------------------------------------------------------


def _show(facts: dict[str, Any]) -> None:
    _print_heading(str(facts["summary"]).partition("\n")[0], "bold red")
    for name, value in _facts(facts).items():
        print(f"  {name:<12}{plain(value)}")
    for title, key in (
        ("traceback", "traceback"),
        ("stacks", "native_stack"),
        ("last lines of its log", "log"),
    ):
        if text := facts.get(key):
            _print_part(title, str(text))


def _facts(facts: dict[str, Any]) -> dict[str, str]:
    """Return what is known, for people; what is not known is left out."""
    reason, message = facts["reason"], facts.get("message") or {}
    peak = facts.get("peak_memory") or 0
    shown = {
        "actor": f"{facts['actor']}, incarnation {facts.get('incarnation')}, "
        f"pid {facts.get('pid')}",
        "time": str(facts.get("at", "")),
        "why": str(reason.get("says", "")),
        "handler": _handler(facts),
        "in hand": ", ".join(
            f"{one.get('handler')} for {one.get('busy_s', 0):.2f} s"
            for one in (facts.get("in_hand") or ())[1:]
        ),
        "message": _message(message),
        "up for": f"{facts['ran_s']:.1f} s" if facts.get("ran_s") else "",
        "handled": f"{facts.get('handled', 0)} messages before, over all incarnations",
        "memory": f"{peak / 1e6:.1f} MB at most" if peak else "",
        "short": "memory was nearly used up" if facts.get("memory_was_short") else "",
        "python": str(facts.get("python", "")),
    }
    return {name: text for name, text in shown.items() if text}


def _handler(facts: dict[str, Any]) -> str:
    if not facts.get("handler"):
        return "none: it was idle"
    text = f"{facts['handler']}, for {facts.get('busy_s', 0):.2f} s"
    deliveries = facts.get("deliveries", 0)
    return f"{text}, begun {deliveries} times" if deliveries > 1 else text


def _message(message: dict[str, Any]) -> str:
    if "left_out" in message:
        return f"left out: {message['left_out']}"
    if not message.get("file"):
        return ""
    needs = ", ".join(map(str, message.get("needs", ())))
    return f"{message['file']}, {message.get('bytes')} bytes; to load it takes {needs}"


def _next_step(path: str, facts: dict[str, Any]) -> str:
    reason = facts["reason"]
    text = _NEXT.get(str(reason.get("kind")), "Nothing: it ended in order.")
    if reason.get("kind") == "signal" and reason.get("signal") == "SIGKILL":
        text = _SIGKILL
    if (facts.get("message") or {}).get("file"):
        text += f"\nThe message that it had in hand: procactors crash {path} --load"
    return text


def _print_part(title: str, text: str) -> None:
    print()
    _print_heading(title, "bold")
    for line in text.rstrip().splitlines():
        print(f"  {plain(line)}".rstrip())


def _print_heading(text: str, style: str) -> None:
    """Print a line, in a style where it is seen and rich is installed."""
    if sys.stdout.isatty() and importlib.util.find_spec("rich") is not None:
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False).print(Text(plain(text), style), soft_wrap=True)
    else:
        print(plain(text))


# -- its message --------------------------------------------------------------------------------


def _loaded(arguments: argparse.Namespace, facts: dict[str, Any]) -> dict[str, str]:
    """Return the message in hand as it shows itself, if that is asked for, or why it cannot be."""
    if not arguments.load:
        return {}
    name = (facts.get("message") or {}).get("file")
    if not name:
        return {"message_in_hand": "none was kept"}
    # Beside the report, whatever path is written there.
    path = os.path.join(os.path.dirname(arguments.path), os.path.basename(str(name)))
    sys.path.insert(0, os.getcwd())
    try:
        with open(path, "rb") as file:
            shown = repr(pickle.load(file))
    except Exception as error:  # noqa: BLE001 - whatever the message's own code raises
        return {"message_in_hand": f"{path} cannot be loaded: {type(error).__name__}: {error}"}
    finally:
        sys.path.pop(0)
    rest = len(shown) - _MOST_SHOWN
    more = f" ... and {rest} characters more" if rest > 0 else ""
    return {"message_in_hand": shown[:_MOST_SHOWN] + more}
