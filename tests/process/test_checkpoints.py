"""State that survives: what an actor has written down is there in its next life."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from procactors import (
    ActorSystem,
    Checkpoint,
    Delivery,
    ExitKind,
    Options,
    Recycle,
    Restart,
    Strategy,
    Supervisor,
    load_tree,
    spec,
)
from procactors.errors import ActorDied, CheckpointError, InvalidSpec, SpawnError
from procactors.wire.endpoint import actor_path
from tests.support.actors import Echo
from tests.support.copies import ended, forked
from tests.support.counters import (
    Aside,
    AsyncHook,
    Awaiting,
    Bad,
    Counter,
    Large,
    Neither,
    OnlyRestore,
    OnlySnapshot,
    Plain,
    Points,
    Ticker,
    Watcher,
)
from tests.support.programs import running
from tests.support.waiting import SHORT_S, eventually

OFTEN = {"max_restarts": 1000, "within": 1000.0}
EACH = {"checkpoint": Checkpoint(messages=1), "delivery": Delivery.AT_LEAST_ONCE, **OFTEN}


def keeping(system, messages=None, seconds=None, file=None, **options):
    return system.options(checkpoint=Checkpoint(messages, seconds, file), **{**OFTEN, **options})


def checkpoint_of(ref):
    return os.path.join(actor_path(ref._runtime_dir, ref._actor), "checkpoint")


def kill(ref):
    """Kill an actor's process, and wait until the next one is there."""
    status = eventually(lambda: (found := ref.status()).pid and found, "a process")
    os.kill(status.pid, signal.SIGKILL)
    eventually(lambda: ref.status().incarnation > status.incarnation, "the next life")


@pytest.mark.methods
def test_a_crash_loses_nothing_that_was_handled_and_the_hooks_run_in_order(system):
    ref = keeping(system, 1).spawn(Counter, 10)
    assert [ref.ask(Counter.add) for _ in range(3)] == [11, 12, 13]
    kill(ref)
    assert ref.ask(Counter.get) == 13
    assert ref.ask(Counter.look)[2] == ["init", "restore 13", "start", "restart"]
    for _ in range(3):
        ref.tell(Counter.add)
    assert ref.ask(Counter.get) == 16
    kill(ref)
    assert ref.ask(Counter.get) == 16


@pytest.mark.parametrize("how", ["SIGKILL", "segfault", "os._exit(7)", "exception"])
def test_what_a_handler_had_done_when_it_ended_the_process_is_undone(system, how):
    ref = keeping(system, 1).spawn(Counter)
    assert ref.ask(Counter.add) == 1
    if how == "exception":
        ref.tell(Counter.add_and_end, how)
    else:
        with pytest.raises(ActorDied):
            ref.ask(Counter.add_and_end, how)
    assert ref.ask(Counter.get) == 1


def test_an_exception_that_goes_to_the_caller_is_a_message_like_another(system):
    ref = system.options(**EACH).spawn(Counter)
    with pytest.raises(Exception, match="on purpose"):
        ref.ask(Counter.add_and_end, "exception")
    kill(ref)
    assert ref.ask(Counter.get) == 1


def test_the_state_is_written_behind_so_many_messages(system):
    ref = keeping(system, 3).spawn(Counter)
    for _ in range(8):
        ref.ask(Counter.add)
    kill(ref)
    assert ref.ask(Counter.get) == 6


def test_the_state_is_written_when_the_seconds_are_over_though_no_message_comes(system):
    ref = keeping(system, seconds=0.2).spawn(Counter)
    ref.ask(Counter.add)
    ref.ask(Counter.add)

    eventually(lambda: os.path.exists(checkpoint_of(ref)), "a checkpoint")
    kill(ref)
    assert ref.ask(Counter.get) == 2


def test_seconds_write_between_messages_too_and_not_without_one(system):
    ref = keeping(system, seconds=0.05).spawn(Counter)
    eventually(lambda: ref.ask(Counter.look)[1] >= 3, "a third checkpoint")
    _, before, _ = ref.ask(Counter.look)
    eventually(lambda: ref.status().state == "idle", "an idle actor")
    other = keeping(system, seconds=0.05).spawn(Counter)
    eventually(lambda: other.ask(Counter.look)[1] >= 5, "five checkpoints of another one")
    assert ref.ask(Counter.look)[1] - before <= 2


