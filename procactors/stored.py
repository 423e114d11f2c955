"""What stored pickles name: the functions that make their values again, of this and older versions.

Layer: api. Runs in: any process; loaded with the package.
Owns: `__module__` of these functions, and the last entry of `sys.meta_path`.
Never: drops or renames what a version has stored.

Dead letters in a file, and the messages beside crash reports, are pickles that outlive the version
that wrote them. A pickle names each function that it needs by its module: so these are named by
this one, wherever they lie, and a module that moves is found by its old name.

    a letter of today    procactors.stored.make_class              ──► the function below
    one of version 0.1   procactors.wire.rebuilding.make_class     ──► `_MOVED`, if it has moved
"""

from __future__ import annotations

import importlib
import sys
from functools import partial
from importlib.machinery import ModuleSpec
from types import ModuleType

from procactors.runtime.ref import _make_ref
from procactors.runtime.shared import _received
from procactors.wire.mailbox.queue import _open_mailbox
from procactors.wire.pickling import definitions, rebuilding
from procactors.wire.pickling.bundle import open_parcel

__all__ = ["STORED"]

#: The functions that pickles name by this module.
STORED = (
    definitions._definition,
    definitions.make_definition,
    definitions.fill,
    definitions.fill_function,
    *(getattr(rebuilding, name) for name in rebuilding.__all__),
    open_parcel,
    _make_ref,
    _open_mailbox,
    _received,
)

for _function in STORED:
    _function.__module__ = __name__
    globals()[_function.__name__] = _function

# A package has the name of the module that this was in: the finder below is not asked for it.
setattr(sys.modules["procactors.wire.mailbox"], "_open_mailbox", _open_mailbox)  # noqa: B010 - mypy

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
