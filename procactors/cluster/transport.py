"""How the program of a system on a cluster sends, and what it does for its actors' processes.

Layer: cluster. Runs in: the program, any thread.
Owns: the asyncio loop in which it hears its actors' processes (`close`).
Never: waits in that loop: what may take its time has a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn, cast

import ray

from procactors.cluster.channels import ClusterChannels, room_of
from procactors.cluster.engine import ClusterEngine
from procactors.cluster.logs import hand_on
from procactors.cluster.store import SPACE, ClusterStore, batch_extras, first_number
from procactors.cluster.tables import TablePiece
from procactors.errors import ProcActorsError
from procactors.local.channel import LATER_NS
from procactors.local.here import Killed
from procactors.local.replies import LocalReplies, Port
from procactors.local.topics import LocalTopicTable
from procactors.local.transport import LocalTransport
from procactors.model.backends import unsupported
from procactors.wire.envelope import BATCH_KEY, CALL_ID, STREAM_KEY, WHOLE, open_envelope
from procactors.wire.mailbox.black_box import CLOSED, HANDLED, PID, WAITING_ON
from procactors.wire.record import KIND_AT, Kind, parse
from procactors.wire.replies.cycles import cycle_error, cycle_from
from procactors.wire.replies.port import Answer
from procactors.wire.transport import SUPERVISOR

if TYPE_CHECKING:
    from procactors.cluster.remote_life import LifeHost, RemoteLife, Sent

__all__ = ["ProgramTransport"]

_log = logging.getLogger("procactors")

_CALL = int(Kind.CALL)


class _Replies(LocalReplies):
    """Sends answers, to the program's callers and to those in actors' processes."""

    def __init__(self, transport: ProgramTransport) -> None:
        super().__init__(transport.store, transport.calls)
        self._transport = transport

    def send(self, reply: int, record: bytes, patient: bool = True) -> bool:
        """Hand a record to its caller; return whether that still waits, as far as is known."""
        if self.is_dead():
            raise Killed
        return self._transport.reply_to(record)


class _Flow:
    """The items of one stream that come from an actor's process.

    Args:
        number: of the channel.
        producer: number of that one's start.
        host: of its actor.
        now_ns: the clock for hangs.
    """

    def __init__(
        self, number: int, producer: int, host: LifeHost, now_ns: Callable[[], int]
    ) -> None:
        self.producer = producer
        self._host = host
        self._now_ns = now_ns
        self._key = STREAM_KEY + b"%016x:" % number
        self._room = room_of(number)
        # Items come in one thread, and are taken in others.
        self._lock = threading.Lock()
        self._under_way = 0

    def count(self, more: int) -> None:
        """Note that so many more items have come, or fewer wait: its actor's work is seen by it.

        With as many under way as there may be, the generator waits for its reader: that is no hang,
        however long it takes. Else the time of a hang counts from here.
        """
        with self._lock:
            self._under_way += more
            waits = self._under_way >= self._room
            self._host.at_item(self._key, self._now_ns() + (LATER_NS if waits else 0))


class _Mine(threading.local):
    """What one thread of the program's is at.

    Attributes:
        is_asking: it is in an `ask`.
        record: of that.
        sent: where that is, if it was handed over at once.
    """

    is_asking = False
    record: bytes | None = None
    sent: Sent | None = None


class ProgramTransport(LocalTransport):
    """The `Transport` of the program.

    Args:
        path: names the system.
        engine: of this process.
    """

    store: ClusterStore
    channels: ClusterChannels

    def __init__(self, path: str, engine: ClusterEngine) -> None:
        super().__init__(path, cast("Any", engine))
        self._numbers = itertools.count(first_number(0))
        self.store.make_topic_table = self._topic
        self._topics: dict[str, LocalTopicTable] = {}
        #: Of streams whose items come from an actor's process: by their number.
        self._flows: dict[int, _Flow] = {}
        #: By start: whose life it is.
        self.lives: dict[int, LifeHost] = {}
        self.ears = Ears()
        self.mine = _Mine()
        #: Asks of actors that wait: by call, for which actor.
        self._awaited: dict[int, int] = {}
        #: Of batches of actors' own pools: by call, what goes along.
        self._extras: dict[int, tuple[Iterable[int], Any]] = {}
        #: By the number of a payload of theirs: how many batches that are not answered need it.
        self._lent: Counter[int] = Counter()
        #: What their workers had marked before they ended, by call.
        self._pieces: dict[int, tuple[TablePiece, list[int]]] = {}

    def _make_store(self, path: str) -> ClusterStore:
        return ClusterStore(path, self.make_replies, 0)

    def _make_channels(self, engine: Any) -> ClusterChannels:
        return ClusterChannels(engine, self.store, 0, self.relay)

    def _topic(self, path: str, name: str) -> LocalTopicTable:
        return self._topics.setdefault(name, LocalTopicTable(path, name))

    def make_replies(self, store: Any = None) -> LocalReplies:
        """Return what sends answers."""
        return _Replies(self)

    # -- asks: who waits takes the result from Ray itself; a thread between would cost more --------

    def ask(self, *about: Any, **more: Any) -> Any:
        """Put a message and wait for its answer; see `Transport.ask`."""
        mine = self.mine
        mine.is_asking = True
        try:
            return super().ask(*about, **more)
        finally:
            mine.is_asking = False
            sent, mine.sent = mine.sent, None
            if sent is not None:  # it waits no more: somebody else has to take it
                sent.host.listen(sent)

    def _put(self, actor: int, name: str, record: bytes, timeout: float | None) -> None:
        mine = self.mine
        if not mine.is_asking:
            super()._put(actor, name, record, timeout)
            return
        # For this message alone: with its result, this thread may send others for their actors.
        mine.is_asking = False
        mine.record = record
        try:
            super()._put(actor, name, record, timeout)
        finally:
            mine.record = None

    def _await(self, port: Port, life: Any, deadline: float | None) -> Answer | None:
        mine = self.mine
        sent = mine.sent
        if sent is not None:
            left = None if deadline is None else max(0.0, deadline - self.engine.now())
            try:
                value = ray.get(sent.result, timeout=left)
            except ray.exceptions.GetTimeoutError:
                return None
            except Exception:  # noqa: BLE001 - so wide: what it means is found out there
                mine.sent = None
                sent.host.listen(sent)
            else:
                mine.sent = None
                sent.host.take_result(sent.life, sent.number, value)
        return super()._await(port, life, deadline)

    def reply_to(
        self, record: bytes, piece: TablePiece | None = None, results: Iterable[int] = ()
    ) -> bool:
        """Send an answer to its caller; return whether that is there.

        Args:
            record: of the answer.
            piece: what a worker has marked, with the answer to a batch.
            results: numbers of the values that this names.
        """
        kind, _, body = parse(record)
        (call,) = CALL_ID.unpack_from(body)
        start = call >> SPACE
        if piece is None and call in self._pieces:
            piece, results = self._pieces.pop(call)
        if kind != Kind.MOVED and call in self._extras:
            self._return_lent(self._extras.pop(call)[0])
        if not start:
            if piece is not None:
                self.absorb(call, piece, ())
            return self.calls.take(record)
        host = self.lives.get(start)
        life = None if host is None else host.life
        if host is None or life is None or life.start != start or life.is_dead:
            return False
        if kind != Kind.MOVED and self._awaited.pop(call, None) is not None:
            host.words[WAITING_ON] = 0
        host.order("answer", self.store.pack(record, results), piece)
        return True

    def snapshot(self) -> NoReturn:
        """Refuse to say what was counted."""
        raise unsupported("counts", "ray")

    # -- pools ------------------------------------------------------------------------------------

    def also_sent(
        self, host: LifeHost, life: RemoteLife, record: bytes
    ) -> tuple[Iterable[int], Any]:
        """Return what goes along with a message to a life's process.

        Returns:
            the numbers of what it needs beside its own payload; of a pool's batch what its table
            says, else None.
        """
        if record[KIND_AT] != _CALL or record[WHOLE.size : WHOLE.size + 1] != BATCH_KEY:
            return (), None
        call = WHOLE.unpack_from(record)[4]
        pending: Any = self.calls.pending.get(call)
        table = getattr(pending, "result_table", None)
        if table is None:
            return self._extras.get(call, ((), None))
        numbers, head = batch_extras(self.store, pending)
        batch = pending.number

        def tell(word: int, value: int) -> None:
            host.order("table", batch, word, value)

        table.hand_over(tell)
        return numbers, head

    def _return_lent(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._lent[number] -= 1
            if self._lent[number] <= 0:
                del self._lent[number]
                self.store.free_number(number)

    def absorb(self, call: int, piece: TablePiece, payloads: Any) -> None:
        """Take what a worker has marked of a batch."""
        self.store.put_in(payloads)
        pending: Any = self.calls.pending.get(call)
        table = getattr(pending, "result_table", None)
        if table is not None:
            table.absorb(piece)
        elif call in self._extras:
            self._pieces[call] = piece, [one[0] for one in payloads]

    def _on_progress(
        self, host: LifeHost, life: RemoteLife, call: int, piece: TablePiece, payloads: Any
    ) -> None:
        """A worker begins an item that has a time limit."""
        pending: Any = self.calls.pending.get(call)
        table = getattr(pending, "result_table", None)
        self.store.put_in(payloads)
        if table is not None:
            table.follow(piece, self.engine.now_ns())
        elif (owner := self.lives.get(call >> SPACE)) is not None:
            parts = self.store.take_out([one[0] for one in payloads])
            seen = {at: host.words[at] for at in (PID, HANDLED)}
            owner.order("progress", call, piece, parts, host.id, seen)

    def follow(self, host: LifeHost, life: RemoteLife) -> None:
        """Hear the process of a life that begins, and know whose it is."""
        self.lives[life.start] = host
        self.ears.watch(host, life)

    def ended(self, life: RemoteLife) -> None:
        """A life is over: let nobody wait for what it does not read any more."""
        self.lives.pop(life.start, None)
        for number, flow in list(self._flows.items()):
            if number >> SPACE == life.start:
                self.relay(flow.producer, "grant", number, -1)
            elif flow.producer == life.start:
                self._flows.pop(number, None)

    def relay(self, start: int, what: str, *about: Any) -> bool:
        """Send something to a process; return whether that is there."""
        if what == "grant":
            self._granted(*about)
        if not start:
            getattr(self.channels, what)(*about)
            return True
        host = self.lives.get(start)
        life = None if host is None else host.life
        if host is None or life is None or life.start != start:
            return False
        host.order(what, *about)
        return True

    def _granted(self, number: int, count: int) -> None:
        if count < 0:
            self._flows.pop(number, None)
        elif (flow := self._flows.get(number)) is not None:
            flow.count(-count)

    # -- for actors' processes --------------------------------------------------------------------

    def heard(self, host: LifeHost, life: RemoteLife, what: str, about: list[Any]) -> None:
        """Do what an actor's process wants done. In the thread that hears them."""
        getattr(self, f"_on_{what}")(host, life, *about)

    def _on_command(
        self, host: LifeHost, life: RemoteLife, parcel: Any, files: dict[str, bytes]
    ) -> None:
        self.store.add_files(files)
        record = self.store.unpack(parcel)
        self._deliver(host, SUPERVISOR, "the supervisor", record)

    def _on_put(
        self,
        host: LifeHost,
        life: RemoteLife,
        actor: int,
        name: str,
        parcel: Any,
        waits: bool,
        extras: Any = None,
    ) -> None:
        record = self.store.unpack(parcel)
        if extras is not None:
            self._extras[WHOLE.unpack_from(record)[4]] = extras
            self._lent.update(extras[0])
        if waits and self._closes_circle(host, actor, name, record):
            return
        self._deliver(host, actor, name, record)

    def _closes_circle(self, host: LifeHost, actor: int, name: str, record: bytes) -> bool:
        """Note for whom an actor waits; whether that would never end, and its caller was told."""
        envelope = open_envelope(parse(record).body)
        host.words[WAITING_ON] = actor
        cycle = cycle_from(actor, host.id, self.words)
        if not cycle:
            self._awaited[envelope.call] = actor
            return False
        host.words[WAITING_ON] = 0
        error = cycle_error(name, host.id, cycle, self.name_of)
        self.make_replies().answer(envelope.reply, envelope.call, Kind.VERDICT, error)
        return True

    def _deliver(self, host: LifeHost, actor: int, name: str, record: bytes) -> None:
        """Put a message into a mailbox that has room for any number, or answer for it."""
        try:
            self._put(actor, name, record, 0.0)
        except ProcActorsError as error:
            envelope = open_envelope(parse(record).body)
            if envelope.reply:
                self.make_replies().answer(envelope.reply, envelope.call, Kind.VERDICT, error)
                self._unsend(record)
            else:
                self.on_lost(actor, record)

    def _on_relay(
        self, host: LifeHost, life: RemoteLife, start: int, what: str, about: tuple[Any, ...]
    ) -> None:
        if what == "item":
            flow = self._flows.get(about[0])
            if flow is None:
                flow = _Flow(about[0], life.start, host, self.engine.now_ns)
                self._flows[about[0]] = flow
            flow.count(1)
        if not self.relay(start, what, *about) and what == "item":
            self.relay(life.start, "grant", about[0], -1)

    def _ask_topic(self, host: LifeHost, name: str, what: str, *about: Any) -> Any:
        return getattr(self._topic(self.path, name), what)(*about)

    def _on_lost(self, host: LifeHost, life: RemoteLife, actor: int, parcel: Any) -> None:
        self.on_lost(actor, self.store.unpack(parcel))

    def _on_log(self, host: LifeHost, life: RemoteLife, facts: dict[str, Any]) -> None:
        hand_on(facts)

    def _on_payloads(self, host: LifeHost, life: RemoteLife, payloads: Any) -> None:
        self.store.put_in(payloads)

    def _on_answer(
        self, host: LifeHost, life: RemoteLife, reply: int, call: int, parcel: Any
    ) -> None:
        self.reply_to(self.store.unpack(parcel))

    def _on_unwanted(self, host: LifeHost, life: RemoteLife, actor: int, call: int) -> None:
        self.take_back(actor, call)

    def _on_question(
        self, host: LifeHost, life: RemoteLife, number: int, what: str, about: tuple[Any, ...]
    ) -> None:
        def answer() -> None:
            try:
                told = True, getattr(self, f"_ask_{what}")(host, *about)
            except Exception as error:  # noqa: BLE001 - so wide: its caller waits for an answer
                told = False, error
            if not life.is_dead:
                host.order("told", number, *told)

        if what == "put":  # it may have to wait for a place
            threading.Thread(target=answer, name="procactors-put", daemon=True).start()
        else:
            answer()

    def _ask_name(self, host: LifeHost, actor: int) -> str:
        return self.name_of(actor)

    def _ask_is_unbounded(self, host: LifeHost, actor: int, name: str) -> bool:
        box = self.boxes.get(actor)
        if box is None or box.words[CLOSED]:
            raise self._stopped(name)
        return bool(box.is_unbounded)

    def _ask_put(
        self, host: LifeHost, actor: int, name: str, parcel: Any, timeout: float | None
    ) -> None:
        record = self.store.unpack(parcel)
        try:
            self._put(actor, name, record, timeout)
        except BaseException:
            self.store.drop(parcel[1])
            raise

    def _ask_control(self, host: LifeHost, actor: int, parcel: Any) -> bool:
        return self.send_control(actor, self.store.unpack(parcel))

    def _ask_take_back(self, host: LifeHost, actor: int, call: int) -> bool:
        return bool(self.take_back(actor, call))

    def close(self) -> None:
        """End the calls that still wait here, with an error."""
        super().close()
        self.ears.close()