def test_an_orderly_end_writes_what_was_not_due(system, tmp_path):
    file = tmp_path / "state"
    ref = keeping(system, 100, file=file).spawn(Counter)
    for _ in range(3):
        ref.tell(Counter.add)
    ref.stop()
    ref = keeping(system, 100, file=file).spawn(Counter)
    assert ref.ask(Counter.add_and_leave) == 4
    assert ref.wait().kind is ExitKind.NORMAL
    assert keeping(system, 100, file=file).spawn(Counter).ask(Counter.get) == 4


@pytest.mark.parametrize("messages", [1, 100])
def test_an_actor_that_is_recycled_as_well_has_one_state(system, messages):
    ref = keeping(system, messages, recycle_after=Recycle(2)).spawn(Counter)
    assert [ref.ask(Counter.add) for _ in range(7)] == [1, 2, 3, 4, 5, 6, 7]
    assert ref.status().recycled == 3
    kill(ref)
    # The seventh was handled in the life that was killed, and not written down with 100.
    assert ref.ask(Counter.get) == (7 if messages == 1 else 6)


def test_a_restart_by_a_strategy_goes_on_where_it_was(system):
    child = spec(Counter).options(name="kept", checkpoint=Checkpoint(messages=1000))
    system.supervise(
        Supervisor(child, spec(Counter).options(name="other"), strategy=Strategy.ONE_FOR_ALL)
    )
    kept, other = system["kept"], system["other"]
    assert kept.ask(Counter.add, 5) == 5
    os.kill(other.status().pid, signal.SIGKILL)
    eventually(lambda: kept.status().incarnation == 2, "the restart of both")
    assert kept.ask(Counter.get) == 5


def test_any_class_may_have_the_hooks(system):
    ref = keeping(system, 1).spawn(Plain)
    assert ref.ask(Plain.add) == 1
    kill(ref)
    assert ref.ask(Plain.add) == 2


@pytest.mark.parametrize("mailbox", [None, 4], ids=["unbounded", "bounded"])
def test_a_redelivered_message_is_run_again_if_the_state_has_it_not(system, gate, mailbox):
    ref = system.options(**EACH, mailbox=mailbox).spawn(Counter)
    reply = ref.submit(Counter.add_and_hold, gate)
    gate.arrival()
    kill(ref)
    gate.arrival()
    gate.open()
    assert reply.result(SHORT_S) == 1
    assert ref.ask(Counter.get) == 1


def test_an_event_of_the_death_watch_is_in_the_state(system):
    ref = system.options(**EACH).spawn(Watcher)
    echo = system.spawn(Echo)
    ref.ask(Watcher.look_at, echo)
    echo.stop()
    eventually(lambda: ref.ask(Counter.get) == 1000, "the event")
    kill(ref)
    assert ref.ask(Counter.get) == 1000


def test_what_a_timer_has_changed_is_in_the_state(system):
    """Without a message in hand, and though none comes."""
    ref = system.options(**EACH).spawn(Ticker)
    eventually(lambda: os.path.exists(checkpoint_of(ref)), "a checkpoint")
    kill(ref)
    assert "restore 1000" in ref.ask(Counter.look)[2]
    eventually(lambda: ref.ask(Counter.get) == 2000, "the timer of the next life")


def test_a_message_that_was_cancelled_is_not_in_the_state(system, gate):
    ref = system.options(**EACH).spawn(Counter)
    held = ref.submit(Counter.add_and_hold, gate)
    gate.arrival()
    waiting = ref.submit(Counter.add)
    assert waiting.cancel()
    gate.open()
    assert held.result(SHORT_S) == 1
    assert ref.ask(Counter.add) == 2
    kill(ref)
    assert ref.ask(Counter.get) == 2


def test_a_message_whose_process_is_killed_by_its_cancellation_is_undone(system, gate):
    ref = system.options(**EACH).spawn(Counter)
    assert ref.ask(Counter.add) == 1
    held = ref.submit(Counter.add_and_hold, gate)
    gate.arrival()
    held.cancel(kill=True)
    assert ref.ask(Counter.get) == 1


def test_messages_that_were_put_aside_are_in_the_state_once(system):
    """They come again with the next life, and are begun when that lets them."""
    ref = system.options(**EACH).spawn(Aside)
    replies = [ref.submit(Aside.add_when_open) for _ in range(3)]
    for _ in range(2):
        ref.tell(Aside.add_when_open)
    assert ref.ask(Counter.add) == 1
    kill(ref)
    assert ref.ask(Counter.get) == 1
    ref.ask(Aside.open)
    assert sorted(reply.result(SHORT_S) for reply in replies) == [2, 3, 4]
    assert ref.ask(Counter.get) == 6
    kill(ref)
    assert ref.ask(Counter.get) == 6


