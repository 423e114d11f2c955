"""A module that has `multiprocessing` call it in each process that is forked from this one."""

import os
from multiprocessing import util


class Place:
    """Notes in which processes it was called."""

    def __init__(self) -> None:
        self.processes: list[int] = []

    def forked(self) -> None:
        self.processes.append(os.getpid())


PLACE = Place()

util.register_after_fork(PLACE, Place.forked)
util.Finalize(PLACE, os._exit, (7,), exitpriority=1)  # the zygote's own: no actor's
