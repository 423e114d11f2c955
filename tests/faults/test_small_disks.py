"""Little room, or none, where runtimes like to have some: what goes elsewhere, and what stays."""

from __future__ import annotations

import ctypes
import os
import struct

from tests.support.namespaces import running_with_mounts
from tests.support.programs import environment, running
from tests.support.waiting import eventually

#: Docker's default is 64 MB; less takes less time, and counts as room still.
SMALL_SHM = "mount -t tmpfs -o size=32m,mode=1777 tmpfs /dev/shm"
#: Everything is read-only but /dev/shm.
READ_ONLY = f"{SMALL_SHM}; mount -o remount,bind,ro /; cd /"

#: What the programs below share. Sizes: more than /dev/shm has.
COMMON = """
import os, sys, time
import numpy as np
from procactors import Actor, ActorSystem, Backoff, Checkpoint, Recycle, Supervisor, errors, spec
from procactors.futures import ActorPoolExecutor

METHOD = sys.argv[1]
BIG = 40 * 2**20

def free():
    disk = os.statvfs("/dev/shm")
    return disk.f_bavail * disk.f_frsize

def files(top="/dev/shm"):
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(top, followlinks=True) for name in names
        if os.stat(os.path.join(folder, name)).st_blocks * 512 > 2**20  # the room that it takes
    )

class Model(Actor):
    def __init__(self, weights=None, *more):
        self.weights = weights
    def total(self):
        return int(self.weights.sum())
    def size(self, data):
        return len(data)
    def make(self, size):
        return np.ones(size, np.uint8)
    def keep(self, data):
        os._exit(1)
    def snapshot(self):
        return self.weights
    def restore(self, state):
        self.weights = state

def check(what, seen, expected):
    if seen != expected:
        print("FAIL", what, repr(seen)[:300], "is not", repr(expected)[:300], flush=True)
"""

LARGE = (
    COMMON
    + """
def settled(used):
    # What an actor has consumed is removed a moment later.
    for _ in range(500):
        if free() >= used and not files():
            return True
        time.sleep(0.01)
    return files()

def total_of_global(x):
    return int(weights.sum()) + x

weights = np.ones(BIG, np.uint8)
with ActorSystem(start_method=METHOD) as system:
    first = system.spawn(Model)
    first.ask(Model.size, b"")
    used = free() - 2**20
    check("message", first.ask(Model.size, weights), BIG)
    check("after a message", settled(used), True)
    check("result", first.ask(Model.make, BIG).nbytes, BIG)
    check("after a result", settled(used), True)
    model = system.spawn(Model, weights)
    check("constructor", model.ask(Model.total), BIG)
    model.kill()
    check("after a constructor", settled(used), True)
    tree = system.supervise(Supervisor(spec(Model, weights).options(name="model")))
    check("tree", system["model"].ask(Model.total), BIG)
    tree.stop()
    check("after a tree", settled(used), True)
    recycled = system.options(recycle_after=Recycle(messages=2)).spawn(Model, 1)
    recycled.stop()
    system.options(recycle_after=Recycle(messages=1)).spawn(Model, weights[:9]).stop()
    recycled = system.options(recycle_after=Recycle(messages=1)).spawn(Model, weights)
    check("snapshot", [recycled.ask(Model.total) for _ in range(3)], [BIG] * 3)
    recycled.kill()
    check("after snapshots", settled(used), True)
    kept = system.options(checkpoint=Checkpoint(messages=1), max_restarts=9).spawn(Model, weights)
    for _ in range(2):
        check("checkpoint", kept.ask(Model.total), BIG)
        os.kill(kept.status().pid, 9)
    check("after a checkpoint", kept.ask(Model.total), BIG)
    kept.kill()
    check("after checkpoints", settled(used), True)
    shared = system.share(weights)
    check("share", first.ask(Model.size, shared.get()), BIG)
    shared.release()
    check("after a share", settled(used), True)
    first.tell(Model.keep, weights)
    first.ask(Model.size, b"")
    (letter,) = system.dead_letters
    check("dead letter", len(letter.buffers[0]), BIG)
    check("after a dead letter", settled(used), True)
    with system.options(size=1).pool() as pool:
        check("pool", [r.nbytes for r in pool.map(np.negative, [weights] * 2)], [BIG] * 2)
        check("global", pool.ask(total_of_global, 1), BIG + 1)
        closed_over = weights[:-1]
        check("closure", list(pool.map(lambda x: closed_over.size + x, [1])), [BIG])
    check("after a pool", settled(used), True)
with ActorPoolExecutor(1) as executor:
    check("executor", executor.submit(len, weights).result(), BIG)
check("at the end", os.listdir("/dev/shm"), [])
print("done", flush=True)
"""
)

