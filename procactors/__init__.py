"""procactors: supervised actors, each in its own operating-system process.

Layer: api. Runs in: parent and actor.
Owns: nothing.
Never: anything but re-exports; the version.
"""

import importlib as _importlib
import sys as _sys
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

if _sys.platform != "linux":
    raise ImportError(f"procactors runs on Linux only so far, not on {_sys.platform}")

from procactors import errors
from procactors.actor import Actor, Context, current_context
from procactors.childfailure import ChildFailure, Directive
from procactors.handle import Spawner
from procactors.inbox import Inbox
from procactors.messages import Message
from procactors.observe.event import Event, Progress
from procactors.options import (
    Backoff,
    Delivery,
    Limits,
    Options,
    Overflow,
    Recycle,
    Restart,
    Routing,
)
from procactors.process.cpus import usable_cpus
from procactors.program import run
from procactors.ref import ActorRef
from procactors.reply import Reply
from procactors.shared import Shared
from procactors.stop_signal import Interrupted
from procactors.stored import STORED as _STORED  # noqa: F401 - pickles name it
from procactors.supervision.commands import ActorStatus
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.deadletters import DeadLetters
from procactors.supervision.letter import DeadLetter
from procactors.supervision.stop_report import StopOutcome, StoppedActor, StopReport
from procactors.supervisorref import Child, ChildCounts, SupervisorRef
from procactors.system import ActorSystem
from procactors.terminated import Restarted, Terminated
from procactors.tree import AutoShutdown, ChildSpec, Strategy, Supervisor, spec

if _TYPE_CHECKING:
    from procactors.pool.map import MapResults
    from procactors.pool.pool import Pool
    from procactors.tree_toml import load_tree
    from procactors.wire.mailbox import Mailbox

__all__ = [
    "Actor",
    "ActorRef",
    "ActorStatus",
    "ActorSystem",
    "AutoShutdown",
    "Backoff",
    "Child",
    "ChildCounts",
    "ChildFailure",
    "ChildSpec",
    "Context",
    "CrashReport",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Directive",
    "Event",
    "ExitKind",
    "ExitReason",
    "Inbox",
    "Interrupted",
    "Limits",
    "Mailbox",
    "MapResults",
    "Message",
    "Options",
    "Overflow",
    "Pool",
    "Progress",
    "Recycle",
    "Reply",
    "Restart",
    "Restarted",
    "Routing",
    "Shared",
    "Spawner",
    "StopOutcome",
    "StopReport",
    "StoppedActor",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "Terminated",
    "current_context",
    "errors",
    "load_tree",
    "run",
    "spec",
    "usable_cpus",
]

__version__ = "0.1.0"

# Imported where they are first asked for: a process that has no pool need not carry its modules;
# of an idle actor that is 0.1 MB.
_LATE = {
    "Mailbox": "procactors.wire.mailbox",
    "MapResults": "procactors.pool.map",
    "Pool": "procactors.pool.pool",
    "load_tree": "procactors.tree_toml",
}


def __getattr__(name: str) -> _Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_LATE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
