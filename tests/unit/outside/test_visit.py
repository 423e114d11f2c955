"""A visit at an actor's door."""

from __future__ import annotations

import contextlib
import os
import socket
from time import monotonic

from procactors.outside.visit import Visit
from tests.support.waiting import SHORT_S


class HardOfHearing:
    """A process that comes to the door at the third knock: until then it was importing."""

    has_ended = False

    def __init__(self, folder):
        self._folder = folder
        self.knocks = 0
        self.socket = socket.socket(socket.AF_UNIX)

    def send(self, _number):
        self.knocks += 1
        if self.knocks == 3:
            (name,) = [name for name in os.listdir(self._folder) if name.startswith("door.")]
            self.socket.connect(os.path.join(self._folder, name))
        return True


def test_whoever_does_not_hear_is_knocked_at_again(tmp_path):
    process = HardOfHearing(tmp_path)
    with contextlib.closing(process.socket), Visit(str(tmp_path), "stacks") as visit:
        connection = visit.knock(process, monotonic() + SHORT_S)
        assert connection is not None
        connection.close()
    assert process.knocks == 3
    assert not os.listdir(tmp_path)