NO_ROOM = (
    COMMON
    + """
def refused(what, call):
    before = free()
    try:
        call()
    except (errors.StorageFull, errors.SpawnError, errors.ResultEncodeError) as error:
        for expected in ("no room for", "/dev/shm", os.environ["TMPDIR"]):
            check(what, expected in str(error), True)
    else:
        print("FAIL", what, "went")
    check(f"after {what}", files(), [])
    check(f"after {what}", free() >= before - 2**20, True)

weights = np.ones(BIG, np.uint8)
with ActorSystem(start_method=METHOD) as system:
    first = system.spawn(Model)
    first.ask(Model.size, b"")
    for _ in range(2):
        refused("a message", lambda: first.ask(Model.size, weights))
        refused("a constructor", lambda: system.spawn(Model, weights))
        tree = Supervisor(spec(Model, 1), spec(Model, weights))
        refused("a tree", lambda: system.supervise(tree))
        refused("a share", lambda: system.share(weights))
        refused("a result", lambda: first.ask(Model.make, BIG))
        with system.options(size=1).pool() as pool:
            refused("a global", lambda: pool.ask(lambda x: weights.sum() + x, 1))
    check("what fits", system.spawn(Model, weights[:9]).ask(Model.total), 9)
    with system.options(size=1).pool() as pool:
        check("pool", list(pool.map(abs, [-1])), [1])
check("at the end", os.listdir("/dev/shm") + os.listdir(os.environ["TMPDIR"]), [])
print("done", flush=True)
"""
)

ALONE = (
    COMMON
    + """
for where in (None, "/dev/shm"):
    options = {"runtime_dir": where, "start_method": METHOD, "crash_dir": "/dev/shm/crashes"}
    with ActorSystem(**options, spares=1 if METHOD == "forkserver" else 0) as system:
        with system.options(size=1).pool() as pool:
            check("pool", list(pool.map(abs, [-1])), [1])
        model = system.spawn(Model)
        model.tell(Model.keep, np.ones(2**20, np.uint8))
        check("answer", model.ask(Model.size, bytes(2**20)), 2**20)
        check("message too large", isinstance(errors.StorageFull("x"), errors.DeliveryError), True)
        try:
            model.ask(Model.size, bytes(BIG))
        except errors.StorageFull as error:
            check("why", "none to write to" in str(error), True)
    check("crash reports", len(os.listdir("/dev/shm/crashes")), 2)
    for name in os.listdir("/dev/shm/crashes"):
        os.unlink(f"/dev/shm/crashes/{name}")
    os.rmdir("/dev/shm/crashes")
with ActorPoolExecutor(1) as executor:
    check("executor", executor.submit(abs, -1).result(), 1)
from procactors.cli import main
sys.stdin = open("/dev/null")
check("map", main(["map", "builtins:abs", "--input", "jsonl", "-q", "/dev/null"]), 0)
check("at the end", os.listdir("/dev/shm"), [])
print("done", flush=True)
"""
)


def output_of(program):
    code, out, errors = program.end()
    assert (code, out) == (0, "done\n"), out + errors
    program.await_nothing_left()


def test_what_shared_memory_has_no_room_for_goes_to_the_temporary_directory(start_method, tmp_path):
    env = {**environment(), "TMPDIR": str(tmp_path)}
    with running_with_mounts(SMALL_SHM, LARGE, start_method, env=env) as program:
        output_of(program)
    assert os.listdir(tmp_path) == []


def test_without_room_anywhere_the_call_says_so_and_no_part_of_a_file_stays(start_method, tmp_path):
    env = {**environment(), "TMPDIR": str(tmp_path)}
    mounts = f"{SMALL_SHM}; mount -t tmpfs -o size=32m tmpfs {tmp_path}"
    with running_with_mounts(mounts, NO_ROOM, start_method, env=env) as program:
        output_of(program)


def test_a_system_needs_no_more_than_shared_memory(start_method):
    """A container with a read-only root."""
    with running_with_mounts(READ_ONLY, ALONE, start_method) as program:
        output_of(program)


