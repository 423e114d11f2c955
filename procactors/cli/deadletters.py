"""``procactors dead-letters``: what a system has kept in a file, shown, sent again, run again.

Layer: cli. Runs in: parent.
Owns: the open file, and in a replay what `procactors.api.replay` owns.
Never: unpickles but where the user asks for it (``show --open``, ``replay``).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import shutil
import sys
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from procactors.deadletters.file import LetterFile, StoredLetter

__all__ = ["add_to", "run"]

_UNPICKLES = (
    "It unpickles the letter, which runs code that the letter names: do it only to files that "
    "only you could write. What killed an actor may kill this command too."
)


def add_to(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command, its four actions and their options to the command line."""
    parser = commands.add_parser(
        "dead-letters",
        help="list, show, send again or replay the dead letters in a file",
        description=(
            "Work on a file of dead letters, as ActorSystem(dead_letter_file=...) keeps it. "
            "Exit code 1 if a replayed handler raises, 2 if there is no such file or letter."
        ),
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _add(actions, "list", _list, "list the letters, oldest first", one=False, options=_list_options)
    _add(actions, "show", _show, "show all that is known of one letter", options=_show_options)
    _add(
        actions,
        "requeue",
        _requeue,
        "mark letters: the next live actor of the name gets them, once",
        one=False,
        options=_requeue_options,
    )
    _add(
        actions,
        "replay",
        _replay,
        "run one letter against a fresh object of its actor's class, in this process",
        options=_replay_options,
    )


def run(arguments: argparse.Namespace) -> int:
    """Do one action on one file and return the exit code.

    Blocks until it is done: up to 10 s for a system that is writing the file, and in a replay as
    long as the handler takes.
    """
    import sqlite3

    from procactors.deadletters.file import LetterFile, NoSuchLetter, NotLetters

    try:
        with LetterFile(arguments.file) as file:
            code: int = arguments.action(file, arguments)
            return code
    except FileNotFoundError:
        arguments.usage_error(f"there is no file {arguments.file}")
    except (NotLetters, NoSuchLetter) as error:
        arguments.usage_error(str(error))
    except (PermissionError, sqlite3.Error) as error:
        print(f"procactors: {error}", file=sys.stderr)
    return 1


def _add(
    actions: Any, name: str, action: Any, text: str, *, options: Any, one: bool = True
) -> None:
    parser = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    parser.add_argument("file", metavar="FILE", help="the file of dead letters")
    if one:
        parser.add_argument("id", metavar="ID", type=int, help="number of the letter")
    options(parser)
    parser.set_defaults(run=run, action=action, usage_error=parser.error)


# -- list ---------------------------------------------------------------------------------------


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--actor", metavar="NAME", help="only letters to the actor of that name")
    parser.add_argument("--json", action="store_true", help="print a JSON array of all facts")


def _list(file: LetterFile, arguments: argparse.Namespace) -> int:
    letters = file.letters(arguments.actor)
    if arguments.json:
        runtime_dirs = {run.run: run.runtime_dir for run in file.runs()}
        print(json.dumps([_facts(stored, runtime_dirs) for stored in letters], indent=2))
        return 0
    rows: list[tuple[str, ...]] = [("ID", "TIME", "ACTOR", "HANDLER", "BEGUN", "STATE", "REASON")]
    rows += [_cells(stored) for stored in letters]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    room = shutil.get_terminal_size((120, 24)).columns if sys.stdout.isatty() else 160
    for row in rows:
        start = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False))
        reason = row[6]
        left = max(20, room - len(start) - 2)
        if len(reason) > left:
            reason = reason[: left - 3] + "..."
        print(f"{start}  {reason}".rstrip())
    return 0


def _cells(stored: StoredLetter) -> tuple[str, ...]:
    letter = stored.letter
    reason = letter.reason.partition("\n")[0]
    cells = (letter.at[:19], letter.actor, letter.handler, str(letter.deliveries))
    return (str(stored.id), *(_plain(cell) for cell in (*cells, _state(stored), reason)))


def _state(stored: StoredLetter) -> str:
    state = "killed" if stored.letter.killed else "lost"
    state += " (ask)" if stored.letter.asked else ""
    return state if stored.state == "kept" else f"{state}, {stored.state}"


def _facts(stored: StoredLetter, runtime_dirs: dict[str, str]) -> dict[str, Any]:
    letter = stored.letter
    return {
        "id": stored.id,
        "at": letter.at,
        "actor": letter.actor,
        "class_name": letter.class_name,
        "handler": letter.handler,
        "deliveries": letter.deliveries,
        "killed": letter.killed,
        "asked": letter.asked,
        "sender": letter.sender,
        "state": stored.state,
        "bytes": stored.size,
        "system_lives": os.path.exists(runtime_dirs[stored.run]),
        "reason": letter.reason,
    }


