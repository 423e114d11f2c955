"""Shared data: one copy, mapped read-only by many, gone when it is to go and not before."""

from __future__ import annotations

import contextlib
import copy
import errno
import gc
import os
import pickle
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from procactors import Actor, ActorSystem, Recycle, Shared, errors
from procactors.wire.runtime_dir import overflow_of
from tests.stress.share_kills import run
from tests.support.actors import Echo
from tests.support.scripts import run_source
from tests.support.waiting import aside, eventually

MB = 1_000_000


class Reader(Actor):
    """Reads shares and holds on to them, and makes some of its own."""

    def __init__(self) -> None:
        self.held: list[Any] = []

    def total(self, shared: Shared[Any]) -> float:
        return float(shared.get().sum())

    def hold(self, shared: Shared[Any]) -> int:
        self.held.append(shared.get())
        return os.getpid()

    def held_totals(self) -> list[float]:
        return [float(array.sum()) for array in self.held]

    def drop(self) -> None:
        self.held.clear()

    def make(self, size: int, value: int) -> Shared[Any]:
        return self.context.system.share(np.full(size, value, np.uint8))

    def keep(self, size: int) -> None:
        self.held.append(self.context.system.share(np.ones(size, np.uint8)))

    def release(self, shared: Shared[Any]) -> None:
        shared.release()

    def pid(self) -> int:
        return os.getpid()

    def descriptors(self) -> int:
        return len(os.listdir("/proc/self/fd"))

    def where(self, shared: Shared[Any]) -> list[tuple[int, bool]]:
        """Tell for each buffer of a table or frame whether it lies in the map, and its size."""
        value = shared.get()
        return [(size, lies_in(shared, at)) for at, size in buffers_of(value)]

    def columns(self, shared: Any, names: list[str]) -> list[bool]:
        """Tell of columns of a frame of pandas whether they lie in the map."""
        frame = shared.get()["frame"]
        return [lies_in(shared, frame[name].to_numpy().ctypes.data) for name in names]


@dataclass
class Model:
    name: str
    weights: Any


def buffers_of(value: Any) -> list[tuple[int, int]]:
    if hasattr(value, "to_arrow"):  # a frame of polars; this copies no numbers
        value = value.to_arrow()
    chunks = [chunk for column in value.columns for chunk in column.chunks]
    return [(b.address, b.size) for chunk in chunks for b in chunk.buffers() if b is not None]


