"""One life of an actor in a process of Ray's.

Layer: api. Runs in: an actor's process on a cluster.
Owns: the engine that runs the life, for as long as the process lasts.
Never: ends the process: the program has Ray do that.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from typing import Any, cast

from procactors.api.local_life import LocalLife
from procactors.cluster.engine import LifeEngine
from procactors.cluster.logs import forward
from procactors.cluster.member import (
    CheckpointMemberReader,
    Member,
    MemberHost,
    MemberReader,
    MemberTransport,
)
from procactors.cluster.refusals import NoShares, refuse_feed
from procactors.cluster.uplink import Uplink
from procactors.runner.method_table import table_of
from procactors.runner.setup import seed_generators
from procactors.runtime.client import Client
from procactors.supervision.backend import NextLife

__all__ = ["begin"]


class _Backend:
    """What a host needs here of a backend."""

    def __init__(self, transport: MemberTransport, taps: dict[str, str]) -> None:
        self.transport = transport
        self.taps = taps


class _RayLife(LocalLife):
    """A life that the whole process is for."""

    host: MemberHost

    _loaded: Any = None

    def needs_thread(self) -> bool:
        """Whether it has an event loop, for which it needs a thread of its own."""
        try:
            self._loaded = super()._load_blueprint()
        except BaseException:  # noqa: BLE001 - its beginning meets the same, and reports it
            return False
        return table_of(self._loaded[0]).is_async

    def _load_blueprint(self) -> Any:
        loaded, self._loaded = self._loaded, None
        return super()._load_blueprint() if loaded is None else loaded

    def _make_reader(self) -> Any:
        cls: Any = MemberReader if self._options.checkpoint is None else CheckpointMemberReader
        host = self.host
        reader = cls(self.transport.path, host.box, host.mail, host.now_ns)
        reader.host = host
        return reader


def _open_stream(transport: MemberTransport, *about: Any) -> Any:
    from procactors.api.local_stream import open_local_stream  # only where it is used

    return open_local_stream(transport, *about)


def begin(facts: dict[str, Any], uplink: Uplink) -> Member:
    """Begin a life; return what the program can have it do.

    Args:
        facts: of the life, as `api.ray_system` says them.
        uplink: sends something to the program.
    """
    import procactors

    os.environ.update(facts["env"])
    with contextlib.suppress(OSError):  # this node has no such folder
        os.chdir(facts["cwd"])
    life: NextLife = facts["life"]
    if facts["log_level"] is not None:
        forward(facts["name"], life.incarnation, facts["log_level"], uplink.put)
    engine = LifeEngine(lambda: uplink.put(("turn",)))
    transport = MemberTransport(facts["path"], engine, facts, uplink)
    transport.store.add_files(facts["files"])
    host = MemberHost(_Backend(transport, facts["taps"]), facts, uplink)
    transport.host = host
    transport.boxes[host.id] = host
    host.blueprint = facts["blueprint"]
    transport.make_letter = refuse_feed
    transport.store.sharing = NoShares()
    transport.open_stream = functools.partial(_open_stream, transport)
    transport.on_lost = lambda actor, record: uplink.put(
        ("lost", actor, transport.store.pack(record))
    )
    transport.on_given_up = Client(cast("Any", transport)).report_given_up
    uplink.put(("hello", os.getpid(), platform.node(), procactors.__version__))
    seed_generators(life.seed, life.options.seed is not None)
    host.life = _RayLife(transport, None, host, life)
    return Member(transport, host, engine)