def test_an_answer_that_is_paid_later_writes_no_half_of_another_message(system):
    ref = keeping(system, 1).spawn(Aside)
    owed = ref.submit(Aside.add_and_owe)
    before = ref.ask(Counter.look)[1]
    during = ref.ask(Aside.pay_in_the_midst_of)
    assert owed.result(SHORT_S) == 2
    assert during == before + 1  # behind `look`, and none since
    kill(ref)
    assert ref.ask(Counter.get) == 3


def test_coroutines_one_at_a_time_are_in_the_state_once(system):
    ref = system.options(**EACH).spawn(Awaiting)
    replies = []
    for _ in range(3):
        replies += [ref.submit(Awaiting.add_later) for _ in range(50)]
        ref.tell(Awaiting.add_later)
        kill(ref)
    assert sorted({reply.result(SHORT_S) for reply in replies}) == sorted(
        reply.result() for reply in replies
    )
    assert ref.ask(Counter.get) == 153


def test_a_coroutines_state_is_written_when_its_time_comes(system):
    ref = keeping(system, seconds=0.1).spawn(Awaiting)
    assert ref.ask(Awaiting.add_later) == 1
    eventually(lambda: os.path.exists(checkpoint_of(ref)), "a checkpoint")
    kill(ref)
    assert ref.ask(Counter.get) == 1


def test_arrays_are_kept_and_a_large_state_is_no_smaller_for_that(system):
    pytest.importorskip("numpy")
    ref = keeping(system, 1).spawn(Large)
    for size, value in ((10, 1), (50_000, 2), (3_000_000, 3), (100, 4)):
        ref.ask(Large.fill, size, value)
        kill(ref)
        assert ref.ask(Large.sum) == (size, size * value)


# -- a file that outlives the program ------------------------------------------------------------


def test_a_program_that_starts_again_goes_on_where_it_was(start_method, tmp_path):
    file = tmp_path / "state"
    for number in range(3):
        with ActorSystem(start_method=start_method) as system:
            ref = keeping(system, 1, file=file).spawn(Counter)
            assert ref.ask(Counter.add) == number + 1
            assert (tmp_path / "state.lock").exists()
        assert os.listdir(tmp_path) == ["state"]
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_number_of_a_message_in_another_program_means_nothing_here(system, tmp_path):
    """Its first message has the number that the last one of a program before had."""
    file = tmp_path / "state"
    options = {**EACH, "checkpoint": Checkpoint(messages=1, file=file)}
    ref = system.options(**options).spawn(Counter)
    assert ref.ask(Counter.add) == 1
    ref.stop()
    ref = system.options(**options).spawn(Counter)
    with pytest.raises(ActorDied):
        ref.ask(Counter.add_and_end, "SIGKILL")
    assert ref.ask(Counter.add) == 2


PROGRAM = """
    import os, sys
    from procactors import Actor, ActorSystem, Checkpoint

    class Counter(Actor):
        def __init__(self): self.number = 0
        def add(self): self.number += 1; return self.number
        def snapshot(self): return self.number
        def restore(self, state): self.number = state

    with ActorSystem() as system:
        ref = system.options(checkpoint=Checkpoint(messages=1, file=sys.argv[1])).spawn(Counter)
        while True:
            print(ref.ask(Counter.add), flush=True)
    """


def test_a_program_that_is_killed_again_and_again_counts_each_answer(tmp_path):
    """At once another one follows, while the actor of the dead one is being killed."""
    last = 0
    for _ in range(4):
        with running(PROGRAM, tmp_path / "state") as program:
            for _ in range(3):
                number = int(program.line())
            # One more may be in the file than the program has read.
            assert last + 3 <= number <= last + 4
            program.process.kill()
            rest = program.process.stdout.read().split()
            last = int(rest[-1]) if rest else number


def test_two_live_actors_do_not_share_a_file(system, tmp_path):
    file = tmp_path / "state"
    ref = keeping(system, 1, file=file, name="first").spawn(Counter)
    link = tmp_path / "link"
    link.symlink_to(file)
    for path in (file, link, os.path.relpath(file)):
        with pytest.raises(CheckpointError, match=f"{file} belongs to the actor first of process"):
            keeping(system, 1, file=path).spawn(Counter)
    with running(PROGRAM, file) as program:
        _, printed, errors = program.end()
    assert "belongs to the actor first of process" in errors
    assert printed == ""
    kill(ref)  # it is refused between two lives, too
    with pytest.raises(CheckpointError):
        keeping(system, 1, file=file).spawn(Counter)
    assert ref.ask(Counter.add) == 1
    ref.stop()
    assert keeping(system, 1, file=file).spawn(Counter).ask(Counter.get) == 1


