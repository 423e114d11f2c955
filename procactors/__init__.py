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
from procactors.actor import Actor, current_context
from procactors.childfailure import ChildFailure, Directive
from procactors.inbox import Inbox
from procactors.messages import Message
from procactors.observe.events import Event, Progress
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
from procactors.ref import ActorRef
from procactors.reply import Reply
from procactors.run import Interrupted, run
from procactors.shared import Shared
from procactors.supervision.commands import ActorStatus
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.deadletters import DeadLetter
from procactors.supervision.stop_report import StopOutcome, StoppedActor, StopReport
from procactors.supervisorref import Child, ChildCounts, SupervisorRef
from procactors.system import ActorSystem
from procactors.terminated import Restarted, Terminated
from procactors.tree import AutoShutdown, ChildSpec, Strategy, Supervisor, spec

if _TYPE_CHECKING:
    from procactors.pool.pool import Pool
    from procactors.pool.results import MapResults

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
    "CrashReport",
    "DeadLetter",
    "Delivery",
    "Directive",
    "Event",
    "ExitKind",
    "ExitReason",
    "Inbox",
    "Interrupted",
    "Limits",
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
    "StopOutcome",
    "StopReport",
    "StoppedActor",
    "Strategy",
    "Supervisor",
    "SupervisorRef",
    "Terminated",
    "current_context",
    "errors",
    "run",
    "spec",
    "usable_cpus",
]

__version__ = "0.1.0"

# Where they are first asked for: whoever has no pool need not carry its modules, an idle actor
# 0.1 MB of them.
_LATE = {"Pool": "procactors.pool.pool", "MapResults": "procactors.pool.results"}


def __getattr__(name: str) -> _Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_LATE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
