"""What a spare does while it waits for an order: all that does not depend on it, and a rehearsal.

Layer: api. Runs in: spare.
Owns: a folder of its own beside the system's, while it rehearses.
Never: leaves anything behind; sends anything to anybody; runs user code; fails a start.

A fork shares every page until one of both writes to it, and Python writes to whatever it looks at:
a reference count at least. A start looks at so much that these copies are most of its time: 570 of
them, of several microseconds each on a virtual machine. So a spare lives a short life of nobody, in
a directory of its own, from the start order to the last message; the pages are its own by then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

from procactors.api.actor import set_current
from procactors.api.incarnation import Life
from procactors.errors import StorageFull
from procactors.model.choices import Overflow
from procactors.process.lifeline import die_with_parent
from procactors.process.order import StartOrder, read_order, surroundings, write_order
from procactors.runner.log_forward import LogForwarder, forward_logs, forward_no_more
from procactors.wire.endpoint import Endpoint, actor_path
from procactors.wire.envelope import build_message
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.meter import Meter
from procactors.wire.mailbox.metered import MeteredReader
from procactors.wire.pickling.codec import join
from procactors.wire.record import Kind, frame
from procactors.wire.replies.port import ReplyPort
from procactors.wire.runtime_dir import FOLDERS, remove_tree
from procactors.wire.storage import write_whole
from procactors.wire.transport import SUPERVISOR

__all__ = ["stand_by"]

#: Id of the actor that is rehearsed, in a directory where there is no other.
_ACTOR = 1
#: Imported for the rehearsal as a user's module is: by unpickling.
_MODULE = "procactors.api.nobody"


def stand_by(runtime_dir: str) -> None:
    """Hang on the lifeline, and rehearse.

    Raises:
        FileNotFoundError: the system has ended.
    """
    die_with_parent(runtime_dir)
    place = os.path.join(runtime_dir, f"rehearsal-{os.getpid()}")
    try:
        # No room, no descriptor: it will do without.
        with contextlib.suppress(OSError, StorageFull):
            os.mkdir(place, 0o700)
            for folder in FOLDERS:
                os.mkdir(os.path.join(place, folder), 0o700)
            _rehearse(place)
    finally:
        set_current(None)
        remove_tree(place)


def _rehearse(place: str) -> None:
    folder = actor_path(place, _ACTOR)
    with contextlib.ExitStack() as opened:
        for actor in (SUPERVISOR, _ACTOR):
            opened.callback(MailboxFiles(actor_path(place, actor)).close)
        _write_order(folder)
        order = read_order(folder)
        reader = MeteredReader(folder, Meter(folder, order.name, order.class_name))
        opened.callback(reader.close)
        endpoint = Endpoint(place, _ACTOR, reader.box)
        opened.callback(endpoint.close)
        cls = importlib.import_module(_MODULE).Nobody
        write_whole(order.blueprint, join(endpoint.encode((cls, (), {}))))
        del sys.modules[_MODULE]
        _send(endpoint)
        forwarder = LogForwarder(order, place, reader.box.words)
        forward_logs(forwarder, order.levels, forget=False)
        opened.callback(forward_no_more)
        life = Life(order, folder, reader, endpoint, forwarder)
        life.run()
        life.close()


def _write_order(folder: str) -> None:
    order = StartOrder(
        actor=_ACTOR,
        start=1,
        name="nobody",
        incarnation=1,
        blueprint=os.path.join(folder, "blueprint"),
        extra="",
        class_name="Nobody",
        parent=0,
        overflow=Overflow.BLOCK.value,
        stop_timeout=0.0,
        report=b"",
        **surroundings()._asdict(),
    )
    write_order(folder, order)


def _send(endpoint: Endpoint) -> None:
    """Put a call into the mailbox, and a stop behind it."""
    port = ReplyPort(endpoint.store)
    message = endpoint.encode(((), {}))
    call = build_message(endpoint.store, _ACTOR, b":act", message, call=1, reply=port.number)
    endpoint.send_control(_ACTOR, call)
    endpoint.send_control(_ACTOR, frame(Kind.STOP, 0, b""))
    endpoint.on_close(port.retire)
