"""What outlives a life, a message or a system: recycling, shares, files; on each backend."""

from __future__ import annotations

import json

import pytest

from procactors import Actor, ActorSystem, Checkpoint, Recycle
from procactors.deadletters.file import LetterFile
from procactors.errors import CheckpointError, ShareReleased, SpawnError
from tests.conformance.actors import Counter
from tests.conformance.conftest import World
from tests.conformance.test_work import Account

OTHERS = {"inline": "processes", "threads": "inline", "processes": "threads"}


class Aging(Actor):
    """Hands its count over to its next life."""

    def __init__(self):
        self.count = 0

    def add(self):
        self.count += 1
        return self.count, self.context.incarnation

    def snapshot(self):
        return self.count

    def restore(self, state):
        self.count = state


def test_a_life_makes_way_behind_so_many_messages(world):
    aging = world.system.options(recycle_after=Recycle(messages=2)).spawn(Aging)
    assert [aging.ask(Aging.add) for _ in range(5)] == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
    status = aging.status()
    assert (status.recycled, status.restarts) == (2, 0)
    world.crash(aging)
    assert aging.ask(Aging.add)[0] == 1


def test_a_life_makes_way_when_its_time_is_over(world):
    aging = world.system.options(recycle_after=Recycle(seconds=0.2)).spawn(Aging)
    assert aging.ask(Aging.add) == (1, 1)
    world.eventually(lambda: aging.status().recycled, "the next life")
    assert aging.ask(Aging.add)[0] == 2


class Reader:
    def get(self, shared):
        return shared.get()

    def write(self, shared):
        try:
            shared.get()[0] = 5
        except (ValueError, TypeError) as error:
            return str(error)
        return "written"

    def share(self, value):
        from procactors import current_context

        return current_context().system.share(value)


def test_a_shared_value_is_read_and_not_written(system):
    numpy = pytest.importorskip("numpy")
    shared = system.share(numpy.arange(100_000))
    reader = system.spawn(Reader)
    assert int(reader.ask(Reader.get, shared).sum()) == 4_999_950_000
    assert "read-only" in reader.ask(Reader.write, shared)
    first, second = shared.get(), shared.get()
    assert not first.flags.writeable
    assert numpy.shares_memory(first, second)
    assert shared.nbytes >= first.nbytes
    assert system.shares() == [shared]
    shared.release()
    with pytest.raises(ShareReleased, match="was released"):
        reader.ask(Reader.get, shared)
    assert int(first[7]) == 7
    assert system.shares() == []


def test_what_an_actor_shares_is_for_all(system):
    sharer, reader = system.spawn(Reader), system.spawn(Reader)
    with sharer.ask(Reader.share, {"a": [1, 2]}) as shared:
        assert reader.ask(Reader.get, shared) == shared.get() == {"a": [1, 2]}
        assert shared.get() is not shared.get()
    system.share("dropped")  # and never sent
    assert system.shares() == []


@pytest.mark.sample
def test_a_state_in_a_file_outlives_its_system(backend, tmp_path):
    kept = Checkpoint(messages=1, file=tmp_path / "state")
    with ActorSystem(backend=backend) as system:
        account = system.options(checkpoint=kept).spawn(Account)
        assert account.ask(Account.add, 5) == 5
        with pytest.raises((CheckpointError, SpawnError), match="belongs to the actor"):
            system.options(checkpoint=kept).spawn(Account)
        World(system, backend).crash(account)
        assert account.ask(Account.add, 2) == 7
    with ActorSystem(backend=OTHERS[backend]) as system:
        assert system.options(checkpoint=kept).spawn(Account).ask(Account.get) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_a_letter_in_a_file_is_sent_again_by_another_system(backend, tmp_path):
    file = tmp_path / "letters"
    with ActorSystem(backend=backend, dead_letter_file=file) as system:
        counter = system.options(name="counter").spawn(Counter)
        counter.stop()
        system.options(name="fails").spawn(Fails).tell(Fails.fail, {"a": 1})
        with pytest.raises(Exception, match="stopped"):
            counter.tell(Counter.increment, 3)
        World(system, backend).eventually(lambda: len(system.dead_letters), "a letter")
    with LetterFile(file) as letters:
        (stored,) = letters.letters()
        assert (stored.letter.actor, stored.letter.class_name) == ("fails", "Fails")
        assert letters.letter(stored.id).letter.message == (({"a": 1},), {})
        letters.mark([stored.id])
    other = OTHERS[backend]
    with ActorSystem(backend=other, dead_letter_file=file) as system:
        takes = system.options(name="fails").spawn(Fails, True)
        World(system, other).eventually(lambda: takes.ask(Fails.get), "the letter")
        assert takes.ask(Fails.get) == {"a": 1}
    with LetterFile(file) as letters:
        assert letters.letters() == []


class Fails:
    def __init__(self, is_cured=False):
        self.is_cured = is_cured
        self.got = None

    def fail(self, message):
        if not self.is_cured:
            raise ValueError("on purpose")
        self.got = message

    def get(self):
        return self.got


def test_a_crash_is_written_with_the_message_in_hand(backend, tmp_path):
    with ActorSystem(backend=backend, crash_dir=tmp_path) as system:
        fails = system.options(name="fails").spawn(Fails)
        fails.tell(Fails.fail, [1, 2])
        World(system, backend).eventually(lambda: fails.status().restarts, "the crash")
    (report,) = tmp_path.glob("*.json")
    facts = json.loads(report.read_text())
    assert facts["actor"] == "fails"
    assert facts["message"]["stands_alone"]
    assert (tmp_path / facts["message"]["file"]).exists()