def test_two_children_of_a_tree_do_not_share_a_file(system, tmp_path):
    checkpoint = Checkpoint(messages=1, file=tmp_path / "state")
    with pytest.raises(SpawnError, match="belongs to the actor"):
        system.supervise(
            Supervisor(*(spec(Counter).options(checkpoint=checkpoint) for _ in range(2)))
        )
    eventually(lambda: os.listdir(tmp_path) == ["state"], "the claim's end")


def test_a_copy_of_the_program_keeps_no_file_from_others(system, tmp_path):
    ref = keeping(system, 1, file=tmp_path / "state").spawn(Counter)
    pid = forked(signal.pause)
    try:
        ref.stop()
        keeping(system, 1, file=tmp_path / "state").spawn(Counter)
    finally:
        os.kill(pid, signal.SIGKILL)
        assert ended(pid) == -signal.SIGKILL


@pytest.mark.parametrize("damage", ["empty", "foreign", "cut off", "a byte", "open to others"])
def test_a_file_that_cannot_be_read_fails_the_start_and_is_left_as_it_is(system, tmp_path, damage):
    file = tmp_path / "state"
    ref = keeping(system, 1, file=file).spawn(Counter)
    for _ in range(5):
        ref.ask(Counter.add)
    ref.stop()
    data = file.read_bytes()
    damaged = {
        "empty": b"",
        "foreign": b"something else" * 1000,
        "cut off": data[:-1],
        "a byte": data.replace(b"K\x05.", b"K\x07."),
        "open to others": data,
    }[damage]
    file.write_bytes(damaged)
    if damage == "open to others":
        file.chmod(0o666)
    with pytest.raises(SpawnError, match=str(file)) as raised:
        keeping(system, 1, file=file).spawn(Counter)
    assert "CheckpointError" in f"{raised.value} {raised.value.__cause__}"
    assert file.read_bytes() == damaged
    file.unlink()
    assert keeping(system, 1, file=file).spawn(Counter).ask(Counter.get) == 0


def test_a_newer_version_of_the_class_gets_what_the_older_one_gave(tmp_path):
    """Definitions of a script go into the file; those of a module are looked up in it."""
    program = """
        import dataclasses, sys
        from procactors import Actor, ActorSystem, Checkpoint

        @dataclasses.dataclass
        class Part:
            number: int

        class Counter(Actor):
            def __init__(self): self.part, self.{attribute} = Part(0), "{attribute}"
            def add(self): self.part.number += 1; return self.part.number
            def snapshot(self): return {{"part": self.part, "version": self.{attribute}}}
            def restore(self, state):
                self.part = state["part"]
                print(state["version"], "in", self.{attribute}, type(self.part).__name__)

        with ActorSystem() as system:
            options = system.options(checkpoint=Checkpoint(messages=1, file=sys.argv[1]))
            ref = options.spawn(Counter)
            for _ in range(3):
                print(ref.ask(Counter.add))
        """
    printed = []
    for attribute in ("old", "new", "new"):
        with running(program.format(attribute=attribute), tmp_path / "state") as running_one:
            code, out, errors = running_one.end()
            assert (code, errors) == (0, "")
            printed += out.split("\n")[:-1]
    assert printed == ["1", "2", "3", "old in new Part", "4", "5", "6", "new in new Part",
                       "7", "8", "9"]  # fmt: skip


def test_a_class_of_the_users_is_itself_in_each_life(system, tmp_path):
    ref = keeping(system, 1, file=tmp_path / "state").spawn(Points)
    first = ref.ask(Points.add, 1, 2)
    kill(ref)
    second = ref.ask(Points.add, 3, 4)
    assert ref.ask(Points.all) == [first, second]


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["snapshot", "pickle"])
def test_a_snapshot_that_fails_is_a_crash_and_the_last_state_stays(system, tmp_path, where):
    """Its message counts as one that was cut off: nobody has had an answer."""
    marker = tmp_path / "marker"
    ref = system.options(**EACH).spawn(Bad, where, marker)
    assert ref.ask(Counter.add) == 1
    marker.touch()
    with pytest.raises(ActorDied, match="on purpose" if where == "snapshot" else "lock"):
        ref.ask(Counter.add)
    marker.unlink()
    assert ref.ask(Counter.get) == 1


