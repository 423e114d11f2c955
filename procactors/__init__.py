"""procactors: supervised actors, each in its own operating-system process.

Layer: api. Runs in: parent and actor.
Owns: nothing.
Never: anything but re-exports; the version.

PYTEST_DONT_REWRITE: a program that has imported this may run pytest without being warned of it.
"""

import importlib as _importlib
from typing import TYPE_CHECKING as _TYPE_CHECKING, Any as _Any

from procactors import stored as _stored  # noqa: F401 - pickles name it, and what has moved is found

if _TYPE_CHECKING:
    from procactors import errors
    from procactors.api.actor import Actor, Context, current_context
    from procactors.api.async_system import AsyncActorSystem
    from procactors.api.inbox import Inbox
    from procactors.api.program import run
    from procactors.api.spawner import Spawner
    from procactors.api.stop_signal import Interrupted
    from procactors.api.system import ActorSystem
    from procactors.api.tree_toml import load_tree
    from procactors.crash import CrashReport, ExitKind, ExitReason, MessageInHand
    from procactors.deadletters.letter import DeadLetter
    from procactors.deadletters.store import DeadLetters
    from procactors.model.commands import ActorStatus
    from procactors.model.events import Event, Progress
    from procactors.model.life_events import (
        Crashed,
        DeadLettered,
        GaveUp,
        MailboxOverflow,
        Restarting,
        SlowHandler,
        Started,
        Stopped,
    )
    from procactors.model.messages import Message
    from procactors.model.options import (
        Backoff,
        Checkpoint,
        Delivery,
        Limits,
        Options,
        Overflow,
        Recycle,
        Restart,
        Routing,
    )
    from procactors.model.tree import AutoShutdown, ChildSpec, Strategy, Supervisor, spec
    from procactors.pool.async_map import AsyncMapResults
    from procactors.pool.async_pool import AsyncPool
    from procactors.pool.map import MapResults
    from procactors.pool.pool import Pool
    from procactors.process.cpus import usable_cpus
    from procactors.runner.schedule import Timer
    from procactors.runtime.async_ref import AsyncActorRef
    from procactors.runtime.async_supervisor_ref import AsyncSupervisorRef
    from procactors.runtime.async_topic import AsyncTopic
    from procactors.runtime.child_failure import ChildFailure, Directive
    from procactors.runtime.feed import feed
    from procactors.runtime.later_reply import LaterReply
    from procactors.runtime.ref import ActorRef
    from procactors.runtime.reply import Reply
    from procactors.runtime.shared import Shared
    from procactors.runtime.stream import Stream
    from procactors.runtime.supervisor_ref import Child, ChildCounts, SupervisorRef
    from procactors.runtime.terminated import Restarted, Terminated
    from procactors.runtime.topic import Topic
    from procactors.supervision.stop_report import StopOutcome, StoppedActor, StopReport
    from procactors.wire.mailbox.queue import Mailbox

__all__ = [
    "Actor",
    "ActorRef",
    "ActorStatus",
    "ActorSystem",
    "AsyncActorRef",
    "AsyncActorSystem",
    "AsyncMapResults",
    "AsyncPool",
    "AsyncSupervisorRef",
    "AsyncTopic",
    "AutoShutdown",
    "Backoff",
    "Checkpoint",
    "Child",
    "ChildCounts",
    "ChildFailure",
    "ChildSpec",
    "Context",
    "CrashReport",
    "Crashed",
    "DeadLetter",
    "DeadLettered",
    "DeadLetters",
    "Delivery",
    "Directive",
    "Event",
    "ExitKind",
    "ExitReason",
    "GaveUp",
    "Inbox",
    "Interrupted",
    "LaterReply",
    "Limits",
    "Mailbox",
    "MailboxOverflow",
    "MapResults",
    "Message",
    "MessageInHand",
    "Options",
    "Overflow",
    "Pool",
    "Progress",
    "Recycle",
    "Reply",
    "Restart",
    "Restarted",
    "Restarting",
    "Routing",
    "Shared",
    "SlowHandler",
    "Spawner",
    "Started",
    "StopOutcome",
    "StopReport",
    "Stopped",
    "StoppedActor",
    "Strategy",
    "Stream",
    "Supervisor",
    "SupervisorRef",
    "Terminated",
    "Timer",
    "Topic",
    "current_context",
    "errors",
    "feed",
    "load_tree",
    "run",
    "spec",
    "usable_cpus",
]