class Ears:
    """The thread that hears what the processes of lives send."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="procactors-ears", daemon=True
        )
        self._thread.start()
        self._killing = ThreadPoolExecutor(1, thread_name_prefix="procactors-killing")

    def watch(self, host: LifeHost, life: RemoteLife) -> None:
        """Have a life's process heard, to its end. From any thread."""
        stream = life.ray_actor.watch.options(num_returns="streaming").remote()
        asyncio.run_coroutine_threadsafe(self._hear(stream, host, life), self._loop)

    async def _hear(self, stream: Any, host: LifeHost, life: RemoteLife) -> None:
        try:
            async for reference in stream:
                life.downlink.take(await reference)
            # It has said that it is over; should that be missing, it comes with a message's result.
        except Exception as error:  # noqa: BLE001 - so wide: whatever it is, that life is over
            if not life.is_dead:
                host.lost(life, error)

    def on_result(self, reference: Any, then: Callable[[Future[Any]], None]) -> None:
        """Have what comes of a Ray call handed to `then`, here. From any thread.

        Ray would call in a thread of its own, in which whatever asks Ray something waits for ever.
        """
        reference.future().add_done_callback(functools.partial(self._pass, then))

    def _pass(self, then: Callable[[Future[Any]], None], result: Future[Any]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it
            self._loop.call_soon_threadsafe(then, result)

    def kill(self, life: RemoteLife) -> None:
        """Have a process ended. From any thread; does not wait."""
        self._killing.submit(_kill, life.ray_actor)

    def close(self) -> None:
        """Hear nothing any more; each process that was to be ended is."""
        self._killing.shutdown(wait=True)
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._end)
        if threading.current_thread() is not self._thread:
            self._thread.join(5.0)
            self._loop.close()

    def _end(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.call_soon(self._loop.stop)


def _kill(ray_actor: Any) -> None:
    try:
        ray.kill(ray_actor, no_restart=True)
    except Exception as error:  # noqa: BLE001 - so wide: Ray itself may be gone
        _log.debug("a Ray actor could not be killed: %s", error)
