"""A transport without pipes: actors are objects of this process, and answer while they are called.

What works on it depends on nothing of the pipes, so that another kind can stand in its place.
"""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from procactors import Options, errors
from procactors.crash import ExitKind, ExitReason
from procactors.model import commands as c
from procactors.runner.batches import BatchRunner
from procactors.runner.method_table import find_handler, table_of
from procactors.wire.envelope import BATCH_KEY
from procactors.wire.payload_store import PayloadStore
from procactors.wire.pickling.codec import Encoded, decode, join, split
from procactors.wire.pickling.plain import as_pickle
from procactors.wire.record import Kind
from procactors.wire.replies.port import Answer, PendingReply
from procactors.wire.transport import MAIN, SUPERVISOR, enter, leave


class Worker:
    """An actor that is an object of this process."""

    def __init__(self, store: PayloadStore, instance: Any) -> None:
        self.instance = instance
        self.table = table_of(type(instance))
        self.runner = BatchRunner(store, self.find, lambda: None, lambda _: None)

    def find(self, key: bytes) -> Callable[..., Any]:
        return find_handler(self.instance, self.table, key)[1]

    def handle(self, method: bytes, value: Any) -> Any:
        if method.startswith(BATCH_KEY):
            return self.runner.run(*value[0])
        if method:
            return self.find(method)(*value[0], **value[1])
        return self.instance.receive(value)

    def close(self) -> None:
        for result_table in self.runner._result_tables.values():
            result_table.close()


class DirectTransport:
    """A `Transport` whose messages are handled in the thread that sends them.

    Attributes:
        commands: what the supervisor was given.
        full: actors whose mailbox has no room.
    """

    reply_number = 0
    is_copy = False
    has_threads = True
    beside: Callable[[Any, str], Callable[[], None]] | None = None
    open_stream: Callable[..., Any] | None = None
    refuse: Callable[[str], None] | None = None
    make_letter: Callable[..., Any] | None = None
    make_lock = staticmethod(threading.Lock)
    make_guard = staticmethod(threading.RLock)
    make_mutex = staticmethod(threading.RLock)
    now = staticmethod(monotonic)
    make_condition = staticmethod(threading.Condition)
    make_queue = staticmethod(queue.SimpleQueue)

    def __init__(self, store: PayloadStore) -> None:
        self.path = store.path
        self.actor = MAIN
        self.is_concurrent = False
        self.is_abandoned = False
        self.store = store
        self.encode: Callable[..., Encoded] = store.encode
        self.commands: list[Any] = []
        self.full: set[int] = set()
        self.workers: dict[int, Worker] = {}
        self.waits: list[PendingReply] = []
        self.closing: list[Callable[[], None]] = []
        enter(self)

    def start(self, instance: Any) -> int:
        """Have an object be an actor; return its id."""
        actor = len(self.workers) + 1
        self.workers[actor] = Worker(self.store, instance)
        return actor

    def close(self) -> None:
        for action in list(self.closing):
            action()
        for worker in self.workers.values():
            worker.close()
        leave(self)

    # -- what a transport does ----------------------------------------------------------------

    def tell(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
    ) -> None:
        self._handle(actor, name, method, encoded)

    def tell_many(
        self,
        actor: int,
        name: str,
        method: bytes,
        messages: Iterable[Encoded],
        timeout: float | None = None,
    ) -> None:
        for encoded in messages:
            self.tell(actor, name, method, encoded)

    def ask(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> Any:
        return self._handle(actor, name, method, encoded)

    def submit(
        self,
        actor: int,
        name: str,
        method: bytes,
        encoded: Encoded,
        pending: PendingReply,
        timeout: float | None = None,
        place_timeout: float | None = None,
    ) -> None:
        try:
            result = self._handle(actor, name, method, encoded)
        except errors.DeliveryError:
            raise
        except Exception as error:
            pending.deliver(None, error)
            return
        if actor == SUPERVISOR and isinstance(self.commands[-1], c.Wait):
            self.waits.append(pending)  # answered at the actor's end
            return
        pending.deliver(Answer(Kind.RESULT, 0, memoryview(pickle.dumps(result))), None)

    def open(self, answer: Answer) -> tuple[bool, Any]:
        return True, pickle.loads(answer.value)

    def discard(self, answer: Answer) -> None:
        pass

    def take_back(self, actor: int, call: int) -> bool | None:
        return False  # each has been handled

    def who_answers(self, actor: int, call: int) -> int:
        return actor

    def want_no_more(self, actor: int, call: int) -> None:
        pass

    def look(self) -> None:
        pass

    def bring(self, reply: Any) -> None:
        pass

    def hurry(self) -> None:
        pass

    def stop_in_order(self, actor: int) -> None:
        pass

    def words(self, actor: int) -> memoryview | None:
        return None

    def run_callback(self, callback: Callable[[], None]) -> None:
        callback()

    def on_close(self, action: Callable[[], None]) -> None:
        self.closing.append(action)

    def off_close(self, action: Callable[[], None]) -> None:
        self.closing.remove(action)

    def check_process(self) -> None:
        pass

    def check_copy(self) -> None:
        pass

    # -- who handles it -----------------------------------------------------------------------

    def _handle(self, actor: int, name: str, method: bytes, encoded: Encoded) -> Any:
        if actor in self.full:
            raise errors.MailboxFull(f"the mailbox of {name} is full")
        head, buffers = split(memoryview(join(encoded)))
        value = decode(as_pickle(bytes(head)), buffers)
        if actor != SUPERVISOR:
            return self.workers[actor].handle(method, value)
        self.commands.append(value)
        return self._supervise(value)

    def _supervise(self, command: Any) -> Any:
        match command:
            case c.Spawn(blueprint=path, class_name=class_name, options=options):
                with open(path, "rb") as file:
                    cls, args, kwargs = decode(*split(memoryview(file.read())))
                actor = self.start(cls(*args, **kwargs))
                return c.ActorInfo(actor, options.name, class_name, options)
            case c.Stop() | c.Kill():
                return ExitReason(ExitKind.NORMAL)
            case c.Find(name="nobody"):
                raise errors.NameTaken("an error of the supervisor's")
            case c.Find(name=name):
                return c.ActorInfo(1, name, "Counter", Options())
        return None