def lies_in(shared: Shared[Any], address: int) -> bool:
    """Tell whether an address of this process lies in a map of the share's file."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if first <= address < last:
            return line.endswith(shared._share.path)
    return False


def files(system: Any) -> list[Path]:
    return sorted(Path(system._endpoint.path, "shared").iterdir())


def usage(system: Any) -> int:
    return sum(path.stat().st_blocks * 512 for path in files(system))


@pytest.mark.methods
def test_an_array_is_read_in_the_parent_and_in_actors_and_nobody_can_change_it(system):
    array = np.arange(MB)
    shared = system.share(array)
    ours = shared.get()
    assert np.array_equal(ours, array)
    assert not ours.flags.writeable
    assert lies_in(shared, ours.ctypes.data)
    with pytest.raises(ValueError, match="read-only"):
        ours += 1
    array += 1  # what is changed later has nothing to do with it
    reader = system.spawn(Reader)
    assert reader.ask(Reader.total, shared) == (array - 1).sum()


def test_a_handle_is_a_tiny_value(system):
    shared = system.share({"a": np.ones(MB)})
    sent = pickle.dumps(shared)
    assert len(sent) < 300
    back = system.spawn(Echo).ask(Echo.echo, [shared, {shared: 1}])
    assert back == [shared, {shared: 1}]
    assert pickle.loads(sent) == shared != system.share(1)
    assert copy.deepcopy(shared) is shared
    assert 8 * MB <= shared.nbytes <= 8 * MB + 8192
    assert repr(back[0]) == "<Shared dict, 8 MB>"
    assert shared in system.shares()


def test_eight_readers_cost_one_copy(system):
    array = np.arange(100 * MB // 8)
    with system.share(array) as shared:
        readers = [system.spawn(Reader) for _ in range(8)]
        for reader in readers:  # numpy is loaded before the first look
            reader.ask(Reader.hold, system.share(np.ones(10)))
        pids = [reader.ask(Reader.pid) for reader in readers]
        before = sum(psutil.Process(pid).memory_full_info().pss for pid in pids)
        for reader in readers:
            assert reader.ask(Reader.total, shared) == array.sum()  # each page is read
            reader.ask(Reader.hold, shared)
        for reader in readers:
            assert reader.ask(Reader.held_totals)[1] == array.sum()
        taken = sum(psutil.Process(pid).memory_full_info().pss for pid in pids) - before
        assert taken < 1.1 * array.nbytes
        assert usage(system) < 1.01 * array.nbytes


@pytest.mark.parametrize(
    "value",
    [
        np.arange(MB).reshape(1000, 1000)[::2, 1:],
        np.asfortranarray(np.arange(20_000.0).reshape(100, 200)),
        np.array(["2020-01-01", "2021-01-01"], "M8[D]"),
        np.ones((0, 3)),
        np.array(5),
        np.zeros(3, [("a", "i4"), ("b", "f8")]),
    ],
    ids=["strided", "fortran", "times", "empty", "scalar", "records"],
)
def test_arrays_of_any_form_are_mapped(system, value):
    back = system.share(value).get()
    assert np.array_equal(back, value)
    assert (back.dtype, back.shape) == (value.dtype, value.shape)
    assert not back.flags.writeable


@pytest.mark.parametrize(
    "value",
    [
        memoryview(b"abc" * 1000),
        memoryview(np.arange(6.0).reshape(2, 3)),
        memoryview(np.arange(10))[::2],
        memoryview(b""),
    ],
    ids=["bytes", "two dimensions", "strided", "empty"],
)
def test_a_memoryview_stands_for_any_buffer(system, value):
    back = system.share({"view": value}).get()["view"]
    assert back == value
    assert back.readonly
    assert back.shape == value.shape


def test_a_nested_value_is_mapped_where_it_has_buffers(system):
    value = [Model("m", {"w": np.arange(MB), "b": np.ones(3)}), "text", b"bytes", {1, 2}, None]
    shared = system.share(value)
    model, *rest = shared.get()
    assert rest == value[1:]
    assert model.name == "m"
    assert lies_in(shared, model.weights["w"].ctypes.data)
    assert np.array_equal(model.weights["w"], np.arange(MB))
    other, *_ = shared.get()
    other.name = "changed"  # each get is a value of its own, over the same memory
    assert shared.get()[0].name == "m"
    assert other.weights["w"].ctypes.data == model.weights["w"].ctypes.data


def test_what_cannot_be_pickled_is_named(system):
    with pytest.raises(errors.EncodeError, match=r"shared value\['bad'\]\[1\]"):
        system.share({"view": memoryview(b"good"), "bad": [1, threading.Lock()]})
    gc.collect()  # the error, its traceback and the buffers: see `sharecodec._dump`
    assert files(system) == []


def test_classes_of_a_script_are_shared():
    printed = run_source(
        """
        from dataclasses import dataclass
        from procactors import Actor, ActorSystem

        @dataclass
        class Point:
            x: int

        class Reader(Actor):
            def read(self, shared):
                value = shared.get()
                return value if isinstance(value, Point) else None

            def make(self):
                return self.context.system.share(Point(2))

        with ActorSystem() as system:
            reader = system.spawn(Reader)
            print(reader.ask(Reader.read, system.share(Point(1))))
            print(isinstance(reader.ask(Reader.make).get(), Point))
        """.replace("\n        ", "\n")
    )
    assert printed == "Point(x=1)\nTrue\n"


def test_procactors_imports_no_package_whose_values_it_shares():
    assert (
        run_source("""
import sys
from procactors import ActorSystem
with ActorSystem() as system:
    assert system.share(memoryview(b"x")).get() == b"x"