__version__ = "0.1.0"

# Imported where they are first asked for: a program waits for no more than it uses, and actors and
# the zygote need not carry what the parent alone does.
_LATE = {
    "Actor": "procactors.api.actor",
    "ActorRef": "procactors.runtime.ref",
    "ActorStatus": "procactors.model.commands",
    "ActorSystem": "procactors.api.system",
    "AsyncActorRef": "procactors.runtime.async_ref",
    "AsyncActorSystem": "procactors.api.async_system",
    "AsyncMapResults": "procactors.pool.async_map",
    "AsyncPool": "procactors.pool.async_pool",
    "AsyncSupervisorRef": "procactors.runtime.async_supervisor_ref",
    "AsyncTopic": "procactors.runtime.async_topic",
    "AutoShutdown": "procactors.model.tree",
    "Backoff": "procactors.model.options",
    "Checkpoint": "procactors.model.options",
    "Child": "procactors.runtime.supervisor_ref",
    "ChildCounts": "procactors.runtime.supervisor_ref",
    "ChildFailure": "procactors.runtime.child_failure",
    "ChildSpec": "procactors.model.tree",
    "Context": "procactors.api.actor",
    "CrashReport": "procactors.crash",
    "Crashed": "procactors.model.life_events",
    "DeadLetter": "procactors.deadletters.letter",
    "DeadLettered": "procactors.model.life_events",
    "DeadLetters": "procactors.deadletters.store",
    "Delivery": "procactors.model.options",
    "Directive": "procactors.runtime.child_failure",
    "Event": "procactors.model.events",
    "ExitKind": "procactors.crash",
    "ExitReason": "procactors.crash",
    "GaveUp": "procactors.model.life_events",
    "Inbox": "procactors.api.inbox",
    "Interrupted": "procactors.api.stop_signal",
    "LaterReply": "procactors.runtime.later_reply",
    "Limits": "procactors.model.options",
    "Mailbox": "procactors.wire.mailbox.queue",
    "MailboxOverflow": "procactors.model.life_events",
    "MapResults": "procactors.pool.map",
    "Message": "procactors.model.messages",
    "MessageInHand": "procactors.crash",
    "Options": "procactors.model.options",
    "Overflow": "procactors.model.options",
    "Pool": "procactors.pool.pool",
    "Progress": "procactors.model.events",
    "Recycle": "procactors.model.options",
    "Reply": "procactors.runtime.reply",
    "Restart": "procactors.model.options",
    "Restarted": "procactors.runtime.terminated",
    "Restarting": "procactors.model.life_events",
    "Routing": "procactors.model.options",
    "Shared": "procactors.runtime.shared",
    "SlowHandler": "procactors.model.life_events",
    "Spawner": "procactors.api.spawner",
    "Started": "procactors.model.life_events",
    "StopOutcome": "procactors.supervision.stop_report",
    "StopReport": "procactors.supervision.stop_report",
    "Stopped": "procactors.model.life_events",
    "StoppedActor": "procactors.supervision.stop_report",
    "Strategy": "procactors.model.tree",
    "Stream": "procactors.runtime.stream",
    "Supervisor": "procactors.model.tree",
    "SupervisorRef": "procactors.runtime.supervisor_ref",
    "Terminated": "procactors.runtime.terminated",
    "Timer": "procactors.runner.schedule",
    "Topic": "procactors.runtime.topic",
    "current_context": "procactors.api.actor",
    "feed": "procactors.runtime.feed",
    "load_tree": "procactors.api.tree_toml",
    "run": "procactors.api.program",
    "spec": "procactors.model.tree",
    "usable_cpus": "procactors.process.cpus",
}


def __getattr__(name: str) -> _Any:
    if name == "errors":
        return _importlib.import_module("procactors.errors")
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(_importlib.import_module(_LATE[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), "errors", *_LATE})
