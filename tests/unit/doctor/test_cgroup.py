"""What a control group grants, under both versions."""

from __future__ import annotations

import pytest

from procactors.doctor import cgroup
from procactors.doctor.finding import Level

MB = 1_000_000


@pytest.fixture
def root(tmp_path):
    def write(path, text):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        return str(tmp_path)

    write("proc/meminfo", "MemTotal:       8000000 kB\nMemFree: 1 kB")
    return write


@pytest.mark.parametrize(
    ("used", "level"), [(100 * MB, Level.OK), (400 * MB, Level.WARN), (600 * MB, Level.WARN)]
)
def test_version_2_counts_the_least_on_the_way_to_the_root(root, used, level):
    root("proc/self/cgroup", "0::/user/job")
    root("sys/fs/cgroup/user/job/memory.max", "max")
    root("sys/fs/cgroup/user/job/memory.current", 50 * MB)
    root("sys/fs/cgroup/user/memory.max", 500 * MB)
    found = cgroup.memory(root("sys/fs/cgroup/user/memory.current", used))
    assert found.level is level
    assert found.facts["limit"] == 500 * MB
    assert found.facts["cgroup"] == 2


def test_version_1_is_found_by_its_controller(root):
    root("proc/self/cgroup", "5:cpu,cpuacct:/a\n4:memory:/docker/abc\n3:pids:/docker/abc")
    root("sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes", 300 * MB)
    root("sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes", 290 * MB)
    root("sys/fs/cgroup/pids/docker/abc/pids.max", 100)
    folder = root("sys/fs/cgroup/pids/docker/abc/pids.current", 90)
    memory, tasks = cgroup.memory(folder), cgroup.tasks(folder)
    assert (memory.level, memory.facts["cgroup"]) == (Level.WARN, 1)
    assert (tasks.level, tasks.facts["limit"], tasks.facts["used"]) == (Level.WARN, 100, 90)


def test_a_number_beyond_all_memory_is_no_limit(root):
    root("proc/self/cgroup", "4:memory:/")
    root("sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    found = cgroup.memory(root("sys/fs/cgroup/memory/memory.usage_in_bytes", 5))
    assert (found.level, found.facts["limit"]) == (Level.OK, None)
    assert "8.2 GB" in found.says


def test_without_a_group_there_is_no_limit(root, tmp_path):
    assert cgroup.memory(str(tmp_path)).level is Level.OK
    assert cgroup.tasks(str(tmp_path)).level is Level.OK


def test_processors_say_why_not_all_are_used(monkeypatch, root, tmp_path):
    monkeypatch.setattr(cgroup, "usable_cpus", lambda: 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert "quota grants no more than 1" in cgroup.processors(str(tmp_path)).says
    monkeypatch.setattr(cgroup, "usable_cpus", lambda: 3)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert "3 usable of 8: this process is bound to 3" in cgroup.processors(str(tmp_path)).says
