"""What belongs to one room is not done in another."""

from __future__ import annotations

import pytest

from tests.support.source import modules, uses

#: Each name, or all that a module offers, with the rooms that may use it; an empty row: nobody.
OWNERS: dict[str, set[str]] = {
    # Clocks: timeouts are on the monotonic clock, and nobody waits by sleeping.
    "time.sleep": set(),
    # Against the age of a file; for people who read what happened when.
    "time.time": {
        "wire.runtime_dir",
        "wire.journal",
        "api.system",
        "cli.top",
        "outside.happenings",
        "dashboard.watch",
        "dashboard.latencies",
        "testing.recording",
        "cluster.host",  # by it, deadlines go from machine to machine
        "cluster.member",
    },
    # For people who read a crash report or a dead letter.
    "datetime.datetime.now": {"supervision.actor_record", "deadletters.store"},
    # Encoding: what crosses the boundary is pickled in one place, so that failures have one form.
    "cloudpickle": {
        "local.shares",  # as the store
        "local.store",  # in one process, whose definitions are at hand
        "wire.pickling.by_value",
        "wire.pickling.definitions",
        "wire.pickling.importable",  # what the application has registered
        "wire.pickling.rebuilding",
    },
    "pickle": {
        "api.incarnation",  # the runtime's own values, in files of the runtime directory
        "api.local_life",
        "cluster.store",  # buffers, for Ray to take along
        "local.shares",  # its buffers
        "local.store",
        "cli.crash",  # a message in hand, where the user asks for it
        "process.frozen",  # for multiprocessing to unpickle
        "runner.batches",  # items one by one, at the speed of C
        "runner.loop",
        "process.order",
        "supervision.actor_mailbox",
        "supervision.processes",
        "wire.pickling.codec",
        "wire.pickling.plain",  # for a file
        "wire.pickling.pickle_errors",  # where a pickle stops
        "wire.pickling.definitions",
        "wire.replies.failures",
        "wire.streams.items",  # many in one record
        "testing.player",  # options of a run that was recorded
        "testing.replayed_values",  # its values, with refs of the replay in them
        "wire.run_file",
        "wire.pickling.bundle",
        "wire.result_table",
        "wire.shm.share_codec",  # its buffers
        "wire.pickling.unchanged",  # what data in code is
        "wire.pickling.weight",  # to nowhere
    },
    # Never in an actor, and never in the supervisor's thread.
    "sqlite3": {"cli.deadletters", "deadletters.file", "deadletters.writer"},
    # Life and death: few rooms start processes, and who kills knows whom by a pidfd or a group.
    "multiprocessing.get_context": {"process.launcher"},
    "multiprocessing.Process": set(),
    # Global, and the application's: the zygote sets its own, as `multiprocessing`'s fork would.
    "multiprocessing.set_start_method": {"process.zygote"},
    "subprocess": {"process.child", "process.launcher", "outside.py_spy"},
    "os.fork": {"process.zygote"},
    "os.kill": {"demo.job", "runner.setup", "process.zygote"},
    "os.killpg": {"process.child", "process.lifeline", "process.zygote"},
    "signal.pidfd_send_signal": {
        "doctor.machine",  # to itself, and no signal: whether it may
        "process.child",
        "process.live",
    },
    # Handlers belong to the application: the runtime sets them in its own processes alone.
    "signal.signal": {
        "cli",
        "cluster.ground",  # gives the application's handler back, which Ray replaces
        "process.shield",  # in actors and in the zygote
        "process.signals",  # for the application's sake: a command's, or `procactors.run`'s
    },
    "atexit.register": {
        "executors.engine",  # before the system's: what waits for its workers is done first
        "api.system",
        "wire.pickling.definitions",  # what it keeps alive of the program
    },
    # What the standard library offers between processes does not survive a SIGKILL.
    "multiprocessing.Queue": set(),
    "multiprocessing.Pipe": set(),
    "multiprocessing.Lock": set(),
    "multiprocessing.queues": {"wire.mailbox.queue"},
    # A descriptor above 1023 breaks it: poll instead.
    "select.select": set(),
}


@pytest.mark.parametrize("name", OWNERS)
def test_only_its_rooms_use(name):
    owners = {f"procactors.{room}" for room in OWNERS[name]}
    assert owners <= modules().keys(), "the table names a room that is not there"
    users = {
        f"{room}, line {line}"
        for room, things in uses().items()
        if room not in owners
        for thing, line in things
        if thing == name or thing.startswith(f"{name}.")
    }
    assert not users, f"{name} belongs to {owners or 'nobody'}, but is used in {sorted(users)}"