print({"numpy", "pyarrow", "polars"} & sys.modules.keys())
""")
        == "set()\n"
    )


# -- tables ----------------------------------------------------------------------------------


def test_frames_and_series_of_pandas_are_mapped_without_a_copy(system, start_method):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    if start_method == "fork":
        pytest.skip("its libraries' threads do not survive a fork")
    frame = pandas.DataFrame(
        {"n": np.arange(100_000), "x": np.linspace(0, 1, 100_000), "s": ["text"] * 100_000}
    )
    shared = system.share({"frame": frame, "series": frame["x"]})
    back = shared.get()
    pandas.testing.assert_frame_equal(back["frame"], frame)
    pandas.testing.assert_series_equal(back["series"], frame["x"])
    with pytest.raises(ValueError, match="read-only"):
        back["frame"].iloc[0, 0] = 5
    reader = system.spawn(Reader)
    assert reader.ask(Reader.columns, shared, ["n", "x"]) == [True, True]


def test_a_table_of_pyarrow_is_mapped_without_a_copy(system):
    arrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    table = arrow.table({"n": range(100_000), "s": [str(n) for n in range(100_000)]})
    shared = system.share(table)
    assert shared.get().equals(table)
    found = system.spawn(Reader).ask(Reader.where, shared)
    assert sum(size for size, _ in found) >= table.nbytes
    assert all(inside for _, inside in found)


def test_frames_and_series_of_polars_are_mapped_through_arrow(system, start_method):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    if start_method == "fork":
        pytest.skip("polars does not survive a fork of a process that has used it")
    frame = polars.DataFrame({"n": np.arange(100_000), "x": np.linspace(0, 1, 100_000)})
    words = polars.DataFrame({"s": ["some text of some length"] * 1000, "e": [None, 1] * 500})
    shared = system.share({"frame": frame, "series": frame["n"], "words": words})
    back = shared.get()
    assert back["frame"].equals(frame)
    assert back["series"].equals(frame["n"])
    assert back["series"].name == "n"
    assert back["words"].equals(words)
    assert back["words"].schema == words.schema
    found = system.spawn(Reader).ask(Reader.where, system.share(frame))
    assert [size for size, _ in found] == [800_000, 800_000]
    assert all(inside for _, inside in found)


# -- the end of a share ----------------------------------------------------------------------


def test_a_released_share_is_refused_everywhere_and_what_was_got_stays_good(system):
    reader = system.spawn(Reader)
    with system.share(np.ones(MB)) as shared:
        ours = shared.get()
        reader.ask(Reader.hold, shared)
    for _ in range(3):  # of the same size: the file is not theirs while it is read
        system.share(np.zeros(MB)).release()
    with pytest.raises(errors.ShareReleased, match=r"shared ndarray \(8 MB\) was released; "):
        shared.get()
    with pytest.raises(errors.ShareReleased, match="call get\\(\\) before"):
        reader.ask(Reader.hold, shared)
    assert ours.sum() == MB
    assert reader.ask(Reader.held_totals) == [MB]
    assert system.shares() == []
    shared.release()  # twice is as once


def test_anybody_may_release(system):
    shared = system.share(np.ones(MB))
    system.spawn(Reader).ask(Reader.release, shared)
    with pytest.raises(errors.ShareReleased):
        shared.get()


def test_a_share_that_was_never_sent_goes_with_its_handle(system):
    shared = system.share(np.ones(MB))
    ours = shared.get()
    del shared
    assert system.shares() == []
    assert ours.sum() == MB


def test_a_share_that_was_sent_stays_without_its_handle(system):
    echo = system.spawn(Echo)
    shared = echo.ask(Echo.echo, system.share(np.ones(MB)))
    gc.collect()
    assert shared.get().sum() == MB
    assert system.shares() == [shared]


def test_a_result_outlives_its_maker_and_what_it_kept_to_itself_does_not(system):
    maker = system.spawn(Reader)
    results = [maker.ask(Reader.make, MB, value) for value in range(1, 4)]
    maker.ask(Reader.keep, MB)
    assert len(system.shares()) == 4
    results[0].release()
    os.kill(maker.ask(Reader.pid), signal.SIGKILL)
    eventually(lambda: set(system.shares()) == set(results[1:]), "the unsent share to go")
    assert [int(shared.get()[-1]) for shared in results[1:]] == [2, 3]
    eventually(lambda: len(files(system)) == 2, "the released file of the dead to go")
    results[1].release()
    results[2].release()
    assert files(system) == []  # nobody is there to write them again


def test_a_result_outlives_a_maker_that_is_recycled(system):
    maker = system.options(recycle_after=Recycle(messages=1)).spawn(Reader)
    results = [maker.ask(Reader.make, MB, value) for value in range(1, 4)]
    assert [int(shared.get()[0]) for shared in results] == [1, 2, 3]


def test_a_reader_that_is_killed_leaves_nothing(system):
    reader = system.spawn(Reader)
    shared = system.share(np.ones(MB))
    os.kill(reader.ask(Reader.hold, shared), signal.SIGKILL)
    assert reader.ask(Reader.total, shared) == MB  # by the next life
    shared.release()
    again = system.share(np.ones(MB))
    assert again._share.path == shared._share.path  # nobody's lock is left on it


def test_nothing_is_left_when_the_system_stops_and_what_was_got_stays_good(start_method):
    with ActorSystem(start_method=start_method) as system:
        path = Path(system._endpoint.path)
        sent = system.spawn(Reader).ask(Reader.make, MB, 7)
        unsent = system.share(np.ones(MB))
        ours = sent.get()
    assert not path.exists()
    assert int(ours.sum()) == 7 * MB
    with pytest.raises(errors.ActorStopped, match=r"^the system was stopped: the shared ndarray"):
        unsent.get()
    with pytest.raises(errors.ActorStopped):
        system.share(1)
    unsent.release()
    del ours


# -- files that are written again ------------------------------------------------------------


def test_files_are_used_again_whoever_releases(system):
    reader = system.spawn(Reader)
    handles = []
    for value in range(10):
        shared = system.share(np.full(MB + 5000 * value, value, np.uint8))
        assert reader.ask(Reader.total, shared) == value * (MB + 5000 * value)
        assert shared.get()[-1] == value
        reader.ask(Reader.release, shared)
        result = reader.ask(Reader.make, MB - 5000 * value, value)
        assert result.get()[-1] == value
        result.release()
        handles += [shared, result]
    assert len(files(system)) <= 2
    for handle in handles:  # whatever is in the file now, it is not theirs
        with pytest.raises(errors.ShareReleased):
            handle.get()


def test_a_late_opener_is_refused_and_its_late_release_ends_nothing(system):
    first = system.share(np.ones(MB))
    first.release()
    second = system.share(np.zeros(MB))
    assert second._share.path == first._share.path
    first.release()
    with pytest.raises(errors.ShareReleased):
        first.get()
    assert second.get().sum() == 0


def test_what_is_kept_for_use_is_bounded(system):
    shares = [system.share(np.ones(50_000)) for _ in range(40)]
    for shared in shares:
        shared.release()
    assert len(files(system)) == 16


def test_threads_share_and_read_at_once(system):
    def work(value: int) -> bool:
        for _ in range(30):
            with system.share(np.full(50_000 + 1000 * value, value)) as shared:
                array = shared.get()
                if not array.min() == value == array.max():
                    return False
        return True

    assert all(done.result() for done in [aside(work, value) for value in range(6)])
    assert system.shares() == []


# -- resources -------------------------------------------------------------------------------


def test_a_share_that_is_read_costs_one_descriptor_and_gives_it_back(system):
    reader = system.spawn(Reader)
    shares = [system.share(np.full(1000, value)) for value in range(10)]
    reader.ask(Reader.hold, shares[0])
    before, ours = reader.ask(Reader.descriptors), len(os.listdir("/proc/self/fd"))
    for shared in [*shares[1:], *shares]:  # those that are held twice are mapped once
        reader.ask(Reader.hold, shared)
    assert reader.ask(Reader.descriptors) <= before + 9
    reader.ask(Reader.drop)
    assert reader.ask(Reader.descriptors) <= before
    assert len(os.listdir("/proc/self/fd")) == ours  # who only writes holds nothing open


def test_a_fork_disturbs_nothing(system):
    unsent, sent = system.share(np.ones(MB)), system.share(np.ones(MB))
    pickle.dumps(sent)
    pid = os.fork()
    if not pid:
        code = 1
        with contextlib.suppress(BaseException):
            assert unsent.get().sum() == MB
            del unsent, sent
            gc.collect()
            with contextlib.suppress(errors.ForeignProcess):
                system.share(1)
                os._exit(2)
            code = 0
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert unsent.get().sum() == sent.get().sum() == MB


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(system, monkeypatch):
    kept = system.share(np.ones(MB))

    def full(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(errors.StorageFull, match="no room for a payload of"):
        system.share(np.ones(MB // 2))
    monkeypatch.undo()
    assert kept.get().sum() == MB
    assert system.shares() == [kept]
    assert system.share(np.ones(MB // 2)).get().sum() == MB // 2


def test_what_shared_memory_has_no_room_for_goes_to_the_temporary_directory(system, monkeypatch):
    reader = system.spawn(Reader)
    system.share(np.ones(MB)).release()
    reserve = os.posix_fallocate

    def full(fd: int, offset: int, size: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(system._endpoint.path + "/"):
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(fd, offset, size)

    monkeypatch.setattr(os, "posix_fallocate", full)
    shared = system.share(np.ones(3 * MB))
    assert shared._share.path.startswith(overflow_of(system._endpoint.path))
    assert files(system) == []  # what was kept for use has made room first
    assert reader.ask(Reader.total, shared) == 3 * MB
    assert system.shares() == [shared]
    shared.release()
    assert system.shares() == []


def test_killing_who_shares_and_who_reads_never_shows_wrong_data(start_method, seed):
    with ActorSystem(start_method=start_method, preload=["numpy"]) as system:
        outcome = run(system, steps=80, seed=seed)
    print(outcome)
    assert outcome.wrong == []