def test_a_restore_that_raises_is_a_failed_start(system, tmp_path):
    marker = tmp_path / "marker"
    ref = keeping(system, 1, max_restarts=3).spawn(Bad, "restore", marker)
    assert ref.ask(Counter.add) == 1
    marker.touch()
    os.kill(ref.status().pid, signal.SIGKILL)
    reason = ref.wait()
    assert reason.kind is ExitKind.START
    assert "on purpose" in reason.text


def test_the_files_of_an_actor_go_with_it(system):
    ref = keeping(system, 1).spawn(Counter)
    ref.ask(Counter.add)
    folder = Path(actor_path(ref._runtime_dir, ref._actor))
    assert (folder / "checkpoint").exists()
    ref.stop()
    assert not folder.exists()


def test_a_pool_may_keep_its_workers_states(system):
    with keeping(system, 1, size=2).pool(Counter) as pool:
        assert sum(pool.map(Counter.add, [1] * 50)) >= 50
        assert pool.ask(Counter.get) > 0


MISTAKES = {
    "no bound": (lambda _: Checkpoint(), "at least one of messages, seconds"),
    "a file alone": (lambda _: Checkpoint(file="state"), "at least one of messages, seconds"),
    "no messages": (lambda _: Checkpoint(messages=0), "at least 1, not 0"),
    "half a message": (lambda _: Checkpoint(messages=0.5), "at least 1, not 0.5"),
    "no seconds": (lambda _: Checkpoint(seconds=0), "more than 0"),
    "no folder": (lambda _: Checkpoint(1, file="/nowhere/state"), "no folder /nowhere; make it"),
    "a device": (lambda _: Checkpoint(1, file="/dev/full"), "/dev/full is no file"),
    "a folder": (lambda _: Checkpoint(1, file="/tmp"), "/tmp is no file"),
    "no path": (lambda _: Checkpoint(1, file=3), "Checkpoint.file is a path"),
    "no checkpoint": (lambda _: Options(checkpoint=1), r"checkpoint is a Checkpoint\(...\), not 1"),
    "neither hook": (lambda w: w.spawn(Neither), "it has neither"),
    "no restore": (lambda w: w.spawn(OnlySnapshot), "needs restore"),
    "no snapshot": (lambda w: w.spawn(OnlyRestore), "needs snapshot"),
    "an async hook": (lambda w: w.spawn(AsyncHook), "snapshot is async def: the hook is a plain"),
    "many at once": (
        lambda _: Options(checkpoint=Checkpoint(messages=1), max_concurrency=2),
        "between two messages",
    ),
    "in a spec": (
        lambda _: spec(OnlyRestore).options(checkpoint=Checkpoint(messages=1)),
        "needs snapshot",
    ),
    "in a pool": (lambda w: w.pool(OnlySnapshot), "needs restore"),
    "a pool of functions": (lambda w: w.pool(), "it has neither"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_has_its_error_at_the_call(system, mistake):
    call, text = MISTAKES[mistake]
    with pytest.raises(InvalidSpec, match=text):
        call(keeping(system, 1))


def test_a_pool_cannot_share_a_file(system, tmp_path):
    with pytest.raises(InvalidSpec, match="cannot share it"):
        keeping(system, 1, file=tmp_path / "state").pool(Counter)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidSpec, match="cannot be written by this user"):
        Checkpoint(messages=1, file=tmp_path / "state")
    tmp_path.chmod(0o700)


def test_a_folder_that_goes_is_named_at_the_spawn(system, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    spawner = keeping(system, 1, file=folder / "state")
    folder.rmdir()
    with pytest.raises(SpawnError, match=str(folder)):
        spawner.spawn(Counter)


def test_a_relative_path_means_the_directory_of_this_moment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint = Checkpoint(messages=1, file="state")
    assert checkpoint.file == str(tmp_path.resolve() / "state")


def test_a_tree_file_says_it_too(tmp_path):
    tree = tmp_path / "tree.toml"
    tree.write_text(
        '[[children]]\nclass = "tests.support.counters:Counter"\n'
        f'checkpoint = {{ messages = 1, file = "{tmp_path}/state" }}\n'
    )
    (child,) = load_tree(tree).children
    assert child.settings.checkpoint == Checkpoint(messages=1, file=tmp_path / "state")


def test_a_temporary_actor_with_a_file_is_kept_for_the_next_one(system, tmp_path):
    ref = keeping(system, 1, file=tmp_path / "state", restart=Restart.TEMPORARY).spawn(Counter)
    assert ref.ask(Counter.add) == 1
    os.kill(ref.status().pid, signal.SIGKILL)
    ref.wait()
    assert keeping(system, 1, file=tmp_path / "state").spawn(Counter).ask(Counter.get) == 1
