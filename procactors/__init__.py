"""procactors: supervised actors, each in its own operating-system process.

Layer: api. Runs in: parent and actor.
Owns: nothing.
Never: anything but re-exports; the version.
"""

import sys as _sys

if _sys.platform != "linux":
    raise ImportError(f"procactors runs on Linux only so far, not on {_sys.platform}")

from procactors import errors
from procactors.actor import Actor
from procactors.inbox import Inbox
from procactors.messages import Message
from procactors.options import Backoff, Delivery, Limits, Options, Overflow, Restart
from procactors.process.cpus import usable_cpus
from procactors.ref import ActorRef
from procactors.reply import Reply
from procactors.supervision.commands import ActorStatus
from procactors.supervision.crash import CrashReport, ExitKind, ExitReason
from procactors.supervision.deadletters import DeadLetter
from procactors.system import ActorSystem

__all__ = [
    "Actor",
    "ActorRef",
    "ActorStatus",
    "ActorSystem",
    "Backoff",
    "CrashReport",
    "DeadLetter",
    "Delivery",
    "ExitKind",
    "ExitReason",
    "Inbox",
    "Limits",
    "Message",
    "Options",
    "Overflow",
    "Reply",
    "Restart",
    "errors",
    "usable_cpus",
]

__version__ = "0.1.0"
