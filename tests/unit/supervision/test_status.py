"""What is said of an actor while the supervisor knows only part of what has happened."""

from __future__ import annotations

from procactors.model import commands as c
from procactors.model.options import Options
from procactors.wire.mailbox.black_box import PID
from tests.unit.supervision.world import World


def test_an_actor_that_serves_has_a_process_before_word_of_its_fork_has_come():
    world = World(is_late=True)
    world.slow.add("a")  # ready when the test says so
    world.ask(c.Spawn("", "Actor", Options(name="a"), 0, False))
    host, (record,) = world.hosts["a"], world.core.actors.values()
    assert record.status().pid is None
    host.words[PID] = 1234
    assert record.status().pid is None, "it may be the life before that has noted itself"
    host.get_ready(host.life.start)
    assert (host.pid, record.status().pid) == (None, 1234)
    world.run()
    assert record.status().pid == host.pid is not None
    host.exit(-9)
    while record.incarnation == 1:
        world.supervision.event(world.events.popleft())
    assert (host.pid, record.status().pid) == (None, None), "that of the life before is gone"