def _plain(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(char if char.isprintable() else "?" for char in text)


# -- show ---------------------------------------------------------------------------------------


def _show_options(parser: argparse.ArgumentParser) -> None:
    parser.description = f"{parser.description} With --open: {_UNPICKLES}"
    parser.add_argument("--open", action="store_true", help="show the message; this unpickles it")


def _show(file: LetterFile, arguments: argparse.Namespace) -> int:
    stored = file.letter(arguments.id)
    letter = stored.letter
    replay = file.blueprint(stored.run, letter.actor_id) is not None and bool(letter.head)
    facts = {
        "actor": letter.actor,
        "class": letter.class_name or "not known",
        "handler": letter.handler,
        "time": letter.at,
        "begun": f"{letter.deliveries} times",
        "killed": "yes: its actor's process ended with it in hand" if letter.killed else "no",
        "caller": "was told (an ask)" if letter.asked else "none (a tell)",
        "sender": f"actor {letter.sender}" if letter.sender else "the main program",
        "state": _meaning(file, stored),
        "content": f"{stored.size} bytes" if stored.size else "lost",
        "replay": "possible" if replay else "not possible: class or content was not kept",
    }
    print(f"letter {stored.id}")
    for name, value in facts.items():
        print(f"  {name:<9} {_plain(value)}")
    print("  reason")
    for line in letter.reason.splitlines():
        print(f"    {_plain(line)}")
    return _show_message(file, stored) if arguments.open else 0


def _meaning(file: LetterFile, stored: StoredLetter) -> str:
    if stored.state == "taken":
        lives = any(
            run.run == stored.run and os.path.exists(run.runtime_dir) for run in file.runs()
        )
        if lives:
            return "taken: a system is handing it over"
        return "taken: a system was handing it over when it died; it may have been handled"
    texts = {"kept": "kept", "marked": "marked: the next live actor of that name gets it"}
    return texts[stored.state]


def _show_message(file: LetterFile, stored: StoredLetter) -> int:
    from procactors.api.replay import surroundings_of
    from procactors.errors import DecodeError

    with surroundings_of(file, stored):
        try:
            text = repr(stored.letter.message)
        except DecodeError as error:
            print(f"procactors: {error}", file=sys.stderr)
            return 1
    print(f"  message\n    {_plain(text)}")
    return 0


# -- requeue ------------------------------------------------------------------------------------


def _requeue_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Mark letters. A running system that keeps its letters in this file sends each to the "
        "live actor of that name at once, else the next one does when such an actor is spawned: "
        "once, as a tell. Then the letter leaves the file."
    )
    parser.add_argument("ids", metavar="ID", type=int, nargs="*", help="numbers of letters")
    parser.add_argument(
        "--all", action="store_true", help="all letters but asks, whose callers have been told"
    )
    parser.add_argument("--actor", metavar="NAME", help="with --all: only letters to that actor")


def _requeue(file: LetterFile, arguments: argparse.Namespace) -> int:
    from procactors.deadletters.writer import ring

    if bool(arguments.ids) is arguments.all:
        arguments.usage_error("name the letters by ID, or say --all")
    if arguments.actor is not None and not arguments.all:
        arguments.usage_error("--actor goes with --all")
    marked = file.mark(None if arguments.all else arguments.ids, arguments.actor)
    told = [ring(run.runtime_dir) for run in file.runs()] if marked else []
    hands = "a running system hands" if any(told) else "the next system with this file hands"
    what = "1 letter" if marked == 1 else f"{marked} letters"
    print(f"{what} marked; {hands} {'it' if marked == 1 else 'them'} over")
    return 0


# -- replay -------------------------------------------------------------------------------------


def _replay_options(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        f"{parser.description} Prints the handler's result, or the traceback of what it raises. "
        f"What it tells others is not sent; it can neither ask nor spawn. {_UNPICKLES}"
    )
    parser.add_argument(
        "--pdb", action="store_true", help="when it raises, look at the place in the debugger"
    )
    parser.add_argument(
        "--break",
        action="store_true",
        dest="stop",
        help="start in the debugger at the handler's first line",
    )


def _replay(file: LetterFile, arguments: argparse.Namespace) -> int:
    from procactors.api.replay import NotReplayable, Replay, surroundings_of

    stored = file.letter(arguments.id)
    try:
        replay = Replay(file, stored)
    except NotReplayable as error:
        print(f"procactors: {error}", file=sys.stderr)
        return 1
    with contextlib.suppress(OSError, ValueError):  # no real stderr, inside another program
        faulthandler.enable()  # a crash in C code names its place
    with surroundings_of(file, stored):
        try:
            result = replay.run(_debugged if arguments.stop else None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what was asked for
            return _raised(error, arguments)
        print(f"{stored.letter.handler} returned {result!r}")
    return 0


def _raised(error: BaseException, arguments: argparse.Namespace) -> int:
    import bdb
    import pdb  # noqa: T100 - the user asks for it

    if isinstance(error, bdb.BdbQuit):
        return 1  # the user left the debugger
    trace = _without_ours(error.__traceback__)
    sys.stdout.flush()
    traceback.print_exception(type(error), error, trace)
    if arguments.pdb and trace is not None:
        pdb.post_mortem(trace)
    return 1


def _debugged(handler: Any, *args: Any, **kwargs: Any) -> Any:
    import bdb
    import pdb  # noqa: T100 - the user asks for it

    class Debugger(pdb.Pdb):
        left = False

        def set_quit(self) -> None:
            self.left = True  # by its result, the call looks like a handler that returned None
            super().set_quit()

    debugger = Debugger()
    result = debugger.runcall(handler, *args, **kwargs)
    if debugger.left:
        raise bdb.BdbQuit
    return result


def _without_ours(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins in the user's code; all of it if none does."""
    import bdb

    from procactors.api import replay

    ours = {__file__, replay.__file__, bdb.__file__}
    found = trace
    while found is not None and found.tb_frame.f_code.co_filename in ours:
        found = found.tb_next
    return found or trace
