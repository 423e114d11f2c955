"""An actor's checkpoints under death at each step: the state holds each message once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from procactors.runner.checkpoints import CheckpointReader, Keeper, open_keeper
from procactors.runner.held import Held
from procactors.runner.loop import Loop
from procactors.wire import checkpoint_file
from procactors.wire.checkpoint_file import CheckpointFile
from procactors.wire.envelope import build_message
from procactors.wire.mailbox.black_box import CLOSED, DELIVERIES, STATE, pack_state
from procactors.wire.mailbox.files import MailboxFiles
from procactors.wire.mailbox.hands import DONE, WAITING, Hands
from procactors.wire.mailbox.reader import MailboxReader
from procactors.wire.mailbox.writer import MailboxWriter
from procactors.wire.payload_store import PayloadStore, store_of
from procactors.wire.pickling.codec import decode
from procactors.wire.record import EVENT, TERMINATED, Kind, frame
from procactors.wire.replies.port import ReplyPort
from tests.support.steps import INSTRUCTIONS, LINES, deaths

AT_LEAST_ONCE = True

#: All ways of a message through the actor, but for the handler.
READER = (
    CheckpointReader.advance,
    CheckpointReader._advance_again,
    CheckpointReader.step,
    CheckpointReader.done,
    MailboxReader.advance,
    MailboxReader.done,
)
KEEPER = (Keeper.handled, Keeper.changed, Keeper.answer, Keeper._write, Keeper._send)
HELD = (Loop.serve_held, Keeper.has, Keeper.ends, Keeper.changed, Held.waiting, Held.finish)
FILE = (
    CheckpointFile.write,
    CheckpointFile._write_slot,
    CheckpointFile._write_anew,
    CheckpointFile._open_slots,
    CheckpointFile._sync,
    checkpoint_file._write_at,
    checkpoint_file._write_beside,
)


class Sum:
    """A total that is kept, with some bytes beside it."""

    def __init__(self, padding: int = 0) -> None:
        self.total = 0
        self.padding = padding

    def add(self, number: int, body: bytes = b"") -> int:
        self.total += number
        return self.total

    def fail(self, number: int) -> None:
        self.total += number
        raise ValueError(f"after {self.total}")

    def happened(self, _flags: int, _body: memoryview) -> None:
        self.total += 1000

    def snapshot(self) -> tuple[int, bytes]:
        return self.total, bytes([self.total & 0xFF]) * self.padding

    def restore(self, state: tuple[int, bytes]) -> None:
        self.total, padding = state
        assert padding == bytes([self.total & 0xFF]) * self.padding


class Scene:
    """One actor's mailbox, its callers' port, and as many lives as are wanted."""

    def __init__(self, store: PayloadStore, padding: int, file: str, messages: int = 1) -> None:
        self.store = store
        self.padding = padding
        self.file = file
        self.messages = messages
        self.path = os.path.join(store.path, "actors", "1")
        self.files = MailboxFiles(self.path)
        self.port = ReplyPort(store)
        self.writer = MailboxWriter(self.path, lambda _: None)

    def send(self, method: bytes, number: int, call: int = 0, size: int = 0) -> None:
        encoded = self.store.encode(((number, b"x" * size) if size else (number,), {}))
        reply = self.port.number if call else 0
        self.writer.send(build_message(self.store, 1, method, encoded, call=call, reply=reply))

    def stop(self) -> None:
        self.writer.send_control(frame(Kind.STOP, 0, b""))

    def hold(self, count: int) -> None:
        """Leave the first messages as a life does that had them in hand beside the batch."""
        reader = MailboxReader(self.path)
        hands = Hands(self.path, reader.box.words, is_reader=True)
        for _ in range(count):
            assert reader.advance(0.0) >= 0
            hands.hold(reader).state = WAITING
        hands.close()
        reader.close()

    def life(self) -> Sum:
        """Serve the mailbox to its end, as an incarnation does."""
        reader = CheckpointReader(self.path)
        instance = Sum(self.padding)
        store = store_of(self.store.path)
        keeper = open_keeper(store, 1, "Sum", (self.messages, None, self.file, AT_LEAST_ONCE))
        keeper.restore(instance)
        loop = Loop(reader, store, 1, instance, lambda *_: None)
        loop.on_event = instance.happened
        keeper.serve(reader, loop.replies, instance)
        loop.keep_by(keeper)
        loop.run()
        keeper.finish()
        loop.close()
        return instance

    def recover(self) -> None:
        """Do what the supervisor does of a dead actor with AT_LEAST_ONCE."""
        reader = MailboxReader(self.path)
        words = reader.box.words
        fill, offset, in_hand = reader.box.recover()
        if in_hand:
            words[DELIVERIES] += 1
            words[STATE] = pack_state(fill, offset)
        hands = Hands(self.path, words)
        hands.settle()
        for slot in hands.in_use():
            if slot.state == DONE:
                slot.release()
            else:
                slot.state = WAITING
        hands.close()
        words[CLOSED] = 0
        reader.close()
        self.stop()  # it may have stepped behind the other one

    def answers(self) -> dict[int, list[Any]]:
        """Return by call what its caller was answered, in order."""
        found: dict[int, list[Any]] = {}
        while count := self.port.read(0.0):
            for call, answer in self.port.answers(count):
                head, buffers, received = self.store.open(answer.flags, answer.value)
                value = decode(head, buffers)
                found.setdefault(call, []).append(
                    value if answer.kind == Kind.RESULT else value[-1].split("Error: ")[-1].strip()
                )
                if received is not None:
                    received.consume()
        return found

    def close(self) -> None:
        self.writer.close()
        self.port.retire()
        self.files.close()
        shutil.rmtree(self.path)
        if self.file and os.path.exists(self.file):
            os.unlink(self.file)


@pytest.fixture
def scene(store: PayloadStore, tmp_path: Any) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(padding: int = 10, lasting: bool = False, messages: int = 1) -> Scene:
        while made:
            made.pop().close()
        made.append(Scene(store, padding, str(tmp_path / "state") if lasting else "", messages))
        return made[-1]

    yield make
    while made:
        made.pop().close()


def die_everywhere(
    scene: Callable[..., Scene], functions: tuple[Any, ...], steps: str, **how: Any
) -> None:
    """Kill an actor at each step; its next life, and a third one, have what each message did."""
    now = [prepared(scene, **how)]
    for step in deaths(lambda _: now[0].life(), functions, steps):
        now[0].recover()
        instance = now[0].life()
        assert instance.total == 1 + 2 + 4 + 1000 + 8 + 16, f"step {step}"
        answers = now[0].answers()
        assert set(answers) == {1, 3, 4}, f"step {step}"
        wanted = {1: 1, 3: 7, 4: "after 1015"}
        for call, values in answers.items():
            # Its caller takes the first, and drops the other by its number.
            assert set(map(repr, values)) == {repr(wanted[call])}, f"step {step}, call {call}"
            assert len(values) <= 2
        now[0] = prepared(scene, **how)


def prepared(scene: Callable[..., Scene], held: int = 0, **how: Any) -> Scene:
    made = scene(**how)
    made.send(b":add", 1, call=1)
    made.send(b":add", 2, size=10_000)  # its payload is in a segment
    made.send(b":add", 4, call=3)
    made.writer.send_control(frame(Kind.EVENT, 0, EVENT.pack(TERMINATED, 1, 1)))
    made.send(b":fail", 8, call=4)
    made.send(b":add", 16)
    made.hold(held)
    made.stop()
    return made


FLAVOURS = pytest.mark.parametrize("lasting", [False, True], ids=["with-the-actor", "file"])
#: Within one page, over some pages, and written beside and renamed each time.
SIZES = pytest.mark.parametrize("padding", [10, 10_000, 100_000], ids=["page", "pages", "large"])


@pytest.mark.parametrize("functions", [READER[:4], KEEPER], ids=["reader", "keeper"])
def test_an_actor_killed_at_any_line_has_each_message_in_its_state_once(scene, functions):
    die_everywhere(scene, functions, LINES)


def test_a_message_that_was_held_out_of_the_batch_is_in_the_state_once(scene):
    die_everywhere(scene, HELD, LINES, held=3)


@pytest.mark.stress
def test_a_held_message_killed_at_any_instruction_is_in_the_state_once(scene):
    die_everywhere(scene, (*HELD, *KEEPER), INSTRUCTIONS, held=3)


@pytest.mark.stress
@FLAVOURS
@pytest.mark.parametrize("functions", [READER, KEEPER], ids=["reader", "keeper"])
def test_an_actor_killed_at_any_instruction_has_each_message_in_its_state_once(
    scene, lasting, functions
):
    die_everywhere(scene, functions, INSTRUCTIONS, lasting=lasting)


@pytest.mark.stress
@FLAVOURS
@SIZES
def test_a_write_killed_at_any_line_leaves_the_last_whole_state(scene, lasting, padding):
    """By lines: what writes is one call each, and a file's takes its time."""
    die_everywhere(scene, FILE, LINES, padding=padding, lasting=lasting)