SENDER = """
import sys
import numpy as np
from procactors import Actor, ActorSystem

class Total(Actor):
    def total(self, data):
        return int(data.sum())

data = np.ones(40 * 2**20, np.uint8)
with ActorSystem() as system:
    total = system.spawn(Total)
    total.ask(Total.total, 1 + data[:9])
    share = system.share(data)
    print(system.name, flush=True)
    for line in sys.stdin:
        print(total.ask(Total.total, data) == share.get().sum() == data.size, flush=True)
"""

OTHER = """
from procactors import ActorSystem
with ActorSystem() as system:
    print(system.name)
"""


def test_a_container_that_shares_the_temporary_directory_sweeps_no_living_system_s(tmp_path):
    """Neither sees the other's /dev/shm, nor its processes' numbers."""
    env = {**environment(), "TMPDIR": str(tmp_path)}
    with running_with_mounts(SMALL_SHM, SENDER, env=env, stdin=-1) as living:
        name = living.line()
        assert os.listdir(tmp_path) == [f"{name}.more"]
        for _ in range(2):
            with running_with_mounts(SMALL_SHM, OTHER, env=env) as other:
                assert other.end()[0] == 0
            living.process.stdin.write("again\n")
            living.process.stdin.flush()
            assert living.line() == "True"
        for process in living.tree():
            process.kill()
        eventually(lambda: not living.tree(), "the end of all of its processes")
        assert os.listdir(tmp_path) == [f"{name}.more"]
        with running(OTHER, env=env) as other:
            assert other.end()[0] == 0
        assert os.listdir(tmp_path) == []


def test_the_janitor_takes_the_overflow_of_a_killed_program_along(tmp_path):
    env = {**environment(), "TMPDIR": str(tmp_path)}
    with running_with_mounts(SMALL_SHM, SENDER, env=env, stdin=-1) as program:
        assert program.line()
        program.process.kill()
        eventually(lambda: not os.listdir(tmp_path), "the removal of the overflow directory")
        program.await_nothing_left()


QUIET = """
import os, sys
from procactors import Actor, ActorSystem
from procactors.futures import ActorPoolExecutor

class Echo(Actor):
    def echo(self, value):
        return value
    def temporary(self):
        import tempfile
        return tempfile.gettempdir()
    def children(self):
        return self.context.spawn(Echo).ask(Echo.echo, 1)

for number in range(2):
    with ActorSystem(start_method=sys.argv[1]) as system, system.options(size=2).pool() as pool:
        list(pool.map(abs, range(100)))
        echo = system.spawn(Echo)
        echo.ask(Echo.echo, bytes(2**21))
        echo.ask(Echo.children)
        system.share(bytes(2**21))
with ActorPoolExecutor(1) as executor:
    executor.submit(abs, -1).result()
print("done", flush=True)
sys.stdin.readline()
with ActorSystem(start_method=sys.argv[1]) as system:
    print(system.spawn(Echo).ask(Echo.temporary), flush=True)
"""


class Watch:
    """The names of what is made in a directory, by the kernel's word."""

    def __init__(self, path):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._fd >= 0
        assert self._libc.inotify_add_watch(self._fd, os.fsencode(path), 0x100) >= 0  # IN_CREATE

    def names(self):
        """Return what was made since the last call."""
        found = []
        try:
            data = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return found
        while data:
            size = struct.unpack_from("iIII", data)[3]
            found.append(data[16 : 16 + size].rstrip(b"\0").decode())
            data = data[16 + size :]
        return found

    def close(self):
        os.close(self._fd)


def test_no_process_of_ours_tries_the_temporary_directory_by_writing(start_method, tmp_path):
    """Python's own way leaves a file behind in whoever is killed at it."""
    watch = Watch(tmp_path)
    env = {**environment(), "TMPDIR": str(tmp_path)}
    try:
        with running(QUIET, start_method, env=env, stdin=-1) as program:
            assert program.line() == "done"
            made = watch.names()
            assert made  # else the kernel tells us nothing
            strangers = [name for name in made if not name.startswith("procactors-")]
            assert strangers == []
            program.process.stdin.write("\n")
            program.process.stdin.flush()
            assert program.line() == str(tmp_path)
            # The user's code may still do so: this shows that we would have seen it.
            assert [name for name in watch.names() if not name.startswith("procactors-")] != []
            assert program.end()[0] == 0
    finally:
        watch.close()
