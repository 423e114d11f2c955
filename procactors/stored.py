"""What stored pickles name: the functions that make their values again, of this and older versions.

Layer: model. Runs in: any process; loaded with the package.
Owns: `__module__` of these functions (`stored`), and the last entry of `sys.meta_path`.
Never: drops or renames what a version has stored.

Dead letters in a file, and the messages beside crash reports, are pickles that outlive the version
that wrote them. A pickle names each function that it needs by its module: so these are named by
this one, wherever they lie, and a module that moves is found by its old name.

    a letter of today    procactors.stored.make_class              ──► `STORED` says where it lies
    one of version 0.1   procactors.wire.rebuilding.make_class     ──► `_MOVED`, if it has moved
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

__all__ = ["STORED", "stored"]

F = TypeVar("F", bound=Callable[..., Any])

#: The functions that pickles name by this module, and the modules that they lie in.
STORED = {
    "_adopt_feed": "procactors.runtime.feed",
    "_adopt_local_feed": "procactors.api.local_feed",
    "_adopt_local_stream": "procactors.api.local_stream",
    "_adopt_stream": "procactors.runtime.stream",
    "_definition": "procactors.wire.pickling.definitions",
    "_make_ref": "procactors.runtime.ref",
    "_open_mailbox": "procactors.wire.mailbox.queue",
    "_received": "procactors.runtime.shared",
    "_received_locally": "procactors.api.local_shared",
    "fill": "procactors.wire.pickling.definitions",
    "fill_cached": "procactors.wire.pickling.rebuilding",
    "fill_enum": "procactors.wire.pickling.rebuilding",
    "fill_function": "procactors.wire.pickling.definitions",
    "fill_module": "procactors.wire.pickling.rebuilding",
    "fill_named": "procactors.wire.pickling.rebuilding",
    "fill_single_dispatch": "procactors.wire.pickling.rebuilding",
    "make_cached": "procactors.wire.pickling.rebuilding",
    "make_cached_property": "procactors.wire.pickling.rebuilding",
    "make_class": "procactors.wire.pickling.rebuilding",
    "make_definition": "procactors.wire.pickling.definitions",
    "make_module": "procactors.wire.pickling.rebuilding",
    "make_named": "procactors.wire.pickling.rebuilding",
    "make_single_dispatch": "procactors.wire.pickling.rebuilding",
    "make_spec": "procactors.wire.pickling.rebuilding",
    "make_typing_name": "procactors.wire.pickling.rebuilding",
    "open_parcel": "procactors.wire.pickling.bundle",
    "remember_named": "procactors.wire.pickling.rebuilding",
}


def stored(function: F) -> F:
    """Have pickles name a function by this module; `STORED` says where it lies."""
    function.__module__ = __name__
    return function


def __getattr__(name: str) -> Any:
    """Return one of `STORED`, for a pickle that names it: its module is loaded by then, or now."""
    if name not in STORED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(STORED[name]), name)
    return value


#: Modules that were elsewhere when something was stored, and where what was in them is now.
_MOVED: dict[str, str] = {
    "procactors.actor": "procactors.api.actor",
    "procactors.blueprint": "procactors.runtime.blueprint",
    "procactors.checks": "procactors.model.checks",
    "procactors.childfailure": "procactors.runtime.child_failure",
    "procactors.handle": "procactors.api.spawner",
    "procactors.handlers": "procactors.model.handlers",
    "procactors.inbox": "procactors.api.inbox",
    "procactors.incarnation": "procactors.api.incarnation",
    "procactors.inert": "procactors.api.inert",
    "procactors.messages": "procactors.model.messages",
    "procactors.nesting": "procactors.process.nesting",
    "procactors.options": "procactors.model.options",
    "procactors.pool.reply": "procactors.pool.calls",
    "procactors.process.batch": "procactors.runner.batches",
    "procactors.process.logtail": "procactors.runner.log_tail",
    "procactors.process.loop": "procactors.runner.loop",
    "procactors.process.methods": "procactors.runner.method_table",
    "procactors.process.recycling": "procactors.runner.recycling",
    "procactors.process.sender": "procactors.process.signal_sender",
    "procactors.process.setup": "procactors.runner.setup",
    "procactors.progressing": "procactors.runtime.progress",
    "procactors.raised": "procactors.wire.raised",
    "procactors.ref": "procactors.runtime.ref",
    "procactors.replay": "procactors.api.replay",
    "procactors.reply": "procactors.runtime.reply",
    "procactors.shared": "procactors.runtime.shared",
    "procactors.supervision.cell": "procactors.supervision.actor_record",
    "procactors.supervision.commands": "procactors.model.commands",
    "procactors.supervision.crash": "procactors.crash",
    "procactors.supervision.deadletters": "procactors.deadletters.store",
    "procactors.supervision.letterfile": "procactors.deadletters.file",
    "procactors.supervision.letterkeeper": "procactors.deadletters.writer",
    "procactors.supervision.stopreport": "procactors.supervision.stop_report",
    "procactors.supervisorref": "procactors.runtime.supervisor_ref",
    "procactors.system": "procactors.api.system",
    "procactors.terminated": "procactors.runtime.terminated",
    "procactors.tree": "procactors.model.tree",
    "procactors.treefile": "procactors.api.tree_toml",
    "procactors.watching": "procactors.runtime.watches",
    "procactors.wire.blackbox": "procactors.wire.mailbox.black_box",
    "procactors.wire.byvalue": "procactors.wire.pickling.by_value",
    "procactors.wire.codec": "procactors.wire.pickling.codec",
    "procactors.wire.culprit": "procactors.wire.pickling.pickle_errors",
    "procactors.wire.definitions": "procactors.wire.pickling.definitions",
    "procactors.wire.failure": "procactors.wire.replies.failures",
    "procactors.wire.home": "procactors.wire.payload_store",
    "procactors.wire.importable": "procactors.wire.pickling.importable",
    "procactors.wire.inertstation": "procactors.api.inert_endpoint",
    "procactors.wire.parcel": "procactors.wire.pickling.bundle",
    "procactors.wire.payload": "procactors.wire.shm.segments",
    "procactors.wire.places": "procactors.wire.mailbox.tokens",
    "procactors.wire.reader": "procactors.wire.mailbox.reader",
    "procactors.wire.rebuilding": "procactors.wire.pickling.rebuilding",
    "procactors.wire.reply": "procactors.wire.replies.port",
    "procactors.wire.replyreader": "procactors.wire.replies.reader",
    "procactors.wire.rings": "procactors.wire.replies.cycles",
    "procactors.wire.sealing": "procactors.wire.mailbox.closing",
    "procactors.wire.sharecodec": "procactors.wire.shm.share_codec",
    "procactors.wire.sharefile": "procactors.wire.shm.share_file",
    "procactors.wire.sharing": "procactors.wire.shm.shares",
    "procactors.wire.sheet": "procactors.wire.result_table",
    "procactors.wire.station": "procactors.wire.endpoint",
    "procactors.wire.unchanged": "procactors.wire.pickling.unchanged",
    "procactors.wire.writer": "procactors.wire.mailbox.writer",
}


class _OldNames:
    """Finds modules of the package by the names that they had."""

    @staticmethod
    def find_spec(name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Return how an old name is loaded; None for any other name."""
        return ModuleSpec(name, _OldNames) if name in _MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(_spec: ModuleSpec) -> ModuleType | None:
        """Have the import system make an ordinary module."""
        return None

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """Have it give what the module of today has."""
        today = importlib.import_module(_MOVED[module.__name__])
        vars(module)["__getattr__"] = partial(getattr, today)


# Last: Python asks it only for what no other finder has found.
sys.meta_path.append(_OldNames)
